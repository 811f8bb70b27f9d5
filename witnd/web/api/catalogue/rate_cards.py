"""Rate cards: the prices of agents, in one currency. Every version is kept."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from witnd.app.catalogue.quotes import QUESTION, QuoteAnswer, answered, question, unsaved
from witnd.app.catalogue.read import RATE_CARD, Thing, read
from witnd.app.errors import all_invalid
from witnd.domain.catalogue.checks.grade_prices import card_grade_warnings
from witnd.domain.catalogue.checks.zero_price import card_warnings
from witnd.domain.pricing.ratecard import KINDS, RateCard
from witnd.domain.pricing.recurring import input_content
from witnd.domain.pricing.working import price_text
from witnd.domain.values.fields import Table
from witnd.domain.values.strictjson import BYTES_MAX
from witnd.web.api.catalogue.answers import (
    Versioned,
    versioned,
    warnings,
)
from witnd.web.api.catalogue.resource import Resource, register
from witnd.web.http.route import Call, route


class Tier(Struct, kw_only=True, forbid_unknown_fields=True):
    """A tier of a graduated or volume price. Only the last tier has no `up_to`."""

    price_per_unit: str
    up_to: str | None = None
    flat_fee: str | None = None


class Entry(Struct, kw_only=True, forbid_unknown_fields=True):
    """The price of an agent. The fields depend on `kind`: flat, graduated, volume, package or percentage. Amounts and
    quantities are decimal strings. `grade`: a grade of the agent; without one, the entry prices all grades that have no
    entry of their own. `tax`: the key of a tax; default: the customer's."""

    agent: str
    grade: str | None = None
    kind: Annotated[str, Meta(extra_json_schema={"enum": list(KINDS)})] = "flat"
    price_per_unit: str | None = None
    tiers: list[Tier] | None = None
    package_size: str | None = None
    price_per_package: str | None = None
    percent: str | None = None
    minimum: str | None = None
    maximum: str | None = None
    free_quota: str | None = None
    period_minimum: str | None = None
    period_cap: str | None = None
    tax: str | None = None


class Fee(Struct, kw_only=True, forbid_unknown_fields=True):
    """A fee for every period. `name` defaults to the key. `starts`: the first day, such as 2026-11-30; default: the day
    on which the fee is written. `prorate`: charge each day on its own. `tax`: the key of a tax; default: the
    customer's."""

    key: str
    amount: str
    name: str | None = None
    starts: str | None = None
    prorate: bool = False
    tax: str | None = None


class Commitment(Struct, kw_only=True, forbid_unknown_fields=True):
    """The least and the most that the outcomes of a period cost, with their fees, minimums and caps. `starts`,
    `prorate` and `tax` as for fees; a cap is never prorated."""

    period_minimum: str | None = None
    period_cap: str | None = None
    starts: str | None = None
    prorate: bool = False
    tax: str | None = None


class RateCardChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """Fields to replace; `entries`, `fees` and `commitment` are replaced as a whole. `effective_from`: when the
    change takes effect; default: now."""

    currency: str | None = None
    entries: list[Entry] | None = None
    fees: list[Fee] | None = None
    commitment: Commitment | None = None
    effective_from: str | None = None


class RateCardIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A new rate card, with one entry for each agent, or each grade of an agent, that has a price."""

    key: str
    currency: str
    entries: list[Entry] = []
    fees: list[Fee] | None = None
    commitment: Commitment | None = None
    effective_from: str | None = None


class RateCardAnswer(Versioned, frozen=True, kw_only=True):
    """A version of a rate card. `words` describes the price of each agent or, as `agent (grade)`, of each grade.
    `warnings` lists prices that bill one unit as 0, grades without a price and prices of unknown grades. Both are
    absent in lists."""

    key: str
    currency: str
    entries: list[dict[str, Any]]
    fees: list[dict[str, Any]]
    commitment: dict[str, Any] | None
    words: dict[str, str] | UnsetType = UNSET
    warnings: list[str] | UnsetType = UNSET


class RateCardPage(Struct, frozen=True, kw_only=True):
    """Rate cards, sorted by key."""

    data: list[RateCardAnswer]
    next_cursor: str | None


class QuoteIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """The number of `outcomes` of an `agent`, with 1 unit each, or the `units` of each. `agent` is optional if the
    card has one entry, and `grade` if the agent has. `at`: use the prices in effect at this instant."""

    agent: str | None = None
    grade: str | None = None
    outcomes: int | None = None
    units: list[str] | None = None
    at: str | None = None


class UnsavedQuoteIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A quote request with the rate card itself."""

    currency: str
    entries: list[Entry]
    key: str | None = None
    agent: str | None = None
    grade: str | None = None
    outcomes: int | None = None
    units: list[str] | None = None


def _answer(thing: Thing, *, short: bool = False, graded: Sequence[str] = ()) -> RateCardAnswer:
    content = input_content(thing.version.content)
    prices = [] if short else RateCard.from_content(thing.key, content).prices
    return RateCardAnswer(
        key=thing.key,
        currency=content["currency"],
        entries=content["entries"],
        fees=content.get("fees", []),
        commitment=content.get("commitment"),
        words=UNSET if short else {price.title: price_text(price) for price in prices},
        warnings=[*card_warnings(prices), *graded] or UNSET,
        **versioned(thing),
    )


async def _show(call: Call[Any], thing: Thing, secret: str | None = None) -> RateCardAnswer:  # noqa: ARG001
    return _answer(thing, graded=warnings(call, thing, card_grade_warnings))


async def _show_page(_: Call[Any], things: Sequence[Thing]) -> list[RateCardAnswer]:
    return [_answer(thing, short=True) for thing in things]


register(
    __name__,
    Resource(
        kind=RATE_CARD,
        path="/v1/rate-cards",
        operation="rate_card",
        phrase="a rate card",
        listed="rate cards in order of their keys",
        body=RateCardIn,
        change=RateCardChange,
        change_summary=("Change a rate card. The new prices apply to outcomes that open afterwards."),
        archive_summary="Archive a rate card. Lists hide it; its prices still apply to its customers.",
        answer=RateCardAnswer,
        page=RateCardPage,
        show=_show,
        show_page=_show_page,
    ),
)


@route(
    "POST",
    "/v1/rate-cards/quote",
    says="Calculate what outcomes would cost on a rate card that is not saved. Nothing is stored.",
    scope="read",
    body=UnsavedQuoteIn,
    answer=QuoteAnswer,
    most_bytes=BYTES_MAX,
)
async def quote_unsaved(call: Call[Any]) -> QuoteAnswer:
    # In a thread: ten thousand outcomes take longer than the event loop should stand still.
    return await asyncio.to_thread(unsaved, call.document())


@route(
    "POST",
    "/v1/rate-cards/{key}/quote",
    says="Calculate what outcomes would cost on a rate card. Nothing is stored.",
    scope="read",
    body=QuoteIn,
    answer=QuoteAnswer,
)
async def quote_rate_card(call: Call[Any]) -> QuoteAnswer:
    table = Table(call.document(), "", (*QUESTION, "at"))
    asked, at = question(table), table.optional_text("at")
    if table.mistakes:
        raise all_invalid(table.mistakes)
    thing = await read(call.services, RATE_CARD, call.path["key"], at=at)
    card = RateCard.from_content(thing.key, thing.version.content)
    return await asyncio.to_thread(answered, card, asked)
