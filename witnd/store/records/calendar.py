"""The stored calendar of periods: a JSON field of the biller's state, so that a person can read it."""

from functools import lru_cache
from typing import Final

import msgspec

from witnd.domain.values.period import Calendar

FIELD: Final = "calendar"

_decode = msgspec.json.Decoder(Calendar).decode
# Where no daemon has made invoices yet.
_FIRST: Final = Calendar.of("month")


def encode_calendar(calendar: Calendar) -> bytes:
    """Return the stored form."""
    return msgspec.json.encode(calendar)


@lru_cache(maxsize=8)
def decode_calendar(raw: bytes) -> Calendar:
    """Return a stored calendar. Raises `msgspec.MsgspecError`. Cached, because it rarely changes."""
    return _decode(raw)


def calendar_or_first(raw: bytes | None) -> Calendar:
    """Return the calendar; one of months in UTC if there is none yet."""
    return _FIRST if raw is None else decode_calendar(raw)
