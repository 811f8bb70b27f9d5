"""Export invoices and credit notes as files, part by part."""

import re
from collections.abc import AsyncIterator
from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar

from witnd.app.errors import Refused, invalid
from witnd.app.invoices.files import FileForm, file_of
from witnd.app.services import Services
from witnd.billing.documents import InvoiceDocuments
from witnd.billing.export import csv_text, json_lines, stripe
from witnd.billing.export.bill import Bill, Note
from witnd.billing.export.page import Detail, invoice_page, note_page
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.operations import CreditNote
from witnd.store.invoices.reads import InvoiceFilter

Table: TypeAlias = Literal["csv", "jsonl"]
Form: TypeAlias = Literal["csv", "jsonl", "html", "stripe", "json", "xml", "ubl", "pdf", "facturx"]
NoteForm: TypeAlias = Literal["csv", "jsonl", "html", "json", "xml", "ubl", "pdf", "facturx"]
What: TypeAlias = Literal["lines", "invoices"]
#: Formats in which `detail` has a meaning.
PRINTED: Final = ("html", "pdf", "facturx")

Paper = TypeVar("Paper", Bill, Note, bytes)

CSV: Final = "text/csv; charset=utf-8; header=present"
JSON_LINES: Final = "application/jsonl"
HTML: Final = "text/html; charset=utf-8"
#: The JSON that was stored at issue: it has another form than the answer in `application/json`.
ISSUED: Final = "application/vnd.witnd.issued+json"
XML: Final = "application/xml; charset=utf-8"
PDF: Final = "application/pdf"
TYPES: Final = (CSV, JSON_LINES, HTML, ISSUED, XML, PDF)
#: Formats with one file for each document: the content type, and how the name of the file ends.
FILES: Final[dict[FileForm, tuple[str, str]]] = {
    "json": (ISSUED, "json"),
    "xml": (XML, "xml"),
    "ubl": (XML, "ubl.xml"),
    "pdf": (PDF, "pdf"),
    "facturx": (PDF, "facturx.pdf"),
}
TABLE_TYPES: Final = (CSV, JSON_LINES)
_TABLE_TYPE: Final[dict[Table, str]] = {"csv": CSV, "jsonl": JSON_LINES}

_STRIPE_CUSTOMER: Final = re.compile(r"cus_[A-Za-z0-9]{1,250}", re.ASCII)


class ExportedFile(NamedTuple):
    """A file and its parts, which are read while it is sent: it may be larger than memory."""

    name: str
    content_type: str
    parts: AsyncIterator[str | bytes]


async def papers(services: Services) -> InvoiceDocuments:
    catalogue, calendar = await services.learned(), await services.calendar()
    return InvoiceDocuments(services.invoices, catalogue, calendar, services.now_ms())


async def one_invoice(
    services: Services,
    invoice: Invoice,
    form: Form,
    what: What = "lines",
    stripe_customer: str | None = None,
    detail: Detail | None = None,
) -> ExportedFile:
    """Export one invoice in the chosen format. `detail`: whether a page or PDF lists every outcome."""
    bill = (await papers(services)).bill(invoice)
    name = invoice.number or invoice.id
    match form:
        case "json" | "xml" | "ubl" | "pdf" | "facturx":
            return await _file(services, invoice, form, detail)
        case "csv" | "jsonl":
            return _bills(_each(bill), form, what, name)
        case "html":
            return ExportedFile(f"{name}.html", HTML, invoice_page(bill, detail or "full"))
        case "stripe":
            if stripe_customer is None or not _STRIPE_CUSTOMER.fullmatch(stripe_customer):
                raise invalid(
                    "stripe_customer", "is needed: the id of the customer at Stripe, such as cus_Q4rT8vXkLm2N"
                )
            items = stripe.requests(_each(bill), {invoice.customer_key: stripe_customer}, what)
            return ExportedFile(f"{name}.stripe.jsonl", JSON_LINES, _sendable(items))


async def all_invoices(services: Services, wanted: InvoiceFilter, form: Table, what: What) -> ExportedFile:
    """Export the selected invoices, or their lines, as one file."""
    return _bills((await papers(services)).bills(wanted), form, what, what)


async def one_note(services: Services, note: CreditNote, form: NoteForm) -> ExportedFile:
    documents, name = await papers(services), note.number or note.id
    match form:
        case "json" | "xml" | "ubl" | "pdf" | "facturx":
            return await _file(services, note, form)
        case "html":
            return ExportedFile(f"{name}.html", HTML, note_page(await documents.note_with_parties(note)))
        case "csv" | "jsonl":
            return _notes(_each(documents.note(note)), form, name)


async def _file(
    services: Services, issued: Invoice | CreditNote, form: FileForm, detail: Detail | None = None
) -> ExportedFile:
    type_, suffix = FILES[form]
    content = await file_of(services, issued, form, detail)
    return ExportedFile(f"{issued.number or issued.id}.{suffix}", type_, _each(content))


async def all_notes(services: Services, form: Table, *, customer: str | None, invoice: Invoice | None) -> ExportedFile:
    """Export the credit notes of an invoice, of a customer, or all."""
    documents = await papers(services)
    return _notes(documents.notes(customer) if invoice is None else documents.notes_of(invoice), form, "credit-notes")


def invoices_text(bills: AsyncIterator[Bill], form: Table, what: What) -> AsyncIterator[str]:
    """Yield invoices or their lines as one table, part by part."""
    if what == "lines":
        return csv_text.lines(bills) if form == "csv" else json_lines.lines(bills)
    return csv_text.invoices(bills) if form == "csv" else json_lines.invoices(bills)


def notes_text(notes: AsyncIterator[Note], form: Table) -> AsyncIterator[str]:
    """Yield credit notes as one table, part by part."""
    return csv_text.notes(notes) if form == "csv" else json_lines.notes(notes)


def _bills(bills: AsyncIterator[Bill], form: Table, what: What, name: str) -> ExportedFile:
    return ExportedFile(f"{name}.{form}", _TABLE_TYPE[form], invoices_text(bills, form, what))


def _notes(notes: AsyncIterator[Note], form: Table, name: str) -> ExportedFile:
    return ExportedFile(f"{name}.{form}", _TABLE_TYPE[form], notes_text(notes, form))


async def _each(paper: Paper) -> AsyncIterator[Paper]:
    yield paper


async def _sendable(items: AsyncIterator[str]) -> AsyncIterator[str]:
    """Build all items of an invoice at once, which are few: if one of them is refused, nothing is sent."""
    try:
        whole = "".join([item async for item in items])
    except stripe.UnsupportedByStripe as wrong:
        raise Refused("CONFLICT", str(wrong)) from None
    yield whole
