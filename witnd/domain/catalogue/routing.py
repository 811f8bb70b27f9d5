"""Which agent an opening event belongs to, and under which contract and price the outcome opens.

The event of an outcome that exists is not asked about here: it belongs to that outcome's agent.
"""

from typing import Final, TypeAlias

from msgspec import Struct

from witnd.domain.catalogue.catalogue import Catalogue, HeldReason
from witnd.domain.catalogue.contract import Contract
from witnd.domain.catalogue.customer import Customer
from witnd.domain.pricing.ratecard import Price

__all__ = ["ANY_AGENT", "HeldReason", "Need", "Terms", "needs", "needs_met_by", "opening_terms"]

# Something of the catalogue that an event waits for: a kind and a key.
Need: TypeAlias = tuple[str, str]
# What an event without an agent key waits for: any agent may be the one, or make it ambiguous.
ANY_AGENT: Final = ("agent", "")


class Terms(Struct, frozen=True, kw_only=True):
    """What an outcome freezes when it opens."""

    contract: Contract
    price: Price


def opening_terms(
    catalogue: Catalogue, *, action: str, agent_key: str | None, customer_key: str, at: int
) -> Terms | HeldReason:
    """The terms on which an event accepted at `at` opens an outcome, or why it cannot."""
    customer = catalogue.customer(customer_key, at)
    if customer is None:
        return HeldReason.UNKNOWN_CUSTOMER
    contract = _agent(catalogue, customer, action, agent_key, at)
    if isinstance(contract, HeldReason):
        return contract
    price = catalogue.price(customer, contract.agent, at)
    if isinstance(price, HeldReason):
        return price
    return Terms(contract=catalogue.contract_for(customer, contract), price=price)


def _agent(
    catalogue: Catalogue, customer: Customer, action: str, agent_key: str | None, at: int
) -> Contract | HeldReason:
    """The contract of the agent as everybody has it: the customer's own terms only help to find it."""
    if agent_key is not None:
        return catalogue.agent(agent_key, at) or HeldReason.UNKNOWN_AGENT
    agents = catalogue.agents(at)
    if len(agents) == 1:
        return next(iter(agents.values()))
    naming = catalogue.agents_with_action(customer, action, at)
    return naming[0] if len(naming) == 1 else HeldReason.AGENT_AMBIGUOUS


def needs(catalogue: Catalogue, *, agent_key: str | None, customer_key: str, at: int) -> set[Need]:
    """What must change so that an event can be placed that cannot be at `at`: any one of these.

    An event whose customer is unknown waits for the customer alone, and one whose agent is unknown for the agent alone.
    """
    customer = catalogue.customer(customer_key, at)
    if customer is None:
        return {("customer", customer_key)}
    if agent_key is not None and catalogue.agent(agent_key, at) is None:
        return {("agent", agent_key)}
    found: set[Need] = {("customer", customer_key)}
    found.add(ANY_AGENT if agent_key is None else ("agent", agent_key))
    if customer.rate_card is not None:
        found.add(("rate_card", customer.rate_card))
    return found


def needs_met_by(kind: str, key: str) -> tuple[Need, ...]:
    """The needs that a change of the catalogue may meet; none for a notification rule."""
    if kind == "agent":
        return (("agent", key), ANY_AGENT)
    return ((kind, key),) if kind in ("customer", "rate_card") else ()
