"""The content of a printed invoice: all texts, without markup."""

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Final, Literal

from msgspec import Struct

from witnd.billing.export import wording
from witnd.billing.export.bill import Bill
from witnd.billing.export.group_view import (
    GroupView,
    ManualView,
    amount_text,
    charges_view,
    group_view,
    manual_view,
    sum_text,
)
from witnd.billing.export.parties import BuyerView, SellerView, buyer_view, seller_view
from witnd.billing.export.sections import Group, InvoiceSummary
from witnd.billing.export.tax_view import TaxView, tax_lines, tax_views
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.json_form import LineJson
from witnd.domain.invoices.tax import TaxRow, tax_sum
from witnd.domain.pricing.ratecard import FLAT, PERCENTAGE
from witnd.domain.pricing.working import working_text
from witnd.domain.values import instant
from witnd.domain.values.money import difference

_ZERO: Final = Decimal(0)
_STATUSES: Final = {"open": "Draft, open period", "draft": "Draft", "issued": "Issued", "paid": "Paid", "void": "Void"}


class Fact(Struct, frozen=True):
    """A text with a label."""

    label: str
    text: str


class Remark(Struct, frozen=True):
    """A sentence below the sums."""

    text: str
    warns: bool = False


class Total(Struct, frozen=True):
    """One of the sums; the one marked `last` is the total."""

    label: str
    amount: str
    mark: Literal["", "last", "after"] = ""


class RowView(Struct, frozen=True, kw_only=True):
    """One confirmed outcome."""

    outcome: str
    instant: str
    when: str
    unit: str
    unit_price: str
    amount: str | None
    how: str


class CreditView(Struct, frozen=True, kw_only=True):
    """A credit of an outcome or an adjustment."""

    of: str
    reason: str
    instant: str
    when: str
    amount: str


class SectionView(Struct, frozen=True, kw_only=True):
    """All outcomes of a group."""

    name: str
    outcomes: str
    units: str
    amount: str | None
    rows: AsyncIterator[RowView]


class SheetView(Struct, frozen=True, kw_only=True):
    """The head and sums of an invoice or credit note. `has_outcomes`: whether a list of outcomes follows."""

    kind: str
    title: str
    name: str
    stage: str
    status: str
    stamp: str
    currency: str
    due_label: str
    due: str
    due_note: str
    seller: SellerView | None
    to: str
    buyer: BuyerView
    customer_name: str
    customer_key: str
    facts: list[Fact]
    groups: list[GroupView] = []
    manual: list[ManualView] = []
    has_outcomes: bool = False
    taxes: list[TaxView]
    totals: list[Total]
    notes: list[Remark]
    credits: int = 0
    foot: list[str]


def invoice_view(bill: Bill, tally: InvoiceSummary) -> SheetView:
    invoice = bill.invoice
    label, due, due_note = _due(invoice, bill.total)
    buyer = buyer_view(bill.data, bill.customer_name, bill.customer_email)
    name = invoice.number or "No number yet"
    return SheetView(
        kind="Invoice",
        title=f"Invoice {bill.title} · {wording.show_control_characters(bill.customer_name)}",
        name=name,
        stage=invoice.stage,
        status=_STATUSES[invoice.stage],
        stamp="DRAFT" if invoice.status == "draft" else "VOID" if invoice.status == "void" else "",
        currency=invoice.currency,
        due_label=label,
        due=wording.money(due, invoice.digits),
        due_note=due_note,
        seller=seller_view(bill.data, bill.logo),
        to="Billed to",
        buyer=buyer,
        customer_name=wording.show_control_characters(bill.customer_name),
        customer_key=wording.show_control_characters(invoice.customer_key),
        facts=_facts(invoice, buyer),
        groups=[*[group_view(bill, group) for group in tally.groups], *charges_view(bill, tally.charges)],
        manual=[manual_view(bill, row) for row in tally.manual],
        has_outcomes=bool(tally.groups),
        taxes=tax_views(bill.tax_rows, invoice.digits),
        totals=_totals(invoice, bill.total, bill.tax_rows),
        notes=_notes(bill),
        credits=tally.credits,
        foot=[f"All amounts are in {invoice.currency}.", f"Invoice {invoice.id}"],
    )


def _due(invoice: Invoice, total: Decimal) -> tuple[str, Decimal, str]:
    """Return label, amount and note of the prominent amount."""
    if invoice.status == "void":
        return "Amount due", _ZERO, _on("Voided", invoice.voided_at)
    if invoice.status == "paid":
        return "Amount due", _ZERO, _on("Paid", invoice.paid_at)
    if invoice.status == "draft":
        return "Total so far", total, "Nothing is due until the invoice is issued"
    return "Amount due", invoice.due or _ZERO, ""


def _on(what: str, ms: int | None) -> str:
    return what if ms is None else f"{what} on {wording.day(ms)}"


def _facts(invoice: Invoice, buyer: BuyerView) -> list[Fact]:
    return [
        Fact("Billing period", wording.period(invoice)),
        Fact("Issued", "not yet" if invoice.issue_date is None else wording.date(invoice.issue_date)),
        *([Fact("Due date", wording.date(invoice.due_date))] if invoice.due and invoice.due_date else []),
        *([Fact("Replaces invoice", invoice.revises_number)] if invoice.revises_number else []),
        *([Fact("Purchase order", buyer.purchase_order)] if buyer.purchase_order else []),
        Fact("Confirmed outcomes", wording.group_digits(str(invoice.lines))),
        Fact("Currency", invoice.currency),
    ]


def _totals(invoice: Invoice, total: Decimal, taxes: Sequence[TaxRow]) -> list[Total]:
    def text(amount: Decimal) -> str:
        return wording.money(amount, invoice.digits)

    found = []
    if invoice.credited or not taxes:
        found.append(Total("Subtotal", text(invoice.rows_sum)))
    if invoice.credited:
        found.append(Total("Credits", text(invoice.credited.copy_negate())))
    if taxes:
        found += [Total("Net", text(invoice.net)), Total("Tax", text(tax_sum(taxes)))]
    if invoice.due is None:
        label = "Total so far" if invoice.status == "draft" else "Total"
        return [*found, Total(label, text(total), "last")]
    paid = [
        Total(label, text(amount.copy_negate()), "after")
        for label, amount in (
            ("Paid from your balance", invoice.balance_used),
            ("Payments", invoice.payments_applied),
            ("Credit notes", invoice.notes_applied),
        )
        if amount
    ]
    if not paid:
        return [*found, Total("Total due", text(total), "last")]
    return [*found, Total("Total", text(total), "last"), *paid, Total("Amount due", text(invoice.due))]


def _notes(bill: Bill) -> list[Remark]:
    invoice, notes = bill.invoice, []
    if invoice.status == "void":
        reason = f": {wording.show_control_characters(invoice.reason)}" if invoice.reason else "."
        notes.append(Remark(f"This invoice is void and must not be paid{reason}", warns=True))
    elif invoice.status == "draft" and not invoice.closed:
        has_tax = bill.data is not None and bill.data.table.default is not None
        tax = " Tax is added when the period closes." if has_tax else ""
        notes.append(Remark(f"The period is open: more outcomes can be added.{tax}", warns=True))
    elif invoice.status == "draft":
        notes.append(Remark("A draft for review. Do not pay it.", warns=True))
    if invoice.unrated:
        many = wording.count(invoice.unrated, "outcome")
        are = "is" if invoice.unrated == 1 else "are"
        notes.append(Remark(f"{many} {are} priced when the period closes and {are} not in the totals yet.", warns=True))
    if invoice.noted:
        amount = f"{wording.money(invoice.noted, invoice.digits)} {invoice.currency}"
        text = f"Credit notes of {amount} were issued for this invoice."
        if left := difference(invoice.noted, invoice.notes_applied):
            text += f" {wording.money(left, invoice.digits)} {invoice.currency} of them went to your balance."
        notes.append(Remark(text))
    return notes


def section_view(bill: Bill, group: Group, rows: AsyncIterator[Row]) -> SectionView:
    digits = bill.invoice.digits
    return SectionView(
        name=wording.show_control_characters(bill.agent_name(group.agent_key)),
        outcomes=wording.count(group.outcomes, "outcome"),
        units=wording.quantity(group.units),
        amount=sum_text(group, digits),
        rows=_rows(bill, group, rows),
    )


async def _rows(bill: Bill, group: Group, rows: AsyncIterator[Row]) -> AsyncIterator[RowView]:
    digits = bill.invoice.digits
    has_taxes = len({one.tax for one in group.prices.values()}) > 1
    async for row in rows:
        how = [] if row.working is None else [wording.format_numbers(working_text(row.working))]
        if row.grade is not None:
            how.append(f"grade {wording.show_control_characters(row.grade)}")
        if has_taxes:
            how += tax_lines(bill, row)
        yield RowView(
            outcome=wording.show_control_characters(row.outcome_key or ""),
            instant="" if row.resolved_at is None else instant.render(row.resolved_at),
            when="" if row.resolved_at is None else wording.minute(row.resolved_at),
            unit="" if row.unit is None else wording.quantity(row.unit),
            unit_price=row_price(row, digits),
            amount=amount_text(row, digits),
            how="; ".join(how),
        )


def row_price(row: Row | LineJson, digits: int) -> str:
    """Return the price of one unit, if there is one."""
    working = row.working or {}
    if working.get("kind") == PERCENTAGE:
        return f"{wording.quantity(working['percent'])} %"
    if row.price_per_unit is None:
        return ""
    if working.get("kind") not in (None, FLAT) and not working.get("slices"):
        return ""
    return wording.rate(row.price_per_unit, digits)


async def credit_views(bill: Bill, rows: AsyncIterator[Row]) -> AsyncIterator[CreditView]:
    async for row in rows:
        yield CreditView(
            of=wording.show_control_characters(row.outcome_key or bill.agent_of(row)),
            reason=wording.show_control_characters(row.reason or ""),
            instant="" if row.resolved_at is None else instant.render(row.resolved_at),
            when="" if row.resolved_at is None else wording.minute(row.resolved_at),
            amount=amount_text(row, bill.invoice.digits) or "",
        )
