"""Agents: what makes an outcome billable, in versions."""

from typing import Any, Final

from witnd.app.catalogue import read as catalogue
from witnd.app.catalogue.open_outcomes import LOOKED_AT_MAX, running
from witnd.app.catalogue.read import AGENT, Thing
from witnd.domain.catalogue.condition import condition_text
from witnd.web.api.catalogue.answers import versioned
from witnd.web.dashboard.forms.archiving import archive
from witnd.web.dashboard.forms.conditions import checks, opened
from witnd.web.dashboard.forms.submit import KEY as EXAMPLE_KEY
from witnd.web.dashboard.forms.submit import address as site
from witnd.web.dashboard.forms.submit import sending
from witnd.web.dashboard.forms.terms import METHODS
from witnd.web.dashboard.forms.versions import numbered, versions_of
from witnd.web.dashboard.page import Answer, Moved, Shown, Visit, action, page
from witnd.web.dashboard.present.words import link, span

LIMIT: Final = 50
# Outcomes of a version that are named; of the one that is looked at, more.
FEW: Final = 5
MANY: Final = 100
SIDES: Final = ("Name", "Billed when", "Settles after", "Quantity", "Standing")


@page("/dashboard/agents")
async def list_agents(visit: Visit) -> Answer:
    query = visit.query
    archived = "archived" in query
    found, cursor = await catalogue.listed(visit.services, AGENT, (LIMIT, query.get("after")), archived=archived)
    asked = {"archived": "yes" if archived else None}
    return Shown(
        "agents.html",
        {
            "found": [_answer(thing) for thing in found],
            "archived": archived,
            "some": bool(visit.services.catalogue.keys(AGENT.name)),
            "site": site(visit),
            "next": link("agents", **asked, after=cursor) if cursor else None,
            "first": link("agents", **asked) if "after" in query else None,
        },
    )


@page("/dashboard/agents/{key}")
async def show_agent(visit: Visit) -> Answer:
    key = visit.path["key"]
    services, version = visit.services, numbered(visit, "version")
    thing = await catalogue.read(services, AGENT, key, version=version)
    past = await versions_of(visit, AGENT, thing)
    return Shown(
        "agent.html",
        {
            "agent": _answer(thing),
            "named": version is not None,
            "method": METHODS[thing.version.content["attribution_method"]],
            **past,
            **await _sides(visit, key, (past["one"], past["other"])),
            "running": await running(services, key),
            "sending": sending(visit, _example(thing)),
            "looked_at": LOOKED_AT_MAX,
            "few": MANY if version is not None else FEW,
        },
    )


def _answer(thing: Thing) -> dict[str, Any]:
    content = thing.version.content
    return {
        "key": thing.key,
        **content,
        "condition_words": condition_text(content["condition"]),
        **versioned(thing),
    }


def _example(thing: Thing) -> dict[str, str]:
    """An event that the agent looks for."""
    facts = [check.fact for check in checks(opened(thing.version.content["condition"]))]
    action = facts[0] if facts else "ticket_solved"
    return {"key": EXAMPLE_KEY, "customer_key": "acme", "agent_key": thing.key, "action": action}


async def _sides(visit: Visit, key: str, numbers: tuple[int, int]) -> dict[str, Any]:
    """Two versions side by side, where there are two."""
    if numbers == (1, 1):
        return {"sides": [], "rows": []}
    sides = [await catalogue.read(visit.services, AGENT, key, version=number) for number in numbers]
    return {
        "sides": [_answer(side) for side in sides],
        "rows": list(zip(SIDES, zip(*[_side(side) for side in sides], strict=True), strict=True)),
    }


def _side(thing: Thing) -> list[str]:
    content = thing.version.content
    return [
        content["name"],
        condition_text(content["condition"]),
        span(content["settlement_period"]),
        METHODS[content["attribution_method"]],
        "archived" if thing.version.archived else "opens outcomes",
    ]


@action("/dashboard/agents/{key}/archive")
async def archive_agent(visit: Visit) -> Answer:
    return await _archive(visit, "opens no new outcomes; those that are open go on", archived=True)


@action("/dashboard/agents/{key}/restore")
async def restore_agent(visit: Visit) -> Answer:
    return await _archive(visit, "opens outcomes again", archived=False)


async def _archive(visit: Visit, opens: str, *, archived: bool) -> Answer:
    key = visit.path["key"]
    since = await archive(visit, AGENT, key, archived=archived)
    return Moved(link("agents", key), "It is so already." if since is None else f"The agent {opens}{since}.")
