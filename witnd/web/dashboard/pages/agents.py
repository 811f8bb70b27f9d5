"""Agents: what makes an outcome billable, in versions."""

from typing import Any, Final

from witnd.domain.condition import words
from witnd.web import catalogue, catalogue_change
from witnd.web.catalogue import AGENT, Thing
from witnd.web.catalogue_answers import note, version_line, versioned
from witnd.web.dashboard.conditions import checks, opened
from witnd.web.dashboard.instants import written_instant
from witnd.web.dashboard.page import Answer, Moved, Shown, Visit, action, page
from witnd.web.dashboard.sending import KEY as EXAMPLE_KEY
from witnd.web.dashboard.sending import address as site
from witnd.web.dashboard.sending import sending
from witnd.web.dashboard.terms import METHODS
from witnd.web.dashboard.terms import since as from_when
from witnd.web.dashboard.words import link, span
from witnd.web.errors import invalid
from witnd.web.running import LOOKED_AT_MAX, running

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
    return await shown(visit, visit.path["key"])


def address(key: str, **query: object) -> str:
    """Where the page of an agent is. Where one called `new` would be, there is the form for new ones."""
    return link("agents", key, **query, show="agent" if key == "new" and not query else None)


async def shown(visit: Visit, key: str) -> Answer:
    services, query = visit.services, visit.query
    version = _numbered(query, "version")
    thing = await catalogue.read(services, AGENT, key, version=version)
    # The newest versions first, in pages that end where the address says.
    last = min(_numbered(query, "before") or thing.count, thing.count)
    start = max(0, last - LIMIT)
    listed, _ = await catalogue.versions(services, AGENT, key, (last - start, str(start)))
    return Shown(
        "agent.html",
        {
            "agent": _answer(thing),
            "named": version is not None,
            "method": METHODS[thing.version.content["attribution_method"]],
            "lines": [version_line(one) for one in reversed(listed)],
            "address": address(key),
            "earlier": address(key, before=start) if start else None,
            "latest": address(key) if last < thing.count else None,
            **await _compared(visit, thing),
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
        "address": address(thing.key),
        **content,
        "condition_words": words(content["condition"]),
        **versioned(thing),
    }


def _example(thing: Thing) -> dict[str, str]:
    """An event that the agent looks for."""
    facts = [check.fact for check in checks(opened(thing.version.content["condition"]))]
    action = facts[0] if facts else "ticket_solved"
    return {"key": EXAMPLE_KEY, "customer_key": "acme", "agent_key": thing.key, "action": action}


async def _compared(visit: Visit, thing: Thing) -> dict[str, Any]:
    """The two versions that the address names, side by side; else the last two."""
    one, other = _numbered(visit.query, "from"), _numbered(visit.query, "to")
    one, other = (thing.count - 1, thing.count) if one is None and other is None else (one or 1, other or thing.count)
    if thing.count == 1:
        return {"sides": [], "rows": []}
    sides = [await catalogue.read(visit.services, AGENT, thing.key, version=number) for number in (one, other)]
    return {
        "sides": [_answer(side) for side in sides],
        "rows": list(zip(SIDES, zip(*[_side(side) for side in sides], strict=True), strict=True)),
    }


def _side(thing: Thing) -> list[str]:
    content = thing.version.content
    return [
        content["name"],
        words(content["condition"]),
        span(content["settlement_period"]),
        METHODS[content["attribution_method"]],
        "archived" if thing.version.archived else "opens outcomes",
    ]


def _numbered(query: dict[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise invalid(name, "must be the number of a version")
    return int(text)


@action("/dashboard/agents/{key}/archive")
async def archive_agent(visit: Visit) -> Answer:
    if not visit.form.get("confirmed"):
        raise invalid("confirmed", "tick the box first: new outcomes are refused from then on")
    return await _archive(visit, archived=True)


@action("/dashboard/agents/{key}/restore")
async def restore_agent(visit: Visit) -> Answer:
    return await _archive(visit, archived=False)


async def _archive(visit: Visit, *, archived: bool) -> Answer:
    key, start = visit.path["key"], written_instant(visit.form.get("effective_from", "").strip())
    written = await catalogue_change.archive(visit.services, AGENT, key, archived=archived, effective_from=start)
    await note(visit.call, f"{AGENT.name}.{'archive' if archived else 'restore'}", written)
    since = from_when(written.thing.version.effective_from, start)
    opens = "opens no new outcomes; those that are open go on" if archived else "opens outcomes again"
    return Moved(address(key), f"The agent {opens}, {since}." if written.changed else "It is so already.")
