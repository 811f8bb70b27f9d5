"""Invoices and credit notes as text for people.

What programs read of them is in `witnd.domain.invoices.json_form`.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from witnd.billing.estimating.estimates import Estimate
from witnd.billing.export.local_times import LocalTimes
from witnd.domain.catalogue.buyer import Buyer
from witnd.domain.catalogue.seller import Seller
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.invoices.operations import CreditNote, invoice_label
from witnd.domain.invoices.payment import Payment, payment_json
from witnd.domain.invoices.sums import group_total
from witnd.domain.invoices.tax import TaxRow, tax_sum
from witnd.domain.pricing.working import ADJUSTMENTS, adjustment_title, working_text
from witnd.domain.values.money import minor_text, plain, plus

COLUMNS: Final = ("status", "number", "customer", "period", "from", "lines", "subtotal", "due", "", "id")
ROW_COLUMNS: Final = ("line", "agent", "resolved at", "unit", "price", "amount", "how")
PAYMENT_COLUMNS: Final = ("received", "amount", "applied", "method", "reference", "", "id")
NOTE_COLUMNS: Final = ("number", "issued", "customer", "invoice", "total", "applied", "", "reason", "id")
# Enough of a row's id to name it within its invoice.
SHORT: Final = 12
SUM_WIDTH: Final = 16


def right(cells: Iterable[str]) -> list[str]:
    """Align amounts on their decimal points."""
    texts = list(cells)
    width = max(map(len, texts), default=0)
    return [text.rjust(width) for text in texts]


# -- lists -------------------------------------------------------------------------------------------------------------


def listed(invoices: Sequence[Invoice]) -> list[tuple[object, ...]]:
    """Return one row of the table for each invoice."""
    subtotals = right(minor_text(one.rows_sum, one.digits) for one in invoices)
    totals = right(minor_text(one.due, one.digits) if one.due else "–" for one in invoices)
    return [
        (
            one.stage,
            one.number or "–",
            one.customer_key,
            one.period,
            one.first_day,
            one.lines,
            subtotal,
            total,
            one.currency,
            one.id,
        )
        for one, subtotal, total in zip(invoices, subtotals, totals, strict=True)
    ]


def listed_notes(notes: Sequence[CreditNote], times: LocalTimes) -> list[tuple[object, ...]]:
    amounts = right(minor_text(one.total, one.digits) for one in notes)
    applied = right(minor_text(one.applied, one.digits) for one in notes)
    return [
        (
            one.number,
            "" if one.issued_at is None else times.text(one.issued_at),
            one.customer_key,
            one.invoice_number,
            amount,
            part,
            one.currency,
            one.reason,
            one.id,
        )
        for one, amount, part in zip(notes, amounts, applied, strict=True)
    ]


def listed_payments(invoice: Invoice, payments: Sequence[Payment]) -> list[tuple[object, ...]]:
    shown = [payment_json(invoice, one) for one in payments]
    amounts, applied = right(one.amount for one in shown), right(one.applied for one in shown)
    return [
        (
            one.date,
            amount,
            part,
            one.method or "",
            one.reference or "",
            f"reversed {one.reversed_at}" if one.reversed else "",
            one.id,
        )
        for one, amount, part in zip(shown, amounts, applied, strict=True)
    ]


# -- one in full -------------------------------------------------------------------------------------------------------


def head_lines(invoice: Invoice, times: LocalTimes) -> list[str]:
    """Describe the invoice without its rows, one line each."""

    def at(ms: int | None) -> str | None:
        return None if ms is None else times.text(ms)

    start, end = times.text(invoice.start), times.text(invoice.end)
    facts = {
        "customer": invoice.customer_key,
        "period": f"{invoice.period}, from {start} to {end}",
        "time zone": times.zone,
        "issued": _issued(invoice, times),
        "due date": invoice.due_date if invoice.due else None,
        "paid": at(invoice.paid_at),
        "voided": invoice.voided_at and f"{at(invoice.voided_at)}: {invoice.reason}",
        "edition": str(invoice.edition) if invoice.edition > 1 else None,
        "replaces": invoice.revises_number,
        "replaced": invoice.revised_by and f"by edition {invoice.edition + 1}, {invoice.revised_by}",
        "id": invoice.id,
    }
    title = invoice_label(invoice)
    return [f"{title[0].upper()}{title[1:]}: {invoice.stage}"] + [
        f"{name:<9} {fact}" for name, fact in facts.items() if fact
    ]


def _issued(invoice: Invoice, times: LocalTimes) -> str | None:
    """Return the time of the issue, and the issue date if another one was chosen."""
    at = None if invoice.issued_at is None else times.text(invoice.issued_at)
    if at is None or invoice.issue_date in (None, at[:10]):
        return at
    return f"{at}, dated {invoice.issue_date}"


def party_lines(data: IssueData) -> list[str]:
    """Return the seller, and the customer's billing data, one line each; none without them."""
    seller, buyer = data.seller, data.buyer
    found = {
        "seller": None if seller is None else _party(seller.name, seller),
        "buyer": None if buyer is None else _party(buyer.legal_name or data.customer_name, buyer),
        "order": None if buyer is None else buyer.purchase_order,
    }
    return [f"{name:<9} {fact}" for name, fact in found.items() if fact]


def _party(name: str, party: Seller | Buyer) -> str:
    city = " ".join(filter(None, (party.postal_code, party.city)))
    tax_id = None if party.tax_id is None else f"tax id {party.tax_id}"
    return ", ".join(filter(None, (name, *party.address, city, party.country, tax_id)))


def stage_lines(invoice: Invoice, times: LocalTimes) -> list[str]:
    """Explain what the status means for the totals."""
    if invoice.stage != "open":
        return []
    lines = [f"It is open: outcomes that resolve before {times.text(invoice.end)} are still added."]
    if invoice.unrated:
        lines.append(
            f"{invoice.unrated} of its {invoice.lines} lines get their amount when the period is closed (tiers, "
            "packages, quotas, minimums and caps need all of it), and are not in the subtotal."
        )
    return lines


def row_columns(
    rows: Sequence[tuple[Row, str | None]], times: LocalTimes
) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Return the columns and cells of rows with their tax keys. There is a column for these if a row has one."""
    cells = row_cells([row for row, _ in rows], times)
    if all(tax is None for _, tax in rows):
        return ROW_COLUMNS, cells
    return (*ROW_COLUMNS[:-1], "tax", ROW_COLUMNS[-1]), [
        (*cell[:-1], tax or "", cell[-1]) for cell, (_, tax) in zip(cells, rows, strict=True)
    ]


def row_cells(rows: Sequence[Row], times: LocalTimes) -> list[tuple[object, ...]]:
    amounts = right(row.amount or row.rated.replace("_", " ") for row in rows)
    return [
        (
            _what(row),
            row.agent_key or "",
            "" if row.resolved_at is None else times.text(row.resolved_at),
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
    if row.kind == "manual":
        return f"{row.description} {row.id[:SHORT]}"
    name = adjustment_title(row.kind, row.working) if row.kind == "recurring" else ADJUSTMENTS[row.kind]
    return f"{name} {row.id[:SHORT]}"


def sum_lines(invoice: Invoice, taxes: Sequence[TaxRow], balance: Decimal) -> list[str]:
    """Return the lines from the subtotal to the total. `taxes`: of a draft, those it would be issued with."""
    sums = [("subtotal", invoice.rows_sum)]
    if invoice.credited:
        sums.append(("credited", invoice.credited.copy_negate()))
    if invoice.credited and taxes:
        sums.append(("net", invoice.net))
    sums += [
        (f"{row.name}, {row.category} {plain(row.rate)} % of {minor_text(row.taxable, invoice.digits)}", row.tax)
        for row in taxes
    ]
    if invoice.total is not None:
        sums.append(("total", invoice.total))
    elif invoice.credited or taxes:
        sums.append(("so far", plus(invoice.net, tax_sum(taxes))))
    if invoice.due is not None:
        paid = (
            ("from the balance", invoice.balance_used),
            ("payments", invoice.payments_applied),
            ("credit notes", invoice.notes_applied),
        )
        sums += [(name, amount.copy_negate()) for name, amount in paid if amount]
        sums.append(("due", invoice.due))
    amounts = right(minor_text(amount, invoice.digits) for _, amount in sums)
    width = max(SUM_WIDTH, *(len(name) for name, _ in sums))
    lines = [f"{name:<{width}} {amount} {invoice.currency}" for (name, _), amount in zip(sums, amounts, strict=True)]
    if invoice.status == "draft" and balance:
        left = f"{minor_text(balance, invoice.digits)} {invoice.currency}"
        lines.append(f"The customer has a balance of {left}, which pays for it when it is issued.")
    return lines


def estimate_lines(estimate: Estimate, times: LocalTimes) -> list[str]:
    """Describe what an open invoice would come to if its period closed now."""
    shown = estimate.invoice
    groups = [
        (one.agent if one.grade is None else f"{one.agent}, grade {one.grade}", group_total([one]))
        for one in estimate.groups
    ]
    amounts = right(minor_text(amount, shown.digits) for _, amount in [*groups, ("", shown.net)])
    names = [name for name, _ in groups] + ["estimate"]
    width = max(SUM_WIDTH, *map(len, names))
    return [f"If the period closed now, at {times.text(estimate.at)}, without tax:"] + [
        f"{name:<{width}} {amount} {shown.currency}" for name, amount in zip(names, amounts, strict=True)
    ]


def note_lines(note: CreditNote, times: LocalTimes) -> list[str]:
    amount = f"{minor_text(note.total, note.digits)} {note.currency}"
    applied = f"{minor_text(note.applied, note.digits)} {note.currency}"
    return [
        f"{note.number}: credit note for {amount}",
        f"customer  {note.customer_key}",
        *[
            f"corrects  {note.invoice_number}: {row.outcome_key or row.corrects}"
            + ("" if row.agent_key is None else f", agent {row.agent_key}")
            + f", {row.amount}"
            for row in note.rows
        ],
        *([] if note.rows else [f"cancels   {note.invoice_number}"]),
        *[
            f"tax       {row.name}, {row.category} {plain(row.rate)} % of {minor_text(row.taxable, note.digits)}: "
            + minor_text(row.tax, note.digits)
            for row in note.tax_rows
        ],
        f"applied   {applied} to {note.invoice_number}, the rest to the customer's balance",
        f"issued    {None if note.issued_at is None else times.text(note.issued_at)}",
        f"reason    {note.reason}",
        f"id        {note.id}",
    ]
