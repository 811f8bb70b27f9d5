"""Read the fate of an event, list events that were not applied, and remove held events."""

from typing import Any

from msgspec import Struct

from witnd.app.outcomes import fates
from witnd.app.outcomes.retry import Removed, held_event, remove
from witnd.store.query.fates import Fate
from witnd.web.http.route import Call, Listing, route


class FateQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`key`: the key of the outcome. After the log is trimmed, you need it to find an applied event."""

    key: str | None = None


class FatesQuery(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`fate`: held, rejected, reversed, late, duplicate or conflict; separate several with commas; default: all. `key`:
    only events of this outcome. If few events match, a page may be short: the list ends when `next_cursor` is null."""

    fate: str | None = None
    key: str | None = None


class FatePage(Struct, frozen=True, kw_only=True):
    """Events that were not applied, the newest first. Long values of rejected events are truncated."""

    data: list[Fate]
    next_cursor: str | None


@route(
    "GET",
    "/v1/events",
    says="List events that were not applied. For applied events, read the outcome.",
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
    says="Read the fate of an event: applied, duplicate, conflict, reversed, late, held or rejected; `waiting` until "
    "it is processed, `control` for an entry that the daemon appended, `forwarded` for an event that is now in the log "
    "of another partition, `unknown` if it was processed and left no record.",
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
