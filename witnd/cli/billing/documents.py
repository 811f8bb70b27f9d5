"""Find the invoices and credit notes that a command names or filters."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from witnd.app.invoices import exports
from witnd.app.invoices.files import FileForm, file_of
from witnd.app.invoices.operations import document
from witnd.app.services import Services
from witnd.billing.documents import InvoiceDocuments
from witnd.billing.export.bill import Bill, Note
from witnd.billing.export.page import Detail
from witnd.cli.console.context import session
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.values.period_text import DateRange
from witnd.store.invoices.reads import InvoiceFilter


class Named:
    """Invoices and credit notes by number or id, or by period and customer."""

    def __init__(self, services: Services, papers: InvoiceDocuments) -> None:
        self._services = services
        self._papers = papers

    async def found(self, names: Sequence[str]) -> list[Bill | Note]:
        """Return the documents with these numbers or ids, once each, in this order."""
        papers: dict[str, Bill | Note] = {}
        for name in names:
            found = await document(self._services, name, can_shorten=True)
            made = self._papers.bill(found) if isinstance(found, Invoice) else self._papers.note(found)
            papers[found.id] = made
        return list(papers.values())

    def bills(self, wanted: InvoiceFilter) -> AsyncIterator[Bill]:
        """Invoices, the newest period first."""
        return self._papers.bills(wanted)

    async def notes(self, period: DateRange | None, customer: str | None) -> AsyncIterator[Note]:
        """The credit notes that were issued in that period, the newest first."""
        async for one in self._papers.notes(customer):
            if period is None or (one.note.issued_at is not None and one.times.date(one.note.issued_at) in period):
                yield one

    async def file(self, paper: Bill | Note, form: FileForm, detail: Detail | None) -> bytes:
        """Return a file of a document. Raises `Refused`."""
        return await file_of(self._services, paper.invoice if isinstance(paper, Bill) else paper.note, form, detail)

    async def with_parties(self, note: Note) -> Note:
        """Return a credit note with the parties of its invoice, which its page shows."""
        return await self._papers.note_with_parties(note.note)


@asynccontextmanager
async def papers(config: Path | None) -> AsyncIterator[Named]:
    async with session(config) as opened:
        yield Named(opened.services, await exports.papers(opened.services))
