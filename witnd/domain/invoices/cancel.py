"""Void an issued invoice, or revise it."""

from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from witnd.domain.invoices.invoice import Invoice, edition_id
from witnd.domain.invoices.operations import (
    Change,
    Decision,
    Refusal,
    Series,
    Unchanged,
    amount_text,
    invoice_label,
    note_for,
    reason_refusal,
)
from witnd.domain.values.local_day import LocalDay
from witnd.domain.values.money import plus

_ZERO: Final = Decimal(0)


def void(invoice: Invoice, balance: Decimal, reason: str, series: Series, today: LocalDay) -> Decision:
    """Void an issued invoice: write its money off, and return the used balance to the customer. If it has taxes, a
    credit note cancels it. `series` is that of credit notes, `today` the local day."""
    if (wrong := reason_refusal(reason)) is not None:
        return wrong
    if invoice.status == "void":
        return Unchanged(invoice)
    if (wrong := _cancel_refusal(invoice, "voided")) is not None:
        return wrong
    return replace(_cancelled(invoice, balance, reason, series, today), operation="void")


def revise(invoice: Invoice, balance: Decimal, reason: str, series: Series, today: LocalDay) -> Decision:
    """Void an issued invoice, and open a draft with the same rows as its next edition."""
    if (wrong := reason_refusal(reason)) is not None:
        return wrong
    if invoice.status == "void":
        if invoice.revised_by is not None:
            return Unchanged(invoice)
        return Refusal(f"{invoice_label(invoice)} is void, so it cannot be revised", "its money is written off")
    if (wrong := _cancel_refusal(invoice, "revised")) is not None:
        return wrong
    change = _cancelled(invoice, balance, reason, series, today)
    draft = _next_edition(invoice)
    after = replace(change.after, revised_by=draft.id)
    return replace(change, operation="revise", after=after, draft=draft, made=draft.id)


def _next_edition(invoice: Invoice) -> Invoice:
    edition = invoice.edition + 1
    return Invoice(
        id=edition_id(invoice, edition),
        customer_key=invoice.customer_key,
        currency=invoice.currency,
        digits=invoice.digits,
        start=invoice.start,
        end=invoice.end,
        period=invoice.period,
        zone=invoice.zone,
        first_day=invoice.first_day,
        last_day=invoice.last_day,
        lines=invoice.lines,
        unrated=invoice.unrated,
        subtotal=invoice.subtotal,
        closed=True,
        reversed=invoice.reversed,
        issued_through=invoice.issued_through,
        sums=invoice.sums,
        credited=invoice.credited,
        credit_sums=invoice.credit_sums,
        commitment_credited=invoice.commitment_credited,
        manual=invoice.manual,
        overrides=invoice.overrides,
        edition=edition,
        revises=invoice.id,
        revises_number=invoice.number,
    )


def _cancelled(invoice: Invoice, balance: Decimal, reason: str, series: Series, today: LocalDay) -> Change:
    """Return the change that voids an invoice. With taxes, it has a credit note for the full total, which is applied
    in full, because the used balance is returned first."""
    note = None
    after = replace(
        invoice,
        revision=invoice.revision + 1,
        status="void",
        reason=reason,
        paid_at=None,
        balance_used=_ZERO,
    )
    if invoice.tax_rows:
        assert invoice.total is not None, invoice
        note = note_for(invoice, invoice.net, reason, (), invoice.tax_rows, invoice.total)
        after = replace(
            after,
            noted=invoice.total,
            noted_net=invoice.net,
            notes_applied=invoice.total,
            note_taxes=invoice.tax_rows,
            notes=invoice.notes + 1,
        )
    return Change(
        operation="void",
        before=invoice,
        after=after,
        series=None if note is None else series.name_on(today.date),
        first=series.first,
        until=None if note is None else today.end,
        balance=plus(balance, invoice.balance_used) if invoice.balance_used else None,
        note=note,
    )


def _cancel_refusal(invoice: Invoice, participle: str) -> Refusal | None:
    """Return why an invoice cannot be voided or revised, or None."""
    label = invoice_label(invoice)
    if invoice.status == "draft":
        return Refusal(f"{label} is not issued, so it cannot be {participle}", "credit the wrong lines instead")
    if invoice.live_payments:
        many = "a payment" if invoice.live_payments == 1 else f"{invoice.live_payments} payments"
        has = "is paid by" if invoice.status == "paid" else "has"
        return Refusal(
            f"{label} {has} {many}, so it cannot be {participle}",
            "credit the wrong lines instead, or reverse its payments first",
        )
    if invoice.notes:
        noted = amount_text(invoice.noted, invoice)
        return Refusal(
            f"{label} has credit notes for {noted}, which would be given back twice",
            "credit the rest of it instead",
        )
    return None
