"""The list of invoices, with its filters in the address, and buttons that act on its rows."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

from witnd.app.errors import Refused
from witnd.app.invoices import ageing, exports
from witnd.app.invoices import operations as invoices
from witnd.app.invoices.ageing import AgeingReport
from witnd.app.invoices.bulk import Item
from witnd.billing.documents import InvoiceDocuments
from witnd.billing.export import wording
from witnd.billing.export.bill import Bill
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.values.money import minor_text
from witnd.domain.values.period import HOUR
from witnd.store.errors import DamagedInvoice
from witnd.store.invoices.reads import InvoiceFilter
from witnd.store.page import Page
from witnd.web.dashboard.filters import filter_key
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, page
from witnd.web.dashboard.pages.invoices.posted import shown_text
from witnd.web.dashboard.present.sums import sums_text
from witnd.web.dashboard.present.words import link, plural

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


class InvoiceRow(Struct, frozen=True, kw_only=True):
    """An invoice in the list. `due` is None before it is issued. `is_net`: the total
    is before tax, which is computed when the period closes. `shown`: what the author has seen, for a form."""

    id: str
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
    is_net: bool
    shown: str


class BulkForm(Struct, frozen=True, kw_only=True):
    """A button that acts on rows of the list. `rows`: what its author has seen of each."""

    action: str
    rows: list[str]
    label: str


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
    zone = request.services.config.billing.time_zone
    rows, unreadable = rows_of(await exports.papers(request.services), found, zone)
    files = {
        (form, what): link("invoices", "export", **asked, format=form, what=what)
        for form in ("csv", "jsonl")
        for what in ("invoices", "lines")
    }
    return HtmlPage(
        "invoices/invoices.html",
        {
            "found": rows,
            "zone": zone,
            "bulk": [one for one in (_issuing(rows), _paying(rows)) if one.rows] if request.may_bill else [],
            "unreadable": unreadable,
            "ageing": None if problems or "after" in request.query else await _ageing(request),
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


def period_of(invoice: Invoice, zone: str) -> str:
    """Return `November 2026`, or the days. The time zone is omitted if it is `zone`."""
    if invoice.zone != zone or invoice.period == HOUR:
        return wording.period(invoice.billed_period)
    if invoice.period == "month" and invoice.first_day.endswith("-01"):
        return wording.month(invoice.first_day)
    return wording.period_days(invoice.billed_period)


async def _ageing(request: PageRequest) -> AgeingReport:
    """Return what is due of all invoices of the customer and the currency in the filters."""
    asked = invoice_filter(request)
    return await ageing.report(request.services, customer_key=asked.customer, currency=asked.currency)


def rows_of(documents: InvoiceDocuments, found: Page[Invoice], zone: str) -> tuple[list[InvoiceRow], list[str]]:
    """Return the rows of a page, and the ids of the invoices that cannot be read. `zone`: the billing time zone, which
    the rows do not name."""
    rows, unreadable = [], list(found.unreadable)
    for invoice in found.data:
        try:
            rows.append(_row(documents.bill(invoice), zone))
        except DamagedInvoice:
            unreadable.append(invoice.id)
    return rows, unreadable


def _row(bill: Bill, zone: str) -> InvoiceRow:
    invoice = bill.invoice
    due = None if invoice.status == "draft" else invoice.due or Decimal(0)
    item = Item(id=invoice.id, revision=invoice.revision, total=bill.total if due is None else due)
    return InvoiceRow(
        id=invoice.id,
        name=name_of(invoice),
        number=invoice.number,
        stage=invoice.stage,
        period=period_of(invoice, zone),
        customer_key=invoice.customer_key,
        customer_name=bill.customer_name,
        currency=invoice.currency,
        outcomes=invoice.lines,
        unrated=invoice.unrated,
        total=minor_text(bill.total, invoice.digits),
        due=None if due is None else minor_text(due, invoice.digits),
        is_net=invoice.stage == "open" and bill.data is not None and bill.data.table.default is not None,
        shown=shown_text(item),
    )


def _issuing(rows: Sequence[InvoiceRow]) -> BulkForm:
    drafts = [row for row in rows if row.stage == "draft"]
    sums = sums_text((row.currency, row.total) for row in drafts)
    label = f"Issue {plural(len(drafts), 'draft')}: {sums}…"
    return BulkForm(action="issue", rows=[row.shown for row in drafts], label=label)


def _paying(rows: Sequence[InvoiceRow]) -> BulkForm:
    unpaid = [row for row in rows if row.stage == "issued"]
    sums = sums_text((row.currency, row.due or "0") for row in unpaid)
    label = f"Record payment of {plural(len(unpaid), 'invoice')}: {sums}…"
    return BulkForm(action="pay", rows=[row.shown for row in unpaid], label=label)
