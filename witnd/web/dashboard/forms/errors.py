"""Errors of a refused form, for its page."""

from typing import Any

from witnd.app.errors import Refused


def mistakes_of(refused: Refused) -> list[tuple[str, str]]:
    """Return (path, message) pairs, or the refusal itself if it concerns no field."""
    return [(one.path, one.message) for one in refused.details] or [("", refused.message)]


def error_values(refused: Refused | None) -> dict[str, Any]:
    """Return the template values `mistakes` and `wrong` (by field)."""
    mistakes = [] if refused is None else mistakes_of(refused)
    return {"mistakes": mistakes, "wrong": dict(reversed(mistakes))}
