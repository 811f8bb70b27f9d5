"""Outcomes: lists, and one in full with how it came about; asking again for held events."""

from typing import Any

from msgspec import Struct

from witnd.app.errors import not_found
from witnd.app.outcomes.list import one, page
from witnd.app.outcomes.retry import Retried, retry
from witnd.app.outcomes.view import Explained, Listed
from witnd.web.http.route import Call, Listing, route


class OutcomeQuery(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`status`: OPEN, PENDING, CONFIRMED, FAILED or `missed`, which is the same as FAILED; several with commas between.
    `key`: exactly this one. `prefix`: keys that begin so, in the order of their keys; otherwise the newest come first.
    A page may be short where what is asked for is rare: `next_cursor` null is the end.
    """

    status: str | None = None
    customer_key: str | None = None
    agent_key: str | None = None
    key: str | None = None
    prefix: str | None = None


class OneOutcome(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`events_after`: the id of an event; those behind it are told. Without it, the last 1000 are; `0-0` begins with
    the first."""

    events_after: str | None = None


class OutcomePage(Struct, frozen=True, kw_only=True):
    """Outcomes, and where the next page begins."""

    data: list[Listed]
    next_cursor: str | None


@route(
    "GET",
    "/v1/outcomes",
    says="List outcomes, the newest first.",
    scope="read",
    query=OutcomeQuery,
    answer=OutcomePage,
)
async def list_outcomes(call: Call[OutcomeQuery]) -> OutcomePage:
    limit, after = call.page()
    query = call.query
    found = await page(
        call.services,
        status=query.status,
        customer=query.customer_key,
        agent=query.agent_key,
        key=query.key,
        prefix=query.prefix,
        limit=limit,
        after=after,
    )
    return OutcomePage(data=found.data, next_cursor=found.cursor)


@route(
    "GET",
    "/v1/outcomes/{key}",
    says="Read an outcome: its events with every check of the condition after each, and why it is what it is.",
    scope="read",
    query=OneOutcome,
    answer=Explained,
    refusals=("NOT_FOUND",),
)
async def read_outcome(call: Call[OneOutcome]) -> Explained:
    found = await one(call.services, call.path["key"], events_after=call.query.events_after)
    if found is None:
        raise not_found("outcome", call.path["key"])
    return found


@route(
    "POST",
    "/v1/outcomes/{key}/retry",
    says="Ask again whether the held events of a key can be placed. The daemon does so when the catalogue changes.",
    scope="admin",
    status=202,
    answer=Retried,
    refusals=("NOT_FOUND", "UNAVAILABLE"),
)
async def retry_outcome(call: Call[Any]) -> Retried:
    return await retry(call.services, call.author, call.path["key"])
