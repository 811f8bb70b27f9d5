"""What a customer's own agreements make of agents and rate cards: contracts and prices for it alone.

They are made when an event opens an outcome under them, and kept. After a restart an outcome names by
digest what another process made: then everything that could have been frozen is made, and is found.
That is bounded: a customer's version meets only those versions of an agent or card that were in force
beside it, so there are fewer of them than versions of both together.
"""

from collections.abc import Iterable, Mapping

from witnd.domain.catalogue.contract import Contract
from witnd.domain.catalogue.customer import Customer
from witnd.domain.pricing.ratecard import Price, RateCard
from witnd.domain.values.versions import Versions


class Agreements:
    """Puts what it makes beside the other contracts and prices, by digest.

    Customers who agreed the same share a contract. A price names its customer, so it has it alone.
    """

    def __init__(self, contracts: dict[str, Contract], prices: dict[str, Price]) -> None:
        self._contracts = contracts
        self._prices = prices
        # By what they are made of, all of it digests and keys.
        self._terms: dict[tuple[str, str], Contract] = {}
        self._entries: dict[tuple[str, str, str, str], Price] = {}

    def contract(self, customer: Customer, base: Contract) -> Contract:
        """The agent's contract with what the customer agreed otherwise."""
        agreed = None if customer.terms is None else customer.terms.get(base.agent)
        if agreed is None:
            return base
        parts = (base.hash, agreed.digest)
        found = self._terms.get(parts)
        if found is None:
            made = base.with_terms(agreed.content)
            found = self._terms[parts] = self._contracts.setdefault(made.hash, made)
        return found

    def naming(
        self, customer: Customer, agents: Mapping[str, Contract], naming: tuple[Contract, ...], action: str
    ) -> tuple[Contract, ...]:
        """Of the agents in force, those whose condition names the action for this customer.

        `naming` has those that do so for everybody else.
        """
        terms = customer.terms or {}
        others = [contract for contract in naming if contract.agent not in terms]
        own = [agents[agent] for agent in terms if agent in agents]
        return (*others, *[base for base in own if action in self.contract(customer, base).rule.index])

    def price(self, customer: Customer, card: RateCard, agent: str) -> Price:
        """The price of the customer's own entry, in the currency of its card. Raises KeyError without one."""
        agreed = (customer.entries or {})[agent]
        parts = (customer.key, card.key, card.currency, agreed.digest)
        found = self._entries.get(parts)
        if found is None:
            made = Price.from_entry(card.key, card.currency, card.digits, agreed.content, customer=customer.key)
            found = self._entries[parts] = self._prices.setdefault(made.hash, made)
        return found

    def add_all(
        self,
        customers: Iterable[Versions[Customer]],
        agents: Mapping[str, Versions[Contract]],
        cards: Mapping[str, Versions[RateCard]],
    ) -> None:
        """Make whatever these versions could have frozen; what is there already costs next to nothing."""
        for versions in customers:
            for customer, start, end in versions.spans():
                for agent in customer.terms or ():
                    for base in agents[agent].between(start, end) if agent in agents else ():
                        self.contract(customer, base)
                if customer.rate_card is None or customer.rate_card not in cards:
                    continue
                for agent in customer.entries or ():
                    for card in cards[customer.rate_card].between(start, end):
                        self.price(customer, card, agent)
