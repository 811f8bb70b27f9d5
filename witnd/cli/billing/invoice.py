"""Invoices and credit notes as text for people.

What programs read of them is in `witnd.domain.invoices.json_form`.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.operations import CreditNote, invoice_label
from witnd.domain.pricing.working import ADJUSTMENTS, adjustment_title, working_text
from witnd.domain.values import instant
from witnd.domain.values.money import difference, minor_text

COLUMNS: Final = ("status", "number", "customer", "period", "from", "lines", "subtotal", "to pay", "", "id")
ROW_COLUMNS: Final = ("line", "agent", "resolved at", "unit", "price", "amount", "how")
NOTE_COLUMNS: Final = ("number", "issued", "customer", "invoice", "amount", "", "reason", "id")
# Enough of a row's id to name it within its invoice.
SHORT: Final = 12


def right(cells: Iterable[str]) -> list[str]:
    """Align amounts on their decimal points."""
    texts = list(cells)
    width = max(map(len, texts), default=0)
    return [text.rjust(width) for text in texts]


# -- lists -------------------------------------------------------------------------------------------------------------


def listed(invoices: Sequence[Invoice]) -> list[tuple[object, ...]]:
    """Return one row of the table for each invoice."""
    subtotals = right(minor_text(one.subtotal, one.digits) for one in invoices)
    totals = right(minor_text(one.payable, one.digits) if one.status == "issued" else "–" for one in invoices)
    return [
        (
            one.stage,
            one.number or "–",
            one.customer_key,
            one.period,
            instant.render(one.start)[:10],
            one.lines,
            subtotal,
            total,
            one.currency,
            one.id,
        )
        for one, subtotal, total in zip(invoices, subtotals, totals, strict=True)
    ]


def listed_notes(notes: Sequence[CreditNote]) -> list[tuple[object, ...]]:
    amounts = right(minor_text(one.amount, one.digits) for one in notes)
    return [
        (
            one.number,
            _at(one.issued_at),
            one.customer_key,
            one.invoice_number,
            amount,
            one.currency,
            one.reason,
            one.id,
        )
        for one, amount in zip(notes, amounts, strict=True)
    ]


# -- one in full -------------------------------------------------------------------------------------------------------


def head_lines(invoice: Invoice) -> list[str]:
    """Describe the invoice without its rows, one line each."""
    start, end = instant.render(invoice.start), instant.render(invoice.end)
    facts = {
        "customer": invoice.customer_key,
        "period": f"{invoice.period}, from {start} to {end}",
        "issued": _at(invoice.issued_at),
        "paid": _at(invoice.paid_at),
        "voided": invoice.voided_at and f"{_at(invoice.voided_at)}: {invoice.reason}",
        "id": invoice.id,
    }
    title = invoice_label(invoice)
    return [f"{title[0].upper()}{title[1:]}: {invoice.stage}"] + [
        f"{name:<9} {fact}" for name, fact in facts.items() if fact
    ]


def stage_lines(invoice: Invoice) -> list[str]:
    """Explain what the status means for the totals."""
    if invoice.stage != "open":
        return []
    told = [f"It is open: outcomes that resolve before {instant.render(invoice.end)} are still added."]
    if invoice.unrated:
        told.append(
            f"{invoice.unrated} of its {invoice.lines} lines get their amount when the period is closed (tiers, "
            "packages, quotas, minimums and caps need all of it), and are not in the subtotal."
        )
    return told


def row_cells(rows: Sequence[Row]) -> list[tuple[object, ...]]:
    amounts = right(row.amount or row.rated.replace("_", " ") for row in rows)
    return [
        (
            _what(row),
            row.agent_key or "",
            _at(row.resolved_at) or "",
            row.unit or "",
            row.price_per_unit or "",
            amount,
            working_text(row.working) if row.working else row.reason or "",
        )
        for row, amount in zip(rows, amounts, strict=True)
    ]


def _what(row: Row) -> str:
    if row.kind == "outcome":
        return row.outcome_key or ""
    if row.kind == "credit":
        return f"credit for {row.outcome_key or (row.corrects or '')[:SHORT]}"
    name = adjustment_title(row.kind, row.working) if row.kind == "recurring" else ADJUSTMENTS[row.kind]
    return f"{name} {row.id[:SHORT]}"


def sum_lines(invoice: Invoice, balance: Decimal) -> list[str]:
    """Return the lines from the subtotal to the total."""
    sums = [("subtotal", invoice.subtotal)]
    if invoice.credited:
        sums.append(("credited", invoice.credited.copy_negate()))
    if invoice.carried:
        sums.append(("paid by credit", invoice.carried.copy_negate()))
    if invoice.total is not None:
        sums.append(("to pay" if invoice.status == "issued" else "total", invoice.total))
    elif invoice.credited:
        sums.append(("so far", difference(invoice.subtotal, invoice.credited)))
    amounts = right(minor_text(amount, invoice.digits) for _, amount in sums)
    told = [f"{name:<15} {amount} {invoice.currency}" for (name, _), amount in zip(sums, amounts, strict=True)]
    if invoice.status == "draft" and balance:
        left = f"{minor_text(balance, invoice.digits)} {invoice.currency}"
        told.append(f"The customer has {left} of credit, which pays for it when it is issued.")
    return told


def note_lines(note: CreditNote) -> list[str]:
    (row,) = note.rows
    agent = "" if row.agent_key is None else f", agent {row.agent_key}"
    amount = f"{minor_text(note.amount, note.digits)} {note.currency}"
    return [
        f"{note.number}: credit note over {amount}",
        f"customer  {note.customer_key}",
        f"corrects  {note.invoice_number}: {row.outcome_key or row.corrects}{agent}",
        f"issued    {_at(note.issued_at)}",
        f"reason    {note.reason}",
        f"id        {note.id}",
    ]


def _at(ms: int | None) -> str | None:
    return None if ms is None else instant.render(ms)
