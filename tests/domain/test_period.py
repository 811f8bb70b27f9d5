"""Invoice periods of UTC, and changes of their kind."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from witnd.domain.values.instant import parse, render
from witnd.domain.values.period import CHANGE_AHEAD_MS, KINDS, SHORTEST_REST_MS, Calendar

instants = st.integers(0, parse("2200-01-01T00:00:00Z"))
kinds = st.sampled_from(KINDS)


def utc(_seconds: int) -> int:
    return 0


def period(kind: str, at: str) -> tuple[str, str]:
    found = Calendar.of(kind).period_at(parse(at))
    return render(found.start), render(found.end)


@pytest.mark.parametrize(
    ("kind", "at", "start", "end"),
    [
        ("month", "2024-02-29T23:59:59.999Z", "2024-02-01", "2024-03-01"),
        ("month", "2024-03-01T00:00:00.000Z", "2024-03-01", "2024-04-01"),
        ("month", "2026-12-31T12:00:00Z", "2026-12-01", "2027-01-01"),
        ("week", "2026-11-22T23:59:59.999Z", "2026-11-16", "2026-11-23"),
        ("week", "2026-11-23T00:00:00Z", "2026-11-23", "2026-11-30"),
        ("week", "1970-01-02T00:00:00Z", "1970-01-01", "1970-01-05"),
        ("day", "2026-03-29T02:30:00+02:00", "2026-03-29", "2026-03-30"),
    ],
)
def test_periods_are_whole_months_weeks_from_monday_and_days(kind: str, at: str, start: str, end: str) -> None:
    assert period(kind, at) == (f"{start}T00:00:00.000Z", f"{end}T00:00:00.000Z")


def test_hours_are_those_of_utc() -> None:
    assert period("hour", "2026-11-30T10:59:59.999Z") == ("2026-11-30T10:00:00.000Z", "2026-11-30T11:00:00.000Z")


@given(start=kinds, changes=st.lists(st.tuples(instants, kinds), max_size=5), at=instants)
def test_every_instant_has_one_period_and_periods_follow_one_another(
    start: str, changes: list[tuple[int, str]], at: int
) -> None:
    calendar = Calendar.of(start)
    for now, kind in sorted(changes):
        calendar = calendar.with_rule(kind, "UTC", now, utc)
    found = calendar.period_at(at)
    assert at in found
    assert calendar.period_at(found.start) == found
    assert calendar.period_at(found.end - 1) == found
    assert calendar.period_at(found.end).start == found.end
    if found.start:
        assert calendar.period_at(found.start - 1).end == found.start


@given(start=kinds, kind=kinds, now=instants, at=instants)
def test_a_change_leaves_the_current_period_and_all_before_as_they_were(
    start: str, kind: str, now: int, at: int
) -> None:
    before = Calendar.of(start)
    after = before.with_rule(kind, "UTC", now, utc)
    current = before.period_at(now + CHANGE_AHEAD_MS)
    assert after.period_at(now) == before.period_at(now)
    if at < current.end:
        assert after.period_at(at) == before.period_at(at)
    else:
        assert after.period_at(at).kind == kind


def test_the_first_period_after_a_change_is_short_where_the_bounds_do_not_meet() -> None:
    calendar = Calendar.of("month").with_rule("week", "UTC", parse("2026-10-25T00:00:00Z"), utc)
    found = calendar.period_at(parse("2026-11-01T00:00:00Z"))
    # Sunday is a rest of less than 48 hours.
    assert (found.first_day, found.last_day) == ("2026-11-01", "2026-11-08")
    calendar = Calendar.of("month").with_rule("week", "UTC", parse("2026-11-25T00:00:00Z"), utc)
    found = calendar.period_at(parse("2026-12-01T00:00:00Z"))
    assert (found.first_day, found.last_day) == ("2026-12-01", "2026-12-06")


@given(start=kinds, kind=kinds, now=instants)
def test_a_period_after_a_change_is_natural_or_at_least_48_hours_long(start: str, kind: str, now: int) -> None:
    calendar = Calendar.of(start).with_rule(kind, "UTC", now, utc)
    first = calendar.period_at(calendar.rules[-1].start)
    natural = Calendar.of(kind).period_at(first.start)
    assert (
        (first.start, first.end) == (natural.start, natural.end)
        or first.end - first.start >= SHORTEST_REST_MS
        or (kind in ("hour", "day"))
    )


def test_a_change_that_is_taken_back_in_time_leaves_no_trace() -> None:
    now = parse("2026-11-23T00:00:00Z")
    calendar = Calendar.of("month")
    assert calendar.with_rule("day", "UTC", now, utc).with_rule("month", "UTC", now + 1000, utc) == calendar
    weeks = calendar.with_rule("day", "UTC", now, utc).with_rule("week", "UTC", now + 1000, utc)
    assert [(render(rule.start), rule.kind) for rule in weeks.rules[1:]] == [("2026-12-01T00:00:00.000Z", "week")]


def test_periods_agree_with_the_calendar_of_the_standard_library() -> None:
    for day in range(0, 40_000, 7):
        ms = day * 86_400_000 + 12_345
        at = datetime.fromtimestamp(ms / 1000, UTC)
        month = Calendar.of("month").period_at(ms)
        assert month.first_day == render(month.start)[:10] == f"{at:%Y-%m}-01"
        monday = Calendar.of("week").period_at(ms).start
        assert monday == 0 or datetime.fromtimestamp(monday / 1000, UTC).weekday() == 0
