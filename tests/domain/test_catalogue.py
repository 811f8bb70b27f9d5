"""Which version of what is in force when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.catalogues import agent, catalogue, customer, rate_card, rule
from tests.support.conditions import leaf
from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry, HeldReason
from witnd.domain.catalogue.customer import Customer


def the_customer(found: Catalogue, at: int = 10) -> Customer:
    acme = found.customer("acme", at)
    assert acme is not None
    return acme


def test_a_version_is_in_force_from_its_instant_until_the_next_one() -> None:
    found = catalogue(agent(at=5, name="old"), agent(at=9, name="new"))
    assert found.agent("support", 4) is None
    names = [found.agents(at)["support"].name for at in (5, 8, 9, 10**15)]
    assert names == ["old", "old", "new", "new"]


@given(st.lists(st.integers(0, 30), unique=True, max_size=8), st.integers(0, 31))
def test_the_version_in_force_is_the_last_one_that_began_whatever_the_order_of_writing(
    instants: list[int], at: int
) -> None:
    found = catalogue(*[customer(at=instant, name=f"from {instant}") for instant in instants])
    began = [instant for instant in instants if instant <= at]
    acme = found.customer("acme", at)
    assert (acme and acme.name) == (f"from {max(began)}" if began else None)
    later = [instant for instant in instants if instant > at]
    assert found.next_change_after(at) == (min(later) if later else None)
    assert found.last_effective == max(instants, default=0)
    assert found.revision == len(instants)
    assert [e.effective_from for e in found.versions("customer", "acme")] == sorted(instants)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20), st.booleans()), max_size=10))
def test_the_agents_in_force_are_those_of_each_agent_alone(
    changes: list[tuple[str, int, bool]],
) -> None:
    unique = {(key, at): archived for key, at, archived in changes}
    found = Catalogue()
    for (key, at), archived in unique.items():
        found.add(agent(key, at, name=f"{key}{at}", archived=archived))
        found.agents(at)  # what was answered before a change must not be answered after it
    for at in range(22):
        expected = {}
        for key in "abc":
            began = [instant for other, instant in unique if other == key and instant <= at]
            if began and not unique[key, max(began)]:
                expected[key] = f"{key}{max(began)}"
        assert {key: c.name for key, c in found.agents(at).items()} == expected


def test_two_versions_of_one_key_at_one_instant_are_refused() -> None:
    found = catalogue(customer(at=5))
    with pytest.raises(ValueError, match="already"):
        found.add(customer(at=5, name="other"))
    assert found.revision == 1
    found.add(customer("other", at=5))
    found.add(agent("acme", at=5))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="not a kind"):
        catalogue(CatalogueEntry(kind="invoice", key="a", effective_from=0, content={}))


def test_a_negative_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="1970"):
        catalogue(customer(at=-1))


def test_an_archived_agent_is_not_in_force_and_stays_known() -> None:
    found = catalogue(agent(at=0), agent(at=5, archived=True), agent(at=9))
    assert [found.agent("support", at) is not None for at in (4, 5, 8, 9)] == [
        True,
        False,
        False,
        True,
    ]
    assert list(found.agents(6)) == []


def test_an_archived_rate_card_still_prices_its_customers() -> None:
    found = catalogue(customer(), agent(), rate_card(), rate_card(at=5, archived=True))
    price = found.price(the_customer(found), "support", 6)
    assert not isinstance(price, HeldReason)


def test_an_archived_customer_is_told_as_such() -> None:
    found = catalogue(customer(), customer(at=5, archived=True))
    assert the_customer(found, 4).archived is False
    assert the_customer(found, 5).archived is True


def test_a_customer_without_a_card_in_force_has_no_rate_card() -> None:
    found = catalogue(customer(rate_card=None), rate_card(at=5))
    assert found.price(the_customer(found), "support", 9) is HeldReason.NO_RATE_CARD
    other = catalogue(customer(), rate_card(at=5))
    assert other.price(the_customer(other, 4), "support", 4) is HeldReason.NO_RATE_CARD


def test_a_card_without_an_entry_for_the_agent_has_no_price() -> None:
    found = catalogue(customer(), rate_card())
    assert found.price(the_customer(found), "sales", 0) is HeldReason.NO_PRICE


def test_a_price_is_that_of_the_card_version_in_force() -> None:
    found = catalogue(customer(), rate_card(), rate_card(at=5, prices={"support": "2"}))
    texts = []
    for at in (4, 5):
        price = found.price(the_customer(found), "support", at)
        assert not isinstance(price, HeldReason)
        texts.append(str(price.price_per_unit))
        assert found.price_by_hash(price.hash) is price
    assert texts == ["0.99", "2"]


def test_old_contracts_stay_readable_by_their_hash() -> None:
    found = catalogue(agent(name="old"), agent(at=5, name="new"), agent(at=6, archived=True))
    old = found.agent("support", 4)
    assert old is not None
    assert found.contract(old.hash) is old
    with pytest.raises(KeyError):
        found.contract("0" * 64)
    with pytest.raises(KeyError):
        found.price_by_hash("0" * 64)


def test_the_same_content_again_is_the_same_contract_object() -> None:
    found = catalogue(agent(), agent(at=5, name="other"), agent(at=6))
    assert found.agent("support", 0) is found.agent("support", 6)


def test_agents_are_found_by_the_actions_that_their_conditions_name() -> None:
    found = catalogue(
        agent("a", condition=[leaf("x", "seen"), {"op": "NOT", "condition": leaf("y", "seen")}]),
        agent("b", condition=[leaf("y", "gte", 1), leaf("y", "seen")]),
        agent("c", condition=[leaf("y", "seen")], archived=True),
    )
    plain = Customer(key="acme", name="acme")
    named = {action: [c.agent for c in found.agents_with_action(plain, action, 0)] for action in "xyz"}
    assert named == {"x": ["a"], "y": ["a", "b"], "z": []}


def test_rules_in_force_are_the_ones_not_archived_by_name() -> None:
    found = catalogue(rule("b"), rule("a", enabled=False), rule("c", at=5), rule("b", at=6, archived=True))
    assert [r.name for r in found.rules(4)] == ["a", "b"]
    assert [r.name for r in found.rules(5)] == ["a", "b", "c"]
    assert [r.name for r in found.rules(6)] == ["a", "c"]
    assert [r.enabled for r in found.rules(0)] == [False, True]


def test_entries_are_answered_by_key_and_instant() -> None:
    old, new = customer(at=1), customer(at=5, name="new")
    found = catalogue(old, new, customer("b"))
    assert found.keys("customer") == ["acme", "b"]
    assert found.entry("customer", "acme") == new
    assert found.entry("customer", "acme", 4) == old
    assert found.entry("customer", "acme", 0) is None
    assert found.entry("customer", "nobody") is None
    assert found.instants("customer", "acme") == (1, 5)
    assert found.versions("agent", "acme") == ()
