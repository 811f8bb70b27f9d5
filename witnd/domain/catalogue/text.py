"""What stands in a version of the catalogue as one short line per field, and how two versions differ.

A path names a field as a person would look for it: `entries[support].tiers[1].up_to`. Which versions
are compared is left to `catalogue_plan` and `catalogue_history`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from msgspec import Struct

from witnd.domain.pricing.ratecard import DIGITS, FLAT
from witnd.domain.values.fields import field_path

_PLAIN_NAME = re.compile(r"[\w.:/@-]+")


class FieldDifference(Struct, frozen=True, kw_only=True):
    """One field, in words; None where it was or will be absent."""

    path: str
    before: str | None
    after: str | None


def fields(content: Mapping[str, Any], *, archived: bool) -> dict[str, str]:
    """The content as one short text per path; absent fields are left out."""
    found = _flat(content, "")
    if archived:
        found["archived"] = "true"
    return found


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[FieldDifference, ...]:
    """The paths at which two contents differ, those of one thing beside each other."""
    found = [
        FieldDifference(path=path, before=before.get(path), after=after.get(path))
        for path in _merged(before, after)
        if before.get(path) != after.get(path)
    ]
    return tuple([one for one in found if not _goes_without_saying(one)])


def _goes_without_saying(field: FieldDifference) -> bool:
    """Nobody writes the kind that an entry has anyway. A change to it or away from it is told."""
    return field.path.endswith("].kind") and {field.before, field.after} == {None, text(FLAT)}


def line(field: FieldDifference) -> str:
    """A difference as people read it."""
    if field.before is None:
        return f"+ {field.path}: {field.after}"
    if field.after is None:
        return f"- {field.path}: {field.before}"
    return f"~ {field.path}: {field.before} → {field.after}"


def text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _merged(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """All paths in the order of `before`; a new one stands behind what it follows in `after`."""
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
        if name == DIGITS:
            continue  # it follows from the currency
        at = field_path(path, name)
        if name == "condition":
            found |= {f"{at}[{place}]": _node(node) for place, node in enumerate(value)} or {at: "[]"}
        elif name in ("entries", "agents"):
            found |= _agent_tables(value, at)
        elif name == "tiers":
            for place, tier in enumerate(value):
                found |= _flat(tier, f"{at}[{place}]")
        elif name == "secret":
            found[at] = "(hidden, fingerprint " + sha256(value.encode()).hexdigest()[:8] + ")"
        elif value is not None:
            found[at] = text(value)
    return found


def _agent_tables(tables: Sequence[Mapping[str, Any]], path: str) -> dict[str, str]:
    """Tables that each say something of one agent."""
    found: dict[str, str] = {}
    for table in tables:
        inner = {name: value for name, value in table.items() if name != "agent"}
        found |= _flat(inner, f"{path}[{_unquoted(table['agent'])}]")
    return found


def _node(node: Mapping[str, Any]) -> str:
    """A node of a condition in one line."""
    if "op" not in node:
        value = f" {text(node['value'])}" if "value" in node else ""
        return f"{_unquoted(node['fact'])} {node['operator']}{value}"
    if node["op"] == "NOT":
        return f"NOT({_node(node['condition'])})"
    return f"{node['op']}({', '.join(_node(inner) for inner in node['conditions'])})"


def _unquoted(name: str) -> str:
    """A name without quotes where nothing can be mistaken about it."""
    return name if _PLAIN_NAME.fullmatch(name) else text(name)
