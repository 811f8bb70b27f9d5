"""Warn about prices above 0 that round to 0 for an outcome of one unit.

Only prices that are rounded per outcome can lose money this way: rounding a whole period keeps the sum.
"""

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.file import Item
from witnd.domain.pricing.ratecard import Price, RateCard
from witnd.domain.pricing.rating import rate_at_settlement
from witnd.domain.values.fields import field_path, short_repr
from witnd.domain.values.mistake import Mistake
from witnd.domain.values.money import minor_text, plain, to_minor

_ONE = Decimal(1)


def zero_price_warning(price: Price) -> str | None:
    """Return why an outcome of one unit is billed as 0, or None if it is not, or if it is intended to be free."""
    if price.is_rated_at_close or price.maximum == 0:
        return None
    rated = rate_at_settlement(price, _ONE)
    if rated.amount or not rated.price_per_unit:
        return None
    currency, zero = price.currency, minor_text(rated.amount, price.exponent)
    if price.maximum is not None and not to_minor(price.maximum, price.exponent, ROUND_FLOOR):
        return (
            f"every outcome is billed as {zero} {currency}: the maximum of {plain(price.maximum)} {currency} is below "
            "the smallest amount that can be billed"
        )
    return (
        f"an outcome of 1 unit costs {plain(rated.price_per_unit)} {currency} and is billed as {zero} {currency}, "
        "because each outcome is rounded individually; a graduated price rounds the sum of the period"
    )


def card_warnings(prices: Sequence[Price]) -> list[str]:
    """Return the warnings about prices, each with its agent."""
    found = [(_subject(price), zero_price_warning(price)) for price in prices]
    return [f"{subject}: {warning}" for subject, warning in found if warning is not None]


def _subject(price: Price) -> str:
    grade = "" if price.grade is None else f", grade {short_repr(price.grade)}"
    return f"agent {short_repr(price.agent)}{grade}"


def own_prices(content: dict[str, object], key: str, card: RateCard) -> list[Price]:
    """Return the prices of a customer's own entries, in the currency of its card."""
    entries = content.get("entries", ())
    assert isinstance(entries, Sequence), entries
    return [Price.from_entry(card.key, card.currency, card.digits, entry, customer=key) for entry in entries]


def zero_price_warnings(catalogue: Catalogue, items: Sequence[Item], at: int) -> list[Mistake]:
    """Return the warnings about the prices of a change, each with its path."""
    written = {item.key: RateCard.from_content(item.key, item.content) for item in items if item.kind == "rate_card"}
    found: list[Mistake] = []
    for item in items:
        prices: list[Price] = []
        if item.kind == "rate_card":
            prices = written[item.key].prices
        elif item.kind == "customer" and item.content.get("entries"):
            key = item.content["rate_card"]
            card = written.get(key) or catalogue.rate_card(key, at)
            prices = [] if card is None else own_prices(item.content, item.key, card)
        found += [Mistake(field_path(item.path, "entries"), warning) for warning in card_warnings(prices)]
    return found
