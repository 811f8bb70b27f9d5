"""The form that records a refund of a customer's balance."""

import secrets
from collections.abc import Mapping

from witnd.app.errors import Refused
from witnd.app.invoices import balances
from witnd.app.invoices.change import Reused
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, action, page
from witnd.web.dashboard.pages.invoices.effects import refusal_text
from witnd.web.dashboard.pages.invoices.posted import check_confirmed, facts_of, is_preview
from witnd.web.dashboard.present.words import link, number
from witnd.web.errors import ApiError, status_of


@page("/dashboard/customers/{key}/refund", scope="billing")
async def ask_refund(request: PageRequest) -> Answer:
    return await _form(request, request.query)


@action("/dashboard/customers/{key}/refund", scope="billing")
async def refund(request: PageRequest) -> Answer:
    form, key = request.form, request.path["key"]
    if is_preview(request):
        return await _form(request, form)
    try:
        check_confirmed(request)
        currency = form.get("currency") or None
        done = await balances.refund(request.services, request.author, key, currency, facts_of(form))
    except Reused as before:
        again = ApiError("CONFLICT", f"this form was already sent with other values: it {before.how}; submit again")
        return await _form(request, {**form, "once": ""}, again)
    except Refused as refused:
        if refused.code == "NOT_FOUND":
            raise
        return await _form(request, form, refused)
    left = f"{number(done.balance)} {done.currency}"
    message = f"Refund of {number(done.amount)} {done.currency} recorded. Balance: {left}."
    return Redirect(link("customers", key), message)


async def _form(request: PageRequest, given: Mapping[str, str], refused: Refused | None = None) -> HtmlPage:
    key = request.path["key"]
    found = await balances.balances(request.services, key)
    above = [one for one in found if one.balance.strip("0.")]
    currency = given.get("currency") or (above[0].currency if above else "")
    most = next((one.balance for one in above if one.currency == currency), "")
    filled = {"amount": most, **given}
    return HtmlPage(
        "invoices/refund.html",
        {
            "effect": await _effect(request, currency, filled) if above else "",
            "customer_key": key,
            "balances": above,
            "currency": currency,
            "given": filled,
            "confirmed": "confirmed" in given,
            "once": given.get("once") or secrets.token_urlsafe(16),
            "refused": refused,
        },
        200 if refused is None else status_of(refused),
    )


async def _effect(request: PageRequest, currency: str, given: Mapping[str, str]) -> str:
    """Return what a refund would do, or why it would be refused."""
    facts = facts_of(given)
    try:
        left = await balances.after_refund(request.services, request.path["key"], currency or None, facts)
    except Refused as why:
        return refusal_text(why)
    paid, rest = f"{number(facts.amount)} {left.currency}", f"{number(left.balance)} {left.currency}"
    return f"Records that you paid back {paid}. The balance will be {rest}. witnd transfers nothing."
