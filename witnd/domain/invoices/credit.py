"""Credit a row of an invoice: a credit row on a draft, a credit note after issue."""

from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from witnd.domain.invoices.invoice import Invoice, Kind, Row, row_id
from witnd.domain.invoices.operations import Change, CreditNote, Refusal, amount_text, invoice_label, reason_refusal
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values import instant
from witnd.domain.values.money import decimal_string, difference, exact_sum, minor_text, plain, to_minor

# Credits and caps are already negative.
CREDITABLE: Final[tuple[Kind, ...]] = ("outcome", "fee", "minimum", "recurring", "commitment")


def credit(
    invoice: Invoice,
    row: Row,
    credited: Decimal,
    amount: Decimal | None,
    reason: str,
    *,
    balance: Decimal,
    series: str,
    at: int,
) -> Change | Refusal:
    """Credit `amount` of a row, or all that remains of it if None.

    `credited` is the amount of the row's earlier credits, `series` the number series of credit notes, `at` the server's
    clock in ms.
    """
    if (wrong := reason_refusal(reason)) is not None:
        return wrong
    left = creditable(invoice, row, credited)
    if isinstance(left, Refusal):
        return left
    digits = invoice.digits
    if amount is None:
        amount = left
    if amount <= 0:
        return Refusal(f"the amount {plain(amount)} is too small", "write an amount above 0")
    if amount != to_minor(amount, digits):
        return Refusal(
            f"the amount {plain(amount)} has more digits after the point than {invoice.currency} ({digits})",
            f"write at most {digits}, such as {minor_text(amount, digits)}",
        )
    if amount > left:
        of = "the row" if amount > _row_remainder(row, credited) else "the invoice"
        return Refusal(
            f"the amount {plain(amount)} is more than what remains of {of}",
            f"credit at most {amount_text(left, invoice)}",
        )
    given = _credit_row(invoice, row, credited, minor_text(amount.copy_negate(), digits), reason, at)
    so_far = exact_sum((credited, amount))
    if invoice.status == "draft":
        after = replace(invoice, revision=invoice.revision + 1, credited=exact_sum((invoice.credited, amount)))
        return Change(operation="credit", before=invoice, after=after, credited=so_far, row=given)
    after = replace(
        invoice,
        revision=invoice.revision + 1,
        noted=exact_sum((invoice.noted, amount)),
        notes=invoice.notes + 1,
    )
    return Change(
        operation="note",
        before=invoice,
        after=after,
        series=series,
        balance=exact_sum((balance, amount)),
        credited=so_far,
        note=_credit_note(invoice, amount, reason, given),
    )


def creditable(invoice: Invoice, row: Row, credited: Decimal) -> Decimal | Refusal:
    """Return how much of a row can be credited, or why nothing can."""
    if (wrong := _credit_refusal(invoice, row)) is not None:
        return wrong
    left = _row_remainder(row, credited)
    left_of_all = difference(difference(invoice.subtotal, invoice.credited), invoice.noted)
    if min(left, left_of_all) > 0:
        return min(left, left_of_all)
    of = "the row" if left <= 0 else invoice_label(invoice)
    return Refusal(f"nothing of {of} remains to credit", "its amount is 0, or it is fully credited: see its credits")


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


def _credit_note(invoice: Invoice, amount: Decimal, reason: str, row: Row) -> CreditNote:
    assert invoice.number is not None, invoice
    return CreditNote(
        id=note_id(invoice.id, invoice.notes),
        invoice=invoice.id,
        invoice_number=invoice.number,
        customer_key=invoice.customer_key,
        currency=invoice.currency,
        digits=invoice.digits,
        amount=amount,
        reason=reason,
        rows=(row,),
    )


def note_id(invoice: str, before: int) -> str:
    """Return the id of an invoice's credit note; `before` is the number of earlier ones."""
    return derived_id("credit_note", invoice, str(before))


def parse_amount(text: str, invoice: Invoice) -> Decimal:
    """Parse an amount for an invoice, such as "1.50". Raises ValueError with the reason."""
    amount, digits = decimal_string(text), invoice.digits
    if len(text.partition(".")[2]) > digits:
        raise ValueError(f"has more digits after the point than {invoice.currency} ({digits}); shorten it")
    if not amount:
        raise ValueError("must be greater than 0")
    return amount
