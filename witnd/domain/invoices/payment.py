"""Payments of an invoice, their reversals, what is overdue, and refunds of a customer's balance.

A payment is split once, when it is recorded: as much as is due is applied to the invoice, and the rest goes to the
customer's balance. A payment is never deleted: an entry that reverses it corrects a mistake.
"""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from witnd.domain.invoices.invoice import Invoice, PaymentEntry
from witnd.domain.invoices.operations import (
    Change,
    Decision,
    Refusal,
    Unchanged,
    amount_text,
    invoice_label,
    with_payment_status,
)
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values import instant
from witnd.domain.values.money import decimal_string, difference, exact_sum, minor_text

# Payments and reversals of one invoice. All of them are read for each operation.
MAX_ENTRIES: Final = 1000
MAX_METHOD_LENGTH: Final = 50
MAX_REFERENCE_LENGTH: Final = 200
_DATE_LENGTH: Final = 10


class Payment(Struct, frozen=True, kw_only=True):
    """A payment of an invoice, with its reversal. Instants in ms."""

    id: str
    entry: PaymentEntry
    reversed_at: int | None = None


class Refund(Struct, frozen=True, kw_only=True):
    """A refund of a customer's balance. `recorded_at` in ms."""

    id: str
    customer_key: str
    currency: str
    digits: int
    amount: Decimal
    date: str
    method: str | None
    reference: str | None
    recorded_at: int


class Received(Struct, frozen=True, kw_only=True):
    """The facts of a payment or refund, as the caller gives them. `date` None: today."""

    amount: Decimal
    date: str | None = None
    method: str | None = None
    reference: str | None = None


def payment_id(invoice: str, index: int) -> str:
    """Return the id of a payment; `index` is the number of earlier payments and reversals of its invoice."""
    return derived_id("payment", invoice, str(index))


def refund_id(customer_key: str, index: int) -> str:
    """Return the id of a refund; `index` is the number of the customer's earlier refunds."""
    return derived_id("refund", customer_key, str(index))


def mark_overdue(invoice: Invoice, on: str, at: int) -> Decision:
    """Record that an invoice is overdue on a local date, once for each invoice. `at` is the server's clock in ms."""
    if not invoice.is_awaited or invoice.due_date is None or invoice.due_date >= on:
        return Unchanged(invoice)
    after = replace(invoice, revision=invoice.revision + 1, overdue_at=at)
    return Change(operation="overdue", before=invoice, after=after)


def payments_of(invoice: str, entries: Iterable[PaymentEntry]) -> list[Payment]:
    """Return the payments of an invoice in the order in which they were recorded."""
    found: dict[int, Payment] = {}
    for index, entry in enumerate(entries):
        if entry.reverses is None:
            found[index] = Payment(id=payment_id(invoice, index), entry=entry)
        elif entry.reverses in found:
            found[entry.reverses] = replace(found[entry.reverses], reversed_at=entry.at)
    return list(found.values())


def pay(invoice: Invoice, received: Received | None, balance: Decimal, *, today: str, at: int) -> Decision:
    """Record a payment. None: one of all that is due, received today; nothing if nothing is due."""
    if invoice.due is None:
        if invoice.status == "void":
            return Refusal(f"{invoice_label(invoice)} is void, so it cannot be paid", "pay another invoice")
        return Refusal(f"{invoice_label(invoice)} is not issued, so it cannot be paid", "issue it first")
    if received is None:
        if not invoice.due:
            return Unchanged(invoice)
        received = Received(amount=invoice.due)
    if (wrong := _amount_refusal(received.amount, invoice) or _room_refusal(invoice)) is not None:
        return wrong
    applied = min(received.amount, invoice.due)
    entry = PaymentEntry(
        at=at,
        amount=received.amount,
        applied=applied,
        date=received.date or today,
        method=received.method,
        reference=received.reference,
    )
    after = replace(
        invoice,
        revision=invoice.revision + 1,
        payments_total=exact_sum((invoice.payments_total, received.amount)),
        payments_applied=exact_sum((invoice.payments_applied, applied)),
        live_payments=invoice.live_payments + 1,
        payment_entries=invoice.payment_entries + 1,
    )
    return Change(
        operation="pay",
        before=invoice,
        after=with_payment_status(after),
        balance=exact_sum((balance, entry.to_balance)) if entry.to_balance else None,
        payment=entry,
    )


def reverse(
    invoice: Invoice, entries: tuple[PaymentEntry, ...], payment: str, balance: Decimal, *, today: str, at: int
) -> Decision:
    """Reverse a payment by a counter-entry. What it paid is due again."""
    known = {payment_id(invoice.id, index): index for index, one in enumerate(entries) if one.reverses is None}
    index = known.get(payment)
    if index is None:
        return Refusal(f"{invoice_label(invoice)} has no payment {payment!r}", "use the id of one of its payments")
    if any(one.reverses == index for one in entries):
        return Unchanged(invoice)
    paid = entries[index]
    if balance < paid.to_balance:
        return Refusal(
            f"{amount_text(paid.to_balance, invoice)} of the payment went to the customer's balance, "
            f"which is now {amount_text(balance, invoice)}",
            "void an invoice that used the balance, or record the missing amount as another payment first",
        )
    if (wrong := _room_refusal(invoice)) is not None:
        return wrong
    after = replace(
        invoice,
        revision=invoice.revision + 1,
        payments_total=difference(invoice.payments_total, paid.amount),
        payments_applied=difference(invoice.payments_applied, paid.applied),
        live_payments=invoice.live_payments - 1,
        payment_entries=invoice.payment_entries + 1,
    )
    return Change(
        operation="reverse",
        before=invoice,
        after=with_payment_status(after),
        balance=difference(balance, paid.to_balance) if paid.to_balance else None,
        payment=PaymentEntry(at=at, amount=paid.amount, applied=paid.applied, date=today, reverses=index),
        made=payment,
    )


def refund_refusal(amount: Decimal, balance: Decimal, currency: str, digits: int) -> Refusal | None:
    """Return why an amount cannot be refunded from a balance, or None."""
    if amount <= balance:
        return None
    left = f"{minor_text(balance, digits)} {currency}"
    remedy = f"refund at most {left}" if balance else "nothing can be refunded"
    return Refusal(f"{minor_text(amount, digits)} {currency} is more than the customer's balance of {left}", remedy)


def parse_amount(text: str, currency: str, digits: int) -> Decimal:
    """Parse an amount in a currency, such as "1.50". Raises ValueError with the reason."""
    amount = decimal_string(text)
    if len(text.partition(".")[2]) > digits:
        raise ValueError(f"has more digits after the point than {currency} ({digits}); shorten it")
    if not amount:
        raise ValueError("must be greater than 0")
    return amount


def parse_date(text: str) -> str:
    """Check a date such as "2026-11-30". Raises ValueError with the reason."""
    if not is_date(text):
        raise ValueError("must be a date such as 2026-11-30: year, month, day")
    return text


def is_date(text: str) -> bool:
    """Return whether a text is a date such as "2026-11-30"."""
    try:
        return len(text) == _DATE_LENGTH and date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def parse_words(text: str, most: int) -> str:
    """Check a method or reference. Raises ValueError with the reason."""
    if not text.strip():
        raise ValueError("is empty; leave it out instead")
    if len(text) > most:
        raise ValueError(f"has {len(text)} characters; shorten it to {most}")
    if not text.isprintable():
        raise ValueError("has characters that cannot be printed; write it on one line, as plain text")
    return text


def _amount_refusal(amount: Decimal, invoice: Invoice) -> Refusal | None:
    if amount > 0:
        return None
    return Refusal(f"the amount {amount_text(amount, invoice)} is too small", "write an amount above 0")


def _room_refusal(invoice: Invoice) -> Refusal | None:
    if invoice.payment_entries < MAX_ENTRIES:
        return None
    return Refusal(
        f"{invoice_label(invoice)} has {MAX_ENTRIES} payments and reversals", "record the payment on another invoice"
    )


# -- the JSON form, which the API, commands and exports share ----------------------------------------------------------


class PaymentJson(Struct, frozen=True, kw_only=True):
    """A payment. `applied` paid the invoice; the rest went to the customer's balance. `date` is when it arrived."""

    id: str
    amount: str
    applied: str
    date: str
    method: str | None
    reference: str | None
    reversed: bool
    recorded_at: str
    reversed_at: str | None


class RefundJson(Struct, frozen=True, kw_only=True):
    """A refund of a customer's balance."""

    id: str
    customer_key: str
    currency: str
    amount: str
    date: str
    method: str | None
    reference: str | None
    recorded_at: str


def payment_json(invoice: Invoice, payment: Payment) -> PaymentJson:
    entry = payment.entry
    return PaymentJson(
        id=payment.id,
        amount=minor_text(entry.amount, invoice.digits),
        applied=minor_text(entry.applied, invoice.digits),
        date=entry.date,
        method=entry.method,
        reference=entry.reference,
        reversed=payment.reversed_at is not None,
        recorded_at=instant.render(entry.at),
        reversed_at=None if payment.reversed_at is None else instant.render(payment.reversed_at),
    )


def refund_json(refund: Refund) -> RefundJson:
    return RefundJson(
        id=refund.id,
        customer_key=refund.customer_key,
        currency=refund.currency,
        amount=minor_text(refund.amount, refund.digits),
        date=refund.date,
        method=refund.method,
        reference=refund.reference,
        recorded_at=instant.render(refund.recorded_at),
    )
