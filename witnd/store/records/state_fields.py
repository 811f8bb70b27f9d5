"""The fields of a hash that records how far something has come. A damaged field is never taken for a zero."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from witnd.domain.catalogue.chain import Head
from witnd.domain.outcomes.event import EntryId
from witnd.store.errors import Unsafe
from witnd.store.records.line_position import LinePosition, decode_position

_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_ENTRY: Final = re.compile(r"([0-9]{1,20})-([0-9]{1,20})", re.ASCII)
# Fields of a partition's state that are no counters.
NOT_COUNTERS: Final = frozenset(
    ("cursor", "read", "seq", "epoch", "digest", "settling", "format", "gaps", "lost", "catalogue", "lines")
)


class StateFields:
    """The fields by name. Raises `Unsafe`, naming key, field and value, where one is damaged. `remedy`: what to do
    then; else to restore the key."""

    def __init__(self, key: str, fields: Mapping[str, str], remedy: str | None = None) -> None:
        self._key = key
        self._fields = fields
        self._remedy = remedy or f"stop all daemons, restore {key} from a backup of Redis (DUMP and RESTORE)"

    @classmethod
    def from_hash(cls, key: str, flat: Sequence[Any], remedy: str | None = None) -> "StateFields":
        """From the answer to HGETALL."""
        words = [word.decode(errors="backslashreplace") for word in flat]
        return cls(key, dict(zip(words[::2], words[1::2], strict=True)), remedy)

    @classmethod
    def from_value(cls, key: str, name: str, value: bytes | None, remedy: str | None = None) -> "StateFields":
        """From the answer to HGET."""
        return cls(key, {} if value is None else {name: value.decode(errors="backslashreplace")}, remedy)

    @classmethod
    def of_partition(cls, key: str, flat: Sequence[Any]) -> "StateFields":
        """The state of a partition. A step writes its digest, number, position and count together, so none is missing
        alone."""
        found = cls.from_hash(key, flat)
        if "digest" in found._fields:
            for name in ("seq", "cursor", "read"):
                if name not in found._fields:
                    raise found.damage(name, "is missing")
        return found

    def number(self, name: str) -> int:
        """0 if the field is absent."""
        text = self._fields.get(name, "0")
        if not _NUMBER.fullmatch(text):
            raise self.damage(name, f"must be a whole number from 0 on, and is {text!r}")
        return int(text)

    def entry(self, name: str) -> EntryId:
        """The id of an entry of a stream, (0, 0) if the field is absent."""
        text = self._fields.get(name, "0-0")
        found = _ENTRY.fullmatch(text)
        if found is None:
            raise self.damage(name, f"must be the id of an entry such as 1789000000000-0, and is {text!r}")
        return int(found[1]), int(found[2])

    def head(self, name: str) -> Head | None:
        text = self._fields.get(name)
        try:
            return None if text is None else Head.parse(text)
        except ValueError:
            raise self.damage(name, f"must be the count and digest of a catalogue, and is {text!r}") from None

    def text(self, name: str) -> str | None:
        return self._fields.get(name)

    def numbers(self) -> dict[str, int]:
        """All fields, which are numbers."""
        return {name: self.number(name) for name in self._fields}

    def counters(self) -> dict[str, int]:
        """Events by fate and outcomes by status, of a partition's state."""
        return {name: self.number(name) for name in self._fields if name not in NOT_COUNTERS}

    def positions(self) -> dict[int, LinePosition]:
        """The fields `read:<partition>`, which are positions among invoice lines."""
        found: dict[int, LinePosition] = {}
        for name, text in self._fields.items():
            if name.startswith("read:"):
                partition = name.removeprefix("read:")
                if not _NUMBER.fullmatch(partition):
                    raise self.damage(name, "names no partition")
                position = decode_position(text)
                if position is None:
                    raise self.damage(name, f"must be the number of a line and its digest, and is {text!r}")
                found[int(partition)] = position
        return found

    def damage(self, name: str, problem: str) -> Unsafe:
        return Unsafe(f"the field {name} of {self._key} is damaged: it {problem}", self._remedy)
