"""Grades: ordered conditions in place of one. The first that is true at settlement is the grade of the outcome."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from witnd.domain.catalogue import condition as conditions
from witnd.domain.values.fields import Table, field_path, short_repr
from witnd.domain.values.mistake import Mistake

GRADES: Final = "grades"
FIELDS: Final = ("key", "name", "condition")
MAX_GRADES: Final = 20
_REPLACED_BY: Final = {"condition": GRADES, GRADES: "condition"}

# Canonical: key, name if it has one, and condition.
Grade: TypeAlias = dict[str, Any]


def grade_name(grade: Mapping[str, Any]) -> str:
    """Return the name of a grade for people."""
    return str(grade.get("name", grade["key"]))


def as_condition(grades: Sequence[Grade]) -> list[dict[str, Any]]:
    """Return the condition that is true while any grade's condition is."""
    return [{"op": "OR", "conditions": [_all_of(grade["condition"]) for grade in grades]}]


def condition_of(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the condition of an agent's content: its own, or that of its grades."""
    return as_condition(content[GRADES]) if GRADES in content else list(content["condition"])


def without_replaced(content: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content without what given fields replace: a condition replaces grades, and grades a condition."""
    replaced = {old for old, new in _REPLACED_BY.items() if given.get(new) is not None}
    return {name: value for name, value in content.items() if name not in replaced}


def _all_of(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    return nodes[0] if len(nodes) == 1 else {"op": "AND", "conditions": nodes}


def read_grades(table: Table) -> list[Grade]:
    """Return the field `grades` in canonical form, in its order. Adds errors to the table's mistakes."""
    raw = table.get(GRADES)
    if not isinstance(raw, Sequence) or isinstance(raw, str | bytes):
        table.refuse(GRADES, f"must be a list of grades, got {short_repr(raw)}")
        return []
    if not 1 <= len(raw) <= MAX_GRADES:
        table.refuse(GRADES, f"has {len(raw)} grades; write 1 to {MAX_GRADES}")
        return []
    found: dict[str, Grade] = {}
    for index, one in enumerate(raw):
        inner = Table(one, field_path(table.path, f"{GRADES}[{index}]"), FIELDS)
        key = inner.text("key")
        grade: Grade = {"key": key}
        if (name := inner.optional_text("name")) is not None:
            grade["name"] = name
        grade["condition"] = read_condition(inner)
        if key in found:
            inner.refuse("key", f"must not be repeated, got {short_repr(key)} again; keep one grade per key")
        elif key:
            found[key] = grade
        table.mistakes.extend(inner.mistakes)
    total = sum(conditions.node_count(grade["condition"]) for grade in found.values())
    if total > conditions.MAX_NODES:
        problem = f"have more than {conditions.MAX_NODES} checks together; split the agent into several"
        table.mistakes.append(Mistake(field_path(table.path, GRADES), problem))
    return list(found.values())


def read_condition(table: Table) -> list[dict[str, Any]]:
    """Return the required field `condition` in canonical form. Adds errors to the table's mistakes."""
    remedy = 'write a list of checks, such as [{fact = "…", operator = "seen"}]'
    condition = table.required("condition", remedy)
    if condition is None:
        return []
    wrong = conditions.mistakes(condition, field_path(table.path, "condition"))
    table.mistakes.extend(wrong)
    return [] if wrong else conditions.canonical(condition)
