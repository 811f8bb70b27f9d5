"""Lists over all partitions: events by fate, newest first, and open outcomes by deadline."""

from collections.abc import AsyncIterator, Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple, TypeAlias

from witnd.store.keys import Keys
from witnd.store.query.cursor import Cursor, newest
from witnd.store.query.reads import PAGE, Reads
from witnd.store.records.codec import FateRecord, OutcomeRecord, outcome_record

# Lower bounds that are read to find the earliest deadline. The first one is nearly always right.
_FIRST: Final = 16


class ListedFate(NamedTuple):
    cursor: Cursor
    record: FateRecord | None


class ListedOutcome(NamedTuple):
    cursor: Cursor
    record: OutcomeRecord


_Order: TypeAlias = tuple[int, int, bytes]


async def batches(cursors: AsyncIterator[Cursor], first: int) -> AsyncIterator[list[Cursor]]:
    """Split entries into batches: first as many as the caller probably needs, then larger ones."""
    page: list[Cursor] = []
    async for cursor in cursors:
        page.append(cursor)
        if len(page) == first:
            yield page
            page, first = [], PAGE
    if page:
        yield page


async def newest_fates(
    reads: Reads, partitions: Sequence[Keys], fates: Sequence[str], after: Cursor | None, first: int = PAGE
) -> AsyncIterator[ListedFate]:
    """Iterate over entries with one of these fates, newest first."""
    by_number = {keys.partition: keys for keys in partitions}
    sets = [(keys, [keys.fates_of(fate) for fate in fates]) for keys in partitions]
    async for page in batches(newest(reads, sets, after, first), first):
        records: dict[Cursor, FateRecord | None] = {}
        for number in {cursor.partition for cursor in page}:
            mine = [cursor for cursor in page if cursor.partition == number]
            found = await reads.fates_of(by_number[number], [cursor.name for cursor in mine])
            records.update(zip(mine, found, strict=True))
        for cursor in page:
            yield ListedFate(cursor, records[cursor])


async def earliest_due(
    reads: Reads, partitions: Sequence[Keys], after: Cursor | None, first: int = PAGE
) -> AsyncIterator[ListedOutcome]:
    """Iterate over open outcomes by deadline.

    The stored set is sorted by lower bounds of the deadlines. An outcome is next when all unread bounds are later than
    its deadline. So every call reads from the beginning.
    """
    least = None if after is None else _order(after)
    sources = [_due_of(reads, keys, first) for keys in partitions]
    heads: list[tuple[_Order, int, ListedOutcome]] = []
    for number, source in enumerate(sources):
        async for listed in source:
            heappush(heads, (_order(listed.cursor), number, listed))
            break
    while heads:
        order, number, listed = heappop(heads)
        if least is None or order > least:
            yield listed
        async for following in sources[number]:
            heappush(heads, (_order(following.cursor), number, following))
            break


async def _due_of(reads: Reads, keys: Keys, first: int) -> AsyncIterator[ListedOutcome]:
    """Iterate over the open outcomes of one partition by deadline."""
    waiting: list[tuple[_Order, ListedOutcome]] = []
    async for page, more in _bounds(reads, keys, first):
        names = [keys.outcome(cursor.name) for cursor in page]
        records = (await reads.pipeline(("MGET", *names)))[0] if names else []
        for cursor, raw in zip(page, records, strict=True):
            record = outcome_record(cursor.name, raw)
            if isinstance(record, OutcomeRecord) and record.processed_at is None:
                due = cursor._replace(ms=record.settles_at)
                heappush(waiting, (_order(due), ListedOutcome(due, record)))
        while more and waiting and waiting[0][1].cursor.ms < page[-1].ms:
            yield heappop(waiting)[1]
    while waiting:
        yield heappop(waiting)[1]


async def next_due(reads: Reads, partitions: Sequence[Keys]) -> ListedOutcome | None:
    """Return the open outcome that settles first."""
    async for listed in earliest_due(reads, partitions, None, _FIRST):
        return listed
    return None


async def _bounds(reads: Reads, keys: Keys, count: int) -> AsyncIterator[tuple[list[Cursor], bool]]:
    """Iterate over pages of stored bounds, earliest first, and whether more may follow."""
    edge, skip = "-inf", 0
    while True:
        found = await reads.score_range(keys.due, edge, "+inf", skip, count)
        page = [Cursor(ms, keys.partition, name) for name, ms in found]
        more = len(page) == count
        yield page, more
        if not more:
            return
        # The next page starts at the last instant, after the members of it that were already read.
        last = page[-1].ms
        count_at_last = sum(1 for one in page if one.ms == last)
        skip = skip + count_at_last if edge == str(last) else count_at_last
        edge, count = str(last), PAGE


def _order(cursor: Cursor) -> _Order:
    """Return the sort key of a cursor, earliest first: instant, partition, then name by bytes as in Redis."""
    return cursor.ms, cursor.partition, cursor.name.encode()
