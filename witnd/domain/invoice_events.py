"""The billing events of invoices and credit notes. They have sums, and no lines."""

from typing import Any, Final

from msgspec.structs import asdict

from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.json_form import credit_note_json, invoice_json
from witnd.domain.invoices.operations import Change, CreditNote
from witnd.domain.webhooks.billing_event import BillingEvent
from witnd.domain.webhooks.sources import BillingSource

# The members of an invoice in a message, as in the API. Customer, id and number are facts.
_INVOICE: Final = (
    "status", "currency", "period", "period_start", "period_end", "subtotal", "credited", "tax", "total",
    "balance_used", "payments_applied", "noted", "notes_applied", "due", "issue_date", "due_date", "reason", "edition",
    "revises", "revises_number", "revised_by",
)  # fmt: skip
_NOTE: Final = ("currency", "amount", "tax", "total", "applied", "reason")


def invoice_event(type: BillingSource, invoice: Invoice, count: int = 1) -> BillingEvent:  # noqa: A002
    """Return the event of an invoice as it is after a step."""
    head = asdict(invoice_json(invoice))
    return BillingEvent(
        type=type,
        subject=invoice.id,
        count=count,
        facts=_facts(invoice),
        details={"invoice": {name: head[name] for name in _INVOICE}},
    )


def note_event(note: CreditNote, invoice: Invoice) -> BillingEvent:
    """Return the event of a credit note. `invoice`: the corrected invoice before the note."""
    head = asdict(credit_note_json(note))
    return BillingEvent(
        type="credit_note_issued",
        subject=note.id,
        facts=_facts(invoice) | {"creditNoteId": note.id, "creditNoteNumber": note.number},
        details={"credit_note": {name: head[name] for name in _NOTE}},
    )


def events_of(change: Change) -> list[BillingEvent]:
    """Return the events of an operation, in the order in which they are written."""
    found: list[BillingEvent] = []
    if change.operation == "issue":
        found.append(invoice_event("invoice_issued", change.after))
    if change.operation == "overdue":
        found.append(invoice_event("invoice_overdue", change.after))
    if change.operation in ("void", "revise"):
        found.append(invoice_event("invoice_voided", change.after))
    if change.note is not None:
        found.append(note_event(change.note, change.before))
    if change.after.paid_count > change.before.paid_count:
        found.append(invoice_event("invoice_paid", change.after, change.after.paid_count))
    return found


def _facts(invoice: Invoice) -> dict[str, Any]:
    return {"customerKey": invoice.customer_key, "invoiceId": invoice.id, "invoiceNumber": invoice.number}
