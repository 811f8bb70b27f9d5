"""The results of operations on an invoice. `issue`, `cancel`, `payment`, `credit` and `manual` have the operations.

Each returns a decision: a change, unchanged, or a refusal with its remedy. `store.invoices.change` writes it and
assigns the number.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from witnd.domain.invoices.invoice import Invoice, PaymentEntry, Row
from witnd.domain.invoices.tax import TaxRow, tax_sum
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values import instant
from witnd.domain.values.money import difference, minor_text, plus
from witnd.domain.values.period import HOUR

# credit: credit rows before the invoice is issued. note: a credit note after that. reverse: of a payment.
# adjust: of the discounts of an invoice whose period has closed. overdue: found by the schedule.
Operation: TypeAlias = Literal[
    "issue",
    "pay",
    "reverse",
    "void",
    "revise",
    "credit",
    "note",
    "add_line",
    "remove_line",
    "override_tax",
    "adjust",
    "overdue",
]
MAX_REASON_LENGTH: Final = 500


class CreditNote(Struct, frozen=True, kw_only=True):
    """A credit after an invoice was issued. `applied` reduced what was due of the invoice; the rest went to the
    customer's balance.

    `amount` is net and above 0, those of the rows are below 0. A note that cancels a whole invoice has no rows. Number
    and instant (ms) are None until it is written.
    """

    id: str
    invoice: str
    invoice_number: str
    customer_key: str
    currency: str
    digits: int
    amount: Decimal
    applied: Decimal
    reason: str
    rows: tuple[Row, ...]
    tax_rows: tuple[TaxRow, ...] = ()
    number: str | None = None
    issued_at: int | None = None

    @property
    def total(self) -> Decimal:
        """The amount with tax."""
        return plus(self.amount, tax_sum(self.tax_rows))

    @property
    def to_balance(self) -> Decimal:
        """The part that went to the customer's balance."""
        return difference(self.total, self.applied)


def note_for(
    invoice: Invoice,
    amount: Decimal,
    reason: str,
    rows: tuple[Row, ...],
    taxes: tuple[TaxRow, ...],
    due: Decimal,
    id_: str | None = None,
) -> CreditNote:
    """Return the next credit note of an issued invoice. As much of it as is due is applied to the invoice."""
    assert invoice.number is not None, invoice
    return CreditNote(
        id=id_ or note_id(invoice.id, invoice.notes),
        invoice=invoice.id,
        invoice_number=invoice.number,
        customer_key=invoice.customer_key,
        currency=invoice.currency,
        digits=invoice.digits,
        amount=amount,
        applied=min(plus(amount, tax_sum(taxes)), due),
        reason=reason,
        rows=rows,
        tax_rows=taxes,
    )


class Change(Struct, frozen=True, kw_only=True):
    """The effect of an operation, valid only for the state it was decided from."""

    operation: Operation
    before: Invoice
    after: Invoice  # without number and instants, which the store assigns
    series: str | None = None  # of the number for the invoice or credit note
    first: int = 1  # the first number of the series
    until: int | None = None  # the instant (ms) from which it must be decided again, as its dates would be others
    balance: Decimal | None = None  # the customer's balance afterwards; None if it does not matter
    credited: Mapping[str, Decimal] = {}  # corrected row → its total credit afterwards
    rows: tuple[Row, ...] = ()  # the new credit rows of the draft
    note: CreditNote | None = None
    payment: PaymentEntry | None = None  # the new payment or reversal
    draft: Invoice | None = None  # the next edition
    made: str | None = None  # the id of what it created or reversed; None: its number, note, rows or payment
    reason: str | None = None  # for the change log, where the invoice does not have it
    waits: bool | None = None  # whether the draft waits for issue from now on; None: as before
    is_pending: bool | None = None  # whether discounts must be adjusted when the period closes; None: as before
    for_customer: bool = False  # a line for a customer's current period, which may open its invoice
    corrected: tuple[str, ...] = ()  # outcome keys whose reversals are credited now, or cannot be
    date: str | None = None  # a chosen date of the document; it must not be before the last one of the series

    @property
    def timestamp_fields(self) -> list[str]:
        """The fields of the head with the instant of this operation."""
        fields = _TIMESTAMPS.get(self.operation, [])
        is_new_paid = self.after.status == "paid" and self.before.status != "paid"
        return [*fields, "paid_at"] if is_new_paid else fields


_TIMESTAMPS: Final[Mapping[str, list[str]]] = {
    "issue": ["issued_at"],
    "void": ["voided_at"],
    "revise": ["voided_at"],
    "overdue": ["overdue_at"],
}


class Series(Struct, frozen=True, kw_only=True):
    """A series of numbers. `{year}` in its name is the year of the document; `first` is its first number."""

    name: str
    first: int = 1

    def name_on(self, date: str) -> str:
        """Return its name on a date such as 2026-11-30."""
        return self.name.replace("{year}", date[:4])


def number_text(series: str, count: int) -> str:
    """Return a number of a series, as `change.lua` writes it."""
    return f"{series}-{count:06d}"


class Unchanged(Struct, frozen=True):
    """The invoice already has the requested status."""

    invoice: Invoice


class Refusal(Struct, frozen=True):
    """Why an operation is not possible, and what to do instead."""

    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}"


Decision: TypeAlias = Change | Unchanged | Refusal


def with_payment_status(invoice: Invoice) -> Invoice:
    """Return an issued invoice as paid if nothing is due, else as issued."""
    if invoice.due:
        return replace(invoice, status="issued", paid_at=None)
    is_new = invoice.status != "paid"
    return replace(invoice, status="paid", paid_count=invoice.paid_count + is_new)


def with_instants(change: Change, at: int) -> Invoice:
    """Return the invoice after a change that is made at an instant (ms)."""
    return replace(change.after, **dict.fromkeys(change.timestamp_fields, at))


def reason_refusal(reason: str) -> Refusal | None:
    """Return why a reason cannot be used, or None. It is printed on the invoice."""
    if not reason.strip():
        return Refusal("the reason is empty", "write a reason that the customer may read")
    if len(reason) > MAX_REASON_LENGTH:
        return Refusal(f"the reason has {len(reason)} characters", f"shorten it to {MAX_REASON_LENGTH}")
    if not reason.isprintable():
        return Refusal("the reason has characters that cannot be printed", "write it on one line, as plain text")
    return None


def invoice_label(invoice: Invoice) -> str:
    """Return the invoice number, or a description of a draft."""
    if invoice.number is not None:
        return invoice.number
    days = f"from {invoice.first_day} to {invoice.last_day}"
    if invoice.first_day == invoice.last_day:
        days = f"of {invoice.first_day}"
    if invoice.period == HOUR:
        days = f"of the hour from {instant.render(invoice.start)}"
    return f"the draft of {invoice.customer_key} in {invoice.currency} {days}"


def amount_text(amount: Decimal, invoice: Invoice) -> str:
    """Return the amount with the digits and currency of an invoice."""
    return f"{minor_text(amount, invoice.digits)} {invoice.currency}"


def note_id(invoice: str, before: int) -> str:
    """Return the id of an invoice's credit note; `before` is the number of earlier ones."""
    return derived_id("credit_note", invoice, str(before))


def reversal_note_id(invoice: str, period_start: int) -> str:
    """Return the id of an invoice's credit note for the reversals accepted in a period (its start in ms)."""
    return derived_id("credit_note", invoice, "reversal", instant.render(period_start))


def note_ids(invoice: Invoice) -> list[str]:
    """Return the ids of an invoice's credit notes, oldest first."""
    periods = invoice.reversal_notes
    return [
        reversal_note_id(invoice.id, periods[place]) if place in periods else note_id(invoice.id, place)
        for place in range(invoice.notes)
    ]
