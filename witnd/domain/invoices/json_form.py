"""The JSON form of invoices, rows, credit notes, payments and refunds, for exports, commands with `--json` and HTTP.

Amounts and quantities are decimal strings, instants are text, and unknown values are null, never absent.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from msgspec import Struct

from witnd.domain.invoices.invoice import Invoice, Kind, Row, Status, period_json
from witnd.domain.invoices.operations import CreditNote
from witnd.domain.invoices.tax import TaxRow, tax_sum
from witnd.domain.values import instant
from witnd.domain.values.money import minor_text, plain


class InvoiceJson(Struct, frozen=True, kw_only=True):
    """The head of an invoice. `period_end` is the first instant after its period. All dates are those of `time_zone`.

    `total` = `subtotal` - `credited` + `tax`, and null until the invoice is issued. `due` = `total` - `balance_used` -
    `payments_applied` - `notes_applied`, and null for an open, draft or void invoice. `noted` is the amount of its
    credit notes. Reversals that were accepted before `issued_through` are credited on it. `revised_by` is the id of the
    draft that replaces a revised invoice, and `revises` is the reverse.
    """

    id: str
    number: str | None
    status: Status
    closed: bool
    customer_key: str
    currency: str
    period: str
    period_start: str
    period_end: str
    time_zone: str
    first_day: str
    last_day: str
    lines: int
    unrated: int
    subtotal: str
    credited: str
    tax: str | None
    tax_rows: list["TaxRowJson"]
    total: str | None
    balance_used: str
    payments_applied: str
    noted: str
    notes_applied: str
    due: str | None
    issue_date: str | None
    due_date: str | None
    issued_at: str | None
    issued_through: str | None
    paid_at: str | None
    voided_at: str | None
    reason: str | None
    edition: int
    revises: str | None
    revises_number: str | None
    revised_by: str | None
    revision: int


class TaxRowJson(Struct, frozen=True, kw_only=True):
    """The tax of a category of EN 16931 with a rate in percent, on the net sum of its lines after credits."""

    category: str
    rate: str
    taxable: str
    tax: str
    name: str
    note: str | None


class LineJson(Struct, frozen=True, kw_only=True):
    """A line of an invoice. The three prices are null if `rated` is "at_close" and the period is open.

    `agent_key` and `price_hash` are null for recurring fees, commitments and manual lines, which have no `rate_card`
    either. `description`, `quantity` and `unit_price` are those of a manual line. `tax` is the tax key of the line;
    null if it has none, and for caps and commitments that have the taxes of the lines that they act on.
    `repaired_at` is set if the outcome was on hold at its deadline: the line belongs to the period of the repair.
    `reversed_at` is set if the outcome was reversed within its period; the `counted_unit` of its price is then 0. It is
    also set for credits of reversed outcomes.
    """

    id: str
    invoice_id: str
    kind: Kind
    outcome_key: str | None
    customer_key: str
    agent_key: str | None
    resolved_at: str | None
    unit: str | None
    counted_unit: str | None
    price_per_unit: str | None
    amount: str | None
    amount_exact: str | None
    currency: str
    rated: str
    rate_card: str | None
    price_hash: str | None
    contract_hash: str | None
    working: dict[str, Any] | None
    corrects: str | None
    reason: str | None
    repaired_at: str | None
    reversed_at: str | None
    grade: str | None
    tax: str | None
    description: str | None
    quantity: str | None
    unit_price: str | None


class CreditNoteJson(Struct, frozen=True, kw_only=True):
    """A credit after the invoice was issued. `amount` is net and above 0, those of its lines are below 0. `total`
    includes tax. `applied` reduced what was due of the invoice; the rest of the total went to the customer's balance.

    The note that cancels a voided or revised invoice with taxes has no lines."""

    id: str
    number: str | None
    invoice_id: str
    invoice_number: str
    customer_key: str
    currency: str
    amount: str
    tax: str
    tax_rows: list[TaxRowJson]
    total: str
    applied: str
    reason: str
    issued_at: str | None
    lines: list[LineJson]


def invoice_json(invoice: Invoice) -> InvoiceJson:
    currency = invoice.currency
    return InvoiceJson(
        id=invoice.id,
        number=invoice.number,
        status=invoice.status,
        closed=invoice.closed,
        customer_key=invoice.customer_key,
        currency=currency,
        **period_json(invoice),
        lines=invoice.lines,
        unrated=invoice.unrated,
        subtotal=minor_text(invoice.rows_sum, invoice.digits),
        credited=minor_text(invoice.credited, invoice.digits),
        tax=None if invoice.issue_data is None else minor_text(tax_sum(invoice.tax_rows), invoice.digits),
        tax_rows=tax_rows_json(invoice.tax_rows, invoice.digits),
        total=_amount(invoice.total, invoice.digits),
        balance_used=minor_text(invoice.balance_used, invoice.digits),
        payments_applied=minor_text(invoice.payments_applied, invoice.digits),
        noted=minor_text(invoice.noted, invoice.digits),
        notes_applied=minor_text(invoice.notes_applied, invoice.digits),
        due=_amount(invoice.due, invoice.digits),
        issue_date=invoice.issue_date,
        due_date=invoice.due_date,
        issued_at=instant.optional(invoice.issued_at),
        issued_through=None if invoice.status == "draft" else instant.optional(invoice.issued_through),
        paid_at=instant.optional(invoice.paid_at),
        voided_at=instant.optional(invoice.voided_at),
        reason=invoice.reason,
        edition=invoice.edition,
        revises=invoice.revises,
        revises_number=invoice.revises_number,
        revised_by=invoice.revised_by,
        revision=invoice.revision,
    )


def tax_rows_json(rows: Iterable[TaxRow], digits: int) -> list[TaxRowJson]:
    return [
        TaxRowJson(
            category=row.category,
            rate=plain(row.rate),
            taxable=minor_text(row.taxable, digits),
            tax=minor_text(row.tax, digits),
            name=row.name,
            note=row.note,
        )
        for row in rows
    ]


def line_json(invoice: Invoice, row: Row, tax: str | None = None) -> LineJson:
    """Return the JSON form of a row. `tax`: its tax key, if it is not stored with the row."""
    return _line(row, invoice.id, invoice.customer_key, invoice.currency, tax)


def credit_note_json(note: CreditNote) -> CreditNoteJson:
    """Return the JSON form of a credit note. Its lines name the corrected invoice."""
    return CreditNoteJson(
        id=note.id,
        number=note.number,
        invoice_id=note.invoice,
        invoice_number=note.invoice_number,
        customer_key=note.customer_key,
        currency=note.currency,
        amount=minor_text(note.amount, note.digits),
        tax=minor_text(tax_sum(note.tax_rows), note.digits),
        tax_rows=tax_rows_json(note.tax_rows, note.digits),
        total=minor_text(note.total, note.digits),
        applied=minor_text(note.applied, note.digits),
        reason=note.reason,
        issued_at=instant.optional(note.issued_at),
        lines=[_line(row, note.invoice, note.customer_key, note.currency) for row in note.rows],
    )


def _line(row: Row, invoice_id: str, customer_key: str, currency: str, tax: str | None = None) -> LineJson:
    return LineJson(
        id=row.id,
        invoice_id=invoice_id,
        kind=row.kind,
        outcome_key=row.outcome_key,
        customer_key=customer_key,
        agent_key=row.agent_key,
        resolved_at=instant.optional(row.resolved_at),
        unit=row.unit,
        counted_unit=row.counted_unit,
        price_per_unit=row.price_per_unit,
        amount=row.amount,
        amount_exact=row.amount_exact,
        currency=currency,
        rated=row.rated,
        rate_card=row.rate_card or None,
        price_hash=row.price_hash,
        contract_hash=row.contract_hash,
        working=row.working,
        corrects=row.corrects,
        reason=row.reason,
        repaired_at=instant.optional(row.repaired_at),
        reversed_at=instant.optional(row.reversed_at),
        grade=row.grade,
        tax=tax or row.tax,
        description=row.description,
        quantity=row.unit if row.kind == "manual" else None,
        unit_price=row.price_per_unit if row.kind == "manual" else None,
    )


def _amount(amount: Decimal | None, digits: int) -> str | None:
    return None if amount is None else minor_text(amount, digits)
