"""The log of changes: who changed what through the API, and when."""

from witnd.app import changes
from witnd.app.changes import ChangePage
from witnd.web.http.route import Call, Listing, route


class ChangeListing(Listing, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The newest first."""


@route(
    "GET",
    "/v1/changes",
    says="List what was changed through the API, the newest first.",
    scope="admin",
    query=ChangeListing,
    answer=ChangePage,
)
async def list_changes(call: Call[ChangeListing]) -> ChangePage:
    return await changes.page(call.services.changes, *call.page())
