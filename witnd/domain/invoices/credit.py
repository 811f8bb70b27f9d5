"""Giving back what was billed: how much of which row, as a row of the draft or as a credit note (contract section 6).

What else may be done to an invoice is in `invoicing`, whose values this answers.
"""

from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from witnd.domain.invoices.invoice import Invoice, Kind, Row, row_id
from witnd.domain.invoices.operations import Change, CreditNote, Refusal, amount_text, invoice_label, reason_refusal
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values import instant
from witnd.domain.values.money import decimal_string, difference, exact_sum, minor_text, plain, to_minor

# Rows that ask for money. A credit gives some back already, and so does a cap.
CREDITABLE: Final[tuple[Kind, ...]] = ("outcome", "fee", "minimum")


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
    """Give back `amount` of a row, None for all that is left of it.

    `credited` is what was given back of the row so far, `series` that of credit notes, `at` the server's clock in ms.
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
        return Refusal(f"the amount {plain(amount)} gives nothing back", "write one above 0")
    if amount != to_minor(amount, digits):
        return Refusal(
            f"the amount {plain(amount)} is finer than {invoice.currency} has digits after the point ({digits})",
            f"write it with {digits}, such as {minor_text(amount, digits)}",
        )
    if amount > left:
        of = "the row" if amount > _row_remainder(row, credited) else "the invoice"
        return Refusal(
            f"the amount {plain(amount)} is more than is left of {of}",
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
    """How much of a row can be given back, of which so much was already; why nothing can."""
    if (wrong := _credit_refusal(invoice, row)) is not None:
        return wrong
    left = _row_remainder(row, credited)
    left_of_all = difference(difference(invoice.subtotal, invoice.credited), invoice.noted)
    if min(left, left_of_all) > 0:
        return min(left, left_of_all)
    of = "the row" if left <= 0 else invoice_label(invoice)
    return Refusal(
        f"nothing of {of} is left to credit", "it asks for nothing, or all of it was given back: see its credits"
    )


def _row_remainder(row: Row, credited: Decimal) -> Decimal:
    return difference(Decimal(row.amount or 0), credited)


def _credit_refusal(invoice: Invoice, row: Row) -> Refusal | None:
    if invoice.status == "void":
        return Refusal(f"{invoice_label(invoice)} is void, so nothing of it is owed", "there is nothing to give back")
    if row.kind not in CREDITABLE:
        return Refusal(f"a {row.kind} cannot be credited: it takes away itself", "credit a row that asks for money")
    if row.amount is None:
        end = instant.render(invoice.end)
        return Refusal(
            f"the row has no amount yet: it gets one when its period is closed, which ends {end}",
            "credit it after that",
        )
    return None


def _credit_row(invoice: Invoice, row: Row, credited: Decimal, amount: str, reason: str, at: int) -> Row:
    # What was given back before tells one credit of a row from the next: it only grows.
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
    """The id of an invoice's credit note that has so many before it."""
    return derived_id("credit_note", invoice, str(before))


def parse_amount(text: str, invoice: Invoice) -> Decimal:
    """An amount that somebody wrote for an invoice, such as "1.50". Raises ValueError with the reason."""
    amount, digits = decimal_string(text), invoice.digits
    if len(text.partition(".")[2]) > digits:
        raise ValueError(f"has more digits after the point than {invoice.currency}, which has {digits}; shorten it")
    if not amount:
        raise ValueError("gives nothing back; write an amount above 0")
    return amount
