"""Notification rules: where webhooks go, how their endpoints answer, a test of them, and resuming one.

Forms and secrets are left to `notification_form`.
"""

from collections.abc import Mapping
from typing import Any, Final

from witnd.app import deliveries
from witnd.app.catalogue import change as catalogue_change
from witnd.app.catalogue import read as catalogue
from witnd.app.catalogue import rules
from witnd.app.catalogue.read import RULE
from witnd.app.errors import Refused
from witnd.domain.webhooks.delivery import Attempt
from witnd.domain.webhooks.sample import TYPE as SAMPLE_TYPE
from witnd.web.api.catalogue.rule_answers import answer, answers
from witnd.web.dashboard.forms.archiving import archive
from witnd.web.dashboard.forms.errors import told
from witnd.web.dashboard.forms.versions import versions_of
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, action, page
from witnd.web.dashboard.present.words import link, number, plural
from witnd.web.errors import status_of

LIMIT: Final = 50
# Deliveries on a rule's page, and how many of all rules are looked at for them; their own list has all.
NEWEST: Final = 5
LOOKED_AT_MAX: Final = 500
# Which outcomes a rule tells of, for people.
TELLS_OF: Final[Mapping[str, str]] = {
    "both": "confirmed and missed",
    "outcome_confirmed": "confirmed",
    "outcome_missed": "missed",
}
# How a rotation is filled in before anybody did it.
ROTATION: Final[Mapping[str, str]] = {"secret": "", "overlap": "1", "unit": "86400"}
UNITS: Final[Mapping[str, str]] = {"60": "minutes", "3600": "hours", "86400": "days"}


@page("/dashboard/notifications")
async def list_rules(request: PageRequest) -> Answer:
    services, archived = request.services, "archived" in request.query
    found, cursor = await catalogue.listed(services, RULE, (LIMIT, request.query.get("after")), archived=archived)
    shown = await answers(services, found)
    desk = await services.deliveries()
    asked = {"archived": "yes" if archived else ""}
    return HtmlPage(
        "notifications.html",
        {
            "found": list(zip(shown, await desk.queue_sizes([rule.id for rule in shown]), strict=True)),
            "archived": archived,
            "some": bool(services.catalogue.keys(RULE.name)),
            "tells_of": TELLS_OF,
            "at": at,
            "next": link("notifications", **asked, after=cursor) if cursor else None,
            "first": link("notifications", **asked) if "after" in request.query else None,
        },
    )


@page("/dashboard/notifications/{name}")
async def show_rule(request: PageRequest) -> Answer:
    return await rule_page(request, await name_of(request))


@action("/dashboard/notifications/{name}/test")
async def test_rule(request: PageRequest) -> Answer:
    """What comes of it is shown at once, and kept nowhere."""
    name = await name_of(request)
    return await rule_page(request, name, tested=await rules.test(request.services, name, request.call.request_id))


@action("/dashboard/notifications/{name}/resume")
async def resume_rule(request: PageRequest) -> Answer:
    name = await name_of(request)
    queued = await rules.resume(request.services, request.author, name)
    if queued >= rules.RESUMED_MAX:
        said = f"Resumed. The first {number(queued)} parked deliveries are queued; press Resume again for the others."
    elif queued:
        said = f"Resumed. {plural(queued, 'parked delivery', 'parked deliveries')} queued to be sent, the oldest first."
    else:
        said = "Resumed. Nothing was parked."
    return Redirect(at(name), said)


@action("/dashboard/notifications/{name}/enable")
async def enable_rule(request: PageRequest) -> Answer:
    return await _enable(request, enabled=True)


@action("/dashboard/notifications/{name}/disable")
async def disable_rule(request: PageRequest) -> Answer:
    return await _enable(request, enabled=False)


async def _enable(request: PageRequest, *, enabled: bool) -> Answer:
    name = await name_of(request)
    await catalogue_change.change(request.services, request.author, RULE, name, {"enabled": enabled})
    said = (
        "enabled: what resolves from now on is sent" if enabled else "disabled: what resolves from now on is not sent"
    )
    return Redirect(at(name), f"{name} is {said}.")


@action("/dashboard/notifications/{name}/archive")
async def archive_rule(request: PageRequest) -> Answer:
    return await _archive(request, "archived: nothing is sent by it any more", archived=True)


@action("/dashboard/notifications/{name}/restore")
async def restore_rule(request: PageRequest) -> Answer:
    return await _archive(request, "back from the archive", archived=False)


async def _archive(request: PageRequest, done: str, *, archived: bool) -> Answer:
    name = await name_of(request)
    since = await archive(request, RULE, name, archived=archived)
    return Redirect(at(name), "It is so already." if since is None else f"{name} is {done}{since}.")


# -- the page of a rule ------------------------------------------------------------------------------------------------


async def rule_page(
    request: PageRequest,
    name: str,
    *,
    tested: rules.Tested | None = None,
    rotation: Mapping[str, str] = ROTATION,
    refused: Refused | None = None,
) -> HtmlPage:
    """`tested`: what came of a test just now. `rotation`, `refused`: a change of the secret that was refused."""
    services = request.services
    thing = await catalogue.read(services, RULE, name)
    rule = await answer(services, thing)
    [waiting] = await (await services.deliveries()).queue_sizes([rule.id])
    newest = await deliveries.page(services, rule=name, limit=NEWEST, after=None, looked_at_max=LOOKED_AT_MAX)
    return HtmlPage(
        "notification.html",
        {
            "rule": rule,
            "tells_of": TELLS_OF,
            "at": at,
            "waiting": waiting,
            "newest": newest.data,
            "more": newest.cursor is not None,
            "tested": tested,
            "advice": None if tested is None else advice(tested.attempt),
            "sample_type": SAMPLE_TYPE,
            **await versions_of(request, RULE, thing),
            "rotation": rotation,
            "seen": thing.count,
            "units": list(UNITS.items()),
            **told(refused),
        },
        200 if refused is None else status_of(refused),
    )


def advice(attempt: Attempt) -> str | None:
    """What most often is the reason for such an answer."""
    status = attempt.status or 0
    if attempt.gone:
        return "In a real delivery, 410 suspends the endpoint at once."
    if status in (401, 403):
        return "Does the receiver verify signatures with the secret of this notification, and with the body as it came?"
    if status in (404, 405):
        return "The receiver is there. Check the path of the address, and that it accepts POST."
    if 300 <= status < 400:
        return "Redirects are not followed: give the address that it leads to."
    return None


# -- what pages of rules share -----------------------------------------------------------------------------------------


async def name_of(request: PageRequest) -> str:
    """The rule that the address names: by its name, or by its id."""
    named = request.path["name"]
    known = await request.services.learned()
    return named if known.versions(RULE.name, named) else await rules.name_of(request.services, named)


def at(name: str, *more: str, **query: Any) -> str:
    """The address of a rule's page."""
    return link("notifications", name, *more, **query)
