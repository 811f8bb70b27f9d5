"""Pages of deliveries, merged from many sorted sets: one set for each outbox and standing.

A cursor is a position in the merged order, not in a set, so it stays valid when its delivery moves to another set.
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
    """A position in the merged order: instant (ms), then id."""

    at: int
    id: str

    def __str__(self) -> str:
        return f"{self.at}-{self.id}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Return the cursor that `str` wrote. Raises InvalidCursor."""
        at, dash, id_ = text.partition("-")
        if not (dash and id_ and at.isascii() and at.isdigit() and len(at) <= _SCORE_DIGITS and id_.isascii()):
            raise InvalidCursor(text)
        return cls(int(at), id_)


class SortedSetSource(NamedTuple):
    """A sorted set with deliveries of one outbox and standing. `outbox`: the place of the outbox among all of them."""

    key: str
    outbox: int
    standing: str


_Entry: TypeAlias = tuple[Cursor, SortedSetSource]


class MergedSources:
    """Several sorted sets, read as one list: by falling instant and id (`newest_first`), or by rising ones."""

    def __init__(self, client: Redis, sources: Sequence[SortedSetSource], *, newest_first: bool) -> None:
        self._client = client
        self._sources = sources
        self._newest_first = newest_first

    async def entries(self, after: Cursor | None) -> AsyncIterator[_Entry]:
        """Iterate over all entries after a position, in order."""
        pages = await self._first_pages(after)
        first = max if self._newest_first else min
        while pages:
            source = first(pages, key=lambda one: pages[one][0][0])
            cursors, has_more = pages[source]
            cursor = cursors.popleft()
            yield cursor, source
            if not cursors and has_more:
                cursors, has_more = await self._next_page(source.key, cursor)
            if cursors:
                pages[source] = (cursors, has_more)
            else:
                del pages[source]

    async def _first_pages(self, after: Cursor | None) -> dict[SortedSetSource, tuple[deque[Cursor], bool]]:
        """Return the first page of each set, and whether the set has more. Leave out sets without entries."""
        with redis_errors():
            async with self._client.pipeline(transaction=False) as reads:
                for source in self._sources:
                    self._range(reads, source.key, after, 0)
                answers = cast("list[_Scored]", await reads.execute())
        found = {}
        for source, answer in zip(self._sources, answers, strict=True):
            cursors, has_more = self._later(answer, after)
            if has_more and not cursors and after is not None:
                cursors, has_more = await self._next_page(source.key, after)
            if cursors:
                found[source] = (cursors, has_more)
        return found

    async def _next_page(self, key: str, after: Cursor) -> tuple[deque[Cursor], bool]:
        """Return the next page of a set. If many members share one instant, skip the earlier ones without reading."""
        with redis_errors():
            page = cast("_Scored", await self._range(self._client, key, after, 0))
            cursors, has_more = self._later(page, after)
            if has_more and not cursors:
                rank = await self._rank_after(key, after)
                page = cast("_Scored", await self._range(self._client, key, after, rank))
                cursors, has_more = self._later(page, after)
        return cursors, has_more

    def _range(self, client: Redis, key: str, after: Cursor | None, skip: int) -> Awaitable[object]:
        """Request members from the instant of a position on."""
        start: str | int = ("+inf" if self._newest_first else "-inf") if after is None else after.at
        if self._newest_first:
            return client.zrevrangebyscore(key, start, "-inf", skip, IDS, withscores=True)
        return client.zrangebyscore(key, start, "+inf", skip, IDS, withscores=True)

    def _later(self, page: _Scored, after: Cursor | None) -> tuple[deque[Cursor], bool]:
        """Return the members of a page after a position, and whether the set may have more."""
        cursors = [Cursor(int(score), id_.decode()) for id_, score in page]
        return deque(one for one in cursors if after is None or self._is_after(one, after)), len(page) == IDS

    def _is_after(self, cursor: Cursor, after: Cursor) -> bool:
        return cursor < after if self._newest_first else cursor > after

    async def _rank_after(self, key: str, after: Cursor) -> int:
        """Count the members of the position's instant up to the position, by bisection: they are sorted by id."""
        low, high = 0, await self._client.zcount(key, after.at, after.at)
        while low < high:
            middle = (low + high) // 2
            bounds = (key, after.at, after.at, middle, 1)
            if self._newest_first:
                found = await self._client.zrevrangebyscore(*bounds)
            else:
                found = await self._client.zrangebyscore(*bounds)
            if found and not self._is_after(Cursor(after.at, cast(bytes, found[0]).decode()), after):
                low = middle + 1
            else:
                high = middle
        return low


async def page(
    entries: AsyncIterator[_Entry],
    load: Callable[[int, Sequence[str]], Awaitable[Mapping[str, T]]],
    matches: Callable[[SortedSetSource, T], bool],
    limit: int,
    looked_at_max: int,
) -> Page[tuple[SortedSetSource, T]]:
    """Return up to `limit` entries that match, after at most `looked_at_max`. `load` reads ids of an outbox."""
    found: list[tuple[SortedSetSource, T]] = []
    looked_at, last = 0, None
    async for batch in _batches(entries):
        rows: dict[tuple[int, str], T] = {}
        for number in {source.outbox for _, source in batch}:
            loaded = await load(number, [cursor.id for cursor, source in batch if source.outbox == number])
            rows |= {(number, id_): row for id_, row in loaded.items()}
        for cursor, source in batch:
            if looked_at == looked_at_max:
                return Page(found, str(last))
            row = rows.get((source.outbox, cursor.id))
            if row is not None and matches(source, row):
                if len(found) == limit:
                    return Page(found, str(last))
                found.append((source, row))
            looked_at, last = looked_at + 1, cursor
    return Page(found, None)


async def _batches(entries: AsyncIterator[_Entry]) -> AsyncIterator[list[_Entry]]:
    batch: list[_Entry] = []
    async for entry in entries:
        batch.append(entry)
        if len(batch) == IDS:
            yield batch
            batch = []
    if batch:
        yield batch
