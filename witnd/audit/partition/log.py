"""Audit the log of a partition: the fate of each event, and the events that were forwarded to another log."""

from collections.abc import Sequence

from witnd.audit.partition.outcomes import applied_mark
from witnd.audit.scope import Scope
from witnd.domain.outcomes.event import EntryId, Event, Item, Retry, Tick, read
from witnd.store.errors import Unreadable
from witnd.store.log.forward import decode_forwarded, forwarded_to
from witnd.store.query.reads import Entry, text_of
from witnd.store.records.codec import FateRecord
from witnd.store.records.lineage import Lineage
from witnd.store.records.log_snapshot import entry_id


async def check_log(scope: Scope, cursor: EntryId, lineage: Lineage) -> None:
    """Count the log's events up to the cursor; a full audit also checks which were applied. A forwarded event counts in
    the log to which it was forwarded."""
    left = await _left_events(scope) if lineage.earlier else {}
    async for page in scope.reads.entries(scope.keys.events, cursor):
        events = [(e, fields) for e, fields in page if not _is_control(fields)]
        if lineage.earlier:
            events = [one for one in events if not _is_forwarded(scope, lineage, *one, left)]
        scope.totals.log_entries += len(events)
        if scope.quick:
            continue
        late: list[tuple[EntryId, Event]] = []
        for (entry, fields), fate in zip(events, await _fates(scope, events), strict=True):
            if fate is None or fate.fate == "reversed":
                _add_recorded(scope, entry, read(fields))
            elif fate.fate == "late" and isinstance(event := read(fields), Event):
                late.append((entry, event))
        await _check_late(scope, late)


async def _check_late(scope: Scope, events: Sequence[tuple[EntryId, Event]]) -> None:
    """Check that no late event should have reversed its outcome."""
    if not events:
        return
    names = [scope.home(event.key).outcome(event.key) for _, event in events]
    [records] = await scope.reads.pipeline(("MGET", *names))
    for (entry, event), raw in zip(events, records, strict=True):
        record = None if event.key in scope.damaged else scope.record(event.key, raw)
        outcome = None if record is None else scope.outcome(event.key, record)
        if outcome is None or (outcome.reversed_by is not None and outcome.reversed_by < entry):
            continue
        terms = outcome.contract.reversal
        if terms is None or event.action not in terms["on"] or outcome.status != "CONFIRMED":
            continue
        if entry[0] < outcome.settles_at + int(terms["window"]) * 1000:
            scope.differ(event.key, f"fate of {text_of(entry)}", "reversed", "late")


def _add_recorded(scope: Scope, entry: EntryId, event: Item) -> None:
    """Add an event that must be in the history of its outcome, or be what reversed it."""
    if not isinstance(event, Event):
        scope.differ("", f"fate of {text_of(entry)}", "rejected", "none")
        return
    if event.key in scope.damaged:
        return
    mark = applied_mark(event.key, entry, event)
    scope.totals.log_mark += mark
    if scope.precise:
        scope.log_marks[event.key] += mark


def _is_forwarded(
    scope: Scope, lineage: Lineage, entry: EntryId, fields: list[bytes], left: dict[int, EntryId]
) -> bool:
    """Return whether an event was forwarded, and check that it did not get lost."""
    target = forwarded_to(lineage, scope.keys.partition, entry, fields, scope.family.count)
    if target is not None and entry > left.get(target, (0, 0)):
        scope.differ("", f"forwarded event {text_of(entry)}", f"in the log of partition {target}", "not there")
    return target is not None


async def _fates(scope: Scope, events: Sequence[Entry]) -> list[FateRecord | None]:
    """Return the fate of each event, which is beside the log, or in the partition to which its key moved."""
    found = await scope.reads.fates_of(scope.keys, [text_of(entry) for entry, _ in events])
    if len(scope.family.partitions) == 1:
        return found
    elsewhere: dict[int, list[int]] = {}
    homes = {}
    for place, ((_, fields), fate) in enumerate(zip(events, found, strict=True)):
        event = read(fields) if fate is None else None
        if isinstance(event, Event) and (home := scope.home(event.key)) is not scope.keys:
            homes[home.partition] = home
            elsewhere.setdefault(home.partition, []).append(place)
    for number, places in elsewhere.items():
        names = [text_of(events[place][0]) for place in places]
        for place, fate in zip(places, await scope.reads.fates_of(homes[number], names), strict=True):
            found[place] = fate
    return found


async def _left_events(scope: Scope) -> dict[int, EntryId]:
    """Return the last event of this log that each partition of the family has, or that waits to be forwarded to it."""
    number, partitions = scope.keys.partition, scope.family.partitions
    # In this order, because an event leaves the list after it is in the other log.
    [waiting] = await scope.reads.pipeline(("LRANGE", scope.keys.forwards, 0, -1))
    answers = await scope.reads.pipeline(*(("HGET", keys.forwarded, number) for keys in partitions))
    found = {
        keys.partition: (0, 0) if answer is None else entry_id(answer)
        for keys, answer in zip(partitions, answers, strict=True)
    }
    for item in waiting:
        try:
            event = decode_forwarded(scope.keys.forwards, item)
        except Unreadable as damaged:
            scope.differ("", "event to forward", "one that witnd wrote", str(damaged))
            continue
        found[event.partition] = max(event.entry, found.get(event.partition, (0, 0)))
    return found


def _is_control(fields: Sequence[bytes]) -> bool:
    return b"witnd" in fields[::2] and isinstance(read(fields), Tick | Retry)
