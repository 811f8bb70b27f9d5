"""Instants in form fields and in messages."""

import re
from typing import Final

from witnd.billing.export.wording import minute

# What a browser sends of a field of type datetime-local.
_LOCAL: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d)(:\d\d(?:\.\d+)?)?", re.ASCII)


def written_instant(text: str) -> str | None:
    """Convert the value of a datetime-local field, in UTC, to the format of the API; None if it is empty.

    Invalid text stays unchanged, so that validation reports it.
    """
    form = _LOCAL.fullmatch(text)
    return f"{form[1]}{form[2] or ':00'}Z" if form else text or None


def since(effective_from: int, requested: str | None) -> str:
    """Return when a version takes effect. Without a requested instant it does so at once, just ahead of all clocks."""
    return "from now on" if requested is None else f"from {minute(effective_from)} UTC"


def from_when(effective_from: int, requested: str | None) -> str:
    """Return the end of a message about a change, if an instant was requested."""
    return "" if requested is None else f", effective {since(effective_from, requested)}"
