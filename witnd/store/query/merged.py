"""Lists over all partitions in one order: events by what became of them, and outcomes by when they are due.

How a list is taken up again is in `places`.
"""

from collections.abc import AsyncIterator, Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple, TypeAlias

from witnd.store.keys import Keys
from witnd.store.query.cursor import Cursor, newest
from witnd.store.query.reads import PAGE, Reads
from witnd.store.records.codec import FateRecord, OutcomeRecord, outcome_record

# Bounds that are read to find the earliest deadline: the first is nearly always it.
_FIRST: Final = 16


class ListedFate(NamedTuple):
    place: Cursor
    record: FateRecord | None


class ListedOutcome(NamedTuple):
    place: Cursor
    record: OutcomeRecord


_Order: TypeAlias = tuple[int, int, bytes]


async def batches(places: AsyncIterator[Cursor], first: int) -> AsyncIterator[list[Cursor]]:
    """In pages, for what is read of each: as many as are likely to be wanted, then more."""
    page: list[Cursor] = []
    async for place in places:
        page.append(place)
        if len(page) == first:
            yield page
            page, first = [], PAGE
    if page:
        yield page


async def newest_fates(
    reads: Reads, partitions: Sequence[Keys], fates: Sequence[str], behind: Cursor | None, first: int = PAGE
) -> AsyncIterator[ListedFate]:
    """Entries with one of these fates, newest first."""
    by_number = {keys.partition: keys for keys in partitions}
    sets = [(keys, [keys.fates_of(fate) for fate in fates]) for keys in partitions]
    async for page in batches(newest(reads, sets, behind, first), first):
        records: dict[Cursor, FateRecord | None] = {}
        for number in {place.partition for place in page}:
            mine = [place for place in page if place.partition == number]
            found = await reads.fates_of(by_number[number], [place.name for place in mine])
            records.update(zip(mine, found, strict=True))
        for place in page:
            yield ListedFate(place, records[place])


async def earliest_due(
    reads: Reads, partitions: Sequence[Keys], behind: Cursor | None, first: int = PAGE
) -> AsyncIterator[ListedOutcome]:
    """Open outcomes in the order in which they are due.

    The stored set is in the order of lower bounds: an outcome's turn has come when no bound that
    is still to be read lies at or before its deadline. So every call reads from the beginning.
    """
    least = None if behind is None else _order(behind)
    sources = [_due_of(reads, keys, first) for keys in partitions]
    heads: list[tuple[_Order, int, ListedOutcome]] = []
    for number, source in enumerate(sources):
        async for listed in source:
            heappush(heads, (_order(listed.place), number, listed))
            break
    while heads:
        order, number, listed = heappop(heads)
        if least is None or order > least:
            yield listed
        async for after in sources[number]:
            heappush(heads, (_order(after.place), number, after))
            break


async def _due_of(reads: Reads, keys: Keys, first: int) -> AsyncIterator[ListedOutcome]:
    """Those of one partition."""
    waiting: list[tuple[_Order, ListedOutcome]] = []
    async for page, more in _bounds(reads, keys, first):
        names = [keys.outcome(place.name) for place in page]
        records = (await reads.pipeline(("MGET", *names)))[0] if names else []
        for place, raw in zip(page, records, strict=True):
            record = outcome_record(place.name, raw)
            if isinstance(record, OutcomeRecord) and record.processed_at is None:
                due = place._replace(ms=record.settles_at)
                heappush(waiting, (_order(due), ListedOutcome(due, record)))
        while more and waiting and waiting[0][1].place.ms < page[-1].ms:
            yield heappop(waiting)[1]
    while waiting:
        yield heappop(waiting)[1]


async def next_due(reads: Reads, partitions: Sequence[Keys]) -> ListedOutcome | None:
    """The open outcome that settles first."""
    async for listed in earliest_due(reads, partitions, None, _FIRST):
        return listed
    return None


async def _bounds(reads: Reads, keys: Keys, count: int) -> AsyncIterator[tuple[list[Cursor], bool]]:
    """Pages of the stored bounds, the earliest first, and whether more may follow."""
    edge, skip = "-inf", 0
    while True:
        found = await reads.score_range(keys.due, edge, "+inf", skip, count)
        page = [Cursor(ms, keys.partition, name) for name, ms in found]
        more = len(page) == count
        yield page, more
        if not more:
            return
        # The next page begins at the last instant seen, behind those of it that were seen already.
        last = page[-1].ms
        seen = sum(1 for one in page if one.ms == last)
        skip = skip + seen if edge == str(last) else seen
        edge, count = str(last), PAGE


def _order(place: Cursor) -> _Order:
    """What places are ordered by, the earliest first: within an instant by partition, then as the server orders."""
    return place.ms, place.partition, place.name.encode()
