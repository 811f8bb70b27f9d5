"""Parse a period of UTC: a year, a month or a day."""

import re
from typing import Final

from witnd.domain.values import instant
from witnd.domain.values.period import Calendar, Period

_FORM: Final = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", re.ASCII)


def parse_period(text: str) -> Period:
    """Parse `2026`, `2026-11` or `2026-11-30`. Raises ValueError with the reason."""
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError("is not a period such as 2026, 2026-11 or 2026-11-30")
    year, month, day = form.groups()
    first = instant.parse(f"{year}-{month or '01'}-{day or '01'}T00:00:00Z")
    if month is None:
        return Period(first, instant.parse(f"{int(year) + 1}-01-01T00:00:00Z"), "year")
    return Calendar.of("month" if day is None else "day").period_at(first)
