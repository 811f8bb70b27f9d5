"""Credit an outcome's line, or another row of an invoice."""

from decimal import Decimal
from typing import Final

from msgspec import Struct

from witnd.app.errors import Refused, invalid, not_found, unavailable
from witnd.app.invoices.lines import lines_of
from witnd.app.invoices.operations import check_reason, do, reuse_error
from witnd.app.services import Services
from witnd.domain.invoices import credit as crediting
from witnd.domain.invoices.credit import parse_amount
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.json_form import (
    CreditNoteJson,
    InvoiceJson,
    LineJson,
    credit_note_json,
    invoice_json,
    line_json,
)
from witnd.domain.invoices.operations import CreditNote, Decision, Refusal, invoice_label
from witnd.domain.outcomes.explain import STATUS_TEXT
from witnd.domain.outcomes.partitioning import partition_of
from witnd.domain.values.money import minor_text
from witnd.store.access.change_log import Author
from witnd.store.errors import StoreUnavailable
from witnd.store.invoices.change import Operation, Snapshot
from witnd.store.invoices.lines import SearchLimit, StaleCursor
from witnd.store.query.reads import open_reads
from witnd.store.records.codec import OutcomeRecord, terms_of

SHORTEST_ID: Final = 6  # characters of a row's id


class Credit(Struct, frozen=True, kw_only=True):
    """A credit. `row` is its row on the draft or on the credit note."""

    done: Operation
    row: Row
    note: CreditNote | None
    balance: Decimal


class Credited(Struct, frozen=True, kw_only=True):
    """A credit: a line on the draft, or on a credit note. `balance`: the customer's remaining credit."""

    invoice: InvoiceJson
    line: LineJson
    credit_note: CreditNoteJson | None
    balance: str


async def credit(
    services: Services,
    author: Author,
    invoice: Invoice,
    row: Row,
    *,
    amount: str | None,
    reason: str,
    token: str | None = None,
) -> Credit:
    """Credit `amount` of a row; None for all that is left. `token` is as in `operations.do`."""
    check_reason(reason)
    wish = _amount(amount, invoice)
    series = services.config.billing.credit_series

    def decide(seen: Snapshot) -> Decision:
        return crediting.credit(
            seen.invoice, row, seen.credited, wish, reason, balance=seen.balance, series=series, at=seen.at
        )

    try:
        done = await do(services, author, invoice, "credit", decide, row=row.id, token=token)
    except StoreUnavailable as silent:
        remedy = (
            "check the invoice's credits before you retry; use an Idempotency-Key to retry safely"
            if author.idempotency_key is None
            else "retry with the same Idempotency-Key; it credits once"
        )
        raise unavailable(f"credit not confirmed ({silent}); {remedy}") from silent
    assert isinstance(done, Operation), done  # a credit is never there already
    given, note = await _given(services, done)
    if given.corrects != row.id or given.reason != reason or (wish is not None and Decimal(given.amount or 0) != -wish):
        gave = f"{(given.amount or '').lstrip('-')} {invoice.currency}"
        raise reuse_error(author, f"credited {gave} of the line {given.corrects} ({given.reason})")
    balance = await services.invoices.balance(invoice.customer_key, invoice.currency)
    return Credit(done=done, row=given, note=note, balance=balance)


def credited_json(credit: Credit) -> Credited:
    invoice = credit.done.invoice
    return Credited(
        invoice=invoice_json(invoice),
        line=line_json(invoice, credit.row),
        credit_note=None if credit.note is None else credit_note_json(credit.note),
        balance=minor_text(credit.balance, invoice.digits),
    )


async def left(services: Services, invoice: Invoice, row: Row) -> tuple[LineJson, str]:
    """Return a line and how much of it can be credited. Raise CONFLICT if nothing can."""
    [credited] = await services.invoices.credited(invoice.id, [row.id])
    most = crediting.creditable(invoice, row, credited)
    if isinstance(most, Refusal):
        raise Refused("CONFLICT", most.problem, remedy=most.remedy)
    return line_json(invoice, row), minor_text(most, invoice.digits)


def _amount(text: str | None, invoice: Invoice) -> Decimal | None:
    try:
        return None if text is None else parse_amount(text, invoice)
    except ValueError as wrong:
        raise invalid("amount", f"{text!r} {wrong}") from None


async def billed_row(services: Services, invoice: Invoice, *, outcome_key: str | None, row_id: str | None) -> Row:
    """Return the row of an invoice for an outcome or id."""
    lines = lines_of(services)
    try:
        if outcome_key is not None and row_id is None:
            what, name = "outcome_key", outcome_key
            record = await _record(services, outcome_key)
            if record is None or record.status != "CONFIRMED":
                found = None
            else:
                found = await services.invoices.rows.of_outcome(invoice, outcome_key, record.billed_at)
        elif row_id is not None and outcome_key is None:
            what, name = "row_id", row_id
            found = await lines.find(invoice, row_id)
        else:
            raise invalid("", "exactly one of outcome_key and row_id is required")
    except SearchLimit as far:
        raise invalid("row_id", f"{far}; name the line by its outcome_key") from None
    except StaleCursor as moved:
        raise unavailable(f"{moved}; retry") from None
    if found is None:
        raise Refused("NOT_FOUND", f"the invoice has no creditable line with {what} {name!r}")
    return found


async def line_of_outcome(services: Services, outcome_key: str) -> tuple[Invoice, Row]:
    """Return the invoice and row of an outcome; both follow from its frozen terms and the time of its resolution."""
    record = await _record(services, outcome_key)
    if record is None:
        raise not_found("outcome", outcome_key)
    if record.status != "CONFIRMED":
        problem = f"{outcome_key} is {STATUS_TEXT[record.status]}, so it was not billed"
        raise Refused("CONFLICT", problem, remedy="only confirmed outcomes can be credited")
    _, price = terms_of(outcome_key, record, await services.learned())
    invoice = await services.invoices.of_outcome(record.customer_key, price.currency, record.billed_at)
    row = None if invoice is None else await services.invoices.rows.of_outcome(invoice, outcome_key, record.billed_at)
    if invoice is None or row is None:
        problem = f"{outcome_key} is not on an invoice yet"
        raise Refused("CONFLICT", problem, remedy="a running daemon adds it within seconds")
    return invoice, row


async def row_beginning(services: Services, invoice: Invoice, text: str) -> Row:
    """Return the only row of an invoice whose id has this prefix. Reads all its rows."""
    rows = services.invoices.rows.of_invoice(invoice) if len(text) >= SHORTEST_ID else None
    found = [] if rows is None else [row async for row in rows if row.id.startswith(text)]
    if len(found) != 1:
        many = "several lines that begin" if found else "no line with an id that begins"
        raise Refused(
            "NOT_FOUND",
            f"{invoice_label(invoice)} has {many} with {text!r}",
            remedy="give more characters of the id"
            if found
            else "`witnd invoices show` lists the lines with their ids",
        )
    return found[0]


async def _record(services: Services, outcome_key: str) -> OutcomeRecord | None:
    number = partition_of(outcome_key, len(services.partitions))
    async with open_reads(services.server) as reads:
        record, _ = await reads.outcome(services.partitions[number], outcome_key)
    return record


async def _given(services: Services, done: Operation) -> tuple[Row, CreditNote | None]:
    if done.operation == "note":
        note = await services.invoices.note(done.made)
        assert note is not None, done
        return note.rows[0], note
    async for row in services.invoices.rows.credits(done.invoice):
        if row.id == done.made:
            return row, None
    raise AssertionError(done)
