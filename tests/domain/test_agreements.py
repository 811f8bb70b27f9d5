"""Terms and prices of one customer alone: in force by instant, found by their digests, nobody else's."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support.catalogues import agent, catalogue, customer, rate_card
from tests.support.conditions import leaf
from witnd.domain.catalogue.agreements import Agreements
from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry, HeldReason
from witnd.domain.catalogue.contract import Contract
from witnd.domain.catalogue.routing import Terms, opening_terms

AGENTS = ("support", "sales", "ops")
ACTIONS = ("replied", "signed", "closed")
CUSTOMERS = ("acme", "globex")
INSTANTS = range(6)


def opened(found: Catalogue, at: int = 0, **asked: Any) -> Terms:
    terms = opening_terms(
        found, **({"action": "replied", "agent_key": "support", "customer_key": "acme"} | asked), at=at
    )
    assert isinstance(terms, Terms), terms
    return terms


def price(units: str, agent: str = "support") -> dict[str, str]:
    return {"agent": agent, "price_per_unit": units}


# -- prices -----------------------------------------------------------------------------------------------------------


def test_an_own_entry_goes_before_the_cards_in_the_cards_currency() -> None:
    card = rate_card(currency="JPY", prices={"support": "10", "sales": "20"})
    found = catalogue(customer(entries=[price("7")]), customer("globex"), agent(), agent("sales"), card)
    own, shared = opened(found).price, opened(found, customer_key="globex").price
    assert (str(own.price_per_unit), own.currency, own.exponent, own.rate_card) == ("7", "JPY", 0, "standard")
    assert (own.customer, shared.customer) == ("acme", None)
    assert str(shared.price_per_unit) == "10"
    assert str(opened(found, agent_key="sales").price.price_per_unit) == "20"


def test_an_own_entry_is_enough_where_the_card_has_none() -> None:
    found = catalogue(customer(entries=[price("7")]), agent(), rate_card(prices={}))
    assert str(opened(found).price.price_per_unit) == "7"


def test_an_own_entry_without_a_card_in_force_has_no_rate_card() -> None:
    found = catalogue(customer(entries=[price("7")]), agent(), rate_card(at=5))
    assert opening_terms(found, action="x", agent_key=None, customer_key="acme", at=4) is HeldReason.NO_RATE_CARD
    assert str(opened(found, at=5).price.price_per_unit) == "7"


def test_own_entries_follow_the_versions_of_customer_and_card() -> None:
    found = catalogue(
        agent(),
        customer(entries=[price("7")]),
        rate_card(),
        rate_card(at=2, currency="USD"),
        customer(at=4, entries=[price("8")]),
        customer(at=6),
    )
    seen = [opened(found, at=at).price for at in (0, 2, 4, 6)]
    assert [(str(one.price_per_unit), one.currency) for one in seen] == [
        ("7", "EUR"),
        ("7", "USD"),
        ("8", "USD"),
        ("0.99", "USD"),
    ]
    assert len({one.hash for one in seen}) == 4


def test_the_same_entry_of_two_customers_is_two_prices_and_of_one_customer_one() -> None:
    found = catalogue(
        agent(),
        rate_card(),
        customer(entries=[price("7")]),
        customer("globex", entries=[price("7")]),
        customer(at=4, entries=[price("7"), price("1", "sales")]),
    )
    assert opened(found).price.hash != opened(found, customer_key="globex").price.hash
    assert opened(found).price is opened(found, at=4).price


# -- terms ------------------------------------------------------------------------------------------------------------


def test_what_own_terms_leave_out_follows_the_agents_version_in_force() -> None:
    found = catalogue(
        rate_card(),
        agent(settlement_period=10, attribution_method="sum"),
        customer(agents=[{"agent": "support", "settlement_period": 99}]),
        agent(at=2, settlement_period=20, attribution_method="max", name="Second"),
        customer(at=4, agents=[{"agent": "support", "name": "For Acme", "condition": [leaf("closed", "seen")]}]),
        customer(at=6),
    )
    seen = [opened(found, at=at).contract for at in (0, 2, 4, 6)]
    assert [(c.name, c.settlement_period, c.attribution_method, c.rule.facts) for c in seen] == [
        ("support", 99, "sum", ("replied",)),
        ("Second", 99, "max", ("replied",)),
        ("For Acme", 20, "max", ("closed",)),
        ("Second", 20, "max", ("replied",)),
    ]
    assert seen[0].settlement_ms == 99_000
    assert seen[3] is found.agent("support", 6)
    assert len({one.hash for one in seen}) == 4


def test_own_terms_that_say_what_the_agent_says_are_its_contract() -> None:
    found = catalogue(rate_card(), agent(), customer(agents=[{"agent": "support", "name": "support"}]))
    assert opened(found).contract is found.agent("support", 0)


def test_customers_who_agreed_the_same_share_a_contract() -> None:
    own = {"agents": [{"agent": "support", "settlement_period": 99}]}
    found = catalogue(rate_card(), agent(), customer(**own), customer("globex", **own))
    assert opened(found).contract is opened(found, customer_key="globex").contract


def test_own_terms_bring_no_agent_into_force() -> None:
    own = customer(agents=[{"agent": "support", "name": "x"}, {"agent": "nobot", "name": "x"}])
    found = catalogue(rate_card(), agent(archived=True), agent("sales"), own)
    for key in ("support", "nobot"):
        answer = opening_terms(found, action="x", agent_key=key, customer_key="acme", at=0)
        assert answer is HeldReason.UNKNOWN_AGENT


# -- routing ----------------------------------------------------------------------------------------------------------

SUPPORT = agent(condition=[leaf("replied", "seen"), leaf("closed", "seen")])
SALES = agent("sales", condition=[leaf("signed", "seen"), leaf("closed", "seen")])
CARD = rate_card(prices={"support": "1", "sales": "1", "ops": "1"})


@pytest.mark.parametrize(
    ("own", "action", "everybody", "acme"),
    [
        ({"condition": [leaf("replied", "seen")]}, "closed", "AGENT_AMBIGUOUS", "sales"),
        ({"condition": [leaf("signed", "seen")]}, "signed", "sales", "AGENT_AMBIGUOUS"),
        ({"condition": [leaf("called", "seen")]}, "called", "AGENT_AMBIGUOUS", "support"),
        ({"condition": []}, "replied", "support", "AGENT_AMBIGUOUS"),
        ({"name": "Other"}, "replied", "support", "support"),
        ({"name": "Other"}, "closed", "AGENT_AMBIGUOUS", "AGENT_AMBIGUOUS"),
    ],
)
def test_an_own_condition_decides_which_agents_name_an_action(
    own: dict[str, Any], action: str, everybody: str, acme: str
) -> None:
    found = catalogue(CARD, SUPPORT, SALES, customer("globex"), customer(agents=[{"agent": "support"} | own]))

    def chosen(key: str) -> str:
        answer = opening_terms(found, action=action, agent_key=None, customer_key=key, at=0)
        return answer.contract.agent if isinstance(answer, Terms) else str(answer)

    assert (chosen("globex"), chosen("acme")) == (everybody, acme)


def test_what_routing_chose_by_its_own_condition_is_frozen_with_it() -> None:
    own = {"agent": "support", "name": "For Acme", "condition": [leaf("called", "seen")]}
    found = catalogue(CARD, SUPPORT, SALES, customer(agents=[own]))
    chosen = opened(found, action="called", agent_key=None).contract
    assert (chosen.name, chosen.rule.facts) == ("For Acme", ("called",))
    assert chosen is opened(found, action="x", agent_key="support").contract


# -- laws -------------------------------------------------------------------------------------------------------------

_condition = st.lists(st.sampled_from(ACTIONS), max_size=2).map(lambda facts: [leaf(fact, "seen") for fact in facts])
_given = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["A", "B"]),
        "settlement_period": st.integers(1, 2),
        "attribution_method": st.sampled_from(["first", "sum"]),
        "condition": _condition,
    },
).filter(bool)
_prices = st.dictionaries(st.sampled_from(AGENTS), st.sampled_from("123"), max_size=2)
_instant = st.sampled_from(INSTANTS)


@st.composite
def versions(draw: st.DrawFn) -> list[CatalogueEntry]:
    """The history of a small catalogue in which both customers may have agreed something."""
    entries = []
    for key in AGENTS[: draw(st.integers(1, 3))]:
        for at in draw(st.sets(_instant, min_size=1, max_size=2)):
            archived = draw(st.integers(0, 4)) == 0
            entries += [agent(key, at, condition=draw(_condition), archived=archived)]
    for at in draw(st.sets(_instant, min_size=1, max_size=2)):
        entries += [rate_card(at=at, currency=draw(st.sampled_from(["EUR", "USD"])), prices=draw(_prices))]
    for key in CUSTOMERS:
        for at in draw(st.sets(_instant, min_size=1, max_size=3)):
            own = {
                "entries": [price(units, name) for name, units in draw(_prices).items()],
                "agents": [{"agent": name} | draw(_given) for name in draw(st.sets(st.sampled_from(AGENTS)))],
            }
            entries += [customer(key, at, **own)]
    return draw(st.permutations(entries))


Placing = tuple[str, str, str | None, int]
EVERY_PLACING: list[Placing] = list(product(CUSTOMERS, ACTIONS, [None, *AGENTS], INSTANTS))


def placed(found: Catalogue, asked: Placing) -> tuple[str, str] | HeldReason:
    customer_key, action, agent_key, at = asked
    terms = opening_terms(found, action=action, agent_key=agent_key, customer_key=customer_key, at=at)
    return (terms.contract.hash, terms.price.hash) if isinstance(terms, Terms) else terms


def without(entry: CatalogueEntry, *names: str) -> CatalogueEntry:
    """A customer's version as it would be if it had agreed nothing of that."""
    return replace(entry, content={name: value for name, value in entry.content.items() if name not in names})


@given(versions())
def test_what_one_customer_agreed_touches_no_other(entries: list[CatalogueEntry]) -> None:
    found = catalogue(*entries)
    bare = catalogue(*[without(one, "entries", "agents") if one.key == "acme" else one for one in entries])
    for asked in EVERY_PLACING:
        if asked[0] != "acme":
            assert placed(found, asked) == placed(bare, asked)


@given(versions())
def test_a_customer_is_placed_as_in_a_catalogue_whose_agents_are_as_it_agreed(entries: list[CatalogueEntry]) -> None:
    found = catalogue(*entries)
    for key, at in product(CUSTOMERS, INSTANTS):
        if (acme := found.entry("customer", key, at)) is None:
            continue
        agreed = {one["agent"]: one for one in acme.content.get("agents", ())}
        alone = catalogue(without(acme, "agents"))
        for kind, other in [("rate_card", "standard"), *[("agent", name) for name in AGENTS]]:
            if (entry := found.entry(kind, other, at)) is not None:
                changes = agreed.get(other, {}) if kind == "agent" else {}
                alone.add(without(replace(entry, content=entry.content | changes), "agent"))
        for action, agent_key in product(ACTIONS, [None, *AGENTS]):
            asked = (key, action, agent_key, at)
            assert placed(found, asked) == placed(alone, asked)


@given(versions(), st.data())
def test_a_catalogue_that_placed_nothing_finds_by_digest_all_that_another_one_froze(
    entries: list[CatalogueEntry], data: st.DataObject
) -> None:
    found = catalogue(*entries)
    frozen = [terms for asked in EVERY_PLACING if not isinstance(terms := placed(found, asked), HeldReason)]
    fresh = Catalogue()
    # Also one that was asked in vain while it had less.
    early = data.draw(st.integers(0, len(entries)))
    for entry in entries[:early]:
        fresh.add(entry)
    with pytest.raises(KeyError):
        fresh.contract("0" * 64)
    for entry in entries[early:]:
        fresh.add(entry)
    for contract, price_ in frozen:
        assert fresh.contract(contract).hash == contract
        assert fresh.price_by_hash(price_).hash == price_
    with pytest.raises(KeyError):
        fresh.price_by_hash("0" * 64)


# -- cost -------------------------------------------------------------------------------------------------------------


def test_customers_without_agreements_never_reach_what_is_made_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    found = catalogue(CARD, SUPPORT, SALES, customer(agents=[{"agent": "sales", "name": "x"}]), customer("globex"))
    for name in ("contract", "naming", "entries"):
        monkeypatch.setattr(Agreements, name, None)
    assert opened(found, customer_key="globex", agent_key=None).contract is found.agent("support", 0)


def test_what_was_agreed_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    own = [{"agent": "support", "condition": [leaf("called", "seen")]}]
    found = catalogue(CARD, SUPPORT, SALES, customer(agents=own, entries=[price("7")]))
    first = opened(found, action="called", agent_key=None)
    monkeypatch.setattr(Contract, "with_terms", None)
    monkeypatch.setattr("witnd.domain.catalogue.agreements.Price", None)
    again = opened(found, action="called", agent_key=None, at=99)
    assert (again.contract, again.price) == (first.contract, first.price)
    assert found.contract(first.contract.hash) is first.contract


def test_only_versions_that_were_in_force_together_are_made() -> None:
    found = catalogue(
        agent(),
        agent(at=10, name="b"),
        agent(at=20, name="c"),
        rate_card(),
        customer(at=5, agents=[{"agent": "support", "settlement_period": 5}]),
        customer(at=12, agents=[{"agent": "support", "settlement_period": 6}]),
        customer(at=14),
    )
    made: dict[str, Contract] = {}
    Agreements(made, {}).add_all(found._customers.values(), found._agents, found._rate_cards)
    assert sorted((c.name, c.settlement_period) for c in made.values()) == [("b", 5), ("b", 6), ("support", 5)]
