"""Instants as people fill them in."""

import re
from typing import Final

# What a browser sends of a field of type datetime-local.
_LOCAL: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d)(:\d\d(?:\.\d+)?)?", re.ASCII)


def written_instant(text: str) -> str | None:
    """What a field for an instant in UTC says, as the API reads it; None where it is empty. What is no instant stays
    as it is, for whoever refuses it."""
    form = _LOCAL.fullmatch(text)
    return f"{form[1]}{form[2] or ':00'}Z" if form else text or None
