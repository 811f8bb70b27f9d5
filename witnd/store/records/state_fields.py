"""Reads the fields of a hash that records progress. A damaged field is an error, not a zero."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from witnd.domain.catalogue.chain import Head
from witnd.domain.outcomes.event import EntryId
from witnd.store.errors import Unsafe
from witnd.store.records.line_position import LinePosition, decode_position
from witnd.store.records.lineage import Lineage, decode_borders

_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_ENTRY: Final = re.compile(r"([0-9]{1,20})-([0-9]{1,20})", re.ASCII)
# Fields of a partition's state that are not counters.
NOT_COUNTERS: Final = frozenset(
    (
        "cursor", "read", "seq", "epoch", "digest", "settling", "gaps", "lost", "catalogue", "lines",
        "earlier", "origins",
    )
)  # fmt: skip


class StateFields:
    """The fields of one hash. A damaged field raises `Unsafe` with key, field and value. The default `remedy` is to
    restore the key."""

    def __init__(self, key: str, fields: Mapping[str, str], remedy: str | None = None) -> None:
        self._key = key
        self._fields = fields
        self._remedy = remedy or f"stop all daemons, restore {key} from a backup of Redis (DUMP and RESTORE)"

    @classmethod
    def from_hash(cls, key: str, flat: Sequence[Any], remedy: str | None = None) -> "StateFields":
        """Create it from the reply to HGETALL."""
        words = [word.decode(errors="backslashreplace") for word in flat]
        return cls(key, dict(zip(words[::2], words[1::2], strict=True)), remedy)

    @classmethod
    def from_value(cls, key: str, name: str, value: bytes | None, remedy: str | None = None) -> "StateFields":
        """Create it from the reply to HGET."""
        return cls(key, {} if value is None else {name: value.decode(errors="backslashreplace")}, remedy)

    @classmethod
    def from_values(cls, key: str, values: Mapping[str, bytes | None]) -> "StateFields":
        """Create it from the reply to HMGET, by field."""
        found = {name: value.decode(errors="backslashreplace") for name, value in values.items() if value is not None}
        return cls(key, found)

    @classmethod
    def of_partition(cls, key: str, flat: Sequence[Any]) -> "StateFields":
        """Create it from the state of a partition. A step writes its digest, number, position and count together, so a
        single missing field is damage."""
        found = cls.from_hash(key, flat)
        if "digest" in found._fields:
            for name in ("seq", "cursor", "read"):
                if name not in found._fields:
                    raise found.damage(name, "is missing")
        return found

    def number(self, name: str) -> int:
        """Return a number, 0 if the field is absent."""
        text = self._fields.get(name, "0")
        if not _NUMBER.fullmatch(text):
            raise self.damage(name, f"must be a whole number from 0 on, got {text!r}")
        return int(text)

    def entry(self, name: str) -> EntryId:
        """Return the id of a stream entry, (0, 0) if the field is absent."""
        text = self._fields.get(name, "0-0")
        found = _ENTRY.fullmatch(text)
        if found is None:
            raise self.damage(name, f"must be the id of an entry such as 1789000000000-0, got {text!r}")
        return int(found[1]), int(found[2])

    def head(self, name: str) -> Head | None:
        text = self._fields.get(name)
        try:
            return None if text is None else Head.parse(text)
        except ValueError:
            raise self.damage(name, f"must be the count and digest of a catalogue, got {text!r}") from None

    def text(self, name: str) -> str | None:
        return self._fields.get(name)

    def numbers(self) -> dict[str, int]:
        """Return all fields as numbers."""
        return {name: self.number(name) for name in self._fields}

    def counters(self) -> dict[str, int]:
        """Return the counters of a partition's state: events by fate and outcomes by status."""
        return {name: self.number(name) for name in self._fields if name not in NOT_COUNTERS}

    def positions(self) -> dict[int, LinePosition]:
        """Return the fields `read:<partition>`, which are positions in invoice lines."""
        found: dict[int, LinePosition] = {}
        for name, text in self._fields.items():
            if name.startswith("read:"):
                partition = name.removeprefix("read:")
                if not _NUMBER.fullmatch(partition):
                    raise self.damage(name, "must end with the number of a partition")
                position = decode_position(text)
                if position is None:
                    raise self.damage(name, f"must be the number of a line and its digest, got {text!r}")
                found[int(partition)] = position
        return found

    def lineage(self) -> Lineage:
        """Return how repartitions changed a partition."""
        found = []
        for name in ("origins", "earlier"):
            text = self._fields.get(name, "")
            borders = decode_borders(text)
            if borders is None:
                raise self.damage(name, f"must be numbers with ids of entries such as 1:1789000000000-0, got {text!r}")
            found.append(borders)
        return Lineage(*found)

    def damage(self, name: str, problem: str) -> Unsafe:
        return Unsafe(f"the field {name} of {self._key} is damaged: it {problem}", self._remedy)
