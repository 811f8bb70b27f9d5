"""Calculate what outcomes would cost: on a card of the catalogue or of a file, for a customer, or on an unsaved card.

`witnd.domain.pricing.quote` decides the amounts. Nothing is stored.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, NoReturn

from msgspec import Struct
from msgspec.structs import replace

from witnd.app.catalogue.read import CUSTOMER, RATE_CARD, RULE, Kind
from witnd.app.errors import Refused, all_invalid, did_you_mean, invalid, not_found
from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry, HeldReason
from witnd.domain.catalogue.checks.zero_price import card_warnings
from witnd.domain.catalogue.file import CatalogueFile
from witnd.domain.pricing.cost import Working
from witnd.domain.pricing.quote import Quote, Row, quote
from witnd.domain.pricing.ratecard import Price, RateCard, read_rate_card
from witnd.domain.pricing.working import price_text
from witnd.domain.pricing.working import working_text as working_words
from witnd.domain.values.fields import Table, short_repr
from witnd.domain.values.mistake import Mistake
from witnd.domain.values.money import decimal_string, exact_sum, minor_text, plain

# A second of reckoning; more outcomes of a period say nothing new.
MOST_OUTCOMES: Final = 10_000
LINES_MAX: Final = 100
# The fields of a request.
QUESTION: Final = ("agent", "grade", "outcomes", "units")
_ONE: Final = Decimal(1)


class QuotedLine(Struct, frozen=True, kw_only=True):
    """The amount of an outcome. `working` is null if it is unit × price. `words` explains the amount."""

    unit: str
    price_per_unit: str | None
    amount: str
    amount_exact: str
    working: Working | None
    words: str


class QuotedAdjustment(Struct, frozen=True, kw_only=True):
    """A line without an outcome: a fee, a minimum or a cap."""

    kind: str
    amount: str
    amount_exact: str
    working: Working
    words: str


class QuoteAnswer(Struct, frozen=True, kw_only=True):
    """The amount for these outcomes as the only ones in a period. `rows` add up to `total`. `lines` has the first 100
    outcomes; `lines_left_out` is the number of the others."""

    agent: str
    grade: str | None
    price: dict[str, Any]
    price_hash: str
    words: str
    currency: str
    digits: int
    outcomes: int
    units: str
    rated: str
    rows: list[Row]
    lines: list[QuotedLine]
    lines_left_out: int
    adjustments: list[QuotedAdjustment]
    total: str
    warnings: list[str]


class Question(Struct, frozen=True, kw_only=True):
    """The agent, the grade, and the units of its outcomes."""

    agent: str | None
    grade: str | None
    units: tuple[Decimal, ...]


def question(table: Table) -> Question:
    """Read `agent`, `grade` and `outcomes` or `units`. Mistakes are added to the table."""
    agent, grade = table.optional_text("agent"), table.optional_text("grade")
    count, raw = table.get("outcomes"), table.get("units")
    limits = f"from 1 to {MOST_OUTCOMES}"
    if raw is None:
        whole = isinstance(count, int) and not isinstance(count, bool)
        if count is None:
            table.refuse("outcomes", f"is required, unless you give `units`; must be a whole number {limits}")
        elif not isinstance(count, int) or not whole or not 1 <= count <= MOST_OUTCOMES:
            table.refuse("outcomes", f"must be a whole number {limits}, got {short_repr(count)}")
        else:
            return Question(agent=agent, grade=grade, units=(_ONE,) * count)
        return Question(agent=agent, grade=grade, units=())
    if count is not None:
        table.refuse("units", "cannot be combined with `outcomes`")
    if not isinstance(raw, list) or not 1 <= len(raw) <= MOST_OUTCOMES:
        table.refuse("units", f'must be a list of decimal strings such as ["1", "2.5"], {limits} of them')
        return Question(agent=agent, grade=grade, units=())
    return Question(agent=agent, grade=grade, units=tuple([_unit(table, place, one) for place, one in enumerate(raw)]))


def _unit(table: Table, place: int, raw: object) -> Decimal:
    try:
        if isinstance(raw, str):
            return decimal_string(raw)
        problem = 'must be a string such as "2.5"'
    except ValueError as wrong:
        problem = str(wrong)
    table.refuse(f"units[{place}]", f"{short_repr(raw)}: {problem}")
    return _ONE


def unsaved(raw: Mapping[str, Any], stored: Mapping[str, int] = MappingProxyType({})) -> QuoteAnswer:
    """Quote a card from the request. Raise with every mistake. `stored`: the currencies of the saved card, with their
    digits."""
    table = Table(raw, "", ("key", "currency", "entries", *QUESTION))
    asked = question(table)
    key = table.optional_text("key") or "unsaved"
    content, wrong = read_rate_card(key, {name: raw.get(name) for name in ("currency", "entries")}, "", stored)
    if mistakes := [*table.mistakes, *wrong]:
        raise all_invalid(mistakes)
    return answered(RateCard.from_content(key, content), asked)


def answered(card: RateCard, asked: Question) -> QuoteAnswer:
    return told(quote(price_of(card, asked.agent, asked.grade), asked.units))


def price_of(card: RateCard, agent: str | None, grade: str | None = None) -> Price:
    """Return the price of an agent. The agent is optional if the card has one entry, and so is the grade if the agent
    has one."""
    prices = card.prices
    if agent is None and grade is None and len(prices) == 1:
        return prices[0]
    if agent is None and len(card.entries) == 1:
        agent = next(iter(card.entries))
    if agent is None:
        raise all_invalid([Mistake("agent", f"is required, because the rate card has {len(prices)} entries")])
    if agent not in card.entries:
        raise all_invalid([Mistake("agent", f"{short_repr(agent)} has no entry on the rate card")])
    return _graded(card.entries[agent], agent, grade)


def _graded(entries: Mapping[str | None, Price], agent: str, grade: str | None) -> Price:
    """Return the price of a grade: its own, else that of the entry without grade."""
    found = entries.get(grade) or entries.get(None)
    if found is None and grade is None and len(entries) == 1:
        found = next(iter(entries.values()))
    if found is not None:
        return found
    names = ", ".join(sorted(short_repr(one) for one in entries if one is not None))
    problem = "is required" if grade is None else f"{short_repr(grade)} has no price"
    raise all_invalid([Mistake("grade", f"{problem}; agent {short_repr(agent)} has prices for {names}")])


def price_at(
    catalogue: Catalogue,
    agent: str,
    card_key: str | None,
    customer_key: str | None,
    at: int,
    grade: str | None = None,
) -> Price:
    """Return the price that an outcome opening at an instant would freeze: on a card, for a customer, or for a customer
    with another card."""
    card = None if card_key is None else catalogue.rate_card(card_key, at)
    if card_key is not None and card is None:
        raise _missing(catalogue, RATE_CARD, card_key)
    if customer_key is None:
        if card is None:
            raise invalid("", "a rate card or a customer is required")
        entries = card.entries.get(agent) or _unpriced(agent, f"rate card {card_key}", sorted(card.entries))
        return _graded(entries, agent, grade)
    customer = catalogue.customer(customer_key, at)
    if customer is None:
        raise _missing(catalogue, CUSTOMER, customer_key)
    if card_key is not None:
        customer = replace(customer, rate_card=card_key)
    found = catalogue.entries(customer, agent, at)
    if found == HeldReason.NO_RATE_CARD:
        raise Refused("CONFLICT", f"customer {customer_key} has no rate card in effect", remedy="give a rate card")
    if isinstance(found, HeldReason):
        _unpriced(agent, f"customer {customer_key}", catalogue.keys("agent"))
    return _graded(found, agent, grade)


def _missing(catalogue: Catalogue, kind: Kind, key: str) -> Refused:
    known = catalogue.keys(kind.name)
    if key in known:
        return Refused("NOT_FOUND", f"no version of {kind.word} {key!r} is in effect at this instant")
    return not_found(kind.word, key, known)


def _unpriced(agent: str, where: str, known: Sequence[str]) -> NoReturn:
    remedy = did_you_mean(agent, [one for one in known if one != agent])
    raise Refused("NOT_FOUND", f"{where} has no price for agent {agent!r}", remedy=remedy)


def catalogue_of(file: CatalogueFile) -> Catalogue:
    """Return a catalogue with only the content of a file. Raise with every mistake."""
    if file.mistakes:
        raise all_invalid(file.mistakes)
    catalogue = Catalogue()
    for item in file.items:
        if item.kind != RULE.name:
            entry = CatalogueEntry(
                kind=item.kind, key=item.key, effective_from=0, archived=item.archived, content=item.content
            )
            catalogue.add(entry)
    return catalogue


def told(quoted: Quote, lines_max: int | None = LINES_MAX) -> QuoteAnswer:
    price = quoted.price
    digits = price.exponent
    shown = list(zip(quoted.units, quoted.lines, strict=True))[:lines_max]
    return QuoteAnswer(
        agent=price.agent,
        grade=price.grade,
        price=price.content,
        price_hash=price.hash,
        words=price_text(price),
        currency=price.currency,
        digits=digits,
        outcomes=len(quoted.units),
        units=plain(exact_sum(quoted.units)),
        rated="at_close" if price.is_rated_at_close else "at_settlement",
        rows=quoted.rows,
        lines=[
            QuotedLine(
                unit=plain(unit),
                price_per_unit=None if line.price_per_unit is None else plain(line.price_per_unit),
                amount=minor_text(line.amount, digits),
                amount_exact=plain(line.exact),
                working=line.working,
                words=_how(line.working, unit, price),
            )
            for unit, line in shown
        ],
        lines_left_out=len(quoted.lines) - len(shown),
        adjustments=[
            QuotedAdjustment(
                kind=one.kind,
                amount=minor_text(one.amount, digits),
                amount_exact=plain(one.exact),
                working=one.working,
                words=working_words(one.working),
            )
            for one in quoted.adjustments
        ],
        total=quoted.total_text,
        warnings=card_warnings([price]),
    )


def _how(working: Working | None, unit: Decimal, price: Price) -> str:
    if working is not None:
        return working_words(working)
    return f"{plain(unit)} × {plain(price.price_per_unit or Decimal(0))}"
