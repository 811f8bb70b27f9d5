"""Outcomes: list and explain them, and retry held events."""

from typing import Any

from msgspec import Struct

from witnd.app.errors import not_found
from witnd.app.outcomes.list import one, page
from witnd.app.outcomes.retry import Retried, retry
from witnd.app.outcomes.view import Explained, Listed
from witnd.web.http.route import Call, Listing, route


class OutcomeQuery(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`status`: OPEN, PENDING, CONFIRMED or FAILED (also `missed`); separate several with commas. `key`: only this
    outcome. `prefix`: only keys with this prefix, sorted by key; without it, the newest outcomes come first. If few
    outcomes match, a page may be short: the list ends when `next_cursor` is null."""

    status: str | None = None
    customer_key: str | None = None
    agent_key: str | None = None
    key: str | None = None
    prefix: str | None = None


class OneOutcome(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`events_after`: the id of an event; the response has the events after it. Without it, the response has the last
    1000 events. `0-0` starts with the first event."""

    events_after: str | None = None


class OutcomePage(Struct, frozen=True, kw_only=True):
    """Outcomes, and the cursor of the next page."""

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
    says="Read an outcome and its explanation: its events, each check of the condition, the result and its reason.",
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
    says="Retry the held events of a key. The daemon also does this when the catalogue changes.",
    scope="admin",
    status=202,
    answer=Retried,
    refusals=("NOT_FOUND", "UNAVAILABLE"),
)
async def retry_outcome(call: Call[Any]) -> Retried:
    return await retry(call.services, call.author, call.path["key"])
