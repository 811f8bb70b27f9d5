"""Forms that give credit: for one line of an invoice, or for several lines together."""

import secrets
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from witnd.app.errors import Refused, invalid, unavailable
from witnd.app.invoices import credit as crediting
from witnd.app.invoices import operations as invoices
from witnd.app.invoices.change import Reused
from witnd.app.invoices.credit import Credit, Item
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.values.money import exact_sum, minor_text
from witnd.store.invoices.change import Operation
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, action, page
from witnd.web.dashboard.pages.invoices.effects import DRY_RUN_REASON, effect_text
from witnd.web.dashboard.pages.invoices.invoice import invoice_page
from witnd.web.dashboard.pages.invoices.invoices import name_of
from witnd.web.dashboard.pages.invoices.lines import LineView, sections
from witnd.web.dashboard.pages.invoices.posted import check_confirmed, is_preview
from witnd.web.dashboard.present.effect_words import credit_effect
from witnd.web.dashboard.present.words import link, number
from witnd.web.errors import ApiError, status_of

# Field of a chosen line, followed by its id; its value is the key of its outcome.
_LINE: Final = "line-"
_AMOUNT: Final = "amount-"


@page("/dashboard/invoices/{id}/credit", scope="billing")
async def ask_credit(request: PageRequest) -> Answer:
    invoice = await invoices.named(request.services, request.path["id"])
    return await _form(request, invoice, request.query)


@action("/dashboard/invoices/{id}/credit", scope="billing")
async def credit(request: PageRequest) -> Answer:
    form = request.form
    invoice = await invoices.named(request.services, request.path["id"])
    if is_preview(request):
        return await _form(request, invoice, form)
    try:
        check_confirmed(request)
        amount = form.get("amount", "").strip() or None
        items = [Item(row=await _row(request, invoice, form), amount=amount)]
        reason = form.get("reason", "").strip()
        done = await crediting.credit(request.services, request.author, invoice, items, reason)
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
    return _given(invoice, done)


def _given(invoice: Invoice, done: Credit) -> Redirect:
    """Return to the document that has the credit."""
    note = done.note
    amount = exact_sum(Decimal(row.amount or 0) for row in done.rows).copy_negate()
    given_back = f"{number(minor_text(amount, invoice.digits))} {invoice.currency}"
    if note is None:
        return Redirect(link("invoices", name_of(invoice)), f"Credit of {given_back} added to this draft.")
    rest = f"{number(minor_text(note.to_balance, note.digits))} {note.currency}"
    use = f"It reduces the amount due of {note.invoice_number}."
    if note.to_balance:
        use = f"{rest} of it will be applied to the next {note.currency} invoices of {note.customer_key}."
    return Redirect(link("credit-notes", note.number or note.id), f"Credit of {given_back} given. {use}")


async def _form(
    request: PageRequest, invoice: Invoice, given: Mapping[str, str], refused: Refused | None = None
) -> HtmlPage:
    """The form of a credit, with what was filled in and why that was refused."""
    invoice = await invoices.named(request.services, invoice.id)
    try:
        row = await _row(request, invoice, given)
        line, left = await crediting.left(request.services, invoice, row)
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
            "effect": await _effect(
                request, invoice, [Item(row=row, amount=given.get("amount", left).strip() or None)]
            ),
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


async def _effect(request: PageRequest, invoice: Invoice, items: Sequence[Item]) -> str:
    """Return what a credit of lines would do, or why it would be refused."""
    author = replace(request.author, idempotency_key=None)

    async def decided() -> Operation:
        return (await crediting.credit(request.services, author, invoice, items, DRY_RUN_REASON, dry_run=True)).done

    return await effect_text(request, decided(), credit_effect)


async def _row(request: PageRequest, invoice: Invoice, given: Mapping[str, str]) -> Row:
    outcome_key, row_id = given.get("outcome") or None, given.get("row") or None
    return await crediting.billed_row(request.services, invoice, outcome_key=outcome_key, row_id=row_id)


# -- several lines -----------------------------------------------------------------------------------------------------


@page("/dashboard/invoices/{id}/credit-lines", scope="billing")
async def ask_credit_lines(request: PageRequest) -> Answer:
    invoice = await invoices.named(request.services, request.path["id"])
    # Boxes that are ticked send a value even for a line without an outcome.
    return await _lines_form(request, invoice, request.query)


@action("/dashboard/invoices/{id}/credit-lines", scope="billing")
async def credit_lines(request: PageRequest) -> Answer:
    form = request.form
    invoice = await invoices.named(request.services, request.path["id"])
    if is_preview(request):
        return await _lines_form(request, invoice, form)
    try:
        check_confirmed(request)
        rows = await _rows(request, invoice, form)
        items = [Item(row=row, amount=form.get(_AMOUNT + row.id, "").strip() or None) for row in rows]
        reason = form.get("reason", "").strip()
        done = await crediting.credit(request.services, request.author, invoice, items, reason)
    except Reused as before:
        given = ApiError("CONFLICT", f"this form was already sent with other values: it {before.how}; submit again")
        return await _lines_form(request, invoice, {**form, "once": ""}, given)
    except Refused as refused:
        if refused.code == "UNAVAILABLE":
            raise unavailable("credit not confirmed; submit the form again, the credit is given only once") from None
        return await _lines_form(request, invoice, form, refused)
    return _given(invoice, done)


async def _lines_form(
    request: PageRequest, invoice: Invoice, given: Mapping[str, str], refused: Refused | None = None
) -> HtmlPage:
    """The form of a credit of several lines, with what was filled in and why that was refused."""
    invoice = await invoices.named(request.services, invoice.id)
    chosen: list[dict[str, object]] = []
    items: list[Item] = []
    try:
        rows = await _rows(request, invoice, given)
        for row in rows:
            line, left = await crediting.left(request.services, invoice, row)
            [so_far] = await request.services.invoices.credited(invoice.id, [line.id])
            [section] = sections(invoice, [line], [so_far])
            shown: LineView = section.lines[0]
            amount = given.get(_AMOUNT + row.id, left)
            chosen.append({"shown": shown, "left": left, "amount": amount})
            items.append(Item(row=row, amount=amount.strip() or None))
    except Refused as none_left:
        if none_left.code not in ("CONFLICT", "VALIDATION_ERROR"):
            raise
        return await invoice_page(request, invoice, refused or none_left, "credit")
    return HtmlPage(
        "invoices/invoice_credit_lines.html",
        {
            "invoice": invoice,
            "name": name_of(invoice),
            "chosen": chosen,
            "effect": await _effect(request, invoice, items),
            "reason": given.get("reason", ""),
            "confirmed": "confirmed" in given,
            "once": given.get("once") or secrets.token_urlsafe(16),
            "refused": refused,
        },
        200 if refused is None else status_of(refused),
    )


async def _rows(request: PageRequest, invoice: Invoice, given: Mapping[str, str]) -> list[Row]:
    """Return the chosen lines, in the order of the form."""
    chosen = {name.removeprefix(_LINE): key for name, key in given.items() if name.startswith(_LINE)}
    if not chosen:
        raise invalid("", "choose at least one line to credit")
    found: list[Row] = []
    for id_, text in chosen.items():
        # Lines of outcomes are found by key in invoices of any size.
        key = text.removeprefix("outcome:") if text.startswith("outcome:") else None
        found.append(
            await crediting.billed_row(
                request.services, invoice, outcome_key=key, row_id=None if key is not None else id_
            )
        )
    return found
