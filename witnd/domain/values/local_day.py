"""Local days of a time zone, calculated from a stored table of its UTC offsets.

The table is the only source: hosts with other time zone data calculate the same days from it. A local day begins at
the first instant whose local date is that day or a later one. So days partition time: an hour that is repeated at
midnight belongs to the later day, and a day that the zone skipped has no instant.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final, NamedTuple

from msgspec import Struct

DAY_MS: Final = 86_400_000
# No offset from UTC has ever been larger than 15 h 14 min.
LARGEST_OFFSET_MS: Final = 16 * 3_600_000
# Changes of an offset that are closer than this could be overlooked. In the IANA data since 1970, all are further
# apart; a test checks it.
_STEP_SECONDS: Final = 6 * 3600
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()

#: Returns the UTC offset (s, positive east of Greenwich) of a zone at an instant (s since 1970).
OffsetAt = Callable[[int], int]


class LocalDay(NamedTuple):
    """A local day: its date such as 2026-11-30, its first instant (ms), and the first instant after it."""

    date: str
    start: int
    end: int


class ZoneOffsets(Struct, frozen=True):
    """The UTC offsets (s) of a zone from instants (ms) on. The first one also applies before."""

    changes: tuple[int, ...]
    offsets: tuple[int, ...]

    def offset_at(self, ms: int) -> int:
        """Return the UTC offset (s) at an instant."""
        return self.offsets[max(0, bisect_right(self.changes, ms) - 1)]

    def local(self, ms: int, zone: str) -> datetime:
        """Return the local time of an instant. `zone` becomes the name of its time zone."""
        offset = timedelta(seconds=self.offset_at(ms))
        return datetime(1970, 1, 1, tzinfo=timezone(offset, zone)) + timedelta(milliseconds=ms) + offset

    def start_of(self, day: int) -> int:
        """Return the first instant (ms) whose local date is a day or a later one. Days are numbered from 1970-01-01."""
        at = day * DAY_MS
        place = max(0, bisect_right(self.changes, at - LARGEST_OFFSET_MS) - 1)
        while True:
            start = at - self.offsets[place] * 1000
            if place:
                start = max(start, self.changes[place])
            place += 1
            if place == len(self.changes) or start < self.changes[place]:
                return start

    def day_at(self, ms: int) -> int:
        """Return the number of the local day that an instant belongs to."""
        day = (ms + self.offset_at(ms) * 1000) // DAY_MS
        while self.start_of(day + 1) <= ms:
            day += 1  # the clocks were set back past midnight
        return day

    def has_day(self, day: int) -> bool:
        """Return whether the zone did not skip a day."""
        return self.start_of(day) < self.start_of(day + 1)

    def until(self, end: int) -> "ZoneOffsets":
        """Return the offsets up to and including an instant."""
        count = bisect_right(self.changes, end)
        return ZoneOffsets(self.changes[:count], self.offsets[:count])

    def extended(self, start: int, end: int, offset_at: OffsetAt) -> "ZoneOffsets":
        """Return the offsets up to and including `start` (ms), followed by those of a zone up to `end`."""
        kept = self.until(start)
        new = find_offsets(start, end, offset_at)
        return ZoneOffsets(kept.changes + new.changes[1:], kept.offsets + new.offsets[1:])


UTC_OFFSETS: Final = ZoneOffsets((0,), (0,))


def find_offsets(start: int, end: int, offset_at: OffsetAt) -> ZoneOffsets:
    """Return the offsets of a zone from `start` (ms) up to and including `end`. They change at whole seconds."""
    changes, offsets = [start], [offset_at(start // 1000)]
    last = -(-end // 1000)
    at = start // 1000
    while at < last:
        step = min(at + _STEP_SECONDS, last)
        while (new := offset_at(step)) != offsets[-1]:
            # Several changes in one step are found one after another.
            before = offsets[-1]
            place = at + 1 + bisect_left(range(at + 1, step), 1, key=lambda one: int(offset_at(one) != before))
            changes.append(place * 1000)
            offsets.append(offset_at(place))
            at = place
            if offsets[-1] == new:
                break
        at = step
    return ZoneOffsets(tuple(changes), tuple(offsets))


@lru_cache(maxsize=4096)
def day_text(day: int) -> str:
    """Return the date of a day, such as 2026-11-30."""
    return date.fromordinal(day + _EPOCH_ORDINAL).isoformat()


@lru_cache(maxsize=4096)
def day_number(text: str) -> int:
    """Return the number of a date such as 2026-11-30. Raises ValueError."""
    found = date.fromisoformat(text)
    if found.isoformat() != text:
        raise ValueError("is not a date such as 2026-11-30")
    return found.toordinal() - _EPOCH_ORDINAL
