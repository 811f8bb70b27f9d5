"""Events and what became of them, searched by fate."""

from typing import Any, Final

from witnd.app.errors import Refused, invalid
from witnd.app.outcomes import fates
from witnd.app.outcomes.list import one
from witnd.app.outcomes.list import page as page_of_outcomes
from witnd.app.outcomes.retry import held_event, remove
from witnd.app.outcomes.view import HeldEvent
from witnd.domain.outcomes.event import Event
from witnd.store.query.fates import Fate, event_of, shorten
from witnd.web.dashboard.forms.posted import formatted_fields
from witnd.web.dashboard.forms.submit import example, sending
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, action, page
from witnd.web.dashboard.present.reasons import FATES, Reason, held_now, mismatch, why
from witnd.web.dashboard.present.words import link

LIMIT: Final = 50
FILTERS: Final = ("fate", "key", "id")


@page("/dashboard/events")
async def list_events(request: PageRequest) -> Answer:
    query = request.query
    asked = {name: query.get(name, "").strip() for name in FILTERS}
    problem, cursor, found = "", None, []
    if asked["id"]:
        try:
            found = [shorten(fate) for fate in await fates.anywhere(request.services, asked["id"])]
        except Refused as refused:
            problem = refused.details[0].message
        if len(found) == 1:
            return Redirect(link("events", str(found[0].partition), found[0].id))
    else:
        listed = await fates.page(
            request.services,
            fate=asked["fate"] or None,
            key=asked["key"] or None,
            limit=LIMIT,
            after=query.get("after"),
        )
        found, cursor = listed.data, listed.cursor
    held = await fates.events_of(request.services, [fate for fate in found if fate.fate == "held"])
    return HtmlPage(
        "outcomes/events.html",
        {
            "found": [(fate, _reason(request, fate, held.get((fate.partition, fate.id)))) for fate in found],
            "asked": asked,
            "problem": problem,
            "filtered": any(asked.values()),
            "choices": [("", "all"), *FATES],
            "next": link("events", **asked, after=cursor) if cursor else None,
            "first": link("events", **asked) if "after" in query else None,
            "sending": sending(request, example(request)),
        },
    )


@page("/dashboard/events/{partition}/{id}")
async def show_event(request: PageRequest) -> Answer:
    id_ = request.path["id"]
    try:
        partition = fates.partition_named(request.path["partition"])
        fate = await fates.one(request.services, id_, partition=partition, key=request.query.get("key"))
    except Refused as refused:
        if refused.code == "UNAVAILABLE":
            raise
        return HtmlPage("outcomes/event_missing.html", {"id": id_, "asked": request.query.get("key", "")}, 404)
    # What waits is kept with its key, also where the log has lost it.
    event = event_of(fate.fields) if fate.fields else await _waiting(request, fate)
    reason = await _mismatch(request, fate, event) or _reason(request, fate, event)
    sent = formatted_fields(fate.fields or [])
    return HtmlPage("outcomes/event.html", {**_facts(fate, event), "fate": fate, "reason": reason, "sent": sent})


@action("/dashboard/events/{partition}/{id}/remove")
async def remove_event(request: PageRequest) -> Answer:
    if "confirmed" not in request.form:
        raise invalid("confirmed", "tick the box to confirm; you cannot undo this")
    partition = fates.partition_named(request.path["partition"])
    held = await held_event(request.services, request.path["id"], partition)
    done = await remove(request.services, request.author, held)
    return Redirect(link("events", str(done.partition), done.id), "The event will be rejected in a moment.")


async def _waiting(request: PageRequest, fate: Fate) -> HeldEvent | None:
    if fate.fate != "held" or fate.key is None:
        return None
    outcome = await one(request.services, fate.key)
    return None if outcome is None else next((held for held in outcome.held if held.entry == fate.id), None)


async def _mismatch(request: PageRequest, fate: Fate, event: Event | HeldEvent | None) -> Reason | None:
    """Whose outcome it is instead, where that is why it was rejected."""
    if fate.reason != "IDENTITY_MISMATCH" or fate.key is None or event is None:
        return None
    found = await page_of_outcomes(request.services, key=fate.key, limit=1, after=None)
    if not found.data:
        return None
    [outcome] = found.data
    return mismatch(outcome.customer_key, outcome.agent_key, event.customer_key, event.agent_key)


def _reason(request: PageRequest, fate: Fate, event: Event | HeldEvent | None) -> Reason:
    """With the names in it where the event is held and at hand."""
    if fate.fate != "held" or event is None:
        return why(fate)
    return held_now(
        request.services.catalogue,
        fate.reason or "",
        customer=event.customer_key,
        agent=event.agent_key,
        action=event.action,
        at=request.services.now_ms(),
    )


def _facts(fate: Fate, event: Event | HeldEvent | None) -> dict[str, Any]:
    """What the event says of itself; None where nobody knows."""
    return {
        "key": event.key if isinstance(event, Event) else fate.key,
        "action": None if event is None else event.action,
        "customer": None if event is None else event.customer_key,
        "agent": None if event is None else event.agent_key,
        "happened": event.timestamp if isinstance(event, Event) else None,
    }
