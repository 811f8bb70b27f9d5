"""The timers of an agent as rows of a form: an action, and a period or "keep the deadline"."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from witnd.domain.catalogue.terms.timers import KEEP, MAX_TIMERS, Timer
from witnd.domain.values.mistake import Mistake
from witnd.web.dashboard.forms.agent_terms.periods import (
    DEFAULT_UNIT,
    PERIOD_PROBLEM,
    known_unit,
    period_and_unit,
    seconds_of,
)
from witnd.web.dashboard.forms.conditions import spell, unspelled

# What a timer does: the names of the choices, with their labels.
SETTLE: Final = "settle"
EFFECTS: Final[Mapping[str, str]] = {SETTLE: "settle after", KEEP: "keep the deadline"}
_FIELD: Final = re.compile(r"t(\d{1,4})\.(action|effect|period|unit|spelled)", re.ASCII)


class TimerRow(Struct, kw_only=True):
    """A row, as typed. `spelled`: the action is written as JSON, because a form does not carry its characters."""

    action: str = ""
    effect: str = SETTLE
    period: str = ""
    unit: str = DEFAULT_UNIT
    spelled: bool = False


class FormTimers(NamedTuple):
    """Timers as the API takes them. `places`: path → field of the form."""

    timers: dict[str, Timer]
    places: dict[str, str]
    mistakes: list[Mistake]


def rows_from_content(timers: Mapping[str, Timer] | None) -> list[TimerRow]:
    """Return the rows of an agent's timers."""
    rows: list[TimerRow] = []
    for action, timer in (timers or {}).items():
        text, spelled = spell(action)
        row = TimerRow(action=text, spelled=spelled)
        if isinstance(timer, str):
            row.effect = KEEP
        else:
            row.period, row.unit = period_and_unit(timer)
        rows.append(row)
    return rows


def rows_from_form(form: Mapping[str, str]) -> list[TimerRow]:
    """Return the posted rows."""
    found: dict[int, dict[str, str]] = {}
    for name, value in form.items():
        if field := _FIELD.fullmatch(name):
            found.setdefault(int(field[1]), {})[field[2]] = value
    return [_row(found[number]) for number in sorted(found)]


def _row(given: Mapping[str, str]) -> TimerRow:
    return TimerRow(
        action=given.get("action", ""),
        effect=KEEP if given.get("effect") == KEEP else SETTLE,
        period=given.get("period", "").strip(),
        unit=known_unit(given.get("unit", "")),
        spelled=bool(given.get("spelled")),
    )


def timers_from_rows(rows: Sequence[TimerRow]) -> FormTimers:
    """Return the timers of the form. A row without action and period counts as absent."""
    found = FormTimers({}, {}, [])
    for place, row in enumerate(rows):
        if not row.action and not row.period:
            continue
        path, field = f"timers[{place}]", f"t{place}"
        found.places.update({f"{path}.{name}": f"{field}.{name}" for name in ("action", "period")})
        action = unspelled(row.action) if row.spelled else row.action
        seconds = None if row.effect == KEEP else seconds_of(row.period, row.unit)
        if problem := _action_problem(action, found.timers):
            found.mistakes.append(Mistake(f"{path}.action", problem))
        if row.effect != KEEP and seconds is None:
            found.mistakes.append(Mistake(f"{path}.period", PERIOD_PROBLEM))
        if action is not None and not problem:
            found.timers[action] = KEEP if seconds is None else seconds
            # The domain's reader names the action.
            found.places[f"timers.{action}"] = f"{field}.action"
    return found


def _action_problem(action: str | None, known: Mapping[str, Timer]) -> str | None:
    if action is None:
        return "must be in quotes"
    if not action:
        return "is missing; enter the action of an event"
    return "must not be repeated; keep one timer per action" if action in known else None


def apply_button(rows: list[TimerRow], verb: str, place: str) -> None:
    """Apply a button: `timer` adds a row, `timer-remove` removes one. Ignore invalid places."""
    if verb == "timer" and len(rows) < MAX_TIMERS:
        rows.append(TimerRow())
    elif verb == "timer-remove" and place.isdecimal() and len(place) < 5:
        del rows[int(place) : int(place) + 1]
