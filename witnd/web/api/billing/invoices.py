"""Invoices and their lines: read and export them. `invoice_operations` changes them."""

from typing import Any

from msgspec import Struct

from witnd.app.errors import invalid
from witnd.app.invoices import document, exports, lines
from witnd.app.invoices import operations as invoices
from witnd.app.invoices.document import InvoiceInFull
from witnd.app.invoices.exports import PRINTED, TABLE_TYPES, TYPES, Form, Table, What
from witnd.app.invoices.operations import wanted
from witnd.billing.export.page import Detail
from witnd.domain.invoices.json_form import InvoiceJson, LineJson, invoice_json
from witnd.web.http.download import download
from witnd.web.http.route import Call, Listing, Stream, route


class InvoiceListing(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`status`: open, draft, issued, paid or void; separate several with commas. `period`: a year or month selects the
    periods that begin in it; a day or instant selects the period that contains it. With a `format`, all invoices are
    exported as one file; `what` is `invoices` or `lines`."""

    status: str | None = None
    customer_key: str | None = None
    currency: str | None = None
    period: str | None = None
    format: Table | None = None
    what: What = "invoices"


class LineListing(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`invoice` is an id or number, and cannot be combined with other filters. The other filters are those of
    invoices. With a `format`, all lines are exported as one file."""

    invoice: str | None = None
    status: str | None = None
    customer_key: str | None = None
    currency: str | None = None
    period: str | None = None
    format: Table | None = None


class OneInvoice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`format`: export the lines as csv or jsonl (with `what=invoices`, the invoice itself), as a page to print (html)
    or pdf, as an electronic invoice (xml is CII; ubl; facturx is a PDF with the XML), as the json that was stored at
    issue, or as bodies of Stripe's "create an invoice item" for `stripe_customer`. `detail=summary` omits the
    list of outcomes from a page or PDF."""

    format: Form | None = None
    what: What = "lines"
    stripe_customer: str | None = None
    detail: Detail | None = None


class LinesOfInvoice(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With a `format`, all lines are exported as one file."""

    format: Table | None = None


class InvoicePage(Struct, frozen=True, kw_only=True):
    """Invoices, the newest period first. A page may be short: the list ends when `next_cursor` is null. `unreadable`:
    the ids of invoices whose stored data is damaged. `data` does not contain them."""

    data: list[InvoiceJson]
    next_cursor: str | None
    unreadable: list[str]


class LinePage(Struct, frozen=True, kw_only=True):
    """Invoice lines, sorted by `resolved_at`, then key; credits come last. While an invoice is open, later pages can
    miss a new line that sorts before the cursor. `unreadable`: the ids of invoices whose stored data is damaged.
    `data` does not contain their lines."""

    data: list[LineJson]
    next_cursor: str | None
    unreadable: list[str]


@route(
    "GET",
    "/v1/invoices",
    says="List invoices, the newest period first.",
    scope="read",
    query=InvoiceListing,
    answer=InvoicePage,
    more_types=TABLE_TYPES,
)
async def list_invoices(call: Call[InvoiceListing]) -> InvoicePage | Stream:
    query = call.query
    asked = wanted(
        customer_key=query.customer_key, currency=query.currency, status=query.status, period=query.period
    )  # fmt: skip
    if query.format is not None:
        no_cursor(query.after)
        return download(await exports.all_invoices(call.services, asked, query.format, query.what))
    found = await invoices.listed(call.services, asked, *call.page())
    return InvoicePage(
        data=[invoice_json(one) for one in found.data], next_cursor=found.cursor, unreadable=found.unreadable
    )


@route(
    "GET",
    "/v1/invoices/{id}",
    says="Read an invoice with its totals and credit notes, by id or number. Lines are a separate list.",
    scope="read",
    query=OneInvoice,
    answer=InvoiceInFull,
    more_types=TYPES,
    refusals=("CONFLICT", "UNAVAILABLE"),
)
async def read_invoice(call: Call[OneInvoice]) -> InvoiceInFull | Stream:
    query = call.query
    found = await invoices.named(call.services, call.path["id"])
    if query.stripe_customer is not None and query.format != "stripe":
        raise invalid("stripe_customer", "belongs to format=stripe; leave it out")
    if query.detail is not None and query.format not in PRINTED:
        raise invalid("detail", f"belongs to format={', '.join(PRINTED)}; leave it out")
    if query.format is not None:
        made = exports.one_invoice(call.services, found, query.format, query.what, query.stripe_customer, query.detail)
        return download(await made)
    return await document.in_full(call.services, found)


@route(
    "GET",
    "/v1/invoices/{id}/lines",
    says="List the lines of an invoice with their calculations.",
    scope="read",
    query=LinesOfInvoice,
    answer=LinePage,
    more_types=TABLE_TYPES,
    refusals=("CONFLICT",),
)
async def list_lines_of_invoice(call: Call[LinesOfInvoice]) -> LinePage | Stream:
    return await _lines_of(call, call.path["id"])


@route(
    "GET",
    "/v1/invoice-lines",
    says="List lines of one invoice, or of all invoices that match the filters.",
    scope="read",
    query=LineListing,
    answer=LinePage,
    more_types=TABLE_TYPES,
    refusals=("NOT_FOUND", "CONFLICT"),
)
async def list_lines(call: Call[LineListing]) -> LinePage | Stream:
    query = call.query
    if query.invoice is not None:
        for name in ("customer_key", "currency", "status", "period"):
            if getattr(query, name) is not None:
                raise invalid(name, "cannot be combined with invoice")
        return await _lines_of(call, query.invoice)
    asked = wanted(
        customer_key=query.customer_key, currency=query.currency, status=query.status, period=query.period
    )  # fmt: skip
    if query.format is not None:
        no_cursor(query.after)
        return download(await exports.all_invoices(call.services, asked, query.format, "lines"))
    page = await lines.of_all(call.services, asked, *call.page())
    return LinePage(data=page.data, next_cursor=page.cursor, unreadable=page.unreadable)


async def _lines_of(call: Call[Any], name: str) -> LinePage | Stream:
    found = await invoices.named(call.services, name)
    if call.query.format is not None:
        no_cursor(call.query.after)
        return download(await exports.one_invoice(call.services, found, call.query.format))
    page = await lines.of_invoice(call.services, found, *call.page())
    return LinePage(data=page.data, next_cursor=page.cursor, unreadable=page.unreadable)


def no_cursor(after: str | None) -> None:
    if after is not None:
        raise invalid("after", "belongs to lists in pages, and a file has all of it; leave one of the two out")
