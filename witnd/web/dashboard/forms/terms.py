"""The terms of an agent as a form: name, time to settle, what is counted, and the condition."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from msgspec import Struct

from witnd.app.errors import Refused
from witnd.domain.catalogue.contract import DEFAULT_PERIOD, MAX_PERIOD, MIN_PERIOD, read_agent
from witnd.domain.values.mistake import Mistake
from witnd.web.dashboard.forms import conditions
from witnd.web.dashboard.forms.conditions import Check, Group
from witnd.web.dashboard.present.instants import written_instant
from witnd.web.errors import status_of

UNITS: Final[Mapping[str, int]] = {"days": 86_400, "hours": 3600, "minutes": 60, "seconds": 1}
# How the billing unit is taken from the attributions of events, in words.
METHODS: Final[Mapping[str, str]] = {
    "last": "the latest",
    "first": "the earliest",
    "sum": "the sum",
    "max": "the largest",
    "min": "the smallest",
}
_LABELS: Final[Mapping[str, str]] = {
    "key": "Key",
    "name": "Name",
    "settlement_period": "Settlement period",
    "attribution_method": "Billed quantity",
    "effective_from": "Effective from",
}
_LONGEST: Final = 20
NO_KEY: Final = Mistake("key", "is missing; enter the agent_key of your events")


class Terms(Struct, kw_only=True):
    """The form fields, as typed."""

    key: str = ""
    name: str = ""
    period: str = ""
    unit: str = "hours"
    attribution_method: str = "last"
    effective_from: str = ""
    rule: Group


class TermsRequest(NamedTuple):
    """Terms as the API takes them. `places`: where in the form the nodes of the condition are; `mistakes`: all of
    them, those that only a form can have first."""

    raw: dict[str, Any]
    places: dict[str, str]
    mistakes: list[Mistake]


class FormErrors(Struct, frozen=True, kw_only=True):
    """The errors of a form: `messages` in order, each with its label, and `by_field`."""

    messages: list[tuple[str, str]] = []
    by_field: dict[str, str] = {}
    status: int = 200


NO_ERRORS: Final = FormErrors()


def fresh() -> Terms:
    """Return the form of a new agent."""
    return Terms(period=str(DEFAULT_PERIOD // UNITS["hours"]), rule=Group(members=[Check()]))


def terms_from_content(key: str, content: Mapping[str, Any]) -> Terms:
    """Return the form of an agent in the catalogue."""
    period, unit = _period_and_unit(content["settlement_period"])
    return Terms(
        key=key,
        name=content["name"],
        period=period,
        unit=unit,
        attribution_method=content["attribution_method"],
        rule=conditions.group_from_condition(content["condition"]),
    )


def _period_and_unit(seconds: int) -> tuple[str, str]:
    """Return the period in the largest unit that gives a whole number."""
    unit = next(unit for unit, size in UNITS.items() if seconds % size == 0)
    return str(seconds // UNITS[unit]), unit


def terms_from_form(form: Mapping[str, str]) -> Terms:
    """Return the posted form."""
    unit = form.get("unit", "hours")
    return Terms(
        key=form.get("key", ""),
        name=form.get("name", ""),
        period=form.get("period", "").strip(),
        unit=unit if unit in UNITS else "hours",
        attribution_method=form.get("attribution_method", "last"),
        effective_from=form.get("effective_from", "").strip(),
        rule=conditions.group_from_form(form),
    )


def terms_request(terms: Terms) -> TermsRequest:
    condition = conditions.condition_from_group(terms.rule)
    mistakes = list(condition.mistakes)
    seconds = _seconds(terms.period, terms.unit)
    if seconds is None:
        mistakes.insert(0, Mistake("settlement_period", "must be between 1 second and 180 days, in whole seconds"))
    raw = {
        "name": terms.name or None,
        "settlement_period": seconds,
        "attribution_method": terms.attribution_method,
        "condition": condition.condition,
    }
    known = {one.path for one in mistakes}
    _, others = read_agent("", raw, "")
    mistakes += [one for one in others if one.path not in known]
    return TermsRequest({**raw, "effective_from": written_instant(terms.effective_from)}, condition.places, mistakes)


def _seconds(text: str, unit: str) -> int | None:
    """Whole seconds within the limits; None for everything else."""
    if len(text) > _LONGEST or conditions.number_of(text) is None:
        return None
    seconds = Decimal(text) * UNITS[unit]
    if not MIN_PERIOD <= seconds <= MAX_PERIOD or seconds != int(seconds):
        return None
    return int(seconds)


def errors_of(refused: Refused, places: Mapping[str, str]) -> FormErrors:
    """Return the errors that a refusal has for the form."""
    mistakes = refused.details or [Mistake("", refused.message)]
    by_field = {one.path: one.message for one in reversed(mistakes)}
    return FormErrors(
        messages=labelled(mistakes, places),
        by_field={**by_field, **conditions.errors_by_field(mistakes, places)},
        status=status_of(refused),
    )


def labelled(mistakes: Iterable[Mistake], places: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return each mistake with the label of its field."""
    return [(_LABELS.get(one.path) or conditions.field_label(one.path, places), one.message) for one in mistakes]
