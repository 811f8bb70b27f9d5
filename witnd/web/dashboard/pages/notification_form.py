"""The form of a notification rule, and its secrets: each is shown once, as the answer to the form that made it."""

from collections.abc import Mapping
from typing import Any, Final

from witnd.domain.rotation import DEFAULT_OVERLAP
from witnd.web import catalogue, catalogue_change, rules
from witnd.web.catalogue import RULE
from witnd.web.catalogue_answers import note
from witnd.web.dashboard.instants import written_instant
from witnd.web.dashboard.page import Answer, Moved, Shown, Visit, action, page
from witnd.web.dashboard.pages.notifications import ROTATION, TELLS_OF, UNITS, at, from_when, name_of, rule_page, told
from witnd.web.errors import ApiError, invalid

FIELDS: Final = ("name", "source", "agent", "url", "enabled", "secret", "effective_from")
_BLANK: Final[Mapping[str, str]] = {**dict.fromkeys(FIELDS, ""), "source": "both", "enabled": "yes"}


@page("/dashboard/notifications/new", admin=True)
async def new_rule(visit: Visit) -> Answer:
    await visit.services.learned()
    return _form(visit, None, {**_BLANK, "agent": visit.query.get("agent", "")})


@action("/dashboard/notifications/new")
async def create_rule(visit: Visit) -> Answer:
    given = _given(visit)
    asked = {"name": given["name"], **({"secret": given["secret"]} if given["secret"] else {}), **_content(given)}
    try:
        written = await catalogue_change.create(visit.services, RULE, asked)
    except ApiError as refused:
        return _form(visit, None, given, refused)
    await note(visit.call, "notification_rule.create", written)
    name = written.thing.key
    if written.secret is None:
        return Moved(at(name), f"Notification {name} is created{from_when(written)}. Send a test next.")
    return _secret(name, written.secret, made=True)


@page("/dashboard/notifications/{name}/edit", admin=True)
async def edit_rule(visit: Visit) -> Answer:
    thing = await catalogue.read(visit.services, RULE, await name_of(visit))
    content = thing.version.content
    given = {
        **_BLANK,
        "name": thing.key,
        **{name: content[name] or "" for name in ("source", "agent", "url")},
        "enabled": "yes" if content["enabled"] else "",
    }
    return _form(visit, thing.key, given)


@action("/dashboard/notifications/{name}/edit")
async def change_rule(visit: Visit) -> Answer:
    name, given = await name_of(visit), _given(visit)
    try:
        written = await catalogue_change.change(visit.services, RULE, name, _content(given))
    except ApiError as refused:
        return _form(visit, name, {**given, "name": name}, refused)
    await note(visit.call, "notification_rule.update", written)
    said = f"Saved{from_when(written)}." if written.changed else "Nothing was changed: it was so already."
    return Moved(at(name), said)


@action("/dashboard/notifications/{name}/rotate")
async def rotate_secret(visit: Visit) -> Answer:
    name = await name_of(visit)
    given = {field: visit.form.get(field, "").strip() for field in ROTATION}
    try:
        written, made = await rules.rotate(visit.services, name, given["secret"] or None, _overlap(given))
    except ApiError as refused:
        return await rule_page(visit, name, rotation=given, refused=refused)
    await note(visit.call, "notification_rule.rotate_secret", written)
    if made is None:
        return Moved(at(name), "Your secret signs from now on.")
    return _secret(name, made, made=False)


def _overlap(given: Mapping[str, str]) -> int:
    """For how many seconds both secrets are to sign."""
    many, unit = given["overlap"], given["unit"]
    if not (many.isascii() and many.isdecimal() and len(many) < 10):
        raise invalid("overlap_seconds", "must be a whole number; 0 lets the old secret stop at once")
    return int(many) * (int(unit) if unit in UNITS else DEFAULT_OVERLAP)


def _secret(name: str, secret: str, *, made: bool) -> Shown:
    return Shown("secret.html", {"name": name, "secret": secret, "made": made, "at": at})


def _given(visit: Visit) -> dict[str, str]:
    return {name: visit.form.get(name, "").strip() for name in FIELDS}


def _content(given: Mapping[str, str]) -> dict[str, Any]:
    return {
        "source": given["source"],
        "agent": given["agent"] or None,
        "url": given["url"],
        "enabled": bool(given["enabled"]),
        "effective_from": written_instant(given["effective_from"]),
    }


def _form(visit: Visit, name: str | None, given: Mapping[str, str], refused: ApiError | None = None) -> Shown:
    """`name` None: of a new one."""
    known = visit.services.catalogue
    agents = known.keys("agent")
    # One that is not there stays chosen, and is told of.
    choices = agents if given["agent"] in ("", *agents) else [given["agent"], *agents]
    now = visit.services.now_ms()
    scheduled = [] if name is None else [start for start in known.instants(RULE.name, name) if start > now]
    return Shown(
        "notification_form.html",
        {
            "name": name,
            "given": given,
            "sources": [(source, f"{which} outcomes") for source, which in TELLS_OF.items()],
            "agents": [("", "all agents"), *[(agent, agent) for agent in choices]],
            "scheduled": scheduled,
            "at": at,
            **told(refused),
        },
        200 if refused is None else refused.status,
    )
