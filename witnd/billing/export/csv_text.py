"""Export rows, invoices and credit notes as CSV (RFC 4180: UTF-8, CRLF, a header).

Free text (keys, names, reasons) is escaped for spreadsheets, which could read it as a formula. Numbers, instants and
ids are not, so that negative amounts stay numbers.
"""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from witnd.billing.export.bill import Bill, Note, in_chunks
from witnd.domain.invoices.invoice import Row
from witnd.domain.invoices.json_form import (
    CreditNoteJson,
    InvoiceJson,
    LineJson,
    credit_note_json,
    invoice_json,
    line_json,
)

# Lists of the JSON form that have no place in one cell. The sums of tax rows are in the column `tax`.
_NESTED: Final = frozenset({"tax_rows"})
_HEAD_FIELDS: Final = tuple(name for name in InvoiceJson.__struct_fields__ if name not in _NESTED)
_NOTE_FIELDS: Final = tuple(name for name in CreditNoteJson.__struct_fields__ if name not in _NESTED)
INVOICE_COLUMNS: Final = (*_HEAD_FIELDS, "customer_name", "customer_email")
LINE_COLUMNS: Final = (
    *LineJson.__struct_fields__,
    "invoice_number",
    "invoice_status",
    "period_start",
    "period_end",
    "time_zone",
    "resolved_local",
    "customer_name",
    "agent_name",
)
NOTE_COLUMNS: Final = (*_NOTE_FIELDS, "customer_name", "customer_email")
#: Columns with free text.
FREE_TEXT: Final = frozenset(
    {
        "outcome_key",
        "customer_key",
        "agent_key",
        "rate_card",
        "reason",
        "description",
        "number",
        "invoice_number",
        "customer_name",
        "customer_email",
        "agent_name",
    }
)

# The tax of a line is a key, and that of an invoice an amount.
_LINE_TEXT: Final = FREE_TEXT | {"tax"}
# Characters that start a formula, with their full-width forms. The apostrophe is included so that removing one from the
# start of a cell always restores the text.
_COMPUTED: Final = tuple("=+-@'\t\r\n＝＋－＠＇")
# Some spreadsheets ignore blanks before such a character.
_BLANK: Final = " \u00a0\u3000\ufeff\0"

_json = msgspec.json.Encoder().encode


async def lines(bills: AsyncIterator[Bill]) -> AsyncIterator[str]:
    """Yield all rows of the invoices, in order."""
    async for chunk in in_chunks(_lines(bills)):
        yield chunk


async def invoices(bills: AsyncIterator[Bill]) -> AsyncIterator[str]:
    """Yield the heads of the invoices."""
    async for chunk in in_chunks(_invoices(bills)):
        yield chunk


async def notes(papers: AsyncIterator[Note]) -> AsyncIterator[str]:
    """Yield credit notes, with the rows of each in one cell."""
    async for chunk in in_chunks(_notes(papers)):
        yield chunk


async def _lines(bills: AsyncIterator[Bill]) -> AsyncIterator[str]:
    yield _record(LINE_COLUMNS)
    async for bill in bills:
        head = invoice_json(bill.invoice)
        shared = (head.number, head.status, head.period_start, head.period_end, head.time_zone)
        async for row in bill.rows():
            yield _record(_cells(LINE_COLUMNS, _line(bill, row, shared), _LINE_TEXT))


def _line(bill: Bill, row: Row, shared: Sequence[str | None]) -> tuple[object, ...]:
    agent = None if row.agent_key is None else bill.agent_name(row.agent_key)
    line = line_json(bill.invoice, row, bill.tax_of(row))
    local = None if row.resolved_at is None else bill.times.text(row.resolved_at)
    return (*msgspec.structs.astuple(line), *shared, local, bill.customer_name, agent)


async def _invoices(bills: AsyncIterator[Bill]) -> AsyncIterator[str]:
    yield _record(INVOICE_COLUMNS)
    async for bill in bills:
        head = _values(invoice_json(bill.invoice), _HEAD_FIELDS)
        yield _record(_cells(INVOICE_COLUMNS, (*head, bill.customer_name, bill.customer_email)))


async def _notes(papers: AsyncIterator[Note]) -> AsyncIterator[str]:
    yield _record(NOTE_COLUMNS)
    async for paper in papers:
        note = _values(credit_note_json(paper.note), _NOTE_FIELDS)
        yield _record(_cells(NOTE_COLUMNS, (*note, paper.customer_name, paper.customer_email)))


def _values(document: msgspec.Struct, fields: Sequence[str]) -> tuple[object, ...]:
    return tuple(getattr(document, name) for name in fields)


def _cells(columns: Sequence[str], values: Iterable[object], free_text: AbstractSet[str] = FREE_TEXT) -> list[str]:
    return [_cell(name, value, free_text) for name, value in zip(columns, values, strict=True)]


def _cell(name: str, value: object, free_text: AbstractSet[str]) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return escape_formula(value) if name in free_text else value
    # Numbers, booleans and workings are JSON.
    return _json(value).decode()


def escape_formula(text: str) -> str:
    """Return the text, with a leading apostrophe if a spreadsheet could read it as a formula."""
    return "'" + text if text.lstrip(_BLANK).startswith(_COMPUTED) else text


def _record(cells: Sequence[str]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerow(cells)
    return written.getvalue()
