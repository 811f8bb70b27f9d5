"""The documents that are stored when an invoice or credit note is issued: its JSON, and its XML as CII and UBL.

They are stored by the operation that issues it, and before one that changes what they contain. If that fails, the
first request stores them, with the same content. Once stored, they never change.
"""

import asyncio
from typing import Final, TypeAlias

import msgspec
import structlog
from msgspec import Struct

from witnd.billing.documents import InvoiceDocuments
from witnd.billing.einvoice.build import invoice_content, note_content
from witnd.billing.einvoice.cii import cii
from witnd.billing.einvoice.content import EInvoice
from witnd.billing.einvoice.lacks import Lack, lacks, required
from witnd.billing.einvoice.ubl import ubl
from witnd.billing.export.bill import Bill
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.issue_data import BuyerJson, ExchangeJson, SellerJson, buyer_json, exchange_json, seller_json
from witnd.domain.invoices.json_form import CreditNoteJson, TaxRowJson, credit_note_json, invoice_json, tax_rows_json
from witnd.domain.invoices.operations import CreditNote
from witnd.domain.values.money import difference, minor_text
from witnd.domain.values.period import Calendar
from witnd.store.errors import DamagedInvoice, StoreRefused, StoreUnavailable
from witnd.store.invoices.codec import RESTORE
from witnd.store.invoices.reads import Invoices
from witnd.store.issued_documents import Kind

#: Formats of EN 16931.
E_INVOICES: Final[tuple[Kind, ...]] = ("cii", "ubl")
_ALL: Final[tuple[Kind, ...]] = ("json", *E_INVOICES)
_encode = msgspec.json.Encoder().encode

Issued: TypeAlias = Invoice | CreditNote

log = structlog.get_logger()


class IncompleteInvoice(Exception):  # noqa: N818 - an expected result
    """There is no electronic invoice, because required fields are missing."""

    def __init__(self, lacking: list[Lack]) -> None:
        super().__init__("; ".join(map(str, lacking)))
        self.lacks = lacking


class IssuedInvoiceJson(Struct, frozen=True, kw_only=True):
    """An invoice as it was issued. Its lines are a separate list, and never change either."""

    id: str
    number: str | None
    customer_key: str
    currency: str
    period: str
    period_start: str
    period_end: str
    time_zone: str
    first_day: str
    last_day: str
    lines: int
    subtotal: str
    credited: str
    tax: str | None
    tax_rows: list[TaxRowJson]
    total: str | None
    balance_used: str
    due: str
    issue_date: str | None
    due_date: str | None
    issued_at: str | None
    edition: int
    revises: str | None
    revises_number: str | None
    seller: SellerJson | None
    buyer: BuyerJson
    exchange_rate: ExchangeJson | None


class IssuedNoteJson(CreditNoteJson, frozen=True, kw_only=True):
    """A credit note as it was issued, with the parties of its invoice."""

    seller: SellerJson | None
    buyer: BuyerJson | None


class IssuedDocuments:
    """Stores and reads the documents of issued invoices and credit notes. The catalogue must be up to date."""

    def __init__(self, invoices: Invoices, catalogue: Catalogue) -> None:
        self._invoices = invoices
        self._catalogue = catalogue

    async def _documents(self) -> InvoiceDocuments:
        calendar = await self._invoices.calendar() or Calendar.of("month")
        # Names are those at issue, so the instant for drafts is never used.
        return InvoiceDocuments(self._invoices, self._catalogue, calendar, 0)

    async def store(self, issued: Issued) -> None:
        """Store the documents that exist. Raise no error that a later read can repair or report."""
        try:
            if set(_ALL) - await self._invoices.documents.kinds(issued.id):
                await self._store(issued)
        except (DamagedInvoice, StoreUnavailable, StoreRefused) as error:
            log.warning("billing.documents_not_stored", document=issued.number, reason=str(error))

    async def read(self, issued: Issued, kind: Kind) -> bytes:
        """Return a document, and store it if it is not yet. Raises IncompleteInvoice or `DamagedInvoice`."""
        found = await self._invoices.documents.get(issued.id, kind)
        if found is None:
            if kind in E_INVOICES and (lacking := required(await self.lacks(issued))):
                raise IncompleteInvoice(lacking)
            await self._store(issued)
            found = await self._invoices.documents.get(issued.id, kind)
        if found is None:
            raise StoreUnavailable(f"the {kind} document of {issued.number} was deleted again")
        return found

    async def lacks(self, issued: Issued) -> list[Lack]:
        """Return what an electronic invoice lacks."""
        if isinstance(issued, Invoice):
            data, taxes = issued.issue_data, issued.tax_rows
        else:
            data, taxes = (await (await self._documents()).note_with_parties(issued)).data, issued.tax_rows
        assert data is not None, issued.id
        return lacks(data, taxes, issued.currency, issued.digits)

    async def _store(self, issued: Issued) -> None:
        documents: dict[Kind, bytes] = {"json": await self._json(issued)}
        if not required(await self.lacks(issued)):
            content = await self._content(issued)
            # A long invoice takes a tenth of a second for each.
            documents |= await asyncio.to_thread(_written, content)
        await self._invoices.documents.put(issued.id, documents)

    async def _content(self, issued: Issued) -> EInvoice:
        try:
            if isinstance(issued, Invoice):
                return await invoice_content((await self._documents()).bill(issued))
            return note_content(await (await self._documents()).note_with_parties(issued))
        except (ValueError, KeyError) as wrong:
            raise DamagedInvoice(f"the lines of {issued.number} contradict its sums: {wrong}", RESTORE) from wrong

    async def _json(self, issued: Issued) -> bytes:
        if isinstance(issued, Invoice):
            return _encode(issued_json((await self._documents()).bill(issued)))
        data = (await (await self._documents()).note_with_parties(issued)).data
        head = credit_note_json(issued)
        document = IssuedNoteJson(
            **{name: getattr(head, name) for name in CreditNoteJson.__struct_fields__},
            seller=None if data is None else seller_json(data),
            buyer=None if data is None else buyer_json(issued.customer_key, data),
        )
        return _encode(document)


def _written(content: EInvoice) -> dict[Kind, bytes]:
    return {"cii": cii(content), "ubl": ubl(content)}


def issued_json(bill: Bill) -> IssuedInvoiceJson:
    """Return an invoice as it was issued: without what happens to it later."""
    invoice, data = bill.invoice, bill.data
    assert invoice.total is not None, invoice.id
    assert data is not None, invoice.id
    head = invoice_json(invoice)
    own = {"tax_rows", "due", "seller", "buyer", "exchange_rate"}
    return IssuedInvoiceJson(
        **{name: getattr(head, name) for name in IssuedInvoiceJson.__struct_fields__ if name not in own},
        tax_rows=tax_rows_json(data.tax_rows, invoice.digits),
        due=minor_text(difference(invoice.total, invoice.balance_used), invoice.digits),
        seller=seller_json(data),
        buyer=buyer_json(invoice.customer_key, data),
        exchange_rate=exchange_json(data),
    )
