"""Invoices: a list to search, with its filters in the address, and one with its lines."""

import secrets
from decimal import Decimal
from typing import Final

from msgspec import Struct

from witnd.app.daemon_services import DaemonServices
from witnd.app.errors import Refused
from witnd.app.invoices import document, exports, lines
from witnd.app.invoices import operations as invoices
from witnd.billing.export import wording
from witnd.billing.export.page_view import SheetView, invoice_view
from witnd.billing.export.sections import InvoiceSummary
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.values.money import minor_text
from witnd.domain.values.period import Calendar, Period
from witnd.store.invoices.reads import InvoiceFilter
from witnd.store.page import Page
from witnd.web.dashboard.filters import filter_key
from witnd.web.dashboard.forms.billing_data import tax_choices
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, page
from witnd.web.dashboard.pages.invoices.lines import sections
from witnd.web.dashboard.present.words import link
from witnd.web.errors import status_of

LIMIT: Final = 50
FILTERS: Final = ("status", "customer", "currency", "period")
# Labels of the statuses in the select.
STATUSES: Final = {
    "": "all",
    "open": "open period",
    "draft": "draft",
    "issued": "issued",
    "paid": "paid",
    "void": "void",
}
# What the head says needs no look at the rows.
_UNREAD: Final = InvoiceSummary()


class InvoiceRow(Struct, frozen=True, kw_only=True):
    """An invoice in the list. `due` is None before it is issued: nothing is to be paid until then."""

    name: str
    number: str | None
    stage: str
    period: str
    customer_key: str
    customer_name: str
    currency: str
    outcomes: int
    unrated: int
    total: str
    due: str | None


class NextStep(Struct, frozen=True, kw_only=True):
    """When a draft closes and is issued, in ms. `issues_at` None: a person has to issue it."""

    closes_at: int
    issues_at: int | None


@page("/dashboard/invoices")
async def list_invoices(request: PageRequest) -> Answer:
    asked = {name: request.query.get(name, "") for name in FILTERS}
    problems: dict[str, str] = {}
    try:
        found = await invoices.listed(request.services, invoice_filter(request), LIMIT, request.query.get("after"))
    except Refused as refused:
        problems = {one.path: one.message for one in refused.details if one.path in FILTERS}
        if not problems:
            raise
        found = Page([], None)
    shelf = await exports.papers(request.services)
    files = {
        (form, what): link("invoices", "export", **asked, format=form, what=what)
        for form in ("csv", "jsonl")
        for what in ("invoices", "lines")
    }
    return HtmlPage(
        "invoices/invoices.html",
        {
            "found": [_row(one, shelf.bill(one).customer_name) for one in found.data],
            "unreadable": found.unreadable,
            "asked": asked,
            "problems": problems,
            "known_customer": bool(
                request.services.catalogue.instants("customer", filter_key(request, "customer") or "")
            ),
            "filtered": any(asked.values()),
            "statuses": list({**STATUSES, asked["status"]: STATUSES.get(asked["status"], asked["status"])}.items()),
            "files": files,
            "by_hand": request.services.config.billing.issue == "manual",
            "grace": request.services.config.billing.grace,
            "next": link("invoices", **asked, after=found.cursor) if found.cursor else None,
            "first": link("invoices", **asked) if "after" in request.query else None,
        },
        400 if problems else 200,
    )


@page("/dashboard/invoices/{id}")
async def show_invoice(request: PageRequest) -> Answer:
    invoice = await invoices.named(request.services, request.path["id"])
    try:
        return await invoice_page(request, invoice)
    except Refused as refused:
        if "after" not in request.query or refused.code != "CONFLICT":
            raise
        # The lines have another order since the period was closed, so the place in them means nothing any more.
        return Redirect(
            link("invoices", name_of(invoice)), "This invoice was closed; showing its lines from the start."
        )


async def invoice_page(
    request: PageRequest, invoice: Invoice, refused: Refused | None = None, doing: str = ""
) -> HtmlPage:
    """Return the page of an invoice. `doing`: the action that was `refused`; its form keeps the input."""
    services = request.services
    full = await document.in_full(services, invoice)
    taxes = tax_choices(await services.learned())
    found = await lines.of_invoice(services, invoice, LIMIT, request.query.get("after"))
    given = await services.invoices.credited(invoice.id, [line.id for line in found.data])
    name = name_of(invoice)
    sheet = await _sheet(services, invoice)
    return HtmlPage(
        "invoices/invoice.html",
        {
            "invoice": full,
            "name": name,
            "stage": invoice.stage,
            "sheet": sheet,
            "period": wording.period(invoice),
            "coming": _next(services, invoice),
            "sections": sections(invoice, found.data, given),
            "taxes": taxes,
            "has_taxes": any(line.tax for line in found.data) or (invoice.stage == "draft" and bool(taxes)),
            "open_questions": await _open_questions(request, invoice),
            "can_void": invoice.status in ("issued", "paid") and not invoice.live_payments and not invoice.notes,
            "once": _once(request, refused),
            "more_notes": invoice.notes - len(full.credit_notes),
            "refused": refused,
            "doing": doing,
            "given": {**request.query, **request.form} if refused is not None else {},
            "next": link("invoices", name, after=found.cursor) if found.cursor else None,
            "first": link("invoices", name) if "after" in request.query and refused is None else None,
        },
        200 if refused is None else status_of(refused),
    )


async def _open_questions(request: PageRequest, invoice: Invoice) -> list[tuple[str, str]]:
    """Return why a closed draft cannot be issued now, or what it would lack, each with its case."""
    if invoice.stage != "draft":
        return []
    try:
        seen = await invoices.issue(request.services, request.author, invoice, dry_run=True)
    except Refused as refused:
        return [("cannot-issue", refused.message)]
    return [("lacks", warning) for warning in invoices.warnings(seen.invoice)]


def _once(request: PageRequest, refused: Refused | None) -> str:
    """Return the identity of the forms. It stays the same while it is unknown whether a form was carried out."""
    given = request.form.get("once")
    return given if given and refused is not None and refused.code == "UNAVAILABLE" else secrets.token_urlsafe(16)


def invoice_filter(request: PageRequest) -> InvoiceFilter:
    """What the filters of the address mean; currencies may be written in any case."""
    query = request.query
    currency = query.get("currency")
    return invoices.wanted(
        customer_key=filter_key(request, "customer"),
        currency=None if currency is None else currency.strip().upper(),
        status=query.get("status"),
        period=query.get("period", "").strip() or None,
    )


def name_of(invoice: Invoice) -> str:
    """What it is called in addresses."""
    return invoice.number or invoice.id


def period_of(invoice: Invoice) -> str:
    """`November 2026`, or its days, where it is clear that they are those of UTC."""
    month = Calendar.of("month").period_at(invoice.start)
    if month == Period(invoice.start, invoice.end, invoice.period):
        return wording.month(invoice.start)
    return wording.dates(invoice.start, invoice.end)


def _row(invoice: Invoice, customer_name: str) -> InvoiceRow:
    return InvoiceRow(
        name=name_of(invoice),
        number=invoice.number,
        stage=invoice.stage,
        period=period_of(invoice),
        customer_key=invoice.customer_key,
        customer_name=customer_name,
        currency=invoice.currency,
        outcomes=invoice.lines,
        unrated=invoice.unrated,
        total=minor_text(invoice.amount, invoice.digits),
        due=None if invoice.status == "draft" else minor_text(invoice.due or Decimal(0), invoice.digits),
    )


async def _sheet(services: DaemonServices, invoice: Invoice) -> SheetView:
    """What the printed page says of it: the dashboard says the same."""
    return invoice_view((await exports.papers(services)).bill(invoice), _UNREAD)


def _next(services: DaemonServices, invoice: Invoice) -> NextStep | None:
    if invoice.status != "draft":
        return None
    billing = services.config.billing
    # Of a closed period in which nothing is owed, where such invoices are not wanted.
    unwanted = invoice.closed and not (invoice.subtotal or invoice.manual or billing.zero_invoices)
    by_hand = billing.issue == "manual" or unwanted
    waits_from = invoice.end if invoice.opened_at is None else invoice.opened_at
    return NextStep(closes_at=invoice.end, issues_at=None if by_hand else waits_from + int(billing.grace * 1000))
