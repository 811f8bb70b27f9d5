"""Credit rows of an invoice: outcomes' lines, and the amounts added when its period closed."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

from witnd.app.errors import Refused, all_invalid, invalid, not_found, unavailable
from witnd.app.invoices.change import check_reason, do, reuse_error
from witnd.app.invoices.lines import lines_of
from witnd.app.services import Services
from witnd.billing.row_taxes import RowTaxes
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices import credit as crediting
from witnd.domain.invoices.credit import MAX_ITEMS
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.issue_terms import tax_table
from witnd.domain.invoices.json_form import (
    CreditNoteJson,
    InvoiceJson,
    LineJson,
    credit_note_json,
    invoice_json,
    line_json,
)
from witnd.domain.invoices.manual import manual_rows
from witnd.domain.invoices.operations import Change, CreditNote, Decision, Refusal, invoice_label
from witnd.domain.invoices.payment import parse_amount
from witnd.domain.outcomes.explain import STATUS_TEXT
from witnd.domain.outcomes.partitioning import partition_of
from witnd.domain.values.mistake import Mistake
from witnd.domain.values.money import exact_sum, minor_text
from witnd.store.access.change_log import Author
from witnd.store.errors import StoreUnavailable
from witnd.store.invoices.change import Operation
from witnd.store.invoices.change_arguments import Snapshot
from witnd.store.invoices.lines import SearchLimit, StaleCursor
from witnd.store.invoices.series import credit_series
from witnd.store.query.reads import open_reads
from witnd.store.records.codec import OutcomeRecord, terms_of

SHORTEST_ID: Final = 6  # characters of a row's id


class Item(Struct, frozen=True, kw_only=True):
    """What to credit of a row: an amount, or all that remains if None."""

    row: Row
    amount: str | None = None


class Credit(Struct, frozen=True, kw_only=True):
    """A credit. `rows` are its rows on the draft or on the credit note, and `lines` their JSON form."""

    done: Operation
    rows: tuple[Row, ...]
    lines: list[LineJson]
    note: CreditNote | None
    balance: Decimal


class Credited(Struct, frozen=True, kw_only=True):
    """A credit: a line on the draft, or on a credit note. `balance`: the customer's balance."""

    invoice: InvoiceJson
    line: LineJson
    credit_note: CreditNoteJson | None
    balance: str


class RowsCredited(Struct, frozen=True, kw_only=True):
    """A credit: lines on the draft, or on a credit note. `balance`: the customer's balance."""

    invoice: InvoiceJson
    lines: list[LineJson]
    credit_note: CreditNoteJson | None
    balance: str


async def credit(
    services: Services,
    author: Author,
    invoice: Invoice,
    items: Sequence[Item],
    reason: str,
    *,
    token: str | None = None,
    dry_run: bool = False,
) -> Credit:
    """Credit rows of an invoice together: as rows on a draft, or with one credit note. `token` and `dry_run` are as in
    `operations.do`."""
    check_reason(reason)
    _check_items(items)
    amounts = _amounts(items, invoice)
    series, catalogue = credit_series(services.config.billing), await services.learned()

    def decide(seen: Snapshot) -> Decision:
        table = tax_table(catalogue, seen.invoice, seen.at)
        wanted = [
            crediting.Item(
                row=_current_row(seen.invoice, item.row),
                credited=seen.credited(item.row.id),
                tax=RowTaxes(catalogue, seen.invoice, seen.at).key(item.row),
                amount=amount,
            )
            for item, amount in zip(items, amounts, strict=True)
        ]
        return crediting.credit(
            seen.invoice, wanted, reason, balance=seen.balance, series=series, at=seen.at, today=seen.today, table=table
        )  # fmt: skip

    try:
        ids = [item.row.id for item in items]
        done = await do(services, author, invoice, "credit", decide, rows=ids, token=token, dry_run=dry_run)
    except StoreUnavailable as silent:
        remedy = (
            "check the invoice's credits before you retry; use an Idempotency-Key to retry safely"
            if author.idempotency_key is None
            else "retry with the same Idempotency-Key; it credits once"
        )
        raise unavailable(f"credit not confirmed ({silent}); {remedy}") from silent
    assert isinstance(done, Operation), done  # a credit is never there already
    if done.preview is not None:
        return await _preview(services, catalogue, done, done.preview)
    rows, note = await _given(services, done)
    if done.repeated and not _is_same(rows, items, amounts, reason):
        raise reuse_error(author, _what_it_did(rows, invoice))
    balance = await services.invoices.balance(invoice.customer_key, invoice.currency)
    return Credit(done=done, rows=rows, lines=_lines(catalogue, done, rows), note=note, balance=balance)


async def _preview(services: Services, catalogue: Catalogue, done: Operation, change: Change) -> Credit:
    """Return what a credit would do."""
    balance = change.balance
    if balance is None:
        balance = await services.invoices.balance(done.invoice.customer_key, done.invoice.currency)
    rows = change.rows if change.note is None else change.note.rows
    return Credit(done=done, rows=rows, lines=_lines(catalogue, done, rows), note=change.note, balance=balance)


def _lines(catalogue: Catalogue, done: Operation, rows: Sequence[Row]) -> list[LineJson]:
    taxes = RowTaxes(catalogue, done.invoice, done.at)
    return [line_json(done.invoice, row, taxes.shown(row)) for row in rows]


def credited_json(credit: Credit) -> Credited:
    """Return the credit of one row."""
    all_ = rows_credited_json(credit)
    return Credited(invoice=all_.invoice, line=all_.lines[0], credit_note=all_.credit_note, balance=all_.balance)


def rows_credited_json(credit: Credit) -> RowsCredited:
    invoice = credit.done.invoice
    return RowsCredited(
        invoice=invoice_json(invoice),
        lines=credit.lines,
        credit_note=None if credit.note is None else credit_note_json(credit.note),
        balance=minor_text(credit.balance, invoice.digits),
    )


def _check_items(items: Sequence[Item]) -> None:
    """Refuse no items, too many, and a row that is there twice."""
    if not items:
        raise invalid("items", "is empty; name at least one line to credit")
    if len(items) > MAX_ITEMS:
        raise invalid("items", f"has {len(items)} lines; credit at most {MAX_ITEMS} at a time")
    ids = [item.row.id for item in items]
    repeated = [Mistake(f"items[{at}].line", "must not be repeated") for at, id_ in enumerate(ids) if id_ in ids[:at]]
    if repeated:
        raise all_invalid(repeated)


def _amounts(items: Sequence[Item], invoice: Invoice) -> list[Decimal | None]:
    found: list[Decimal | None] = []
    mistakes: list[Mistake] = []
    for at, item in enumerate(items):
        try:
            found.append(None if item.amount is None else parse_amount(item.amount, invoice.currency, invoice.digits))
        except ValueError as wrong:
            path = "amount" if len(items) == 1 else f"items[{at}].amount"
            mistakes.append(Mistake(path, f"{item.amount!r} {wrong}"))
    if mistakes:
        raise all_invalid(mistakes)
    return found


def _is_same(rows: Sequence[Row], items: Sequence[Item], amounts: Sequence[Decimal | None], reason: str) -> bool:
    """Return whether an earlier credit is what the caller asks for."""
    return len(rows) == len(items) and all(
        row.corrects == item.row.id
        and row.reason == reason
        and (amount is None or Decimal(row.amount or 0) == amount.copy_negate())
        for row, item, amount in zip(rows, items, amounts, strict=True)
    )


def _current_row(invoice: Invoice, row: Row) -> Row:
    """Return a row as it is now: manual lines can change."""
    return next((one for one in manual_rows(invoice) if one.id == row.id), row)


def _what_it_did(rows: Sequence[Row], invoice: Invoice) -> str:
    amount = exact_sum(Decimal(row.amount or 0) for row in rows).copy_negate()
    lines = f"the line {rows[0].corrects}" if len(rows) == 1 else f"{len(rows)} lines"
    return f"credited {minor_text(amount, invoice.digits)} {invoice.currency} of {lines} ({rows[0].reason})"


async def left(services: Services, invoice: Invoice, row: Row) -> tuple[LineJson, str]:
    """Return a line and how much of it can be credited. Raise CONFLICT if nothing can."""
    [credited] = await services.invoices.credited(invoice.id, [row.id])
    catalogue = await services.learned()
    taxes, table = RowTaxes(catalogue, invoice, services.now_ms()), tax_table(catalogue, invoice, services.now_ms())
    most = crediting.creditable(invoice, crediting.Item(row=row, credited=credited, tax=taxes.key(row)), table)
    if isinstance(most, Refusal):
        raise Refused("CONFLICT", most.problem, remedy=most.remedy)
    return line_json(invoice, row, taxes.shown(row)), minor_text(most, invoice.digits)


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


async def _given(services: Services, done: Operation) -> tuple[tuple[Row, ...], CreditNote | None]:
    """Return the credit rows of a written operation, and their credit note after issue."""
    if done.operation == "note":
        note = await services.invoices.note(done.made)
        assert note is not None, done
        return note.rows, note
    first, _, count = done.made.partition(":")
    found: list[Row] = []
    async for row in services.invoices.rows.credits(done.invoice):
        if found or row.id == first:
            found.append(row)
        if len(found) == int(count or 1):
            break
    assert found, done
    return tuple(found), None
