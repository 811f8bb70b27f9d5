"""Invoices and credit notes as files and printable pages, for signed-in users."""

from collections.abc import AsyncIterator
from typing import TypeVar

import msgspec
from msgspec import Struct

from witnd.app.errors import Refused
from witnd.app.invoices import exports
from witnd.app.invoices import operations as invoices
from witnd.app.invoices.exports import Form, NoteForm, Table, What
from witnd.billing.export.page import Detail
from witnd.web.dashboard.page import Answer, PageRequest, page
from witnd.web.dashboard.pages.invoices.credit_notes import note_filter
from witnd.web.dashboard.pages.invoices.invoice import invoice_page
from witnd.web.dashboard.pages.invoices.invoices import invoice_filter
from witnd.web.errors import from_msgspec
from witnd.web.http.download import download
from witnd.web.http.route import Stream

T = TypeVar("T")


class ListExport(Struct, frozen=True, kw_only=True):
    """How many papers are to be one file."""

    format: Table = "csv"
    what: What = "invoices"


class InvoiceExport(Struct, frozen=True, kw_only=True):
    """How one invoice is to be a file."""

    format: Form = "csv"
    what: What = "lines"
    stripe_customer: str | None = None
    detail: Detail | None = None


class NoteExport(Struct, frozen=True, kw_only=True):
    """The format for one credit note."""

    format: NoteForm = "csv"


@page("/dashboard/invoices/export")
async def export_invoices(request: PageRequest) -> Answer:
    asked = _query(request, ListExport)
    return download(await exports.all_invoices(request.services, invoice_filter(request), asked.format, asked.what))


@page("/dashboard/invoices/{id}/export")
async def export_invoice(request: PageRequest) -> Answer:
    asked = _query(request, InvoiceExport)
    invoice = await invoices.named(request.services, request.path["id"])
    try:
        customer = (asked.stripe_customer or "").strip() or None
        file = download(
            await exports.one_invoice(request.services, invoice, asked.format, asked.what, customer, asked.detail)
        )
        return await _with_first_part(file)
    except Refused as refused:
        if asked.format != "stripe":
            raise
        return await invoice_page(request, invoice, refused, "stripe")


@page("/dashboard/invoices/{id}/print")
async def print_invoice(request: PageRequest) -> Answer:
    invoice = await invoices.named(request.services, request.path["id"])
    detail = _query(request, InvoiceExport).detail
    return download(await exports.one_invoice(request.services, invoice, "html", detail=detail))


@page("/dashboard/credit-notes/export")
async def export_notes(request: PageRequest) -> Answer:
    form = _query(request, ListExport).format
    asked = await note_filter(request)
    return download(await exports.all_notes(request.services, form, customer=asked.customer, invoice=asked.invoice))


@page("/dashboard/credit-notes/{id}/export")
async def export_note(request: PageRequest) -> Answer:
    form = _query(request, NoteExport).format
    note = await invoices.note_named(request.services, request.path["id"])
    return download(await exports.one_note(request.services, note, form))


@page("/dashboard/credit-notes/{id}/print")
async def print_note(request: PageRequest) -> Answer:
    note = await invoices.note_named(request.services, request.path["id"])
    return download(await exports.one_note(request.services, note, "html"))


def _query(request: PageRequest, kind: type[T]) -> T:
    try:
        return msgspec.convert(request.query, kind)
    except msgspec.ValidationError as wrong:
        raise from_msgspec(wrong) from None


async def _with_first_part(stream: Stream) -> Stream:
    """The same with its first part made, so that what is refused by then is refused on a page."""
    first = await anext(stream.parts, None)

    async def parts() -> AsyncIterator[str | bytes]:
        if first is not None:
            yield first
        async for part in stream.parts:
            yield part

    return Stream(parts(), stream.content_type, stream.headers)
