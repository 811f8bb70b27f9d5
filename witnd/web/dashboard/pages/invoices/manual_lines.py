"""Forms that change a draft: add and remove manual lines, and give a line another tax."""

import secrets
from collections.abc import Mapping

from witnd.app.errors import Refused, not_found
from witnd.app.invoices import credit as crediting
from witnd.app.invoices import manual_lines
from witnd.app.invoices import operations as invoices
from witnd.app.invoices.change import Reused
from witnd.app.invoices.manual_lines import LineAdded, LineFacts
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.web.dashboard.forms.billing_data import tax_choices
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, action, page
from witnd.web.dashboard.pages.invoices.invoice import invoice_page
from witnd.web.dashboard.pages.invoices.invoices import name_of
from witnd.web.dashboard.pages.invoices.lines import sections
from witnd.web.dashboard.present.words import link, number
from witnd.web.errors import ApiError, status_of


@action("/dashboard/invoices/{id}/lines", scope="billing")
async def add_line(request: PageRequest) -> Answer:
    invoice = await invoices.named(request.services, request.path["id"])
    try:
        done = await manual_lines.add(request.services, request.author, invoice, _facts(request.form))
    except Reused as before:
        again = ApiError("CONFLICT", f"this form was already sent with other values: it {before.how}; submit again")
        return await invoice_page(request, await invoices.named(request.services, invoice.id), again, "lines")
    except Refused as refused:
        return await invoice_page(request, await invoices.named(request.services, invoice.id), refused, "lines")
    return Redirect(link("invoices", name_of(invoice)), _added(done))


@action("/dashboard/invoices/{id}/lines/{line}/remove", scope="billing")
async def remove_line(request: PageRequest) -> Answer:
    invoice = await invoices.named(request.services, request.path["id"])
    try:
        await manual_lines.remove(request.services, request.author, invoice, request.path["line"])
    except Refused as refused:
        return await invoice_page(request, await invoices.named(request.services, invoice.id), refused, "remove-line")
    return Redirect(link("invoices", name_of(invoice)), "Line removed.")


# -- the tax of a line -------------------------------------------------------------------------------------------------


@page("/dashboard/invoices/{id}/tax", scope="billing")
async def ask_tax(request: PageRequest) -> Answer:
    invoice = await invoices.named(request.services, request.path["id"])
    return await _tax_form(request, invoice, request.query)


@action("/dashboard/invoices/{id}/tax", scope="billing")
async def set_tax(request: PageRequest) -> Answer:
    form = request.form
    invoice = await invoices.named(request.services, request.path["id"])
    try:
        row = await _row(request, invoice, form)
        tax, reason = form.get("tax") or None, form.get("reason", "").strip()
        done = await manual_lines.override_tax(request.services, request.author, invoice, row, tax, reason)
    except Refused as refused:
        return await _tax_form(request, await invoices.named(request.services, invoice.id), form, refused)
    message = "Tax changed." if done.tax is None else f"Tax changed to {done.tax}."
    return Redirect(link("invoices", name_of(invoice)), message)


async def _tax_form(
    request: PageRequest, invoice: Invoice, given: Mapping[str, str], refused: Refused | None = None
) -> HtmlPage:
    """The form of another tax, with what was filled in and why that was refused."""
    if invoice.stage != "draft":
        closed = ApiError("CONFLICT", f"the invoice is {invoice.stage}; only lines of a closed draft get another tax")
        return await invoice_page(request, invoice, refused or closed, "tax")
    row = await _row(request, invoice, given)
    line = await manual_lines.shown_line(request.services, invoice, row)
    [credited] = await request.services.invoices.credited(invoice.id, [line.id])
    [section] = sections(invoice, [line], [credited])
    return HtmlPage(
        "invoices/line_tax.html",
        {
            "invoice": invoice,
            "name": name_of(invoice),
            "shown": section.lines[0],
            "taxes": tax_choices(await request.services.learned()),
            "asked": {name: given.get(name, "") for name in ("outcome", "row")},
            "tax": given.get("tax", next((one.tax for one in invoice.overrides if one.row == row.id), "")),
            "reason": given.get("reason", ""),
            "refused": refused,
        },
        200 if refused is None else status_of(refused),
    )


async def _row(request: PageRequest, invoice: Invoice, given: Mapping[str, str]) -> Row:
    outcome_key, row_id = given.get("outcome") or None, given.get("row") or None
    return await crediting.billed_row(request.services, invoice, outcome_key=outcome_key, row_id=row_id)


# -- a line for a customer ---------------------------------------------------------------------------------------------


@page("/dashboard/customers/{key}/line", scope="billing")
async def ask_customer_line(request: PageRequest) -> Answer:
    return await _customer_form(request, request.query)


@action("/dashboard/customers/{key}/line", scope="billing")
async def add_customer_line(request: PageRequest) -> Answer:
    form, key = request.form, request.path["key"]
    try:
        done = await manual_lines.add_for_customer(request.services, request.author, key, _facts(form))
    except Reused as before:
        again = ApiError("CONFLICT", f"this form was already sent with other values: it {before.how}; submit again")
        return await _customer_form(request, {**form, "once": ""}, again)
    except Refused as refused:
        if refused.code == "NOT_FOUND":
            raise
        return await _customer_form(request, form, refused)
    return Redirect(link("invoices", done.invoice.id), _added(done))


async def _customer_form(request: PageRequest, given: Mapping[str, str], refused: Refused | None = None) -> HtmlPage:
    services, key = request.services, request.path["key"]
    known = await services.learned()
    currency = _card_currency(known, key, services.now_ms())
    return HtmlPage(
        "invoices/customer_line.html",
        {
            "customer_key": key,
            "taxes": tax_choices(known),
            "given": {"currency": currency, **given},
            "once": given.get("once") or secrets.token_urlsafe(16),
            "refused": refused,
        },
        200 if refused is None else status_of(refused),
    )


def _card_currency(known: Catalogue, key: str, at: int) -> str:
    """Return the currency of a customer's rate card, or nothing."""
    customer = known.customer(key, at)
    if customer is None:
        raise not_found("customer", key)
    card = None if customer.rate_card is None else known.rate_card(customer.rate_card, at)
    return "" if card is None else card.currency


# -- both --------------------------------------------------------------------------------------------------------------


def _facts(form: Mapping[str, str]) -> LineFacts:
    """Return the line that a form describes; a tax or currency left empty is left out."""
    return LineFacts(
        description=form.get("description", "").strip(),
        quantity=form.get("quantity", "").strip(),
        unit_price=form.get("unit_price", "").strip(),
        tax=form.get("tax") or None,
        currency=form.get("currency", "").strip().upper() or None,
    )


def _added(done: LineAdded) -> str:
    return f"Line of {number(done.amount or '0')} {done.currency} added."
