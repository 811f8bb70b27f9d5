"""Customers: who is billed, by which rate card, and what is theirs alone."""

from typing import Any, Final

from msgspec import Struct

from witnd.app.catalogue import read as catalogue
from witnd.app.catalogue.read import CUSTOMER, Thing
from witnd.app.errors import invalid
from witnd.app.invoices import ageing, balances, exports
from witnd.app.invoices import operations as invoices
from witnd.app.outcomes.list import page as page_of_outcomes
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.checks.grade_prices import customer_grade_warnings
from witnd.domain.catalogue.checks.zero_price import card_warnings, own_prices
from witnd.domain.catalogue.condition import condition_text
from witnd.domain.catalogue.customer import Customer
from witnd.domain.catalogue.terms.reversal import REVERSAL
from witnd.domain.pricing.ratecard import RateCard
from witnd.web.api.catalogue.answers import versioned
from witnd.web.dashboard.forms.archiving import archive
from witnd.web.dashboard.forms.billing_data import language
from witnd.web.dashboard.forms.submit import KEY, Sending, sending
from witnd.web.dashboard.forms.submit import address as site
from witnd.web.dashboard.forms.terms import METHODS
from witnd.web.dashboard.forms.versions import versions_of
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, action, page
from witnd.web.dashboard.pages.invoices.invoices import rows_of
from witnd.web.dashboard.present.price_words import charge_lines, price_lines
from witnd.web.dashboard.present.term_words import grade_lines, reversal_line, timer_lines
from witnd.web.dashboard.present.words import link

LIMIT: Final = 50
# Of outcomes and invoices on a customer's page; their own lists have all.
NEWEST: Final = 10
# Prices on a customer's page, and agents with terms of its own; its rate card has all prices.
PRICES: Final = 50
WARNINGS: Final = 10


class Priced(Struct, frozen=True, kw_only=True):
    """What an agent costs the customer, one line each. `own`: agreed with this customer alone."""

    agent: str
    grade: str | None
    own: bool
    lines: list[str]


class OwnTerms(Struct, frozen=True, kw_only=True):
    """What the customer agreed otherwise with an agent: None where it follows the agent."""

    agent: str
    name: str | None
    settlement_period: int | None
    quantity: str | None
    condition: str | None
    grades: list[tuple[str, str]]
    timers: list[str] | None
    reversal: str | None


@page("/dashboard/customers")
async def list_customers(request: PageRequest) -> Answer:
    query = request.query
    search, card, archived = query.get("search", "").strip(), query.get("rate_card"), "archived" in query
    looked_for = search.casefold()
    found, cursor = await catalogue.listed(
        request.services,
        CUSTOMER,
        (LIMIT, query.get("after")),
        archived=archived,
        wanted=lambda entry: (
            card in (None, entry.content["rate_card"])
            and (looked_for in entry.key.casefold() or looked_for in entry.content["name"].casefold())
        ),
    )
    asked = {"search": search, "rate_card": card or "", "archived": "yes" if archived else ""}
    return HtmlPage(
        "catalogue/customers.html",
        {
            "found": [_row(thing) for thing in found],
            "asked": asked,
            "filtered": any(asked.values()),
            "cards": request.services.catalogue.keys("rate_card"),
            "site": site(request),
            "next": link("customers", **asked, after=cursor) if cursor else None,
            "first": link("customers", **asked) if "after" in query else None,
        },
    )


def _row(thing: Thing) -> dict[str, Any]:
    return {"key": thing.key, **thing.version.content, **versioned(thing)}


@page("/dashboard/customers/{key}")
async def show_customer(request: PageRequest) -> Answer:
    services, key = request.services, request.path["key"]
    known = await services.learned()
    if not known.versions(CUSTOMER.name, key):
        return HtmlPage("catalogue/customer_missing.html", {"key": key}, 404)
    thing = await catalogue.read(services, CUSTOMER, key)
    # Where all versions are scheduled, as it will be.
    at = max(await services.catalogue_store.next_instant(), thing.version.effective_from)
    customer = Customer.from_content(key, thing.version.content, archived=thing.version.archived)
    card = None if customer.rate_card is None else known.rate_card(customer.rate_card, at)
    priced, left = _prices(known, customer, at)
    terms = thing.version.content.get("agents", ())
    outcomes = await page_of_outcomes(services, customer=key, limit=NEWEST, after=None)
    bills = await invoices.listed(services, invoices.wanted(customer_key=key), NEWEST, None)
    zone = services.config.billing.time_zone
    return HtmlPage(
        "catalogue/customer.html",
        {
            "customer": customer,
            "version": versioned(thing),
            "language": None if customer.billing is None else language(customer.billing.locale),
            "currency": None if card is None else card.currency,
            "prices": priced,
            "warnings": _warnings(known, thing, card, at)[:WARNINGS],
            "prices_left": left,
            "charges": charge_lines(card, customer.recurring),
            "terms": [_terms(content) for content in terms[:PRICES]],
            "terms_left": len(terms[PRICES:]),
            # Those with own terms that are on the page have a link beside them.
            "agents": sorted(known.agents(at).keys() - {content["agent"] for content in terms[:PRICES]}),
            "outcomes": outcomes.data,
            "invoices": rows_of(await exports.papers(services), bills, zone)[0],
            "zone": zone,
            "ageing": await ageing.report(services, customer_key=key),
            "balances": await balances.balances(services, key),
            "refunds": (await balances.refunds(services, key, NEWEST, None)).data,
            **await versions_of(request, CUSTOMER, thing),
            "example": _example(request, known, key, priced, at),
        },
    )


@page("/dashboard/customers/{key}/terms")
async def choose_terms(request: PageRequest) -> Answer:
    """From the agent that was chosen to its terms for this customer."""
    agent = request.query.get("agent")
    if agent is None:
        raise invalid("agent", "choose an agent")
    return Redirect(link("customers", request.path["key"], "terms", agent))


@action("/dashboard/customers/{key}/archive")
async def archive_customer(request: PageRequest) -> Answer:
    return await _archive(request, "archived", archived=True)


@action("/dashboard/customers/{key}/restore")
async def restore_customer(request: PageRequest) -> Answer:
    return await _archive(request, "restored", archived=False)


async def _archive(request: PageRequest, done: str, *, archived: bool) -> Answer:
    key = request.path["key"]
    since = await archive(request, CUSTOMER, key, archived=archived)
    return Redirect(link("customers", key), "No change." if since is None else f"Customer {key} {done}{since}.")


def _warnings(known: Catalogue, thing: Thing, card: RateCard | None, at: int) -> list[str]:
    content = thing.version.content
    zero = [] if card is None else card_warnings(own_prices(content, thing.key, card))
    return [*zero, *customer_grade_warnings(known, content, at)]


def _prices(known: Catalogue, customer: Customer, at: int) -> tuple[list[Priced], int]:
    """What outcomes that open at an instant cost, its own prices first; and how many more there are."""
    card = None if customer.rate_card is None else known.rate_card(customer.rate_card, at)
    if card is None:
        return [], 0
    own = sorted(customer.entries or ())
    found = []
    for agent in [*own, *sorted(card.entries.keys() - set(own))]:
        entries = known.entries(customer, agent, at)
        if not isinstance(entries, str):
            found += [
                Priced(agent=agent, grade=one.grade, own=agent in own, lines=price_lines(one))
                for one in entries.values()
            ]
    return found[:PRICES], max(0, len(found) - PRICES)


def _terms(content: dict[str, Any]) -> OwnTerms:
    condition, method = content.get("condition"), content.get("attribution_method")
    return OwnTerms(
        agent=content["agent"],
        name=content.get("name"),
        settlement_period=content.get("settlement_period"),
        quantity=None if method is None else METHODS[method],
        condition=None if condition is None else condition_text(condition),
        grades=grade_lines(content),
        timers=timer_lines(content) if "timers" in content else None,
        reversal=(reversal_line(content) or "none") if REVERSAL in content else None,
    )


def _example(request: PageRequest, known: Catalogue, key: str, prices: list[Priced], at: int) -> Sending:
    """An event that an agent with a price takes, where there is one."""
    agents = known.agents(at)
    agent = next((price.agent for price in prices if price.agent in agents), None)
    event = {"key": KEY, "customer_key": key, "action": "ticket.resolved"}
    if agent is not None:
        facts = agents[agent].rule.facts
        event |= {"agent_key": agent, "action": facts[0] if facts else event["action"]}
    return sending(request, event)
