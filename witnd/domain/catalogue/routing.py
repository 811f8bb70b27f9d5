"""The agent, contract and price of an event that opens an outcome. Later events use the agent of their outcome."""

from typing import Final, TypeAlias

from msgspec import Struct

from witnd.domain.catalogue.catalogue import Catalogue, HeldReason
from witnd.domain.catalogue.contract import Contract
from witnd.domain.catalogue.customer import Customer
from witnd.domain.pricing.ratecard import Price

__all__ = ["ANY_AGENT", "HeldReason", "Need", "Terms", "needs", "needs_met_by", "opening_terms"]

# A catalogue item that an event waits for: kind and key.
Need: TypeAlias = tuple[str, str]
# The need of an event without agent key: any agent can resolve it.
ANY_AGENT: Final = ("agent", "")


class Terms(Struct, frozen=True, kw_only=True):
    """The contract and prices that an outcome freezes when it opens. `graded`: the price of each grade, or None without
    grades; `price` is the first of them then."""

    contract: Contract
    price: Price
    graded: tuple[Price, ...] | None = None


def opening_terms(
    catalogue: Catalogue, *, action: str, agent_key: str | None, customer_key: str, at: int
) -> Terms | HeldReason:
    """Return the terms under which an event accepted at `at` (ms) opens an outcome, or why it is held."""
    customer = catalogue.customer(customer_key, at)
    if customer is None:
        return HeldReason.UNKNOWN_CUSTOMER
    contract = _agent(catalogue, customer, action, agent_key, at)
    if isinstance(contract, HeldReason):
        return contract
    entries = catalogue.entries(customer, contract.agent, at)
    if isinstance(entries, HeldReason):
        return entries
    contract = catalogue.contract_for(customer, contract)
    rest = entries.get(None)
    if contract.grades is None:
        return HeldReason.NO_PRICE if rest is None else Terms(contract=contract, price=rest)
    graded = [entries.get(grade["key"], rest) for grade in contract.grades]
    priced = tuple([price for price in graded if price is not None])
    if len(priced) < len(graded):
        return HeldReason.NO_PRICE
    return Terms(contract=contract, price=priced[0], graded=priced)


def _agent(
    catalogue: Catalogue, customer: Customer, action: str, agent_key: str | None, at: int
) -> Contract | HeldReason:
    """Return the agent's contract without the customer's own terms, which only affect the routing."""
    if agent_key is not None:
        return catalogue.agent(agent_key, at) or HeldReason.UNKNOWN_AGENT
    agents = catalogue.agents(at)
    if len(agents) == 1:
        return next(iter(agents.values()))
    naming = catalogue.agents_with_action(customer, action, at)
    return naming[0] if len(naming) == 1 else HeldReason.AGENT_AMBIGUOUS


def needs(catalogue: Catalogue, *, agent_key: str | None, customer_key: str, at: int) -> set[Need]:
    """Return the items of which any change can make a held event placeable. For an unknown customer or agent, this is
    only the customer or agent.
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
    """Return the needs that a change of an item can meet; none for notification rules."""
    if kind == "agent":
        return (("agent", key), ANY_AGENT)
    return ((kind, key),) if kind in ("customer", "rate_card") else ()
