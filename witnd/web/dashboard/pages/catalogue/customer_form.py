"""The form of a customer: a new one, and what is changed of one."""

from collections.abc import Mapping
from typing import Any, Final

from witnd.app.catalogue import change as catalogue_change
from witnd.app.catalogue import read as catalogue
from witnd.app.catalogue.read import CUSTOMER
from witnd.app.errors import Refused
from witnd.domain.catalogue.buyer import BILLING
from witnd.web.dashboard.forms.billing_data import BUYER_FIELDS, choices, content_of, errors_at_fields, texts_of
from witnd.web.dashboard.forms.versions import check_seen
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, action, page
from witnd.web.dashboard.present.instants import from_when, written_instant
from witnd.web.dashboard.present.words import link
from witnd.web.errors import status_of

FIELDS: Final = ("key", "name", "email", "rate_card", "effective_from")
# Fields of the buyer have the names that the API gives their places: `billing.city`.
_BUYER: Final = f"{BILLING}."


@page("/dashboard/customers/new", scope="admin")
async def new_customer(request: PageRequest) -> Answer:
    await request.services.learned()
    return await _form(request, None, _given(request.query))


@action("/dashboard/customers/new")
async def create_customer(request: PageRequest) -> Answer:
    given = _given(request.form)
    content = _content(given)
    try:
        written = await catalogue_change.create(
            request.services, request.author, CUSTOMER, {"key": given["key"], **content}
        )
    except Refused as refused:
        return await _form(request, None, given, refused)
    since = from_when(written.thing.version.effective_from, content["effective_from"])
    return Redirect(link("customers", written.thing.key), f"Customer {written.thing.key} created{since}.")


@page("/dashboard/customers/{key}/edit", scope="admin")
async def edit_customer(request: PageRequest) -> Answer:
    thing = await catalogue.read(request.services, CUSTOMER, request.path["key"])
    content = thing.version.content
    given = {**{name: content.get(name) or "" for name in FIELDS}, "key": thing.key}
    buyer = texts_of(content.get(BILLING, {}), BUYER_FIELDS)
    return await _form(request, thing.key, given | {f"{_BUYER}{name}": text for name, text in buyer.items()})


@action("/dashboard/customers/{key}/edit")
async def change_customer(request: PageRequest) -> Answer:
    key, given = request.path["key"], _given(request.form)
    content = _content(given)
    thing = await catalogue.read(request.services, CUSTOMER, key)
    try:
        check_seen(request, thing.count)
        written = await catalogue_change.change(request.services, request.author, CUSTOMER, key, content)
    except Refused as refused:
        return await _form(request, key, {**given, "key": key}, refused)
    since = from_when(written.thing.version.effective_from, content["effective_from"])
    return Redirect(link("customers", key), f"Saved{since}." if written.changed else "No changes to save.")


def _given(texts: Mapping[str, str]) -> dict[str, str]:
    """As it was typed. Spaces around a key belong to it: events may be sent with such a one, and wait for it."""
    return {name: texts.get(name, "") for name in (*FIELDS, *[f"{_BUYER}{name}" for name in BUYER_FIELDS])}


def _buyer(given: Mapping[str, str]) -> dict[str, str]:
    return {name: given[f"{_BUYER}{name}"] for name in BUYER_FIELDS}


def _content(given: Mapping[str, str]) -> dict[str, Any]:
    """What is left empty has its default."""
    content: dict[str, Any] = {name: given[name].strip() or None for name in ("name", "email", "rate_card")}
    content[BILLING] = content_of(_buyer(given), BUYER_FIELDS)
    return {**content, "effective_from": written_instant(given["effective_from"].strip())}


async def _form(
    request: PageRequest, key: str | None, given: Mapping[str, str], refused: Refused | None = None
) -> HtmlPage:
    thing = None if key is None else await catalogue.read(request.services, CUSTOMER, key)
    return HtmlPage(
        "catalogue/customer_form.html",
        {
            "key": key,
            "scheduled": () if thing is None else thing.scheduled,
            "seen": None if thing is None else thing.count,
            "given": given,
            "buyer": _buyer(given),
            "cards": request.services.catalogue.keys("rate_card"),
            **choices(request.services.catalogue),
            **errors_at_fields(refused),
        },
        200 if refused is None else status_of(refused),
    )
