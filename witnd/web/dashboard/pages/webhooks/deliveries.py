"""Deliveries: the list, one delivery with its attempts, and resending."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from witnd.app import deliveries
from witnd.app.catalogue.read import RULE
from witnd.app.errors import Refused, invalid
from witnd.domain.webhooks.delivery import MAX_ATTEMPTS_KEPT
from witnd.domain.webhooks.delivery_json import DeliveryDetailJson
from witnd.web.dashboard.forms.errors import error_values
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, action, page
from witnd.web.dashboard.pages.webhooks.notifications import rule_link
from witnd.web.dashboard.present.instants import written_instant
from witnd.web.dashboard.present.words import link, plural
from witnd.web.errors import status_of

LIMIT: Final = 50
FILTERS: Final = ("standing", "rule", "about")
RANGE: Final = ("from", "to", "rule", "standing")
# Ids of messages, as receivers find them in the header `webhook-id`.
_ID: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@page("/dashboard/deliveries")
async def list_deliveries(request: PageRequest) -> Answer:
    services, query = request.services, request.query
    about, after = query.get("about", "").strip(), query.get("after")
    if _ID.fullmatch(about) and await (await services.deliveries()).find(about):
        return Redirect(link("deliveries", about))
    found = await deliveries.page(
        services,
        standing=query.get("standing"),
        rule=query.get("rule"),
        outcome_key=about or None,
        limit=LIMIT,
        after=after,
    )
    asked = {name: query.get(name, "") for name in FILTERS}
    return HtmlPage(
        "webhooks/deliveries.html",
        {
            "found": found.data,
            "asked": asked,
            "filtered": any(asked.values()),
            "rules": services.catalogue.keys(RULE.name),
            "rule_link": rule_link,
            "next": link("deliveries", **asked, after=found.cursor) if found.cursor else None,
            "first": link("deliveries", **asked) if after else None,
        },
    )


@page("/dashboard/deliveries/{id}")
async def show_delivery(request: PageRequest) -> Answer:
    found = await deliveries.in_full(request.services, request.path["id"])
    rule = None
    if found.rule is not None:
        known = (await request.services.learned()).entry(RULE.name, found.rule.name, request.services.now_ms())
        rule = None if known is None else {"enabled": known.content["enabled"], "archived": known.archived}
    return HtmlPage(
        "webhooks/delivery.html",
        {
            "one": found,
            # Numbered as they were made; of many, the first are not kept.
            "attempts": list(enumerate(found.history, found.attempts - len(found.history) + 1)),
            "kept": MAX_ATTEMPTS_KEPT,
            "laid_out": _formatted_body(found),
            "body": bytes(found.body).decode(),
            "rule": rule,
            "rule_link": rule_link,
        },
    )


def _formatted_body(found: DeliveryDetailJson) -> str | None:
    """The body with a line for each member; as it is sent it has no spaces."""
    return None if found.rule is None else msgspec.json.format(bytes(found.body), indent=2).decode()


@action("/dashboard/deliveries/{id}/resend")
async def resend_delivery(request: PageRequest) -> Answer:
    found = await deliveries.resend(request.services, request.author, request.path["id"])
    return Redirect(link("deliveries", found.id), "Queued to be resent with the same ID. The response appears below.")


# -- a range -----------------------------------------------------------------------------------------------------------


@page("/dashboard/deliveries/resend", scope="admin")
async def choose_range(request: PageRequest) -> Answer:
    await request.services.learned()
    return _range(request, {name: request.query.get(name, "") for name in RANGE})


@action("/dashboard/deliveries/resend")
async def resend_range(request: PageRequest) -> Answer:
    """Count the deliveries of a range, or resend them."""
    given = {name: request.form.get(name, "").strip() for name in RANGE}
    sending = request.form.get("do") == "send"
    try:
        from_, to = _required("from", given), _required("to", given)
        rule, standing = given["rule"] or None, given["standing"] or None
        if not sending:
            many = await deliveries.count_between(request.services, from_, to, rule=rule, standing=standing)
            return _range(request, given, many=many)
        if "confirmed" not in request.form:
            raise invalid("", "tick the box to confirm")
        many = await deliveries.resend_between(
            request.services, request.author, from_, to, rule=rule, standing=standing
        )  # fmt: skip
    except Refused as refused:
        return _range(request, given, refused=refused)
    if not many:
        return Redirect(link("deliveries"), "No deliveries in that range.")
    return Redirect(link("deliveries"), f"{plural(many, 'delivery', 'deliveries')} queued to be resent.")


def _required(name: str, given: Mapping[str, str]) -> str:
    text = written_instant(given[name])
    if text is None:
        raise invalid(name, "is missing; choose a time")
    return text


def _range(
    request: PageRequest, given: Mapping[str, str], *, many: int | None = None, refused: Refused | None = None
) -> HtmlPage:
    """`many`: how many were counted."""
    values: dict[str, Any] = {
        "given": given,
        "rules": request.services.catalogue.keys(RULE.name),
        "many": many,
        "most": deliveries.RESENT_MAX,
        **error_values(refused),
    }
    return HtmlPage("webhooks/delivery_resend.html", values, 200 if refused is None else status_of(refused))
