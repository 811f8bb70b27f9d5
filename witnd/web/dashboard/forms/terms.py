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
    "last": "the latest one counts",
    "first": "the earliest one counts",
    "sum": "all of them together",
    "max": "the largest one counts",
    "min": "the smallest one counts",
}
_LABELS: Final[Mapping[str, str]] = {
    "key": "Key",
    "name": "Name",
    "settlement_period": "Settlement period",
    "attribution_method": "What is counted",
    "effective_from": "Effective from",
}
_LONGEST: Final = 20
NO_KEY: Final = Mistake("key", "is missing; choose what events name the agent by")


class Terms(Struct, kw_only=True):
    """Everything as it was typed."""

    key: str = ""
    name: str = ""
    period: str = ""
    unit: str = "hours"
    attribution_method: str = "last"
    effective_from: str = ""
    rule: Group


class Taken(NamedTuple):
    """Terms as the API takes them. `places`: where in the form the nodes of the condition are; `mistakes`: all of
    them, those that only a form can have first."""

    raw: dict[str, Any]
    places: dict[str, str]
    mistakes: list[Mistake]


class Wrong(Struct, frozen=True, kw_only=True):
    """What is wrong with a form: `said` in its order, `at` by field."""

    said: list[tuple[str, str]] = []
    at: dict[str, str] = {}
    status: int = 200


RIGHT: Final = Wrong()


def fresh() -> Terms:
    """Where a new agent begins."""
    return Terms(period=str(DEFAULT_PERIOD // UNITS["hours"]), rule=Group(members=[Check()]))


def opened(key: str, content: Mapping[str, Any]) -> Terms:
    """The form of what is in the catalogue."""
    period, unit = _spoken(content["settlement_period"])
    return Terms(
        key=key,
        name=content["name"],
        period=period,
        unit=unit,
        attribution_method=content["attribution_method"],
        rule=conditions.opened(content["condition"]),
    )


def _spoken(seconds: int) -> tuple[str, str]:
    """In the largest unit that says it in a whole number."""
    unit = next(unit for unit, size in UNITS.items() if seconds % size == 0)
    return str(seconds // UNITS[unit]), unit


def sent(form: Mapping[str, str]) -> Terms:
    """The form as it was sent."""
    unit = form.get("unit", "hours")
    return Terms(
        key=form.get("key", ""),
        name=form.get("name", ""),
        period=form.get("period", "").strip(),
        unit=unit if unit in UNITS else "hours",
        attribution_method=form.get("attribution_method", "last"),
        effective_from=form.get("effective_from", "").strip(),
        rule=conditions.sent(form),
    )


def taken(terms: Terms) -> Taken:
    condition = conditions.written(terms.rule)
    mistakes = list(condition.mistakes)
    seconds = _seconds(terms.period, terms.unit)
    if seconds is None:
        mistakes.insert(0, Mistake("settlement_period", "write whole seconds or more: 1 second to 180 days"))
    raw = {
        "name": terms.name or None,
        "settlement_period": seconds,
        "attribution_method": terms.attribution_method,
        "condition": condition.condition,
    }
    known = {one.path for one in mistakes}
    _, others = read_agent("", raw, "")
    mistakes += [one for one in others if one.path not in known]
    return Taken({**raw, "effective_from": written_instant(terms.effective_from)}, condition.places, mistakes)


def _seconds(text: str, unit: str) -> int | None:
    """Whole seconds within the limits; None for everything else."""
    if len(text) > _LONGEST or conditions.number_of(text) is None:
        return None
    seconds = Decimal(text) * UNITS[unit]
    if not MIN_PERIOD <= seconds <= MAX_PERIOD or seconds != int(seconds):
        return None
    return int(seconds)


def wrong(refused: Refused, places: Mapping[str, str]) -> Wrong:
    """A refusal, for the form."""
    mistakes = [Mistake(one.path, one.message) for one in refused.details] or [Mistake("", refused.message)]
    at = {one.path: one.message for one in reversed(mistakes)}
    return Wrong(
        said=said(mistakes, places), at={**at, **conditions.located(mistakes, places)}, status=status_of(refused)
    )


def said(mistakes: Iterable[Mistake], places: Mapping[str, str]) -> list[tuple[str, str]]:
    """Where people find it, and what is wrong there."""
    return [(_LABELS.get(one.path) or conditions.called(one.path, places), one.message) for one in mistakes]
