"""Periods of all IANA zones, changes of zone and period, and hosts with different time zone data."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo
from zoneinfo._zoneinfo import ZoneInfo as PythonZone  # type: ignore[import-not-found]

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from witnd.domain.values.instant import parse, render
from witnd.domain.values.local_day import DAY_MS, day_number, find_offsets
from witnd.domain.values.period import KINDS, Calendar, Period, UndecidedPeriod, plan_calendar
from witnd.domain.values.period_text import parse_period
from witnd.zone_data import UnknownZone, load_zone, offsets_of, zone_names

HOUR_MS = 3_600_000
START, END = parse("2008-06-15T00:00:00Z"), parse("2028-06-15T00:00:00Z")
# Each has skipped or repeated local midnights, a skipped day, another offset than whole hours, or many changes.
ODD = (
    "UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "America/Sao_Paulo", "America/Havana",
    "Asia/Beirut", "Asia/Gaza", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Tehran", "Africa/Cairo", "Africa/Casablanca",
    "Australia/Lord_Howe", "Antarctica/Troll", "Pacific/Apia", "Pacific/Fakaofo", "Pacific/Chatham",
    "Pacific/Kiritimati", "Pacific/Pago_Pago", "America/Caracas", "Asia/Pyongyang", "Europe/Volgograd",
    "America/Scoresbysund",
)  # fmt: skip


def chain(calendar: Calendar, start: int, end: int) -> Iterator[Period]:
    """The periods from one instant to another, each found on its own."""
    while start < end:
        found = calendar.period_at(start)
        yield found
        start = found.end


def local_date(zone: ZoneInfo, ms: int) -> str:
    return f"{datetime.fromtimestamp(ms // 1000, zone):%Y-%m-%d}"


def first_date(kind: str, date: str) -> str:
    """The first day of the month, week or day of a date."""
    if kind == "month":
        return f"{date[:7]}-01"
    day = datetime.fromisoformat(date)
    return f"{day - timedelta(days=day.weekday() if kind == 'week' else 0):%Y-%m-%d}"


def check_zone(name: str) -> None:
    zone = load_zone(name)
    for kind in ("month", "week", "day"):
        calendar = Calendar.begin(kind, name, END, offsets_of(name))
        periods = list(chain(calendar, START, END))
        for before, after in pairwise(periods):
            assert before.end == after.start, (name, before, after)
            assert calendar.period_at(after.start - 1) == before
            assert calendar.period_at(after.end - 1) == after
            # It begins at the first instant whose local date lies in it.
            first = local_date(zone, after.start)
            assert first_date(kind, first) == first_date(kind, after.last_day), (name, after)
            assert first == after.first_day
            # No earlier instant lies in it. The clocks are never set back by more than three hours.
            for back in (1, HOUR_MS, 2 * HOUR_MS, 3 * HOUR_MS):
                earlier = local_date(zone, after.start - back)
                assert earlier < first_date(kind, first), (name, after, render(after.start - back))
        days = [day for period in periods for day in calendar.charged_days(period).days]
        assert len({day.date for day in days}) == len(days), "each local day is charged once"
        for one, following in pairwise(days):
            assert one.end == following.start


@pytest.mark.parametrize("name", ODD)
def test_each_instant_belongs_to_exactly_one_period_in_odd_zones(name: str) -> None:
    check_zone(name)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("letter", sorted({name[:4] for name in zone_names()}))
def test_each_instant_belongs_to_exactly_one_period_in_all_zones(letter: str) -> None:
    seen = set()
    for name in zone_names():
        if name.startswith(letter):
            # Many names are other names of the same zone.
            table = find_offsets(START, END, offsets_of(name))
            if table not in seen:
                seen.add(table)
                check_zone(name)


@pytest.mark.slow
def test_changes_of_an_offset_are_further_apart_than_the_steps_of_the_search() -> None:
    """The search finds all changes that the data files list, as the implementation in Python reads them."""
    for name in zone_names():
        offset_at = offsets_of(name)
        found = find_offsets(0, END, offset_at)
        assert all(after - before > 12 * HOUR_MS for before, after in pairwise(found.changes[1:])), name
        listed = [at for at in PythonZone(name)._trans_utc if 0 < at < END // 1000]  # type: ignore[attr-defined]
        changes = {at * 1000 for at in listed if offset_at(at - 1) != offset_at(at)}
        assert changes <= set(found.changes), name


# -- single zones ------------------------------------------------------------------------------------------------------


def begun(kind: str, zone: str, at: str = "2026-11-30T12:00:00Z") -> Calendar:
    return Calendar.begin(kind, zone, parse(at), offsets_of(zone))


def bounds(calendar: Calendar, at: str) -> tuple[str, str]:
    found = calendar.period_at(parse(at))
    return render(found.start)[:16], render(found.end)[:16]


@pytest.mark.parametrize(
    ("zone", "kind", "at", "start", "end"),
    [
        ("Europe/Berlin", "month", "2026-03-31T21:59:59Z", "2026-02-28T23:00", "2026-03-31T22:00"),
        ("Europe/Berlin", "day", "2026-10-25T12:00:00Z", "2026-10-24T22:00", "2026-10-25T23:00"),
        ("America/New_York", "week", "2026-11-02T04:59:59Z", "2026-10-26T04:00", "2026-11-02T05:00"),
        # Midnight was skipped: the day began at 01:00.
        ("America/Sao_Paulo", "day", "2018-11-04T12:00:00Z", "2018-11-04T03:00", "2018-11-05T02:00"),
        # Midnight came twice: the day began after the second 23:00 of the day before.
        ("America/Sao_Paulo", "day", "2018-02-17T12:00:00Z", "2018-02-17T02:00", "2018-02-18T03:00"),
        # The clocks were set back at 00:01, so the day began at the first midnight.
        ("America/St_Johns", "day", "2010-11-07T12:00:00Z", "2010-11-07T02:30", "2010-11-08T03:30"),
        # There was no 30 December.
        ("Pacific/Apia", "day", "2011-12-30T09:59:59Z", "2011-12-29T10:00", "2011-12-30T10:00"),
        ("Pacific/Apia", "day", "2011-12-30T10:00:00Z", "2011-12-30T10:00", "2011-12-31T10:00"),
        ("Pacific/Apia", "month", "2011-12-30T10:00:00Z", "2011-12-01T10:00", "2011-12-31T10:00"),
        ("Asia/Kolkata", "hour", "2026-11-30T10:45:00Z", "2026-11-30T10:00", "2026-11-30T11:00"),
    ],
)
def test_bounds_are_those_of_local_days(zone: str, kind: str, at: str, start: str, end: str) -> None:
    assert bounds(begun(kind, zone), at) == (start, end)


def test_a_skipped_day_is_not_charged() -> None:
    calendar = begun("month", "Pacific/Apia")
    days = calendar.charged_days(calendar.period_at(parse("2011-12-15T00:00:00Z")))
    assert days.natural == len(days.days) == 30
    assert "2011-12-30" not in [day.date for day in days.days]
    assert calendar.start_of("2011-12-30") == calendar.start_of("2011-12-31") == parse("2011-12-30T10:00:00Z")


def test_local_times_have_the_offset_of_their_instant() -> None:
    calendar = begun("month", "Europe/Berlin")
    offsets = calendar.rules[0].offsets
    for at in ("2026-07-01T10:15:30.250Z", "2026-12-01T10:15:30.250Z", "1971-01-01T00:00:00Z"):
        expected = datetime.fromtimestamp(parse(at) / 1000, ZoneInfo("Europe/Berlin"))
        found = offsets.local(parse(at), "Europe/Berlin")
        assert (found.isoformat(), found.tzname()) == (expected.isoformat(), "Europe/Berlin")


def test_a_period_that_is_not_decided_is_an_error() -> None:
    calendar = begun("month", "Europe/Berlin")
    assert bounds(calendar, "2026-12-31T22:59:59Z")[1] == "2026-12-31T23:00", "the period after the current one"
    for use in (lambda: calendar.period_at(calendar.until), lambda: calendar.charged_days(far(calendar))):
        with pytest.raises(UndecidedPeriod):
            use()


def far(calendar: Calendar) -> Period:
    return Period(calendar.until, calendar.until + DAY_MS, "day", "UTC", "2027-01-01", "2027-01-01")


# -- changes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "end", "days"),
    [
        # From 00:00 UTC on 1 December, five hours of November remain in New York: they belong to December.
        (("month", "UTC"), ("month", "America/New_York"), "2027-01-01T05:00", ("2026-12-01", "2026-12-31", 31)),
        (("month", "UTC"), ("month", "Europe/Berlin"), "2026-12-31T23:00", ("2026-12-01", "2026-12-31", 31)),
        (("month", "America/New_York"), ("month", "UTC"), "2027-01-01T00:00", ("2026-12-01", "2026-12-31", 31)),
        (("day", "UTC"), ("day", "America/New_York"), "2026-12-02T05:00", ("2026-12-01", "2026-12-01", 1)),
        # The rest of the first day in Berlin is shorter than 48 hours.
        (("day", "UTC"), ("day", "Europe/Berlin"), "2026-12-02T23:00", ("2026-12-01", "2026-12-02", 2)),
        # 1 December is a Tuesday: the rest of its week is long enough.
        (("month", "UTC"), ("week", "UTC"), "2026-12-07T00:00", ("2026-12-01", "2026-12-06", 6)),
        (("hour", "UTC"), ("day", "UTC"), "2026-12-02T00:00", ("2026-11-30", "2026-12-01", 2)),
    ],
)
def test_a_change_takes_effect_at_the_end_of_the_current_period(
    before: tuple[str, str], after: tuple[str, str], end: str, days: tuple[str, str, int]
) -> None:
    now = parse("2026-11-30T12:00:00Z")
    old = plan_calendar(None, *before, now, offsets_of)
    new = plan_calendar(old, *after, now, offsets_of)
    current = old.period_at(now)
    assert new.period_at(now) == current
    first = new.period_at(current.end)
    assert (render(first.end)[:16], first.kind, first.zone) == (end, *after)
    assert (first.first_day, first.last_day, len(new.charged_days(first).days)) == days


def test_a_change_that_is_undone_in_time_leaves_the_calendar_as_it_was() -> None:
    now = parse("2026-11-15T12:00:00Z")
    old = plan_calendar(None, "month", "Europe/Berlin", now, offsets_of)
    assert plan_calendar(old, "month", "Europe/Berlin", now + HOUR_MS, offsets_of) == old
    changed = plan_calendar(old, "day", "Asia/Tokyo", now, offsets_of)
    assert plan_calendar(changed, "month", "Europe/Berlin", now + HOUR_MS, offsets_of) == old


def test_a_zone_that_the_host_lacks_can_be_used_while_its_bounds_are_decided() -> None:
    now = parse("2026-11-15T12:00:00Z")
    old = plan_calendar(None, "month", "Europe/Berlin", now, offsets_of)

    def without(name: str) -> Callable[[int], int]:
        if name == "Europe/Berlin":
            raise UnknownZone(name)
        return offsets_of(name)

    new = plan_calendar(old, "month", "UTC", now, without)
    assert new.period_at(now) == old.period_at(now)
    with pytest.raises(UnknownZone):
        plan_calendar(old, "month", "Europe/Berlin", now + 60 * DAY_MS, without)


# -- hosts -------------------------------------------------------------------------------------------------------------


def test_the_stored_bound_wins_over_other_time_zone_data() -> None:
    """The second host has data in which Berlin keeps summer time from the autumn of 2026 on."""
    now = parse("2026-09-15T12:00:00Z")
    autumn = parse("2026-10-01T00:00:00Z") // 1000

    def newer(name: str) -> Callable[[int], int]:
        known = offsets_of(name)
        return lambda seconds: known(seconds) if seconds < autumn else 7200

    first = plan_calendar(None, "month", "Europe/Berlin", now, offsets_of)
    for later in (now, now + DAY_MS, parse("2026-10-31T22:59:59Z")):
        assert plan_calendar(first, "month", "Europe/Berlin", later, newer).period_at(now) == first.period_at(now)
    moved = plan_calendar(first, "month", "Europe/Berlin", parse("2026-10-15T00:00:00Z"), newer)
    # October was decided by the first host.
    assert bounds(moved, "2026-10-15T00:00:00Z") == ("2026-09-30T22:00", "2026-10-31T23:00")
    # November begins there and ends by the newer data.
    assert bounds(moved, "2026-11-15T00:00:00Z") == ("2026-10-31T23:00", "2026-11-30T22:00")


zones = st.sampled_from(ODD)
steps = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.sampled_from(("A", "B", "UTC")),
        st.integers(0, 40 * 24).map(lambda hours: hours * HOUR_MS + 1),
        st.tuples(zones, zones),  # what the host of this step takes for the zones A and B
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=100, deadline=None)
@given(steps)
def test_decided_bounds_stay_whatever_host_decides_the_next_ones(
    moves: list[tuple[str, str, int, tuple[str, str]]],
) -> None:
    now, calendar = parse("2009-11-20T00:00:00Z"), None
    decided: dict[int, Period] = {}
    for kind, zone, passed, (a, b) in moves:
        now += passed
        known = {"A": a, "B": b, "UTC": "UTC"}
        calendar = plan_calendar(calendar, kind, zone, now, lambda name, known=known: offsets_of(known[name]))  # type: ignore[misc]
        current = calendar.period_at(now)
        for start, period in decided.items():
            assert calendar.period_at(start) == period
        # The current period is decided before it begins, and so is the next one, unless the settings change.
        assert calendar.period_at(current.end).start == current.end
        decided |= {one.start: one for one in chain(calendar, now - 10 * DAY_MS, current.end)}
    assert calendar is not None
    periods = list(chain(calendar, parse("2009-10-01T00:00:00Z"), min(calendar.until, now + 90 * DAY_MS)))
    for before, after in pairwise(periods):
        assert before.end == after.start
        assert before.start < before.end
        for at in (before.start, (before.start + before.end) // 2, before.end - 1):
            assert calendar.period_at(at) == before
    days = [day for one in periods if one.kind != "hour" for day in calendar.charged_days(one).days]
    assert len({day.date for day in days}) == len(days), "each local day is charged once"


@given(st.sampled_from(ODD), st.integers(START, END))
def test_days_partition_time_and_dates_rise(zone: str, at: int) -> None:
    calendar = begun("day", zone)
    day = calendar.day_at(at)
    assert day.start <= at < day.end
    assert calendar.day_at(day.start) == calendar.day_at(day.end - 1) == day
    assert day_number(calendar.day_at(day.end).date) > day_number(day.date)
    assert calendar.start_of(day.date) == day.start


@given(st.dates(datetime(1970, 1, 1, tzinfo=UTC).date(), datetime(9997, 12, 31, tzinfo=UTC).date()))
def test_a_day_has_a_number_and_a_written_period_contains_it(day: object) -> None:
    text = str(day)
    for written in (text, text[:7], text[:4]):
        assert text in parse_period(written)


@pytest.mark.parametrize("text", ["2026-13", "2026-02-30", "26", "1969", "9998", "2026-1-1"])
def test_an_invalid_period_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse_period(text)


@pytest.mark.parametrize("name", ["", "Mars/Base", "localtime", "../etc/passwd", "Europe", "Factory"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(UnknownZone):
        load_zone(name)
