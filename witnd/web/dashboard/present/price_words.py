"""Prices of the catalogue for people, with the digits of their currency: as invoices say them."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from witnd.billing.export import wording
from witnd.domain.pricing.ratecard import FLAT, Price, RateCard
from witnd.domain.pricing.recurring import Commitment, Fee, Recurring, Start


def price_lines(price: Price) -> list[str]:
    """What was agreed, one line each."""
    unit = [f"{wording.unit_price(price)} per unit"] if price.kind == FLAT else []
    tax = [] if price.tax is None else [f"Tax: {price.tax}"]
    return [*unit, *wording.price_lines(price), *tax]


def price_words(price: Price) -> str:
    """The same in one line: `4.60 per unit; the first 10 of the period are free`."""
    first, *more = price_lines(price)
    return "; ".join([first, *(line[:1].lower() + line[1:] for line in more)])


def words_of(content: Mapping[str, Any], digits: int) -> str:
    """Of a price that comes from the API: its canonical entry, with card and currency."""
    return price_words(Price.from_entry(content["rate_card"], content["currency"], digits, content))


class ChargeLine(Struct, frozen=True, kw_only=True):
    """A recurring fee or a commitment in words. `own`: agreed with one customer alone."""

    name: str
    text: str
    own: bool


def charge_lines(card: RateCard | None, own: Recurring | None = None) -> list[ChargeLine]:
    """What is charged in every period: by a card, or for a customer with its own terms."""
    if card is None:
        return []
    of_card = card.recurring or Recurring({}, None)
    own = own or Recurring({}, None)
    fees = of_card.fees | own.fees
    found = [
        ChargeLine(name=fees[key].name, text=_fee_text(fees[key], card.digits), own=key in own.fees)
        for key in sorted(fees)
    ]
    commitment = own.commitment or of_card.commitment
    if commitment is not None:
        text = _commitment_text(commitment, card.digits)
        found.append(ChargeLine(name="Commitment", text=text, own=own.commitment is not None))
    return found


def _fee_text(fee: Fee, digits: int) -> str:
    return f"{wording.rate(fee.amount, digits)} per period{_conditions(fee.start, fee.tax, by_days=fee.prorate)}"


def _commitment_text(commitment: Commitment, digits: int) -> str:
    bounds = [f"at least {wording.rate(commitment.minimum, digits)}"] if commitment.minimum else []
    if commitment.cap is not None:
        bounds.append(f"at most {wording.rate(commitment.cap, digits)}")
    text = " and ".join(bounds)
    return f"{text} per period{_conditions(commitment.start, commitment.tax, by_days=commitment.prorate)}"


def _conditions(start: Start, tax: str | None, *, by_days: bool) -> str:
    parts = [", by days"] if by_days else []
    parts += [f", from {start.date}"] if start.date else []
    return "".join([*parts, *([] if tax is None else [f", tax {tax}"])])
