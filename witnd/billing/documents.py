"""Invoices and credit notes for exports, with their rows and the names in effect at issue."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from witnd.billing.export.bill import Bill, Note, manual_descriptions
from witnd.billing.export.local_times import LocalTimes
from witnd.billing.issue_preview import with_current_data
from witnd.billing.row_taxes import RowTaxes
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.period_terms import period_terms
from witnd.domain.catalogue.seller import SELLER_KEY
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.invoices.operations import CreditNote
from witnd.domain.pricing.group import GroupKey
from witnd.domain.pricing.ratecard import Price
from witnd.domain.values.period import Calendar
from witnd.store.errors import DamagedInvoice
from witnd.store.invoices.codec import RESTORE
from witnd.store.invoices.reads import InvoiceFilter, Invoices

_PAGE: Final = 200


def _check_complete(what: str, unreadable: Sequence[str]) -> None:
    """Raise `DamagedInvoice` if data is unreadable, because a file cannot state that something is missing."""
    if unreadable:
        raise DamagedInvoice(f"the stored data of {what} {', '.join(unreadable)} is damaged", RESTORE)


class InvoiceDocuments:
    """Reads documents. `now_ms` is the instant for the names of documents that are not issued yet. Documents show times
    in the zone of their period, as the calendar has it."""

    def __init__(self, invoices: Invoices, catalogue: Catalogue, calendar: Calendar, now_ms: int) -> None:
        self._calendar = calendar
        self._invoices = invoices
        self._catalogue = catalogue
        self._now = now_ms

    async def bills(self, wanted: InvoiceFilter) -> AsyncIterator[Bill]:
        """Yield invoices, newest period first."""
        cursor = None
        while True:
            page = await self._invoices.page(wanted, _PAGE, cursor)
            _check_complete("invoice", page.unreadable)
            for invoice in page.data:
                yield self.bill(invoice)
            cursor = page.cursor
            if cursor is None:
                return

    async def notes(self, customer: str | None = None) -> AsyncIterator[Note]:
        """Yield credit notes, newest first."""
        cursor = None
        while True:
            page = await self._invoices.notes(_PAGE, cursor, customer=customer)
            _check_complete("credit note", page.unreadable)
            for note in page.data:
                yield self.note(note)
            cursor = page.cursor
            if cursor is None:
                return

    async def notes_of(self, invoice: Invoice) -> AsyncIterator[Note]:
        """Yield the credit notes of one invoice, newest first."""
        for last in range(invoice.notes, 0, -_PAGE):
            for note in reversed(await self._invoices.notes_of(invoice, max(0, last - _PAGE), last)):
                yield self.note(note)

    def bill(self, invoice: Invoice) -> Bill:
        at = self._now if invoice.issued_at is None else invoice.issued_at
        shown, data = with_current_data(self._catalogue, invoice, self._now)

        def rows() -> AsyncIterator[Row]:
            return self._invoices.rows.of_invoice(shown)

        return Bill(
            invoice=shown,
            rows=rows,
            customer_name=data.customer_name,
            customer_email=data.customer_email,
            agent_name=self._agent_name(at),
            price_of=self._price,
            terms_of=lambda agent, grade: period_terms(
                self._catalogue, invoice.customer_key, invoice.currency, GroupKey(agent, grade), invoice.end
            ),
            tax_of=RowTaxes(self._catalogue, shown, self._now).shown,
            data=data,
            logo=self._logo(data),
            times=LocalTimes(self._calendar, invoice.zone),
        )

    def note(self, note: CreditNote, invoice: Invoice | None = None) -> Note:
        """Return a credit note with its names. Tables need no `invoice`; a page has its parties."""
        at = self._now if note.issued_at is None else note.issued_at
        name, email = self._customer(note.customer_key, at)
        data = None if invoice is None else invoice.issue_data
        zone = self._calendar.rule_at(at).zone if invoice is None else invoice.zone
        return Note(
            note=note,
            customer_name=name,
            customer_email=email,
            agent_name=self._agent_name(at),
            data=data,
            logo=self._logo(data),
            descriptions={} if invoice is None else manual_descriptions(invoice),
            times=LocalTimes(self._calendar, zone),
            period=None if invoice is None else invoice.billed_period,
            invoice_date=None if invoice is None else invoice.issue_date,
        )

    async def note_with_parties(self, note: CreditNote) -> Note:
        """Return a credit note with its names, and the parties and manual lines of its invoice."""
        return self.note(note, await self._invoices.get(note.invoice))

    def _logo(self, data: IssueData | None) -> str | None:
        """Return the logo of the seller's version."""
        if data is None or data.seller_version is None:
            return None
        entry = self._catalogue.entry("seller", SELLER_KEY, data.seller_version)
        return None if entry is None else entry.content.get("logo")

    def _customer(self, key: str, at: int) -> tuple[str, str | None]:
        customer = self._catalogue.customer(key, at)
        return (key, None) if customer is None else (customer.name, customer.email)

    def _agent_name(self, at: int) -> Callable[[str], str]:
        """Return a lookup of agent names at an instant, including archived agents."""

        def name(key: str) -> str:
            entry = self._catalogue.entry("agent", key, at)
            return key if entry is None else str(entry.content["name"])

        return name

    def _price(self, digest: str) -> Price | None:
        try:
            return self._catalogue.price_by_hash(digest)
        except KeyError:
            return None
