"""Invoices and their lines: reading, exporting, issuing, paying, voiding, crediting."""

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from witnd.app.errors import invalid
from witnd.app.invoices import credit as crediting
from witnd.app.invoices import exports, lines
from witnd.app.invoices import operations as invoices
from witnd.app.invoices.credit import Credited
from witnd.app.invoices.exports import TABLE_TYPES, TYPES, Form, Table, What
from witnd.app.invoices.operations import InvoiceInFull, wanted
from witnd.domain.invoices.json_form import InvoiceJson, LineJson, invoice_json
from witnd.store.access.change_log import Author
from witnd.web.http.download import download
from witnd.web.http.event_identity import header_key
from witnd.web.http.route import Call, Listing, Stream, route


class InvoiceListing(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`status`: open, draft, issued, paid or void; several with commas between them. `period`: a year or month means
    those that begin in it, a day or an instant those it lies in. With a `format` all of them are one file, `what` being
    `invoices` or `lines`.
    """

    status: str | None = None
    customer_key: str | None = None
    currency: str | None = None
    period: str | None = None
    format: Table | None = None
    what: What = "invoices"


class LineListing(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`invoice` is an id or a number and stands alone; the others as for invoices. With a `format` all lines are one
    file.
    """

    invoice: str | None = None
    status: str | None = None
    customer_key: str | None = None
    currency: str | None = None
    period: str | None = None
    format: Table | None = None


class OneInvoice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`format`: the invoice as a file: its lines as csv or jsonl (or `what=invoices`, its head), a page to print, or
    the bodies of Stripe's "create an invoice item" for `stripe_customer`.
    """

    format: Form | None = None
    what: What = "lines"
    stripe_customer: str | None = None


class LinesOfInvoice(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With a `format` all lines are one file."""

    format: Table | None = None


class InvoicePage(Struct, frozen=True, kw_only=True):
    """Invoices, the newest period first. A page may be short: `next_cursor` null is the end. `unreadable`: the ids of
    invoices whose stored data is damaged. They are not in `data`, so sums over it leave them out."""

    data: list[InvoiceJson]
    next_cursor: str | None
    unreadable: list[str]


class LinePage(Struct, frozen=True, kw_only=True):
    """Lines of invoices in order of `resolved_at`, then key; credits come last. While an invoice is open, a new line
    that sorts before a cursor is missing from later pages. `unreadable`: the ids of invoices whose stored data is
    damaged. Their lines are not in `data`, so sums over it leave them out."""

    data: list[LineJson]
    next_cursor: str | None
    unreadable: list[str]


class VoidIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why nothing of the invoice is owed, in words that the customer may read."""

    reason: str


class CreditIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to give back, of which line: that of an outcome, or one by its id. Without an `amount`, all that is left."""

    reason: str
    outcome_key: str | None = None
    row_id: str | None = None
    amount: str | None = None


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
    says="Read an invoice, by id or number: its sums and its credit notes. Its lines are a list of their own.",
    scope="read",
    query=OneInvoice,
    answer=InvoiceInFull,
    more_types=TYPES,
    refusals=("CONFLICT",),
)
async def read_invoice(call: Call[OneInvoice]) -> InvoiceInFull | Stream:
    query = call.query
    found = await invoices.named(call.services, call.path["id"])
    if query.stripe_customer is not None and query.format != "stripe":
        raise invalid("stripe_customer", "belongs to format=stripe; leave it out")
    if query.format is not None:
        return download(
            await exports.one_invoice(call.services, found, query.format, query.what, query.stripe_customer)
        )
    return await invoices.in_full(call.services, found)


@route(
    "GET",
    "/v1/invoices/{id}/lines",
    says="List the lines of an invoice, with how each amount came about.",
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
    says="List lines of one invoice, or of all invoices of a customer, a period or a status.",
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
                raise invalid(name, "says nothing beside an invoice; leave it out")
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


@route(
    "POST",
    "/v1/invoices/{id}/issue",
    says="Issue a closed draft: it gets its number, and what is to be paid is fixed. Again, it changes nothing.",
    scope="admin",
    repeatable=True,
    answer=InvoiceJson,
    refusals=("CONFLICT",),
)
async def issue_invoice(call: Call[Any]) -> InvoiceJson:
    found = await invoices.named(call.services, call.path["id"])
    return invoice_json((await invoices.issue(call.services, author(call), found)).invoice)


@route(
    "POST",
    "/v1/invoices/{id}/pay",
    says="Record that an issued invoice is paid. Again, it changes nothing.",
    scope="admin",
    repeatable=True,
    answer=InvoiceJson,
    refusals=("CONFLICT",),
)
async def pay_invoice(call: Call[Any]) -> InvoiceJson:
    found = await invoices.named(call.services, call.path["id"])
    return invoice_json((await invoices.pay(call.services, author(call), found)).invoice)


@route(
    "POST",
    "/v1/invoices/{id}/void",
    says="Declare an issued invoice void: nothing of it is owed, and its number stays used.",
    scope="admin",
    repeatable=True,
    body=VoidIn,
    answer=InvoiceJson,
    refusals=("CONFLICT",),
)
async def void_invoice(call: Call[Any]) -> InvoiceJson:
    body: VoidIn = call.body()
    found = await invoices.named(call.services, call.path["id"])
    return invoice_json((await invoices.void(call.services, author(call), found, body.reason)).invoice)


@route(
    "POST",
    "/v1/invoices/{id}/credit",
    says="Give back (part of) a line: on a draft as a line of it, later by a credit note. "
    "With the same `Idempotency-Key` it is given once.",
    scope="admin",
    repeatable=True,
    status=201,
    body=CreditIn,
    answer=Credited,
    refusals=("CONFLICT",),
)
async def credit_invoice(call: Call[Any]) -> Credited:
    body: CreditIn = call.body()
    found = await invoices.named(call.services, call.path["id"])
    row = await crediting.billed_row(call.services, found, outcome_key=body.outcome_key, row_id=body.row_id)
    given = await crediting.credit(
        call.services, author(call), found, row, amount=body.amount, reason=body.reason
    )  # fmt: skip
    return crediting.credited_json(given)


def author(call: Call[Any]) -> Author:
    return replace(call.author, idempotency_key=header_key(call.headers))


def no_cursor(after: str | None) -> None:
    if after is not None:
        raise invalid("after", "belongs to lists in pages, and a file has all of it; leave one of the two out")
