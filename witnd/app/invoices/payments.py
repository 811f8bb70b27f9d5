"""Record and reverse payments of an invoice."""

from collections.abc import Callable
from decimal import Decimal

from witnd.app.errors import Refused, not_found
from witnd.app.invoices.change import do, reuse_error
from witnd.app.invoices.facts import Facts, is_same, not_confirmed, received
from witnd.app.services import Services
from witnd.domain.invoices import payment as paying
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.json_form import InvoiceJson, invoice_json
from witnd.domain.invoices.operations import Decision, Unchanged
from witnd.domain.invoices.payment import Payment, PaymentJson, Received, payment_json
from witnd.domain.values.money import minor_text
from witnd.store.access.change_log import Author
from witnd.store.errors import StoreUnavailable
from witnd.store.invoices.change import Operation
from witnd.store.invoices.change_arguments import Snapshot


class Recorded(PaymentJson, frozen=True, kw_only=True):
    """A payment, its invoice afterwards, and the customer's balance in its currency."""

    invoice: InvoiceJson
    balance: str


async def pay(services: Services, author: Author, invoice: Invoice) -> Operation | Unchanged:
    """Record a payment of all that is due, received today."""
    return await do(
        services,
        author,
        invoice,
        "pay",
        lambda seen: paying.pay(seen.invoice, None, seen.balance, today=seen.today.date, at=seen.at),
    )


async def record(
    services: Services,
    author: Author,
    invoice: Invoice,
    facts: Facts,
    *,
    token: str | None = None,
    revision: int | None = None,
) -> Recorded:
    """Record a payment. What is due is applied to the invoice; the rest goes to the customer's balance. `token` and
    `revision` are as in `operations.do`."""
    given = received(facts, invoice.currency, invoice.digits)
    try:
        done = await do(services, author, invoice, "payment", _payment_of(given), token=token, revision=revision)
    except StoreUnavailable as silent:
        raise not_confirmed(author, "payment", silent) from silent
    assert isinstance(done, Operation), done  # a payment with an amount is never there already
    payment = await _payment(services, invoice, done.made)
    if done.repeated and not is_same(given, payment.entry):
        entry = payment.entry
        raise reuse_error(author, f"recorded {_money(entry.amount, invoice)} received on {entry.date}")
    return await _recorded(services, done.invoice, payment)


async def preview(
    services: Services, author: Author, invoice: Invoice, facts: Facts, *, revision: int | None = None
) -> Operation | Unchanged:
    """Decide a payment without recording it."""
    given = received(facts, invoice.currency, invoice.digits)
    return await do(services, author, invoice, "payment", _payment_of(given), dry_run=True, revision=revision)


def _payment_of(given: Received) -> Callable[[Snapshot], Decision]:
    return lambda seen: paying.pay(seen.invoice, given, seen.balance, today=seen.today.date, at=seen.at)


async def reverse(services: Services, author: Author, invoice: Invoice, payment: str) -> Recorded:
    """Reverse a payment by a counter-entry. Repeating it changes nothing."""
    known = await services.invoices.payments(invoice.id)
    if payment not in {one.id for one in known}:
        raise not_found("payment", payment, [one.id for one in known], remedy="see the payments of the invoice")
    done = await do(
        services,
        author,
        invoice,
        "reverse_payment",
        lambda seen: paying.reverse(
            seen.invoice, seen.payments, payment, seen.balance, today=seen.today.date, at=seen.at
        ),
    )
    if isinstance(done, Operation) and done.made != payment:
        raise reuse_error(author, f"reversed the payment {done.made}")
    return await _recorded(services, done.invoice, await _payment(services, invoice, payment))


async def payment_beginning(services: Services, invoice: Invoice, text: str) -> str:
    """Return the id of the only payment of an invoice whose id has this prefix."""
    found = [one.id for one in await services.invoices.payments(invoice.id) if text and one.id.startswith(text)]
    if len(found) != 1:
        many = "several payments" if found else "no payment"
        raise Refused(
            "NOT_FOUND",
            f"the invoice has {many} with an id that begins with {text!r}",
            remedy="give more characters of the id" if found else "`witnd invoices show` lists the payments",
        )
    return found[0]


async def _payment(services: Services, invoice: Invoice, id_: str) -> Payment:
    [payment] = [one for one in await services.invoices.payments(invoice.id) if one.id == id_]
    return payment


async def _recorded(services: Services, invoice: Invoice, payment: Payment) -> Recorded:
    shown = payment_json(invoice, payment)
    balance = await services.invoices.balance(invoice.customer_key, invoice.currency)
    return Recorded(
        **{name: getattr(shown, name) for name in PaymentJson.__struct_fields__},
        invoice=invoice_json(invoice),
        balance=minor_text(balance, invoice.digits),
    )


def _money(amount: Decimal, invoice: Invoice) -> str:
    return f"{minor_text(amount, invoice.digits)} {invoice.currency}"
