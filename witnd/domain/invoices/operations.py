"""Operations on an invoice: issue, pay and void. `credit` has credits.

Each returns a decision: a change, unchanged, or a refusal with its remedy. `store.invoices.change` writes it and
assigns the number.
"""

from decimal import Decimal
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.values import instant
from witnd.domain.values.money import difference, exact_sum, minor_text

# credit: a credit row before the invoice is issued. note: a credit note after that.
Operation: TypeAlias = Literal["issue", "pay", "void", "credit", "note"]
MAX_REASON_LENGTH: Final = 500


class CreditNote(Struct, frozen=True, kw_only=True):
    """A credit after an invoice was issued. It is applied to the customer's next invoices in that currency.

    `amount` is above 0, those of the rows below 0. Number and instant (ms) are None until it is written.
    """

    id: str
    invoice: str
    invoice_number: str
    customer_key: str
    currency: str
    digits: int
    amount: Decimal
    reason: str
    rows: tuple[Row, ...]
    number: str | None = None
    issued_at: int | None = None


class Change(Struct, frozen=True, kw_only=True):
    """The effect of an operation, valid only for the state it was decided from."""

    operation: Operation
    before: Invoice
    after: Invoice  # without number and instant, which the store assigns
    series: str | None = None  # of the number for the invoice or credit note
    balance: Decimal | None = None  # the customer's balance afterwards; None if it does not matter
    credited: Decimal | None = None  # total credit of the corrected row afterwards
    row: Row | None = None  # the new credit row of the draft
    note: CreditNote | None = None

    @property
    def timestamp_field(self) -> str | None:
        """The field of the head with the instant of this operation."""
        return {"issue": "issued_at", "pay": "paid_at", "void": "voided_at"}.get(self.operation)

    @property
    def is_issue(self) -> bool:
        """Whether the invoice leaves the drafts that wait for issue."""
        return self.operation == "issue"


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


def issue(invoice: Invoice, balance: Decimal, series: str) -> Decision:
    """Issue a closed draft: fix its total and apply the customer's balance."""
    if invoice.status == "issued":
        return Unchanged(invoice)
    if invoice.status != "draft":
        return Refusal(f"{invoice_label(invoice)} is {invoice.status}", "an invoice can be issued only once")
    if not invoice.closed:
        end = instant.render(invoice.end)
        return Refusal(
            f"{invoice_label(invoice)} is open until its period ends at {end}",
            "issue it after the daemon has closed the period",
        )
    owed = difference(invoice.subtotal, invoice.credited)
    carried = min(balance, owed)
    after = replace(
        invoice,
        revision=invoice.revision + 1,
        status="issued",
        carried=carried,
        total=difference(owed, carried),
    )
    return Change(
        operation="issue",
        before=invoice,
        after=after,
        series=series,
        balance=difference(balance, carried),
    )


def pay(invoice: Invoice) -> Decision:
    """Record that an issued invoice is paid."""
    match invoice.status:
        case "paid":
            return Unchanged(invoice)
        case "draft":
            return Refusal(f"{invoice_label(invoice)} is not issued, so it cannot be paid", "issue it first")
        case "void":
            return Refusal(f"{invoice_label(invoice)} is void, so it cannot be paid", "pay another invoice")
        case "issued":
            after = replace(invoice, revision=invoice.revision + 1, status="paid")
            return Change(operation="pay", before=invoice, after=after)


def void(invoice: Invoice, balance: Decimal, reason: str) -> Decision:
    """Void an issued invoice and return the applied balance to the customer."""
    if (wrong := reason_refusal(reason)) is not None:
        return wrong
    match invoice.status:
        case "void":
            return Unchanged(invoice)
        case "draft":
            return Refusal(
                f"{invoice_label(invoice)} is not issued, so it cannot be voided", "credit the wrong rows instead"
            )
        case "paid":
            return Refusal(f"{invoice_label(invoice)} is paid, so it cannot be voided", "credit the wrong rows instead")
        case "issued":
            if invoice.noted:
                noted = amount_text(invoice.noted, invoice)
                return Refusal(
                    f"{invoice_label(invoice)} has credit notes over {noted}, which would be given back twice",
                    "credit the rest of it instead",
                )
            after = replace(invoice, revision=invoice.revision + 1, status="void", reason=reason)
            return Change(
                operation="void",
                before=invoice,
                after=after,
                balance=exact_sum((balance, invoice.carried)) if invoice.carried else None,
            )


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
