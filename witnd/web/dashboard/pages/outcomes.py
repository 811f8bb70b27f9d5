"""Outcomes: a list to search, with its filters in the address."""

from typing import Final

from witnd.app.outcomes.list import page as page_of_outcomes
from witnd.web.dashboard.filters import filter_key
from witnd.web.dashboard.forms.submit import example, sending
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, page
from witnd.web.dashboard.present.words import link

LIMIT: Final = 50
FILTERS: Final = ("search", "match", "status", "customer", "agent")


@page("/dashboard/outcomes")
async def list_outcomes(request: PageRequest) -> Answer:
    query = request.query
    search = query.get("search", "").strip() or None
    exact = query.get("match") == "exact"
    found = await page_of_outcomes(
        request.services,
        status=query.get("status"),
        customer=filter_key(request, "customer"),
        agent=filter_key(request, "agent"),
        key=search if exact else None,
        prefix=None if exact else search,
        limit=LIMIT,
        after=query.get("after"),
    )
    asked = {name: query.get(name, "") for name in FILTERS}
    catalogue = request.services.catalogue
    return HtmlPage(
        "outcomes/outcomes.html",
        {
            "found": found.data,
            "asked": asked,
            "filtered": any(asked.values()),
            "agents": catalogue.keys("agent"),
            "next": link("outcomes", **asked, after=found.cursor) if found.cursor else None,
            "first": link("outcomes", **asked) if "after" in query else None,
            "sending": sending(request, example(request)),
        },
    )
