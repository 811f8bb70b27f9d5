"""What became of one event, or of those that were not applied: the form in which commands and the API tell it."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from witnd.domain import instant
from witnd.domain.event import EntryId, Event, Retry, Tick, read
from witnd.store.codec import FateRecord
from witnd.store.errors import Unreadable
from witnd.store.keys import Keys
from witnd.store.reads import Reads, text_of

# Beside the fates of the contract: not read yet, an entry of the daemon's own, and no trace left.
APPLIED, WAITING, CONTROL, UNKNOWN = "applied", "waiting", "control", "unknown"

# Characters of a rejected event in a list; alone it is shown whole.
SHOWN_MAX: Final = 2000

_UNKNOWN = "it was read, and left no trace; run `witnd audit`"
_WAITING = "no daemon has read it yet"
_CONTROL = "an entry of the daemon's own, which has no fate"


class Fate(Struct, frozen=True, kw_only=True):
    """One event and what became of it; `fields` are those of its entry where they are at hand."""

    id: str
    partition: int
    accepted_at: str
    fate: str
    key: str | None = None
    reason: str | None = None
    message: str | None = None
    fields: list[tuple[str, str]] | None = None


async def fate_of(reads: Reads, keys: Keys, entry: EntryId, key: str | None = None) -> Fate | None:
    """What became of an entry; None where nothing is on record. `key` finds what was trimmed."""
    standing = await reads.standing(keys, entry)
    if standing.fate is not None:
        return listed(keys.partition, entry, standing.fate, standing.entry)
    fields = standing.entry
    if fields is None and key is None:
        return None
    fate, message = UNKNOWN, _UNKNOWN
    if fields is not None:
        item = read(fields)
        if entry > standing.cursor:
            fate, message = WAITING, _WAITING
        elif isinstance(item, Tick | Retry):
            fate, message = CONTROL, _CONTROL
        key = item.key if isinstance(item, Event | Retry) else key
    if fate == UNKNOWN and key is not None:
        try:
            applied = await reads.applied(keys, key, entry) is not None
        except Unreadable as damaged:
            applied, message = False, f"the history of {key} is unreadable ({damaged.reason}): it cannot be told"
        if applied:
            fate, message = APPLIED, ""
        elif fields is None:
            return None
    return Fate(
        id=text_of(entry),
        partition=keys.partition,
        accepted_at=instant.render(entry[0]),
        fate=fate,
        key=key,
        message=message or None,
        fields=_spelled(fields),
    )


async def sent(reads: Reads, keys: Keys, ids: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Fields of the entries with these ids, of those that the log still has."""
    rows = await reads.each(*(("XRANGE", keys.events, id_, id_) for id_ in ids)) if ids else []
    found = {id_: _spelled(row[0][1]) for id_, row in zip(ids, rows, strict=True) if row}
    return {id_: fields for id_, fields in found.items() if fields is not None}


def listed(partition: int, entry: EntryId, record: FateRecord, fields: Sequence[bytes] | None) -> Fate:
    return Fate(
        id=text_of(entry),
        partition=partition,
        accepted_at=instant.render(entry[0]),
        fate=record.fate,
        key=record.key,
        reason=record.reason,
        message=record.message,
        fields=_spelled(fields if record.raw is None else record.raw),
    )


def shortened(fate: Fate) -> Fate:
    """The same with long values cut off, for a list."""
    if fate.fields is None:
        return fate
    return replace(fate, fields=[(_cut(name), _cut(value)) for name, value in fate.fields])


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"


def _spelled(fields: Sequence[bytes] | None) -> list[tuple[str, str]] | None:
    """Names and values as text; bytes that are none, escaped."""
    if fields is None:
        return None
    words = [word.decode(errors="backslashreplace") for word in fields]
    return list(zip(words[::2], words[1::2], strict=True))
