"""Invoice periods, half-open intervals of UTC, and the calendar of their kinds.

A change of kind takes effect at the end of the current period. The first period of the new kind ends at that kind's
next boundary, so it can be short.
"""

import re
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from witnd.domain.values import instant

KINDS: Final = ("month", "week", "day")

DAY_MS: Final = 86_400_000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT_FORM: Final = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", re.ASCII)
_MILLISECOND: Final = timedelta(milliseconds=1)


class Period(Struct, frozen=True):
    """An interval [start, end) in ms. Outcomes that resolve in it are billed together."""

    start: int
    end: int
    kind: str

    def __contains__(self, ms: int) -> bool:
        return self.start <= ms < self.end


class KindChange(Struct, frozen=True):
    """The instant (ms) from which periods are of this kind."""

    start: int
    kind: str


class Calendar(Struct, frozen=True):
    """All kinds of periods a deployment has used, oldest first. The first one starts at 0."""

    turns: tuple[KindChange, ...]

    @classmethod
    def of(cls, kind: str) -> "Calendar":
        return cls((KindChange(0, kind),))

    def period_at(self, ms: int) -> Period:
        """Return the period that contains an instant."""
        place = bisect_right(self.turns, ms, key=lambda turn: turn.start) - 1
        turn = self.turns[place]
        start, end = _natural_bounds(turn.kind, ms)
        start = max(start, turn.start)
        if place + 1 < len(self.turns):
            end = min(end, self.turns[place + 1].start)
        return Period(start, end, turn.kind)

    def with_kind(self, kind: str, now_ms: int) -> "Calendar":
        """Return the calendar with periods of this kind after the current one. Replaces a change that is not in
        effect yet."""
        past = tuple(turn for turn in self.turns if turn.start <= now_ms)
        if past[-1].kind == kind:
            return Calendar(past)
        running = Calendar(past).period_at(now_ms)
        return Calendar((*past, KindChange(running.end, kind)))


def _natural_bounds(kind: str, ms: int) -> tuple[int, int]:
    """Return the start and end of the full month, week (from Monday) or day that contains an instant."""
    day = (_EPOCH + timedelta(milliseconds=ms)).replace(hour=0, minute=0, second=0, microsecond=0)
    if kind == "day":
        start, end = day, day + timedelta(days=1)
    elif kind == "week":
        start = day - timedelta(days=day.weekday())
        end = start + timedelta(days=7)
    else:
        start = day.replace(day=1)
        end = (start + timedelta(days=31)).replace(day=1)
    return max(0, (start - _EPOCH) // _MILLISECOND), (end - _EPOCH) // _MILLISECOND


def natural_days(period: Period) -> int:
    """Return the days of the full month, week or day in which a period lies."""
    start, end = _natural_bounds(period.kind, period.start)
    return (end - start) // DAY_MS


def parse_period(text: str) -> Period:
    """Parse `2026`, `2026-11` or `2026-11-30`. Raises ValueError with the reason."""
    form = _TEXT_FORM.fullmatch(text)
    if form is None:
        raise ValueError("is not a period such as 2026, 2026-11 or 2026-11-30")
    year, month, day = form.groups()
    first = instant.parse(f"{year}-{month or '01'}-{day or '01'}T00:00:00Z")
    if month is None:
        return Period(first, instant.parse(f"{int(year) + 1}-01-01T00:00:00Z"), "year")
    return Calendar.of("month" if day is None else "day").period_at(first)
