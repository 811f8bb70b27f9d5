"""What an action would do to an invoice now: the result of its dry run, with the number that it would get."""

from decimal import Decimal

from msgspec import Struct

from witnd.app.services import Services
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.operations import CreditNote, Unchanged
from witnd.store.invoices.change import Operation


class Effect(Struct, frozen=True, kw_only=True):
    """The invoice before and after an action. `number`: of the invoice or credit note that it would create; another
    document can take it first. `balance`: the customer's, afterwards."""

    before: Invoice
    after: Invoice
    number: str | None
    note: CreditNote | None
    balance: Decimal
    opens: Invoice | None  # the draft of the next edition


async def effect_of(services: Services, done: Operation | Unchanged) -> Effect | None:
    """Return the effect of a dry run, or None if it would change nothing."""
    if isinstance(done, Unchanged) or done.preview is None:
        return None
    change, invoice = done.preview, done.invoice
    balance = change.balance
    if balance is None:
        balance = await services.invoices.balance(invoice.customer_key, invoice.currency)
    return Effect(
        before=change.before,
        after=invoice,
        number=await services.invoices.next_number(change),
        note=change.note,
        balance=balance,
        opens=change.draft,
    )
