"""Actions on an invoice: issue, mark as paid, void, and give credit."""

import secrets
from collections.abc import Awaitable, Callable, Mapping

from witnd.app.errors import Refused, invalid, unavailable
from witnd.app.invoices import credit as crediting
from witnd.app.invoices import operations as invoices
from witnd.app.invoices.operations import Reused
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.operations import Unchanged
from witnd.store.invoices.change import Operation
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, action, page
from witnd.web.dashboard.pages.invoices.invoices import invoice_page, name_of
from witnd.web.dashboard.pages.invoices.lines import sections
from witnd.web.dashboard.present.words import link, number
from witnd.web.errors import ApiError, status_of


@action("/dashboard/invoices/{id}/issue")
async def issue(request: PageRequest) -> Answer:
    return await _done(
        request,
        "issue",
        lambda invoice: invoices.issue(request.services, request.author, invoice),
        lambda done: f"Issued as {done.number}.",
    )


@action("/dashboard/invoices/{id}/pay")
async def pay(request: PageRequest) -> Answer:
    return await _done(
        request,
        "pay",
        lambda invoice: invoices.pay(request.services, request.author, invoice),
        lambda done: f"{done.number} marked as paid.",
    )


@action("/dashboard/invoices/{id}/void")
async def void(request: PageRequest) -> Answer:
    reason = request.form.get("reason", "").strip()
    return await _done(
        request,
        "void",
        lambda invoice: invoices.void(request.services, request.author, invoice, reason),
        lambda done: f"{done.number} voided.",
    )


async def _done(
    request: PageRequest,
    doing: str,
    do: Callable[[Invoice], Awaitable[Operation | Unchanged]],
    message: Callable[[Invoice], str],
) -> Answer:
    """Do it. If it is refused, the page of the invoice shows the reason and keeps the form."""
    invoice = await invoices.named(request.services, request.path["id"])
    try:
        _check_confirmed(request)
        done = (await do(invoice)).invoice
    except Refused as refused:
        # Read it again: it may have changed.
        return await invoice_page(request, await invoices.named(request.services, invoice.id), refused, doing)
    return Redirect(link("invoices", name_of(done)), message(done))


@page("/dashboard/invoices/{id}/credit", admin=True)
async def ask_credit(request: PageRequest) -> Answer:
    invoice = await invoices.named(request.services, request.path["id"])
    return await _form(request, invoice, request.query)


@action("/dashboard/invoices/{id}/credit")
async def credit(request: PageRequest) -> Answer:
    form = request.form
    invoice = await invoices.named(request.services, request.path["id"])
    try:
        _check_confirmed(request)
        amount = form.get("amount", "").strip() or None
        row, reason = await _row(request, invoice, form), form.get("reason", "").strip()
        done = await crediting.credit(request.services, request.author, invoice, row, amount=amount, reason=reason)
    except Reused as before:
        given = ApiError(
            "CONFLICT",
            f"this form was already sent with other values: it {before.how}; submit again to give another credit",
        )
        return await _form(request, invoice, {**form, "once": ""}, given)
    except Refused as refused:
        if refused.code == "UNAVAILABLE":
            raise unavailable("credit not confirmed; submit the form again, the credit is given only once") from None
        return await _form(request, invoice, form, refused)
    given_back = f"{number((done.row.amount or '').lstrip('-'))} {invoice.currency}"
    note = done.note
    if note is None:
        return Redirect(link("invoices", name_of(invoice)), f"Credit of {given_back} added to this draft.")
    message = (
        f"Credit of {given_back} given. It will be applied to the next {note.currency} invoices of {note.customer_key}."
    )
    return Redirect(link("credit-notes", note.number or note.id), message)


async def _form(
    request: PageRequest, invoice: Invoice, given: Mapping[str, str], refused: Refused | None = None
) -> HtmlPage:
    """The form of a credit, with what was filled in and why that was refused."""
    invoice = await invoices.named(request.services, invoice.id)
    try:
        line, left = await crediting.left(request.services, invoice, await _row(request, invoice, given))
    except Refused as none_left:
        if none_left.code != "CONFLICT":
            raise
        return await invoice_page(request, invoice, refused or none_left, "credit")
    [so_far] = await request.services.invoices.credited(invoice.id, [line.id])
    [section] = sections(invoice, [line], [so_far])
    return HtmlPage(
        "invoices/invoice_credit.html",
        {
            "invoice": invoice,
            "name": name_of(invoice),
            "shown": section.lines[0],
            "left": left,
            "asked": {name: given.get(name, "") for name in ("outcome", "row")},
            "amount": given.get("amount", left),
            "reason": given.get("reason", ""),
            "confirmed": "confirmed" in given,
            # The same for as long as nothing was given by it, also where that is unknown.
            "once": given.get("once") or secrets.token_urlsafe(16),
            "refused": refused,
        },
        200 if refused is None else status_of(refused),
    )


async def _row(request: PageRequest, invoice: Invoice, given: Mapping[str, str]) -> Row:
    outcome_key, row_id = given.get("outcome") or None, given.get("row") or None
    return await crediting.billed_row(request.services, invoice, outcome_key=outcome_key, row_id=row_id)


def _check_confirmed(request: PageRequest) -> None:
    if "confirmed" not in request.form:
        raise invalid("confirmed", "tick the box to confirm; you cannot undo this")
