"""Prices of the catalogue for people, with the digits of their currency: as invoices say them."""

from collections.abc import Mapping
from typing import Any

from witnd.billing.export import wording
from witnd.domain.pricing.ratecard import FLAT, Price


def price_lines(price: Price) -> list[str]:
    """What was agreed, one line each."""
    unit = [f"{wording.unit_price(price)} per unit"] if price.kind == FLAT else []
    return [*unit, *wording.price_lines(price)]


def price_words(price: Price) -> str:
    """The same in one line: `4.60 per unit; the first 10 of the period are free`."""
    first, *more = price_lines(price)
    return "; ".join([first, *(line[:1].lower() + line[1:] for line in more)])


def words_of(content: Mapping[str, Any], digits: int) -> str:
    """Of a price that comes from the API: its canonical entry, with card and currency."""
    return price_words(Price.from_entry(content["rate_card"], content["currency"], digits, content))
