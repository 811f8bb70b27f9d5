"""Credit notes: a list, and one with its lines. They are made by crediting a line of an issued invoice."""

from typing import Final

from msgspec import Struct

from witnd.app.errors import Refused, invalid
from witnd.app.invoices import exports
from witnd.app.invoices import operations as invoices
from witnd.billing.einvoice.lacks import lacks, required
from witnd.billing.export.bill import manual_descriptions
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.json_form import credit_note_json
from witnd.domain.values.money import minor_text
from witnd.store.page import Page
from witnd.web.dashboard.filters import filter_key
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, page
from witnd.web.dashboard.pages.invoices.lines import credited_name
from witnd.web.dashboard.present.words import link

LIMIT: Final = 50
FILTERS: Final = ("customer", "invoice")


class NoteFilter(Struct, frozen=True, kw_only=True):
    """Which credit notes: those of a customer or of an invoice, or all."""

    customer: str | None
    invoice: Invoice | None


@page("/dashboard/credit-notes")
async def list_notes(request: PageRequest) -> Answer:
    query = request.query
    asked = {name: query.get(name, "") for name in FILTERS}
    problems: dict[str, str] = {}
    try:
        meant = await note_filter(request)
        found = await invoices.notes_listed(
            request.services, LIMIT, query.get("after"), customer=meant.customer, invoice=meant.invoice
        )
    except Refused as refused:
        problems = {one.path: one.message for one in refused.details if one.path in FILTERS}
        if not problems:
            raise
        found = Page([], None)
    return HtmlPage(
        "invoices/credit_notes.html",
        {
            "found": [credit_note_json(note) for note in found.data],
            "unreadable": found.unreadable,
            "asked": asked,
            "problems": problems,
            "filtered": any(asked.values()),
            "files": {form: link("credit-notes", "export", **asked, format=form) for form in ("csv", "jsonl")},
            "next": link("credit-notes", **asked, after=found.cursor) if found.cursor else None,
            "first": link("credit-notes", **asked) if "after" in query else None,
        },
        400 if problems else 200,
    )


@page("/dashboard/credit-notes/{id}")
async def show_note(request: PageRequest) -> Answer:
    services = request.services
    note = await invoices.note_named(services, request.path["id"])
    balance = await services.invoices.balance(note.customer_key, note.currency)
    invoice = await services.invoices.get(note.invoice)
    shown = credit_note_json(note)
    descriptions = {} if invoice is None else manual_descriptions(invoice)
    return HtmlPage(
        "invoices/credit_note.html",
        {
            "note": shown,
            "lines": [(line, credited_name(line, descriptions)) for line in shown.lines],
            "name": note.number or note.id,
            "customer_name": (await exports.papers(services)).note(note).customer_name,
            "has_einvoice": invoice is not None
            and invoice.issue_data is not None
            and not required(lacks(invoice.issue_data, note.tax_rows, note.currency, note.digits)),
            "balance": minor_text(balance, note.digits),
        },
    )


async def note_filter(request: PageRequest) -> NoteFilter:
    """What the filters of the address mean."""
    customer, name = filter_key(request, "customer"), request.query.get("invoice", "").strip() or None
    if name is not None and customer is not None:
        raise invalid("customer", "cannot be combined with invoice; leave one of them empty")
    if name is None:
        return NoteFilter(customer=customer, invoice=None)
    try:
        return NoteFilter(customer=None, invoice=await invoices.named(request.services, name))
    except Refused as unknown:
        raise invalid("invoice", unknown.message) from None
