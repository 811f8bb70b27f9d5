"""Finding the invoices and credit notes that somebody asked for, with everything an export needs of them."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from witnd.billing.export.bill import Bill, Note
from witnd.cli.context import session
from witnd.cli.invoice import desk, paper
from witnd.cli.outcomes import learned
from witnd.domain.catalogue import Catalogue
from witnd.domain.invoice import Invoice, Row
from witnd.domain.invoicing import CreditNote
from witnd.domain.period import Period
from witnd.domain.ratecard import Price
from witnd.store.catalogue import CatalogueStore
from witnd.store.invoices import Invoices, Wanted

_PAGE: Final = 200


class Papers:
    """Reads invoices, and gives them the names that were in force when they were issued."""

    def __init__(self, invoices: Invoices, catalogue: Catalogue, now_ms: int) -> None:
        self._invoices = invoices
        self._catalogue = catalogue
        self._now = now_ms

    async def found(self, names: Sequence[str]) -> list[Bill | Note]:
        """What has these numbers or ids, once each, in that order. Ends the command for what is not there."""
        papers: dict[str, Bill | Note] = {}
        for name in names:
            found = await paper(self._invoices, name)
            papers[found.id] = self._bill(found) if isinstance(found, Invoice) else self._note(found)
        return list(papers.values())

    async def bills(self, period: Period | None, customer: str | None) -> AsyncIterator[Bill]:
        """Invoices, the newest period first: those whose periods begin in that year or month, or hold that day."""
        wanted = Wanted(customer=customer)
        if period is not None and period.kind == "day":
            wanted = Wanted(customer=customer, around=period.start)
        elif period is not None:
            wanted = Wanted(customer=customer, begins_from=period.start, begins_before=period.end)
        cursor = None
        while True:
            page = await self._invoices.listed(wanted, _PAGE, cursor)
            for invoice in page.data:
                yield self._bill(invoice)
            cursor = page.cursor
            if cursor is None:
                return

    async def notes(self, period: Period | None, customer: str | None) -> AsyncIterator[Note]:
        """The credit notes that were issued in that period, the newest first."""
        cursor = None
        while True:
            page = await self._invoices.notes(_PAGE, cursor, customer=customer)
            for note in page.data:
                if period is None or (note.issued_at is not None and note.issued_at in period):
                    yield self._note(note)
            cursor = page.cursor
            if cursor is None:
                return

    def _bill(self, invoice: Invoice) -> Bill:
        at = self._now if invoice.issued_at is None else invoice.issued_at
        name, email = self._customer(invoice.customer_key, at)

        def rows() -> AsyncIterator[Row]:
            return self._invoices.rows.of(invoice)

        return Bill(
            invoice=invoice,
            rows=rows,
            customer_name=name,
            customer_email=email,
            agent_name=self._agent_name(at),
            price_of=self._price_of,
        )

    def _note(self, note: CreditNote) -> Note:
        at = self._now if note.issued_at is None else note.issued_at
        name, email = self._customer(note.customer_key, at)
        return Note(note=note, customer_name=name, customer_email=email, agent_name=self._agent_name(at))

    def _customer(self, key: str, at: int) -> tuple[str, str | None]:
        customer = self._catalogue.customer(key, at)
        return (key, None) if customer is None else (customer.name, customer.email)

    def _agent_name(self, at: int) -> Callable[[str], str]:
        """Names as they were then; archived agents have one too."""

        def name(key: str) -> str:
            entry = self._catalogue.entry("agent", key, at)
            return key if entry is None else str(entry.content["name"])

        return name

    def _price_of(self, digest: str) -> Price | None:
        try:
            return self._catalogue.price_by_hash(digest)
        except KeyError:
            return None


@asynccontextmanager
async def papers(config: Path | None) -> AsyncIterator[Papers]:
    async with session(config) as opened:
        store = CatalogueStore(opened.redis, opened.global_keys, opened.partitions)
        catalogue, now = await learned(opened), await store.present()
        yield Papers(desk(opened), catalogue, now)
