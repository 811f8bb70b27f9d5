"""Instants: integers in ms since 1970-01-01 UTC, and their ISO 8601 text.

Accepted: exactly `YYYY-MM-DDThh:mm:ss[.digits](Z|±hh:mm)` with hours up to 23, minutes and seconds up to 59, and an
offset up to 23:59. Digits after the millisecond are cut off. The instant must lie in the years 1970 to 9998 of UTC.
Written: always `YYYY-MM-DDThh:mm:ss.mmmZ`.

The syntax is not left to `datetime`, because other versions of Python accept other forms and a stored event must
always mean the same.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_FORM = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_SECONDS = 86_400
# An instant plus a settlement period must still fit into datetime.
_END = (datetime(9999, 1, 1, tzinfo=UTC) - _EPOCH).days * _DAY_SECONDS


def parse(text: str) -> int:
    """Return the milliseconds of an instant. Raises ValueError with the reason."""
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError("must look like 2026-01-31T09:30:00.000Z")
    date, hour, minute, second, digits, sign, zone_hour, zone_minute = form.groups()
    if hour > "23" or minute > "59" or second > "59":
        raise ValueError("has an impossible time of day; hours end at 23, minutes and seconds at 59")
    seconds = _day(date) + int(hour) * 3600 + int(minute) * 60 + int(second)
    if sign is not None:
        if zone_hour > "23" or zone_minute > "59":
            raise ValueError("has an impossible offset; offsets are from -23:59 to +23:59")
        offset = int(zone_hour) * 3600 + int(zone_minute) * 60
        seconds += offset if sign == "-" else -offset
    if not 0 <= seconds < _END:
        raise ValueError("must lie in the years 1970 to 9998")
    return seconds * 1000 + (int(digits[:3].ljust(3, "0")) if digits else 0)


@lru_cache(maxsize=1024)
def _day(date: str) -> int:
    """Return the seconds from 1970 to the start of a UTC date. Cached, because most events come from a few days."""
    try:
        return (datetime(int(date[:4]), int(date[5:7]), int(date[8:]), tzinfo=UTC) - _EPOCH).days * _DAY_SECONDS
    except ValueError:
        raise ValueError(f"has an impossible date: the calendar has no day {date}") from None


def optional(ms: int | None) -> str | None:
    """Return the instant as text, or None."""
    return None if ms is None else render(ms)


def render(ms: int) -> str:
    """Return the instant as text in UTC with milliseconds."""
    return f"{_render_seconds(ms // 1000)}.{ms % 1000:03d}Z"


@lru_cache(maxsize=4096)
def _render_seconds(seconds: int) -> str:
    # Cached: formatting is half the work of a resolution, and outcomes that settle together share most seconds.
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}"
