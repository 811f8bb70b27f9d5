"""Rate cards: what outcomes cost, in versions."""

from typing import Any, Final

from msgspec import Struct

from witnd.app.catalogue import read as catalogue
from witnd.app.catalogue.read import CUSTOMER, RATE_CARD, Thing
from witnd.domain.catalogue.checks.grade_prices import card_grade_warnings
from witnd.domain.catalogue.checks.zero_price import card_warnings
from witnd.domain.catalogue.versions.history import PAST
from witnd.domain.pricing.entry import KINDS, OPTIONS
from witnd.domain.pricing.ratecard import Price, RateCard
from witnd.web.dashboard.forms.archiving import archive
from witnd.web.dashboard.forms.price_preview import OUTCOMES, Preview, preview_of_card
from witnd.web.dashboard.forms.prices import FIELDS, MOST_EDITED, padded
from witnd.web.dashboard.forms.submit import address
from witnd.web.dashboard.forms.versions import numbered, versions_of
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, action, page
from witnd.web.dashboard.present.price_words import charge_lines, price_words
from witnd.web.dashboard.present.words import link

LIMIT: Final = 50
# Prices of a card in the list; its page has all of them.
PRICES_LISTED: Final = 3
PRICES: Final = 50
CUSTOMERS: Final = 20
WARNINGS: Final = 10


class Fact(Struct, frozen=True):
    """A field of a price. `amount`: whether it is in the card's currency."""

    label: str
    text: str
    amount: bool


class Priced(Struct, frozen=True, kw_only=True):
    """What an agent costs: in words, its tiers, and its other fields one by one. `place`: among those of the page;
    `detailed`: whether there is more to it than the words say at a glance."""

    place: int
    agent: str
    grade: str | None
    text: str
    kind: str
    tiers: list[dict[str, str]]
    facts: list[Fact]
    detailed: bool


@page("/dashboard/rate-cards")
async def list_rate_cards(request: PageRequest) -> Answer:
    archived = "archived" in request.query
    found, cursor = await catalogue.listed(
        request.services, RATE_CARD, (LIMIT, request.query.get("after")), archived=archived
    )
    asked = {"archived": "yes" if archived else None}
    return HtmlPage(
        "catalogue/rate_cards.html",
        {
            "found": [_line(request, thing) for thing in found],
            "archived": archived,
            "address": address(request),
            "next": link("rate-cards", **asked, after=cursor) if cursor else None,
            "first": link("rate-cards", **asked) if "after" in request.query else None,
        },
    )


def _line(request: PageRequest, thing: Thing) -> dict[str, Any]:
    version = thing.version
    # The catalogue has made the prices of each version already.
    card = request.services.catalogue.rate_card(thing.key, version.effective_from)
    prices = [] if card is None else card.prices
    listed = prices[:PRICES_LISTED]
    return {
        "key": thing.key,
        "version": version,
        "currency": version.content["currency"],
        "count": len(prices),
        "prices": [(price.title, price_words(price)) for price in listed],
        "left": len(prices) - len(listed),
    }


@page("/dashboard/rate-cards/{key}")
async def show_rate_card(request: PageRequest) -> Answer:
    services, key, query = request.services, request.path["key"], request.query
    thing = await catalogue.read(services, RATE_CARD, key, version=numbered(request, "version"))
    card = RateCard.from_content(key, thing.version.content)
    prices, following = _prices(card, query.get("after_agent"))
    customers, more = await catalogue.listed(
        services, CUSTOMER, (CUSTOMERS, None), wanted=lambda entry: entry.content["rate_card"] == key
    )
    return HtmlPage(
        "catalogue/rate_card.html",
        {
            "thing": thing,
            "version": thing.version,
            "chosen": "version" in query,
            "card": card,
            "warnings": _warnings(request, thing, card)[:WARNINGS],
            "grades": sorted({price.grade for price in card.prices if price.grade is not None}),
            "prices": prices,
            "charges": charge_lines(card),
            "next": following and link("rate-cards", key, version=query.get("version"), after_agent=following),
            "first": link("rate-cards", key, version=query.get("version")) if "after_agent" in query else None,
            "whole": len(card.prices) <= MOST_EDITED,
            "customers": [(one.key, one.version.content["name"]) for one in customers],
            "more_customers": more is not None,
            **await versions_of(request, RATE_CARD, thing),
            **await _quoted(request, card),
        },
    )


def _warnings(request: PageRequest, thing: Thing, card: RateCard) -> list[str]:
    zero = card_warnings(card.prices)
    if thing.version.standing == PAST:
        return zero
    at = max(request.services.now_ms(), thing.version.effective_from)
    return [*zero, *card_grade_warnings(request.services.catalogue, thing.version.content, at)]


def _prices(card: RateCard, after: str | None) -> tuple[list[Priced], str | None]:
    """A page of them in order of agents and grades, and the title that it ends with, where more follow."""
    left = [price for price in card.prices if after is None or price.title > after]
    shown = left[:PRICES]
    priced = [_priced(place, price) for place, price in enumerate(shown, 1)]
    return priced, shown[-1].title if len(left) > PRICES else None


def _priced(place: int, price: Price) -> Priced:
    entry = price.entry
    names = [name for name in (*KINDS[price.kind], *OPTIONS) if name in entry and name != "tiers"]
    return Priced(
        place=place,
        agent=price.agent,
        grade=price.grade,
        text=price_words(price),
        kind=price.kind,
        tiers=_tiers(price),
        facts=[_fact(name, entry[name], price.exponent) for name in names],
        detailed="tiers" in entry or any(name in entry for name in OPTIONS),
    )


def _fact(name: str, text: str, digits: int) -> Fact:
    field = FIELDS[name]
    return Fact(field.label, padded(text, digits) if field.money else text, field.money)


def _tiers(price: Price) -> list[dict[str, str]]:
    """Each with where it begins; `up_to` is empty where it has no end."""
    found, below = [], "0"
    for tier in price.entry.get("tiers", ()):
        found.append(
            {
                "above": below,
                "up_to": tier.get("up_to", ""),
                "price_per_unit": padded(tier["price_per_unit"], price.exponent),
                "flat_fee": padded(tier["flat_fee"], price.exponent) if "flat_fee" in tier else "",
            }
        )
        below = tier.get("up_to", "")
    return found


async def _quoted(request: PageRequest, card: RateCard) -> dict[str, Any]:
    """What outcomes of an agent would cost, where that is asked."""
    asked = {"agent": "", "grade": "", "outcomes": OUTCOMES, "units": "", **request.query}
    preview: Preview | None = None
    if "agent" in request.query:
        preview = await preview_of_card(card, asked["agent"], asked)
    return {"asked": asked, "preview": preview, "wrong": {}}


@action("/dashboard/rate-cards/{key}/archive")
async def archive_rate_card(request: PageRequest) -> Answer:
    return await _archive(request, "archived", archived=True)


@action("/dashboard/rate-cards/{key}/restore")
async def restore_rate_card(request: PageRequest) -> Answer:
    return await _archive(request, "restored", archived=False)


async def _archive(request: PageRequest, done: str, *, archived: bool) -> Answer:
    key = request.path["key"]
    since = await archive(request, RATE_CARD, key, archived=archived)
    message = "No change." if since is None else f"Rate card {key} {done}{since}."
    return Redirect(link("rate-cards", key), message)
