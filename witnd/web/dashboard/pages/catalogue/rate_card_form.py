"""Writing prices: of a rate card or of one customer alone, with what they would come to."""

from collections.abc import Sequence
from typing import Any, Final

from witnd.app.catalogue import change as catalogue_change
from witnd.app.catalogue import read as catalogue
from witnd.app.catalogue.read import CUSTOMER, RATE_CARD, Thing
from witnd.app.errors import Refused
from witnd.domain.pricing.ratecard import Price, RateCard
from witnd.web.dashboard.forms.price_form import PriceForm, form_from_content, form_from_request, saved_message, values
from witnd.web.dashboard.forms.prices import Entry, Problem, blank, currencies, entries_from_content
from witnd.web.dashboard.forms.versions import check_seen
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, action, page
from witnd.web.dashboard.present.instants import written_instant
from witnd.web.dashboard.present.price_words import price_words
from witnd.web.dashboard.present.words import link
from witnd.web.errors import ApiError, status_of

SAVE: Final = "save"
# Prices of the card that are listed beside those of the customer; the card itself has all.
LISTED: Final = 100


# -- a rate card ------------------------------------------------------------------------------------------------------


@page("/dashboard/rate-cards/new", scope="admin")
async def new_rate_card(request: PageRequest) -> Answer:
    return await _card_form(request, None, form_from_content([], "", {}, 0, [blank()]))


@action("/dashboard/rate-cards/new")
async def create_rate_card(request: PageRequest) -> Answer:
    form = form_from_request(request, [])
    if request.form.get("do") != SAVE:
        return await _card_form(request, None, form)
    try:
        saved = await catalogue_change.create(
            request.services, request.author, RATE_CARD, _content(form, key=form.texts["key"])
        )
    except Refused as refused:
        return await _card_form(request, None, form, form.problems(refused), status_of(refused))
    return Redirect(
        link("rate-cards", saved.thing.key), saved_message(saved, form, f"Rate card {saved.thing.key} created.")
    )


@page("/dashboard/rate-cards/{key}/edit", scope="admin")
async def edit_rate_card(request: PageRequest) -> Answer:
    thing = await catalogue.read(request.services, RATE_CARD, request.path["key"])
    content = thing.version.content
    stored = request.services.catalogue.digits(thing.key)
    form = form_from_content(content["entries"], content["currency"], request.query, thing.count, stored=stored)
    return await _card_form(request, thing, form)


@action("/dashboard/rate-cards/{key}/edit")
async def change_rate_card(request: PageRequest) -> Answer:
    thing = await catalogue.read(request.services, RATE_CARD, request.path["key"])
    form = form_from_request(
        request, thing.version.content["entries"], stored=request.services.catalogue.digits(thing.key)
    )
    if request.form.get("do") != SAVE:
        return await _card_form(request, thing, form)
    try:
        check_seen(request, thing.count)
        saved = await catalogue_change.change(request.services, request.author, RATE_CARD, thing.key, _content(form))
    except Refused as refused:
        form.texts["seen"] = str(thing.count)
        return await _card_form(request, thing, form, form.problems(refused), status_of(refused))
    return Redirect(
        link("rate-cards", thing.key), saved_message(saved, form, f"Version {saved.thing.version.number} saved.")
    )


def _content(form: PriceForm, **more: Any) -> dict[str, Any]:
    return {
        **more,
        "currency": form.texts["currency"] or None,
        "entries": form.document,
        "effective_from": written_instant(form.texts["effective_from"]),
    }


async def _card_form(
    request: PageRequest, thing: Thing | None, form: PriceForm, problems: Sequence[Problem] = (), status: int = 200
) -> HtmlPage:
    shown = await values(request, form, problems)
    chosen = form.texts["currency"]
    codes = [("", "Choose a currency"), *currencies()]
    if chosen not in dict(codes):
        codes.append((chosen, chosen))  # keep an invalid choice, so that validation reports it
    return HtmlPage("catalogue/rate_card_form.html", {**shown, "thing": thing, "currencies": codes}, status)


# -- prices of one customer alone -------------------------------------------------------------------------------------


@page("/dashboard/customers/{key}/prices")
async def own_prices(request: PageRequest) -> Answer:
    thing, card = await _customer(request)
    start: list[Entry] = []
    if card is not None and (entries := card.entries.get(request.query.get("agent", ""))) is not None:
        # Own entries replace all of the card's entries for the agent.
        start = entries_from_content([price.entry for price in entries.values()])
    currency = "" if card is None else card.currency
    entries, stored = thing.version.content.get("entries", []), _digits(card)
    form = form_from_content(entries, currency, request.query, thing.count, start, stored=stored)
    return await _own_form(request, thing, card, form)


@action("/dashboard/customers/{key}/prices")
async def change_own_prices(request: PageRequest) -> Answer:
    thing, card = await _customer(request)
    if card is None:
        raise ApiError("CONFLICT", "assign a rate card first; own prices use its currency")
    form = form_from_request(request, thing.version.content.get("entries", []), card.currency, stored=_digits(card))
    if request.form.get("do") != SAVE:
        return await _own_form(request, thing, card, form)
    content = {"entries": form.document, "effective_from": written_instant(form.texts["effective_from"])}
    try:
        check_seen(request, thing.count)
        saved = await catalogue_change.change(request.services, request.author, CUSTOMER, thing.key, content)
    except Refused as refused:
        form.texts["seen"] = str(thing.count)
        return await _own_form(request, thing, card, form, form.problems(refused), status_of(refused))
    return Redirect(link("customers", thing.key), saved_message(saved, form, "Own prices saved."))


def _digits(card: RateCard | None) -> dict[str, int]:
    return {} if card is None else {card.currency: card.digits}


async def _customer(request: PageRequest) -> tuple[Thing, RateCard | None]:
    """The customer, and its card as it is when that version of the customer holds."""
    thing = await catalogue.read(request.services, CUSTOMER, request.path["key"])
    key = thing.version.content["rate_card"]
    if key is None:
        return thing, None
    at = max(await request.services.catalogue_store.next_instant(), thing.version.effective_from)
    # One whose versions are all scheduled has a currency already.
    return thing, request.services.catalogue.rate_card(key, at) or await _scheduled(request, key)


async def _scheduled(request: PageRequest, key: str) -> RateCard:
    thing = await catalogue.read(request.services, RATE_CARD, key)
    return RateCard.from_content(key, thing.version.content)


async def _own_form(
    request: PageRequest,
    thing: Thing,
    card: RateCard | None,
    form: PriceForm,
    problems: Sequence[Problem] = (),
    status: int = 200,
) -> HtmlPage:
    own = _own_words(thing, card)
    listed = [] if card is None else card.prices
    agents = {entry["agent"] for entry in thing.version.content.get("entries", ())}
    return HtmlPage(
        "catalogue/own_prices.html",
        {
            **await values(request, form, problems, thing.version.content),
            "thing": thing,
            "card": card,
            "own_words": list(own.items()),
            "listed": [
                (price.agent, price.title, price_words(price), price.agent in agents) for price in listed[:LISTED]
            ],
            "listed_left": max(0, len(listed) - LISTED),
        },
        status,
    )


def _own_words(thing: Thing, card: RateCard | None) -> dict[str, str]:
    """What each own price costs the customer, by agent and grade."""
    if card is None:
        return {}
    entries = thing.version.content.get("entries", ())
    prices = [Price.from_entry(card.key, card.currency, card.digits, entry) for entry in entries]
    return {price.title: price_words(price) for price in prices}
