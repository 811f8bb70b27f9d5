"""Finding the invoices and credit notes that somebody asked for at a terminal."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from witnd.billing.documents import Papers
from witnd.billing.export.bill import Bill, Note
from witnd.cli.billing.invoice import desk, paper
from witnd.cli.console.context import load_catalogue, session
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.values.period import Period
from witnd.store.catalogue.versions import CatalogueStore
from witnd.store.invoices.reads import Invoices, Wanted


class Named:
    """Papers by their numbers or ids, or by period and customer."""

    def __init__(self, invoices: Invoices, catalogue: Catalogue, now_ms: int) -> None:
        self._invoices = invoices
        self._papers = Papers(invoices, catalogue, now_ms)

    async def found(self, names: Sequence[str]) -> list[Bill | Note]:
        """What has these numbers or ids, once each, in that order. Ends the command for what is not there."""
        papers: dict[str, Bill | Note] = {}
        for name in names:
            found = await paper(self._invoices, name)
            made = self._papers.bill(found) if isinstance(found, Invoice) else self._papers.note(found)
            papers[found.id] = made
        return list(papers.values())

    def bills(self, period: Period | None, customer: str | None) -> AsyncIterator[Bill]:
        """Invoices, the newest period first: those whose periods begin in that year or month, or hold that day."""
        wanted = Wanted(customer=customer)
        if period is not None and period.kind == "day":
            wanted = Wanted(customer=customer, around=period.start)
        elif period is not None:
            wanted = Wanted(customer=customer, begins_from=period.start, begins_before=period.end)
        return self._papers.bills(wanted)

    async def notes(self, period: Period | None, customer: str | None) -> AsyncIterator[Note]:
        """The credit notes that were issued in that period, the newest first."""
        async for one in self._papers.notes(customer):
            if period is None or (one.note.issued_at is not None and one.note.issued_at in period):
                yield one


@asynccontextmanager
async def papers(config: Path | None) -> AsyncIterator[Named]:
    async with session(config) as opened:
        store = CatalogueStore(opened.redis, opened.global_keys, opened.partitions)
        catalogue, now = await load_catalogue(opened), await store.present()
        yield Named(desk(opened), catalogue, now)
