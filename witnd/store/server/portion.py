"""How much to request from Redis in one answer, when the size of the parts is unknown.

An answer that is too large is cut off by the server's `client-output-buffer-limit`, or takes longer than anybody waits;
asked for again, it would be cut off again, for ever. So the next call asks for half, down to one.
"""

from collections.abc import Iterator
from typing import Final

import structlog

# A larger answer makes the next one smaller: the memory of both sides, and the time that the loop takes to parse it.
BYTES_MAX: Final = 8 * 1024 * 1024
# After answers that were cut off, the aim is not below this.
BYTES_LEAST: Final = 64 * 1024

log = structlog.get_logger()


class Portion:
    """`size` is the number of parts to request next. It doubles while full answers are small."""

    def __init__(self, what: str, *, first: int, most: int) -> None:
        self.size = first
        self._what = what
        self._most = most
        self._bytes = BYTES_MAX  # the largest answer aimed at

    def record_success(self, parts: int, size_bytes: int) -> None:
        """Record a complete answer."""
        # After a cut the aim rises again, and takes some 200 answers to double.
        self._bytes = min(BYTES_MAX, self._bytes + self._bytes // 256 + 1)
        if size_bytes > self._bytes:
            self.size = max(1, min(self.size, parts) * self._bytes // (2 * size_bytes))
        elif parts >= self.size and 2 * size_bytes <= self._bytes:
            self.size = min(self._most, 2 * self.size)

    def record_cut(self, reason: str) -> None:
        """Record an answer that was cut off or took too long."""
        self._bytes = max(BYTES_LEAST, self._bytes // 2)
        if self.size > 1:
            self.size //= 2
            log.warning("redis.answer_cut", what=self._what, next=self.size, reason=reason)


def ranges(lengths: dict[str, int], portion: Portion) -> Iterator[list[tuple[str, int, int]]]:
    """What to ask for together: name, place of the first item and how many, up to the portion as it is by then."""
    part: list[tuple[str, int, int]] = []
    room = portion.size
    for name, length in lengths.items():
        at = 0
        while at < length:
            many = min(room, length - at)
            part.append((name, at, many))
            at, room = at + many, room - many
            if not room:
                yield part
                part, room = [], portion.size
    if part:
        yield part
