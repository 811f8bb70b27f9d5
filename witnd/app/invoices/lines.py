"""List the lines of one invoice, or of all invoices that match a query."""

from typing import Final

from witnd.app.errors import Refused, checked_cursor, invalid_cursor
from witnd.app.invoices.operations import listed
from witnd.app.services import Services
from witnd.billing.issue_preview import with_current_data
from witnd.billing.row_taxes import RowTaxes
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.json_form import LineJson, line_json
from witnd.store.errors import DamagedInvoice
from witnd.store.invoices.lines import Lines, StaleCursor
from witnd.store.invoices.reads import InvoiceFilter
from witnd.store.keys import BillingKeys
from witnd.store.page import Page

# How often more invoices are looked for in one request: each has a line as a rule, so once or twice does.
INVOICES_MAX: Final = 10


def lines_of(services: Services) -> Lines:
    return Lines(services.client, BillingKeys(services.config.redis.prefix), len(services.partitions))


async def of_invoice(services: Services, invoice: Invoice, limit: int, after: str | None) -> Page[LineJson]:
    """Return the lines after a cursor. Raise CONFLICT if the invoice was closed after the cursor was created.

    The discounts of a draft are those that it would be issued with now, as in its document.
    """
    catalogue, now = await services.learned(), services.now_ms()
    shown, _ = with_current_data(catalogue, invoice, now)
    try:
        with checked_cursor():
            page = await lines_of(services).page(shown, limit, after)
    except StaleCursor as moved:
        raise Refused("CONFLICT", str(moved)) from None
    taxes = RowTaxes(catalogue, shown, now)
    return Page([line_json(invoice, row, taxes.shown(row)) for row in page.data], page.cursor)


async def of_all(services: Services, wanted: InvoiceFilter, limit: int, after: str | None) -> Page[LineJson]:
    """Return lines of the selected invoices, the newest period first.

    The cursor is the id of an invoice, and behind a `_` the cursor in its lines, or nothing behind the last of them.
    """
    found: list[LineJson] = []
    unreadable: dict[str, None] = {}
    last, _, within = (after or "").partition("_")
    if within:
        invoice = await services.invoices.get(last)
        if invoice is None or not _lies_in(wanted, invoice):
            raise invalid_cursor(after or "")
        page = await _readable(services, invoice, limit, within, unreadable)
        if page.cursor is not None:
            return Page(page.data, f"{last}_{page.cursor}")
        found = page.data
    behind = last or None
    for _ in range(INVOICES_MAX):
        # One more than can be needed, to know whether something comes behind.
        asked = limit - len(found) + 1
        heads = await listed(services, wanted, asked, behind)
        unreadable |= dict.fromkeys(heads.unreadable)
        for invoice in heads.data:
            if len(found) == limit:
                return Page(found, f"{behind}_", list(unreadable))
            page = await _readable(services, invoice, limit - len(found), None, unreadable)
            found += page.data
            if page.cursor is not None:
                return Page(found, f"{invoice.id}_{page.cursor}", list(unreadable))
            behind = invoice.id
        if heads.cursor is None:
            return Page(found, None, list(unreadable))
        behind = heads.cursor
        if len(heads.data) < asked:
            break  # as many were looked at as one request may
    return Page(found, f"{behind}_", list(unreadable))


async def _readable(
    services: Services, invoice: Invoice, limit: int, after: str | None, unreadable: dict[str, None]
) -> Page[LineJson]:
    """Return the page of lines. If a line is damaged, return none of the invoice, and add its id to `unreadable`."""
    try:
        return await of_invoice(services, invoice, limit, after)
    except DamagedInvoice:
        unreadable[invoice.id] = None
        return Page([], None)


def _lies_in(wanted: InvoiceFilter, invoice: Invoice) -> bool:
    """Return whether the invoice matches, except for its status, which may have changed since the cursor."""
    return wanted.customer in (None, invoice.customer_key) and wanted.currency in (None, invoice.currency)
