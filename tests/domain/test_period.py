"""Invoice periods."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from witnd.domain.values.instant import parse, render
from witnd.domain.values.period import KINDS, Calendar, KindChange

instants = st.integers(0, parse("2200-01-01T00:00:00Z"))
kinds = st.sampled_from(KINDS)


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
def test_periods_are_whole_months_weeks_from_monday_and_days_of_utc(kind: str, at: str, start: str, end: str) -> None:
    assert period(kind, at) == (f"{start}T00:00:00.000Z", f"{end}T00:00:00.000Z")


@given(start=kinds, changes=st.lists(st.tuples(instants, kinds), max_size=5), at=instants)
def test_every_instant_has_one_period_and_periods_follow_one_another(
    start: str, changes: list[tuple[int, str]], at: int
) -> None:
    calendar = Calendar.of(start)
    for now, kind in sorted(changes):
        calendar = calendar.with_kind(kind, now)
    found = calendar.period_at(at)
    assert at in found
    assert calendar.period_at(found.start) == found
    assert calendar.period_at(found.end - 1) == found
    assert calendar.period_at(found.end).start == found.end
    if found.start:
        assert calendar.period_at(found.start - 1).end == found.start


@given(start=kinds, kind=kinds, now=instants, at=instants)
def test_a_change_leaves_the_running_period_and_all_before_as_they_were(
    start: str, kind: str, now: int, at: int
) -> None:
    before = Calendar.of(start)
    after = before.with_kind(kind, now)
    running = before.period_at(now)
    assert after.period_at(now) == running
    if at < running.end:
        assert after.period_at(at) == before.period_at(at)
    else:
        assert after.period_at(at).kind == kind


def test_the_first_period_after_a_change_is_short_where_the_borders_do_not_meet() -> None:
    calendar = Calendar.of("week").with_kind("month", parse("2026-11-25T00:00:00Z"))
    found = calendar.period_at(parse("2026-11-30T00:00:00Z"))
    assert (render(found.start)[:10], render(found.end)[:10]) == ("2026-11-30", "2026-12-01")


def test_a_change_that_is_taken_back_in_time_leaves_no_trace() -> None:
    now = parse("2026-11-23T00:00:00Z")
    calendar = Calendar.of("month")
    assert calendar.with_kind("day", now).with_kind("month", now + 1000) == calendar
    assert calendar.with_kind("day", now).with_kind("week", now + 1000).turns[1:] == (
        KindChange(parse("2026-12-01T00:00:00Z"), "week"),
    )


def test_periods_agree_with_the_calendar_of_the_standard_library() -> None:
    for day in range(0, 40_000, 7):
        ms = day * 86_400_000 + 12_345
        at = datetime.fromtimestamp(ms / 1000, UTC)
        assert render(Calendar.of("month").period_at(ms).start)[:10] == f"{at:%Y-%m}-01"
        monday = Calendar.of("week").period_at(ms).start
        assert monday == 0 or datetime.fromtimestamp(monday / 1000, UTC).weekday() == 0
