"""Issue, pay and credit the invoices of the history, with the product's own operations."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

from witnd.app.invoices import credit, operations, payments
from witnd.app.invoices.facts import Facts
from witnd.app.services import Services
from witnd.demo.history import HISTORY_CUSTOMERS
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.values.money import minor_text
from witnd.store.access.change_log import Author
from witnd.store.server.connection import redis_errors

_LIMIT: Final = 1000
_WEEK_MS: Final = 7 * 86_400_000
# What happens to the invoice of the last closed period. Earlier ones are paid, except those of `LATE`.
DRAFT, LATE, PAID, CREDITED, PART_PAID = HISTORY_CUSTOMERS


class InvoiceCounts(Struct, frozen=True, kw_only=True):
    """How many invoices of the history are in which state, and the number of credit notes."""

    drafts: int
    issued: int
    overdue: int
    paid: int
    notes: int

    @property
    def text(self) -> str:
        """Describe the invoices for the user."""
        invoices = [
            (self.drafts, "to review and issue"),
            (self.issued, "issued"),
            (self.overdue, "overdue"),
            (self.paid, "paid"),
        ]
        notes = f"{self.notes} credit note{'' if self.notes == 1 else 's'}"
        return ", ".join([f"{number} {state}" for number, state in invoices if number] + [notes])


async def all_invoices(services: Services) -> Sequence[Invoice]:
    """Return all invoices, newest period first."""
    return (await operations.listed(services, operations.wanted(), _LIMIT, None)).data


async def is_billed(services: Services) -> bool:
    """Return whether every confirmed outcome has its line on an invoice, and all periods that are over are closed."""
    (keys,) = services.partitions
    now_ms = services.now_ms()
    with redis_errors():
        events = await services.client.xinfo_stream(keys.events)
        if await services.client.hget(keys.state, "cursor") != events["last-generated-id"]:
            return False
        entries = await services.client.xlen(keys.lines)
        reversals = int(await services.client.hget(keys.state, "reversed") or 0)
    invoices = await all_invoices(services)
    return sum(one.lines for one in invoices) == entries - reversals > 0 and all(
        one.closed or one.end > now_ms for one in invoices
    )


async def process_invoices(services: Services, author: Author) -> InvoiceCounts:
    """Issue the closed drafts of the history in order of their periods, and record what customers did with them."""
    closed = sorted((one for one in await all_invoices(services) if one.closed), key=lambda one: one.end)
    for invoice in closed:
        is_last = invoice.end == closed[-1].end
        if is_last and invoice.customer_key == DRAFT:
            continue
        date = await services.today(invoice.end)
        issued = (await operations.issue(services, author, invoice, date=date)).invoice
        if issued.customer_key == LATE or not issued.due:
            continue
        if is_last and issued.customer_key == CREDITED:
            await _credit(services, author, issued)
        elif is_last and issued.customer_key == PART_PAID:
            await _record(services, author, issued, min(issued.due, Decimal(20)))
        else:
            await _record(services, author, issued, issued.due)
    return await _counts(services)


async def _record(services: Services, author: Author, invoice: Invoice, amount: Decimal) -> None:
    """Record a payment a week after the period, or today."""
    day = await services.today(min(invoice.end + _WEEK_MS, services.now_ms()))
    text = minor_text(amount, invoice.digits)
    facts = Facts(amount=text, date=day, method="transfer", reference=invoice.number)
    await payments.record(services, author, invoice, facts)


async def _credit(services: Services, author: Author, invoice: Invoice) -> None:
    """Credit the first ticket."""
    async for row in services.invoices.rows.of_invoice(invoice):
        if row.agent_key == "support":  # a reversal may already have credited lines of other agents
            await credit.credit(services, author, invoice, [credit.Item(row=row)], "the customer was not satisfied")
            return


async def _counts(services: Services) -> InvoiceCounts:
    today = await services.today(services.now_ms())
    invoices = await all_invoices(services)
    issued = [one for one in invoices if one.status == "issued"]
    overdue = [one for one in issued if one.due_date is not None and one.due_date < today]
    return InvoiceCounts(
        drafts=sum(one.stage == "draft" for one in invoices),
        issued=len(issued) - len(overdue),
        overdue=len(overdue),
        paid=sum(one.status == "paid" for one in invoices),
        notes=sum(one.notes for one in invoices),
    )
