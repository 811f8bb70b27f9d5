"""What recurring fees and commitments come to by section 10.2 of the contract, in fractions and day by day.

Nothing here is shared with witnd.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any

from tests.contract.groups import Row, half_up, rounded_down, rounded_up

DAY = 86_400_000
EPOCH = date(1970, 1, 1)
ZERO = Fraction(0)
# Of a quotient, as much as a line shows.
SHOWN_DIGITS = 12


@dataclass(frozen=True)
class Terms:
    """What a customer pays in every period, as it stands in the catalogue: fees by key, and the commitment."""

    card: str
    currency: str
    digits: int
    fees: dict[str, dict[str, Any]] = field(hash=False)
    commitment: dict[str, Any] | None = field(hash=False)


TermsAt = Callable[[int], Terms | None]
FieldsOf = Callable[[Terms], dict[str, Any] | None]


def first_day(fields: dict[str, Any]) -> int | None:
    """The start in ms. Terms without one were written long after the periods of the test."""
    return None if "starts" not in fields else (date.fromisoformat(fields["starts"]) - EPOCH).days * DAY


def by_days(at: TermsAt, start: int, end: int, currency: str, fields_of: FieldsOf, name: str) -> Fraction:
    """The sum of the amounts in effect at the end of each day, divided by the days."""
    total, days = ZERO, range(start, end, DAY)
    for day in days:
        terms = at(day + DAY - 1)
        fields = fields_of(terms) if terms is not None and terms.currency == currency else None
        if fields is not None and (first := first_day(fields)) is not None and first <= day:
            total += Fraction(fields.get(name, "0"))
    return total / len(days)


def in_full(terms: Terms | None, currency: str, fields_of: FieldsOf, end: int, name: str) -> Fraction | None:
    fields = fields_of(terms) if terms is not None and terms.currency == currency else None
    if fields is None or (first := first_day(fields)) is None or first >= end or name not in fields:
        return None
    return Fraction(fields[name])


def fees(at: TermsAt, history: Sequence[Terms | None], start: int, end: int, currency: str) -> list[Row]:
    """The rows of recurring fees. `history`: all terms of the period in their order."""
    known = [terms for terms in history if terms is not None and terms.currency == currency]
    rows = []
    for key in sorted({key for terms in known for key in terms.fees}):
        last = [terms for terms in known if key in terms.fees][-1]

        def fee_of(terms: Terms, key: str = key) -> dict[str, Any] | None:
            return terms.fees.get(key)

        if last.fees[key].get("prorate"):
            exact = by_days(at, start, end, currency, fee_of, "amount")
            shown = half_up(exact, SHOWN_DIGITS)
        else:
            shown = exact = in_full(at(end - 1), currency, fee_of, end, "amount") or ZERO
        amount = half_up(exact, last.digits)
        if amount:
            rows.append(Row("recurring", last.card, amount, shown, last.fees[key].get("tax")))
    return rows


def commitment(
    at: TermsAt, history: Sequence[Terms | None], start: int, end: int, currency: str
) -> tuple[Terms, Fraction, Fraction | None] | None:
    """The terms that name it last, minimum and cap of a period; None without a commitment."""
    known = [terms for terms in history if terms is not None and terms.currency == currency and terms.commitment]
    if not known:
        return None
    last = known[-1]
    assert last.commitment is not None

    def own(terms: Terms) -> dict[str, Any] | None:
        return terms.commitment

    if last.commitment.get("prorate"):
        least = half_up(by_days(at, start, end, currency, own, "period_minimum"), last.digits)
    else:
        least = rounded_up(in_full(at(end - 1), currency, own, end, "period_minimum") or ZERO, last.digits)
    most = in_full(at(end - 1), currency, own, end, "period_cap")
    return last, least, most


def bill(
    at: TermsAt, history: Sequence[Terms | None], start: int, end: int, currency: str, spent: Fraction
) -> tuple[bool, list[Row]]:
    """Whether there is an invoice without outcomes, and its rows. `spent`: by outcomes and their adjustments."""
    rows = fees(at, history, start, end, currency)
    agreed = commitment(at, history, start, end, currency)
    if agreed is None:
        return bool(rows), rows
    last, least, most = agreed
    assert last.commitment is not None
    is_due = bool(rows) or least > 0
    target = max(spent, least)
    if most is not None:
        target = min(target, rounded_down(most, last.digits))
    if target != spent:
        kind = "commitment" if target > spent else "commitment_cap"
        rows.append(Row(kind, last.card, target - spent, target - spent, last.commitment.get("tax")))
    return is_due, rows
