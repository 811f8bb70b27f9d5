"""Invoices and credit notes as files, and as pages to print. The session is what lets somebody have them."""

from collections.abc import AsyncIterator
from typing import TypeVar

import msgspec
from msgspec import Struct

from witnd.app.errors import Refused
from witnd.app.invoices import exports
from witnd.app.invoices import operations as invoices
from witnd.app.invoices.exports import Form, Table, What
from witnd.web.dashboard.page import Answer, Visit, page
from witnd.web.dashboard.pages.invoices.credit_notes import asked_by
from witnd.web.dashboard.pages.invoices.invoices import shown, wanted_by
from witnd.web.errors import from_msgspec
from witnd.web.http.download import download
from witnd.web.http.route import Stream

T = TypeVar("T")


class Several(Struct, frozen=True, kw_only=True):
    """How many papers are to be one file."""

    format: Table = "csv"
    what: What = "invoices"


class One(Struct, frozen=True, kw_only=True):
    """How one invoice is to be a file."""

    format: Form = "csv"
    what: What = "lines"
    stripe_customer: str | None = None


@page("/dashboard/invoices/export")
async def export_invoices(visit: Visit) -> Answer:
    asked = _query(visit, Several)
    return download(await exports.all_invoices(visit.services, wanted_by(visit), asked.format, asked.what))


@page("/dashboard/invoices/{id}/export")
async def export_invoice(visit: Visit) -> Answer:
    asked = _query(visit, One)
    invoice = await invoices.named(visit.services, visit.path["id"])
    try:
        customer = (asked.stripe_customer or "").strip() or None
        file = download(await exports.one_invoice(visit.services, invoice, asked.format, asked.what, customer))
        return await _begun(file)
    except Refused as refused:
        if asked.format != "stripe":
            raise
        return await shown(visit, invoice, refused, "stripe")


@page("/dashboard/invoices/{id}/print")
async def print_invoice(visit: Visit) -> Answer:
    invoice = await invoices.named(visit.services, visit.path["id"])
    return download(await exports.one_invoice(visit.services, invoice, "html"))


@page("/dashboard/credit-notes/export")
async def export_notes(visit: Visit) -> Answer:
    form = _query(visit, Several).format
    asked = await asked_by(visit)
    return download(await exports.all_notes(visit.services, form, customer=asked.customer, invoice=asked.invoice))


@page("/dashboard/credit-notes/{id}/export")
async def export_note(visit: Visit) -> Answer:
    form = _query(visit, Several).format
    note = await invoices.note_named(visit.services, visit.path["id"])
    return download(await exports.one_note(visit.services, note, form))


@page("/dashboard/credit-notes/{id}/print")
async def print_note(visit: Visit) -> Answer:
    note = await invoices.note_named(visit.services, visit.path["id"])
    return download(await exports.one_note(visit.services, note, "html"))


def _query(visit: Visit, kind: type[T]) -> T:
    try:
        return msgspec.convert(visit.query, kind)
    except msgspec.ValidationError as wrong:
        raise from_msgspec(wrong) from None


async def _begun(stream: Stream) -> Stream:
    """The same with its first part made, so that what is refused by then is refused on a page."""
    first = await anext(stream.parts, None)

    async def parts() -> AsyncIterator[str]:
        if first is not None:
            yield first
        async for part in stream.parts:
            yield part

    return Stream(parts(), stream.content_type, stream.headers)
