"""The log of changes: who changed what through the API, and when."""

import re
from typing import Any, Final

from msgspec import Struct

from witnd.domain import instant
from witnd.web.errors import invalid
from witnd.web.route import Call, Listing, route

# The id of a stream entry. 0-0 is none, and nothing comes before it.
_ENTRY: Final = re.compile(r"(?!0+-0+$)[0-9]{1,15}-[0-9]{1,18}", re.ASCII)


class ChangeListing(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The newest first."""


class ChangeJson(Struct, frozen=True, kw_only=True):
    """One change. `what`: the resource and what was done to it. `before` null: it was made new. Secrets are hidden."""

    id: str
    at: str
    who: str
    what: str
    key: str
    request_id: str
    before: Any
    after: Any


class ChangePage(Struct, frozen=True, kw_only=True):
    """Changes, the newest first."""

    data: list[ChangeJson]
    next_cursor: str | None


@route(
    "GET",
    "/v1/changes",
    says="List what was changed through the API, the newest first.",
    scope="admin",
    query=ChangeListing,
    answer=ChangePage,
)
async def list_changes(call: Call[ChangeListing]) -> ChangePage:
    limit, after = call.page()
    if after is not None and not _ENTRY.fullmatch(after):
        raise invalid("after", f"{after!r} is no cursor of this list: write the one that it ended with")
    found = await call.services.changes.newest(limit + 1, after)
    return ChangePage(
        data=[
            ChangeJson(
                id=one.id,
                at=instant.render(int(one.id.partition("-")[0])),
                who=one.who,
                what=one.what,
                key=one.key,
                request_id=one.request_id,
                before=one.before,
                after=one.after,
            )
            for one in found[:limit]
        ],
        next_cursor=found[limit - 1].id if len(found) > limit else None,
    )
