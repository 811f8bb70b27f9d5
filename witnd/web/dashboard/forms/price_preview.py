"""What outcomes would cost, for people: of a price that is being written, or of one that is saved.

What they come to is decided by `witnd.app.catalogue.quotes`; here it gets its words and its digits.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from witnd.app.catalogue.quotes import QUESTION, QuoteAnswer, answered, question, unsaved
from witnd.app.errors import Refused, all_invalid
from witnd.billing.export.wording import format_numbers, group_digits
from witnd.domain.pricing.ratecard import PERCENTAGE, RateCard
from witnd.domain.values.fields import Table
from witnd.web.dashboard.forms.prices import Entry, Problem, padded, problems_of
from witnd.web.dashboard.present.price_words import words_of

# Outcomes that are listed; the totals contain all of them.
LINES: Final = 10
OUTCOMES: Final = "100"
# A price can be tried before an agent is chosen for it.
_SOMEBODY: Final = "the agent"
# A comma within a number is no separator: it is refused, and not taken for two numbers.
_BETWEEN: Final = re.compile(r"[\s;]+|,\s+|,$")
_LONGEST_COUNT: Final = 9


class Row(Struct, frozen=True, kw_only=True):
    """A part of the total. `price` is an amount unless `plain`."""

    label: str
    quantity: str
    price: str | None
    plain: bool
    amount: str


class Part(Struct, frozen=True, kw_only=True):
    """One line of an invoice: an outcome, or a fee, minimum or cap."""

    name: str
    units: str
    calculation: str
    amount: str


class Preview(Struct, frozen=True, kw_only=True):
    """A quote, or the problems that prevent it."""

    price_text: str = ""
    currency: str = ""
    outcomes: int = 0
    units: str = ""
    is_rated_at_close: bool = False
    rows: Sequence[Row] = ()
    parts: Sequence[Part] = ()
    left_out: int = 0
    total: str = ""
    warnings: Sequence[str] = ()
    problems: Sequence[Problem] = ()


async def preview_of_form(
    entries: Sequence[Entry], currency: str, form: Mapping[str, str], stored: Mapping[str, int]
) -> Preview | None:
    """Of the price that the form asks about, by its number from 0; None where there is no price."""
    place = selected_place(form, len(entries))
    if place is None:
        return None
    entry = entries[place].document
    agent = entry.setdefault("agent", _SOMEBODY)
    asked = {"agent": agent, "grade": entry.get("grade"), **quantities(form)}
    raw = {"currency": currency or None, "entries": [entry], **asked}
    try:
        # In a thread: ten thousand outcomes would block the event loop for too long.
        return preview_of_quote(await asyncio.to_thread(unsaved, raw, stored))
    except Refused as refused:
        return Preview(problems=problems_of(refused, -place))


async def preview_of_card(card: RateCard, agent: str, form: Mapping[str, str]) -> Preview:
    """Of a saved card."""
    table = Table({"agent": agent, "grade": form.get("grade") or None, **quantities(form)}, "", QUESTION)
    asked = question(table)
    try:
        if table.mistakes:
            raise all_invalid(table.mistakes)
        return preview_of_quote(await asyncio.to_thread(answered, card, asked))
    except Refused as refused:
        return Preview(problems=problems_of(refused))


def selected_place(form: Mapping[str, str], count: int) -> int | None:
    text = form.get("of", "")
    place = int(text) if text.isascii() and text.isdecimal() and len(text) <= _LONGEST_COUNT else 0
    return min(place, count - 1) if count else None


def quantities(form: Mapping[str, str]) -> dict[str, Any]:
    """`outcomes` or `units` as the API takes them; what is no number stays text, and is refused there."""
    units = [one for one in _BETWEEN.split(form.get("units", "").strip()) if one]
    if units:
        return {"units": units}
    text = form.get("outcomes", "").strip()
    number = text.isascii() and text.isdecimal() and len(text) <= _LONGEST_COUNT
    return {"outcomes": int(text) if number else text or None}


def preview_of_quote(quote: QuoteAnswer) -> Preview:
    parts = [
        Part(name=f"Outcome {number}", units=group_digits(line.unit), calculation=line.words, amount=line.amount)
        for number, line in enumerate(quote.lines[:LINES], 1)
    ]
    fees = [
        Part(name=_begun(one.kind), units="", calculation=one.words, amount=one.amount) for one in quote.adjustments
    ]
    is_percentage = quote.price["kind"] == PERCENTAGE
    return Preview(
        price_text=words_of(quote.price, quote.digits),
        currency=quote.currency,
        outcomes=quote.outcomes,
        units=quote.units,
        is_rated_at_close=quote.rated == "at_close",
        rows=[
            Row(
                label=_begun(row.what),
                quantity=format_numbers(row.quantity or ""),
                price=row.price if row.price is None or is_percentage else padded(row.price, quote.digits),
                plain=is_percentage,
                amount=padded(row.amount, quote.digits),
            )
            for row in quote.rows
        ],
        parts=[*parts, *fees],
        left_out=quote.outcomes - len(parts),
        total=quote.total,
        warnings=quote.warnings,
    )


def _begun(words: str) -> str:
    return words[:1].upper() + words[1:]
