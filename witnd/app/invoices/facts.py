"""The facts of a payment, a refund or an exchange rate, as a caller gives them: read with every mistake, and compared
with stored ones."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import TypeVar

from msgspec import Struct

from witnd.app.errors import Refused, all_invalid, unavailable
from witnd.domain.invoices.invoice import PaymentEntry
from witnd.domain.invoices.issue_data import Exchange, parse_rate
from witnd.domain.invoices.payment import (
    MAX_METHOD_LENGTH,
    MAX_REFERENCE_LENGTH,
    Received,
    Refund,
    parse_amount,
    parse_date,
    parse_words,
)
from witnd.domain.values.mistake import Mistake
from witnd.domain.values.money import minor_digits
from witnd.store.access.change_log import Author
from witnd.store.errors import StoreUnavailable

T = TypeVar("T")


class Facts(Struct, frozen=True, kw_only=True):
    """A payment or refund as a caller writes it. `date` defaults to today, by the server's clock, in the billing time
    zone."""

    amount: str
    date: str | None = None
    method: str | None = None
    reference: str | None = None


class ExchangeRate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One unit of the invoice's currency is `rate` units of `currency`. `rate` is a string such as "0.9213"."""

    currency: str
    rate: str


def received(facts: Facts, currency: str, digits: int) -> Received:
    """Check all facts. Raise VALIDATION_ERROR with every mistake."""
    mistakes: list[Mistake] = []

    def checked(path: str, text: str | None, parse: Callable[[str], T]) -> T | None:
        try:
            return None if text is None else parse(text)
        except ValueError as wrong:
            mistakes.append(Mistake(path, f"{text!r} {wrong}"))
            return None

    amount = checked("amount", facts.amount, partial(parse_amount, currency=currency, digits=digits))
    date = checked("date", facts.date, parse_date)
    method = checked("method", facts.method, partial(parse_words, most=MAX_METHOD_LENGTH))
    reference = checked("reference", facts.reference, partial(parse_words, most=MAX_REFERENCE_LENGTH))
    if mistakes:
        raise all_invalid(mistakes)
    return Received(amount=amount or Decimal(0), date=date, method=method, reference=reference)


def is_same(given: Received, stored: PaymentEntry | Refund) -> bool:
    """Return whether a stored payment or refund is what the caller gave; a date that was left out matches any."""
    return (
        stored.amount == given.amount
        and given.date in (None, stored.date)
        and (stored.method, stored.reference) == (given.method, given.reference)
    )


def not_confirmed(author: Author, what: str, silent: StoreUnavailable) -> Refused:
    """Return the error for a payment or refund of which it is unknown whether it was written."""
    remedy = (
        f"check whether the {what} is there before you retry; use an Idempotency-Key to retry safely"
        if author.idempotency_key is None
        else f"retry with the same Idempotency-Key; the {what} is recorded once"
    )
    return unavailable(f"{what} not confirmed ({silent}); {remedy}")


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
