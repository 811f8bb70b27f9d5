"""Export rows, invoices and credit notes as CSV (RFC 4180: UTF-8, CRLF, a header).

Free text (keys, names, reasons) is escaped for spreadsheets, which could read it as a formula. Numbers, instants and
ids are not, so that negative amounts stay numbers.
"""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
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

INVOICE_COLUMNS: Final = (*InvoiceJson.__struct_fields__, "customer_name", "customer_email")
LINE_COLUMNS: Final = (
    *LineJson.__struct_fields__,
    "invoice_number",
    "invoice_status",
    "period_start",
    "period_end",
    "customer_name",
    "agent_name",
)
NOTE_COLUMNS: Final = (*CreditNoteJson.__struct_fields__, "customer_name", "customer_email")
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
        shared = (head.number, head.status, head.period_start, head.period_end, bill.customer_name)
        async for row in bill.rows():
            yield _record(_cells(LINE_COLUMNS, _line(bill, row, shared)))


def _line(bill: Bill, row: Row, shared: Sequence[str | None]) -> tuple[object, ...]:
    agent = None if row.agent_key is None else bill.agent_name(row.agent_key)
    return (*msgspec.structs.astuple(line_json(bill.invoice, row)), *shared, agent)


async def _invoices(bills: AsyncIterator[Bill]) -> AsyncIterator[str]:
    yield _record(INVOICE_COLUMNS)
    async for bill in bills:
        head = msgspec.structs.astuple(invoice_json(bill.invoice))
        yield _record(_cells(INVOICE_COLUMNS, (*head, bill.customer_name, bill.customer_email)))


async def _notes(papers: AsyncIterator[Note]) -> AsyncIterator[str]:
    yield _record(NOTE_COLUMNS)
    async for paper in papers:
        note = msgspec.structs.astuple(credit_note_json(paper.note))
        yield _record(_cells(NOTE_COLUMNS, (*note, paper.customer_name, paper.customer_email)))


def _cells(columns: Sequence[str], values: Iterable[object]) -> list[str]:
    return [_cell(name, value) for name, value in zip(columns, values, strict=True)]


def _cell(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return escape_formula(value) if name in FREE_TEXT else value
    # Numbers, booleans and workings are JSON.
    return _json(value).decode()


def escape_formula(text: str) -> str:
    """Return the text, with a leading apostrophe if a spreadsheet could read it as a formula."""
    return "'" + text if text.lstrip(_BLANK).startswith(_COMPUTED) else text


def _record(cells: Sequence[str]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerow(cells)
    return written.getvalue()
