"""The contract of an agent: defaults, limits, and its address."""

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.conditions import conditions, leaf
from witnd.domain.catalogue.contract import Contract, read_agent

SEEN = [leaf("replied", "seen")]


def contract(**changes: Any) -> Contract:
    content, wrong = read_agent("support", {"condition": SEEN} | changes, "agents[0]")
    assert wrong == []
    return Contract.from_content("support", content)


def shuffled(value: Any) -> Any:
    """The same JSON with the members of every object in the opposite order."""
    if isinstance(value, dict):
        return {name: shuffled(value[name]) for name in reversed(value)}
    return [shuffled(inner) for inner in value] if isinstance(value, list) else value


def test_only_the_condition_must_be_given() -> None:
    found = contract()
    assert (found.agent, found.name) == ("support", "support")
    assert (found.settlement_period, found.settlement_ms) == (259_200, 259_200_000)
    assert found.attribution_method == "last"
    assert found.rule.facts == ("replied",)


def test_the_hash_is_the_sha_256_of_the_canonical_json() -> None:
    text = (
        '{"agent":"support","attribution_method":"sum","condition":[{"fact":"é","operator":"gte",'
        '"value":3}],"name":"Support","settlement_period":60}'
    )
    found = contract(
        name="Support",
        settlement_period=60.0,
        attribution_method="sum",
        condition=[leaf("é", "gte", 3.0)],
    )
    assert found.hash == sha256(text.encode()).hexdigest()


@given(conditions)
def test_the_hash_does_not_depend_on_the_order_of_members(raw: list[Any]) -> None:
    assert contract(condition=raw).hash == contract(condition=shuffled(raw)).hash
    assert contract(condition=json.loads(json.dumps(raw))) == contract(condition=raw)


@given(st.data())
def test_another_content_has_another_hash(data: st.DataObject) -> None:
    changes = {
        "name": "other",
        "settlement_period": 1,
        "attribution_method": "first",
        "condition": [],
    }
    name = data.draw(st.sampled_from(sorted(changes)))
    assert contract(**{name: changes[name]}) != contract()
    assert Contract.from_content("other", contract().content) != contract()


def test_equal_content_is_the_same_contract() -> None:
    assert contract() == contract(name="support", settlement_period=259_200)
    assert len({contract(), contract()}) == 1


@pytest.mark.parametrize("period", [1, 15_552_000])
def test_the_period_lies_between_a_second_and_180_days(period: int) -> None:
    assert contract(settlement_period=period).settlement_ms == period * 1000


@pytest.mark.parametrize("period", [0, -1, 15_552_001, 1.5, True, "60", float("nan"), float("inf"), 10**400, []])
def test_another_period_is_refused(period: object) -> None:
    raw = {"condition": [], "settlement_period": period}
    [found] = read_agent("support", raw, "agents[0]")[1]
    assert found.path == "agents[0].settlement_period"


def test_every_mistake_is_told_at_once() -> None:
    raw = {
        "name": "",
        "attribution_method": "average",
        "settlement_period": 0,
        "setlement": 1,
        "condition": [leaf("a", "seen"), leaf("a", "gte", "3")],
    }
    _, wrong = read_agent("support", raw, "agents[2]")
    assert {mistake.path for mistake in wrong} == {
        "agents[2].name",
        "agents[2].attribution_method",
        "agents[2].settlement_period",
        "agents[2].setlement",
        "agents[2].condition[1].value",
    }


def test_a_missing_condition_is_a_mistake() -> None:
    for raw in ({}, {"name": "x"}, {"condition": None}):
        assert [m.path for m in read_agent("support", raw, "")[1]] == ["condition"]


def test_what_is_no_table_is_one_mistake() -> None:
    assert [m.path for m in read_agent("support", "text", "agents[0]")[1]] == ["agents[0]"]


def test_a_contract_with_a_broken_condition_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="operator"):
        Contract(agent="a", name="a", condition=[{"fact": "x", "operator": "like"}])
