"""Periods in a form: a number and its unit."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from witnd.domain.catalogue.contract import MAX_PERIOD, MIN_PERIOD
from witnd.web.dashboard.forms.conditions import number_of

UNITS: Final[Mapping[str, int]] = {"days": 86_400, "hours": 3600, "minutes": 60, "seconds": 1}
DEFAULT_UNIT: Final = "hours"
PERIOD_PROBLEM: Final = "must be between 1 second and 180 days, in whole seconds"
_LONGEST: Final = 20


def period_and_unit(seconds: int) -> tuple[str, str]:
    """Return the period in the largest unit that gives a whole number."""
    unit = next(unit for unit, size in UNITS.items() if seconds % size == 0)
    return str(seconds // UNITS[unit]), unit


def known_unit(text: str) -> str:
    """Return the unit of a posted form, or the default for an unknown one."""
    return text if text in UNITS else DEFAULT_UNIT


def seconds_of(text: str, unit: str) -> int | None:
    """Return whole seconds within the limits; None for everything else."""
    if len(text) > _LONGEST or number_of(text) is None:
        return None
    seconds = Decimal(text) * UNITS[unit]
    if not MIN_PERIOD <= seconds <= MAX_PERIOD or seconds != int(seconds):
        return None
    return int(seconds)
