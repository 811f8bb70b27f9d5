"""Notification rules: their endpoints, tests, and resuming. Forms and secrets are in `notification_form`."""

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
from witnd.web.dashboard.forms.errors import error_values
from witnd.web.dashboard.forms.versions import versions_of
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, action, page
from witnd.web.dashboard.present.words import link, number, plural
from witnd.web.errors import status_of

LIMIT: Final = 50
# Deliveries on a rule's page, and how many of all rules are looked at for them; their own list has all.
NEWEST: Final = 5
LOOKED_AT_MAX: Final = 500
# Which outcomes a rule reports.
SOURCE_LABELS: Final[Mapping[str, str]] = {
    "both": "confirmed and missed",
    "outcome_confirmed": "confirmed",
    "outcome_missed": "missed",
    "outcome_reversed": "reversed",
}
# Billing events.
EVENT_LABELS: Final[Mapping[str, str]] = {
    "invoice_closed": "invoices whose period has closed",
    "invoice_issued": "issued invoices",
    "invoice_paid": "paid invoices",
    "invoice_overdue": "overdue invoices",
    "invoice_voided": "voided invoices",
    "credit_note_issued": "issued credit notes",
    "endpoint_suspended": "suspended endpoints",
    "settlement_blocked": "blocked settlement",
}
# Default values of the rotation form.
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
        "webhooks/notifications.html",
        {
            "found": list(zip(shown, await desk.queue_sizes([rule.id for rule in shown]), strict=True)),
            "archived": archived,
            "some": bool(services.catalogue.keys(RULE.name)),
            "source_words": source_words,
            "is_event": EVENT_LABELS.__contains__,
            "rule_link": rule_link,
            "next": link("notifications", **asked, after=cursor) if cursor else None,
            "first": link("notifications", **asked) if "after" in request.query else None,
        },
    )


@page("/dashboard/notifications/{name}")
async def show_rule(request: PageRequest) -> Answer:
    return await rule_page(request, await name_of(request))


@action("/dashboard/notifications/{name}/test")
async def test_rule(request: PageRequest) -> Answer:
    """Send a test and show the response, which is not stored."""
    name = await name_of(request)
    return await rule_page(request, name, tested=await rules.test(request.services, name, request.call.request_id))


@action("/dashboard/notifications/{name}/resume")
async def resume_rule(request: PageRequest) -> Answer:
    name = await name_of(request)
    queued = await rules.resume(request.services, request.author, name)
    if queued >= rules.RESUMED_MAX:
        message = f"Resumed. The first {number(queued)} parked deliveries are queued; press Resume again for more."
    elif queued:
        message = f"Resumed. {plural(queued, 'parked delivery', 'parked deliveries')} queued, oldest first."
    else:
        message = "Resumed. No deliveries were parked."
    return Redirect(rule_link(name), message)


@action("/dashboard/notifications/{name}/enable")
async def enable_rule(request: PageRequest) -> Answer:
    return await _enable(request, enabled=True)


@action("/dashboard/notifications/{name}/disable")
async def disable_rule(request: PageRequest) -> Answer:
    return await _enable(request, enabled=False)


async def _enable(request: PageRequest, *, enabled: bool) -> Answer:
    name = await name_of(request)
    await catalogue_change.change(request.services, request.author, RULE, name, {"enabled": enabled})
    return Redirect(rule_link(name), f"{name} {'enabled' if enabled else 'disabled'}.")


@action("/dashboard/notifications/{name}/archive")
async def archive_rule(request: PageRequest) -> Answer:
    return await _archive(request, "archived", archived=True)


@action("/dashboard/notifications/{name}/restore")
async def restore_rule(request: PageRequest) -> Answer:
    return await _archive(request, "restored", archived=False)


async def _archive(request: PageRequest, done: str, *, archived: bool) -> Answer:
    name = await name_of(request)
    since = await archive(request, RULE, name, archived=archived)
    return Redirect(rule_link(name), "No change." if since is None else f"{name} {done}{since}.")


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
        "webhooks/notification.html",
        {
            "rule": rule,
            "source_words": source_words,
            "is_event": EVENT_LABELS.__contains__,
            "rule_link": rule_link,
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
            **error_values(refused),
        },
        200 if refused is None else status_of(refused),
    )


def advice(attempt: Attempt) -> str | None:
    """Return the most likely reason for such a response."""
    status = attempt.status or 0
    if attempt.gone:
        return "For a real delivery, status 410 suspends the endpoint at once."
    if status in (401, 403):
        return "Check that the receiver verifies signatures with this notification's secret and the raw body."
    if status in (404, 405):
        return "Check the path of the URL, and that the receiver accepts POST."
    if 300 <= status < 400:
        return "witnd does not follow redirects. Enter the final URL."
    return None


# -- what pages of rules share -----------------------------------------------------------------------------------------


async def name_of(request: PageRequest) -> str:
    """The rule that the address names: by its name, or by its id."""
    named = request.path["name"]
    known = await request.services.learned()
    return named if known.versions(RULE.name, named) else await rules.name_of(request.services, named)


def source_words(source: str) -> str:
    """Return what a rule reports, for people."""
    return EVENT_LABELS.get(source) or f"{SOURCE_LABELS[source]} outcomes"


def rule_link(name: str, *more: str, **query: Any) -> str:
    """The address of a rule's page."""
    return link("notifications", name, *more, **query)
