"""The reversal of an agent as a form: a window and the actions that reverse, one per line."""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from msgspec import Struct

from witnd.domain.catalogue.terms.reversal import REVERSAL
from witnd.domain.values.mistake import Mistake
from witnd.web.dashboard.forms.agent_terms.periods import (
    PERIOD_PROBLEM,
    known_unit,
    period_and_unit,
    seconds_of,
)
from witnd.web.dashboard.forms.conditions import needs_spelling, unspelled

DEFAULT_UNIT: Final = "days"


class ReversalForm(Struct, frozen=True, kw_only=True):
    """The reversal, as typed. Without window and actions there is none. An action in quotes is written as JSON, because
    a form does not carry its characters."""

    window: str = ""
    unit: str = DEFAULT_UNIT
    actions: str = ""


class FormReversal(NamedTuple):
    """The reversal as the API takes it. `places`: path → field of the form."""

    reversal: dict[str, Any] | None
    places: dict[str, str]
    mistakes: list[Mistake]


def reversal_from_content(content: Mapping[str, Any] | None) -> ReversalForm:
    """Return the form of an agent's reversal."""
    if not content:
        return ReversalForm()
    window, unit = period_and_unit(content["window"])
    return ReversalForm(window=window, unit=unit, actions="\n".join([_line(action) for action in content["on"]]))


def _line(action: str) -> str:
    """Return an action as a line, in quotes if it would be read as another one."""
    is_plain = action == action.strip() and not action.startswith('"') and not needs_spelling(action)
    return action if is_plain else json.dumps(action, ensure_ascii=needs_spelling(action))


def reversal_from_form(form: Mapping[str, str]) -> ReversalForm:
    """Return the posted reversal."""
    return ReversalForm(
        window=form.get("reversal.window", "").strip(),
        unit=known_unit(form.get("reversal.unit", DEFAULT_UNIT)),
        actions=form.get("reversal.on", "").replace("\r\n", "\n"),
    )


def reversal_request(form: ReversalForm) -> FormReversal:
    """Return the reversal of the form. Mistakes in one action have the number of its line in the message."""
    lines = [line.strip() for line in form.actions.split("\n") if line.strip()]
    if not form.window and not lines:
        return FormReversal(None, {}, [])
    mistakes: list[Mistake] = []
    seconds = seconds_of(form.window, form.unit)
    if not form.window:
        mistakes.append(Mistake(f"{REVERSAL}.window", "is missing; enter how long after settlement"))
    elif seconds is None:
        mistakes.append(Mistake(f"{REVERSAL}.window", PERIOD_PROBLEM))
    actions: list[str | None] = [unspelled(line) if line.startswith('"') else line for line in lines]
    if not lines:
        mistakes.append(Mistake(f"{REVERSAL}.on", "is missing; enter at least one action"))
    places = {f"{REVERSAL}.window": "reversal.window", f"{REVERSAL}.on": "reversal.on"}
    for number, action in enumerate(actions):
        places[f"{REVERSAL}.on[{number}]"] = "reversal.on"
        if action is None:
            mistakes.append(Mistake(f"{REVERSAL}.on[{number}]", "must end with a quote"))
    return FormReversal({"window": seconds, "on": actions}, places, mistakes)
