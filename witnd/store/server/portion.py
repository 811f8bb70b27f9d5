"""Adapts how many parts to request in one answer when their size is unknown.

The server's `client-output-buffer-limit` cuts off an answer that is too large, or the answer times out. The same
request would fail again for ever, so the next call requests half as many parts, down to one.
"""

from collections.abc import Iterator
from typing import Final

import structlog

# A larger answer makes the next one smaller: it costs memory on both sides, and the event loop time to parse it.
BYTES_MAX: Final = 8 * 1024 * 1024
# The target does not fall below this after answers that were cut off.
BYTES_LEAST: Final = 64 * 1024

log = structlog.get_logger()


class Portion:
    """The number of parts to request next (`size`). It doubles while full answers are small."""

    def __init__(self, what: str, *, first: int, most: int) -> None:
        self.size = first
        self._what = what
        self._most = most
        self._bytes = BYTES_MAX  # the target for the largest answer

    def record_success(self, parts: int, size_bytes: int) -> None:
        """Record a complete answer."""
        # After a cut the target rises again; it doubles in some 200 answers.
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
            log.warning("redis.response_lost", what=self._what, next=self.size, reason=reason)


def ranges(lengths: dict[str, int], portion: Portion) -> Iterator[list[tuple[str, int, int]]]:
    """Split lists into requests of the current portion: (name, index of the first item, number of items)."""
    part: list[tuple[str, int, int]] = []
    room = portion.size
    for name, length in lengths.items():
        start = 0
        while start < length:
            count = min(room, length - start)
            part.append((name, start, count))
            start, room = start + count, room - count
            if not room:
                yield part
                part, room = [], portion.size
    if part:
        yield part
