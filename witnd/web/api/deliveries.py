"""Deliveries of webhooks: where each stands, what was answered, and sending it again."""

from typing import Any

from msgspec import Struct

from witnd.app import deliveries
from witnd.domain.webhooks.delivery_json import DeliveryDetailJson, DeliveryJson
from witnd.store.access.change_log import Author
from witnd.web.http.route import Call, Listing, route


class DeliveryListing(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`standing`: pending (to be sent), delivered, parked (the endpoint is suspended, or the rule not in force) or dead
    (the schedule is exhausted). `rule`: a name or an id. `outcome_key`: only those about this outcome.
    """

    standing: str | None = None
    rule: str | None = None
    outcome_key: str | None = None


class DeliveryPage(Struct, frozen=True, kw_only=True):
    """Deliveries, the newest resolution first, pending ones by when they are due; if only pending ones are asked for,
    those due next first. A page may be short: `next_cursor` null is the end.
    """

    data: list[DeliveryJson]
    next_cursor: str | None


class ResendIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """A range of resolutions: from an instant on, and before another. Without a `standing`, whatever is delivered, dead
    or parked of it.
    """

    from_: str
    to: str
    rule: str | None = None
    standing: str | None = None


class Resent(Struct, frozen=True):
    """How many deliveries were queued to be sent again."""

    queued: int


@route(
    "GET",
    "/v1/deliveries",
    says="List deliveries.",
    scope="read",
    query=DeliveryListing,
    answer=DeliveryPage,
)
async def list_deliveries(call: Call[DeliveryListing]) -> DeliveryPage:
    query = call.query
    limit, after = call.page()
    page = await deliveries.page(
        call.services,
        standing=query.standing,
        rule=query.rule,
        outcome_key=query.outcome_key,
        limit=limit,
        after=after,
    )
    return DeliveryPage(data=page.data, next_cursor=page.cursor)


@route(
    "GET",
    "/v1/deliveries/{id}",
    says="Read a delivery: its attempts with what was answered, and the body that is sent.",
    scope="read",
    answer=DeliveryDetailJson,
)
async def read_delivery(call: Call[Any]) -> DeliveryDetailJson:
    return await deliveries.in_full(call.services, call.path["id"])


@route(
    "POST",
    "/v1/deliveries/{id}/resend",
    says="Send a delivery (again) now, under the same id. Retries that are due later go on as they were.",
    scope="admin",
    status=202,
    answer=DeliveryDetailJson,
)
async def resend_delivery(call: Call[Any]) -> DeliveryDetailJson:
    return await deliveries.resend(call.services, _author(call), call.path["id"])


@route(
    "POST",
    "/v1/deliveries/resend",
    says="Send again what was delivered, parked or given up of a range of resolutions.",
    scope="admin",
    status=202,
    body=ResendIn,
    answer=Resent,
)
async def resend_deliveries(call: Call[Any]) -> Resent:
    body: ResendIn = call.body()
    count = await deliveries.resend_between(
        call.services, _author(call), body.from_, body.to, rule=body.rule, standing=body.standing
    )
    return Resent(count)


def _author(call: Call[Any]) -> Author:
    return call.author
