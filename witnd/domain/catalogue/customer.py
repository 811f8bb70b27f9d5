"""Customers: name, rate card, and a customer's own terms and prices."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from witnd.domain.catalogue.buyer import BILLING, Buyer, read_billing
from witnd.domain.catalogue.contract import read_own_terms
from witnd.domain.pricing.ratecard import read_entries
from witnd.domain.pricing.recurring import CARD_SINCE, COMMITMENT, FEES, Recurring, read_recurring
from witnd.domain.values.canonical import digest
from witnd.domain.values.company import read_email
from witnd.domain.values.fields import Table, field_path, short_repr
from witnd.domain.values.mistake import Mistake

FIELDS = ("name", "email", "rate_card", "entries", "agents", FEES, COMMITMENT, BILLING)
# As for the entries of a rate card: every process that reads the catalogue loads all of them.
MAX_OWN_TERMS = 1000


class OwnTerms(Struct, frozen=True, kw_only=True):
    """A customer's replacement for an agent's terms, with the digest of its content."""

    content: dict[str, Any]
    digest: str


class OwnEntries(Struct, frozen=True, kw_only=True):
    """A customer's own entries for one agent, which replace all of its card's, with the digest of their content."""

    contents: tuple[dict[str, Any], ...]
    digest: str


class Customer(Struct, frozen=True, kw_only=True):
    """A version of a customer. Archiving only hides it: its events still open outcomes.

    `terms` and `entries`, by agent, are None for customers without own terms or prices, and so is `recurring`.
    `billing`: the data of the buyer on documents, None without any.
    `card_since`: the date from which fees of its card without a start apply; empty if unknown.
    """

    key: str
    name: str
    email: str | None = None
    rate_card: str | None = None
    terms: dict[str, OwnTerms] | None = None
    entries: dict[str, OwnEntries] | None = None
    recurring: Recurring | None = None
    billing: Buyer | None = None
    card_since: str = ""
    archived: bool = False

    @classmethod
    def from_content(cls, key: str, content: Mapping[str, Any], *, archived: bool = False) -> "Customer":
        return cls(
            key=key,
            name=content["name"],
            email=content["email"],
            rate_card=content["rate_card"],
            terms=_by_agent(content.get("agents", ())),
            entries=_entries_by_agent(content.get("entries", ())),
            recurring=Recurring.from_content(content),
            billing=Buyer.from_content(content[BILLING]) if BILLING in content else None,
            card_since=content.get(CARD_SINCE, ""),
            archived=archived,
        )


def _by_agent(contents: Sequence[dict[str, Any]]) -> dict[str, OwnTerms] | None:
    return {content["agent"]: OwnTerms(content=content, digest=digest(content)) for content in contents} or None


def _entries_by_agent(contents: Sequence[dict[str, Any]]) -> dict[str, OwnEntries] | None:
    found: dict[str, list[dict[str, Any]]] = {}
    for content in contents:
        found.setdefault(content["agent"], []).append(content)
    own = {agent: OwnEntries(contents=tuple(some), digest=digest(some)) for agent, some in found.items()}
    return own or None


def read_customer(key: str, raw: object, path: str) -> tuple[dict[str, Any], list[Mistake]]:
    """Return the canonical content of a customer from user input, and its mistakes. `entries`, `agents`, `fees`,
    `commitment` and `billing` are present only if the customer has any.
    """
    table = Table(raw, path, FIELDS)
    content: dict[str, Any] = {
        "name": table.text("name", default=key),
        "email": read_email(table, "email"),
        "rate_card": table.optional_text("rate_card"),
    }
    if entries := read_entries(table, path):
        content["entries"] = entries
        if table.get("rate_card") is None:
            table.refuse("rate_card", "is missing; name the card in whose currency this customer's own entries are")
    recurring = read_recurring(table)
    content |= recurring
    if recurring and table.get("rate_card") is None and not entries:
        whose = "fees are" if FEES in recurring else "commitment is"
        table.refuse("rate_card", f"is missing; name the card in whose currency this customer's own {whose}")
    if terms := _read_terms(table):
        content["agents"] = terms
    if billing := read_billing(table):
        content[BILLING] = billing
    return content, table.mistakes


def _read_terms(table: Table) -> list[dict[str, Any]]:
    """Return own terms sorted by agent, so that reordering them is not a change."""
    raw, path = table.get("agents"), field_path(table.path, "agents")
    if raw is None:
        return []
    if not isinstance(raw, Sequence) or isinstance(raw, str | bytes):
        table.refuse("agents", f"must be a list of agents with their own terms, got {short_repr(raw)}")
        return []
    if len(raw) > MAX_OWN_TERMS:
        table.refuse("agents", f"has more than {MAX_OWN_TERMS} agents; make agents for this customer instead")
        return []
    read: dict[str, dict[str, Any]] = {}
    for index, one in enumerate(raw):
        at = f"{path}[{index}]"
        terms, mistakes = read_own_terms(one, at)
        agent = terms["agent"]
        if agent in read:
            again = f"must not be repeated, got {short_repr(agent)} again; keep one table per agent"
            mistakes.append(Mistake(f"{at}.agent", again))
        elif agent:
            read[agent] = terms
        table.mistakes.extend(mistakes)
    return [read[agent] for agent in sorted(read)]
