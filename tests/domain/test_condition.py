"""What a billable condition may look like, and what is said about one that may not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.conditions import COMPARED, COUNTED, conditions, leaf
from witnd.domain.catalogue import condition as conditions_
from witnd.domain.catalogue.condition import canonical, condition_text, mistakes

anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.binary()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["fact", "operator", "value", "op", "condition", "conditions", "x"]),
            st.one_of(inner, st.sampled_from([*conditions_.OPERATORS, "AND", "OR", "NOT"])),
            max_size=4,
        ),
    ),
    max_leaves=12,
)


def paths(raw: object) -> list[str]:
    return [mistake.path for mistake in mistakes(raw)]


def nested(depth: int) -> dict[str, object]:
    node: dict[str, object] = leaf("a", "seen")
    for _ in range(depth):
        node = {"op": "NOT", "condition": node}
    return node


def test_there_are_sixteen_operators() -> None:
    assert len(set(conditions_.OPERATORS)) == 16


@given(conditions)
def test_every_well_formed_condition_is_accepted(raw: list[object]) -> None:
    assert mistakes(raw) == []


@given(anything)
def test_the_check_ends_with_an_answer_for_any_value_and_what_it_accepts_is_usable(
    raw: object,
) -> None:
    if not mistakes(raw):
        json.dumps(canonical(raw), allow_nan=False).encode()
        assert condition_text(raw)


def test_the_empty_list_is_a_condition() -> None:
    assert mistakes([]) == []
    assert condition_text([]) == "always"


@pytest.mark.parametrize("operator", ["seen", "not seen"])
def test_an_operator_that_takes_no_value_refuses_one(operator: str) -> None:
    assert mistakes([leaf("a", operator)]) == []
    assert mistakes([leaf("a", operator, None)]) == []
    assert paths([leaf("a", operator, 1)]) == ["condition[0].value"]


@pytest.mark.parametrize("operator", [*COUNTED, "match", *COMPARED])
def test_an_operator_that_needs_a_value_misses_it(operator: str) -> None:
    found = mistakes([leaf("a", operator)])
    assert [m.path for m in found] == ["condition[0].value"]
    assert "missing" in found[0].message


@pytest.mark.parametrize("operator", COUNTED)
@pytest.mark.parametrize("value", [-1, 1.5, True, "3", float("nan"), float("inf"), 2**53, []])
def test_a_count_is_a_whole_number_from_zero(operator: str, value: object) -> None:
    assert paths([leaf("a", operator, value)]) == ["condition[0].value"]
    assert mistakes([leaf("a", operator, 0)]) == []
    assert mistakes([leaf("a", operator, 3.0)]) == []


@pytest.mark.parametrize("operator", COMPARED)
@pytest.mark.parametrize("value", [True, "3", float("nan"), float("-inf"), 10**400, {}])
def test_a_comparison_takes_only_numbers_that_fit_a_finite_double(operator: str, value: object) -> None:
    assert paths([leaf("a", operator, value)]) == ["condition[0].value"]


@pytest.mark.parametrize("value", ["", "pass", True, 0, -2.5])
def test_match_takes_text_numbers_and_booleans(value: object) -> None:
    assert mistakes([leaf("a", "match", value)]) == []


@pytest.mark.parametrize("value", [[], {}, float("nan"), "\ud800", 10**400, "x" * (2**18 + 1)])
def test_match_refuses_the_rest(value: object) -> None:
    assert paths([leaf("a", "match", value)]) == ["condition[0].value"]


@pytest.mark.parametrize("operator", ["like", "not  gte", "not_gte", "NOT SEEN", "", 3, None])
def test_an_unknown_operator_is_refused_with_the_known_ones(operator: object) -> None:
    found = mistakes([{"fact": "a", "operator": operator}])
    assert [m.path for m in found] == ["condition[0].operator"]
    assert "not gte" in found[0].message


@pytest.mark.parametrize("fact", ["", "x" * 256, 3, None, "\ud800"])
def test_a_fact_has_1_to_255_characters(fact: object) -> None:
    assert paths([{"fact": fact, "operator": "seen"}]) == ["condition[0].fact"]
    assert mistakes([leaf("€" * 255, "seen")]) == []


def test_every_mistake_is_told_at_once_with_its_path() -> None:
    raw = [
        leaf("a", "seen"),
        {
            "op": "OR",
            "conditions": [leaf("a", "gte"), {"op": "NOT", "condition": leaf("", "seen")}],
        },
        {"fact": "a", "operator": "seen", "vlaue": 1},
        {"op": "XOR", "conditions": []},
        {"op": "NOT"},
        {"op": "AND", "conditions": {}},
        {"op": "AND", "conditions": [], "fact": "a"},
        "a",
    ]
    assert paths(raw) == [
        "condition[1].conditions[0].value",
        "condition[1].conditions[1].condition.fact",
        "condition[2].vlaue",
        "condition[3].op",
        "condition[4].condition",
        "condition[5].conditions",
        "condition[6].fact",
        "condition[7]",
    ]


def test_a_misspelled_field_is_answered_with_the_nearest_known_one() -> None:
    [found] = mistakes([{"fact": "a", "operator": "seen", "vlaue": 1}])
    assert "did you mean value?" in found.message


def test_operators_nest_16_deep_and_no_deeper() -> None:
    assert mistakes([nested(16)]) == []
    [found] = mistakes([nested(17)])
    assert found.path == "condition[0]" + ".condition" * 16


def test_a_condition_has_at_most_a_thousand_checks() -> None:
    assert mistakes([leaf("a", "seen")] * 1000) == []
    assert paths([leaf("a", "seen")] * 1001) == ["condition"]


def test_a_single_node_stands_for_the_list_of_it() -> None:
    assert mistakes(nested(1)) == []
    assert canonical(nested(1)) == [nested(1)]
    assert mistakes({"fact": "a"}) != []


def test_the_canonical_form_has_one_spelling_for_a_number() -> None:
    raw = [leaf("a", "gte", 3.0), leaf("a", "match", -0.0), leaf("a", "seen", None)]
    assert json.dumps(canonical(raw)) == json.dumps([leaf("a", "gte", 3), leaf("a", "match", 0), leaf("a", "seen")])
    assert canonical([leaf("a", "gte", 10**22)]) == canonical([leaf("a", "gte", 1e22)])
    assert canonical([leaf("a", "match", True)])[0]["value"] is True


@given(conditions)
def test_the_canonical_form_is_canonical_already(raw: list[object]) -> None:
    once = canonical(raw)
    assert json.dumps(canonical(once)) == json.dumps(once)
    assert mistakes(once) == []


def test_a_condition_reads_in_plain_words() -> None:
    raw = [
        leaf("replied", "seen"),
        {"op": "OR", "conditions": [leaf("csat", "not lte", 3), leaf("vip", "match", True)]},
        {"op": "NOT", "condition": leaf("reopened", "count_gte", 1)},
    ]
    assert condition_text(raw) == (
        "`replied` was seen and (the latest value of `csat` is missing, not a number or above 3 or "
        "the latest value of `vip` is true) and not (`reopened` was seen at least 1 time)"
    )
    assert condition_text([{"op": "OR", "conditions": []}]) == "never"
