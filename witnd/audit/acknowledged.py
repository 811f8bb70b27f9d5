"""Finds missing events: compares a client's own log of acknowledged events with Redis."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, TypeAlias

from witnd.domain.outcomes.event import EntryId
from witnd.fold.history import decode_history
from witnd.store.keys import Keys
from witnd.store.query.reads import ITEMS, PAGE, Command, Reads, text_of
from witnd.store.records.codec import decode_outcome
from witnd.store.records.lineage import Lineage

# An acknowledged event: its partition and log entry id.
Acknowledged: TypeAlias = tuple[int, EntryId]

_HISTORIES: Final = 100  # histories read at a time


async def missing_events(
    reads: Reads, partitions: Sequence[Keys], acknowledged: Iterable[Acknowledged]
) -> tuple[int, list[Acknowledged]]:
    """Return how many events were compared, and those that are in no log, history or fate, in order."""
    lineages = await reads.lineages(partitions)
    rest: set[Acknowledged] = set()
    given, count = iter(acknowledged), 0
    while page := list(islice(given, PAGE)):
        count += len(page)
        rest.update(await _without_log_or_fate(reads, partitions, lineages, page))
    # Applied events that were trimmed from the log are in the history of their outcome.
    for keys, lineage in zip(partitions, lineages, strict=True):
        places: dict[EntryId, list[Acknowledged]] = {}
        for partition, entry in rest:
            if partition in (keys.partition, lineage.log_of(keys.partition, entry)):
                places.setdefault(entry, []).append((partition, entry))
        if places:
            for entry in await _in_histories(reads, keys, set(places)):
                rest.difference_update(places[entry])
    return count, sorted(rest)


async def _without_log_or_fate(
    reads: Reads, partitions: Sequence[Keys], lineages: Sequence[Lineage], page: Sequence[Acknowledged]
) -> list[Acknowledged]:
    """Return the events that are in no log and have no fate. After a repartition, the number of an event's partition
    may be that of its log, or that of its outcome."""
    commands: list[Command] = []
    places: list[Acknowledged] = []
    for partition, entry in page:
        name, log = text_of(entry), lineages[partition].log_of(partition, entry)
        for number in dict.fromkeys((partition, log)):
            keys = partitions[number]
            commands += (("XRANGE", keys.events, name, name), ("HEXISTS", keys.fates, name))
            places.append((partition, entry))
    answers = await reads.pipeline(*commands)
    found = {place for place, rows, fate in zip(places, answers[::2], answers[1::2], strict=True) if rows or fate}
    return [one for one in page if one not in found]


async def _in_histories(reads: Reads, keys: Keys, wanted: set[EntryId]) -> set[EntryId]:
    """Search the histories of all outcomes of a partition."""
    found: set[EntryId] = set()
    outcome, history = keys.outcome("").encode(), keys.history("").encode()
    async for _, names in reads.scan(f"{keys.base}:"):
        records = [name for name in names if name.startswith(outcome)]
        found_records = (await reads.pipeline(("MGET", *records)))[0] if records else ()
        for name, record in zip(records, found_records, strict=True):
            key = name.removeprefix(outcome).decode(errors="replace")
            stored = None if record is None else decode_outcome(key, record)
            found.update(decode_history(item).entry for item in (stored.items if stored is not None else ()))
        lists = [name for name in names if name.startswith(history)]
        for at in range(0, len(lists), _HISTORIES):
            found |= await _in_lists(reads, lists[at : at + _HISTORIES])
        found &= wanted
    return found


async def _in_lists(reads: Reads, lists: Sequence[bytes]) -> set[EntryId]:
    found: set[EntryId] = set()
    start = 0
    while lists:
        pages = await reads.pipeline(*(("LRANGE", name, start, start + ITEMS - 1) for name in lists))
        found.update(decode_history(item).entry for page in pages for item in page)
        lists = [name for name, page in zip(lists, pages, strict=True) if len(page) == ITEMS]
        start += ITEMS
    return found
