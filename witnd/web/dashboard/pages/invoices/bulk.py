"""Issue several drafts, or record payments of several invoices: first what would be done, then what was done."""

import secrets
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from msgspec.structs import replace

from witnd.app.errors import Refused, invalid
from witnd.app.invoices import bulk, exports
from witnd.app.invoices import operations as invoices
from witnd.app.invoices.bulk import Action, Item, Planned, Result, Terms
from witnd.billing.documents import InvoiceDocuments
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.values.money import minor_text
from witnd.store.errors import DamagedInvoice
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, action
from witnd.web.dashboard.pages.invoices.invoices import period_of
from witnd.web.dashboard.pages.invoices.posted import check_confirmed, is_preview, shown_items, shown_text
from witnd.web.dashboard.present.sums import sums_text
from witnd.web.dashboard.present.words import plural
from witnd.web.errors import status_of

_TITLES: Final[dict[Action, str]] = {"issue": "Issue invoices", "pay": "Record payments"}
_VERBS: Final[dict[Action, str]] = {"issue": "Issue", "pay": "Record payment of"}


@action("/dashboard/invoices/bulk/issue", scope="billing")
async def issue_several(request: PageRequest) -> Answer:
    return await _several(request, "issue")


@action("/dashboard/invoices/bulk/pay", scope="billing")
async def pay_several(request: PageRequest) -> Answer:
    return await _several(request, "pay")


async def _several(request: PageRequest, what: Action) -> Answer:
    """Show what would be done with the rows of the list; the form of that page does it."""
    form = request.form
    # Skipped ones are planned again, for example with another date, but never done without a review.
    is_review = "once" not in form or is_preview(request)
    items = shown_items(request, "row", "left") if is_review else shown_items(request, "row")
    given = {name: form.get(name, "").strip() or None for name in ("date", "method", "reference")}
    terms = Terms(**given)
    if is_review:
        return await _review(request, what, items, terms)
    try:
        check_confirmed(request)
        _check_terms(what, terms)
    except Refused as refused:
        return await _review(request, what, shown_items(request, "row", "left"), terms, refused)
    results = await bulk.act(request.services, request.author, what, items, terms)
    done = [one for one in results if one.problem is None]
    documents = await exports.papers(request.services)
    return HtmlPage(
        "invoices/bulk_results.html",
        {
            "what": what,
            "title": _TITLES[what],
            "results": [_line(one, documents) for one in results],
            "done": len(done),
            "left": len(results) - len(done),
        },
    )


def _check_terms(what: Action, terms: Terms) -> None:
    """Refuse a date, method or reference that no invoice could have."""
    if terms.date is not None:
        invoices.check_date(terms.date)
    if what == "issue" and (terms.method or terms.reference):
        raise invalid("method", "belongs to payments; leave it out")


async def _review(
    request: PageRequest, what: Action, items: Sequence[Item], terms: Terms, refused: Refused | None = None
) -> HtmlPage:
    """List what would be done, and what would be skipped with the reason. The form has the rows as they were shown."""
    wrong = refused
    try:
        _check_terms(what, terms)
    except Refused as mistake:
        wrong = refused or mistake
        terms = replace(terms, date=None)
    planned = await bulk.plan(request.services, request.author, what, items, terms)
    ready = [one for one in planned if one.problem is None]
    sums = sums_text((one.invoice.currency, _text(one, one.total)) for one in ready if one.invoice is not None)
    documents = await exports.papers(request.services)
    return HtmlPage(
        "invoices/bulk_review.html",
        {
            "what": what,
            "title": _TITLES[what],
            "ready": [_line(one, documents) for one in ready],
            "left": [_line(one, documents) for one in planned if one.problem is not None],
            "rows": [("left" if one.problem else "row", shown_text(one.item)) for one in planned],
            "button": f"{_VERBS[what]} {plural(len(ready), 'invoice')}: {sums}",
            "given": {name: request.form.get(name, "") for name in ("date", "method", "reference")},
            "once": request.form.get("once") or secrets.token_urlsafe(16),
            "refused": wrong,
        },
        200 if refused is None else status_of(refused),
    )


def _line(one: Planned | Result, documents: InvoiceDocuments) -> dict[str, Any]:
    """Return an invoice of the list for people."""
    invoice = one.invoice
    customer = "" if invoice is None else _customer(documents, invoice)
    line: dict[str, Any] = {
        "id": one.item.id,
        "invoice": invoice,
        "customer": customer,
        "period": "" if invoice is None else period_of(invoice, ""),
        "problem": one.problem,
    }
    if isinstance(one, Planned):
        amounts = {"total": _text(one, one.total), "used": _text(one, one.used), "due": _text(one, one.due)}
        return {**line, **amounts, "number": one.number, "due_date": one.due_date}
    return {**line, "due": "0" if invoice is None else minor_text(invoice.due or Decimal(0), invoice.digits)}


def _customer(documents: InvoiceDocuments, invoice: Invoice) -> str:
    try:
        return documents.bill(invoice).customer_name
    except DamagedInvoice:
        return invoice.customer_key


def _text(one: Planned, amount: Decimal) -> str:
    return minor_text(amount, 0 if one.invoice is None else one.invoice.digits)
