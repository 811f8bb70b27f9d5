"""Example events in a form, and what a rule makes of them. Nothing is stored."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from witnd.app.catalogue.trials import MOST_EVENTS, TrialAnswer, Tried, answered
from witnd.app.errors import Refused, all_invalid
from witnd.domain.outcomes.explain import Names
from witnd.domain.values import instant
from witnd.domain.values.mistake import Mistake
from witnd.domain.values.strictjson import Invalid, document
from witnd.store.log.reader import entry_id
from witnd.web.dashboard.forms.conditions import Check, Group, checks, number_of
from witnd.web.dashboard.forms.terms import TermsRequest, labelled
from witnd.web.dashboard.present.words import span

# Examples that are suggested for a rule, and rows that a form has at least.
SUGGESTED: Final = 4
ROWS: Final = 2
_LATER: Final = re.compile(r"(\d{1,9}) *(s|sec|seconds?|min|minutes?|h|hours?|d|days?)?", re.ASCII)
_SIZES: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST_LATER: Final = 400 * 86_400
_FIELD: Final = re.compile(r"e\.(\d{1,3})\.(action|value|attribution|later)", re.ASCII)
_INDEX: Final = re.compile(r"events\[(\d+)\]\.?")
_LITERALS: Final = {"true": True, "false": False}
# Of each, what follows a name in a path.
_LABELS: Final = {"properties.value": "value", "properties.attribution": "quantity", "accepted_at": "delay"}


class Example(Struct, kw_only=True):
    """One row, as it was typed. `later`: how long after the one before."""

    action: str = ""
    value: str = ""
    attribution: str = ""
    later: str = ""


class Examples(Struct, kw_only=True):
    """`pasted`: events as JSON, one in each line, which come after the rows."""

    rows: list[Example]
    pasted: str = ""
    tried: bool = False


class Step(Struct, frozen=True, kw_only=True):
    """An example that was tried, and how long after the first one it came."""

    event: Tried
    since: str


class Attempt(Struct, frozen=True, kw_only=True):
    """The result of a test, or its mistakes."""

    answer: TrialAnswer | None = None
    steps: list[Step] = []
    why: str = ""
    mistakes: list[tuple[str, str]] = []


def suggested(rule: Group) -> Examples:
    """Return an example for each action of a rule, as a start."""
    rows: dict[str, Example] = {}
    for check in checks(rule):
        if check.fact and not check.spelled and not check.choice.startswith("not ") and len(rows) < SUGGESTED:
            rows.setdefault(check.fact, Example(action=check.fact, value=_value_for(check)))
    return Examples(rows=[*rows.values(), *[Example() for _ in range(ROWS - len(rows))]])


def _value_for(check: Check) -> str:
    if check.choice in ("match true", "match false"):
        return check.choice.removeprefix("match ")
    if check.choice == "match text":
        return json.dumps(check.value) if _read(check.value) != check.value else check.value
    return "" if check.choice.startswith(("count", "seen")) else check.value


def examples_from_form(form: Mapping[str, str]) -> Examples:
    """Return the posted examples."""
    found: dict[int, dict[str, str]] = {}
    for name, value in form.items():
        if field := _FIELD.fullmatch(name):
            found.setdefault(int(field[1]), {})[field[2]] = value
    rows = [Example(**found[number]) for number in sorted(found)]
    return Examples(rows=rows, pasted=form.get("pasted", ""), tried="tried" in form)


def apply_button(examples: Examples, do: str) -> None:
    """Apply a button: `example` adds a row, `drop:0` removes the first one."""
    verb, _, number = do.partition(":")
    if verb == "example" and len(examples.rows) < MOST_EVENTS:
        examples.rows.append(Example())
    elif verb == "drop" and number.isdecimal() and len(number) < 4:
        del examples.rows[int(number) : int(number) + 1]


def run_examples(taken: TermsRequest, examples: Examples, now_ms: int) -> Attempt:
    """Test terms with examples."""
    events, labels, mistakes = _events(examples, now_ms)
    raw = {name: value for name, value in taken.raw.items() if name != "effective_from"}
    try:
        if found := [*taken.mistakes, *mistakes]:
            raise all_invalid(found)
        if not events:
            raise all_invalid([Mistake("", "enter the action of at least one example event")])
        answer = answered({**raw, "events": events}, now_ms, _Numbers())
    except Refused as refused:
        return Attempt(mistakes=[_label(one, labels) or labelled([one], taken.places)[0] for one in refused.details])
    first = instant.parse(answer.events[0].accepted_at)
    steps = [Step(event=one, since=_since(one, first)) for one in answer.events]
    return Attempt(answer=answer, steps=steps, why=answer.why)


def _since(event: Tried, first: int) -> str:
    later = instant.parse(event.accepted_at) - first
    return f"{span(later / 1000)} after the first" if later else ""


class _Numbers(Names):
    """Examples have numbers instead of the ids and instants of real events."""

    def event(self, entry: str) -> str:
        return f"event {entry_id(entry)[1] + 1}"

    def due(self, settles_at: int, last: str) -> str:
        return f"{span((settles_at - entry_id(last)[0]) / 1000)} after {self.event(last)}"


def _label(one: Mistake, labels: Sequence[str]) -> tuple[str, str] | None:
    index = _INDEX.match(one.path)
    if index is None or int(index[1]) >= len(labels):
        return None
    field = one.path[index.end() :]
    field = _LABELS.get(field, field)
    return f"{labels[int(index[1])]}{', ' if field else ''}{field}", one.message


def _events(examples: Examples, now_ms: int) -> tuple[list[dict[str, Any]], list[str], list[Mistake]]:
    """As the API takes them; what each is called in the form; and what only a form can have wrong."""
    events: list[dict[str, Any]] = []
    labels: list[str] = []
    mistakes: list[Mistake] = []
    at = now_ms
    for number, row in enumerate(examples.rows):
        if not (row.action or row.value or row.attribution):
            continue
        path = f"events[{len(events)}]"
        labels.append(f"Example {number + 1}")
        later = _later(row.later)
        if later is None:
            mistakes.append(Mistake(f"{path}.accepted_at", "must be a duration such as 10 s, 5 min, 2 h or 3 d"))
        at += (later or 0) if events else 0
        quantity = number_of(row.attribution)
        if row.attribution.strip() and quantity is None:
            mistakes.append(Mistake(f"{path}.properties.attribution", "must be a number such as 3 or 2.5"))
        properties = {"value": _read(row.value) if row.value else None, "attribution": quantity}
        events.append({"action": row.action, "properties": properties, "accepted_at": instant.render(at)})
    for number, line in enumerate(examples.pasted.split("\n")):
        if not line.strip():
            continue
        labels.append(f"Line {number + 1}")
        try:
            events.append(document(line.encode()))
        except Invalid as wrong:
            mistakes.append(Mistake(f"events[{len(events)}]", str(wrong)))
            events.append({})
    return events, labels, mistakes


def _later(text: str) -> int | None:
    """Milliseconds; None for what is no span of time. Nothing is a second."""
    form = _LATER.fullmatch(text.strip() or "1 s")
    if form is None:
        return None
    seconds = int(form[1]) * _SIZES[(form[2] or "")[:1]]
    return seconds * 1000 if seconds <= _LONGEST_LATER else None


def _read(text: str) -> str | float | bool:
    """Parse a typed value: a boolean, a number or text; text in quotes is always text."""
    if text in _LITERALS:
        return _LITERALS[text]
    if (number := number_of(text)) is not None:
        return number
    if text.startswith('"'):
        try:
            found = json.loads(text)
        except ValueError:
            return text
        return found if isinstance(found, str) else text
    return text
