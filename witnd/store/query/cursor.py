"""Places in lists that are ordered by an instant, and what lies behind one, over several sets and all partitions.

A place is the position of an entry, not a number of rows: what is added or goes away meanwhile neither repeats a row
nor leaves one out. Which sets a list is made of, and what its entries mean, is left to others.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple

from witnd.store.keys import Keys
from witnd.store.page import InvalidCursor
from witnd.store.query.reads import PAGE, Reads
from witnd.store.records.score import whole
from witnd.store.server.scripts import Script

_BEHIND: Final = Script("query/places_behind")
# Scores of Redis are doubles: whole numbers are exact up to here.
_MS_MAX: Final = 1 << 53
# The text of an outcome key of 255 characters, and what stands around it.
_LENGTH_MAX: Final = 2048


class Cursor(NamedTuple):
    """A member of the list, told apart by its partition and name."""

    ms: int
    partition: int
    name: str

    def __str__(self) -> str:
        """Return the text of the cursor. Any outcome key fits into an address so."""
        place = f"{self.ms}:{self.partition}:{self.name}"
        return urlsafe_b64encode(place.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str, partitions: int) -> "Cursor":
        """Read the text of a cursor. Raises InvalidCursor for what no list of so many partitions ended with."""
        try:
            if len(text) > _LENGTH_MAX:
                raise ValueError(text)
            cursor = cls._read(urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)).decode())
            if str(cursor) != text or cursor.partition >= partitions:
                raise ValueError(text)
        except ValueError:
            raise InvalidCursor(text) from None
        return cursor

    @classmethod
    def _read(cls, place: str) -> "Cursor":
        ms, partition, name = place.split(":", 2)
        if not (ms.isascii() and ms.isdigit() and partition.isascii() and partition.isdigit() and len(partition) < 7):
            raise ValueError(place)
        if len(ms) > len(str(_MS_MAX)) or int(ms) > _MS_MAX:
            raise ValueError(place)
        return cls(int(ms), int(partition), name)


def text_of_cursor(cursor: Cursor | None) -> str | None:
    """The text of a cursor, if there is one."""
    return None if cursor is None else str(cursor)


async def newest(
    reads: Reads, partitions: Sequence[tuple[Keys, Sequence[str]]], behind: Cursor | None, first: int
) -> AsyncIterator[Cursor]:
    """What lies behind a place, the newest first; within an instant by partition, then against the order of bytes.

    Of each partition: the names of its sets, no member being in two of them at one time. A member may move between them
    at any time, as long as it keeps its score. `first`: how many are likely to be wanted.
    """
    sources = [_newest_in_partition(reads, keys, sets, behind, first) for keys, sets in partitions]
    heads: list[tuple[int, int, int, Cursor]] = []
    for number, source in enumerate(sources):
        async for place in source:
            heappush(heads, (-place.ms, place.partition, number, place))
            break
    while heads:
        _, _, number, place = heappop(heads)
        yield place
        async for after in sources[number]:
            heappush(heads, (-after.ms, after.partition, number, after))
            break


async def _newest_in_partition(
    reads: Reads, keys: Keys, sets: Sequence[str], behind: Cursor | None, first: int
) -> AsyncIterator[Cursor]:
    edge = None if behind is None else _start_after(behind, keys.partition)
    count = min(first, PAGE)
    while True:
        found = await _read_after(reads, sets, edge, count)
        # A set that has more to tell has told nothing beyond its last member.
        edge = max((part[-1] for part in found if len(part) == count), default=None)
        for ms, name in sorted((one for part in found for one in part), reverse=True):
            if edge is not None and (ms, name) < edge:
                break
            yield Cursor(ms, keys.partition, name.decode())
        if edge is None:
            return
        count = min(2 * count, PAGE)


def _start_after(place: Cursor, partition: int) -> tuple[int, bytes]:
    """Where a partition goes on behind a place that may be another partition's."""
    if partition == place.partition:
        return place.ms, place.name.encode()
    # No name is before the empty one, so this is behind everything of its instant.
    return place.ms + (partition > place.partition), b""


async def _read_after(
    reads: Reads, sets: Sequence[str], edge: tuple[int, bytes] | None, count: int
) -> list[list[tuple[int, bytes]]]:
    # With its text every time: it is short, and the server may have forgotten it.
    where = () if edge is None else edge
    [answer] = await reads.pipeline(("EVAL", _BEHIND.text, len(sets), *sets, count, *where))
    return [[(whole(flat[i + 1]), flat[i]) for i in range(0, len(flat), 2)] for flat in answer]
