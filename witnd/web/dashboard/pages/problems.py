"""Needs attention: held and rejected events, undelivered webhooks; and retrying held events."""

from typing import Final

from msgspec import Struct

from witnd.app.outcomes import fates
from witnd.app.outcomes.retry import RetriedHeld, retry_held
from witnd.app.paging import read_with_catalogue
from witnd.app.problems import HeldKey, Problems, Waiting, needs
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.store.query.fates import Fate
from witnd.store.query.reads import Reads
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, action, page
from witnd.web.dashboard.present.reasons import Reason, held_now, why
from witnd.web.dashboard.present.words import link, plural

LATE_SHOWN: Final = 10


class Stuck(Struct, frozen=True, kw_only=True):
    """A key with held events, and why they wait."""

    held: HeldKey
    reason: Reason


@page("/dashboard/problems")
async def show_problems(request: PageRequest) -> Answer:
    services = request.services

    async def ask(reads: Reads, catalogue: Catalogue) -> tuple[Problems, list[Waiting]]:
        return await needs(services, reads, catalogue)

    found, waiting = await read_with_catalogue(services, ask)
    late = await fates.page(services, fate="late", key=None, limit=LATE_SHOWN, after=None)
    return HtmlPage(
        "problems.html",
        {
            "found": found,
            "held": [_stuck(request, one) for one in waiting],
            "rejected": _with_reasons(found.rejected.items),
            "late": _with_reasons(late.data),
            "more_late": late.cursor is not None,
            "after": request.query.get("after", ""),
        },
    )


@action("/dashboard/problems/retry-held")
async def retry_all(request: PageRequest) -> Answer:
    done = await retry_held(request.services, request.author, request.form.get("after") or None)
    return Redirect(f"{link('problems', after=done.next_cursor)}#held", _retry_message(done))


def _retry_message(done: RetriedHeld) -> str:
    looked = f"Checked {plural(done.looked_at, 'key')} with held events. "
    if done.retried:
        text = f"{plural(done.retried, 'key')} will be placed in a moment."
    else:
        text = "None can be placed yet; see the reasons below."
    return looked + text + (" There are more: press the button again." if done.next_cursor else "")


def _stuck(request: PageRequest, one: Waiting) -> Stuck:
    reason = held_now(
        request.services.catalogue,
        one.held.reason,
        customer=one.first.customer_key,
        agent=one.first.agent_key,
        action=one.first.action,
        at=request.services.now_ms(),
    )
    return Stuck(held=one.held, reason=reason)


def _with_reasons(found: list[Fate]) -> list[tuple[Fate, Reason]]:
    return [(fate, why(fate)) for fate in found]
