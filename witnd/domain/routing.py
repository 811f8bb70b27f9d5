"""Which agent an opening event belongs to, and under which contract and price the outcome opens.

The event of an outcome that exists is not asked about here: it belongs to that outcome's agent.
"""

from msgspec import Struct

from witnd.domain.catalogue import Catalogue, HeldReason
from witnd.domain.contract import Contract
from witnd.domain.customer import Customer
from witnd.domain.ratecard import Price

__all__ = ["HeldReason", "Terms", "place"]


class Terms(Struct, frozen=True, kw_only=True):
    """What an outcome freezes when it opens."""

    contract: Contract
    price: Price


def place(
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
    naming = catalogue.agents_naming_for(customer, action, at)
    return naming[0] if len(naming) == 1 else HeldReason.AGENT_AMBIGUOUS
