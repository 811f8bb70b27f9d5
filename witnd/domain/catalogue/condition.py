"""Billable conditions: validation, the canonical form, and their text.

A condition is a list of nodes that must all be true. A node is a leaf `{fact, operator, value}` or, as an extension, an
AND, OR or NOT over nodes.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from witnd.domain.values import canonical as spelling
from witnd.domain.values.fields import field_path, short_repr, text_problem, unknown_name
from witnd.domain.values.mistake import Mistake

SEEN = ("seen", "not seen")
COUNTS = ("count_gte", "count_lte", "count_gt", "count_lt", "count_eq")
MATCH = ("match",)
COMPARISONS = ("gte", "lte", "gt", "lt")
NEGATED = ("not gte", "not lte", "not gt", "not lt")
OPERATORS = (*SEEN, *COUNTS, *MATCH, *COMPARISONS, *NEGATED)

MAX_FACT_LENGTH = 255
MAX_DEPTH = 16
# No event is larger (256 KiB), so a value cannot be longer.
MAX_TEXT_LENGTH = 2**18
# Conditions are evaluated for every event, and no real condition has this many checks.
MAX_NODES = 1000
# Above this, not every integer is a double.
_MAX_COUNT = 2**53

_LEAF = ("fact", "operator", "value")
_CHILDREN = {"AND": "conditions", "OR": "conditions", "NOT": "condition"}

_COUNT_WORDS = {
    "count_gte": "at least",
    "count_lte": "at most",
    "count_gt": "more than",
    "count_lt": "fewer than",
    "count_eq": "exactly",
}
_COMPARE_WORDS = {"gte": "at least", "lte": "at most", "gt": "above", "lt": "below"}
_NEGATED_WORDS = {
    "not gte": "below",
    "not lte": "above",
    "not gt": "at most",
    "not lt": "at least",
}


def mistakes(raw: object, path: str = "condition") -> list[Mistake]:
    """Return the mistakes of a condition; empty if it is valid."""
    check = _Check()
    if isinstance(raw, Mapping):
        check.node(raw, path, 0)
    else:
        check.nodes(raw, path, 0)
    if check.seen > MAX_NODES:
        check.refuse(path, f"has more than {MAX_NODES} checks; split the agent into several")
    return check.found


class _Check:
    """Validates one condition."""

    def __init__(self) -> None:
        self.found: list[Mistake] = []
        self.seen = 0

    def refuse(self, path: str, message: str) -> None:
        self.found.append(Mistake(path, message))

    def nodes(self, raw: object, path: str, depth: int) -> None:
        if not isinstance(raw, Sequence) or isinstance(raw, str | bytes):
            self.refuse(path, f"must be a list of checks, got {short_repr(raw)}")
            return
        for index, node in enumerate(raw):
            self.node(node, f"{path}[{index}]", depth)

    def node(self, raw: object, path: str, depth: int) -> None:
        self.seen += 1
        if self.seen > MAX_NODES:
            return
        if not isinstance(raw, Mapping):
            remedy = "write {fact, operator, value}"
            self.refuse(path, f"must be a table, got {short_repr(raw)}; {remedy}")
        elif raw.get("op") is not None:
            self.branch(raw, path, depth)
        else:
            self.leaf(raw, path)

    def branch(self, raw: Mapping[str, object], path: str, depth: int) -> None:
        op = raw["op"]
        member = _CHILDREN.get(op) if isinstance(op, str) else None
        if member is None:
            self.refuse(field_path(path, "op"), f"is {short_repr(op)}; write AND, OR or NOT")
            return
        if depth >= MAX_DEPTH:
            self.refuse(path, f"is nested more than {MAX_DEPTH} deep; flatten the condition")
            return
        self._names(raw, path, ("op", member))
        if raw.get(member) is None:
            what = "one node" if op == "NOT" else "a list of nodes"
            self.refuse(field_path(path, member), f"is missing; {op} requires {what}")
        elif op == "NOT":
            self.node(raw[member], field_path(path, member), depth + 1)
        else:
            self.nodes(raw[member], field_path(path, member), depth + 1)

    def leaf(self, raw: Mapping[str, object], path: str) -> None:
        self._names(raw, path, _LEAF)
        fact, operator, value = raw.get("fact"), raw.get("operator"), raw.get("value")
        if fact is None:
            self.refuse(field_path(path, "fact"), "is missing; write the name of an action")
        elif problem := text_problem(fact, MAX_FACT_LENGTH):
            self.refuse(field_path(path, "fact"), problem)
        if operator is None:
            self.refuse(field_path(path, "operator"), "is missing; write " + _all_operators())
        elif not isinstance(operator, str) or operator not in OPERATORS:
            problem = f"is {short_repr(operator)}; write {_all_operators()}"
            self.refuse(field_path(path, "operator"), problem)
        elif problem := _value_problem(operator, value):
            self.refuse(field_path(path, "value"), problem)

    def _names(self, raw: Mapping[str, object], path: str, known: Sequence[str]) -> None:
        for name in raw:
            if name not in known:
                self.refuse(field_path(path, str(name)), unknown_name(name, known))


def _all_operators() -> str:
    return "one of " + ", ".join(OPERATORS)


def _value_problem(operator: str, value: object) -> str | None:
    """Return why this operator cannot have this value, or None."""
    if operator in SEEN:
        return None if value is None else f"is not allowed: `{operator}` has no value; remove it"
    if operator in COUNTS:
        wanted = "a whole number, 0 or more"
        ok = _is_count(value)
    elif operator in MATCH:
        wanted = "text, a number, true or false"
        ok = isinstance(value, str | bool) or _is_number(value)
    else:
        wanted = "a number without quotes"
        ok = _is_number(value)
    if value is None:
        return f"is missing; `{operator}` needs {wanted}"
    if ok and isinstance(value, str):
        return None if value == "" else text_problem(value, MAX_TEXT_LENGTH)
    return None if ok else f"is {short_repr(value)}; `{operator}` needs {wanted}"


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _is_count(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value < _MAX_COUNT and value == int(value)


def node_count(nodes: Sequence[Mapping[str, Any]]) -> int:
    """Return the number of checks and branches of a canonical condition."""
    inner = [[node["condition"]] if node.get("op") == "NOT" else node.get("conditions", []) for node in nodes]
    return len(nodes) + sum(node_count(some) for some in inner)


def canonical(raw: object) -> list[dict[str, Any]]:
    """Return the canonical form of a valid condition: a list of nodes with canonical numbers."""
    if isinstance(raw, Mapping):
        return [_canonical_node(raw)]
    assert isinstance(raw, Sequence)
    return [_canonical_node(node) for node in raw]


def _canonical_node(raw: Mapping[str, Any]) -> dict[str, Any]:
    if raw.get("op") is None:
        leaf = {"fact": raw["fact"], "operator": raw["operator"]}
        if raw["operator"] not in SEEN:
            value = raw["value"]
            leaf["value"] = value if isinstance(value, str | bool) else spelling.number(value)
        return leaf
    if raw["op"] == "NOT":
        return {"op": "NOT", "condition": _canonical_node(raw["condition"])}
    return {"op": raw["op"], "conditions": [_canonical_node(node) for node in raw["conditions"]]}


def condition_text(raw: object) -> str:
    """Return a valid condition as text."""
    return nodes_text(canonical(raw))


def nodes_text(nodes: Sequence[Mapping[str, Any]]) -> str:
    """Return canonical nodes as text. The content of leaves is not validated."""
    return _nodes_text(nodes, "and", "always")


def _nodes_text(nodes: Sequence[Mapping[str, Any]], between: str, empty: str) -> str:
    parts = [_node_text(node, alone=len(nodes) == 1) for node in nodes]
    return f" {between} ".join(parts) if parts else empty


def _node_text(node: Mapping[str, Any], *, alone: bool) -> str:
    if "op" not in node:
        return leaf_text(node["fact"], node["operator"], node.get("value"))
    if node["op"] == "NOT":
        return f"not ({_node_text(node['condition'], alone=True)})"
    if node["op"] == "AND":
        inner = _nodes_text(node["conditions"], "and", "always")
    else:
        inner = _nodes_text(node["conditions"], "or", "never")
    return inner if alone or len(node["conditions"]) < 2 else f"({inner})"


def leaf_text(fact: str, operator: str, value: object) -> str:
    """Return a leaf as text."""
    if operator == "seen":
        return f"`{fact}` was seen"
    if operator == "not seen":
        return f"`{fact}` was not seen"
    if operator in COUNTS:
        times = "time" if value == 1 else "times"
        return f"`{fact}` was seen {_COUNT_WORDS[operator]} {value} {times}"
    if operator == "match":
        return f"the latest value of `{fact}` is {short_repr(value)}"
    if operator in COMPARISONS:
        return f"the latest value of `{fact}` is {_COMPARE_WORDS[operator]} {value}"
    otherwise = _NEGATED_WORDS[operator]
    return f"the latest value of `{fact}` is missing, not a number or {otherwise} {value}"
