"""Instants as people fill them in, and as they are told of them."""

import re
from typing import Final

from witnd.billing.export.wording import minute

# What a browser sends of a field of type datetime-local.
_LOCAL: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d)(:\d\d(?:\.\d+)?)?", re.ASCII)


def written_instant(text: str) -> str | None:
    """What a field for an instant in UTC says, as the API reads it; None where it is empty. What is no instant stays
    as it is, for whoever refuses it."""
    form = _LOCAL.fullmatch(text)
    return f"{form[1]}{form[2] or ':00'}Z" if form else text or None


def since(effective_from: int, asked: str | None) -> str:
    """From when on something holds. What nobody asked an instant for holds at once, a moment ahead of all clocks."""
    return "from now on" if asked is None else f"from {minute(effective_from)} UTC on"


def from_when(effective_from: int, asked: str | None) -> str:
    """What a sentence about a change ends with, where somebody asked for an instant."""
    return "" if asked is None else f", {since(effective_from, asked)}"
