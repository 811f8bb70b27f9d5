"""Operations on an invoice: issue, void and revise. `payment` has payments, `credit` has credits.

Each returns a decision: a change, unchanged, or a refusal with its remedy. `store.invoices.change` writes it and
assigns the number.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from witnd.domain.invoices.invoice import Invoice, PaymentEntry, Row, edition_id
from witnd.domain.values import instant
from witnd.domain.values.money import difference, minor_text, plus

# credit: credit rows before the invoice is issued. note: a credit note after that. reverse: of a payment.
Operation: TypeAlias = Literal["issue", "pay", "reverse", "void", "revise", "credit", "note"]
MAX_REASON_LENGTH: Final = 500
DAY_MS: Final = 86_400_000
# Days from the issue of an invoice to its due date.
PAYMENT_TERMS_DAYS: Final = 30


class CreditNote(Struct, frozen=True, kw_only=True):
    """A credit after an invoice was issued. `applied` reduced what was due of the invoice; the rest went to the
    customer's balance.

    `amount` is above 0, those of the rows below 0. Number and instant (ms) are None until it is written.
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
    number: str | None = None
    issued_at: int | None = None

    @property
    def to_balance(self) -> Decimal:
        """The part that went to the customer's balance."""
        return difference(self.amount, self.applied)


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

    @property
    def timestamp_fields(self) -> list[str]:
        """The fields of the head with the instant of this operation."""
        fields = {"issue": ["issued_at"], "void": ["voided_at"], "revise": ["voided_at"]}.get(self.operation, [])
        is_new_paid = self.after.status == "paid" and self.before.status != "paid"
        return [*fields, "paid_at"] if is_new_paid else fields

    @property
    def is_issue(self) -> bool:
        """Whether the invoice leaves the drafts that wait for issue."""
        return self.operation == "issue"


class Series(Struct, frozen=True, kw_only=True):
    """A series of numbers. `{year}` in its name is the year of the document; `first` is its first number."""

    name: str
    first: int = 1

    def name_at(self, ms: int) -> str:
        """Return its name at an instant, in UTC."""
        return self.name.replace("{year}", date_text(ms)[:4])


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


def issue(invoice: Invoice, balance: Decimal, series: Series, at: int) -> Decision:
    """Issue a closed draft: fix its total and its dates, and pay as much of it as the customer's balance covers. If
    nothing remains due, it is paid. `at` is the server's clock in ms."""
    if invoice.status == "issued" or (invoice.status == "paid" and not invoice.live_payments and not invoice.notes):
        return Unchanged(invoice)  # the issue itself may have paid it
    if invoice.status != "draft":
        return Refusal(f"{invoice_label(invoice)} is {invoice.status}", "an invoice can be issued only once")
    if not invoice.closed:
        end = instant.render(invoice.end)
        return Refusal(
            f"{invoice_label(invoice)} is open until its period ends at {end}",
            "issue it after the daemon has closed the period",
        )
    used = min(balance, invoice.amount)
    after = replace(
        invoice,
        revision=invoice.revision + 1,
        status="issued",
        total=invoice.amount,
        balance_used=used,
        issue_date=date_text(at),
        due_date=date_text(at + PAYMENT_TERMS_DAYS * DAY_MS),
    )
    return Change(
        operation="issue",
        before=invoice,
        after=with_payment_status(after),
        series=series.name_at(at),
        first=series.first,
        until=end_of_day(at),
        balance=difference(balance, used),
    )


def void(invoice: Invoice, balance: Decimal, reason: str) -> Decision:
    """Void an issued invoice: write its money off, and return the used balance to the customer."""
    if (wrong := reason_refusal(reason)) is not None:
        return wrong
    if invoice.status == "void":
        return Unchanged(invoice)
    if (wrong := _cancel_refusal(invoice, "voided")) is not None:
        return wrong
    return Change(
        operation="void",
        before=invoice,
        after=_void(invoice, reason),
        balance=plus(balance, invoice.balance_used) if invoice.balance_used else None,
    )


def revise(invoice: Invoice, balance: Decimal, reason: str) -> Decision:
    """Void an issued invoice, and open a draft with the same rows as its next edition."""
    if (wrong := reason_refusal(reason)) is not None:
        return wrong
    if invoice.status == "void":
        if invoice.revised_by is not None:
            return Unchanged(invoice)
        return Refusal(f"{invoice_label(invoice)} is void, so it cannot be revised", "its money is written off")
    if (wrong := _cancel_refusal(invoice, "revised")) is not None:
        return wrong
    edition = invoice.edition + 1
    draft = Invoice(
        id=edition_id(invoice, edition),
        customer_key=invoice.customer_key,
        currency=invoice.currency,
        digits=invoice.digits,
        start=invoice.start,
        end=invoice.end,
        period=invoice.period,
        lines=invoice.lines,
        unrated=invoice.unrated,
        subtotal=invoice.subtotal,
        closed=True,
        credited=invoice.credited,
        edition=edition,
        revises=invoice.id,
        revises_number=invoice.number,
    )
    return Change(
        operation="revise",
        before=invoice,
        after=replace(_void(invoice, reason), revised_by=draft.id),
        balance=plus(balance, invoice.balance_used) if invoice.balance_used else None,
        draft=draft,
        made=draft.id,
    )


def _void(invoice: Invoice, reason: str) -> Invoice:
    return replace(
        invoice,
        revision=invoice.revision + 1,
        status="void",
        reason=reason,
        paid_at=None,
        balance_used=Decimal(0),
    )


def _cancel_refusal(invoice: Invoice, participle: str) -> Refusal | None:
    """Return why an invoice cannot be voided or revised, or None."""
    label = invoice_label(invoice)
    if invoice.status == "draft":
        return Refusal(f"{label} is not issued, so it cannot be {participle}", "credit the wrong rows instead")
    if invoice.live_payments:
        many = "a payment" if invoice.live_payments == 1 else f"{invoice.live_payments} payments"
        has = "is paid by" if invoice.status == "paid" else "has"
        return Refusal(
            f"{label} {has} {many}, so it cannot be {participle}",
            "credit the wrong rows instead, or reverse its payments first",
        )
    if invoice.notes:
        noted = amount_text(invoice.noted, invoice)
        return Refusal(
            f"{label} has credit notes over {noted}, which would be given back twice",
            "credit the rest of it instead",
        )
    return None


def with_payment_status(invoice: Invoice) -> Invoice:
    """Return an issued invoice as paid if nothing is due, else as issued."""
    if invoice.due:
        return replace(invoice, status="issued", paid_at=None)
    return replace(invoice, status="paid")


def with_instants(change: Change, at: int) -> Invoice:
    """Return the invoice after a change that is made at an instant (ms)."""
    return replace(change.after, **dict.fromkeys(change.timestamp_fields, at))


def end_of_day(ms: int) -> int:
    """Return the first instant (ms) of the next day in UTC."""
    return ms - ms % DAY_MS + DAY_MS


def date_text(ms: int) -> str:
    """Return the date of an instant in UTC."""
    return instant.render(ms)[:10]


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
    start, end = (instant.render(ms)[:10] for ms in (invoice.start, invoice.end))
    return f"the draft of {invoice.customer_key} in {invoice.currency} from {start} to {end}"


def amount_text(amount: Decimal, invoice: Invoice) -> str:
    """Return the amount with the digits and currency of an invoice."""
    return f"{minor_text(amount, invoice.digits)} {invoice.currency}"
