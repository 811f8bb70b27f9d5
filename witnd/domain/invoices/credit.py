"""Credit rows of an invoice: credit rows on a draft, a credit note after issue."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from witnd.domain.invoices.invoice import Invoice, Kind, Row, row_id
from witnd.domain.invoices.operations import (
    Change,
    CreditNote,
    Refusal,
    Series,
    amount_text,
    end_of_day,
    invoice_label,
    reason_refusal,
    with_payment_status,
)
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values import instant
from witnd.domain.values.money import difference, exact_sum, minor_text, plain, to_minor

# Credits and caps are already negative.
CREDITABLE: Final[tuple[Kind, ...]] = ("outcome", "fee", "minimum", "recurring", "commitment")
# Rows of one credit.
MAX_ITEMS: Final = 500
_ZERO: Final = Decimal(0)


class Item(Struct, frozen=True, kw_only=True):
    """What to credit of a row: `amount`, or all that remains if None. `credited` is the sum of its earlier credits."""

    row: Row
    credited: Decimal
    amount: Decimal | None = None


def credit(
    invoice: Invoice, items: Sequence[Item], reason: str, *, balance: Decimal, series: Series, at: int
) -> Change | Refusal:
    """Credit rows of an invoice: as credit rows on a draft, with one credit note after issue.

    `series` is the number series of credit notes, `at` the server's clock in ms.
    """
    if (wrong := reason_refusal(reason)) is not None:
        return wrong
    rows: list[Row] = []
    credited: dict[str, Decimal] = {}
    total, left_of_all = _ZERO, _invoice_remainder(invoice)
    for item in items:
        amount = _item_amount(invoice, item, difference(left_of_all, total))
        if isinstance(amount, Refusal):
            return amount
        text = minor_text(amount.copy_negate(), invoice.digits)
        rows.append(_credit_row(invoice, item.row, item.credited, text, reason, at))
        credited[item.row.id] = exact_sum((item.credited, amount))
        total = exact_sum((total, amount))
    if invoice.status == "draft":
        after = replace(invoice, revision=invoice.revision + 1, credited=exact_sum((invoice.credited, total)))
        return Change(operation="credit", before=invoice, after=after, credited=credited, rows=tuple(rows))
    note = _credit_note(invoice, total, reason, tuple(rows))
    after = replace(
        invoice,
        revision=invoice.revision + 1,
        noted=exact_sum((invoice.noted, total)),
        notes_applied=exact_sum((invoice.notes_applied, note.applied)),
        notes=invoice.notes + 1,
    )
    return Change(
        operation="note",
        before=invoice,
        after=with_payment_status(after),
        series=series.name_at(at),
        first=series.first,
        until=end_of_day(at),
        balance=exact_sum((balance, note.to_balance)) if note.to_balance else None,
        credited=credited,
        note=note,
    )


def _item_amount(invoice: Invoice, item: Item, left_of_all: Decimal) -> Decimal | Refusal:
    """Return the amount to credit of a row. `left_of_all`: what remains of the invoice."""
    left, digits = _creditable(invoice, item.row, item.credited, left_of_all), invoice.digits
    if isinstance(left, Refusal):
        return left
    amount = left if item.amount is None else item.amount
    if amount <= 0:
        return Refusal(f"the amount {plain(amount)} is too small", "write an amount above 0")
    if amount != to_minor(amount, digits):
        return Refusal(
            f"the amount {plain(amount)} has more digits after the point than {invoice.currency} ({digits})",
            f"write at most {digits}, such as {minor_text(amount, digits)}",
        )
    if amount > left:
        of = "the row" if amount > _row_remainder(item.row, item.credited) else "the invoice"
        return Refusal(
            f"the amount {plain(amount)} is more than what remains of {of}",
            f"credit at most {amount_text(left, invoice)}",
        )
    return amount


def creditable(invoice: Invoice, row: Row, credited: Decimal) -> Decimal | Refusal:
    """Return how much of a row can be credited, or why nothing can. `credited`: the sum of its earlier credits."""
    return _creditable(invoice, row, credited, _invoice_remainder(invoice))


def _creditable(invoice: Invoice, row: Row, credited: Decimal, left_of_all: Decimal) -> Decimal | Refusal:
    if (wrong := _credit_refusal(invoice, row)) is not None:
        return wrong
    left = _row_remainder(row, credited)
    if min(left, left_of_all) > 0:
        return min(left, left_of_all)
    of = "the row" if left <= 0 else invoice_label(invoice)
    return Refusal(f"nothing of {of} remains to credit", "its amount is 0, or it is fully credited: see its credits")


def _invoice_remainder(invoice: Invoice) -> Decimal:
    return difference(difference(invoice.subtotal, invoice.credited), invoice.noted)


def _row_remainder(row: Row, credited: Decimal) -> Decimal:
    return difference(Decimal(row.amount or 0), credited)


def _credit_refusal(invoice: Invoice, row: Row) -> Refusal | None:
    if invoice.status == "void":
        return Refusal(f"{invoice_label(invoice)} is void", "there is nothing to credit")
    if row.kind not in CREDITABLE:
        return Refusal(
            f"{row.kind} rows are already negative and cannot be credited", "credit a row with an amount above 0"
        )
    if row.amount is None:
        end = instant.render(invoice.end)
        return Refusal(
            f"the row has no amount yet: its period ends at {end}",
            "credit it after the daemon has closed the period",
        )
    return None


def _credit_row(invoice: Invoice, row: Row, credited: Decimal, amount: str, reason: str, at: int) -> Row:
    # The credited amount only grows, so it makes the id of each credit unique.
    return Row(
        id=row_id(invoice.id, "credit", row.id, plain(credited)),
        kind="credit",
        agent_key=row.agent_key,
        rate_card=row.rate_card,
        price_hash=row.price_hash,
        amount=amount,
        amount_exact=plain(Decimal(amount)),
        rated=row.rated,
        outcome_key=row.outcome_key,
        resolved_at=at,
        contract_hash=row.contract_hash,
        corrects=row.id,
        reason=reason,
    )


def _credit_note(invoice: Invoice, amount: Decimal, reason: str, rows: tuple[Row, ...]) -> CreditNote:
    assert invoice.number is not None, invoice
    return CreditNote(
        id=note_id(invoice.id, invoice.notes),
        invoice=invoice.id,
        invoice_number=invoice.number,
        customer_key=invoice.customer_key,
        currency=invoice.currency,
        digits=invoice.digits,
        amount=amount,
        applied=min(amount, invoice.due or _ZERO),
        reason=reason,
        rows=rows,
    )


def note_id(invoice: str, before: int) -> str:
    """Return the id of an invoice's credit note; `before` is the number of earlier ones."""
    return derived_id("credit_note", invoice, str(before))
