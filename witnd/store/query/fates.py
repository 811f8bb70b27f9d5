"""The fates of events, in the form that commands and the API show."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from witnd.domain.outcomes.event import EntryId, Event, Retry, Tick, read
from witnd.domain.outcomes.partitioning import partition_of
from witnd.domain.values import instant
from witnd.store.errors import Unreadable
from witnd.store.keys import Keys
from witnd.store.log.forward import forwarded_to
from witnd.store.query.reads import Command, Reads, text_of
from witnd.store.records.codec import FateRecord
from witnd.store.records.held_codec import decode_held
from witnd.store.records.lineage import Lineage, sibling
from witnd.store.records.log_snapshot import entry_id

# Besides the fates of the contract: not read yet, an entry of the daemon, unknown, and left to another partition.
APPLIED, WAITING, CONTROL, UNKNOWN, FORWARDED = "applied", "waiting", "control", "unknown", "forwarded"

# Characters of a rejected event in a list. A single event is shown in full.
SHOWN_MAX: Final = 2000

_UNKNOWN = "it was read, but its fate is not stored; run `witnd audit`"
_WAITING = "not read by a daemon yet"
_CONTROL = "an entry of the daemon, which has no fate"


class Fate(Struct, frozen=True, kw_only=True):
    """An event and its fate. `fields` are those of its entry, if available. `action`, `customer_key` and `agent_key`
    are set if the event can be read."""

    id: str
    partition: int
    accepted_at: str
    fate: str
    key: str | None = None
    reason: str | None = None
    message: str | None = None
    action: str | None = None
    customer_key: str | None = None
    agent_key: str | None = None
    fields: list[tuple[str, str]] | None = None


async def fate_of(
    reads: Reads, partitions: Sequence[Keys], keys: Keys, entry: EntryId, key: str | None = None
) -> Fate | None:
    """Return the fate of an entry, or None if nothing is known. `key` finds an applied entry that was trimmed.

    `keys` is the partition with its log, or the one to which its outcome moved. `partitions` are all of them.
    """
    origin, lineage = await _origin(reads, keys, entry)
    status = await reads.entry_status(origin, entry)
    fields = status.entry
    item = None if fields is None else read(fields)
    key = item.key if isinstance(item, Event | Retry) else key
    target = None
    if fields is not None and entry <= status.cursor:
        target = forwarded_to(lineage, origin.partition, entry, fields, len(partitions))
    homes = [] if target is not None else await _homes(reads, partitions, origin, entry, key)
    record = status.fate or await _moved_fate(reads, homes, entry)
    if record is not None:
        return recorded_fate(origin.partition, entry, record, fields)
    if fields is None and key is None:
        return None
    fate, message = UNKNOWN, _UNKNOWN
    if target is not None:
        fate, message = FORWARDED, f"its key is in partition {target}, whose log has it"
    elif fields is not None and entry > status.cursor:
        fate, message = WAITING, _WAITING
    elif isinstance(item, Tick | Retry):
        fate, message = CONTROL, _CONTROL
    for home in homes if fate == UNKNOWN and key is not None else ():
        try:
            applied = await reads.applied_item(home, key or "", entry) is not None
        except Unreadable as damaged:
            applied, message = False, f"the history of {key} is unreadable ({damaged.reason}), so the fate is unknown"
        if applied:
            fate, message = APPLIED, ""
    if fate == UNKNOWN and fields is None:
        return None
    return Fate(
        id=text_of(entry),
        partition=origin.partition,
        accepted_at=instant.render(entry[0]),
        fate=fate,
        key=key,
        message=message or None,
        fields=_text_fields(fields),
    )


async def _origin(reads: Reads, keys: Keys, entry: EntryId) -> tuple[Keys, Lineage]:
    """Return the partition whose log has an entry of this partition's outcomes, and its lineage."""
    [lineage] = await reads.lineages([keys])
    number = lineage.log_of(keys.partition, entry)
    if number == keys.partition:
        return keys, lineage
    origin = sibling(keys, number)
    return origin, (await reads.lineages([origin]))[0]


async def _homes(reads: Reads, partitions: Sequence[Keys], origin: Keys, entry: EntryId, key: str | None) -> list[Keys]:
    """Return the partitions that may have the outcome of an entry: one if its key is known."""
    if len(partitions) == 1:
        return [origin]
    wanted = partitions if key is None else [partitions[partition_of(key, len(partitions))]]
    return [
        keys
        for keys, lineage in zip(wanted, await reads.lineages(wanted), strict=True)
        if lineage.log_of(keys.partition, entry) == origin.partition
    ]


async def _moved_fate(reads: Reads, homes: Sequence[Keys], entry: EntryId) -> FateRecord | None:
    for home in homes:
        [record] = await reads.fates_of(home, [text_of(entry)])
        if record is not None:
            return record
    return None


async def logged_fields(reads: Reads, keys: Keys, ids: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Return the fields of those entries that a log still has: the partition's log, or the one from which its outcomes
    moved."""
    if not ids:
        return {}
    [lineage] = await reads.lineages([keys])
    logs = [sibling(keys, lineage.log_of(keys.partition, entry_id(id_))).events for id_ in ids]
    rows = await reads.pipeline(*(("XRANGE", log, id_, id_) for log, id_ in zip(logs, ids, strict=True)))
    found = {id_: _text_fields(row[0][1]) for id_, row in zip(ids, rows, strict=True) if row}
    return {id_: fields for id_, fields in found.items() if fields is not None}


async def with_events(reads: Reads, partitions: Sequence[Keys], found: Sequence[Fate]) -> list[Fate]:
    """Add the fields of held events, from the log, or from the list of held events."""
    by_number = {keys.partition: keys for keys in partitions}
    held = [fate for fate in found if fate.fate == "held" and fate.key is not None]
    filled: dict[tuple[int, str], Fate] = {}
    for number, keys in by_number.items():
        mine = [fate for fate in held if fate.partition == number]
        logged = await logged_fields(reads, keys, [fate.id for fate in mine])
        for fate in mine:
            fields = logged.get(fate.id)
            event = None if fields is None else event_of(fields)
            filled[number, fate.id] = _with_event(replace(fate, fields=fields), event)
        trimmed = [fate for fate in mine if filled[number, fate.id].customer_key is None]
        commands: list[Command] = [("LRANGE", keys.held_events(fate.key or ""), 0, -1) for fate in trimmed]
        lists = await reads.pipeline(*commands) if commands else []
        for fate, items in zip(trimmed, lists, strict=True):
            with suppress(Unreadable):  # a damaged event is shown without its fields
                waiting = dict(decode_held(fate.key or "", item) for item in items)
                filled[number, fate.id] = _with_event(fate, waiting.get(entry_id(fate.id)))
    return [filled.get((fate.partition, fate.id), fate) for fate in found]


def event_of(fields: Sequence[tuple[str, str]]) -> Event | None:
    """Return the event in the fields of an entry, or None if they are not an event."""
    item = read([word.encode() for pair in fields for word in pair])
    return item if isinstance(item, Event) else None


def _with_event(fate: Fate, event: Event | None) -> Fate:
    if event is None:
        return fate
    return replace(fate, action=event.action, customer_key=event.customer_key, agent_key=event.agent_key)


def recorded_fate(partition: int, entry: EntryId, record: FateRecord, fields: Sequence[bytes] | None) -> Fate:
    """Return the fate in a record. `fields` are those of its entry, if the log still has it."""
    text_fields = _text_fields(fields if record.raw is None else record.raw)
    fate = Fate(
        id=text_of(entry),
        partition=partition,
        accepted_at=instant.render(entry[0]),
        fate=record.fate,
        key=record.key,
        reason=record.reason,
        message=record.message,
        fields=text_fields,
    )
    return _with_event(fate, None if text_fields is None else event_of(text_fields))


def shorten(fate: Fate) -> Fate:
    """Truncate long values, for a list."""
    if fate.fields is None:
        return fate
    return replace(fate, fields=[(_shorten_text(name), _shorten_text(value)) for name, value in fate.fields])


def _shorten_text(text: str) -> str:
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"


def _text_fields(fields: Sequence[bytes] | None) -> list[tuple[str, str]] | None:
    """Return names and values as text, with invalid bytes escaped."""
    if fields is None:
        return None
    words = [word.decode(errors="backslashreplace") for word in fields]
    return list(zip(words[::2], words[1::2], strict=True))
