"""Events and what became of them, searched by fate."""

from typing import Any, Final

from witnd.app.errors import Refused, invalid
from witnd.app.outcomes import fates
from witnd.app.outcomes.list import one
from witnd.app.outcomes.list import page as page_of_outcomes
from witnd.app.outcomes.retry import remove
from witnd.app.outcomes.view import HeldEvent
from witnd.domain.outcomes.event import Event
from witnd.store.query.fates import Fate, event_of
from witnd.web.dashboard.forms.posted import laid_out
from witnd.web.dashboard.forms.submit import example, sending
from witnd.web.dashboard.page import Answer, Moved, Shown, Visit, action, page
from witnd.web.dashboard.present.reasons import FATES, Reason, held_now, mismatch, why
from witnd.web.dashboard.present.words import link

LIMIT: Final = 50
FILTERS: Final = ("fate", "key", "id")


@page("/dashboard/events")
async def list_events(visit: Visit) -> Answer:
    query = visit.query
    asked = {name: query.get(name, "").strip() for name in FILTERS}
    problem, cursor, found = "", None, []
    if asked["id"]:
        try:
            found = await fates.anywhere(visit.services, asked["id"])
        except Refused as refused:
            problem = refused.details[0].message
        if len(found) == 1:
            return Moved(link("events", str(found[0].partition), found[0].id))
    else:
        listed = await fates.page(
            visit.services, fate=asked["fate"] or None, key=asked["key"] or None, limit=LIMIT, after=query.get("after")
        )
        found, cursor = listed.data, listed.next_cursor
    held = await fates.events_of(visit.services, [fate for fate in found if fate.fate == "held"])
    return Shown(
        "events.html",
        {
            "found": [(fate, _reason(visit, fate, held.get((fate.partition, fate.id)))) for fate in found],
            "asked": asked,
            "problem": problem,
            "filtered": any(asked.values()),
            "choices": [("", "all"), *FATES],
            "next": link("events", **asked, after=cursor) if cursor else None,
            "first": link("events", **asked) if "after" in query else None,
            "sending": sending(visit, example(visit)),
        },
    )


@page("/dashboard/events/{partition}/{id}")
async def show_event(visit: Visit) -> Answer:
    partition, id_ = visit.path["partition"], visit.path["id"]
    try:
        fate = await fates.one(visit.services, partition, id_, visit.query.get("key"))
    except Refused as refused:
        if refused.code == "UNAVAILABLE":
            raise
        return Shown("event_missing.html", {"id": id_, "asked": visit.query.get("key", "")}, 404)
    # What waits is kept with its key, also where the log has lost it.
    event = event_of(fate.fields) if fate.fields else await _waiting(visit, fate)
    reason = await _mismatch(visit, fate, event) or _reason(visit, fate, event)
    sent = laid_out(fate.fields or [])
    return Shown("event.html", {**_facts(fate, event), "fate": fate, "reason": reason, "sent": sent})


@action("/dashboard/events/{partition}/{id}/remove")
async def remove_event(visit: Visit) -> Answer:
    if "confirmed" not in visit.form:
        raise invalid("confirmed", "tick the box to confirm; you cannot undo this")
    done = await remove(visit.services, visit.author, visit.path["partition"], visit.path["id"])
    return Moved(link("events", str(done.partition), done.id), "The event will be rejected in a moment.")


async def _waiting(visit: Visit, fate: Fate) -> HeldEvent | None:
    if fate.fate != "held" or fate.key is None:
        return None
    outcome = await one(visit.services, fate.key)
    return None if outcome is None else next((held for held in outcome.held if held.entry == fate.id), None)


async def _mismatch(visit: Visit, fate: Fate, event: Event | HeldEvent | None) -> Reason | None:
    """Whose outcome it is instead, where that is why it was rejected."""
    if fate.reason != "IDENTITY_MISMATCH" or fate.key is None or event is None:
        return None
    found = await page_of_outcomes(visit.services, key=fate.key, limit=1, after=None)
    if not found.data:
        return None
    [outcome] = found.data
    return mismatch(outcome.customer_key, outcome.agent_key, event.customer_key, event.agent_key)


def _reason(visit: Visit, fate: Fate, event: Event | HeldEvent | None) -> Reason:
    """With the names in it where the event is held and at hand."""
    if fate.fate != "held" or event is None:
        return why(fate)
    return held_now(
        visit.services.catalogue,
        fate.reason or "",
        customer=event.customer_key,
        agent=event.agent_key,
        action=event.action,
        at=visit.services.now_ms(),
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
