"""The fields of a catalogue version as text, and the differences between two versions.
Paths use the keys of agents and grades: `entries[support].tiers[1].up_to`, `entries[support][solved].price_per_unit`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from msgspec import Struct

from witnd.domain.catalogue.buyer import BILLING
from witnd.domain.catalogue.terms.grades import GRADES
from witnd.domain.catalogue.terms.reversal import REVERSAL
from witnd.domain.pricing.entry import GRADE
from witnd.domain.pricing.ratecard import DIGITS, FLAT
from witnd.domain.pricing.recurring import CARD_SINCE, COMMITMENT, FEES, WRITTEN
from witnd.domain.values.fields import field_path
from witnd.domain.values.png import png_text

_PLAIN_NAME = re.compile(r"[\w.:/@-]+")


class FieldDifference(Struct, frozen=True, kw_only=True):
    """A changed field as text; None means absent."""

    path: str
    before: str | None
    after: str | None


def fields(content: Mapping[str, Any], *, archived: bool) -> dict[str, str]:
    """Return the content as one short text per path, without absent fields."""
    found = _flat(content, "")
    if archived:
        found["archived"] = "true"
    return found


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[FieldDifference, ...]:
    """Return the fields that differ, with the fields of one table together."""
    found = [
        FieldDifference(path=path, before=before.get(path), after=after.get(path))
        for path in _merged(before, after)
        if before.get(path) != after.get(path)
    ]
    return tuple([one for one in found if not _is_default_kind(one)])


def _is_default_kind(field: FieldDifference) -> bool:
    """Return whether only the default kind was added or removed."""
    return field.path.endswith("].kind") and {field.before, field.after} == {None, text(FLAT)}


def line(field: FieldDifference) -> str:
    """Return a difference as one line."""
    if field.before is None:
        return f"+ {field.path}: {field.after}"
    if field.after is None:
        return f"- {field.path}: {field.before}"
    return f"~ {field.path}: {field.before} → {field.after}"


def text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _merged(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return all paths in the order of `before`, each new path after its predecessor in `after`."""
    behind: dict[str, list[str]] = {"": []}
    known = ""
    for path in after:
        if path in before:
            known = path
            behind[known] = []
        else:
            behind[known].append(path)
    merged = behind[""]
    for path in before:
        merged += [path, *behind.get(path, ())]
    return merged


def _flat(content: Mapping[str, Any], path: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in content.items():
        if name in (DIGITS, WRITTEN, CARD_SINCE):
            continue  # witnd adds it when it stores the version; it is not part of the input
        at = field_path(path, name)
        if name == "condition":
            found |= {f"{at}[{place}]": _node(node) for place, node in enumerate(value)} or {at: "[]"}
        elif name == GRADES:
            found |= _grades(value, at)
        elif name == "timers":
            found |= {f"{at}[{_unquoted(action)}]": text(timer) for action, timer in value.items()} or {at: "{}"}
        elif name == REVERSAL:
            actions = {f"{at}.on": ", ".join([_unquoted(action) for action in value["on"]])} if value else {at: "{}"}
            found |= ({f"{at}.window": text(value["window"])} if value else {}) | actions
        elif name in ("entries", "agents"):
            found |= _agent_tables(value, at)
        elif name == FEES:
            for fee in value:
                inner = {field: text_of for field, text_of in fee.items() if field != "key"}
                found |= _flat(inner, f"{at}[{_unquoted(fee['key'])}]")
        elif name in (COMMITMENT, BILLING):
            found |= _flat(value, at)
        elif name == "tiers":
            for place, tier in enumerate(value):
                found |= _flat(tier, f"{at}[{place}]")
        elif name == "secret":
            found[at] = "(hidden, fingerprint " + sha256(value.encode()).hexdigest()[:8] + ")"
        elif name == "logo":
            found[at] = f"({png_text(value)})"
        elif value is not None:
            found[at] = text(value)
    return found


def _agent_tables(tables: Sequence[Mapping[str, Any]], path: str) -> dict[str, str]:
    """Return the fields of tables that each belong to an agent, or to a grade of an agent."""
    found: dict[str, str] = {}
    for table in tables:
        inner = {name: value for name, value in table.items() if name not in ("agent", GRADE)}
        grade = f"[{_unquoted(table[GRADE])}]" if GRADE in table else ""
        found |= _flat(inner, f"{path}[{_unquoted(table['agent'])}]{grade}")
    return found


def _grades(grades: Sequence[Mapping[str, Any]], path: str) -> dict[str, str]:
    """Return the keys of grades in their order, which decides, and then the fields of each."""
    found = {path: ", ".join([_unquoted(grade["key"]) for grade in grades])}
    for grade in grades:
        inner = {name: value for name, value in grade.items() if name != "key"}
        found |= _flat(inner, f"{path}[{_unquoted(grade['key'])}]")
    return found


def _node(node: Mapping[str, Any]) -> str:
    """Return a node of a condition in one line."""
    if "op" not in node:
        value = f" {text(node['value'])}" if "value" in node else ""
        return f"{_unquoted(node['fact'])} {node['operator']}{value}"
    if node["op"] == "NOT":
        return f"NOT({_node(node['condition'])})"
    return f"{node['op']}({', '.join(_node(inner) for inner in node['conditions'])})"


def _unquoted(name: str) -> str:
    """Return a name, without quotes if it is unambiguous."""
    return name if _PLAIN_NAME.fullmatch(name) else text(name)
