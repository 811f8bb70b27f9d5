"""The page of one invoice: the printed document, the amount due, its steps, its actions and its lines."""

import secrets
from typing import Final

from msgspec.structs import replace

from witnd.app.daemon_services import DaemonServices
from witnd.app.errors import Refused
from witnd.app.invoices import document, exports, lines
from witnd.app.invoices import operations as invoices
from witnd.billing.export import wording
from witnd.billing.export.page_view import SheetView, invoice_view
from witnd.billing.export.sections import InvoiceSummary
from witnd.domain.invoices.invoice import Invoice
from witnd.web.dashboard.forms.billing_data import tax_choices
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, page
from witnd.web.dashboard.pages.invoices.effects import effects_of
from witnd.web.dashboard.pages.invoices.invoices import name_of
from witnd.web.dashboard.pages.invoices.lines import sections
from witnd.web.dashboard.pages.invoices.posted import is_preview
from witnd.web.dashboard.pages.invoices.steps import steps_of
from witnd.web.dashboard.present.words import link
from witnd.web.errors import status_of

LIMIT: Final = 50
# A longer document is shown without its list of outcomes, which follows below it.
SUMMARY_FROM: Final = 200
# Lines of the longest document that is shown. Adding up more takes too long for each view of the page.
EMBEDDED_LINES_MAX: Final = 2_000
# The head has all figures for the page, so no rows are read.
_UNREAD: Final = InvoiceSummary()


@page("/dashboard/invoices/{id}")
async def show_invoice(request: PageRequest) -> Answer:
    invoice = await invoices.named(request.services, request.path["id"])
    try:
        return await invoice_page(request, invoice)
    except Refused as refused:
        if "after" not in request.query or refused.code != "CONFLICT":
            raise
        # Closing the period changed the order of the lines, so the cursor is no longer valid.
        return Redirect(
            link("invoices", name_of(invoice)), "This invoice was closed; showing its lines from the start."
        )


async def invoice_page(
    request: PageRequest, invoice: Invoice, refused: Refused | None = None, doing: str = ""
) -> HtmlPage:
    """Return the page of an invoice. `doing`: the action that was `refused` or previewed; its form keeps the input."""
    services = request.services
    full = await document.in_full(services, invoice)
    taxes = tax_choices(await services.learned())
    found = await lines.of_invoice(services, invoice, LIMIT, request.query.get("after"))
    given_back = await services.invoices.credited(invoice.id, [line.id for line in found.data])
    given = {**request.query, **request.form} if refused is not None or is_preview(request) else {}
    effects = await effects_of(request, invoice, given if doing else {}, doing)
    name = name_of(invoice)
    return HtmlPage(
        "invoices/invoice.html",
        {
            "invoice": full,
            "name": name,
            "stage": invoice.stage,
            "sheet": await _sheet(services, invoice),
            "document": _document(invoice),
            "period": wording.period(invoice.billed_period),
            "steps": steps_of(services, invoice, full, await services.today(services.now_ms())),
            "sections": sections(invoice, found.data, given_back),
            "taxes": taxes,
            "has_taxes": any(line.tax for line in found.data) or (invoice.stage == "draft" and bool(taxes)),
            "effects": effects,
            "lacks_einvoice": any(one.required for one in full.lacks),
            "lacks": [] if effects.issued is None else invoices.warnings(effects.issued),
            "once": _once(request, refused),
            "more_notes": invoice.notes - len(full.credit_notes),
            "refused": refused,
            "doing": doing,
            "given": given,
            "next": link("invoices", name, after=found.cursor) if found.cursor else None,
            "first": link("invoices", name) if "after" in request.query and not doing else None,
        },
        200 if refused is None else status_of(refused),
    )


def _document(invoice: Invoice) -> str | None:
    """Return the address of the printed page, which changes with the invoice; None if it is too long to be shown."""
    if invoice.lines > EMBEDDED_LINES_MAX:
        return None
    detail = "summary" if invoice.lines > SUMMARY_FROM else None
    return link("invoices", name_of(invoice), "print", revision=f"{invoice.revision}.{invoice.lines}", detail=detail)


def _once(request: PageRequest, refused: Refused | None) -> str:
    """Return the identity of the forms. It stays the same while it is unknown whether a form was carried out."""
    given = request.form.get("once")
    is_kept = is_preview(request) or (refused is not None and refused.code == "UNAVAILABLE")
    return given if given and is_kept else secrets.token_urlsafe(16)


async def _sheet(services: DaemonServices, invoice: Invoice) -> SheetView:
    """Return the content of the printed page, which the dashboard shows too."""
    bill = (await exports.papers(services)).bill(invoice)
    # The dashboard is in English.
    return invoice_view(replace(bill, locale="en"), _UNREAD)
