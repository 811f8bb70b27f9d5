"""Credit notes: credits of issued invoices. Credit a line of an invoice to create one."""

from typing import Any

from msgspec import Struct

from witnd.app.errors import invalid
from witnd.app.invoices import exports
from witnd.app.invoices import operations as invoices
from witnd.app.invoices.exports import TABLE_TYPES, TYPES, NoteForm, Table
from witnd.domain.invoices.json_form import CreditNoteJson, credit_note_json
from witnd.web.api.billing.invoices import no_cursor
from witnd.web.http.download import download
from witnd.web.http.route import Call, Listing, Stream, route


class CreditNoteListing(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Credit notes for an `invoice` (id or number) or a customer. With a `format`, all of them are exported as one
    file."""

    invoice: str | None = None
    customer_key: str | None = None
    format: Table | None = None


class OneCreditNote(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`format`: export the credit note as csv or jsonl, as a page to print (html) or pdf, as an electronic invoice (xml
    is CII; ubl; facturx is a PDF with the XML), or as the json that was stored at issue."""

    format: NoteForm | None = None


class CreditNotePage(Struct, frozen=True, kw_only=True):
    """Credit notes, the newest first. A page may be short: the list ends when `next_cursor` is null. `unreadable`: the
    ids of credit notes whose stored data is damaged. `data` does not contain them."""

    data: list[CreditNoteJson]
    next_cursor: str | None
    unreadable: list[str]


@route(
    "GET",
    "/v1/credit-notes",
    says="List credit notes, the newest first.",
    scope="read",
    query=CreditNoteListing,
    answer=CreditNotePage,
    more_types=TABLE_TYPES,
    refusals=("NOT_FOUND",),
)
async def list_credit_notes(call: Call[CreditNoteListing]) -> CreditNotePage | Stream:
    query = call.query
    if query.invoice is not None and query.customer_key is not None:
        raise invalid("customer_key", "cannot be combined with invoice")
    invoice = None if query.invoice is None else await invoices.named(call.services, query.invoice)
    if query.format is not None:
        no_cursor(query.after)
        return download(
            await exports.all_notes(call.services, query.format, customer=query.customer_key, invoice=invoice)
        )
    page = await invoices.notes_listed(call.services, *call.page(), customer=query.customer_key, invoice=invoice)
    data = [credit_note_json(one) for one in page.data]
    return CreditNotePage(data=data, next_cursor=page.cursor, unreadable=page.unreadable)


@route(
    "GET",
    "/v1/credit-notes/{id}",
    says="Read a credit note with its lines, by id or number.",
    scope="read",
    query=OneCreditNote,
    answer=CreditNoteJson,
    more_types=TYPES,
    refusals=("CONFLICT", "UNAVAILABLE"),
)
async def read_credit_note(call: Call[Any]) -> CreditNoteJson | Stream:
    note = await invoices.note_named(call.services, call.path["id"])
    if call.query.format is not None:
        return download(await exports.one_note(call.services, note, call.query.format))
    return credit_note_json(note)
