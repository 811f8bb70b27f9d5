"""The change log: who changed what, and when."""

from msgspec import Struct

from witnd.app import changes
from witnd.app.changes import ChangeJson
from witnd.web.http.route import Call, Listing, route


class ChangeListing(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The newest changes come first."""


class ChangePage(Struct, frozen=True, kw_only=True):
    """Changes, the newest first."""

    data: list[ChangeJson]
    next_cursor: str | None


@route(
    "GET",
    "/v1/changes",
    says="List changes, the newest first.",
    scope="admin",
    query=ChangeListing,
    answer=ChangePage,
)
async def list_changes(call: Call[ChangeListing]) -> ChangePage:
    page = await changes.page(call.services.changes, *call.page())
    return ChangePage(data=page.data, next_cursor=page.cursor)
