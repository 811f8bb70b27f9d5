"""A condition as a form that is put together from checks: from its fields to a condition and back, without loss.

Uses values only. `witnd.domain.catalogue.condition` validates conditions.
"""

import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, Union

from msgspec import Struct

from witnd.domain.catalogue import condition as conditions
from witnd.domain.values.mistake import Mistake
from witnd.web.dashboard.forms.choices import BY_NAME

# What a place in the reading holds until something is written there.
_UNKNOWN: Final = "…"
# No number of more digits is a finite double.
_LONGEST_NUMBER: Final = 400
# From here on a double has no more place for every whole number.
_WHOLE: Final = 2**53
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_FIELD: Final = re.compile(r"c\.(\d{1,4}(?:\.\d{1,4}){0,20})\.(fact|choice|value|spelled|op)", re.ASCII)
_ROOT: Final = "c.op"
# A field, or a check, of the condition, of a grade or of a timer.
_PART: Final = re.compile(r"(?:(?P<whose>[gt])(?P<number>\d+)\.)?(?P<inner>.*)", re.ASCII)
_FIELDS: Final = {"fact": "fact", "operator": "choice", "value": "value"}


class Check(Struct, kw_only=True):
    """A leaf, as it was typed. `spelled`: fact and text are written as JSON writes texts, because there are characters
    in them that a form does not carry."""

    fact: str = ""
    choice: str = "seen"
    value: str = ""
    spelled: bool = False


class Group(Struct, kw_only=True):
    """AND, OR, or NOT, which has one member. The outermost one is AND or OR."""

    op: str = "AND"
    members: list[Union[Check, "Group"]] = []


Node: TypeAlias = Check | Group


class FormCondition(NamedTuple):
    """A condition as the API takes it. `places`: path of a node → its place in the form, as `c.0.1`; `mistakes`:
    everything that is wrong with it."""

    condition: list[dict[str, Any]]
    places: dict[str, str]
    mistakes: list[Mistake]


# -- a condition as a form --------------------------------------------------------------------------------------------


def group_from_condition(condition: Sequence[Mapping[str, Any]]) -> Group:
    """Return the form of a canonical condition."""
    if len(condition) == 1 and condition[0].get("op") == "OR":
        return Group(op="OR", members=[_node_from_condition(node) for node in condition[0]["conditions"]])
    return Group(members=[_node_from_condition(node) for node in condition])


def _node_from_condition(node: Mapping[str, Any]) -> Node:
    if "op" in node:
        inner = [node["condition"]] if node["op"] == "NOT" else node["conditions"]
        return Group(op=node["op"], members=[_node_from_condition(one) for one in inner])
    fact, operator, value = node["fact"], node["operator"], node.get("value")
    name = operator if operator != "match" else f"match {_kind(value)}"
    shown = value if isinstance(value, str) else json.dumps(value) if BY_NAME[name].takes else ""
    fact_text, spelled = spell(fact)
    spelled = spelled or (isinstance(value, str) and needs_spelling(value))
    if spelled:
        fact_text = json.dumps(fact)
        shown = json.dumps(value) if isinstance(value, str) else shown
    return Check(fact=fact_text, choice=name, value=shown, spelled=spelled)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "text" if isinstance(value, str) else "number"


def needs_spelling(text: str) -> bool:
    """Line breaks and other control characters are changed or lost on their way through a form."""
    return any(unicodedata.category(character) == "Cc" for character in text)


def spell(text: str) -> tuple[str, bool]:
    """Return a text as a form shows it, and whether it is written as JSON."""
    return (json.dumps(text), True) if needs_spelling(text) else (text, False)


def unspelled(text: str) -> str | None:
    """Return the text that is written as JSON, or None if it is not."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, str) else None


def group_from_form(fields: Mapping[str, str], prefix: str = "") -> Group:
    """Return the condition of a posted form. `c.0.1.fact` belongs to the second member of the first group. `prefix`:
    how the names begin."""
    found: dict[tuple[int, ...], dict[str, str]] = {}
    for name, value in fields.items():
        if name.startswith(prefix) and (form := _FIELD.fullmatch(name, len(prefix))):
            place = tuple(int(part) for part in form[1].split("."))
            found.setdefault(place, {})[form[2]] = value
    root = Group(op="OR" if fields.get(prefix + _ROOT) == "OR" else "AND")
    groups: dict[tuple[int, ...], Group] = {(): root}
    for place in sorted(found):
        parent = groups.get(place[:-1])
        if parent is None:
            continue
        given = found[place]
        if "op" in given:
            group = Group(op=given["op"] if given["op"] in ("AND", "OR", "NOT") else "AND")
            groups[place] = group
            parent.members.append(group)
        else:
            parent.members.append(_check(given))
    tidy(root)
    return root


def tidy(group: Group) -> None:
    """Put several members of a NOT into one group, because NOT has one member."""
    if group.op == "NOT" and len(group.members) > 1:
        group.members = [Group(members=group.members)]
    for one in group.members:
        if isinstance(one, Group):
            tidy(one)


def _check(given: Mapping[str, str]) -> Check:
    choice = given.get("choice", "seen")
    return Check(
        fact=given.get("fact", ""),
        choice=choice if choice in BY_NAME else "seen",
        value=given.get("value", ""),
        spelled=bool(given.get("spelled")),
    )


# -- a form as a condition --------------------------------------------------------------------------------------------


def condition_from_group(rule: Group, path: str = "condition", prefix: str = "") -> FormCondition:
    """Return the condition of a form. `path`: where it is in a request; `prefix`: how the names of its fields begin."""
    writer, root = _Writer(), f"{prefix}c"
    if rule.op == "OR":
        writer.places[f"{path}[0]"] = root
        nodes = [{"op": "OR", "conditions": writer.members(rule, f"{path}[0].conditions", root)}]
    else:
        nodes = writer.members(rule, path, root)
    writer.places[path] = root
    known = {one.path for one in writer.mistakes}
    found = [one for one in conditions.mistakes(nodes, path) if one.path not in known]
    return FormCondition(nodes, writer.places, writer.mistakes + found)


class _Writer:
    """One pass over a form."""

    def __init__(self) -> None:
        self.places: dict[str, str] = {}
        self.mistakes: list[Mistake] = []

    def members(self, group: Group, path: str, place: str) -> list[dict[str, Any]]:
        return [self.node(one, f"{path}[{n}]", f"{place}.{n}") for n, one in enumerate(group.members)]

    def node(self, node: Node, path: str, place: str) -> dict[str, Any]:
        self.places[path] = place
        if isinstance(node, Check):
            return self.check(node, path)
        if node.op != "NOT":
            return {"op": node.op, "conditions": self.members(node, f"{path}.conditions", place)}
        inner = f"{path}.condition"
        if not node.members:
            self.mistakes.append(Mistake(inner, "is missing; add a check or remove this group"))
            return {"op": "NOT"}
        return {"op": "NOT", "condition": self.node(node.members[0], inner, f"{place}.0")}

    def check(self, check: Check, path: str) -> dict[str, Any]:
        choice = BY_NAME[check.choice]
        leaf: dict[str, Any] = {"fact": check.fact, "operator": choice.operator}
        if check.spelled:
            leaf["fact"] = self.unspelled(check.fact, f"{path}.fact")
        if choice.fixed is not None:
            leaf["value"] = choice.fixed
        elif choice.takes == "text":
            leaf["value"] = self.unspelled(check.value, f"{path}.value") if check.spelled else check.value
        elif choice.takes:
            value = number_of(check.value)
            if value is None or (choice.takes == "count" and not isinstance(value, int)):
                expected = "a whole number, 0 or more" if choice.takes == "count" else "a number such as 3 or 2.5"
                self.mistakes.append(Mistake(f"{path}.value", f"must be {expected}"))
            else:
                leaf["value"] = value
        return leaf

    def unspelled(self, text: str, path: str) -> str:
        found = unspelled(text)
        if found is not None:
            return found
        self.mistakes.append(Mistake(path, 'must be in quotes, with line breaks as \\n: "first\\nsecond"'))
        return text


def number_of(text: str) -> int | float | None:
    """Parse a number; None if the text is not a number or is too large."""
    text = text.strip()
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text) or math.isinf(double := float(text)):
        return None
    return int(text) if text.lstrip("+-").isdecimal() and abs(double) < _WHOLE else double


def errors_by_field(mistakes: Iterable[Mistake], places: Mapping[str, str]) -> dict[str, str]:
    """Return messages by field: `c.0.value`, or `c.0` for a whole group."""
    found: dict[str, str] = {}
    for one in mistakes:
        head = one.path
        while head and head not in places:
            head = head[: max(0, head.rfind("."), head.rfind("["))]
        if not head:
            continue
        field = _FIELDS.get(one.path[len(head) :].lstrip("."), "")
        name = f"{places[head]}.{field}" if field else places[head]
        found.setdefault(name, one.message)
    return found


def field_label(path: str, places: Mapping[str, str]) -> str:
    """Return the label of a path in the form: `Check 1.2`, `Grade 1, check 2`, `Timer 3`."""
    head = path
    while head and head not in places:
        head = head[: max(0, head.rfind("."), head.rfind("["))]
    if not head:
        return path
    part = _PART.fullmatch(places[head])
    assert part is not None, places[head]
    whose, number, inner = part["whose"], part["number"], part["inner"]
    if inner in ("key", "name"):
        word = inner
    elif whose == "t":
        word = ""
    else:
        word = f"check {numbered(inner[2:])}" if len(inner) > 1 else "condition"
    if not whose:
        return word.capitalize()
    return f"{'Timer' if whose == 't' else 'Grade'} {int(number) + 1}" + (f", {word}" if word else "")


# -- reading aloud ----------------------------------------------------------------------------------------------------


def reading(rule: Group) -> str:
    """Return the condition in words, with an ellipsis for missing parts."""
    nodes = [_readable(one) for one in rule.members]
    return conditions.nodes_text([{"op": "OR", "conditions": nodes}] if rule.op == "OR" else nodes)


def _readable(node: Node) -> dict[str, Any]:
    if isinstance(node, Group):
        inner = [_readable(one) for one in node.members]
        if node.op == "NOT":
            return {"op": "NOT", "condition": inner[0] if inner else {"fact": _UNKNOWN, "operator": "seen"}}
        return {"op": node.op, "conditions": inner}
    leaf = condition_from_group(Group(members=[node])).condition[0]
    if not conditions.mistakes([leaf]):
        return conditions.canonical([leaf])[0]
    return {"fact": leaf["fact"] or _UNKNOWN, "operator": leaf["operator"], "value": leaf.get("value", _UNKNOWN)}


def checks(rule: Group) -> list[Check]:
    """All checks of a rule, in order."""
    found: list[Check] = []
    for one in rule.members:
        found += [one] if isinstance(one, Check) else checks(one)
    return found


def numbered(place: str) -> str:
    """Return a place counted from one: `0.1` is 1.2."""
    return ".".join(str(int(part) + 1) for part in place.split("."))
