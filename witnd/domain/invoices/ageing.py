"""How old unpaid invoices are: what is due of each currency, by the days since the due date."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Final

from msgspec import Struct

from witnd.domain.invoices.invoice import Invoice
from witnd.domain.values.money import exact_sum, plus

# The last day of each bucket, in days after the due date. What is due today is not overdue.
CURRENT: Final = 0
BUCKETS: Final[tuple[int | None, ...]] = (CURRENT, 30, 60, None)
_ZERO: Final = Decimal(0)


class Ageing(Struct, frozen=True, kw_only=True):
    """What is due in one currency: one amount for each of `BUCKETS`. `digits`: the most minor digits of an invoice."""

    invoices: int
    digits: int
    amounts: tuple[Decimal, ...]

    @property
    def total(self) -> Decimal:
        return exact_sum(self.amounts)

    @property
    def overdue(self) -> Decimal:
        return exact_sum(self.amounts[1:])


def day_number(text: str) -> int:
    """Return the number of a date such as 2026-11-30, so that days between dates are a difference."""
    return date.fromisoformat(text).toordinal()


def due_day(invoice: Invoice) -> int | None:
    """Return the day number of the due date of an unpaid invoice, or None if nothing is due."""
    if invoice.status != "issued" or not invoice.due or invoice.due_date is None:
        return None
    return day_number(invoice.due_date)


def bucket_of(days: int) -> int:
    """Return the place in `BUCKETS` of an invoice whose due date was this many days ago."""
    return next(place for place, last in enumerate(BUCKETS) if last is None or days <= last)


def ageing_by(keys: Iterable[str], invoices: Sequence[Invoice], today: str) -> Mapping[tuple[str, str], Ageing]:
    """Return what is due of invoices by a key, such as that of the customer, and currency. `keys`: one per invoice."""
    now = day_number(today)
    found: dict[tuple[str, str], Ageing] = {}
    for key, invoice in zip(keys, invoices, strict=True):
        due = due_day(invoice)
        if due is None:
            continue
        place = bucket_of(now - due)
        known = found.get((key, invoice.currency))
        amounts = [_ZERO] * len(BUCKETS) if known is None else list(known.amounts)
        amounts[place] = plus(amounts[place], invoice.due or _ZERO)
        found[key, invoice.currency] = Ageing(
            invoices=1 if known is None else known.invoices + 1,
            digits=invoice.digits if known is None else max(known.digits, invoice.digits),
            amounts=tuple(amounts),
        )
    return found
