"""Compile a condition into closures, which are called for every event.

`counts[i]` and `values[i]` are the count and the latest value of `facts[i]`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from msgspec import Struct

from witnd.domain.catalogue.condition import COUNTS, SEEN, canonical, mistakes

Value: TypeAlias = str | bool | float
Test: TypeAlias = Callable[[list[int], list[Value | None]], bool]


class Leaf(Struct, frozen=True, kw_only=True):
    """A leaf, with its path in the canonical condition."""

    fact: str
    operator: str
    value: Value | None
    path: str


class Rule(Struct, frozen=True, kw_only=True, eq=False):
    """A compiled condition. `holds` is a function in a slot, because a method call is slower."""

    facts: tuple[str, ...]
    index: dict[str, int]
    wants_value: tuple[bool, ...]
    leaves: tuple[Leaf, ...]
    holds: Test
    tests: tuple[Test, ...]
    grades: tuple[Test, ...] = ()  # the test of each grade, in order

    def truth(self, counts: list[int], values: list[Value | None]) -> tuple[bool, ...]:
        """Return the result of each leaf, in order."""
        return tuple([test(counts, values) for test in self.tests])


def compile_condition(raw: object) -> Rule:
    """Return the rule of a condition. Raises ValueError with all mistakes."""
    wrong = mistakes(raw)
    if wrong:
        raise ValueError("; ".join(str(mistake) for mistake in wrong))
    compiler = _Compiler()
    return compiler.rule(_all_of([compiler.node(n, f"condition[{i}]") for i, n in enumerate(canonical(raw))]))


def compile_grades(conditions: Sequence[object]) -> Rule:
    """Return the rule of grades, each with a canonical condition. It holds while any of them holds."""
    compiler = _Compiler()
    grades = [
        _all_of([compiler.node(node, f"grades[{g}].condition[{i}]") for i, node in enumerate(canonical(raw))])
        for g, raw in enumerate(conditions)
    ]
    return compiler.rule(_any_of(grades), tuple(grades))


class _Compiler:
    """Builds the closures and collects facts and leaves."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}
        self.valued: set[str] = set()
        self.leaves: list[Leaf] = []
        self.tests: list[Test] = []

    def rule(self, holds: Test, grades: tuple[Test, ...] = ()) -> Rule:
        return Rule(
            facts=tuple(self.index),
            index=self.index,
            wants_value=tuple(fact in self.valued for fact in self.index),
            leaves=tuple(self.leaves),
            holds=holds,
            tests=tuple(self.tests),
            grades=grades,
        )

    def node(self, node: Mapping[str, Any], path: str) -> Test:
        if "op" not in node:
            return self.leaf(node, path)
        if node["op"] == "NOT":
            return _not(self.node(node["condition"], f"{path}.condition"))
        inner = [self.node(n, f"{path}.conditions[{i}]") for i, n in enumerate(node["conditions"])]
        return _all_of(inner) if node["op"] == "AND" else _any_of(inner)

    def leaf(self, node: Mapping[str, Any], path: str) -> Test:
        fact, operator, value = node["fact"], node["operator"], node.get("value")
        at = self.index.setdefault(fact, len(self.index))
        if operator in SEEN or operator in COUNTS:
            test = _count_test(operator, at, value)
        else:
            self.valued.add(fact)
            test = _value_test(operator, at, value)
        self.leaves.append(Leaf(fact=fact, operator=operator, value=value, path=path))
        self.tests.append(test)
        return test


def _count_test(operator: str, i: int, n: Any) -> Test:
    tests: dict[str, Test] = {
        "seen": lambda c, _: c[i] > 0,
        "not seen": lambda c, _: c[i] == 0,
        "count_gte": lambda c, _: c[i] >= n,
        "count_lte": lambda c, _: c[i] <= n,
        "count_gt": lambda c, _: c[i] > n,
        "count_lt": lambda c, _: c[i] < n,
        "count_eq": lambda c, _: c[i] == n,
    }
    return tests[operator]


def _value_test(operator: str, i: int, value: Any) -> Test:
    """Return the test of a value. All numbers are floats here, so the type distinguishes them from booleans and
    text."""
    if operator == "match":
        if isinstance(value, bool):
            return lambda _, v: v[i] is value
        if isinstance(value, str):
            return lambda _, v: v[i] == value
    n = float(value)
    tests: dict[str, Test] = {
        "match": lambda _, v: type(x := v[i]) is float and x == n,
        "gte": lambda _, v: type(x := v[i]) is float and x >= n,
        "lte": lambda _, v: type(x := v[i]) is float and x <= n,
        "gt": lambda _, v: type(x := v[i]) is float and x > n,
        "lt": lambda _, v: type(x := v[i]) is float and x < n,
        "not gte": lambda _, v: not (type(x := v[i]) is float and x >= n),
        "not lte": lambda _, v: not (type(x := v[i]) is float and x <= n),
        "not gt": lambda _, v: not (type(x := v[i]) is float and x > n),
        "not lt": lambda _, v: not (type(x := v[i]) is float and x < n),
    }
    return tests[operator]


def _not(test: Test) -> Test:
    return lambda c, v: not test(c, v)


def _all_of(tests: Sequence[Test]) -> Test:
    """Return the conjunction of tests. Unrolled for common sizes, because a loop takes as long as the tests
    themselves."""
    match tests:
        case []:
            return lambda _c, _v: True
        case [one]:
            return one
        case [one, two]:
            return lambda c, v: one(c, v) and two(c, v)
        case [one, two, three]:
            return lambda c, v: one(c, v) and two(c, v) and three(c, v)
        case [one, two, three, four]:
            return lambda c, v: one(c, v) and two(c, v) and three(c, v) and four(c, v)
    several = tuple(tests)

    def holds(counts: list[int], values: list[Value | None]) -> bool:
        for test in several:  # noqa: SIM110  (`all` over a generator takes twice as long)
            if not test(counts, values):
                return False
        return True

    return holds


def _any_of(tests: Sequence[Test]) -> Test:
    match tests:
        case []:
            return lambda _c, _v: False
        case [one]:
            return one
        case [one, two]:
            return lambda c, v: one(c, v) or two(c, v)
        case [one, two, three]:
            return lambda c, v: one(c, v) or two(c, v) or three(c, v)
    several = tuple(tests)

    def holds(counts: list[int], values: list[Value | None]) -> bool:
        return any(test(counts, values) for test in several)

    return holds
