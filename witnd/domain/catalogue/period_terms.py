"""The terms of a billing period: the price that bounds a group of outcomes, and recurring fees and commitments.

The results no longer change when a log has reached the end of the period: a new version takes effect after the newest
log entry.
"""

from bisect import bisect_right
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.pricing.charge import CommitmentCharge, FeeCharge, PeriodCharges, full, prorated
from witnd.domain.pricing.group import GroupKey
from witnd.domain.pricing.ratecard import Price
from witnd.domain.pricing.recurring import Commitment, Fee
from witnd.domain.values.local_day import LocalDay
from witnd.domain.values.period import Calendar, ChargedDays, Period

_ZERO = Decimal(0)


def period_terms(catalogue: Catalogue, customer_key: str, currency: str, group: GroupKey, end: int) -> Price | None:
    """Return the customer's price in this currency that names exactly the group's agent and grade, or no grade, and is
    in effect at the last millisecond of the period that ends at `end`. None if there is none.
    """
    at = end - 1
    customer = catalogue.customer(customer_key, at)
    price = None if customer is None else catalogue.price(customer, group.agent, at, group.grade)
    return price if isinstance(price, Price) and price.currency == currency else None


class _Terms(NamedTuple):
    """The fees and the commitment of a customer from an instant (ms) on."""

    since: int
    card: str
    currency: str
    digits: int
    fees: dict[str, Fee]
    commitment: Commitment | None


def period_charges(
    catalogue: Catalogue, customer_key: str, period: Period, calendar: Calendar
) -> dict[str, PeriodCharges]:
    """Return the recurring fees and the commitment of a customer for a period, by currency.

    Without `prorate`, the terms in effect at the last millisecond apply in full. With it, each day has its part of the
    amount in effect at its end. If versions disagree, the last one decides. The calendar must have decided the period.
    """
    history = _terms_between(catalogue, customer_key, period.start, period.end)
    days = calendar.charged_days(period) if history else ChargedDays((), 1)
    found: dict[str, PeriodCharges] = {}
    for currency in dict.fromkeys(terms.currency for terms in history):
        last = [terms for terms in history if terms.currency == currency][-1]
        found_fees = [_fee(history, currency, key, period, days) for key in _fee_keys(history, currency)]
        fees = [charge for charge in found_fees if charge is not None]
        commitment = _commitment(history, currency, period, days)
        if fees or commitment is not None:
            found[currency] = PeriodCharges(last.card, currency, last.digits, tuple(fees), commitment)
    return found


def _fee_keys(history: Sequence[_Terms], currency: str) -> list[str]:
    return sorted({key for terms in history if terms.currency == currency for key in terms.fees})


def _fee(history: Sequence[_Terms], currency: str, key: str, period: Period, charged: ChargedDays) -> FeeCharge | None:
    having = [terms for terms in history if terms.currency == currency and key in terms.fees]
    last = having[-1]
    fee = last.fees[key]
    if fee.prorate:
        days = []
        for terms, day in _terms_by_day(history, currency, charged):
            own = None if terms is None else terms.fees.get(key)
            days.append(own.amount if own is not None and own.start.date <= day.date else _ZERO)
        amount = prorated(days, charged.natural, last.digits)
    elif last is history[-1] and fee.start.date <= period.last_day:
        amount = full(fee.amount, last.digits)
    else:
        return None
    return FeeCharge(key, fee.name, last.card, amount, fee.tax) if amount.amount else None


def _commitment(
    history: Sequence[_Terms], currency: str, period: Period, charged: ChargedDays
) -> CommitmentCharge | None:
    having = [terms for terms in history if terms.currency == currency and terms.commitment is not None]
    if not having:
        return None
    last, at_end = having[-1], history[-1]
    terms = last.commitment
    assert terms is not None
    in_effect = at_end.commitment if at_end.currency == currency else None
    if in_effect is not None and in_effect.start.date > period.last_day:
        in_effect = None
    if terms.prorate:
        days = []
        for own, day in _terms_by_day(history, currency, charged):
            one = None if own is None else own.commitment
            days.append(one.minimum if one is not None and one.start.date <= day.date else _ZERO)
        minimum = prorated(days, charged.natural, last.digits)
    else:
        minimum = full(_ZERO if in_effect is None else in_effect.minimum, last.digits, is_minimum=True)
    # A cap is never prorated.
    cap = None if in_effect is None else in_effect.cap
    if not minimum.amount and cap is None:
        return None
    return CommitmentCharge(last.card, minimum, cap, terms.tax)


def _terms_by_day(
    history: Sequence[_Terms], currency: str, charged: ChargedDays
) -> list[tuple[_Terms | None, LocalDay]]:
    """Return each day of the period, with the terms in this currency at the end of that day."""
    starts = [terms.since for terms in history]
    found: list[tuple[_Terms | None, LocalDay]] = []
    for day in charged.days:
        place = bisect_right(starts, day.end - 1) - 1
        terms = history[place] if place >= 0 else None
        found.append((terms if terms is not None and terms.currency == currency else None, day))
    return found


def _terms_between(catalogue: Catalogue, customer_key: str, start: int, end: int) -> list[_Terms]:
    """Return the customer's terms during [start, end), each with its first instant. The last ones apply at the end."""
    found: list[_Terms] = []
    at = start
    while at < end:
        terms, until = _terms_at(catalogue, customer_key, at, end)
        found.append(terms)
        at = until
    return found if any(terms.fees or terms.commitment for terms in found) else []


def _terms_at(catalogue: Catalogue, customer_key: str, at: int, end: int) -> tuple[_Terms, int]:
    """Return the terms at an instant, and the next instant at which they can change. Nothing is charged without a card
    and of an archived customer."""
    customer = catalogue.customer(customer_key, at)
    until = _next(catalogue.instants("customer", customer_key), at, end)
    if customer is None or customer.archived or customer.rate_card is None:
        return _Terms(at, "", "", 0, {}, None), until
    until = min(until, _next(catalogue.instants("rate_card", customer.rate_card), at, end))
    card = catalogue.rate_card(customer.rate_card, at)
    if card is None:
        return _Terms(at, "", "", 0, {}, None), until
    fees: dict[str, Fee] = {}
    commitment: Commitment | None = None
    if card.recurring is not None:
        fees, commitment = card.recurring.of_card(customer.card_since)
    if customer.recurring is not None:
        fees = fees | customer.recurring.fees
        commitment = customer.recurring.commitment or commitment
    return _Terms(at, card.key, card.currency, card.digits, fees, commitment), until


def _next(instants: Sequence[int], at: int, end: int) -> int:
    place = bisect_right(instants, at)
    return min(instants[place], end) if place < len(instants) else end
