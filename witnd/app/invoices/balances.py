"""Show and refund the balances of a customer."""

from collections.abc import Sequence

from msgspec import Struct

from witnd.app.catalogue.read import CUSTOMER
from witnd.app.errors import Refused, checked_cursor, invalid, not_found
from witnd.app.invoices.change import reuse_error
from witnd.app.invoices.facts import Facts, is_same, not_confirmed, received
from witnd.app.services import Services
from witnd.domain.invoices.operations import Refusal
from witnd.domain.invoices.payment import Received, Refund, RefundJson, refund_json, refund_refusal
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values.money import difference, minor_text
from witnd.store.access.change_log import Author, Change
from witnd.store.errors import StoreUnavailable
from witnd.store.invoices.accounts import Balance, Refunded
from witnd.store.page import Page


class RefundRecorded(RefundJson, frozen=True, kw_only=True):
    """A refund, and the customer's balance afterwards."""

    balance: str


class BalanceJson(Struct, frozen=True, kw_only=True):
    """A customer's balance in one currency. It pays the customer's next invoices in it."""

    currency: str
    balance: str


async def balances(services: Services, customer_key: str) -> list[BalanceJson]:
    """Return the balances of a customer, by currency: each currency in which there ever was one."""
    return [
        BalanceJson(currency=one.currency, balance=minor_text(one.amount, one.digits))
        for one in await _balances(services, customer_key)
    ]


async def refunds(services: Services, customer_key: str, limit: int, after: str | None) -> Page[RefundJson]:
    """Return a page of a customer's refunds, newest first."""
    await _balances(services, customer_key)
    with checked_cursor():
        page = await services.invoices.accounts.refunds(customer_key, limit, after)
    return Page([refund_json(one) for one in page.data], page.cursor)


async def refund(
    services: Services,
    author: Author,
    customer_key: str,
    currency: str | None,
    facts: Facts,
    *,
    token: str | None = None,
) -> RefundRecorded:
    """Refund a part of a customer's balance. `currency` may be None if the customer has one balance."""
    balance = _chosen(await _balances(services, customer_key), currency)
    given = received(facts, balance.currency, balance.digits)
    if token is None and author.idempotency_key is not None:
        token = derived_id("api", "refund", author.idempotency_key)

    def logged(refund: Refund) -> Change:
        return author.change("customer.refund", customer_key, after=refund_json(refund))

    try:
        done = await services.invoices.accounts.refund(
            customer_key, balance.currency, balance.digits, given, token=token, logged=logged
        )
    except StoreUnavailable as silent:
        raise not_confirmed(author, "refund", silent) from silent
    if isinstance(done, Refusal):
        raise Refused("CONFLICT", done.problem, remedy=done.remedy)
    _check_same(author, done, given, currency)
    shown = refund_json(done.refund)
    return RefundRecorded(
        **{name: getattr(shown, name) for name in RefundJson.__struct_fields__},
        balance=minor_text(done.balance, balance.digits),
    )


async def after_refund(services: Services, customer_key: str, currency: str | None, facts: Facts) -> BalanceJson:
    """Return the balance that a refund would leave. Raise an error if the refund would be refused."""
    balance = _chosen(await _balances(services, customer_key), currency)
    given = received(facts, balance.currency, balance.digits)
    wrong = refund_refusal(given.amount, balance.amount, balance.currency, balance.digits)
    if wrong is not None:
        raise Refused("CONFLICT", wrong.problem, remedy=wrong.remedy)
    left = difference(balance.amount, given.amount)
    return BalanceJson(currency=balance.currency, balance=minor_text(left, balance.digits))


async def _balances(services: Services, customer_key: str) -> list[Balance]:
    found = await services.invoices.accounts.balances(customer_key)
    if not found and not (await services.learned()).versions(CUSTOMER.name, customer_key):
        raise not_found("customer", customer_key)
    return found


def _chosen(found: Sequence[Balance], currency: str | None) -> Balance:
    """Return the balance in a currency; without one, the only balance above 0."""
    if currency is None:
        above = [one for one in found if one.amount] or found
        if len(above) == 1:
            return above[0]
        if above:
            several = " and ".join(one.currency for one in above)
            raise invalid("currency", f"is needed: the customer has balances in {several}")
    for one in found:
        if one.currency == currency:
            return one
    where = "" if currency is None else f" in {currency}"
    raise Refused("CONFLICT", f"the customer has no balance{where}", remedy="nothing can be refunded")


def _check_same(author: Author, done: Refunded, given: Received, currency: str | None) -> None:
    refund = done.refund
    if done.repeated and not (currency in (None, refund.currency) and is_same(given, refund)):
        amount = f"{minor_text(refund.amount, refund.digits)} {refund.currency}"
        raise reuse_error(author, f"refunded {amount} on {refund.date}")
