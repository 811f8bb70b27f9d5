"""Merges sorted sets of all partitions into one list, newest first, from a cursor on.

A cursor is the position of an entry, not an offset, so added or removed entries neither repeat a row nor skip one.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple

from witnd.store.keys import Keys
from witnd.store.page import InvalidCursor
from witnd.store.query.reads import PAGE, Reads
from witnd.store.records.score import score_to_int
from witnd.store.server.scripts import Script

_AFTER: Final = Script("query/members_after")
# Scores of Redis are doubles: whole numbers are exact up to here.
_MS_MAX: Final = 1 << 53
# Enough for an outcome key of 255 characters.
_LENGTH_MAX: Final = 2048


class Cursor(NamedTuple):
    """The position of an entry: its instant, partition and name."""

    ms: int
    partition: int
    name: str

    def __str__(self) -> str:
        """Return the text of the cursor, which is safe in a URL for any outcome key."""
        position = f"{self.ms}:{self.partition}:{self.name}"
        return urlsafe_b64encode(position.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str, partitions: int) -> "Cursor":
        """Return the cursor that `str` wrote. Raises InvalidCursor if it is not one, or not of `partitions`."""
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
    def _read(cls, position: str) -> "Cursor":
        ms, partition, name = position.split(":", 2)
        if not (ms.isascii() and ms.isdigit() and partition.isascii() and partition.isdigit() and len(partition) < 7):
            raise ValueError(position)
        if len(ms) > len(str(_MS_MAX)) or int(ms) > _MS_MAX:
            raise ValueError(position)
        return cls(int(ms), int(partition), name)


def text_of_cursor(cursor: Cursor | None) -> str | None:
    """Return the text of a cursor, or None."""
    return None if cursor is None else str(cursor)


async def newest(
    reads: Reads, partitions: Sequence[tuple[Keys, Sequence[str]]], after: Cursor | None, first: int
) -> AsyncIterator[Cursor]:
    """Iterate over the entries after a cursor, newest first; within an instant by partition, then by name, descending.

    `partitions` has the sets of each partition. A member must not be in two of them. It may move between them at any
    time if it keeps its score. `first`: how many entries the caller probably needs.
    """
    sources = [_newest_in_partition(reads, keys, sets, after, first) for keys, sets in partitions]
    heads: list[tuple[int, int, int, Cursor]] = []
    for number, source in enumerate(sources):
        async for entry in source:
            heappush(heads, (-entry.ms, entry.partition, number, entry))
            break
    while heads:
        _, _, number, entry = heappop(heads)
        yield entry
        async for following in sources[number]:
            heappush(heads, (-following.ms, following.partition, number, following))
            break


async def _newest_in_partition(
    reads: Reads, keys: Keys, sets: Sequence[str], after: Cursor | None, first: int
) -> AsyncIterator[Cursor]:
    edge = None if after is None else _start_after(after, keys.partition)
    count = min(first, PAGE)
    while True:
        found = await _read_after(reads, sets, edge, count)
        # If a set may have more members, those after its last one are unknown.
        edge = max((part[-1] for part in found if len(part) == count), default=None)
        for ms, name in sorted((member for part in found for member in part), reverse=True):
            if edge is not None and (ms, name) < edge:
                break
            yield Cursor(ms, keys.partition, name.decode())
        if edge is None:
            return
        count = min(2 * count, PAGE)


def _start_after(cursor: Cursor, partition: int) -> tuple[int, bytes]:
    """Return the start in a partition for a cursor that may be in another partition."""
    if partition == cursor.partition:
        return cursor.ms, cursor.name.encode()
    # No name is smaller than the empty one, so this start is after all members of its instant.
    return cursor.ms + (partition > cursor.partition), b""


async def _read_after(
    reads: Reads, sets: Sequence[str], edge: tuple[int, bytes] | None, count: int
) -> list[list[tuple[int, bytes]]]:
    # EVAL, not EVALSHA: the script is short, and the server may have lost its cache.
    start = () if edge is None else edge
    [answer] = await reads.pipeline(("EVAL", _AFTER.text, len(sets), *sets, count, *start))
    return [[(score_to_int(flat[i + 1]), flat[i]) for i in range(0, len(flat), 2)] for flat in answer]
