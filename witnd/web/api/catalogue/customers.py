"""Customers: who is billed, by which rate card, and what was agreed with each alone."""

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from witnd.app.catalogue.read import CUSTOMER, Thing
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.zero_price import card_warnings, own_prices
from witnd.domain.values.strictjson import BYTES_MAX
from witnd.web.api.catalogue.agents import Method
from witnd.web.api.catalogue.answers import (
    CatalogueListing,
    Comparison,
    Pair,
    Versioned,
    VersionPage,
    When,
    Which,
    archive,
    change,
    compare,
    create,
    one,
    page,
    versioned,
    versions,
)
from witnd.web.api.catalogue.rate_cards import Entry
from witnd.web.api.spec.condition_schema import Condition
from witnd.web.http.route import Call, Listing, route


class OwnTerms(Struct, kw_only=True, forbid_unknown_fields=True):
    """What this customer has agreed otherwise with an agent: its key, and at least one of the other fields."""

    agent: str
    name: str | None = None
    settlement_period: int | None = None
    attribution_method: Method | None = None
    condition: list[Condition] | None = None


class CustomerChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """Fields to replace; null puts the default. `entries` are prices of this customer alone, in its card's currency;
    `agents` its own terms. `effective_from`: from when on; without it, from now on."""

    name: str | None = None
    email: str | None = None
    rate_card: str | None = None
    entries: list[Entry] | None = None
    agents: list[OwnTerms] | None = None
    effective_from: str | None = None


class CustomerIn(CustomerChange, kw_only=True, forbid_unknown_fields=True):
    """A new customer. Without a `name` it is called by its key; without a `rate_card` its events are held."""

    key: str


class Customer(Versioned, frozen=True, kw_only=True):
    """A customer, as one of its versions has it. `warnings` lists the customer's own prices that bill one unit as 0;
    lists leave it out."""

    key: str
    name: str
    email: str | None
    rate_card: str | None
    entries: list[dict[str, Any]]
    agents: list[dict[str, Any]]
    warnings: list[str] | UnsetType = UNSET


class CustomerPage(Struct, frozen=True, kw_only=True):
    """Customers in order of their keys."""

    data: list[Customer]
    next_cursor: str | None


class CustomerListing(CatalogueListing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`rate_card`: only those who have it."""

    rate_card: str | None = None


def _answer(thing: Thing, known: Catalogue | None = None) -> Customer:
    content = thing.version.content
    return Customer(
        key=thing.key,
        name=content["name"],
        email=content["email"],
        rate_card=content["rate_card"],
        entries=content.get("entries", []),
        agents=content.get("agents", []),
        warnings=UNSET if known is None else _warnings(known, thing) or UNSET,
        **versioned(thing),
    )


def _warnings(known: Catalogue, thing: Thing) -> list[str]:
    content = thing.version.content
    card = None if content["rate_card"] is None else known.rate_card(content["rate_card"], thing.version.effective_from)
    return [] if card is None else card_warnings(own_prices(content, thing.key, card))


@route(
    "POST",
    "/v1/customers",
    says="Create a customer.",
    scope="admin",
    status=201,
    body=CustomerIn,
    answer=Customer,
    most_bytes=BYTES_MAX,
    refusals=("CONFLICT",),
)
async def create_customer(call: Call[Any]) -> Customer:
    return _answer((await create(call, CUSTOMER)).thing, call.services.catalogue)


@route(
    "GET",
    "/v1/customers",
    says="List customers in order of their keys.",
    scope="read",
    query=CustomerListing,
    answer=CustomerPage,
)
async def list_customers(call: Call[CustomerListing]) -> CustomerPage:
    card = call.query.rate_card
    found, cursor = await page(call, CUSTOMER, wanted=lambda entry: card in (None, entry.content["rate_card"]))
    return CustomerPage(data=[_answer(thing) for thing in found], next_cursor=cursor)


@route("GET", "/v1/customers/{key}", says="Read a customer.", scope="read", query=Which, answer=Customer)
async def read_customer(call: Call[Which]) -> Customer:
    return _answer(await one(call, CUSTOMER, call.path["key"]), call.services.catalogue)


@route(
    "PATCH",
    "/v1/customers/{key}",
    says="Change fields of a customer. Outcomes that are open keep what they have.",
    scope="admin",
    has_versions=True,
    body=CustomerChange,
    answer=Customer,
    most_bytes=BYTES_MAX,
    refusals=("CONFLICT",),
)
async def change_customer(call: Call[Any]) -> Customer:
    return _answer((await change(call, CUSTOMER, call.path["key"])).thing, call.services.catalogue)


@route(
    "DELETE",
    "/v1/customers/{key}",
    says="Archive a customer: it is hidden, and its events still open outcomes.",
    scope="admin",
    has_versions=True,
    query=When,
    answer=Customer,
    refusals=("CONFLICT",),
)
async def archive_customer(call: Call[When]) -> Customer:
    return _answer((await archive(call, CUSTOMER, call.path["key"], archived=True)).thing, call.services.catalogue)


@route(
    "POST",
    "/v1/customers/{key}/restore",
    says="Take a customer out of the archive.",
    scope="admin",
    has_versions=True,
    query=When,
    answer=Customer,
    refusals=("CONFLICT",),
)
async def restore_customer(call: Call[When]) -> Customer:
    return _answer((await archive(call, CUSTOMER, call.path["key"], archived=False)).thing, call.services.catalogue)


@route(
    "GET",
    "/v1/customers/{key}/versions",
    says="List the versions of a customer, with what each changed.",
    scope="read",
    query=Listing,
    answer=VersionPage,
)
async def list_customer_versions(call: Call[Listing]) -> VersionPage:
    return await versions(call, CUSTOMER, call.path["key"])


@route(
    "GET",
    "/v1/customers/{key}/compare",
    says="Compare two versions of a customer.",
    scope="read",
    query=Pair,
    answer=Comparison,
)
async def compare_customer(call: Call[Pair]) -> Comparison:
    return await compare(call, CUSTOMER, call.path["key"])
