"""The content of a printed invoice: all texts, without markup."""

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Final, Literal

from msgspec import Struct

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
from witnd.billing.export.words import Words, show_control_characters
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.json_form import LineJson
from witnd.domain.invoices.tax import TaxRow, tax_sum
from witnd.domain.pricing.ratecard import FLAT, PERCENTAGE
from witnd.domain.values import instant
from witnd.domain.values.money import difference

_ZERO: Final = Decimal(0)
_ON: Final = {"paid": "paid_on", "void": "voided_on"}
_STAMPS: Final = {"draft": "stamp_draft", "void": "stamp_void"}


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

    words: Words
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


def invoice_view(bill: Bill, tally: InvoiceSummary, *, lists_outcomes: bool = True) -> SheetView:
    """Return the first sheet. `lists_outcomes`: a list of all outcomes follows."""
    invoice, words = bill.invoice, bill.words
    label, due, due_note = _due(bill)
    buyer = buyer_view(bill.data, bill.customer_name, bill.customer_email, words)
    kind = words("invoice")
    return SheetView(
        words=words,
        kind=kind,
        title=f"{kind} {bill.title} · {show_control_characters(bill.customer_name)}",
        name=invoice.number or words("no_number"),
        stage=invoice.stage,
        status=words(f"status_{invoice.stage}"),
        stamp=words(_STAMPS[invoice.status]) if invoice.status in _STAMPS else "",
        currency=invoice.currency,
        due_label=label,
        due=words.money(due, invoice.digits),
        due_note=due_note,
        seller=seller_view(bill.data, bill.logo, words),
        to=words("billed_to"),
        buyer=buyer,
        customer_name=show_control_characters(bill.customer_name),
        customer_key=show_control_characters(invoice.customer_key),
        facts=_facts(invoice, buyer, words),
        groups=[*[group_view(bill, group) for group in tally.groups], *charges_view(bill, tally.charges)],
        manual=[manual_view(bill, row) for row in tally.manual],
        has_outcomes=lists_outcomes and bool(tally.groups),
        taxes=tax_views(bill.tax_rows, invoice.digits, words),
        totals=_totals(invoice, bill.total, bill.tax_rows, words),
        notes=_notes(bill, words, 0 if lists_outcomes else sum(group.outcomes for group in tally.groups)),
        credits=tally.credits,
        foot=[words("all_amounts", currency=invoice.currency), f"{kind} {invoice.id}"],
    )


def _due(bill: Bill) -> tuple[str, Decimal, str]:
    """Return label, amount and note of the prominent amount."""
    invoice, total, words = bill.invoice, bill.total, bill.words
    if invoice.status in ("void", "paid"):
        at = invoice.voided_at if invoice.status == "void" else invoice.paid_at
        on = None if at is None else words(_ON[invoice.status], date=words.date(bill.times.date(at)))
        return words("amount_due"), _ZERO, on or words(f"status_{invoice.status}")
    if invoice.status == "draft":
        return words("total_so_far"), total, words("not_due_yet")
    return words("amount_due"), invoice.due or _ZERO, ""


def _facts(invoice: Invoice, buyer: BuyerView, words: Words) -> list[Fact]:
    issued = words("not_yet") if invoice.issue_date is None else words.date(invoice.issue_date)
    due = [Fact(words("due_date"), words.date(invoice.due_date))] if invoice.due and invoice.due_date else []
    return [
        Fact(words("billing_period"), words.period(invoice.billed_period)),
        Fact(words("issued"), issued),
        *due,
        *([Fact(words("replaces"), invoice.revises_number)] if invoice.revises_number else []),
        *([Fact(words("purchase_order"), buyer.purchase_order)] if buyer.purchase_order else []),
        Fact(words("confirmed_outcomes"), words.group_digits(str(invoice.lines))),
        Fact(words("currency"), invoice.currency),
    ]


def _totals(invoice: Invoice, total: Decimal, taxes: Sequence[TaxRow], words: Words) -> list[Total]:
    def text(amount: Decimal) -> str:
        return words.money(amount, invoice.digits)

    found = []
    if invoice.credited or not taxes:
        found.append(Total(words("subtotal"), text(invoice.rows_sum)))
    if invoice.credited:
        found.append(Total(words("credits"), text(invoice.credited.copy_negate())))
    if taxes:
        found += [Total(words("net"), text(invoice.net)), Total(words("tax"), text(tax_sum(taxes)))]
    if invoice.due is None:
        label = words("total_so_far" if invoice.status == "draft" else "total")
        return [*found, Total(label, text(total), "last")]
    paid = [
        Total(words(key), text(amount.copy_negate()), "after")
        for key, amount in (
            ("from_balance", invoice.balance_used),
            ("payments", invoice.payments_applied),
            ("credit_notes", invoice.notes_applied),
        )
        if amount
    ]
    if not paid:
        return [*found, Total(words("total_due"), text(total), "last")]
    due = Total(words("amount_due"), text(invoice.due))
    return [*found, Total(words("total"), text(total), "last"), *paid, due]


def _notes(bill: Bill, words: Words, not_listed: int) -> list[Remark]:
    """Return the sentences below the sums. `not_listed`: the number of outcomes that the document leaves out."""
    invoice, notes = bill.invoice, []
    if invoice.status == "void":
        reason = show_control_characters(invoice.reason or "")
        notes.append(Remark(words("void_reason", reason=reason) if reason else words("void_note"), warns=True))
    elif invoice.status == "draft" and not invoice.closed:
        has_tax = bill.data is not None and bill.data.table.default is not None
        sentences = [words("open_note"), *([words("tax_later")] if has_tax else [])]
        notes.append(Remark(" ".join(sentences), warns=True))
    elif invoice.status == "draft":
        notes.append(Remark(words("draft_note"), warns=True))
    if invoice.unrated:
        notes.append(Remark(words.count("unrated", invoice.unrated), warns=True))
    if invoice.noted:
        sentences = [words("noted", amount=_with_currency(invoice.noted, invoice, words))]
        if left := difference(invoice.noted, invoice.notes_applied):
            sentences.append(words("noted_rest", amount=_with_currency(left, invoice, words)))
        notes.append(Remark(" ".join(sentences)))
    if (tax := _tax_in_other_currency(bill, words)) is not None:
        notes.append(Remark(tax))
    if not_listed:
        notes.append(Remark(words.count("not_listed", not_listed)))
    return notes


def _tax_in_other_currency(bill: Bill, words: Words) -> str | None:
    """Return the tax in the seller's currency, if an exchange rate was given at issue."""
    exchange = None if bill.data is None else bill.data.exchange
    if exchange is None or not bill.tax_rows:
        return None
    amount = words.money(exchange.converted(tax_sum(bill.tax_rows)), exchange.digits)
    rate = words.quantity(exchange.rate)
    return words("tax_in", currency=exchange.currency, amount=amount, of=bill.invoice.currency, rate=rate)


def _with_currency(amount: Decimal, invoice: Invoice, words: Words) -> str:
    return f"{words.money(amount, invoice.digits)} {invoice.currency}"


def section_view(bill: Bill, group: Group, rows: AsyncIterator[Row]) -> SectionView:
    words = bill.words
    return SectionView(
        name=show_control_characters(bill.agent_name(group.agent_key)),
        outcomes=words.count("outcomes", group.outcomes),
        units=words.quantity(group.units),
        amount=sum_text(group, bill.invoice.digits, words),
        rows=_rows(bill, group, rows),
    )


async def _rows(bill: Bill, group: Group, rows: AsyncIterator[Row]) -> AsyncIterator[RowView]:
    digits, words = bill.invoice.digits, bill.words
    has_taxes = len({one.tax for one in group.prices.values()}) > 1
    async for row in rows:
        how = [] if row.working is None else [words.working(row.working, bill.times)]
        if row.grade is not None:
            how.append(words("grade", grade=show_control_characters(row.grade)))
        if has_taxes:
            how += tax_lines(bill, row)
        yield RowView(
            outcome=show_control_characters(row.outcome_key or ""),
            instant="" if row.resolved_at is None else instant.render(row.resolved_at),
            when="" if row.resolved_at is None else words.minute(bill.times.local(row.resolved_at)),
            unit="" if row.unit is None else words.quantity(row.unit),
            unit_price=row_price(row, digits, words),
            amount=amount_text(row, digits, words),
            how="; ".join(how),
        )


def row_price(row: Row | LineJson, digits: int, words: Words) -> str:
    """Return the price of one unit, if there is one."""
    working = row.working or {}
    if working.get("kind") == PERCENTAGE:
        return f"{words.quantity(working['percent'])} %"
    if row.price_per_unit is None:
        return ""
    if working.get("kind") not in (None, FLAT) and not working.get("slices"):
        return ""
    return words.rate(row.price_per_unit, digits)


async def credit_views(bill: Bill, rows: AsyncIterator[Row]) -> AsyncIterator[CreditView]:
    async for row in rows:
        yield CreditView(
            of=show_control_characters(row.outcome_key or bill.agent_of(row)),
            reason=show_control_characters(row.reason or ""),
            instant="" if row.resolved_at is None else instant.render(row.resolved_at),
            when="" if row.resolved_at is None else bill.words.minute(bill.times.local(row.resolved_at)),
            amount=amount_text(row, bill.invoice.digits, bill.words) or "",
        )
