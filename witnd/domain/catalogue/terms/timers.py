"""Timers: another settlement period after events with certain actions, or none."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from witnd.domain.catalogue.condition import MAX_FACT_LENGTH
from witnd.domain.values.duration import duration_text
from witnd.domain.values.fields import Table, field_path, short_repr, text_problem, whole_number

# The value for events that do not change the deadline.
KEEP: Final = "keep"
MIN_SECONDS: Final = 1
MAX_SECONDS: Final = 15_552_000  # 180 days
# More than any contract has. Each is part of the contract's content.
MAX_TIMERS: Final = 100

Timer: TypeAlias = int | str


def timers_ms(timers: Mapping[str, Timer]) -> dict[str, int | None]:
    """Return the periods in ms by action, None for `KEEP`."""
    return {action: None if isinstance(timer, str) else timer * 1000 for action, timer in timers.items()}


def timer_text(timer: Timer) -> str:
    """Return what a timer does, for people."""
    return "keeps the deadline" if isinstance(timer, str) else f"settles {duration_text(timer)} later"


def read_timers(table: Table, *, allow_empty: bool = False) -> dict[str, Timer] | None:
    """Return the field `timers` in canonical form, sorted by action; None if it is absent, or empty and not
    `allow_empty`. Adds errors to the table's mistakes. A customer's own empty table removes the timers of the agent."""
    raw = table.get("timers")
    if raw is None:
        return None
    if not isinstance(raw, Mapping):
        remedy = 'write a table such as { "customer_replied" = 86400, "note_added" = "keep" }'
        table.refuse("timers", f"must be a table of actions, got {short_repr(raw)}", remedy)
        return None
    if len(raw) > MAX_TIMERS:
        table.refuse("timers", f"has more than {MAX_TIMERS} actions; remove some of them")
        return None
    found: dict[str, Timer] = {}
    for action, timer in raw.items():
        path = field_path("timers", str(action))
        if problem := text_problem(action, MAX_FACT_LENGTH):
            table.refuse(path, problem)
        elif (seconds := _seconds(timer)) is None:
            limits = f"whole seconds from {MIN_SECONDS} to {MAX_SECONDS} (180 days)"
            table.refuse(path, f'is {short_repr(timer)}; write {limits}, or "{KEEP}"')
        else:
            found[action] = seconds
    return {action: found[action] for action in sorted(found)} if found or allow_empty else None


def _seconds(timer: Any) -> Timer | None:
    if timer == KEEP:
        return KEEP
    seconds = whole_number(timer)
    return seconds if seconds is not None and MIN_SECONDS <= seconds <= MAX_SECONDS else None
