"""Actions on an invoice: issue it, record and reverse payments, void or revise it. `credits` has credits."""

from collections.abc import Awaitable, Callable

from witnd.app.errors import Refused
from witnd.app.invoices import operations as invoices
from witnd.app.invoices import payments
from witnd.app.invoices.change import Reused
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.operations import Unchanged
from witnd.store.invoices.change import Operation
from witnd.web.dashboard.page import Answer, PageRequest, Redirect, action
from witnd.web.dashboard.pages.invoices.invoice import invoice_page
from witnd.web.dashboard.pages.invoices.invoices import name_of
from witnd.web.dashboard.pages.invoices.posted import check_confirmed, facts_of, is_preview, rate_of
from witnd.web.dashboard.present.words import link, number
from witnd.web.errors import ApiError


@action("/dashboard/invoices/{id}/issue", scope="billing")
async def issue(request: PageRequest) -> Answer:
    date, exchange = request.form.get("date", "").strip() or None, rate_of(request.form)
    return await _done(
        request,
        "issue",
        lambda invoice: invoices.issue(request.services, request.author, invoice, date=date, exchange_rate=exchange),
        lambda done: f"Issued as {done.number}.",
    )


@action("/dashboard/invoices/{id}/void", scope="billing")
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
    if is_preview(request):
        return await invoice_page(request, invoice, doing=doing)
    try:
        check_confirmed(request)
        done = (await do(invoice)).invoice
    except Refused as refused:
        # Read it again: it may have changed.
        return await invoice_page(request, await invoices.named(request.services, invoice.id), refused, doing)
    return Redirect(link("invoices", name_of(done)), message(done))


@action("/dashboard/invoices/{id}/revise", scope="billing")
async def revise(request: PageRequest) -> Answer:
    invoice = await invoices.named(request.services, request.path["id"])
    reason = request.form.get("revise_reason", "").strip() or None
    try:
        check_confirmed(request)
        revision = await invoices.revise(request.services, request.author, invoice, reason)
    except Refused as refused:
        return await invoice_page(request, await invoices.named(request.services, invoice.id), refused, "revise")
    message = f"{invoice.number} is void. This draft replaces it: credit its lines, then issue it."
    return Redirect(link("invoices", revision.draft.id), message)


@action("/dashboard/invoices/{id}/payments", scope="billing")
async def record_payment(request: PageRequest) -> Answer:
    invoice = await invoices.named(request.services, request.path["id"])
    if is_preview(request):
        return await invoice_page(request, invoice, doing="payments")
    try:
        check_confirmed(request)
        done = await payments.record(request.services, request.author, invoice, facts_of(request.form))
    except Reused as before:
        again = ApiError("CONFLICT", f"this form was already sent with other values: it {before.how}")
        return await invoice_page(request, await invoices.named(request.services, invoice.id), again, "payments")
    except Refused as refused:
        return await invoice_page(request, await invoices.named(request.services, invoice.id), refused, "payments")
    due = number(done.invoice.due or "0")
    message = f"Payment of {number(done.amount)} {invoice.currency} recorded. Due now: {due} {invoice.currency}."
    return Redirect(link("invoices", name_of(invoice)), message)


@action("/dashboard/invoices/{id}/payments/{payment}/reverse", scope="billing")
async def reverse_payment(request: PageRequest) -> Answer:
    invoice = await invoices.named(request.services, request.path["id"])
    try:
        check_confirmed(request)
        done = await payments.reverse(request.services, request.author, invoice, request.path["payment"])
    except Refused as refused:
        if refused.code == "NOT_FOUND":
            raise
        return await invoice_page(request, await invoices.named(request.services, invoice.id), refused, "reverse")
    message = f"Payment of {number(done.amount)} {invoice.currency} reversed."
    return Redirect(link("invoices", name_of(invoice)), message)
