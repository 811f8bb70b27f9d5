"""Reads all logs that the outcomes of a partition had: its own, and those of earlier partitions."""

from collections.abc import AsyncIterator, Sequence

from witnd.domain.outcomes.event import EntryId
from witnd.store.keys import Keys
from witnd.store.query.reads import Entry, Reads, text_of
from witnd.store.records.lineage import sibling


async def has_whole_logs(reads: Reads, keys: Keys) -> bool:
    """Return whether no entry is missing from these logs."""
    [lineage] = await reads.lineages([keys])
    numbers = [number for number, _ in lineage.origins]
    positions = [await reads.position(one) for one in (*(sibling(keys, number) for number in numbers), keys)]
    return all(one.snapshot.added == one.snapshot.length and not one.gaps for one in positions)


async def entries_until(reads: Reads, keys: Keys, limit: EntryId) -> AsyncIterator[list[Entry]]:
    """Iterate over pages of these logs, in their order, up to an entry."""
    [lineage] = await reads.lineages([keys])
    for span in lineage.spans(keys.partition):
        last = limit if span.last is None else min(limit, span.last)
        async for page in reads.entries(sibling(keys, span.log).events, last):
            yield [one for one in page if one[0] > span.after]


async def recorded_fates(reads: Reads, keys: Keys, events: Sequence[EntryId]) -> dict[EntryId, str | None]:
    """Return the fates of events, which are beside their log or beside their outcome; None for applied ones."""
    [lineage] = await reads.lineages([keys])
    found: dict[EntryId, str | None] = dict.fromkeys(events)
    for number in (*(number for number, _ in lineage.origins), keys.partition):
        on_record = await reads.fates_of(sibling(keys, number), [text_of(entry) for entry in events])
        for entry, fate in zip(events, on_record, strict=True):
            if fate is not None and number in (keys.partition, lineage.log_of(keys.partition, entry)):
                found[entry] = fate.fate
    return found
