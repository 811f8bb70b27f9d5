"""The terms of an agent as a form: name, time to settle, timers, reversal, what is counted, the condition or grades."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from msgspec import Struct

from witnd.app.errors import Refused
from witnd.domain.catalogue.contract import DEFAULT_PERIOD, read_agent
from witnd.domain.catalogue.terms.grades import GRADES
from witnd.domain.catalogue.terms.reversal import REVERSAL
from witnd.domain.values.mistake import Mistake
from witnd.web.dashboard.forms import conditions, reorder
from witnd.web.dashboard.forms.agent_terms import grades, timers
from witnd.web.dashboard.forms.agent_terms.grades import GradeForm, combined
from witnd.web.dashboard.forms.agent_terms.periods import (
    PERIOD_PROBLEM,
    UNITS,
    known_unit,
    period_and_unit,
    seconds_of,
)
from witnd.web.dashboard.forms.agent_terms.reversals import (
    ReversalForm,
    reversal_from_content,
    reversal_from_form,
    reversal_request,
)
from witnd.web.dashboard.forms.agent_terms.timers import TimerRow
from witnd.web.dashboard.forms.conditions import Check, Group
from witnd.web.dashboard.present.instants import written_instant
from witnd.web.errors import status_of

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
    "grades": "Grades",
    "timers": "Timers",
    REVERSAL: "Reversal",
    f"{REVERSAL}.window": "Reversible for",
    f"{REVERSAL}.on": "Reversed by actions",
    "effective_from": "Effective from",
}
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
    # With grades, the condition is not used.
    grades: list[GradeForm] = []
    timers: list[TimerRow] = []
    reversal: ReversalForm = ReversalForm()

    @property
    def whole_rule(self) -> Group:
        """The condition, or that of all grades together."""
        return combined(self.grades) if self.grades else self.rule


class TermsRequest(NamedTuple):
    """Terms as the API takes them. `places`: path → field of the form, for conditions, grades, timers and the
    reversal; `mistakes`: all of them, those that only a form can have first."""

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
    period, unit = period_and_unit(content["settlement_period"])
    return Terms(
        key=key,
        name=content["name"],
        period=period,
        unit=unit,
        attribution_method=content["attribution_method"],
        rule=conditions.group_from_condition(content.get("condition", ())),
        grades=grades.grades_from_content(content.get(GRADES, ())),
        timers=timers.rows_from_content(content.get("timers")),
        reversal=reversal_from_content(content.get(REVERSAL)),
    )


def terms_from_form(form: Mapping[str, str]) -> Terms:
    """Return the posted form."""
    return Terms(
        key=form.get("key", ""),
        name=form.get("name", ""),
        period=form.get("period", "").strip(),
        unit=known_unit(form.get("unit", "")),
        attribution_method=form.get("attribution_method", "last"),
        effective_from=form.get("effective_from", "").strip(),
        rule=conditions.group_from_form(form),
        grades=grades.grades_from_form(form),
        timers=timers.rows_from_form(form),
        reversal=reversal_from_form(form),
    )


def apply_button(terms: Terms, do: str) -> None:
    """Apply a button. `g1/check:0` belongs to the condition of the second grade."""
    whose, slash, rest = do.partition("/")
    verb, _, place = do.partition(":")
    if slash:
        grades.apply_condition_button(terms.grades, whose, rest)
    elif verb == "to-grades" and not terms.grades:
        terms.grades, terms.rule = [GradeForm(rule=terms.rule)], Group()
    elif verb == "to-condition" and len(terms.grades) == 1:
        terms.grades, terms.rule = [], terms.grades[0].rule
    elif verb.startswith("grade") and terms.grades:
        grades.apply_button(terms.grades, verb, place)
    elif verb.startswith("timer"):
        timers.apply_button(terms.timers, verb, place)
    else:
        reorder.apply_button(terms.rule, do)


def terms_request(terms: Terms) -> TermsRequest:
    """Return the request of a form."""
    rule, places, mistakes = _rule_request(terms)
    timed = timers.timers_from_rows(terms.timers)
    reversed_ = reversal_request(terms.reversal)
    mistakes = [*mistakes, *timed.mistakes, *reversed_.mistakes]
    seconds = seconds_of(terms.period, terms.unit)
    if seconds is None:
        mistakes.insert(0, Mistake("settlement_period", PERIOD_PROBLEM))
    raw = {
        "name": terms.name or None,
        "settlement_period": seconds,
        "attribution_method": terms.attribution_method,
        **rule,
        "timers": timed.timers,
        REVERSAL: reversed_.reversal,
    }
    known = {one.path for one in mistakes}
    _, others = read_agent("", raw, "")
    mistakes += [one for one in others if one.path not in known]
    instant = {"effective_from": written_instant(terms.effective_from)}
    return TermsRequest({**raw, **instant}, {**places, **timed.places, **reversed_.places}, mistakes)


def _rule_request(terms: Terms) -> tuple[dict[str, Any], dict[str, str], list[Mistake]]:
    """Return the condition or the grades, with the places and mistakes in them."""
    if terms.grades:
        graded = grades.grades_from_forms(terms.grades)
        return {GRADES: graded.grades}, graded.places, graded.mistakes
    condition = conditions.condition_from_group(terms.rule)
    return {"condition": condition.condition}, condition.places, condition.mistakes


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
    return [(_label(one.path, places), one.message) for one in mistakes]


def _label(path: str, places: Mapping[str, str]) -> str:
    # The actions of a reversal are in one field.
    name = path.partition("[")[0] if path.startswith(REVERSAL) else path
    return _LABELS.get(name) or conditions.field_label(path, places)
