"""The grades of an agent as a form: in order, each with its key, name and condition."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from msgspec import Struct

from witnd.domain.catalogue.terms.grades import MAX_GRADES
from witnd.domain.values.mistake import Mistake
from witnd.web.dashboard.forms import conditions, reorder
from witnd.web.dashboard.forms.conditions import Check, Group, needs_spelling, unspelled

_FIELD: Final = re.compile(r"g(\d{1,2})\.(key|name|spelled|c\.op)", re.ASCII)


class GradeForm(Struct, kw_only=True):
    """A grade, as typed. `spelled`: key and name are written as JSON, because a form does not carry their
    characters."""

    key: str = ""
    name: str = ""
    spelled: bool = False
    rule: Group


class FormGrades(NamedTuple):
    """Grades as the API takes them. `places`: path → field of the form."""

    grades: list[dict[str, Any]]
    places: dict[str, str]
    mistakes: list[Mistake]


def grades_from_content(content: Sequence[Mapping[str, Any]]) -> list[GradeForm]:
    """Return the form of an agent's grades."""
    found: list[GradeForm] = []
    for grade in content:
        key, name = grade["key"], grade.get("name", "")
        spelled = needs_spelling(key) or needs_spelling(name)
        if spelled:
            key, name = json.dumps(key), json.dumps(name) if name else ""
        rule = conditions.group_from_condition(grade["condition"])
        found.append(GradeForm(key=key, name=name, spelled=spelled, rule=rule))
    return found


def grades_from_form(form: Mapping[str, str]) -> list[GradeForm]:
    """Return the posted grades, in the order of their numbers."""
    found: dict[int, dict[str, str]] = {}
    for name, value in form.items():
        if field := _FIELD.fullmatch(name):
            found.setdefault(int(field[1]), {})[field[2]] = value
    return [
        GradeForm(
            key=given.get("key", ""),
            name=given.get("name", ""),
            spelled=bool(given.get("spelled")),
            rule=conditions.group_from_form(form, prefix(number)),
        )
        for number, given in sorted(found.items())
    ]


def grades_from_forms(forms: Sequence[GradeForm]) -> FormGrades:
    """Return the grades of the form."""
    found = FormGrades([], {}, [])
    for number, form in enumerate(forms):
        path = f"grades[{number}]"
        condition = conditions.condition_from_group(form.rule, f"{path}.condition", prefix(number))
        found.places.update({f"{path}.{name}": f"{prefix(number)}{name}" for name in ("key", "name")})
        found.places.update(condition.places)
        texts: dict[str, str | None] = {"key": form.key, "name": form.name or None}
        for name in [name for name, text in texts.items() if form.spelled and text is not None]:
            texts[name] = unspelled(texts[name] or "")
            if texts[name] is None:
                found.mistakes.append(Mistake(f"{path}.{name}", "must be in quotes"))
        found.mistakes.extend(condition.mistakes)
        found.grades.append({**texts, "condition": condition.condition})
    return found


def prefix(number: int) -> str:
    """Return how the names of a grade's fields begin."""
    return f"g{number}."


def combined(forms: Sequence[GradeForm]) -> Group:
    """Return the condition that is true while any grade's is."""
    return Group(op="OR", members=[form.rule for form in forms])


def apply_button(forms: list[GradeForm], verb: str, place: str) -> None:
    """Apply a button: add, remove or move a grade. Ignore invalid places."""
    if verb == "grade":
        if len(forms) < MAX_GRADES:
            forms.append(GradeForm(rule=Group(members=[Check()])))
        return
    number = _number(forms, place)
    if number is None:
        return
    if verb == "grade-remove" and len(forms) > 1:
        del forms[number]
    other = number - 1 if verb == "grade-up" else number + 1 if verb == "grade-down" else None
    if other is not None and 0 <= other < len(forms):
        forms[number], forms[other] = forms[other], forms[number]


def apply_condition_button(forms: Sequence[GradeForm], place: str, do: str) -> None:
    """Apply a button of the condition of one grade."""
    number = _number(forms, place.removeprefix("g"))
    if number is not None:
        reorder.apply_button(forms[number].rule, do)


def _number(forms: Sequence[GradeForm], text: str) -> int | None:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 3 else len(forms)
    return number if number < len(forms) else None
