"""The IANA time zone data of this host: that of the system, else of the package `tzdata`.

It is read only to decide future periods. Decided periods are stored, because hosts can have different data.
"""

from datetime import datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from witnd.domain.values.fields import short_repr
from witnd.domain.values.local_day import OffsetAt

# Not zones: the first depends on the host, and the others are for programs that require a zone name.
_NOT_ZONES: Final = frozenset({"localtime", "posixrules", "Factory"})


class UnknownZone(ValueError):  # noqa: N818
    """This host's time zone data has no such zone."""


@lru_cache(maxsize=1024)
def load_zone(name: str) -> ZoneInfo:
    """Return a zone. Raises UnknownZone."""
    try:
        if name in _NOT_ZONES:
            raise UnknownZone(name)
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        raise UnknownZone(f"this host has no time zone data for {name!r}") from None


def zone_names() -> list[str]:
    """Return the names of all zones of this host."""
    return sorted(available_timezones() - _NOT_ZONES)


def check_zone(name: str) -> str:
    """Return the name of a zone of this host. Raises ValueError with the problem and the remedy."""
    try:
        load_zone(name)
    except UnknownZone:
        near = get_close_matches(name, zone_names(), 1)
        remedy = f"did you mean {near[0]}?" if near else "write one such as UTC or Europe/Berlin"
        raise ValueError(f"is {short_repr(name)}, which is not an IANA time zone of this host; {remedy}") from None
    return name


@lru_cache(maxsize=64)
def offsets_of(name: str) -> OffsetAt:
    """Return the lookup of a zone's UTC offset (s) at an instant (s). Raises UnknownZone."""
    zone = load_zone(name)

    def offset_at(seconds: int) -> int:
        offset = datetime.fromtimestamp(seconds, zone).utcoffset()
        assert offset is not None, zone
        return offset.days * 86_400 + offset.seconds

    return offset_at
