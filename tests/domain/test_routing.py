"""Which agent an opening event belongs to, and in which order reasons to hold it are asked."""

from tests.support.catalogues import agent, catalogue, customer, rate_card
from tests.support.conditions import leaf
from witnd.domain.catalogue.catalogue import Catalogue, HeldReason
from witnd.domain.catalogue.routing import Terms, opening_terms


def terms(
    found: Catalogue, *, action: str = "replied", agent_key: str | None = None, at: int = 10
) -> Terms | HeldReason:
    return opening_terms(found, action=action, agent_key=agent_key, customer_key="acme", at=at)


def chosen(found: Catalogue, *, action: str = "replied", agent_key: str | None = None) -> str:
    """The agent's key, or the reason."""
    answer = terms(found, action=action, agent_key=agent_key)
    return answer.contract.agent if isinstance(answer, Terms) else str(answer)


BASE = (customer(), rate_card(prices={"support": "0.99", "sales": "5", "other": "1"}))
SUPPORT = agent("support", condition=[leaf("replied", "seen"), leaf("closed", "seen")])
SALES = agent("sales", condition=[leaf("signed", "seen"), leaf("closed", "seen")])


def test_a_named_agent_is_taken_whatever_its_condition_says() -> None:
    found = catalogue(*BASE, SUPPORT, SALES)
    assert chosen(found, action="replied", agent_key="sales") == "sales"


def test_a_named_agent_that_is_unknown_or_archived_holds_the_event() -> None:
    found = catalogue(*BASE, SUPPORT, agent("sales", archived=True))
    assert chosen(found, agent_key="nobody") == "UNKNOWN_AGENT"
    assert chosen(found, agent_key="sales") == "UNKNOWN_AGENT"


def test_the_only_agent_is_taken_whatever_its_condition_says() -> None:
    assert chosen(catalogue(*BASE, SUPPORT), action="unheard of") == "support"


def test_an_archived_agent_does_not_count() -> None:
    found = catalogue(*BASE, SUPPORT, agent("sales", archived=True))
    assert chosen(found, action="signed") == "support"


def test_the_only_agent_that_names_the_action_is_taken() -> None:
    found = catalogue(*BASE, SUPPORT, SALES)
    assert chosen(found, action="replied") == "support"
    assert chosen(found, action="signed") == "sales"


def test_an_action_that_several_or_no_agents_name_holds_the_event() -> None:
    found = catalogue(*BASE, SUPPORT, SALES)
    assert chosen(found, action="closed") == "AGENT_AMBIGUOUS"
    assert chosen(found, action="unheard of") == "AGENT_AMBIGUOUS"
    assert chosen(catalogue(*BASE)) == "AGENT_AMBIGUOUS"


def test_actions_are_compared_exactly() -> None:
    found = catalogue(*BASE, SUPPORT, SALES)
    assert chosen(found, action="Replied") == "AGENT_AMBIGUOUS"


def test_an_unknown_customer_holds_the_event_and_an_archived_one_does_not() -> None:
    assert chosen(catalogue(SUPPORT)) == "UNKNOWN_CUSTOMER"
    found = catalogue(*BASE, SUPPORT, customer(at=5, archived=True))
    assert chosen(found) == "support"


def test_reasons_are_asked_in_their_order() -> None:
    steps = [
        ("nobody", "UNKNOWN_CUSTOMER", []),
        ("nobody", "UNKNOWN_AGENT", [customer(rate_card=None)]),
        (None, "AGENT_AMBIGUOUS", []),
        (None, "NO_RATE_CARD", [SUPPORT]),
        (None, "NO_RATE_CARD", [customer(at=1)]),
        (None, "NO_PRICE", [rate_card(at=2, prices={})]),
        (None, "support", [rate_card(at=3)]),
    ]
    found = Catalogue()
    for agent_key, expected, entries in steps:
        for entry in entries:
            found.add(entry)
        assert chosen(found, agent_key=agent_key) == expected


def test_contract_and_price_are_those_in_force_at_the_instant() -> None:
    found = catalogue(
        *BASE,
        SUPPORT,
        agent("support", at=5, name="new"),
        rate_card(at=7, prices={"support": "2"}),
        customer(at=9, rate_card="vip"),
        rate_card("vip", at=9, prices={"support": "3"}),
    )
    seen = []
    for at in (4, 5, 7, 9):
        answer = terms(found, at=at)
        assert isinstance(answer, Terms)
        seen.append((answer.contract.name, str(answer.price.price_per_unit)))
    assert seen == [("support", "0.99"), ("new", "0.99"), ("new", "2"), ("new", "3")]


def test_before_the_first_version_everything_is_unknown() -> None:
    found = catalogue(customer(at=5), agent(at=5), rate_card(at=5))
    assert terms(found, at=4) is HeldReason.UNKNOWN_CUSTOMER
    assert isinstance(terms(found, at=5), Terms)
