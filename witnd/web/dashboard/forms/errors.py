"""What was wrong with a form that was refused, as its page shows it."""

from typing import Any

from witnd.app.errors import Refused


def mistakes_of(refused: Refused) -> list[tuple[str, str]]:
    """Fields and what is wrong with them; the refusal itself where it is about none of them."""
    return [(one.path, one.message) for one in refused.details] or [("", refused.message)]


def error_values(refused: Refused | None) -> dict[str, Any]:
    """All of it, and by field."""
    mistakes = [] if refused is None else mistakes_of(refused)
    return {"mistakes": mistakes, "wrong": dict(reversed(mistakes))}
