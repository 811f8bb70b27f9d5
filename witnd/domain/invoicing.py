"""What may be done to an invoice, and what it becomes: issue, pay, void, credit (contract section 6).

Decisions over what was read, as values: a change, "it is so already", or a refusal with its remedy. Writing a change,
when, and under which number, is left to `store.invoice_change`.
"""

from decimal import Decimal
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from witnd.domain import instant
from witnd.domain.invoice import Invoice, Kind, Row, row_id
from witnd.domain.money import decimal_string, difference, exact_sum, minor_digits, minor_text, plain, to_minor
from witnd.domain.resolution import derived_id

# credit: a row that takes back before the invoice is issued. note: a credit note, which does so afterwards.
Operation: TypeAlias = Literal["issue", "pay", "void", "credit", "note"]
# Rows that ask for money. A credit gives some back already, and so does a cap.
CREDITABLE: Final[tuple[Kind, ...]] = ("outcome", "fee", "minimum")
LONGEST_REASON: Final = 500

_ZERO: Final = Decimal(0)


class CreditNote(Struct, frozen=True, kw_only=True):
    """Money given back after an invoice was issued; it pays the customer's next invoices in that currency.

    `amount` is above 0, those of the rows below. Number and instant (ms) are there once it is written.
    """

    id: str
    invoice: str
    invoice_number: str
    customer_key: str
    currency: str
    amount: Decimal
    reason: str
    rows: tuple[Row, ...]
    number: str | None = None
    issued_at: int | None = None


class Change(Struct, frozen=True, kw_only=True):
    """What an operation does. It is right only for exactly what it was decided from."""

    operation: Operation
    before: Invoice
    after: Invoice  # without what only the writing knows: the number and the instant
    series: str | None = None  # a number is taken from it: the invoice's, or the credit note's
    balance: Decimal | None = None  # the customer's, afterwards; None where the change does not depend on it
    credited: Decimal | None = None  # what the corrected row gave back so far, afterwards
    row: Row | None = None  # the credit row that the draft gains
    note: CreditNote | None = None

    @property
    def stamp(self) -> str | None:
        """The field of the head that tells when this was done."""
        return {"issue": "issued_at", "pay": "paid_at", "void": "voided_at"}.get(self.operation)

    @property
    def issues(self) -> bool:
        """Whether it is no longer among the drafts that wait to be issued."""
        return self.operation == "issue"


class Unchanged(Struct, frozen=True):
    """The invoice is so already."""

    invoice: Invoice


class Refusal(Struct, frozen=True):
    """It cannot be done, and what can."""

    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}"


Verdict: TypeAlias = Change | Unchanged | Refusal


def issue(invoice: Invoice, balance: Decimal, series: str) -> Verdict:
    """Fix what is to be paid: the customer's balance pays as much of it as there is."""
    if invoice.status == "issued":
        return Unchanged(invoice)
    if invoice.status != "draft":
        return Refusal(f"{called(invoice)} is {invoice.status}", "it was issued before that, and is issued only once")
    if not invoice.closed:
        end = instant.render(invoice.end)
        return Refusal(
            f"{called(invoice)} is open: its period ends {end}, and lines may still arrive",
            "issue it when the daemon has closed the period, which it does once every log is read past that",
        )
    owed = difference(invoice.subtotal, invoice.credited)
    carried = min(balance, owed)
    after = replace(
        invoice,
        revision=invoice.revision + 1,
        status="issued",
        carried=carried,
        total=difference(owed, carried),
    )
    return Change(
        operation="issue",
        before=invoice,
        after=after,
        series=series,
        balance=difference(balance, carried),
    )


def pay(invoice: Invoice) -> Verdict:
    """Record that what was to be paid is paid."""
    match invoice.status:
        case "paid":
            return Unchanged(invoice)
        case "draft":
            return Refusal(f"{called(invoice)} is not issued, so nothing is to be paid yet", "issue it first")
        case "void":
            return Refusal(f"{called(invoice)} is void, so nothing is to be paid", "look for another invoice")
        case "issued":
            after = replace(invoice, revision=invoice.revision + 1, status="paid")
            return Change(operation="pay", before=invoice, after=after)


def void(invoice: Invoice, balance: Decimal, reason: str) -> Verdict:
    """Declare that nothing of it is owed. What the customer's balance paid of it goes back there."""
    if (wrong := reason_mistake(reason)) is not None:
        return wrong
    match invoice.status:
        case "void":
            return Unchanged(invoice)
        case "draft":
            return Refusal(f"{called(invoice)} is not issued, so it cannot be voided", "credit what is wrong in it")
        case "paid":
            return Refusal(f"{called(invoice)} is paid, and a paid one is not voided", "credit what is wrong in it")
        case "issued":
            if invoice.noted:
                noted = _amount(invoice.noted, invoice.currency)
                return Refusal(
                    f"{called(invoice)} has credit notes over {noted}, which would be given back twice",
                    "credit the rest of it instead",
                )
            after = replace(invoice, revision=invoice.revision + 1, status="void", reason=reason)
            return Change(
                operation="void",
                before=invoice,
                after=after,
                balance=exact_sum((balance, invoice.carried)) if invoice.carried else None,
            )


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
    if (wrong := reason_mistake(reason) or _credit_mistake(invoice, row)) is not None:
        return wrong
    digits = minor_digits(invoice.currency) or 0
    left = difference(Decimal(row.amount or 0), credited)
    left_of_all = difference(difference(invoice.subtotal, invoice.credited), invoice.noted)
    if min(left, left_of_all) <= 0:
        of = "the row" if left <= 0 else called(invoice)
        return Refusal(
            f"nothing of {of} is left to credit", "it asks for nothing, or all of it was given back: see its credits"
        )
    if amount is None:
        amount = min(left, left_of_all)
    if amount <= 0:
        return Refusal(f"the amount {plain(amount)} gives nothing back", "write one above 0")
    if amount != to_minor(amount, digits):
        return Refusal(
            f"the amount {plain(amount)} is finer than {invoice.currency} has digits after the point ({digits})",
            f"write it with {digits}, such as {minor_text(amount, digits)}",
        )
    for most, of in ((left, "the row"), (left_of_all, "the invoice")):
        if amount > most:
            return Refusal(
                f"the amount {plain(amount)} is more than is left of {of}",
                f"credit at most {_amount(min(left, left_of_all), invoice.currency)}",
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


def reason_mistake(reason: str) -> Refusal | None:
    """What is wrong with a reason: people will read it on the invoice."""
    if not reason.strip():
        return Refusal("the reason is empty", "say why, in words that the customer may read")
    if len(reason) > LONGEST_REASON:
        return Refusal(f"the reason has {len(reason)} characters", f"shorten it to {LONGEST_REASON}")
    if not reason.isprintable():
        return Refusal("the reason has characters that cannot be printed", "write it on one line, as plain text")
    return None


def _credit_mistake(invoice: Invoice, row: Row) -> Refusal | None:
    if invoice.status == "void":
        return Refusal(f"{called(invoice)} is void, so nothing of it is owed", "there is nothing to give back")
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
        id=derived_id("credit_note", invoice.id, str(invoice.notes)),
        invoice=invoice.id,
        invoice_number=invoice.number,
        customer_key=invoice.customer_key,
        currency=invoice.currency,
        amount=amount,
        reason=reason,
        rows=(row,),
    )


def amount_of(text: str, currency: str) -> Decimal:
    """An amount that somebody wrote, such as "1.50". Raises ValueError with the reason."""
    amount, digits = decimal_string(text), minor_digits(currency) or 0
    if len(text.partition(".")[2]) > digits:
        raise ValueError(f"has more digits after the point than {currency}, which has {digits}; shorten it")
    if not amount:
        raise ValueError("gives nothing back; write an amount above 0")
    return amount


def called(invoice: Invoice) -> str:
    """What people call it: its number, or whose draft it is for when."""
    if invoice.number is not None:
        return invoice.number
    start, end = (instant.render(ms)[:10] for ms in (invoice.start, invoice.end))
    return f"the draft of {invoice.customer_key} in {invoice.currency} from {start} to {end}"


def _amount(amount: Decimal, currency: str) -> str:
    return f"{minor_text(amount, minor_digits(currency) or 0)} {currency}"
