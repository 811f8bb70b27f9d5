"""The ageing report: what customers owe, by the days since the due date."""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from witnd.app.invoices.operations import LOOKED_AT_MAX
from witnd.app.services import Services
from witnd.domain.invoices.ageing import Ageing, ageing_by
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.payment import is_date
from witnd.domain.values.money import minor_text
from witnd.store.errors import DamagedInvoice
from witnd.store.invoices.reads import PAGE, InvoiceFilter


class AgeingSums(Struct, frozen=True, kw_only=True):
    """What is due in one currency. `current` is not overdue; the others are overdue by that many days."""

    currency: str
    invoices: int
    current: str
    days_1_30: str
    days_31_60: str
    over_60: str
    total: str


class CustomerAgeing(AgeingSums, frozen=True, kw_only=True):
    """What one customer owes in one currency."""

    customer_key: str


class AgeingReport(Struct, frozen=True, kw_only=True):
    """What is due on a date, by currency, and by customer and currency. `complete` is false if there are more unpaid
    invoices than one report reads; those with the latest due dates are omitted. `unreadable`: ids of invoices with
    damaged data, which are omitted too."""

    date: str
    totals: list[AgeingSums]
    customers: list[CustomerAgeing]
    complete: bool
    unreadable: list[str]


class _Found(Struct, frozen=True):
    invoices: list[Invoice]
    is_complete: bool
    unreadable: list[str]


# The fields of `Ageing.amounts`, in their order.
FIELDS: Final = ("current", "days_1_30", "days_31_60", "over_60")


async def report(
    services: Services, *, customer_key: str | None = None, currency: str | None = None, most: int = LOOKED_AT_MAX
) -> AgeingReport:
    """Return what is due of unpaid invoices, of a customer or in a currency. `most`: how many invoices to read."""
    read = await (_all(services, most) if customer_key is None else _of_customer(services, customer_key, most))
    invoices = [one for one in read.invoices if currency in (None, one.currency)]
    today = await services.today(await services.invoices.server_ms())
    totals = ageing_by([""] * len(invoices), invoices, today)
    customers = ageing_by([one.customer_key for one in invoices], invoices, today)
    return AgeingReport(
        date=today,
        totals=[AgeingSums(**_fields(code, one)) for (_, code), one in sorted(totals.items())],
        customers=[
            CustomerAgeing(customer_key=key, **_fields(code, one))
            # In each currency, the customer with the largest amount in the oldest bucket comes first.
            for (key, code), one in sorted(customers.items(), key=lambda item: (item[0][1], _age(item[1]), item[0]))
        ],
        complete=read.is_complete,
        unreadable=read.unreadable,
    )


def _age(one: Ageing) -> tuple[object, ...]:
    return tuple(amount.copy_negate() for amount in reversed(one.amounts))


def _fields(currency: str, one: Ageing) -> dict[str, Any]:
    amounts = {name: minor_text(amount, one.digits) for name, amount in zip(FIELDS, one.amounts, strict=True)}
    return {"currency": currency, "invoices": one.invoices, "total": minor_text(one.total, one.digits), **amounts}


async def _all(services: Services, most: int) -> _Found:
    ids = await services.invoices.accounts.receivables(most + 1)
    heads: list[Invoice | DamagedInvoice | None] = []
    for at in range(0, min(len(ids), most), PAGE):
        heads += await services.invoices.heads(ids[at : min(at + PAGE, most)])
    unreadable = [id_ for id_, head in zip(ids, heads, strict=False) if isinstance(head, DamagedInvoice)]
    found = [head for head in heads if head is not None and not isinstance(head, DamagedInvoice)]
    return _checked(found, is_complete=len(ids) <= most, unreadable=unreadable)


async def _of_customer(services: Services, customer_key: str, most: int) -> _Found:
    """Return the unpaid invoices of one customer, usually fewer than all unpaid ones."""
    unpaid = InvoiceFilter(customer=customer_key, stages=frozenset(("issued",)))
    page = await services.invoices.page(unpaid, most, most=most)
    return _checked(page.data, is_complete=page.cursor is None, unreadable=page.unreadable)


def _checked(invoices: Sequence[Invoice], *, is_complete: bool, unreadable: Sequence[str]) -> _Found:
    """Leave out invoices with a damaged due date."""
    damaged = [one.id for one in invoices if one.due_date is not None and not is_date(one.due_date)]
    return _Found([one for one in invoices if one.id not in damaged], is_complete, [*unreadable, *damaged])
