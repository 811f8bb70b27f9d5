"""Customers: who is billed, by which rate card, and what is theirs alone."""

from typing import Any, Final

from msgspec import Struct

from witnd.billing.export import wording
from witnd.domain import instant
from witnd.domain.catalogue import Catalogue
from witnd.domain.condition import words
from witnd.domain.customer import Customer
from witnd.domain.invoice import Invoice
from witnd.domain.invoice_json import amount_text
from witnd.domain.ratecard import FLAT, Price
from witnd.web import catalogue, catalogue_change, invoices
from witnd.web.catalogue import CUSTOMER, Thing
from witnd.web.catalogue_answers import comparison, note, version_line, versioned
from witnd.web.catalogue_change import Written
from witnd.web.dashboard.instants import written_instant
from witnd.web.dashboard.page import Answer, Moved, Shown, Visit, action, page
from witnd.web.dashboard.sending import KEY, Sending, sending
from witnd.web.dashboard.sending import address as site
from witnd.web.dashboard.terms import METHODS
from witnd.web.dashboard.words import link
from witnd.web.errors import invalid
from witnd.web.outcome_list import page as page_of_outcomes
from witnd.web.overview import Money
from witnd.web.services import Services

LIMIT: Final = 50
# Of outcomes and invoices on a customer's page; their own lists have all.
NEWEST: Final = 10
# Prices on a customer's page; its rate card has all.
PRICES: Final = 50
VERSIONS: Final = 20
# A list to choose from has no more than this; beyond it, names are typed.
CHOICES: Final = 200


class Priced(Struct, frozen=True, kw_only=True):
    """What an agent costs the customer, one line each. `own`: agreed with this customer alone."""

    agent: str
    own: bool
    lines: list[str]


class OwnTerms(Struct, frozen=True, kw_only=True):
    """What the customer agreed otherwise with an agent: None where it follows the agent."""

    agent: str
    name: str | None
    settlement_period: int | None
    quantity: str | None
    condition: str | None


@page("/dashboard/customers")
async def list_customers(visit: Visit) -> Answer:
    query = visit.query
    search, card, archived = query.get("search", ""), query.get("rate_card"), "archived" in query
    looked_for = search.casefold()
    found, cursor = await catalogue.listed(
        visit.services,
        CUSTOMER,
        (LIMIT, query.get("after")),
        archived=archived,
        wanted=lambda entry: (
            card in (None, entry.content["rate_card"])
            and (looked_for in entry.key.casefold() or looked_for in entry.content["name"].casefold())
        ),
    )
    asked = {"search": search, "rate_card": card or "", "archived": "yes" if archived else ""}
    return Shown(
        "customers.html",
        {
            "found": [_row(thing) for thing in found],
            "asked": asked,
            "filtered": any(asked.values()),
            "choices": CHOICES,
            "cards": visit.services.catalogue.keys("rate_card"),
            "site": site(visit),
            "next": link("customers", **asked, after=cursor) if cursor else None,
            "first": link("customers", **asked) if "after" in query else None,
        },
    )


def _row(thing: Thing) -> dict[str, Any]:
    return {"address": address(thing.key), "key": thing.key, **thing.version.content, **versioned(thing)}


@page("/dashboard/customers/{key}")
async def show_customer(visit: Visit) -> Answer:
    return await shown(visit, visit.path["key"])


def address(key: str, **query: object) -> str:
    """Where the page of a customer is. Where one called `new` would be, there is the form for new ones."""
    return link("customers", key, **query, show="customer" if key == "new" and not query else None)


async def shown(visit: Visit, key: str) -> Answer:
    services, query = visit.services, visit.query
    known = await services.learned()
    if not known.versions(CUSTOMER.name, key):
        return Shown("customer_missing.html", {"key": key}, 404)
    thing = await catalogue.read(services, CUSTOMER, key)
    # Where all versions are scheduled, as it will be.
    at = max(await services.catalogue_store.present(), thing.version.effective_from)
    customer = Customer.from_content(key, thing.version.content, archived=thing.version.archived)
    card = None if customer.rate_card is None else known.rate_card(customer.rate_card, at)
    priced, left = _prices(known, customer, at)
    # The newest versions first, in pages that end where the address says.
    last = min(_numbered(query, "before") or thing.count, thing.count)
    start = max(0, last - VERSIONS)
    history, _ = await catalogue.versions(services, CUSTOMER, key, (last - start, str(start)))
    outcomes = await page_of_outcomes(services, customer=key, limit=NEWEST, after=None)
    bills = await invoices.listed(services, invoices.wanted(customer_key=key), NEWEST, None)
    return Shown(
        "customer.html",
        {
            "customer": customer,
            "version": versioned(thing),
            "currency": None if card is None else card.currency,
            "prices": priced,
            "prices_left": left,
            "terms": [_terms(content) for content in thing.version.content.get("agents", ())],
            "choices": CHOICES,
            "agents": [agent for agent in known.agents(at) if agent not in (customer.terms or {})],
            "outcomes": outcomes.data,
            "invoices": [_bill(one) for one in bills.data],
            "balances": await _balances(services, known, key),
            "lines": [version_line(one) for one in reversed(history)],
            "address": address(key),
            "earlier": address(key, before=start) if start else None,
            "latest": address(key) if last < thing.count else None,
            **await _compared(visit, thing),
            "example": _example(visit, known, key, priced, at),
        },
    )


@page("/dashboard/customers/{key}/terms")
async def choose_terms(visit: Visit) -> Answer:
    """From the agent that was chosen to its terms for this customer."""
    agent = visit.query.get("agent")
    if agent is None:
        raise invalid("agent", "choose the agent that something else was agreed for")
    return Moved(link("customers", visit.path["key"], "terms", agent))


@action("/dashboard/customers/{key}/archive")
async def archive_customer(visit: Visit) -> Answer:
    if "confirmed" not in visit.form:
        raise invalid("", "tick the box to confirm that the customer is to be archived")
    return await _archive(visit, archived=True)


@action("/dashboard/customers/{key}/restore")
async def restore_customer(visit: Visit) -> Answer:
    return await _archive(visit, archived=False)


async def _archive(visit: Visit, *, archived: bool) -> Answer:
    key, start = visit.path["key"], written_instant(visit.form.get("effective_from", "").strip())
    written = await catalogue_change.archive(visit.services, CUSTOMER, key, archived=archived, effective_from=start)
    await note(visit.call, "customer.archive" if archived else "customer.restore", written)
    done = "archived: it is hidden in lists" if archived else "back from the archive"
    said = f"Customer {key} is {done}{from_when(start, written)}." if written.changed else "It is so already."
    return Moved(address(key), said)


def from_when(asked: str | None, written: Written) -> str:
    """What a sentence about a change ends with, where somebody asked for an instant."""
    return "" if asked is None else f", from {instant.render(written.thing.version.effective_from)} on"


def _prices(known: Catalogue, customer: Customer, at: int) -> tuple[list[Priced], int]:
    """What outcomes that open at an instant cost, its own prices first; and how many more there are."""
    card = None if customer.rate_card is None else known.rate_card(customer.rate_card, at)
    if card is None:
        return [], 0
    own = sorted(customer.entries or ())
    agents = [*own, *sorted(card.prices.keys() - set(own))]
    found = []
    for agent in agents[:PRICES]:
        price = known.price(customer, agent, at)
        if isinstance(price, Price):
            found.append(Priced(agent=agent, own=agent in own, lines=_price_lines(price)))
    return found, max(0, len(agents) - PRICES)


def _price_lines(price: Price) -> list[str]:
    unit = [f"{wording.unit_price(price)} per unit"] if price.kind == FLAT else []
    return [*unit, *wording.price_lines(price)]


def _terms(content: dict[str, Any]) -> OwnTerms:
    condition, method = content.get("condition"), content.get("attribution_method")
    return OwnTerms(
        agent=content["agent"],
        name=content.get("name"),
        settlement_period=content.get("settlement_period"),
        quantity=None if method is None else METHODS[method],
        condition=None if condition is None else words(condition),
    )


def _bill(invoice: Invoice) -> dict[str, Any]:
    amount = invoice.subtotal - invoice.credited if invoice.total is None else invoice.total
    return {
        "id": invoice.id,
        "number": invoice.number,
        "stage": invoice.stage,
        "period": wording.period(invoice),
        "lines": invoice.lines,
        "unrated": invoice.unrated,
        "amount": amount_text(amount, invoice.currency),
        "currency": invoice.currency,
    }


async def _balances(services: Services, known: Catalogue, key: str) -> list[Money]:
    """The customer's credit, in each currency that one of its cards ever had."""
    cards = {entry.content["rate_card"] for entry in known.versions("customer", key)} - {None}
    currencies = {entry.content["currency"] for card in cards for entry in known.versions("rate_card", card)}
    found = []
    for currency in sorted(currencies):
        balance = await services.invoices.balance(key, currency)
        if balance:
            found.append(Money(currency=currency, amount=amount_text(balance, currency)))
    return found


async def _compared(visit: Visit, thing: Thing) -> dict[str, Any]:
    """The two versions that the address names; the last two are chosen to begin with."""
    one, other = _numbered(visit.query, "from"), _numbered(visit.query, "to")
    asked = one is not None or other is not None
    one, other = one or max(1, thing.count - 1), other or thing.count
    found = await comparison(visit.services, CUSTOMER, thing.key, one, other) if asked else None
    return {"one": one, "other": other, "comparison": found}


def _numbered(query: dict[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise invalid(name, "must be the number of a version")
    return int(text)


def _example(visit: Visit, known: Catalogue, key: str, prices: list[Priced], at: int) -> Sending:
    """An event that an agent with a price takes, where there is one."""
    agents = known.agents(at)
    agent = next((price.agent for price in prices if price.agent in agents), None)
    event = {"key": KEY, "customer_key": key, "action": "ticket.resolved"}
    if agent is not None:
        facts = agents[agent].rule.facts
        event |= {"agent_key": agent, "action": facts[0] if facts else event["action"]}
    return sending(visit, event)
