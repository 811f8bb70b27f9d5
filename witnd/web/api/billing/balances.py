"""Balances of customers, and their refunds."""

from typing import Any

from msgspec import Struct

from witnd.app.invoices import balances
from witnd.app.invoices.balances import BalanceJson, RefundRecorded
from witnd.app.invoices.facts import Facts
from witnd.domain.invoices.payment import RefundJson
from witnd.web.api.billing.invoice_operations import PaymentIn, author
from witnd.web.http.route import Call, Listing, route


class BalanceList(Struct, frozen=True, kw_only=True):
    """The balances of a customer: each currency in which there ever was one."""

    data: list[BalanceJson]


class RefundPage(Struct, frozen=True, kw_only=True):
    """Refunds, the newest first."""

    data: list[RefundJson]
    next_cursor: str | None


class RefundIn(PaymentIn, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A refund. `date` is when it was paid back; default: today. `currency` is needed if the customer has
    several balances."""

    currency: str | None = None


@route(
    "GET",
    "/v1/customers/{key}/balance",
    says="Read the balances of a customer: what was paid or credited and not used.",
    scope="read",
    answer=BalanceList,
)
async def read_balance(call: Call[Any]) -> BalanceList:
    return BalanceList(data=await balances.balances(call.services, call.path["key"]))


@route(
    "GET",
    "/v1/customers/{key}/refunds",
    says="List the refunds of a customer, the newest first.",
    scope="read",
    query=Listing,
    answer=RefundPage,
)
async def list_refunds(call: Call[Listing]) -> RefundPage:
    page = await balances.refunds(call.services, call.path["key"], *call.page())
    return RefundPage(data=page.data, next_cursor=page.cursor)


@route(
    "POST",
    "/v1/customers/{key}/refunds",
    says="Record that a part of a customer's balance was paid back. Requests with the same `Idempotency-Key` record it "
    "once.",
    scope="billing",
    repeatable=True,
    status=201,
    body=RefundIn,
    answer=RefundRecorded,
    refusals=("CONFLICT",),
)
async def refund(call: Call[Any]) -> RefundRecorded:
    body: RefundIn = call.body()
    facts = Facts(amount=body.amount, date=body.date, method=body.method, reference=body.reference)
    return await balances.refund(call.services, author(call), call.path["key"], body.currency, facts)
