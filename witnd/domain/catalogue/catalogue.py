"""The catalogue in memory: versions of customers, agents, rate cards, notification rules, taxes and the seller, by
instant (ms).

It returns the versions in effect at an instant. It does not decide what may be written.
"""

from bisect import bisect_right, insort
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from witnd.domain.catalogue.agreements import Agreements
from witnd.domain.catalogue.chain import Chain
from witnd.domain.catalogue.contract import Contract
from witnd.domain.catalogue.customer import Customer
from witnd.domain.catalogue.held_reason import HeldReason
from witnd.domain.catalogue.seller import SELLER_KEY, Seller
from witnd.domain.catalogue.tax import Tax
from witnd.domain.pricing.ratecard import DIGITS, Price, RateCard
from witnd.domain.pricing.recurring import Recurring
from witnd.domain.values.local_day import DAY_MS, LARGEST_OFFSET_MS, day_number
from witnd.domain.values.versions import CatalogueEntry, Versions, version_at, versions_at
from witnd.domain.webhooks.notification import NotificationRule

__all__ = ["KINDS", "Catalogue", "CatalogueEntry", "HeldReason"]

KINDS = ("customer", "agent", "rate_card", "notification_rule", "seller", "tax")
# Instants rise while a log is read, so old snapshots are not used again.
_MAX_SNAPSHOTS = 16
# Greater than every kind.
_LAST = ("\U0010ffff", "")
# Each list has at most all rules.
_MAX_RULE_LISTS = 256


class _Snapshot(Struct, frozen=True, kw_only=True):
    """Agents and rules during an interval without changes, for routing and notification."""

    agents: dict[str, Contract]
    naming: dict[str, tuple[Contract, ...]]
    rules: tuple[NotificationRule, ...]
    #: cache of the rules by agent and resolution type
    rules_by_subject: dict[tuple[str, str], tuple[NotificationRule, ...]]


class Catalogue:
    """All versions. `add` them in stored order; `revision` counts them. `chain` has the digests of the stored entries:
    callers of `add` also add the entry's bytes to the chain.
    """

    def __init__(self) -> None:
        self.revision = 0
        self.chain = Chain()
        self.last_effective = 0
        # The first instant (ms) at which any version can charge a fee or commitment; None without any.
        self.first_charge: int | None = None
        self._customers: dict[str, Versions[Customer]] = {}
        self._agents: dict[str, Versions[Contract]] = {}
        self._rate_cards: dict[str, Versions[RateCard]] = {}
        self._rules: dict[str, Versions[NotificationRule]] = {}
        self._sellers: dict[str, Versions[Seller]] = {}
        self._taxes: dict[str, Versions[Tax]] = {}
        things = (self._customers, self._agents, self._rate_cards, self._rules, self._sellers, self._taxes)
        self._kinds: dict[str, Mapping[str, Versions[Any]]] = dict(zip(KINDS, things, strict=True))
        self._contracts: dict[str, Contract] = {}
        self._prices: dict[str, Price] = {}
        self._agreements = Agreements(self._contracts, self._prices)
        # The revision at the last call of `add_all`.
        self._agreements_revision = 0
        # Instants of all changes, and of those that start a new snapshot.
        self._instants: list[int] = []
        self._changes: list[tuple[int, tuple[str, str]]] = []
        self._snapshot_starts: list[int] = []
        self._snapshots: dict[int, _Snapshot] = {}
        # Cache of the sorted keys of each kind.
        self._sorted: dict[str, tuple[str, ...]] = {}

    def add(self, entry: CatalogueEntry) -> None:
        """Add one version. Raises ValueError if it is invalid."""
        if entry.effective_from < 0:
            raise ValueError(f"{entry.kind} {entry.key!r} would take effect before 1970")
        if entry.effective_from in self.instants(entry.kind, entry.key):
            at = entry.effective_from
            raise ValueError(f"{entry.kind} {entry.key!r} has a version at instant {at} already")
        _ADDERS[entry.kind](self, entry)
        self.revision += 1
        self.last_effective = max(self.last_effective, entry.effective_from)
        _insert_once(self._instants, entry.effective_from)
        insort(self._changes, (entry.effective_from, (entry.kind, entry.key)))
        if entry.kind in ("agent", "notification_rule"):
            _insert_once(self._snapshot_starts, entry.effective_from)
            self._snapshots.clear()

    # Versions in effect

    def customer(self, key: str, at: int) -> Customer | None:
        """Return the customer in effect, archived or not."""
        return version_at(self._customers.get(key), at)

    def rate_card(self, key: str, at: int) -> RateCard | None:
        """Return the card in effect, archived or not: archiving only hides a card."""
        return version_at(self._rate_cards.get(key), at)

    def seller(self, at: int) -> Seller | None:
        """Return the seller in effect; None if there is none or it is archived."""
        return versions_at(self._sellers, at).get(SELLER_KEY)

    def tax(self, key: str, at: int) -> Tax | None:
        """Return the tax in effect, archived or not: archiving only hides a tax. Before its first version, return that
        one; None for an unknown key."""
        versions = self._taxes.get(key)
        return None if versions is None else versions.values[max(0, versions.index(at))]

    def agent(self, key: str, at: int) -> Contract | None:
        """Return the contract of an agent in effect and not archived."""
        return self._snapshot(at).agents.get(key)

    def agents(self, at: int) -> Mapping[str, Contract]:
        """Return the contracts of all agents in effect and not archived, by key."""
        return self._snapshot(at).agents

    def agents_with_action(self, customer: Customer, action: str, at: int) -> tuple[Contract, ...]:
        """Return the `agents` whose condition names the action in a leaf, under the customer's own conditions."""
        found = self._snapshot(at)
        naming = found.naming.get(action, ())
        return naming if customer.terms is None else self._agreements.naming(customer, found.agents, naming, action)

    def contract_for(self, customer: Customer, contract: Contract) -> Contract:
        """Return the agent's contract for a customer, the same if the customer has no own terms."""
        return contract if customer.terms is None else self._agreements.contract(customer, contract)

    def rules(self, at: int) -> tuple[NotificationRule, ...]:
        """Return the notification rules in effect and not archived, enabled or not, sorted by name."""
        return self._snapshot(at).rules

    def rules_for(self, agent_key: str, type: str, at: int) -> tuple[NotificationRule, ...]:  # noqa: A002
        """Return the `rules` that receive resolutions of this type and agent."""
        found = self._snapshot(at)
        wanting = found.rules_by_subject.get((agent_key, type))
        if wanting is None:
            if len(found.rules_by_subject) >= _MAX_RULE_LISTS:
                found.rules_by_subject.clear()
            wanting = tuple(rule for rule in found.rules if rule.wants(agent_key, type))
            found.rules_by_subject[agent_key, type] = wanting
        return wanting

    def entries(self, customer: Customer, agent_key: str, at: int) -> Mapping[str | None, Price] | HeldReason:
        """Return the customer's prices for an agent by grade: from its own entries, else from its card. Without a
        grade: None."""
        card = None if customer.rate_card is None else self.rate_card(customer.rate_card, at)
        if card is None:
            return HeldReason.NO_RATE_CARD
        if customer.entries is not None and agent_key in customer.entries:
            return self._agreements.entries(customer, card, agent_key)
        return card.entries.get(agent_key) or HeldReason.NO_PRICE

    def price(self, customer: Customer, agent_key: str, at: int, grade: str | None = None) -> Price | HeldReason:
        """Return the customer's price whose entry names exactly this grade, or none."""
        found = self.entries(customer, agent_key, at)
        return found if isinstance(found, HeldReason) else found.get(grade) or HeldReason.NO_PRICE

    def next_change_after(self, at: int) -> int | None:
        """Return the first instant after `at` at which a version takes effect."""
        place = bisect_right(self._instants, at)
        return self._instants[place] if place < len(self._instants) else None

    def changes_between(self, after: int, until: int) -> set[tuple[str, str]]:
        """Return kind and key of all versions that take effect in (after, until]."""
        low, high = (bisect_right(self._changes, (at, _LAST)) for at in (after, until))
        return {what for _, what in self._changes[low:high]}

    # All versions

    def contract(self, digest: str) -> Contract:
        """Return the contract with this digest. Raises KeyError if unknown."""
        if digest not in self._contracts:
            self._add_agreements()
        return self._contracts[digest]

    def price_by_hash(self, digest: str) -> Price:
        """Return the price with this digest. Raises KeyError if unknown."""
        if digest not in self._prices:
            self._add_agreements()
        return self._prices[digest]

    def _add_agreements(self) -> None:
        """Create the contracts and prices of customers' own terms, once per revision."""
        if self._agreements_revision != self.revision:
            self._agreements.add_all(self._customers.values(), self._agents, self._rate_cards)
            self._agreements_revision = self.revision

    def digits(self, card: str) -> dict[str, int]:
        """Return the minor digits of each currency in the versions of a rate card."""
        return {entry.content["currency"]: entry.content[DIGITS] for entry in self.versions("rate_card", card)}

    def keys(self, kind: str) -> list[str]:
        """Return all keys of a kind, sorted."""
        things = self._versions_of(kind)
        known = self._sorted.get(kind, ())
        # Keys are never removed, so an equal count means the same keys.
        if len(known) != len(things):
            known = self._sorted[kind] = tuple(sorted(things))
        return list(known)

    def versions(self, kind: str, key: str) -> tuple[CatalogueEntry, ...]:
        """Return all versions of a key in order of their instants; empty for an unknown key."""
        found = self._versions_of(kind).get(key)
        return () if found is None else tuple(found.entries)

    def instants(self, kind: str, key: str) -> tuple[int, ...]:
        """Return the instants of `versions`."""
        found = self._versions_of(kind).get(key)
        return () if found is None else tuple(found.starts)

    def entry(self, kind: str, key: str, at: int | None = None) -> CatalogueEntry | None:
        """Return the version in effect at an instant, by default the last version."""
        found = self._versions_of(kind).get(key)
        if found is None:
            return None
        place = len(found.starts) - 1 if at is None else found.index(at)
        return None if place < 0 else found.entries[place]

    def _versions_of(self, kind: str) -> Mapping[str, Versions[Any]]:
        if kind not in self._kinds:
            raise ValueError(f"{kind!r} is not a kind of catalogue entry; known kinds are {KINDS}")
        return self._kinds[kind]

    def _snapshot(self, at: int) -> _Snapshot:
        """Return the snapshot at an instant."""
        stretch = bisect_right(self._snapshot_starts, at)
        found = self._snapshots.get(stretch)
        if found is None:
            if len(self._snapshots) >= _MAX_SNAPSHOTS:
                self._snapshots.clear()
            found = self._snapshots[stretch] = self._take_snapshot(at)
        return found

    def _take_snapshot(self, at: int) -> _Snapshot:
        agents = versions_at(self._agents, at)
        naming: dict[str, tuple[Contract, ...]] = {}
        for contract in agents.values():
            for fact in contract.rule.facts:
                naming[fact] = (*naming.get(fact, ()), contract)
        rules = tuple(versions_at(self._rules, at).values())
        return _Snapshot(agents=agents, naming=naming, rules=rules, rules_by_subject={})

    # Adding

    def _add_customer(self, entry: CatalogueEntry) -> None:
        thing = Customer.from_content(entry.key, entry.content, archived=entry.archived)
        self._note_charges(entry.effective_from, thing.recurring)
        self._customers.setdefault(entry.key, Versions()).add(entry, thing)

    def _add_agent(self, entry: CatalogueEntry) -> None:
        thing = Contract.from_content(entry.key, entry.content)
        thing = self._contracts.setdefault(thing.hash, thing)
        self._agents.setdefault(entry.key, Versions()).add(entry, thing)

    def _add_rate_card(self, entry: CatalogueEntry) -> None:
        thing = RateCard.from_content(entry.key, entry.content)
        for price in thing.prices:
            self._prices.setdefault(price.hash, price)
        self._note_charges(entry.effective_from, thing.recurring)
        self._rate_cards.setdefault(entry.key, Versions()).add(entry, thing)

    def _note_charges(self, since: int, recurring: Recurring | None) -> None:
        if recurring is not None:
            # Not later than the start in any time zone.
            start = recurring.first_start
            first = max(since, day_number(start) * DAY_MS - LARGEST_OFFSET_MS) if start else since
            self.first_charge = first if self.first_charge is None else min(self.first_charge, first)

    def _add_rule(self, entry: CatalogueEntry) -> None:
        thing = NotificationRule.from_content(entry.key, entry.content)
        self._rules.setdefault(entry.key, Versions()).add(entry, thing)

    def _add_seller(self, entry: CatalogueEntry) -> None:
        self._sellers.setdefault(entry.key, Versions()).add(entry, Seller.from_content(entry.content))

    def _add_tax(self, entry: CatalogueEntry) -> None:
        self._taxes.setdefault(entry.key, Versions()).add(entry, Tax.from_content(entry.key, entry.content))


def _insert_once(instants: list[int], at: int) -> None:
    place = bisect_right(instants, at)
    if not place or instants[place - 1] != at:
        instants.insert(place, at)


_ADDERS: dict[str, Callable[[Catalogue, CatalogueEntry], None]] = {
    "customer": Catalogue._add_customer,
    "agent": Catalogue._add_agent,
    "rate_card": Catalogue._add_rate_card,
    "notification_rule": Catalogue._add_rule,
    "seller": Catalogue._add_seller,
    "tax": Catalogue._add_tax,
}
