"""Export rows, invoices and credit notes as JSON Lines, in the form of `domain.invoices.json_form`."""

from collections.abc import AsyncIterator

import msgspec

from witnd.billing.export.bill import Bill, Note, in_chunks
from witnd.domain.invoices.json_form import credit_note_json, invoice_json, line_json

_encode = msgspec.json.Encoder().encode


async def lines(bills: AsyncIterator[Bill]) -> AsyncIterator[str]:
    """Yield all rows of the invoices, in order."""
    async for chunk in in_chunks(_lines(bills)):
        yield chunk


async def invoices(bills: AsyncIterator[Bill]) -> AsyncIterator[str]:
    """Yield the heads of the invoices."""
    async for chunk in in_chunks(_invoices(bills)):
        yield chunk


async def _lines(bills: AsyncIterator[Bill]) -> AsyncIterator[str]:
    async for bill in bills:
        async for row in bill.rows():
            yield document(line_json(bill.invoice, row, bill.tax_of(row)))


async def _invoices(bills: AsyncIterator[Bill]) -> AsyncIterator[str]:
    async for bill in bills:
        yield document(invoice_json(bill.invoice))


async def notes(papers: AsyncIterator[Note]) -> AsyncIterator[str]:
    """Yield credit notes with their rows."""
    async for paper in papers:
        yield document(credit_note_json(paper.note))


def document(value: object) -> str:
    return _encode(value).decode() + "\n"
