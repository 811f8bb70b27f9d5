"""Instants: milliseconds since 1970-01-01 UTC inside, ISO 8601 text outside.

Read: exactly `YYYY-MM-DDThh:mm:ss[.digits](Z|±hh:mm)` with hours up to 23, minutes and seconds up to 59, and an offset
up to 23:59. Digits after the millisecond are cut off. The instant must lie in the years 1970 to 9998 of UTC.
Written: always `YYYY-MM-DDThh:mm:ss.mmmZ`.

The grammar is checked here and not by `datetime`, which accepts other forms in other versions of Python: a stored event
must mean the same for ever.
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
# Year 9998 leaves room for a settlement period to be added without leaving what datetime can hold.
_END = (datetime(9999, 1, 1, tzinfo=UTC) - _EPOCH).days * _DAY_SECONDS


def parse(text: str) -> int:
    """Milliseconds of an instant as people and producers write it. Raises ValueError with the reason."""
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
    """Seconds from 1970 to the start of a date in UTC. Cached: most events come from a few days."""
    try:
        return (datetime(int(date[:4]), int(date[5:7]), int(date[8:]), tzinfo=UTC) - _EPOCH).days * _DAY_SECONDS
    except ValueError:
        raise ValueError(f"has an impossible date: the calendar has no day {date}") from None


def render(ms: int) -> str:
    """The instant as witnd writes it: UTC with three digits of a second."""
    return f"{_rendered(ms // 1000)}.{ms % 1000:03d}Z"


@lru_cache(maxsize=4096)
def _rendered(seconds: int) -> str:
    # What settles together shares most of its seconds, and formatting one is half the work of a resolution.
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}"
