"""Instants: milliseconds since 1970-01-01 UTC inside, ISO 8601 text outside.

Read: exactly `YYYY-MM-DDThh:mm:ss[.digits](Z|±hh:mm)`, years 1970 to 9998 (as written); digits after the
millisecond are cut off.
Written: always `YYYY-MM-DDThh:mm:ss.mmmZ`.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_FORM = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.([0-9]+))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# Year 9998 leaves room for a settlement period to be added without leaving what datetime can hold.
_FIRST_YEAR, _LAST_YEAR = "1970", "9998"


def parse(text: str) -> int:
    """Milliseconds of an instant as people and producers write it. Raises ValueError with the reason."""
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError("must look like 2026-01-31T09:30:00.000Z")
    seconds, digits, zone = form.groups()
    if not _FIRST_YEAR <= seconds[:4] <= _LAST_YEAR:
        raise ValueError("must lie in the years 1970 to 9998")
    try:
        moment = datetime.fromisoformat(seconds + ("+00:00" if zone == "Z" else zone))
        at = (moment - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError) as wrong:
        raise ValueError(f"is not a real instant: {wrong}") from wrong
    if digits:
        at += int(digits[:3].ljust(3, "0"))
    return at


def render(ms: int) -> str:
    """The instant as witnd writes it: UTC with three digits of a second."""
    return f"{_rendered(ms // 1000)}.{ms % 1000:03d}Z"


@lru_cache(maxsize=4096)
def _rendered(seconds: int) -> str:
    # What settles together shares most of its seconds, and formatting one is half the work of a resolution.
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}"
