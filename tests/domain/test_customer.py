"""Customers: what is said of one, and what was agreed with it alone."""

from typing import Any

import pytest

from tests.support.conditions import leaf
from witnd.domain.catalogue.customer import MAX_OWN_TERMS, Customer, read_customer

CLOSED = leaf("closed", "seen")


def read(**raw: Any) -> dict[str, Any]:
    content, wrong = read_customer("acme", raw, "customers[0]")
    assert wrong == []
    return content


def mistakes(**raw: Any) -> dict[str, str]:
    return {one.path: one.message for one in read_customer("acme", raw, "customers[0]")[1]}


def price(agent: str = "support", **changes: Any) -> dict[str, Any]:
    return {"agent": agent, "price_per_unit": "0.50"} | changes


def test_a_customer_without_agreements_is_as_small_as_ever() -> None:
    plain = {"name": "acme", "email": None, "rate_card": None}
    assert read() == read(entries=[], agents=[]) == read(entries=None, agents=None) == plain
    acme = Customer.from_content("acme", plain)
    assert (acme.entries, acme.terms) == (None, None)


def test_its_own_entries_are_those_of_a_rate_card_in_order_of_agents() -> None:
    tiers = [{"up_to": "10", "price_per_unit": "2.0"}, {"price_per_unit": "1"}]
    content = read(
        rate_card="standard",
        entries=[price("support"), price("sales", kind="volume", tiers=tiers) | {"price_per_unit": None}],
    )
    assert content["entries"] == [
        {
            "agent": "sales",
            "kind": "volume",
            "tiers": [{"up_to": "10", "price_per_unit": "2"}, {"price_per_unit": "1"}],
        },
        {"agent": "support", "kind": "flat", "price_per_unit": "0.5"},
    ]
    assert set(Customer.from_content("acme", content).entries or ()) == {"sales", "support"}


def test_its_own_terms_have_only_what_is_given_in_canonical_form() -> None:
    content = read(
        agents=[
            {"agent": "support", "settlement_period": 60.0, "condition": [leaf("csat", "gte", 3.0)]},
            {"agent": "sales", "name": "Sales for Acme", "condition": None},
            {"agent": "ops", "attribution_method": "sum"},
            {"agent": "free", "condition": []},
        ]
    )
    assert content["agents"] == [
        {"agent": "free", "condition": []},
        {"agent": "ops", "attribution_method": "sum"},
        {"agent": "sales", "name": "Sales for Acme"},
        {"agent": "support", "settlement_period": 60, "condition": [leaf("csat", "gte", 3)]},
    ]


def test_its_own_entries_need_a_card_for_their_currency() -> None:
    found = mistakes(entries=[price()])
    assert list(found) == ["customers[0].rate_card"]
    assert "name the card in whose currency" in found["customers[0].rate_card"]
    assert set(mistakes(entries=[price(price_per_unit="-1")])) == {
        "customers[0].rate_card",
        "customers[0].entries[0].price_per_unit",
    }


def test_terms_that_give_nothing_are_a_mistake() -> None:
    for raw in ({"agent": "support"}, {"agent": "support", "condition": None}):
        found = mistakes(agents=[raw])
        assert list(found) == ["customers[0].agents[0]"]
        assert "write one of name, settlement_period, attribution_method, condition" in found["customers[0].agents[0]"]


@pytest.mark.parametrize("what", ["entries", "agents"])
def test_one_agent_is_spoken_of_once(what: str) -> None:
    twice = [price(), price()] if what == "entries" else [{"agent": "support", "name": n} for n in ("a", "b")]
    found = mistakes(**{"rate_card": "standard", what: twice})
    assert list(found) == [f"customers[0].{what}[1].agent"]
    assert "must not be repeated" in found[f"customers[0].{what}[1].agent"]


def test_every_mistake_is_told_at_once_with_its_path() -> None:
    found = mistakes(
        email="nobody",
        rate_card=3,
        entries=[price(price_per_unit=1), {"agent": "sales", "kind": "volume", "tiers": [{"price_per_unit": "x"}]}],
        agents=[
            {"settlement_period": 0, "attribution_method": "average", "setlement": 1},
            {"agent": "sales", "condition": [CLOSED, leaf("csat", "gte", "3")]},
            "ops",
        ],
    )
    assert set(found) == {
        "customers[0].email",
        "customers[0].rate_card",
        "customers[0].entries[0].price_per_unit",
        "customers[0].entries[1].tiers[0].price_per_unit",
        "customers[0].agents[0].agent",
        "customers[0].agents[0].settlement_period",
        "customers[0].agents[0].attribution_method",
        "customers[0].agents[0].setlement",
        "customers[0].agents[1].condition[1].value",
        "customers[0].agents[2]",
    }


@pytest.mark.parametrize("value", ["support", 3, {"agent": "support"}, b"x"])
@pytest.mark.parametrize("what", ["entries", "agents"])
def test_what_is_no_list_is_one_mistake(what: str, value: object) -> None:
    assert list(mistakes(**{"rate_card": "standard", what: value})) == [f"customers[0].{what}"]


def test_more_terms_than_anybody_reads_are_refused() -> None:
    many = [{"agent": f"a{number}", "name": "x"} for number in range(MAX_OWN_TERMS + 1)]
    assert list(mistakes(agents=many)) == ["customers[0].agents"]
    assert mistakes(agents=many[:-1]) == {}
