"""Issue several drafts, or record a payment of each of several invoices, exactly as the author has seen them.

An invoice that has changed since is skipped. Each invoice is one operation: if one is refused, the others are done.
"""

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from witnd.app.errors import Refused
from witnd.app.invoices import operations, payments
from witnd.app.invoices.change import Effect, effect_of
from witnd.app.invoices.facts import Facts
from witnd.app.invoices.operations import Shown
from witnd.app.services import Services
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.operations import number_text
from witnd.domain.values.money import difference, minor_text, plus
from witnd.store.access.change_log import Author
from witnd.store.errors import DamagedInvoice, StoreRefused, StoreUnavailable

Action: TypeAlias = Literal["issue", "pay"]

# As many as one page of the list shows: planning them takes a fraction of a second.
ITEMS_MAX: Final = 50


class Item(Struct, frozen=True, kw_only=True):
    """An invoice as the author has seen it. `total`: of a draft, its total with tax; else the amount due."""

    id: str
    revision: int
    total: Decimal


class Terms(Struct, frozen=True, kw_only=True):
    """The input for all invoices: the issue date, or the date, method and reference of the payments."""

    date: str | None = None
    method: str | None = None
    reference: str | None = None


class Planned(Struct, frozen=True, kw_only=True):
    """What would be done with an invoice, or the `problem` that prevents it. `number`: the one that a draft would get;
    `balance`: the customer's balance before, of which `used` would be used; `due`: the amount due afterwards."""

    item: Item
    invoice: Invoice | None
    number: str | None = None
    total: Decimal = Decimal(0)
    balance: Decimal = Decimal(0)
    used: Decimal = Decimal(0)
    due: Decimal = Decimal(0)
    due_date: str | None = None
    problem: str | None = None


class Result(Struct, frozen=True, kw_only=True):
    """The invoice after the operation, or the `problem` that prevented it."""

    item: Item
    invoice: Invoice | None
    problem: str | None = None


async def plan(
    services: Services, author: Author, action: Action, items: Sequence[Item], terms: Terms
) -> list[Planned]:
    """Return what would be done with each invoice, in that order."""
    found = [
        await _planned(services, replace(author, idempotency_key=None), action, item, terms)
        for item in await _in_order(services, action, items)
    ]
    return _in_sequence(found) if action == "issue" else found


async def act(services: Services, author: Author, action: Action, items: Sequence[Item], terms: Terms) -> list[Result]:
    """Execute each operation once, even if the call is repeated with the same idempotency key."""
    found = []
    for item in await _in_order(services, action, items):
        key = None if author.idempotency_key is None else f"{author.idempotency_key}:{item.id}"
        once = replace(author, idempotency_key=key)

        async def done(item: Item = item, once: Author = once) -> Invoice:
            return await _done(services, once, action, item, terms)

        invoice, problem = await _tried(services, item, done)
        found.append(Result(item=item, invoice=invoice, problem=problem))
    return found


async def _in_order(services: Services, action: Action, items: Sequence[Item]) -> Sequence[Item]:
    """Return drafts by their periods, the oldest first, so that their numbers are in the order of the periods."""
    if action == "pay":
        return items
    ends: dict[str, int] = {}
    for item in items:
        try:
            invoice = await services.invoices.get(item.id)
        except DamagedInvoice:
            invoice = None
        ends[item.id] = 0 if invoice is None else invoice.end
    return sorted(items, key=lambda item: ends[item.id])


async def _planned(services: Services, author: Author, action: Action, item: Item, terms: Terms) -> Planned:
    effects: list[Effect] = []

    async def decided() -> Invoice:
        invoice = await operations.named(services, item.id)
        if action == "issue":
            # The total can differ from that in the list, because issuing credits reversals. The review shows it.
            shown = Shown(revision=item.revision, total=None)
            done = await operations.issue(services, author, invoice, date=terms.date, dry_run=True, shown=shown)
        else:
            facts, revision = _payment(item, invoice, terms), item.revision
            done = await payments.preview(services, author, invoice, facts, revision=revision)
        effect = await effect_of(services, done)
        if effect is None:
            raise Refused("CONFLICT", f"{invoice.number or invoice.id} is {invoice.stage} already")
        effects.append(effect)
        return invoice

    invoice, problem = await _tried(services, item, decided)
    if problem is not None:
        return Planned(item=item, invoice=invoice, problem=problem)
    [effect] = effects
    after, used = effect.after, difference(effect.after.balance_used, effect.before.balance_used)
    total = after.amount if action == "issue" else item.total
    return Planned(
        item=replace(item, total=total),
        invoice=invoice,
        number=effect.number,
        total=total,
        balance=plus(effect.balance, used),
        used=used,
        due=after.due or Decimal(0),
        due_date=after.due_date,
    )


async def _done(services: Services, author: Author, action: Action, item: Item, terms: Terms) -> Invoice:
    invoice = await operations.named(services, item.id)
    if action == "issue":
        shown = Shown(revision=item.revision, total=item.total)
        done = await operations.issue(services, author, invoice, date=terms.date, shown=shown)
        return done.invoice
    facts = _payment(item, invoice, terms)
    await payments.record(services, author, invoice, facts, revision=item.revision)
    return await operations.named(services, item.id)


def _payment(item: Item, invoice: Invoice, terms: Terms) -> Facts:
    amount = minor_text(item.total, invoice.digits)
    return Facts(amount=amount, date=terms.date, method=terms.method, reference=terms.reference)


async def _tried(
    services: Services, item: Item, do: Callable[[], Awaitable[Invoice]]
) -> tuple[Invoice | None, str | None]:
    """Return the invoice, and the reason if it was skipped."""
    try:
        return await do(), None
    except Refused as refused:
        problem = refused.message
    except DamagedInvoice as damaged:
        return None, f"{damaged.reason}; {damaged.remedy}"
    except (StoreUnavailable, StoreRefused) as away:
        return None, f"not confirmed ({away}); submit again, it will be done only once"
    try:
        return await services.invoices.get(item.id), problem
    except DamagedInvoice:
        return None, problem


def _in_sequence(planned: Sequence[Planned]) -> list[Planned]:
    """Return the plans of drafts that are issued in sequence: each gets the next number, and the customer's balance
    decreases with each."""
    numbers: dict[str, int] = {}
    left: dict[tuple[str, str], Decimal] = {}
    found = []
    for one in planned:
        if one.invoice is None or one.number is None:
            found.append(one)
            continue
        series, _, count = one.number.rpartition("-")
        place = numbers.get(series, int(count))
        numbers[series] = place + 1
        account = one.invoice.customer_key, one.invoice.currency
        balance = left.get(account, one.balance)
        used = min(balance, one.total)
        left[account] = difference(balance, used)
        found.append(
            replace(one, number=number_text(series, place), used=used, due=difference(one.total, used), balance=balance)
        )
    return found
