"""Customers, with their rate card, individual prices, individual terms and billing data."""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from witnd.app.catalogue.read import CUSTOMER, Thing
from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry
from witnd.domain.catalogue.checks.grade_prices import customer_grade_warnings
from witnd.domain.catalogue.checks.zero_price import card_warnings, own_prices
from witnd.domain.pricing.recurring import input_content
from witnd.web.api.catalogue.agents import Grade, Method, Timer
from witnd.web.api.catalogue.answers import (
    CatalogueListing,
    Locale,
    Versioned,
    versioned,
    warnings,
)
from witnd.web.api.catalogue.rate_cards import Commitment, Entry, Fee
from witnd.web.api.catalogue.resource import Resource, register
from witnd.web.api.spec.condition_schema import Condition
from witnd.web.http.route import Call


class OwnReversal(Struct, kw_only=True, forbid_unknown_fields=True):
    """The `reversal` of the customer in place of the agent's: `window` and `on` as there, or empty for none."""

    window: int | UnsetType = UNSET
    on: list[str] | UnsetType = UNSET


class OwnTerms(Struct, kw_only=True, forbid_unknown_fields=True):
    """Individual terms of a customer for an agent: the key of the agent and at least one other field. `condition` or
    `grades` replaces whichever the agent has. Empty `timers`, or an empty `reversal`, remove those of the agent."""

    agent: str
    name: str | None = None
    settlement_period: int | None = None
    attribution_method: Method | None = None
    condition: list[Condition] | None = None
    grades: list[Grade] | None = None
    timers: dict[str, Timer] | None = None
    reversal: OwnReversal | None = None


class Billing(Struct, kw_only=True, forbid_unknown_fields=True):
    """The customer as the buyer on documents. `country`: an ISO 3166-1 code, such as `DE`. `tax`: the key of the tax
    for everything that names no other. `payment_terms_days` and `locale` default to those of the seller. Stored texts
    have no leading or trailing spaces, and a tax id no separators."""

    legal_name: str | None = None
    address: list[str] | None = None
    postal_code: str | None = None
    city: str | None = None
    country: str | None = None
    tax_id: str | None = None
    purchase_order: str | None = None
    email: str | None = None
    payment_terms_days: int | None = None
    tax: str | None = None
    locale: Locale | None = None


class CustomerChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """Fields to replace; null restores the default. `entries`: individual prices in the currency of the customer's
    rate card. `agents`: individual terms. `fees`: each replaces the fee of the rate card with the same key.
    `commitment`: replaces that of the rate card. `billing` is replaced as a whole. `effective_from`: when the change
    takes effect; default: now."""

    name: str | None = None
    email: str | None = None
    rate_card: str | None = None
    entries: list[Entry] | None = None
    agents: list[OwnTerms] | None = None
    fees: list[Fee] | None = None
    commitment: Commitment | None = None
    billing: Billing | None = None
    effective_from: str | None = None


class CustomerIn(CustomerChange, kw_only=True, forbid_unknown_fields=True):
    """A new customer. `name` defaults to the key. Without a `rate_card`, its events are held."""

    key: str


class Customer(Versioned, frozen=True, kw_only=True):
    """A version of a customer. `warnings` lists individual prices that bill one unit as 0, grades without a price and
    prices of unknown grades; it is absent in lists."""

    key: str
    name: str
    email: str | None
    rate_card: str | None
    entries: list[dict[str, Any]]
    agents: list[dict[str, Any]]
    fees: list[dict[str, Any]]
    commitment: dict[str, Any] | None
    billing: dict[str, Any] | None
    warnings: list[str] | UnsetType = UNSET


class CustomerPage(Struct, frozen=True, kw_only=True):
    """Customers, sorted by key."""

    data: list[Customer]
    next_cursor: str | None


class CustomerListing(CatalogueListing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`rate_card`: only customers with this rate card."""

    rate_card: str | None = None


def _answer(thing: Thing, warned: Sequence[str] = ()) -> Customer:
    content = input_content(thing.version.content)
    return Customer(
        key=thing.key,
        name=content["name"],
        email=content["email"],
        rate_card=content["rate_card"],
        entries=content.get("entries", []),
        agents=content.get("agents", []),
        fees=content.get("fees", []),
        commitment=content.get("commitment"),
        billing=content.get("billing"),
        warnings=list(warned) or UNSET,
        **versioned(thing),
    )


def _zero_prices(known: Catalogue, thing: Thing) -> list[str]:
    content = thing.version.content
    card = None if content["rate_card"] is None else known.rate_card(content["rate_card"], thing.version.effective_from)
    return [] if card is None else card_warnings(own_prices(content, thing.key, card))


async def _show(call: Call[Any], thing: Thing, secret: str | None = None) -> Customer:  # noqa: ARG001
    zero = _zero_prices(call.services.catalogue, thing)
    return _answer(thing, [*zero, *warnings(call, thing, customer_grade_warnings)])


async def _show_page(_: Call[Any], things: Sequence[Thing]) -> list[Customer]:
    return [_answer(thing) for thing in things]


def _with_rate_card(call: Call[Any]) -> Callable[[CatalogueEntry], bool]:
    card = call.query.rate_card
    return lambda entry: card in (None, entry.content["rate_card"])


register(
    __name__,
    Resource(
        kind=CUSTOMER,
        path="/v1/customers",
        operation="customer",
        phrase="a customer",
        listed="customers in order of their keys",
        body=CustomerIn,
        change=CustomerChange,
        change_summary="Change a customer. Open outcomes keep their prices and terms.",
        archive_summary="Archive a customer. Lists hide it; its events still open outcomes.",
        answer=Customer,
        page=CustomerPage,
        listing=CustomerListing,
        filter=_with_rate_card,
        show=_show,
        show_page=_show_page,
    ),
)
