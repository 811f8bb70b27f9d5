"""The fate of events: of one, and lists of those that were not applied."""

from typing import Any

from msgspec import Struct

from witnd.app.outcomes import fates
from witnd.app.outcomes.retry import Removed, held_event, remove
from witnd.store.query.fates import Fate
from witnd.web.http.route import Call, Listing, route


class FateQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`key`: the outcome of the event. Only with it an applied event is found once the log is trimmed."""

    key: str | None = None


class FatesQuery(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`fate`: held, rejected, late, duplicate or conflict, several with commas between; all without it. `key`: only
    events of this outcome. A page may be short where those are rare: `next_cursor` null is the end."""

    fate: str | None = None
    key: str | None = None


class FatePage(Struct, frozen=True, kw_only=True):
    """Events that were not applied, the newest first. Long values of rejected ones are cut off."""

    data: list[Fate]
    next_cursor: str | None


@route(
    "GET",
    "/v1/events",
    says="List events that were not applied, by their fate. Applied ones are told with their outcome.",
    scope="read",
    query=FatesQuery,
    answer=FatePage,
)
async def list_fates(call: Call[FatesQuery]) -> FatePage:
    limit, after = call.page()
    page = await fates.page(call.services, fate=call.query.fate, key=call.query.key, limit=limit, after=after)
    return FatePage(data=page.data, next_cursor=page.cursor)


@route(
    "GET",
    "/v1/events/{partition}/{id}",
    says="What became of an event: applied, duplicate, conflict, late, held or rejected; `waiting` until it is read, "
    "`control` for an entry of the daemon's own, `unknown` where it was read and left no trace.",
    scope="read",
    query=FateQuery,
    answer=Fate,
    refusals=("NOT_FOUND",),
)
async def read_fate(call: Call[FateQuery]) -> Fate:
    partition = fates.partition_named(call.path["partition"])
    return await fates.one(call.services, call.path["id"], partition=partition, key=call.query.key)


@route(
    "POST",
    "/v1/events/{partition}/{id}/remove",
    says="Remove a held event. The daemon rejects it with the reason REMOVED and frees its idempotency key.",
    scope="admin",
    status=202,
    answer=Removed,
    refusals=("NOT_FOUND", "CONFLICT", "UNAVAILABLE"),
)
async def remove_event(call: Call[Any]) -> Removed:
    author, partition = call.author, fates.partition_named(call.path["partition"])
    return await remove(call.services, author, await held_event(call.services, call.path["id"], partition))
