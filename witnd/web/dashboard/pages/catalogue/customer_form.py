"""The form of a customer: a new one, and what is changed of one."""

from collections.abc import Mapping
from typing import Any, Final

from witnd.app.catalogue import change as catalogue_change
from witnd.app.catalogue import read as catalogue
from witnd.app.catalogue.read import CUSTOMER
from witnd.app.errors import Refused
from witnd.web.dashboard.forms.errors import told
from witnd.web.dashboard.forms.versions import check_seen
from witnd.web.dashboard.page import Answer, Moved, Shown, Visit, action, page
from witnd.web.dashboard.present.instants import from_when, written_instant
from witnd.web.dashboard.present.words import link
from witnd.web.errors import status_of

FIELDS: Final = ("key", "name", "email", "rate_card", "effective_from")


@page("/dashboard/customers/new", admin=True)
async def new_customer(visit: Visit) -> Answer:
    await visit.services.learned()
    return await _form(visit, None, {name: visit.query.get(name, "") for name in FIELDS})


@action("/dashboard/customers/new")
async def create_customer(visit: Visit) -> Answer:
    given = _given(visit)
    content = _content(given)
    try:
        written = await catalogue_change.create(
            visit.services, visit.author, CUSTOMER, {"key": given["key"], **content}
        )
    except Refused as refused:
        return await _form(visit, None, given, refused)
    since = from_when(written.thing.version.effective_from, content["effective_from"])
    return Moved(link("customers", written.thing.key), f"Customer {written.thing.key} is created{since}.")


@page("/dashboard/customers/{key}/edit", admin=True)
async def edit_customer(visit: Visit) -> Answer:
    thing = await catalogue.read(visit.services, CUSTOMER, visit.path["key"])
    content = thing.version.content
    return await _form(visit, thing.key, {**{name: content.get(name) or "" for name in FIELDS}, "key": thing.key})


@action("/dashboard/customers/{key}/edit")
async def change_customer(visit: Visit) -> Answer:
    key, given = visit.path["key"], _given(visit)
    content = _content(given)
    thing = await catalogue.read(visit.services, CUSTOMER, key)
    try:
        check_seen(visit, thing.count)
        written = await catalogue_change.change(visit.services, visit.author, CUSTOMER, key, content)
    except Refused as refused:
        return await _form(visit, key, {**given, "key": key}, refused)
    since = from_when(written.thing.version.effective_from, content["effective_from"])
    return Moved(
        link("customers", key), f"Saved{since}." if written.changed else "Nothing was changed: it was so already."
    )


def _given(visit: Visit) -> dict[str, str]:
    """As it was typed. Spaces around a key belong to it: events may be sent with such a one, and wait for it."""
    return {name: visit.form.get(name, "") for name in FIELDS}


def _content(given: Mapping[str, str]) -> dict[str, Any]:
    """What is left empty has its default."""
    content: dict[str, Any] = {name: given[name].strip() or None for name in ("name", "email", "rate_card")}
    return {**content, "effective_from": written_instant(given["effective_from"].strip())}


async def _form(visit: Visit, key: str | None, given: Mapping[str, str], refused: Refused | None = None) -> Shown:
    thing = None if key is None else await catalogue.read(visit.services, CUSTOMER, key)
    return Shown(
        "customer_form.html",
        {
            "key": key,
            "scheduled": () if thing is None else thing.scheduled,
            "seen": None if thing is None else thing.count,
            "given": given,
            "cards": visit.services.catalogue.keys("rate_card"),
            **told(refused),
        },
        200 if refused is None else status_of(refused),
    )
