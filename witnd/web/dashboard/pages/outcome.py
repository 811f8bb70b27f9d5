"""One outcome: what happened to it, in order, and why it was billed or not."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup
from msgspec import UNSET, Struct

from witnd.app.errors import Refused
from witnd.app.outcomes.fates import fields_of
from witnd.app.outcomes.list import keys_of, one_with_unit
from witnd.app.outcomes.retry import retry
from witnd.app.outcomes.view import Explained, HeldEvent
from witnd.domain.catalogue import condition
from witnd.domain.catalogue.terms.reversal import REVERSAL
from witnd.domain.outcomes.explain import BilledUnit, ExplainedEvent, LeafState
from witnd.domain.pricing.working import working_text
from witnd.web.dashboard.forms.posted import formatted_fields
from witnd.web.dashboard.forms.submit import address
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, action, page
from witnd.web.dashboard.present.markup import sentence_html
from witnd.web.dashboard.present.price_words import words_of
from witnd.web.dashboard.present.reasons import Reason, held_now
from witnd.web.dashboard.present.term_words import reversal_line
from witnd.web.dashboard.present.words import link

# Events of one page of the timeline, and characters of each of their fields: a page stays below 200 KB as a rule.
EVENTS_MOST: Final = 50
FIELD_MOST: Final = 1000
# If a condition has more checks, each event shows only those that changed.
CHECKS_MOST: Final = 12
HELD_MOST: Final = 50
_ATTRIBUTION: Final = {
    "first": "the attribution of the first event with one",
    "last": "the attribution of the last event with one",
    "min": "the smallest attribution",
    "max": "the largest attribution",
    "sum": "the sum of all attributions",
}


class Step(Struct, frozen=True, kw_only=True):
    """An event of the timeline. `number` is its place among all, where that is known; `left_out`: the number of
    unchanged checks that are not shown; `sent`: its fields, if the log still has them."""

    number: int | None
    event: ExplainedEvent
    words: Markup
    checks: list[LeafState]
    left_out: int
    sent: list[tuple[str, str]]


class Wait(Struct, frozen=True, kw_only=True):
    """What events wait for, and how many of them."""

    reason: Reason
    events: int


@page("/dashboard/outcomes/{key}")
async def show_outcome(request: PageRequest) -> Answer:
    key, after = request.path["key"], request.query.get("events_after")
    found, unit = await one_with_unit(request.services, key, events_after=after, most=EVENTS_MOST)
    if found is None:
        return HtmlPage("outcomes/outcome_missing.html", {"key": key}, 404)
    shared = {"key": key, "found": found, "address": address(request) + link("outcomes", key)}
    if found.on_hold is not None:
        return HtmlPage("outcomes/outcome_on_hold.html", {**shared, "hold": found.on_hold})
    if found.outcome is None:
        held = {"events": found.held[:HELD_MOST], "more": len(found.held[HELD_MOST:]), "waits": _waits(request, found)}
        return HtmlPage("outcomes/outcome_held.html", {**shared, **held})
    return HtmlPage("outcomes/outcome.html", {**shared, **await _outcome_values(request, found, unit, after)})


@action("/dashboard/outcomes/{key}/retry")
async def retry_outcome(request: PageRequest) -> Answer:
    key = request.path["key"]
    try:
        await retry(request.services, request.author, key)
        message = f"Retrying the held events of {key}. Those that can be placed are applied in a moment."
    except Refused as refused:
        if refused.code != "NOT_FOUND":
            raise
        message = f"No events of {key} are held."
    back = request.form.get("back") == "problems"
    return Redirect(f"{link('problems')}#held" if back else link("outcomes", key), message)


async def _outcome_values(
    request: PageRequest, found: Explained, unit: BilledUnit | None, after: str | None
) -> dict[str, Any]:
    assert found.outcome is not None
    assert found.terms is not None
    outcome, story, line = found.outcome, found.story, found.line
    events = [] if story is None else list(story.events)
    here = {event.entry for event in events}
    sent = await fields_of(request.services, keys_of(request.services, found.key), [event.entry for event in events])
    first = 1 if after == "0-0" else None if after else outcome.events_count - len(events) + 1
    amount = None if line is None else line.amount
    if amount is None and found.invoice is not None:
        amount = found.invoice.amount
    final = outcome.processed_at is not None
    return {
        "outcome": outcome,
        "terms": found.terms,
        "price": words_of(found.terms.price, found.terms.digits),
        "final": final,
        "live": not final or (line is not None and found.invoice is None) or _waits_to_be_sent(found),
        "why": None if story is None else sentence_html(story.why, here),
        "rule": condition.condition_text(found.terms.condition),
        "attribution": _ATTRIBUTION[found.terms.attribution_method],
        "reversible": reversal_line({REVERSAL: found.terms.reversal}),
        "agreed": found.terms.price.get("customer"),
        "unit": line.unit if line is not None else unit and unit.quantity,
        "unit_words": unit and unit.source,
        "amount": amount,
        "working": None if line is None or line.working is UNSET else working_text(line.working),
        "steps": _steps(events, first, sent, here, last=found.events_next_cursor is None),
        "earlier": story is not None and (first is None or first > 1),
        "paged": after is not None,
        "next": link("outcomes", found.key, events_after=found.events_next_cursor)
        if found.events_next_cursor
        else None,
    }


def _waits_to_be_sent(found: Explained) -> bool:
    return any(one.standing == "pending" for one in found.deliveries)


def _steps(
    events: Sequence[ExplainedEvent],
    first: int | None,
    sent: Mapping[str, list[tuple[str, str]]],
    here: set[str],
    *,
    last: bool,
) -> list[Step]:
    steps = []
    for place, event in enumerate(events):
        whole = len(event.leaves) <= CHECKS_MOST or (last and place == len(events) - 1)
        checks = [leaf for leaf in event.leaves if whole or leaf.flipped]
        steps.append(
            Step(
                number=None if first is None else first + place,
                event=event,
                words=sentence_html(event.words, here),
                checks=checks,
                left_out=len(event.leaves) - len(checks),
                sent=formatted_fields(sent.get(event.entry, []), FIELD_MOST),
            )
        )
    return steps


def _waits(request: PageRequest, found: Explained) -> list[Wait]:
    """Each thing that events wait for, once."""
    waits: dict[Reason, int] = {}
    for event in found.held:
        reason = _reason(request, event)
        waits[reason] = waits.get(reason, 0) + 1
    return [Wait(reason=reason, events=many) for reason, many in waits.items()]


def _reason(request: PageRequest, event: HeldEvent) -> Reason:
    return held_now(
        request.services.catalogue,
        event.reason,
        customer=event.customer_key,
        agent=event.agent_key,
        action=event.action,
        at=request.services.now_ms(),
    )
