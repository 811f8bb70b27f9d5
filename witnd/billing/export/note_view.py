"""The content of a printed credit note."""

from decimal import Decimal

from msgspec import Struct

from witnd.billing.export import wording
from witnd.billing.export.bill import Note
from witnd.billing.export.page_view import Fact, Remark, SheetView, Total
from witnd.billing.export.parties import buyer_view, seller_view
from witnd.billing.export.tax_view import tax_views
from witnd.domain.invoices.operations import CreditNote
from witnd.domain.invoices.tax import tax_sum


class NoteRow(Struct, frozen=True, kw_only=True):
    """The credit of one row of the invoice."""

    agent: str
    outcome: str
    reason: str
    amount: str


def note_view(paper: Note) -> SheetView:
    note = paper.note
    total = wording.money(note.total, note.digits)
    net = Total("Net", wording.money(note.amount, note.digits))
    tax = Total("Tax", wording.money(tax_sum(note.tax_rows), note.digits))
    buyer = buyer_view(paper.data, paper.customer_name, paper.customer_email)
    return SheetView(
        kind="Credit note",
        title=f"Credit note {paper.title} · {wording.show_control_characters(paper.customer_name)}",
        name=paper.title,
        stage="issued",
        status="Issued",
        stamp="",
        currency=note.currency,
        due_label="Credited",
        due=total,
        due_note="",
        seller=seller_view(paper.data, paper.logo),
        to="Credited to",
        buyer=buyer,
        customer_name=wording.show_control_characters(paper.customer_name),
        customer_key=wording.show_control_characters(note.customer_key),
        facts=[
            Fact("For invoice", note.invoice_number),
            Fact("Issued", "" if note.issued_at is None else wording.day(note.issued_at)),
            *([Fact("Purchase order", buyer.purchase_order)] if buyer.purchase_order else []),
            Fact("Currency", note.currency),
        ],
        taxes=tax_views(note.tax_rows, note.digits),
        totals=[*([net, tax] if note.tax_rows else []), Total("Credited", total, "last")],
        notes=[Remark(_use(note))],
        foot=[f"All amounts are in {note.currency}.", f"Credit note {note.id}", f"For invoice {note.invoice}"],
    )


def _use(note: CreditNote) -> str:
    """Return what the credit pays. A note without rows cancels its invoice."""
    if not note.rows:
        reason = wording.show_control_characters(note.reason)
        return f"This credit note cancels invoice {note.invoice_number}, which must not be paid: {reason}"
    applied = f"{wording.money(note.applied, note.digits)} {note.currency}"
    rest = f"{wording.money(note.to_balance, note.digits)} {note.currency}"
    reduces = f"reduces the amount due of invoice {note.invoice_number}"
    pays = f"will be applied to your next {note.currency} invoices automatically"
    if not note.to_balance:
        return f"This credit {reduces}."
    if not note.applied:
        return f"This credit {pays}. It does not change the amount due of invoice {note.invoice_number}."
    return f"{applied} of this credit {reduces}. The rest, {rest}, {pays}."


def note_rows(paper: Note) -> list[NoteRow]:
    """Return the rows with positive amounts, because the page states that they are credits."""
    return [
        NoteRow(
            agent=wording.show_control_characters(paper.agent_of(row)),
            outcome=wording.show_control_characters(row.outcome_key or ""),
            reason=wording.show_control_characters(row.reason or ""),
            amount=wording.money(Decimal(row.amount or "0").copy_abs(), paper.note.digits),
        )
        for row in paper.note.rows
    ]
