"""Agents: what makes an outcome billable, in versions."""

from typing import Any, Final

from witnd.app.catalogue import read as catalogue
from witnd.app.catalogue.open_outcomes import LOOKED_AT_MAX, running
from witnd.app.catalogue.read import AGENT, Thing
from witnd.domain.catalogue.checks.grade_prices import agent_grade_warnings
from witnd.domain.catalogue.condition import condition_text
from witnd.domain.catalogue.terms.grades import condition_of
from witnd.web.api.catalogue.answers import versioned
from witnd.web.dashboard.forms.archiving import archive
from witnd.web.dashboard.forms.conditions import checks, group_from_condition
from witnd.web.dashboard.forms.submit import KEY as EXAMPLE_KEY
from witnd.web.dashboard.forms.submit import address as site
from witnd.web.dashboard.forms.submit import sending
from witnd.web.dashboard.forms.terms import METHODS
from witnd.web.dashboard.forms.versions import numbered, versions_of
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, action, page
from witnd.web.dashboard.present.term_words import grade_lines, reversal_line, timer_lines
from witnd.web.dashboard.present.words import link, span

LIMIT: Final = 50
# Outcomes of a version that are named; of the one that is looked at, more.
FEW: Final = 5
MANY: Final = 100
# In place of grades, timers or a reversal that a version does not have.
NONE: Final = "–"
SIDES: Final = ("Name", "Billed when", "Grades", "Settles after", "Timers", "Reversal", "Quantity", "State")


@page("/dashboard/agents")
async def list_agents(request: PageRequest) -> Answer:
    query = request.query
    archived = "archived" in query
    found, cursor = await catalogue.listed(request.services, AGENT, (LIMIT, query.get("after")), archived=archived)
    asked = {"archived": "yes" if archived else None}
    return HtmlPage(
        "catalogue/agents.html",
        {
            "found": [_answer(thing) for thing in found],
            "archived": archived,
            "some": bool(request.services.catalogue.keys(AGENT.name)),
            "site": site(request),
            "next": link("agents", **asked, after=cursor) if cursor else None,
            "first": link("agents", **asked) if "after" in query else None,
        },
    )


@page("/dashboard/agents/{key}")
async def show_agent(request: PageRequest) -> Answer:
    key = request.path["key"]
    services, version = request.services, numbered(request, "version")
    thing = await catalogue.read(services, AGENT, key, version=version)
    past = await versions_of(request, AGENT, thing)
    return HtmlPage(
        "catalogue/agent.html",
        {
            "agent": _answer(thing),
            "warnings": [] if version is not None else agent_grade_warnings(services.catalogue, key, services.now_ms()),
            "named": version is not None,
            "method": METHODS[thing.version.content["attribution_method"]],
            **past,
            **await _sides(request, key, (past["one"], past["other"])),
            "running": await running(services, key),
            "sending": sending(request, _example(thing)),
            "looked_at": LOOKED_AT_MAX,
            "few": MANY if version is not None else FEW,
        },
    )


def _answer(thing: Thing) -> dict[str, Any]:
    content = thing.version.content
    return {
        "key": thing.key,
        **content,
        "condition_words": condition_text(condition_of(content)),
        "grade_lines": grade_lines(content),
        "timer_lines": timer_lines(content),
        "reversal_line": reversal_line(content),
        **versioned(thing),
    }


def _example(thing: Thing) -> dict[str, str]:
    """An event that the agent looks for."""
    facts = [check.fact for check in checks(group_from_condition(condition_of(thing.version.content)))]
    action = facts[0] if facts else "ticket_solved"
    return {"key": EXAMPLE_KEY, "customer_key": "acme", "agent_key": thing.key, "action": action}


async def _sides(request: PageRequest, key: str, numbers: tuple[int, int]) -> dict[str, Any]:
    """Two versions side by side, where there are two."""
    if numbers == (1, 1):
        return {"sides": [], "rows": []}
    sides = [await catalogue.read(request.services, AGENT, key, version=number) for number in numbers]
    return {
        "sides": [_answer(side) for side in sides],
        "rows": [
            (name, values)
            for name, values in zip(SIDES, zip(*[_side(side) for side in sides], strict=True), strict=True)
            if set(values) != {NONE}
        ],
    }


def _side(thing: Thing) -> list[str]:
    content = thing.version.content
    return [
        content["name"],
        condition_text(condition_of(content)),
        "; ".join([f"{name}: {text}" for name, text in grade_lines(content)]) or NONE,
        span(content["settlement_period"]),
        ", ".join(timer_lines(content)) or NONE,
        reversal_line(content) or NONE,
        METHODS[content["attribution_method"]],
        "archived" if thing.version.archived else "active",
    ]


@action("/dashboard/agents/{key}/archive")
async def archive_agent(request: PageRequest) -> Answer:
    return await _archive(request, "archived", archived=True)


@action("/dashboard/agents/{key}/restore")
async def restore_agent(request: PageRequest) -> Answer:
    return await _archive(request, "restored", archived=False)


async def _archive(request: PageRequest, done: str, *, archived: bool) -> Answer:
    key = request.path["key"]
    since = await archive(request, AGENT, key, archived=archived)
    return Redirect(link("agents", key), "No change." if since is None else f"Agent {key} {done}{since}.")
