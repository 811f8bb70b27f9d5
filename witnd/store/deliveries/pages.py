"""Lists of deliveries in pages: many sorted sets, each of one partition and standing, read as one in their order.

A cursor is a place in that order, not in a set: it leads on wherever the delivery that stood there has gone.
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias, TypeVar, cast

from redis.asyncio import Redis

from witnd.store.page import InvalidCursor, Page
from witnd.store.server.connection import redis_errors

# Ids per read of one set, and rows per read: well below a millisecond of the server's time.
IDS: Final = 100
_SCORE_DIGITS: Final = 16

T = TypeVar("T")
_Scored: TypeAlias = list[tuple[bytes, float]]


class Cursor(NamedTuple):
    """Where something stands in a list: by instant (ms), then by id."""

    at: int
    id: str

    def __str__(self) -> str:
        return f"{self.at}-{self.id}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Raises InvalidCursor."""
        at, dash, id_ = text.partition("-")
        if not (dash and id_ and at.isascii() and at.isdigit() and len(at) <= _SCORE_DIGITS and id_.isascii()):
            raise InvalidCursor(text)
        return cls(int(at), id_)


class SortedSetSource(NamedTuple):
    """One sorted set, and what stands in it."""

    key: str
    partition: int
    standing: str


_Entry: TypeAlias = tuple[Cursor, SortedSetSource]


class MergedSources:
    """`newest_first`: by falling instant and id, else by rising ones."""

    def __init__(self, client: Redis, shelves: Sequence[SortedSetSource], *, newest_first: bool) -> None:
        self._client = client
        self._shelves = shelves
        self._newest_first = newest_first

    async def merged(self, after: Cursor | None) -> AsyncIterator[tuple[Cursor, SortedSetSource]]:
        """Everything behind a place, in order."""
        waiting = await self._first(after)
        first = max if self._newest_first else min
        while waiting:
            shelf = first(waiting, key=lambda one: waiting[one][0][0])
            places, more = waiting[shelf]
            place = places.popleft()
            yield place, shelf
            if not places and more:
                places, more = await self._behind(shelf.key, place)
            if places:
                waiting[shelf] = (places, more)
            else:
                del waiting[shelf]

    async def _first(self, after: Cursor | None) -> dict[SortedSetSource, tuple[deque[Cursor], bool]]:
        """The next places of each set, and whether there are more of it; those without any are left out."""
        with redis_errors():
            async with self._client.pipeline(transaction=False) as reads:
                for shelf in self._shelves:
                    self._range(reads, shelf.key, after, 0)
                answers = cast("list[_Scored]", await reads.execute())
        found = {}
        for shelf, answer in zip(self._shelves, answers, strict=True):
            places, more = self._fresh(answer, after)
            if more and not places and after is not None:
                places, more = await self._behind(shelf.key, after)
            if places:
                found[shelf] = (places, more)
        return found

    async def _behind(self, key: str, after: Cursor) -> tuple[deque[Cursor], bool]:
        """The next places of a set. Where many have one instant, those before are jumped over, and not read."""
        with redis_errors():
            places, more = self._fresh(cast("_Scored", await self._range(self._client, key, after, 0)), after)
            if more and not places:
                skipped = await self._skipped(key, after)
                places, more = self._fresh(cast("_Scored", await self._range(self._client, key, after, skipped)), after)
        return places, more

    def _range(self, client: Redis, key: str, after: Cursor | None, skip: int) -> Awaitable[object]:
        """Asks for what has the instant of a place or comes behind it."""
        start: str | int = ("+inf" if self._newest_first else "-inf") if after is None else after.at
        if self._newest_first:
            return client.zrevrangebyscore(key, start, "-inf", skip, IDS, withscores=True)
        return client.zrangebyscore(key, start, "+inf", skip, IDS, withscores=True)

    def _fresh(self, found: _Scored, after: Cursor | None) -> tuple[deque[Cursor], bool]:
        places = [Cursor(int(score), id_.decode()) for id_, score in found]
        return deque(place for place in places if after is None or self._is_behind(place, after)), len(found) == IDS

    def _is_behind(self, place: Cursor, after: Cursor) -> bool:
        return place < after if self._newest_first else place > after

    async def _skipped(self, key: str, after: Cursor) -> int:
        """How many of the instant of a place come up to and with it: found by halving, as they stand by their ids."""
        low, high = 0, await self._client.zcount(key, after.at, after.at)
        while low < high:
            middle = (low + high) // 2
            bounds = (key, after.at, after.at, middle, 1)
            if self._newest_first:
                found = await self._client.zrevrangebyscore(*bounds)
            else:
                found = await self._client.zrangebyscore(*bounds)
            if found and not self._is_behind(Cursor(after.at, cast(bytes, found[0]).decode()), after):
                low = middle + 1
            else:
                high = middle
        return low


async def page(
    entries: AsyncIterator[tuple[Cursor, SortedSetSource]],
    load: Callable[[int, Sequence[str]], Awaitable[Mapping[str, T]]],
    wanted: Callable[[SortedSetSource, T], bool],
    limit: int,
    looked_at_max: int,
) -> Page[tuple[SortedSetSource, T]]:
    """The first `limit` that are wanted of at most so many that are looked at. `load` reads ids of a partition."""
    found: list[tuple[SortedSetSource, T]] = []
    looked_at, last = 0, None
    async for batch in _batches(entries):
        rows: dict[tuple[int, str], T] = {}
        for number in {shelf.partition for _, shelf in batch}:
            loaded = await load(number, [place.id for place, shelf in batch if shelf.partition == number])
            rows |= {(number, id_): row for id_, row in loaded.items()}
        for place, shelf in batch:
            if looked_at == looked_at_max:
                return Page(found, str(last))
            row = rows.get((shelf.partition, place.id))
            if row is not None and wanted(shelf, row):
                if len(found) == limit:
                    return Page(found, str(last))
                found.append((shelf, row))
            looked_at, last = looked_at + 1, place
    return Page(found, None)


async def _batches(
    entries: AsyncIterator[tuple[Cursor, SortedSetSource]],
) -> AsyncIterator[list[tuple[Cursor, SortedSetSource]]]:
    batch: list[_Entry] = []
    async for entry in entries:
        batch.append(entry)
        if len(batch) == IDS:
            yield batch
            batch = []
    if batch:
        yield batch
