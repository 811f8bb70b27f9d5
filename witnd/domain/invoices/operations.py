"""What may be done to an invoice, and what it becomes: issue, pay, void (contract section 6); `crediting` has credits.

Decisions over what was read, as values: a change, "it is so already", or a refusal with its remedy. Writing a change,
when, and under which number, is left to `store.invoice_change`.
"""

from decimal import Decimal
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.values import instant
from witnd.domain.values.money import difference, exact_sum, minor_text

# credit: a row that takes back before the invoice is issued. note: a credit note, which does so afterwards.
Operation: TypeAlias = Literal["issue", "pay", "void", "credit", "note"]
MAX_REASON_LENGTH: Final = 500


class CreditNote(Struct, frozen=True, kw_only=True):
    """Money given back after an invoice was issued; it pays the customer's next invoices in that currency.

    `amount` is above 0, those of the rows below. Number and instant (ms) are there once it is written.
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
    """What an operation does. It is right only for exactly what it was decided from."""

    operation: Operation
    before: Invoice
    after: Invoice  # without what only the writing knows: the number and the instant
    series: str | None = None  # a number is taken from it: the invoice's, or the credit note's
    balance: Decimal | None = None  # the customer's, afterwards; None where the change does not depend on it
    credited: Decimal | None = None  # what the corrected row gave back so far, afterwards
    row: Row | None = None  # the credit row that the draft gains
    note: CreditNote | None = None

    @property
    def timestamp_field(self) -> str | None:
        """The field of the head that tells when this was done."""
        return {"issue": "issued_at", "pay": "paid_at", "void": "voided_at"}.get(self.operation)

    @property
    def is_issue(self) -> bool:
        """Whether it is no longer among the drafts that wait to be issued."""
        return self.operation == "issue"


class Unchanged(Struct, frozen=True):
    """The invoice is so already."""

    invoice: Invoice


class Refusal(Struct, frozen=True):
    """It cannot be done, and what can."""

    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}"


Decision: TypeAlias = Change | Unchanged | Refusal


def issue(invoice: Invoice, balance: Decimal, series: str) -> Decision:
    """Fix what is to be paid: the customer's balance pays as much of it as there is."""
    if invoice.status == "issued":
        return Unchanged(invoice)
    if invoice.status != "draft":
        return Refusal(
            f"{invoice_label(invoice)} is {invoice.status}", "it was issued before that, and is issued only once"
        )
    if not invoice.closed:
        end = instant.render(invoice.end)
        return Refusal(
            f"{invoice_label(invoice)} is open: its period ends {end}, and lines may still arrive",
            "issue it when the daemon has closed the period, which it does once every log is read past that",
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
    """Record that what was to be paid is paid."""
    match invoice.status:
        case "paid":
            return Unchanged(invoice)
        case "draft":
            return Refusal(f"{invoice_label(invoice)} is not issued, so nothing is to be paid yet", "issue it first")
        case "void":
            return Refusal(f"{invoice_label(invoice)} is void, so nothing is to be paid", "look for another invoice")
        case "issued":
            after = replace(invoice, revision=invoice.revision + 1, status="paid")
            return Change(operation="pay", before=invoice, after=after)


def void(invoice: Invoice, balance: Decimal, reason: str) -> Decision:
    """Declare that nothing of it is owed. What the customer's balance paid of it goes back there."""
    if (wrong := reason_refusal(reason)) is not None:
        return wrong
    match invoice.status:
        case "void":
            return Unchanged(invoice)
        case "draft":
            return Refusal(
                f"{invoice_label(invoice)} is not issued, so it cannot be voided", "credit what is wrong in it"
            )
        case "paid":
            return Refusal(
                f"{invoice_label(invoice)} is paid, and a paid one is not voided", "credit what is wrong in it"
            )
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
    """What is wrong with a reason: people will read it on the invoice."""
    if not reason.strip():
        return Refusal("the reason is empty", "say why, in words that the customer may read")
    if len(reason) > MAX_REASON_LENGTH:
        return Refusal(f"the reason has {len(reason)} characters", f"shorten it to {MAX_REASON_LENGTH}")
    if not reason.isprintable():
        return Refusal("the reason has characters that cannot be printed", "write it on one line, as plain text")
    return None


def invoice_label(invoice: Invoice) -> str:
    """What people call it: its number, or whose draft it is for when."""
    if invoice.number is not None:
        return invoice.number
    start, end = (instant.render(ms)[:10] for ms in (invoice.start, invoice.end))
    return f"the draft of {invoice.customer_key} in {invoice.currency} from {start} to {end}"


def amount_text(amount: Decimal, invoice: Invoice) -> str:
    """The amount with the digits and the currency of an invoice."""
    return f"{minor_text(amount, invoice.digits)} {invoice.currency}"
