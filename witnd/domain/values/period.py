"""Invoice periods, half-open intervals of time, and the stored calendar that determines their bounds.

A period begins at the first instant whose local date lies in it. The calendar stores the rules, each a kind of period
and a time zone, with the UTC offsets that were known when its periods were decided. So a bound is decided once, before
the period begins, and is the same on hosts with other time zone data.

A new rule takes effect at the end of the running period. If less than 48 hours remain from there to the first bound of
the new rule, they belong to the period after that bound.
"""

from bisect import bisect_right
from collections.abc import Callable
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from witnd.domain.values.local_day import (
    DAY_MS,
    UTC_OFFSETS,
    LocalDay,
    OffsetAt,
    ZoneOffsets,
    day_number,
    day_text,
    find_offsets,
)

KINDS: Final = ("month", "week", "day", "hour")
HOUR: Final = "hour"
UTC: Final = "UTC"

HOUR_MS: Final = 3_600_000
# Shorter remainders of a period join the next one.
SHORTEST_REST_MS: Final = 48 * HOUR_MS
# The longest period is a month with such a remainder, and a clock that was set back.
LONGEST_PERIOD_MS: Final = 35 * DAY_MS
# A change is written at least this long before it takes effect, so that every program has read it by then.
CHANGE_AHEAD_MS: Final = 30_000
# The end of the year 9998: everything is decided in UTC.
FOREVER: Final = 253_370_764_800_000
# 1970-01-01 was a Thursday.
_WEEKDAY_OF_EPOCH: Final = 3


class UndecidedPeriod(LookupError):  # noqa: N818 - an expected state, not a bug
    """The bounds of the period at an instant are not decided yet."""


class Period(Struct, frozen=True):
    """An interval [start, end) in ms. Outcomes that resolve in it are billed together.

    `zone`: the IANA name of the time zone of its days. `first_day` and `last_day`: local dates such as 2026-11-30.
    """

    start: int
    end: int
    kind: str
    zone: str
    first_day: str
    last_day: str

    def __contains__(self, ms: int) -> bool:
        return self.start <= ms < self.end


#: A period without instants.
NO_PERIOD: Final = Period(0, 0, "", UTC, "", "")


class Rule(Struct, frozen=True):
    """The kind and the time zone of all periods from an instant (ms) on.

    Its offsets are decided up to and including `until`, which is the end of a period. `first_day`: the number of its
    first local day; the days before have ended under the rule before.
    """

    start: int
    kind: str
    zone: str
    until: int
    offsets: ZoneOffsets
    first_day: int

    def period_at(self, ms: int) -> tuple[int, int]:
        """Return the bounds of the period that contains an instant."""
        start, end = self._natural_bounds(ms)
        if start < self.start:
            start = self.start
            if end - start < SHORTEST_REST_MS:
                end = self._natural_bounds(end)[1]
        elif start > self.start:
            rest, bound = self._natural_bounds(self.start)
            if rest < self.start and bound == start and bound - self.start < SHORTEST_REST_MS:
                start = self.start
        return start, end

    def day_at(self, ms: int) -> int:
        """Return the number of the local day of an instant."""
        return max(self.first_day, self.offsets.day_at(ms))

    def unit_at(self, ms: int) -> tuple[int, int]:
        """Return the first day of the month, week or day of an instant, and the first day after it."""
        return _unit(self.kind, self.offsets.day_at(ms))

    def _natural_bounds(self, ms: int) -> tuple[int, int]:
        """Return the start and end of the full month, week (from Monday), day or UTC hour that contains an instant."""
        if self.kind == HOUR:
            start = ms - ms % HOUR_MS
            return start, start + HOUR_MS
        first, after = self.unit_at(ms)
        return self.offsets.start_of(first), self.offsets.start_of(after)


class ChargedDays(NamedTuple):
    """The days of a period, and how many the full month, week or day has."""

    days: tuple[LocalDay, ...]
    natural: int


class Calendar(Struct, frozen=True):
    """All rules that a deployment has used, oldest first. The first one starts at 0."""

    rules: tuple[Rule, ...]

    @classmethod
    def of(cls, kind: str) -> "Calendar":
        """Return a calendar of UTC, which is decided for all time."""
        return cls((Rule(0, kind, UTC, FOREVER, UTC_OFFSETS, 0),))

    @classmethod
    def begin(cls, kind: str, zone: str, now_ms: int, offset_at: OffsetAt) -> "Calendar":
        """Return a new calendar. It decides all past periods since 1970, those at an instant, and the next one."""
        if zone == UTC:
            return cls.of(kind)
        return cls((_first_rule(0, kind, zone, 0, offset_at),)).decided(now_ms, offset_at)

    @property
    def until(self) -> int:
        """The end of the last period (ms) whose bounds are decided."""
        return self.rules[-1].until

    def rule_at(self, ms: int) -> Rule:
        """Return the rule of an instant."""
        return self.rules[max(0, bisect_right(self.rules, ms, key=lambda rule: rule.start) - 1)]

    def period_at(self, ms: int) -> Period:
        """Return the period that contains an instant. Raises UndecidedPeriod."""
        if ms >= self.until:
            raise UndecidedPeriod(ms)
        place = max(0, bisect_right(self.rules, ms, key=lambda rule: rule.start) - 1)
        rule = self.rules[place]
        start, end = rule.period_at(ms)
        if place + 1 < len(self.rules):
            end = min(end, self.rules[place + 1].start)
        start = max(start, 0)
        return Period(start, end, rule.kind, rule.zone, day_text(rule.day_at(start)), day_text(rule.day_at(end - 1)))

    # -- local days ----------------------------------------------------------------------------------------------------

    def day_at(self, ms: int) -> LocalDay:
        """Return the local day of an instant. After `until`, it is calculated with the last known offset."""
        rule = self.rule_at(ms)
        day = rule.day_at(ms)
        start = rule.start if day == rule.first_day else max(rule.start, rule.offsets.start_of(day))
        end = rule.offsets.start_of(day + 1)
        after = next((one.start for one in self.rules if one.start > ms), None)
        return LocalDay(day_text(day), start, end if after is None else min(end, after))

    def start_of(self, date: str) -> int:
        """Return the first instant (ms) of a local date, or of the next one if it was skipped."""
        day = day_number(date)
        for rule, after in zip(self.rules, [*(one.start for one in self.rules[1:]), None], strict=True):
            start = rule.start if day <= rule.first_day else max(rule.start, rule.offsets.start_of(day))
            if after is None or start < after:
                return start
        raise AssertionError(date)  # the last rule has no end

    def charged_days(self, period: Period) -> ChargedDays:
        """Return the days that end in a period. Raises UndecidedPeriod."""
        if period.end > self.until:
            raise UndecidedPeriod(period.end)
        rule = self.rule_at(period.start)
        days: list[LocalDay] = []
        at = period.start
        while at < period.end:
            day = self.day_at(at)
            if day.end <= period.end:
                days.append(day)
            at = day.end
        first, after = rule.unit_at(period.end - 1)
        natural = sum(1 for day in range(first, after) if rule.offsets.has_day(day))
        return ChargedDays(tuple(days), natural)

    # -- decisions -----------------------------------------------------------------------------------------------------

    def with_rule(self, kind: str, zone: str, now_ms: int, offset_at: OffsetAt) -> "Calendar":
        """Return the calendar with this kind and zone after the current period, which must be decided. A change that
        is not in effect yet is replaced."""
        now_ms += CHANGE_AHEAD_MS
        past = tuple(rule for rule in self.rules if rule.start <= now_ms)
        last = past[-1]
        if (last.kind, last.zone) == (kind, zone):
            return Calendar(past)
        start = Calendar(past).period_at(now_ms).end
        return Calendar((*past, _first_rule(start, kind, zone, last.day_at(start), offset_at)))

    def decided(self, now_ms: int, offset_at: OffsetAt) -> "Calendar":
        """Return the calendar with the bounds of the period at an instant and of the next one. `offset_at` is that of
        the last rule's zone.

        What is decided stays. If the offset at its end has changed, a new rule starts there.
        """
        last, found = self.rules[-1], self
        if last.zone == UTC or self._next_end(now_ms) is not None:
            return self
        if last.until and last.offsets.offset_at(last.until) != offset_at(last.until // 1000):
            last = _first_rule(last.until, last.kind, last.zone, last.day_at(last.until), offset_at)
            found = Calendar((*self.rules, last))
        # Two periods, of which the first may include a remainder.
        horizon = max(now_ms, last.until, last.start) + 3 * LONGEST_PERIOD_MS
        offsets = last.offsets.extended(last.until, horizon, offset_at)
        longer = found._with_last(replace(last, until=horizon, offsets=offsets))
        next_end = longer._next_end(max(now_ms, last.start))
        assert next_end is not None, (now_ms, longer)
        return longer._with_last(replace(last, until=next_end, offsets=offsets.until(next_end)))

    def _with_last(self, rule: Rule) -> "Calendar":
        return Calendar((*self.rules[:-1], rule))

    def _next_end(self, now_ms: int) -> int | None:
        """Return the end of the period after the one at an instant, or None if that is not decided."""
        try:
            return self.period_at(self.period_at(now_ms).end).end
        except UndecidedPeriod:
            return None


def plan_calendar(
    calendar: Calendar | None, kind: str, zone: str, now_ms: int, offsets_of: Callable[[str], OffsetAt]
) -> Calendar:
    """Return the calendar that decides the period at an instant and the next one, with periods of this kind and zone
    after the current one. None: there is none yet. `offsets_of` returns the offsets of a zone that must be looked up.
    """

    def offset_at(name: str) -> OffsetAt:
        # The host may not have a zone whose offsets are decided already.
        return lambda seconds: offsets_of(name)(seconds)  # noqa: PLW0108

    if calendar is None:
        return Calendar.begin(kind, zone, now_ms, offset_at(zone))
    known = calendar.decided(now_ms + CHANGE_AHEAD_MS, offset_at(calendar.rules[-1].zone))
    return known.with_rule(kind, zone, now_ms, offset_at(zone)).decided(now_ms, offset_at(zone))


def _first_rule(start: int, kind: str, zone: str, first_day: int, offset_at: OffsetAt) -> Rule:
    """Return a rule that has decided no period yet, with the offsets since the longest period before its start."""
    if zone == UTC:
        return Rule(start, kind, UTC, FOREVER, UTC_OFFSETS, first_day)
    since = max(0, start - LONGEST_PERIOD_MS)
    return Rule(start, kind, zone, start, find_offsets(since, start, offset_at), first_day)


def _unit(kind: str, day: int) -> tuple[int, int]:
    """Return the first day of the month, week or day that contains a day, and the first day after it."""
    if kind == "week":
        monday = day - (day + _WEEKDAY_OF_EPOCH) % 7
        return monday, monday + 7
    if kind == "month":
        month = day_text(day)[:7]
        first = day_number(f"{month}-01")
        year, number = divmod(int(month[:4]) * 12 + int(month[5:]), 12)
        return first, day_number(f"{year:04d}-{number + 1:02d}-01")
    return day, day + 1
