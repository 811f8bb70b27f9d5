"""What each action on an invoice would do now, and why the others are not possible, for its page."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from witnd.app.errors import Refused
from witnd.app.invoices import operations as invoices
from witnd.app.invoices import payments
from witnd.app.invoices.change import Effect, effect_of
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.operations import Unchanged
from witnd.domain.values.money import minor_text
from witnd.store.invoices.change import Operation
from witnd.web.dashboard.page import PageRequest
from witnd.web.dashboard.pages.invoices.posted import facts_of, rate_of
from witnd.web.dashboard.present.effect_words import issue_effect, payment_effect, revise_effect, void_effect

# Dry runs need a reason, which no effect shows.
DRY_RUN_REASON: Final = "preview"
_ALL_TO_BALANCE: Final = "Nothing is due. A payment goes to the customer's balance, which pays the next invoices."


class Effects(Struct, frozen=True, kw_only=True):
    """The possible actions with their effects, and the reasons of the others. `issued`: the draft as it would be
    issued. `due`: the amount with which the form of a payment begins."""

    texts: dict[str, str] = {}
    refused: dict[str, str] = {}
    issued: Invoice | None = None
    due: str = ""


async def effects_of(request: PageRequest, invoice: Invoice, given: Mapping[str, str], doing: str) -> Effects:
    """Return the effects of the actions on an invoice. `given`: the input of the form of the action `doing`."""
    if invoice.stage == "draft":
        return await _of_draft(request, invoice, given if doing == "issue" else {})
    if invoice.status not in ("issued", "paid") or not request.may_bill:
        return Effects()
    services, author = request.services, replace(request.author, idempotency_key=None)
    due = minor_text(invoice.due, invoice.digits) if invoice.due else ""
    paying = given if doing == "payments" else {"amount": due}
    texts = {"payments": _ALL_TO_BALANCE}
    refused: dict[str, str] = {}
    if paying.get("amount", "").strip():
        decided = payments.preview(services, author, invoice, facts_of(paying))
        texts["payments"] = await effect_text(request, decided, payment_effect)
    cancelling: dict[str, tuple[Callable[[], Awaitable[Operation | Unchanged]], Callable[[Effect], str]]] = {
        "void": (lambda: invoices.void(services, author, invoice, DRY_RUN_REASON, dry_run=True), void_effect),
        "revise": (lambda: _revised(request, invoice), revise_effect),
    }
    for name, (decide, says) in cancelling.items():
        try:
            effect = await effect_of(services, await decide())
        except Refused as why:
            refused[name] = why.message
            continue
        if effect is not None:
            texts[name] = says(effect)
    return Effects(texts=texts, refused=refused, due=due)


async def _of_draft(request: PageRequest, invoice: Invoice, given: Mapping[str, str]) -> Effects:
    services, author = request.services, replace(request.author, idempotency_key=None)
    try:
        done = await invoices.issue(services, author, invoice, dry_run=True)
    except Refused as why:
        return Effects(refused={"issue": why.message})
    date, rate = given.get("date", "").strip() or None, rate_of(given)
    effect = await effect_of(services, done)
    text = "No change." if effect is None else issue_effect(effect)
    if date is not None or rate is not None:
        decided = invoices.issue(services, author, invoice, date=date, exchange_rate=rate, dry_run=True)
        text = await effect_text(request, decided, issue_effect)
    return Effects(texts={"issue": text}, issued=done.invoice)


async def _revised(request: PageRequest, invoice: Invoice) -> Operation | Unchanged:
    author = replace(request.author, idempotency_key=None)
    return (await invoices.revise(request.services, author, invoice, DRY_RUN_REASON, dry_run=True)).done


async def effect_text(
    request: PageRequest, decided: Awaitable[Operation | Unchanged], says: Callable[[Effect], str]
) -> str:
    """Return the effect of a form's current input, or why it would be refused."""
    try:
        effect = await effect_of(request.services, await decided)
    except Refused as why:
        return refusal_text(why)
    return "No change." if effect is None else says(effect)


def refusal_text(why: Refused) -> str:
    """Return the reason of a refusal as a sentence."""
    text = "; ".join(f"{one.path}: {one.message}" for one in why.details if one.path) or why.message
    return f"{text[:1].upper()}{text[1:]}."
