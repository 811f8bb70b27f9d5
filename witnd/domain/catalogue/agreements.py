"""Contracts and prices from customers' own terms.

They are created when an event opens an outcome under them, and cached. After a restart an outcome can name, by digest,
a contract that another process created: then `add_all` creates all that could have been frozen. This is bounded: a
customer's version combines only with the agent or card versions in effect at the same time.
"""

from collections.abc import Iterable, Mapping

from witnd.domain.catalogue.contract import Contract
from witnd.domain.catalogue.customer import Customer
from witnd.domain.pricing.ratecard import Price, RateCard
from witnd.domain.values.versions import Versions


class Agreements:
    """Adds customers' contracts and prices to the catalogue's, by digest.

    Customers with equal terms share a contract. Prices contain the customer's key, so they are never shared.
    """

    def __init__(self, contracts: dict[str, Contract], prices: dict[str, Price]) -> None:
        self._contracts = contracts
        self._prices = prices
        # By the digests and keys of their parts.
        self._terms: dict[tuple[str, str], Contract] = {}
        self._entries: dict[tuple[str, str, str, str], dict[str | None, Price]] = {}

    def contract(self, customer: Customer, base: Contract) -> Contract:
        """Return the agent's contract with the customer's own terms."""
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
        """Return the agents in effect whose condition names the action, under the customer's own conditions.

        `naming` has those for customers without own terms.
        """
        terms = customer.terms or {}
        others = [contract for contract in naming if contract.agent not in terms]
        own = [agents[agent] for agent in terms if agent in agents]
        return (*others, *[base for base in own if action in self.contract(customer, base).rule.index])

    def entries(self, customer: Customer, card: RateCard, agent: str) -> dict[str | None, Price]:
        """Return the prices of the customer's own entries by grade, in the currency of its card. Raises KeyError if
        there are none."""
        agreed = (customer.entries or {})[agent]
        parts = (customer.key, card.key, card.currency, agreed.digest)
        found = self._entries.get(parts)
        if found is None:
            found = self._entries[parts] = {}
            for entry in agreed.contents:
                made = Price.from_entry(card.key, card.currency, card.digits, entry, customer=customer.key)
                found[made.grade] = self._prices.setdefault(made.hash, made)
        return found

    def add_all(
        self,
        customers: Iterable[Versions[Customer]],
        agents: Mapping[str, Versions[Contract]],
        cards: Mapping[str, Versions[RateCard]],
    ) -> None:
        """Create all contracts and prices that outcomes can have frozen under these versions."""
        for versions in customers:
            for customer, start, end in versions.spans():
                for agent in customer.terms or ():
                    for base in agents[agent].between(start, end) if agent in agents else ():
                        self.contract(customer, base)
                if customer.rate_card is None or customer.rate_card not in cards:
                    continue
                for agent in customer.entries or ():
                    for card in cards[customer.rate_card].between(start, end):
                        self.entries(customer, card, agent)
