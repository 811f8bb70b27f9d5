"""Lists over all partitions in one order, and places in them at which a list can be taken up again.

A place is the position of an entry, not a number of rows: what is added or goes away meanwhile
neither repeats a row nor leaves one out.
"""

from collections.abc import AsyncIterator, Sequence
from heapq import heappop, heappush
from typing import NamedTuple, TypeAlias, TypeVar

from witnd.store.codec import FateRecord, OutcomeRecord, decode_outcome
from witnd.store.keys import Keys
from witnd.store.reads import PAGE, Reads


class Place(NamedTuple):
    """A member of the list, told apart by its partition and name."""

    ms: int
    partition: int
    name: str

    def __str__(self) -> str:
        return f"{self.ms}:{self.partition}:{self.name}"

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Raises ValueError for what no list has printed."""
        ms, partition, name = text.split(":", 2)
        return cls(int(ms), int(partition), name)


class ListedFate(NamedTuple):
    place: Place
    record: FateRecord | None


class ListedOutcome(NamedTuple):
    place: Place
    record: OutcomeRecord


_L = TypeVar("_L", ListedFate, ListedOutcome)
_Order: TypeAlias = tuple[int, int, tuple[int, ...]]


async def newest_fates(
    reads: Reads, partitions: Sequence[Keys], fates: Sequence[str], behind: Place | None
) -> AsyncIterator[ListedFate]:
    """Entries with one of these fates, newest first."""

    async def one(keys: Keys, fate: str) -> AsyncIterator[ListedFate]:
        places = _ordered(reads, keys, keys.fates_of(fate), behind, newest=True)
        async for page in places:
            records = await reads.fates_of(keys, [place.name for place in page])
            for place, record in zip(page, records, strict=True):
                yield ListedFate(place, record)

    sources = [one(keys, fate) for keys in partitions for fate in fates]
    async for listed in _merged(sources, newest=True):
        yield listed


async def earliest_due(reads: Reads, partitions: Sequence[Keys], behind: Place | None) -> AsyncIterator[ListedOutcome]:
    """Open outcomes in the order in which they are due.

    The stored set is in the order of lower bounds: an outcome's turn has come when no bound that
    is still to be read lies at or before its deadline. So every call reads from the beginning.
    """

    async def one(keys: Keys) -> AsyncIterator[ListedOutcome]:
        waiting: list[tuple[_Order, ListedOutcome]] = []
        async for page in _ordered(reads, keys, keys.due, None, newest=False):
            names = [keys.outcome(place.name) for place in page]
            records = (await reads.each(("MGET", *names)))[0] if names else []
            for place, raw in zip(page, records, strict=True):
                record = None if raw is None else decode_outcome(raw)
                if record is not None and record.processed_at is None:
                    due = place._replace(ms=record.settles_at)
                    heappush(waiting, (_order(due, newest=False), ListedOutcome(due, record)))
            while len(page) == PAGE and waiting and waiting[0][1].place.ms < page[-1].ms:
                yield heappop(waiting)[1]
        while waiting:
            yield heappop(waiting)[1]

    least = None if behind is None else _order(behind, newest=False)
    async for listed in _merged([one(keys) for keys in partitions], newest=False):
        if least is None or _order(listed.place, newest=False) > least:
            yield listed


def _order(place: Place, *, newest: bool) -> _Order:
    """What places are ordered by; within an instant by partition, then as the server orders."""
    sign = -1 if newest else 1
    # The end of a name comes before what continues it, or after it where the order is turned.
    name = tuple(sign * (byte + 1) for byte in place.name.encode())
    return sign * place.ms, place.partition, (*name, 0)


async def _ordered(
    reads: Reads, keys: Keys, zset: str, behind: Place | None, *, newest: bool
) -> AsyncIterator[list[Place]]:
    """Pages of one sorted set, from the first member behind a place."""
    end = "-inf" if newest else "+inf"
    edge = ("+inf" if newest else "-inf") if behind is None else str(behind.ms)
    least = None if behind is None else _order(behind, newest=newest)
    skip = 0
    while True:
        low, high = (end, edge) if newest else (edge, end)
        found = await reads.ranked(zset, low, high, skip, newest=newest)
        page = [Place(ms, keys.partition, name) for name, ms in found]
        yield [one for one in page if least is None or _order(one, newest=newest) > least]
        if len(page) < PAGE:
            return
        # The next page begins at the last instant seen, behind those of it that were seen already.
        last = page[-1].ms
        seen = sum(1 for one in page if one.ms == last)
        skip = skip + seen if edge == str(last) else seen
        edge = str(last)


async def _merged(sources: Sequence[AsyncIterator[_L]], *, newest: bool) -> AsyncIterator[_L]:
    heads: list[tuple[_Order, int, _L]] = []
    for number, source in enumerate(sources):
        async for first in source:
            heappush(heads, (_order(first.place, newest=newest), number, first))
            break
    while heads:
        _, number, listed = heappop(heads)
        yield listed
        async for after in sources[number]:
            heappush(heads, (_order(after.place, newest=newest), number, after))
            break
