"""Files of one invoice or credit note: PDF, Factur-X, and the documents that were stored at issue."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from msgspec.structs import replace

from witnd.app.errors import Refused, invalid
from witnd.app.services import Services
from witnd.billing.documents import InvoiceDocuments
from witnd.billing.einvoice.issued_documents import IncompleteInvoice, Issued, IssuedDocuments
from witnd.billing.export.bill import Bill, Note
from witnd.billing.export.page import Detail, invoice_page, note_page
from witnd.billing.pdf.job import Job
from witnd.billing.pdf.renderer import MissingExtra, PdfFailed, check_extras, make_pdf
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.operations import CreditNote, invoice_label, with_payment_status
from witnd.domain.values import instant
from witnd.store.issued_documents import Kind

#: Formats of one document that are bytes. `xml` is CII, the syntax of Factur-X.
FileForm: TypeAlias = Literal["json", "xml", "ubl", "pdf", "facturx"]
#: Outcomes that a PDF can list. Each takes about 10 ms of a free core, and makes the file less useful.
PDF_OUTCOMES_MAX: Final = 1_000
_ZERO: Final = Decimal(0)
_KINDS: Final[dict[FileForm, Kind]] = {"json": "json", "xml": "cii", "ubl": "ubl", "facturx": "cii"}


async def file_of(services: Services, issued: Issued, form: FileForm, detail: Detail | None = None) -> bytes:
    """Return a file. `detail` is for PDF and Factur-X; by default, it lists all outcomes unless there are too many.
    Raise CONFLICT if there is no such file."""
    catalogue = await services.learned()
    documents = InvoiceDocuments(services.invoices, catalogue, await services.calendar(), services.now_ms())
    if form == "pdf":
        return await _printed(*await _page_of(documents, issued, detail), xml=None)
    if form == "facturx":
        _check_extras()
    xml = await _stored(IssuedDocuments(services.invoices, catalogue), issued, form)
    if form != "facturx":
        return xml
    return await _printed(*await _page_of(documents, _as_issued(issued), detail), xml=xml)


def detail_of(invoice: Invoice, wanted: Detail | None) -> Detail:
    """Return whether a PDF lists the outcomes of an invoice. Raise VALIDATION_ERROR if there are too many."""
    if invoice.lines <= PDF_OUTCOMES_MAX:
        return wanted or "full"
    if wanted == "full":
        problem = f"full lists {invoice.lines} outcomes, and a PDF can list {PDF_OUTCOMES_MAX}"
        raise invalid("detail", f"{problem}; use detail=summary, and format=csv for the outcomes")
    return "summary"


async def _stored(documents: IssuedDocuments, issued: Issued, form: FileForm) -> bytes:
    if isinstance(issued, Invoice) and issued.issue_data is None:
        raise Refused("CONFLICT", f"{invoice_label(issued)} is not issued", remedy="issue it first")
    try:
        return await documents.read(issued, _KINDS[form])
    except IncompleteInvoice as incomplete:
        label = issued.number or issued.id
        mistakes = [one.mistake for one in incomplete.lacks]
        then = "correct them in the catalogue, then revise the invoice"
        raise Refused("CONFLICT", f"{label} lacks fields of EN 16931: {incomplete}", mistakes, remedy=then) from None


def _as_issued(issued: Issued) -> Issued:
    """Return an invoice without later changes, because its XML does not contain them."""
    if isinstance(issued, CreditNote):
        return issued
    if issued.status == "void":
        remedy = "send the PDF of the credit note; format=xml has the XML as it was issued"
        raise Refused("CONFLICT", f"{invoice_label(issued)} is void", remedy=remedy)
    first = replace(
        issued, status="issued", paid_at=None, payments_total=_ZERO, payments_applied=_ZERO, noted=_ZERO,
        notes_applied=_ZERO,
    )  # fmt: skip
    first = with_payment_status(first)
    return replace(first, paid_at=issued.issued_at) if first.status == "paid" else first


async def _page_of(
    documents: InvoiceDocuments, issued: Issued, detail: Detail | None
) -> tuple[Bill | Note, AsyncIterator[str]]:
    """Return a document with the parts of its page."""
    if isinstance(issued, Invoice):
        bill = documents.bill(issued)
        return bill, invoice_page(bill, detail_of(issued, detail))
    note = await documents.note_with_parties(issued)
    return note, note_page(note)


async def _printed(paper: Bill | Note, parts: AsyncIterator[str], xml: bytes | None) -> bytes:
    _check_extras(has_xml=xml is not None)
    html = "".join([part async for part in parts])
    if isinstance(paper, Bill):
        kind, head, at = paper.words("invoice"), paper.invoice.id, paper.invoice.issued_at or paper.invoice.end
    else:
        kind, head, at = paper.words("credit_note"), paper.note.id, paper.note.issued_at or 0
    seller = None if paper.data is None else paper.data.seller
    job = Job(
        html=html,
        title=f"{kind} {paper.title}",
        author="" if seller is None else seller.name,
        subject=f"{kind} {paper.title}, {paper.customer_name}",
        id=head,
        at=instant.render(at).replace("Z", "+00:00"),
        xml=xml,
    )
    try:
        return await make_pdf(job)
    except MissingExtra as missing:
        raise Refused("CONFLICT", str(missing)) from None
    except PdfFailed as failed:
        raise Refused("UNAVAILABLE", f"no PDF of {paper.title}: {failed}") from None


def _check_extras(*, has_xml: bool = True) -> None:
    """Refuse a missing extra before anything is read."""
    try:
        check_extras(has_xml=has_xml)
    except MissingExtra as missing:
        raise Refused("CONFLICT", str(missing)) from None
