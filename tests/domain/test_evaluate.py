"""When a condition holds."""

import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.conditions import conditions, leaf
from witnd.domain.catalogue.condition import canonical
from witnd.domain.catalogue.evaluate import Rule, Value, compile_condition

COMPARE = {"gte": operator.ge, "lte": operator.le, "gt": operator.gt, "lt": operator.lt}

counts = st.integers(0, 4)
latest = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.booleans(),
    st.integers(-5, 5).map(float),
    st.floats(allow_nan=False, allow_infinity=False),
)


def holds(raw: object, *, count: int = 1, value: Value | None = None) -> bool:
    """A condition over one fact, given its count and latest value."""
    return compile_condition(raw).holds([count], [value])


def plainly(node: dict[str, Any], state: dict[str, tuple[int, Value | None]]) -> bool:
    """Section 5 of the contract, word for word."""
    if node.get("op") == "NOT":
        return not plainly(node["condition"], state)
    if "op" in node:
        answers = [plainly(inner, state) for inner in node["conditions"]]
        return all(answers) if node["op"] == "AND" else any(answers)
    count, value = state[node["fact"]]
    name, wanted = node["operator"], node.get("value")
    if name == "seen":
        return count > 0
    if name == "not seen":
        return count == 0
    if name == "count_eq":
        return count == wanted
    if name.startswith("count_"):
        return bool(COMPARE[name.removeprefix("count_")](count, wanted))
    if name == "match":
        same_kind = isinstance(value, bool) == isinstance(wanted, bool)
        same_text = isinstance(value, str) == isinstance(wanted, str)
        return value is not None and same_kind and same_text and value == wanted
    number = isinstance(value, float)
    if name.startswith("not "):
        return not (number and COMPARE[name.removeprefix("not ")](value, float(wanted)))
    return number and bool(COMPARE[name](value, float(wanted)))


@given(conditions, st.data())
def test_every_condition_holds_exactly_when_the_contract_says_so(raw: list[Any], data: st.DataObject) -> None:
    rule = compile_condition(raw)
    many = data.draw(st.lists(counts, min_size=len(rule.facts), max_size=len(rule.facts)))
    seen = [data.draw(latest) if count else None for count in many]
    state = {fact: (many[i], seen[i]) for fact, i in rule.index.items()}
    assert rule.holds(many, seen) is all(plainly(node, state) for node in canonical(raw))
    truth = rule.truth(many, seen)
    assert len(truth) == len(rule.leaves)
    for leaf_, answer in zip(rule.leaves, truth, strict=True):
        spelled = {"fact": leaf_.fact, "operator": leaf_.operator, "value": leaf_.value}
        assert answer is plainly(spelled, state)


def test_the_empty_condition_holds() -> None:
    rule = compile_condition([])
    assert rule.holds([], []) is True
    assert (rule.facts, rule.leaves, rule.truth([], [])) == ((), (), ())


def test_an_empty_and_is_true_and_an_empty_or_false() -> None:
    assert compile_condition([{"op": "AND", "conditions": []}]).holds([], []) is True
    assert compile_condition([{"op": "OR", "conditions": []}]).holds([], []) is False


@pytest.mark.parametrize(
    ("wanted", "value", "expected"),
    [
        (True, True, True),
        (True, 1.0, False),
        (1, True, False),
        (0, False, False),
        (False, 0.0, False),
        ("3", 3.0, False),
        (3, "3", False),
        (3, 3.0, True),
        (3.0, 3.0, True),
        ("pass", "pass", True),
        ("pass", "Pass", False),
        ("", "", True),
        ("", None, False),
        (False, None, False),
        (0, None, False),
    ],
)
def test_match_compares_without_coercion(wanted: object, value: Value, expected: bool) -> None:
    assert holds([leaf("a", "match", wanted)], value=value) is expected


@pytest.mark.parametrize("name", ["gte", "lte", "gt", "lt"])
@pytest.mark.parametrize("value", [None, "5", True, False])
def test_a_comparison_is_false_and_its_negation_true_where_there_is_no_number(name: str, value: Value | None) -> None:
    assert holds([leaf("a", name, 0)], value=value) is False
    assert holds([leaf("a", f"not {name}", 0)], value=value) is True
    assert holds([leaf("a", f"not {name}", 0)], count=0) is True


@pytest.mark.parametrize(
    ("name", "below", "equal", "above"),
    [
        ("gte", False, True, True),
        ("lte", True, True, False),
        ("gt", False, False, True),
        ("lt", True, False, False),
    ],
)
def test_comparisons_at_their_border(name: str, below: bool, equal: bool, above: bool) -> None:
    for value, expected in ((2.9, below), (3.0, equal), (3.1, above)):
        assert holds([leaf("a", name, 3)], value=value) is expected
        assert holds([leaf("a", f"not {name}", 3)], value=value) is not expected


def test_facts_are_in_order_of_first_appearance_and_tell_whether_a_value_is_read() -> None:
    rule = compile_condition(
        [
            leaf("b", "seen"),
            {"op": "NOT", "condition": leaf("a", "gte", 1)},
            leaf("b", "count_gte", 2),
            {"op": "OR", "conditions": [leaf("c", "not seen"), leaf("c", "match", "x")]},
        ]
    )
    assert rule.facts == ("b", "a", "c")
    assert rule.index == {"b": 0, "a": 1, "c": 2}
    assert rule.wants_value == (False, True, True)
    assert [leaf_.path for leaf_ in rule.leaves] == [
        "condition[0]",
        "condition[1].condition",
        "condition[2]",
        "condition[3].conditions[0]",
        "condition[3].conditions[1]",
    ]


def test_a_condition_with_mistakes_is_not_compiled() -> None:
    with pytest.raises(ValueError, match=r"condition\[0\]\.operator"):
        compile_condition([leaf("a", "like", 1)])


@pytest.mark.parametrize("length", range(9))
def test_a_list_of_any_length_is_the_and_of_its_leaves(length: int) -> None:
    rule: Rule = compile_condition([leaf(f"fact {i}", "seen") for i in range(length)])
    assert rule.holds([1] * length, [None] * length) is True
    for missing in range(length):
        many = [int(i != missing) for i in range(length)]
        assert rule.holds(many, [None] * length) is False
        assert rule.truth(many, [None] * length).count(False) == 1


def test_the_largest_condition_is_evaluated_without_deep_recursion() -> None:
    many = [leaf(f"fact {i}", "seen") for i in range(999)]
    for op in ("AND", "OR"):
        rule = compile_condition([{"op": op, "conditions": many}])
        assert rule.holds([1] * 999, [None] * 999) is True
