"""The change log: who changed what."""

from typing import Final

from witnd.app import changes
from witnd.web.dashboard.forms.change_log import change_row
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, page
from witnd.web.dashboard.present.words import link

LIMIT: Final = 50
# Differences that are shown at once; more are collapsed.
SHOWN: Final = 4


@page("/dashboard/changes", scope="admin")
async def list_changes(request: PageRequest) -> Answer:
    after = request.query.get("after")
    found = await changes.page(request.services.changes, LIMIT, after)
    return HtmlPage(
        "changes.html",
        {
            "shown": SHOWN,
            "found": [change_row(one) for one in found.data],
            "next": link("changes", after=found.cursor) if found.cursor else None,
            "first": link("changes") if after else None,
        },
    )
