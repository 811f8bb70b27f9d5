"""The form of a condition: nothing is lost on the way through it, and its buttons do what they say."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from witnd.domain.catalogue.condition import OPERATORS, canonical, condition_text
from witnd.domain.catalogue.condition import mistakes as mistakes_of
from witnd.domain.values.mistake import Mistake
from witnd.web.dashboard.forms.choices import BY_NAME
from witnd.web.dashboard.forms.conditions import (
    Check,
    Group,
    Node,
    checks,
    condition_from_group,
    errors_by_field,
    field_label,
    group_from_condition,
    group_from_form,
    number_of,
    reading,
)
from witnd.web.dashboard.forms.reorder import apply_button

# What a browser changes in fields, and what must stay text.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12) | st.sampled_from(
    ["a\nb", "\r", "a\r\nb", "\0", '"', '"3"', " 3 ", "true", "\x85", "c.0.fact", "é", "😀", "`", "<b>", "…"]
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60)


def _leaf(operator: str) -> st.SearchStrategy[dict[str, Any]]:
    values: dict[str, st.SearchStrategy[Any]] = {"match": TEXTS | st.just("") | NUMBERS | st.booleans()}
    value = st.integers(0, 2**53 - 1) if operator.startswith("count") else values.get(operator, NUMBERS)
    members = {"fact": TEXTS, "operator": st.just(operator)}
    return st.fixed_dictionaries(members if operator.endswith("seen") else {**members, "value": value})


LEAVES = st.sampled_from(OPERATORS).flatmap(_leaf)
NODES = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(lambda op, nodes: {"op": op, "conditions": nodes}, st.sampled_from(["AND", "OR"]), st.lists(inner))
        | st.builds(lambda node: {"op": "NOT", "condition": node}, inner)
    ),
    max_leaves=12,
)


def fields(rule: Group) -> dict[str, str]:
    """The fields of a rule as a browser sends them, which has line ends of its own."""
    found = {"c.op": rule.op, "form_key": "x"}

    def add(node: Node, place: str) -> None:
        name = f"c.{place}"
        if isinstance(node, Group):
            found[f"{name}.op"] = node.op
            for number, one in enumerate(node.members):
                add(one, f"{place}.{number}" if place else str(number))
            return
        found[f"{name}.fact"], found[f"{name}.choice"], found[f"{name}.value"] = node.fact, node.choice, node.value
        if node.spelled:
            found[f"{name}.spelled"] = "yes"

    for number, one in enumerate(rule.members):
        add(one, str(number))
    assert not any(character < " " for text in found.values() for character in text)
    return found


@given(st.lists(NODES, max_size=4))
def test_every_condition_survives_the_form(raw: list[dict[str, Any]]) -> None:
    condition = canonical(raw)
    rule = group_from_condition(condition)
    again = group_from_form(fields(rule))
    assert again == rule
    found = condition_from_group(again)
    assert found.mistakes == []
    assert canonical(found.condition) == condition
    assert reading(again) == condition_text(condition)


def test_all_operators_can_be_chosen() -> None:
    assert {choice.operator for choice in BY_NAME.values()} == set(OPERATORS)
    assert len({choice.text for choice in BY_NAME.values()}) == len(BY_NAME)


def test_groups_as_deep_as_they_may_be_come_back() -> None:
    node: dict[str, Any] = {"fact": "a", "operator": "seen"}
    for _ in range(16):
        node = {"op": "AND", "conditions": [node]}
    assert mistakes_of([node]) == []
    assert canonical(condition_from_group(group_from_form(fields(group_from_condition([node])))).condition) == [node]


def test_a_thousand_checks_fit_into_a_form() -> None:
    condition = [{"fact": f"a{number}", "operator": "count_gt", "value": 3} for number in range(1000)]
    given_fields = fields(group_from_condition(condition))
    assert len(given_fields) < 4000
    assert condition_from_group(group_from_form(given_fields)).condition == condition


def test_alternatives_alone_are_the_outermost_group() -> None:
    condition: list[dict[str, Any]] = [{"op": "OR", "conditions": [{"fact": "a", "operator": "seen"}]}]
    rule = group_from_condition(condition)
    assert (rule.op, len(rule.members)) == ("OR", 1)
    assert condition_from_group(rule).condition == condition
    both = [*condition, {"fact": "b", "operator": "seen"}]
    assert group_from_condition(both).op == "AND"


def outline(text: str) -> str:
    """A reading without its words: names, gaps and brackets."""
    return "".join(re.findall(r"`[^`]*`|…|[()]", text))


def test_not_of_several_is_not_of_all_of_them() -> None:
    rule = group_from_form({"c.0.op": "NOT", "c.0.0.fact": "a", "c.0.1.fact": "b"})
    assert outline(reading(rule)) == "(`a``b`)"
    found = condition_from_group(rule)
    assert found.mistakes == []
    assert found.condition[0]["condition"]["op"] == "AND"


def test_fields_that_no_form_has_are_left_alone() -> None:
    strange = {"c.0.0.fact": "no group", "c.9999999.fact": "x", "c.x.fact": "y", "c.1.op": "XOR", "c.2.choice": "drop"}
    rule = group_from_form({**strange, "c.op": "NOT"})
    assert rule == Group(op="AND", members=[Group(op="AND"), Check()])


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3", 3), (" 3 ", 3), ("-2.5", -2.5), (".5", 0.5), ("1e3", 1000.0), ("+7", 7), ("9" * 17, float("9" * 17)),
        ("", None), ("3,5", None), ("three", None), ("1e999", None), ("9" * 500, None), ("٣", None), ("inf", None),
        ("nan", None), ("1_000", None), ("0x1", None),
    ],
)  # fmt: skip
def test_numbers_are_read_strictly(text: str, number: float | None) -> None:
    assert number_of(text) == number
    assert type(number_of(text)) is type(number)


def test_what_is_missing_or_wrong_is_told_at_its_field() -> None:
    rule = Group(
        members=[
            Check(choice="seen"),
            Group(op="OR", members=[Check(fact="a", choice="gte", value="lots"), Group(op="NOT")]),
            Check(fact="b", choice="count_eq", value="2.5"),
            Check(fact="x" * 300, choice="match text"),
            Check(fact="unquoted", choice="match text", value='"fine"', spelled=True),
        ]
    )
    found = condition_from_group(rule)
    problems = errors_by_field(found.mistakes, found.places)
    assert problems.keys() == {"c.0.fact", "c.1.0.value", "c.1.1", "c.2.value", "c.3.fact", "c.4.fact"}
    assert all(problems.values())
    numbers = sorted(field_label(one.path, found.places).split()[1] for one in found.mistakes)
    assert numbers == ["1", "2.1", "2.2", "3", "4", "5"]


def test_places_of_alternatives_are_found_too() -> None:
    found = condition_from_group(Group(op="OR", members=[Check(fact="a"), Check()]))
    assert [one.path for one in found.mistakes] == ["condition[0].conditions[1].fact"]
    assert errors_by_field(found.mistakes, found.places).keys() == {"c.1.fact"}
    assert errors_by_field([Mistake("condition", "too long"), Mistake("name", "is empty")], found.places) == {
        "c": "too long"
    }
    assert field_label("condition", found.places)
    assert field_label("name", found.places) == "name"


def test_the_reading_has_a_gap_where_nothing_is_written_yet() -> None:
    rule = Group(members=[Check(), Group(op="OR", members=[Check(fact="a", choice="gte"), Group(op="NOT")])])
    assert outline(reading(rule)) == "`…`(`a`…(`…`))"
    assert reading(Group()) != reading(Group(op="OR"))


def test_what_takes_no_value_ignores_the_one_that_was_typed() -> None:
    found = condition_from_group(Group(members=[Check(fact="a", choice="seen", value="left over")]))
    assert (found.condition, found.mistakes) == ([{"fact": "a", "operator": "seen"}], [])


# -- buttons ----------------------------------------------------------------------------------------------------------


def shape(group: Group) -> str:
    """`ALL(a OR(b c))` without the brackets of the outermost."""
    parts = [one.fact or "_" if isinstance(one, Check) else f"{one.op}({shape(one)})" for one in group.members]
    return " ".join(parts)


def rule_of(text: str) -> Group:
    """The reverse of `shape`."""
    stack = [Group()]
    for part in text.replace("(", " ( ").replace(")", " ) ").split():
        if part == ")":
            stack.pop()
        elif part in ("AND", "OR", "NOT"):
            group = Group(op=part)
            stack[-1].members.append(group)
            stack.append(group)
        elif part != "(":
            stack[-1].members.append(Check(fact=part))
    return stack[0]


@pytest.mark.parametrize(
    ("before", "do", "after"),
    [
        ("a", "check:", "a _"),
        ("a OR(b)", "check:1", "a OR(b _)"),
        ("a", "group:", "a OR(_)"),
        ("OR(a)", "group:0", "OR(a AND(_))"),
        ("a b c", "remove:1", "a c"),
        ("a OR(b c)", "remove:1", "a"),
        ("a OR(b c)", "remove:1.0", "a OR(c)"),
        ("a b c", "join:0", "OR(a b) c"),
        ("OR(a b)", "join:0.0", "OR(AND(a b))"),
        ("a OR(b c)", "join:0", "OR(a b c)"),
        ("OR(a b) c", "join:0", "OR(a b c)"),
        ("a NOT(b)", "join:0", "OR(a NOT(b))"),
        ("NOT(a) b", "join:0", "OR(NOT(a) b)"),
        ("a b", "join:1", "a b"),
        ("a OR(b c) d", "out:1.0", "a OR(c) b d"),
        ("OR(AND(a b))", "out:0.0.1", "OR(AND(a) b)"),
        ("NOT(AND(a b))", "out:0.0.0", "NOT(AND(AND(b) a))"),
        ("a", "out:0", "a"),
        ("a OR(b c) d", "ungroup:1", "a b c d"),
        ("a", "ungroup:0", "a"),
        ("NOT(a)", "check:0", "NOT(AND(a _))"),
        ("a", "remove:7", "a"),
        ("a", "remove:", "a"),
        ("a", "remove:0.0.0", "a"),
        ("a", "remove:-1", "a"),
        ("a", "remove:²", "a"),
        ("a", f"remove:{'9' * 5000}", "a"),
        ("a", "explode:0", "a"),
        ("a", "save", "a"),
        ("a", "", "a"),
    ],
)
def test_buttons_do_what_they_say(before: str, do: str, after: str) -> None:
    rule = rule_of(before)
    assert shape(rule) == before
    apply_button(rule, do)
    assert shape(rule) == after


def test_no_check_is_lost_by_moving() -> None:
    rule = rule_of("a OR(b AND(c d) NOT(e)) f")
    for do in ("join:0", "out:0.2.0", "join:0.0", "out:0.0", "join:0", "ungroup:0"):
        apply_button(rule, do)
        assert sorted(check.fact for check in checks(rule)) == list("abcdef"), do
