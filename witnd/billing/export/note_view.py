"""The content of a printed credit note."""

from decimal import Decimal

from msgspec import Struct

from witnd.billing.export.bill import Note
from witnd.billing.export.page_view import Fact, Remark, SheetView, Total
from witnd.billing.export.parties import buyer_view, seller_view
from witnd.billing.export.tax_view import tax_views
from witnd.billing.export.words import show_control_characters
from witnd.domain.invoices.tax import tax_sum


class NoteRow(Struct, frozen=True, kw_only=True):
    """The credit of one row of the invoice."""

    agent: str
    outcome: str
    reason: str
    amount: str


def note_view(paper: Note) -> SheetView:
    note, words = paper.note, paper.words
    total = words.money(note.total, note.digits)
    net = Total(words("net"), words.money(note.amount, note.digits))
    tax = Total(words("tax"), words.money(tax_sum(note.tax_rows), note.digits))
    buyer = buyer_view(paper.data, paper.customer_name, paper.customer_email, words)
    return SheetView(
        words=words,
        kind=words("credit_note"),
        title=f"{words('credit_note')} {paper.title} · {show_control_characters(paper.customer_name)}",
        name=paper.title,
        stage="issued",
        status=words("status_issued"),
        stamp="",
        currency=note.currency,
        due_label=words("credited"),
        due=total,
        due_note="",
        seller=seller_view(paper.data, paper.logo, words),
        to=words("credited_to"),
        buyer=buyer,
        customer_name=show_control_characters(paper.customer_name),
        customer_key=show_control_characters(note.customer_key),
        facts=[
            Fact(words("for_invoice"), note.invoice_number),
            Fact(words("issued"), "" if note.issued_at is None else words.date(paper.times.date(note.issued_at))),
            *([Fact(words("purchase_order"), buyer.purchase_order)] if buyer.purchase_order else []),
            Fact(words("currency"), note.currency),
        ],
        taxes=tax_views(note.tax_rows, note.digits, words),
        totals=[*([net, tax] if note.tax_rows else []), Total(words("credited"), total, "last")],
        notes=[Remark(paper.use)],
        foot=[
            words("all_amounts", currency=note.currency),
            f"{words('credit_note')} {note.id}",
            f"{words('for_invoice')} {note.invoice}",
        ],
    )


def note_rows(paper: Note) -> list[NoteRow]:
    """Return the rows with positive amounts, because the page states that they are credits."""
    return [
        NoteRow(
            agent=show_control_characters(paper.agent_of(row)),
            outcome=show_control_characters(row.outcome_key or ""),
            reason=show_control_characters(row.reason or ""),
            amount=paper.words.money(Decimal(row.amount or "0").copy_abs(), paper.note.digits),
        )
        for row in paper.note.rows
    ]
