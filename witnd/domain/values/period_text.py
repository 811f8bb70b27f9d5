"""Periods as a user writes them: a year, a month or a day."""

import re
from typing import Final, NamedTuple

from witnd.domain.values.local_day import DAY_MS, day_number, day_text
from witnd.domain.values.period import LONGEST_PERIOD_MS

_FORM: Final = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", re.ASCII)
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9997


class DateRange(NamedTuple):
    """Local dates from `first` on, before `after`. `is_day`: a single day was written."""

    first: str
    after: str
    is_day: bool

    def __contains__(self, date: object) -> bool:
        return isinstance(date, str) and self.first <= date < self.after

    @property
    def start_bounds(self) -> tuple[str, int]:
        """The greatest (as text) and the least start (ms) of a selected period. Local dates are up to a day away from
        those of UTC."""
        first, after = (day_number(date) * DAY_MS for date in self[:2])
        return str(after + DAY_MS), first - DAY_MS - LONGEST_PERIOD_MS

    def selects(self, first_day: str, last_day: str) -> bool:
        """Return whether a period contains the day, or begins in the year or month."""
        return first_day <= self.first <= last_day if self.is_day else first_day in self


def parse_period(text: str) -> DateRange:
    """Parse `2026`, `2026-11` or `2026-11-30`. Raises ValueError with the reason."""
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError("is not a period such as 2026, 2026-11 or 2026-11-30")
    year, month, day = form.groups()
    if not _FIRST_YEAR <= int(year) <= _LAST_YEAR:
        raise ValueError("must lie in the years 1970 to 9997")
    first = f"{year}-{month or '01'}-{day or '01'}"
    try:
        number = day_number(first)
    except ValueError:
        raise ValueError(f"has an impossible date: the calendar has no day {first}") from None
    if month is None:
        return DateRange(first, f"{int(year) + 1}-01-01", is_day=False)
    if day is None:
        months = int(year) * 12 + int(month)
        return DateRange(first, f"{months // 12}-{months % 12 + 1:02d}-01", is_day=False)
    return DateRange(first, day_text(number + 1), is_day=True)
