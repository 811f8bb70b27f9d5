"""Conditions and what they are asked about, made by Hypothesis."""

from typing import Any

from hypothesis import strategies as st

COUNTED = ("count_gte", "count_lte", "count_gt", "count_lt", "count_eq")
COMPARED = ("gte", "lte", "gt", "lt", "not gte", "not lte", "not gt", "not lt")

facts = st.sampled_from(["replied", "reopened", "csat", "a b", "ß"])
numbers = st.one_of(st.integers(-5, 5), st.floats(allow_nan=False, allow_infinity=False), st.integers()).filter(
    lambda n: abs(n) < 10**300
)
values = st.one_of(st.text(max_size=3), st.booleans(), numbers)


def leaf(fact: str, operator: str, *value: Any) -> dict[str, Any]:
    return {"fact": fact, "operator": operator, **({"value": value[0]} if value else {})}


leaves = st.one_of(
    st.builds(leaf, facts, st.sampled_from(["seen", "not seen"])),
    st.builds(leaf, facts, st.sampled_from(COUNTED), st.integers(0, 4)),
    st.builds(leaf, facts, st.just("match"), values),
    st.builds(leaf, facts, st.sampled_from(COMPARED), numbers),
)
nodes = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(
            lambda op, conditions: {"op": op, "conditions": conditions},
            st.sampled_from(["AND", "OR"]),
            st.lists(inner, max_size=3),
        ),
        inner.map(lambda node: {"op": "NOT", "condition": node}),
    ),
    max_leaves=6,
)
conditions = st.lists(nodes, max_size=6)
