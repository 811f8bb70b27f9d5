"""The seller: its page, its logo, and the form that creates or changes it."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final

from witnd.app.catalogue import change as catalogue_change
from witnd.app.catalogue import read as catalogue
from witnd.app.catalogue.read import SELLER, Thing
from witnd.app.errors import Refused, not_found
from witnd.domain.catalogue.seller import DEFAULT_LOCALE, DEFAULT_TERMS_DAYS, SELLER_KEY, Seller
from witnd.domain.values.png import MAX_BYTES
from witnd.web.api.catalogue.answers import versioned
from witnd.web.dashboard.forms.archiving import archive
from witnd.web.dashboard.forms.billing_data import (
    SELLER_FIELDS,
    choices,
    content_of,
    errors_at_fields,
    language,
    texts_of,
)
from witnd.web.dashboard.forms.versions import check_seen, versions_of
from witnd.web.dashboard.page import Answer, HtmlPage, PageRequest, Redirect, action, page
from witnd.web.dashboard.present.instants import from_when, written_instant
from witnd.web.dashboard.present.words import link
from witnd.web.dashboard.view import POLICY
from witnd.web.errors import status_of
from witnd.web.http.route import Raw

LOGO: Final = "logo"
REMOVE: Final = "remove_logo"
# A logo that is too large is refused with the other mistakes; a much larger one without reading it.
_MOST_BYTES: Final = 4 * MAX_BYTES


@page("/dashboard/seller")
async def show_seller(request: PageRequest) -> Answer:
    thing = await _seller(request)
    if thing is None:
        return HtmlPage("catalogue/seller.html", {"seller": None})
    seller = Seller.from_content(thing.version.content)
    return HtmlPage(
        "catalogue/seller.html",
        {
            "seller": seller,
            "version": versioned(thing),
            "language": language(seller.locale),
            **await versions_of(request, SELLER, thing),
        },
    )


@page("/dashboard/seller/logo")
async def show_logo(request: PageRequest) -> Answer:
    thing = await _seller(request)
    logo = None if thing is None else thing.version.content.get(LOGO)
    if logo is None:
        raise not_found("file", LOGO)
    return Raw(b64decode(logo), "image/png", {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"})


@page("/dashboard/seller/edit", scope="admin")
async def edit_seller(request: PageRequest) -> Answer:
    thing = await _seller(request)
    usual = {"payment_terms_days": DEFAULT_TERMS_DAYS, "locale": DEFAULT_LOCALE}
    content = usual if thing is None else thing.version.content
    return _form(request, thing, {**texts_of(content, SELLER_FIELDS), "effective_from": ""})


@action("/dashboard/seller/edit", most_bytes=_MOST_BYTES)
async def change_seller(request: PageRequest) -> Answer:
    thing = await _seller(request)
    given = {name: request.form.get(name, "") for name in (*SELLER_FIELDS, "effective_from")}
    effective_from = written_instant(given["effective_from"].strip())
    content = {**content_of(given, SELLER_FIELDS), "effective_from": effective_from}
    if LOGO in request.files:
        content[LOGO] = b64encode(request.files[LOGO]).decode()
    elif REMOVE in request.form:
        content[LOGO] = None
    services, author = request.services, request.author
    try:
        check_seen(request, 0 if thing is None else thing.count)
        if thing is None:
            written = await catalogue_change.put(services, author, SELLER, content)
        else:
            written = await catalogue_change.change(services, author, SELLER, SELLER_KEY, content)
    except Refused as refused:
        return _form(request, thing, given, refused)
    since = from_when(written.thing.version.effective_from, effective_from)
    return Redirect(link("seller"), f"Saved{since}." if written.changed else "No changes to save.")


@action("/dashboard/seller/archive")
async def archive_seller(request: PageRequest) -> Answer:
    return await _archive(request, "archived", archived=True)


@action("/dashboard/seller/restore")
async def restore_seller(request: PageRequest) -> Answer:
    return await _archive(request, "restored", archived=False)


async def _archive(request: PageRequest, done: str, *, archived: bool) -> Answer:
    since = await archive(request, SELLER, SELLER_KEY, archived=archived)
    return Redirect(link("seller"), "No change." if since is None else f"Seller {done}{since}.")


async def _seller(request: PageRequest) -> Thing | None:
    known = await request.services.learned()
    if not known.instants(SELLER.name, SELLER_KEY):
        return None
    return await catalogue.read(request.services, SELLER, SELLER_KEY)


def _form(
    request: PageRequest, thing: Thing | None, given: Mapping[str, str], refused: Refused | None = None
) -> HtmlPage:
    values: dict[str, Any] = {
        "has_logo": thing is not None and LOGO in thing.version.content,
        "scheduled": () if thing is None else thing.scheduled,
        "seen": 0 if thing is None else thing.count,
        "given": given,
        **choices(request.services.catalogue),
        **errors_at_fields(refused),
    }
    return HtmlPage("catalogue/seller_form.html", values, 200 if refused is None else status_of(refused))
