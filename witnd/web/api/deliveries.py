"""Webhook deliveries: state, attempts and responses; resend deliveries."""

from typing import Any

from msgspec import Struct

from witnd.app import deliveries
from witnd.domain.webhooks.delivery_json import DeliveryDetailJson, DeliveryJson
from witnd.store.access.change_log import Author
from witnd.web.http.route import Call, Listing, route


class DeliveryListing(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`standing`: pending (waits for its next attempt), delivered, parked (the endpoint is suspended, or the rule is
    not in effect) or dead (given up). `rule`: a name or id. `outcome_key`: only deliveries about this outcome."""

    standing: str | None = None
    rule: str | None = None
    outcome_key: str | None = None


class DeliveryPage(Struct, frozen=True, kw_only=True):
    """Deliveries, the newest resolution first. Pending deliveries are sorted by their next attempt; a list of only
    pending ones starts with the one that is due next. A page may be short: the list ends when `next_cursor` is
    null."""

    data: list[DeliveryJson]
    next_cursor: str | None


class ResendIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """A time range of resolutions: from an instant, and before another. Without a `standing`, it includes delivered,
    dead and parked deliveries."""

    from_: str
    to: str
    rule: str | None = None
    standing: str | None = None


class Resent(Struct, frozen=True):
    """The number of queued deliveries."""

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
    says="Read a delivery with its attempts, their responses, and the request body.",
    scope="read",
    answer=DeliveryDetailJson,
)
async def read_delivery(call: Call[Any]) -> DeliveryDetailJson:
    return await deliveries.in_full(call.services, call.path["id"])


@route(
    "POST",
    "/v1/deliveries/{id}/resend",
    says="Resend a delivery now, under the same id. Scheduled retries continue unless it succeeds.",
    scope="admin",
    status=202,
    answer=DeliveryDetailJson,
)
async def resend_delivery(call: Call[Any]) -> DeliveryDetailJson:
    return await deliveries.resend(call.services, _author(call), call.path["id"])


@route(
    "POST",
    "/v1/deliveries/resend",
    says="Resend the delivered, parked or dead deliveries of a range of resolutions.",
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
