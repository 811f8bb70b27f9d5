"""The form of a notification rule, and its secrets: each is shown once, as the answer to the form that made it."""

from collections.abc import Mapping
from typing import Any, Final

from witnd.app.catalogue import change as catalogue_change
from witnd.app.catalogue import read as catalogue
from witnd.app.catalogue import rules
from witnd.app.catalogue.read import RULE
from witnd.app.errors import Refused, invalid
from witnd.domain.webhooks.rotation import DEFAULT_OVERLAP
from witnd.web.dashboard.forms.errors import error_values
from witnd.web.dashboard.forms.versions import check_seen
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, action, page
from witnd.web.dashboard.pages.webhooks.notifications import (
    EVENT_LABELS,
    ROTATION,
    SOURCE_LABELS,
    UNITS,
    name_of,
    rule_link,
    rule_page,
    source_words,
)
from witnd.web.dashboard.present.instants import from_when, written_instant
from witnd.web.errors import status_of

FIELDS: Final = ("name", "source", "agent", "url", "enabled", "secret", "effective_from")
_BLANK: Final[Mapping[str, str]] = {**dict.fromkeys(FIELDS, ""), "source": "both", "enabled": "yes"}


@page("/dashboard/notifications/new", scope="admin")
async def new_rule(request: PageRequest) -> Answer:
    await request.services.learned()
    return _form(request, None, {**_BLANK, "agent": request.query.get("agent", "")})


@action("/dashboard/notifications/new")
async def create_rule(request: PageRequest) -> Answer:
    given = _given(request)
    asked = {"name": given["name"], **({"secret": given["secret"]} if given["secret"] else {}), **_content(given)}
    try:
        written = await catalogue_change.create(request.services, request.author, RULE, asked)
    except Refused as refused:
        return _form(request, None, given, refused)
    name, since = written.thing.key, from_when(written.thing.version.effective_from, asked["effective_from"])
    if written.secret is None:
        return Redirect(rule_link(name), f"Notification {name} created{since}. Next, send a test.")
    return _secret(name, written.secret, made=True)


@page("/dashboard/notifications/{name}/edit", scope="admin")
async def edit_rule(request: PageRequest) -> Answer:
    thing = await catalogue.read(request.services, RULE, await name_of(request))
    content = thing.version.content
    given = {
        **_BLANK,
        "name": thing.key,
        **{name: content[name] or "" for name in ("source", "agent", "url")},
        "enabled": "yes" if content["enabled"] else "",
    }
    return _form(request, thing.key, given)


@action("/dashboard/notifications/{name}/edit")
async def change_rule(request: PageRequest) -> Answer:
    name, given = await name_of(request), _given(request)
    content = _content(given)
    try:
        check_seen(request, _count(request, name))
        written = await catalogue_change.change(request.services, request.author, RULE, name, content)
    except Refused as refused:
        return _form(request, name, {**given, "name": name}, refused)
    since = from_when(written.thing.version.effective_from, content["effective_from"])
    return Redirect(rule_link(name), f"Saved{since}." if written.changed else "No changes to save.")


@action("/dashboard/notifications/{name}/rotate")
async def rotate_secret(request: PageRequest) -> Answer:
    name = await name_of(request)
    given = {field: request.form.get(field, "").strip() for field in ROTATION}
    try:
        # A second rotation, by a double click or a reload, would end the overlap of the first one.
        check_seen(
            request,
            _count(request, name),
            "this notification was changed since you opened this form, possibly by this form; "
            "submit again to rotate the secret once more",
        )
        _, made = await rules.rotate(request.services, request.author, name, given["secret"] or None, _overlap(given))
    except Refused as refused:
        return await rule_page(request, name, rotation=given, refused=refused)
    if made is None:
        return Redirect(rule_link(name), "Secret rotated. Your own secret is in use.")
    return _secret(name, made, made=False)


def _count(request: PageRequest, name: str) -> int:
    return len(request.services.catalogue.versions(RULE.name, name))


def _overlap(given: Mapping[str, str]) -> int:
    """Return for how many seconds both secrets sign."""
    many, unit = given["overlap"], given["unit"]
    if not (many.isascii() and many.isdecimal() and len(many) < 10):
        raise invalid("overlap_seconds", "must be a whole number; with 0, the old secret is invalid at once")
    return int(many) * (int(unit) if unit in UNITS else DEFAULT_OVERLAP)


def _secret(name: str, secret: str, *, made: bool) -> HtmlPage:
    return HtmlPage("webhooks/secret.html", {"name": name, "secret": secret, "made": made, "rule_link": rule_link})


def _given(request: PageRequest) -> dict[str, str]:
    return {name: request.form.get(name, "").strip() for name in FIELDS}


def _content(given: Mapping[str, str]) -> dict[str, Any]:
    return {
        "source": given["source"],
        "agent": given["agent"] or None,
        "url": given["url"],
        "enabled": bool(given["enabled"]),
        "effective_from": written_instant(given["effective_from"]),
    }


def _form(request: PageRequest, name: str | None, given: Mapping[str, str], refused: Refused | None = None) -> HtmlPage:
    """`name` None: of a new one."""
    known = request.services.catalogue
    now = request.services.now_ms()
    scheduled = [] if name is None else [start for start in known.instants(RULE.name, name) if start > now]
    return HtmlPage(
        "webhooks/notification_form.html",
        {
            "name": name,
            "given": given,
            "sources": [(source, source_words(source)) for source in (*SOURCE_LABELS, *EVENT_LABELS)],
            "agents": known.keys("agent"),
            "scheduled": scheduled,
            "seen": None if name is None else _count(request, name),
            "rule_link": rule_link,
            **error_values(refused),
        },
        200 if refused is None else status_of(refused),
    )
