"""The exchange rate for the tax of an invoice, as a caller gives it."""

from msgspec import Struct

from witnd.app.errors import all_invalid
from witnd.domain.invoices.issue_data import Exchange, parse_rate
from witnd.domain.values.mistake import Mistake
from witnd.domain.values.money import minor_digits


class ExchangeRate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One unit of the invoice's currency is `rate` units of `currency`. `rate` is a string such as "0.9213"."""

    currency: str
    rate: str


def read_exchange_rate(given: ExchangeRate, currency: str) -> Exchange:
    """Check an exchange rate for an invoice in a currency. Raise VALIDATION_ERROR with every mistake."""
    mistakes: list[Mistake] = []
    digits = minor_digits(given.currency)
    if digits is None:
        mistakes.append(Mistake("exchange_rate.currency", f"{given.currency!r} is not an ISO 4217 code", 'use "EUR"'))
    elif given.currency == currency:
        problem = f"is {currency}, the currency of the invoice"
        mistakes.append(Mistake("exchange_rate.currency", problem, "leave the exchange rate out"))
    try:
        rate = parse_rate(given.rate)
    except ValueError as wrong:
        mistakes.append(Mistake("exchange_rate.rate", f"{given.rate!r} {wrong}"))
    if mistakes:
        raise all_invalid(mistakes)
    assert digits is not None
    return Exchange(currency=given.currency, digits=digits, rate=rate)
