"""Invoice periods: half-open stretches of UTC, and which kind of them was in use when (contract section 6).

A change of kind takes effect at the end of the running period, so nothing that began as a month ends as a week. The
first period of a new kind ends at that kind's next border, and is short where the change does not fall on one.
"""

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

KINDS: Final = ("month", "week", "day")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class Period(Struct, frozen=True):
    """[start, end) in ms since 1970; what resolved in it is billed together."""

    start: int
    end: int
    kind: str

    def __contains__(self, ms: int) -> bool:
        return self.start <= ms < self.end


class Turn(Struct, frozen=True):
    """From this instant on periods are of this kind."""

    start: int
    kind: str


class Calendar(Struct, frozen=True):
    """The kinds of periods a deployment ever used, oldest first. The first turn starts at 0."""

    turns: tuple[Turn, ...]

    @classmethod
    def of(cls, kind: str) -> "Calendar":
        return cls((Turn(0, kind),))

    def period_of(self, ms: int) -> Period:
        """The period that an instant lies in."""
        place = bisect_right(self.turns, ms, key=lambda turn: turn.start) - 1
        turn = self.turns[place]
        start, end = _natural(turn.kind, ms)
        start = max(start, turn.start)
        if place + 1 < len(self.turns):
            end = min(end, self.turns[place + 1].start)
        return Period(start, end, turn.kind)

    def changed(self, kind: str, now_ms: int) -> "Calendar":
        """The calendar with periods of this kind from the end of the running one on. A change that has not come into
        effect yet is replaced."""
        past = tuple(turn for turn in self.turns if turn.start <= now_ms)
        if past[-1].kind == kind:
            return Calendar(past)
        running = Calendar(past).period_of(now_ms)
        return Calendar((*past, Turn(running.end, kind)))


def _natural(kind: str, ms: int) -> tuple[int, int]:
    """Start and end of the whole month, week (from Monday) or day that an instant lies in."""
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
