"""Taxes: their list, one of them, and the form that creates or changes it."""

from collections.abc import Mapping
from typing import Any, Final

from witnd.app.catalogue import change as catalogue_change
from witnd.app.catalogue import read as catalogue
from witnd.app.catalogue.read import TAX, Thing
from witnd.app.errors import Refused
from witnd.domain.catalogue.tax import CATEGORIES
from witnd.web.api.catalogue.answers import versioned
from witnd.web.dashboard.forms.archiving import archive
from witnd.web.dashboard.forms.errors import error_values
from witnd.web.dashboard.forms.submit import address
from witnd.web.dashboard.forms.versions import check_seen, versions_of
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, action, page
from witnd.web.dashboard.present.instants import from_when, written_instant
from witnd.web.dashboard.present.words import link
from witnd.web.errors import status_of

LIMIT: Final = 50
FIELDS: Final = ("key", "name", "rate", "category", "note", "effective_from")


@page("/dashboard/taxes")
async def list_taxes(request: PageRequest) -> Answer:
    archived, after = "archived" in request.query, request.query.get("after")
    found, cursor = await catalogue.listed(request.services, TAX, (LIMIT, after), archived=archived)
    asked = {"archived": "yes" if archived else None}
    return HtmlPage(
        "catalogue/taxes.html",
        {
            "found": [_answer(thing) for thing in found],
            "archived": archived,
            "site": address(request),
            "next": link("taxes", **asked, after=cursor) if cursor else None,
            "first": link("taxes", **asked) if after is not None else None,
        },
    )


@page("/dashboard/taxes/new", scope="admin")
async def new_tax(request: PageRequest) -> Answer:
    return _form(None, {name: request.query.get(name, "") for name in FIELDS} | {"category": "S"})


@action("/dashboard/taxes/new")
async def create_tax(request: PageRequest) -> Answer:
    given = _given(request)
    content = _content(given)
    try:
        written = await catalogue_change.create(request.services, request.author, TAX, {"key": given["key"], **content})
    except Refused as refused:
        return _form(None, given, refused)
    since = from_when(written.thing.version.effective_from, content["effective_from"])
    return Redirect(link("taxes", written.thing.key), f"Tax {written.thing.key} created{since}.")


@page("/dashboard/taxes/{key}")
async def show_tax(request: PageRequest) -> Answer:
    thing = await catalogue.read(request.services, TAX, request.path["key"])
    return HtmlPage("catalogue/tax.html", {"tax": _answer(thing), **await versions_of(request, TAX, thing)})


@page("/dashboard/taxes/{key}/edit", scope="admin")
async def edit_tax(request: PageRequest) -> Answer:
    thing = await catalogue.read(request.services, TAX, request.path["key"])
    return _form(thing, {name: thing.version.content.get(name, "") for name in FIELDS})


@action("/dashboard/taxes/{key}/edit")
async def change_tax(request: PageRequest) -> Answer:
    given = _given(request)
    content = _content(given)
    thing = await catalogue.read(request.services, TAX, request.path["key"])
    try:
        check_seen(request, thing.count)
        written = await catalogue_change.change(request.services, request.author, TAX, thing.key, content)
    except Refused as refused:
        return _form(thing, given, refused)
    since = from_when(written.thing.version.effective_from, content["effective_from"])
    return Redirect(link("taxes", thing.key), f"Saved{since}." if written.changed else "No changes to save.")


@action("/dashboard/taxes/{key}/archive")
async def archive_tax(request: PageRequest) -> Answer:
    return await _archive(request, "archived", archived=True)


@action("/dashboard/taxes/{key}/restore")
async def restore_tax(request: PageRequest) -> Answer:
    return await _archive(request, "restored", archived=False)


async def _archive(request: PageRequest, done: str, *, archived: bool) -> Answer:
    key = request.path["key"]
    since = await archive(request, TAX, key, archived=archived)
    return Redirect(link("taxes", key), "No change." if since is None else f"Tax {key} {done}{since}.")


def _answer(thing: Thing) -> dict[str, Any]:
    content = thing.version.content
    return {
        "key": thing.key,
        "note": None,
        **content,
        "category_text": CATEGORIES[content["category"]],
        **versioned(thing),
    }


def _given(request: PageRequest) -> dict[str, str]:
    return {name: request.form.get(name, "") for name in FIELDS}


def _content(given: Mapping[str, str]) -> dict[str, Any]:
    """What is left empty has its default."""
    content: dict[str, Any] = {name: given[name].strip() or None for name in ("name", "rate", "category", "note")}
    return {**content, "effective_from": written_instant(given["effective_from"].strip())}


def _form(thing: Thing | None, given: Mapping[str, str], refused: Refused | None = None) -> HtmlPage:
    return HtmlPage(
        "catalogue/tax_form.html",
        {
            "key": None if thing is None else thing.key,
            "scheduled": () if thing is None else thing.scheduled,
            "seen": None if thing is None else thing.count,
            "given": given,
            "categories": [(code, f"{code} – {meaning}") for code, meaning in CATEGORIES.items()],
            **error_values(refused),
        },
        200 if refused is None else status_of(refused),
    )
