"""Reversal: events after settlement that reverse a confirmed outcome, within a window."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from witnd.domain.catalogue.condition import MAX_FACT_LENGTH
from witnd.domain.values.duration import duration_text
from witnd.domain.values.fields import Table, field_path, short_repr, text_problem, whole_number

REVERSAL: Final = "reversal"
FIELDS: Final = ("window", "on")
MIN_SECONDS: Final = 1
MAX_SECONDS: Final = 15_552_000  # 180 days
# More than any contract has. Each is part of the contract's content.
MAX_ACTIONS: Final = 100

# Canonical: the window in seconds, and the actions in their order.
Reversal: TypeAlias = dict[str, Any]


def reversal_text(reversal: Mapping[str, Any]) -> str:
    """Return the terms for people."""
    return f"within {duration_text(reversal['window'])} by {', '.join(reversal['on'])}"


def read_reversal(table: Table, *, allow_empty: bool = False) -> Reversal | None:
    """Return the field `reversal` in canonical form; None if it is absent. Adds errors to the table's mistakes.

    With `allow_empty`, an empty table is returned as it is: in a customer's own terms it removes that of the agent."""
    raw = table.get(REVERSAL)
    if raw is None:
        return None
    if allow_empty and isinstance(raw, Mapping) and not raw:
        return {}
    if not isinstance(raw, Mapping):
        remedy = 'write a table such as { window = 604800, on = ["ticket_reopened"] }'
        table.refuse(REVERSAL, f"must be a table, got {short_repr(raw)}", remedy)
        return None
    inner = Table(raw, field_path(table.path, REVERSAL), FIELDS)
    found = {"window": _window(inner), "on": _actions(inner)}
    table.mistakes.extend(inner.mistakes)
    return found


def _window(table: Table) -> int:
    """Read the window in whole seconds."""
    limits = f"whole seconds from {MIN_SECONDS} to {MAX_SECONDS} (180 days)"
    value = table.required("window", f"write {limits}, such as 604800 for 7 days")
    if value is None:
        return MIN_SECONDS
    seconds = whole_number(value)
    if seconds is None or not MIN_SECONDS <= seconds <= MAX_SECONDS:
        table.refuse("window", f"is {short_repr(value)}; write {limits}")
        return MIN_SECONDS
    return seconds


def _actions(table: Table) -> list[str]:
    """Read the actions that reverse an outcome."""
    raw = table.required("on", 'write a list of actions, such as ["ticket_reopened"]')
    if raw is None:
        return []
    if not isinstance(raw, Sequence) or isinstance(raw, str | bytes):
        table.refuse("on", f"must be a list of actions, got {short_repr(raw)}")
        return []
    if not 1 <= len(raw) <= MAX_ACTIONS:
        table.refuse("on", f"has {len(raw)} actions; write 1 to {MAX_ACTIONS}")
        return []
    found: list[str] = []
    for index, action in enumerate(raw):
        if problem := text_problem(action, MAX_FACT_LENGTH):
            table.refuse(f"on[{index}]", problem)
        elif action in found:
            table.refuse(
                f"on[{index}]", f"must not be repeated, got {short_repr(action)} again; write each action once"
            )
        else:
            found.append(action)
    return found
