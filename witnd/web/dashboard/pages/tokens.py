"""API tokens: create, show once, revoke."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from witnd.app import tokens
from witnd.app.errors import Refused, invalid
from witnd.app.tokens import token_json
from witnd.domain.values.mistake import Mistake
from witnd.store.access.tokens import SCOPES, Token
from witnd.store.access.tokens import mistakes as wish_mistakes
from witnd.web.dashboard.forms.errors import mistakes_of
from witnd.web.dashboard.forms.versions import check_seen
from witnd.web.dashboard.page import COOKIE, Answer, HtmlPage, PageRequest, Redirect, action, cookie, page
from witnd.web.dashboard.present.words import link
from witnd.web.errors import ApiError, status_of

LIMIT: Final = 50
# A form submitted twice would create a token whose text is never shown.
_MEANWHILE: Final = (
    "another token was created since you opened this form, possibly by this form; check the list of tokens, and submit "
    "again to create one more"
)
# What each scope allows.
SCOPE_TEXTS: Final[Mapping[str, str]] = {
    "ingest": "send events. For the applications whose work you bill.",
    "read": "view everything except tokens and the change log. For reports and people who only view.",
    "billing": "read everything; issue, void and credit invoices; record payments and refunds.",
    "admin": "do everything: change agents, prices and customers, issue invoices, and create tokens.",
}


@page("/dashboard/tokens", scope="admin")
async def list_tokens(request: PageRequest) -> Answer:
    archived, after = "archived" in request.query, request.query.get("after")
    found = await tokens.page(request.services.tokens, LIMIT, after, archived=archived)
    asked = {"archived": "yes" if archived else ""}
    return HtmlPage(
        "access/tokens.html",
        {
            "found": found.data,
            "archived": archived,
            "own": request.token.id,
            "next": link("tokens", **asked, after=found.cursor) if found.cursor else None,
            "first": link("tokens", **asked) if after else None,
        },
    )


@page("/dashboard/tokens/new", scope="admin")
async def new_token(request: PageRequest) -> Answer:
    return await _form(request, {"name": request.query.get("name", ""), "rate": ""}, [])


@action("/dashboard/tokens/new")
async def create_token(request: PageRequest) -> Answer:
    given = {name: request.form.get(name, "") for name in ("name", "rate")}
    scopes, services = request.forms.get("scopes", []), request.services
    try:
        rate = _rate(given["rate"].strip())
    except ValueError as wrong:
        found = [*wish_mistakes(given["name"], scopes, None), Mistake("rate", str(wrong))]
        return await _form(request, given, scopes, [(one.path, one.message) for one in found])
    try:
        check_seen(request, await _count(request), _MEANWHILE)
        made = await tokens.create(
            services.tokens,
            request.author,
            name=given["name"],
            scopes=scopes,
            rate=rate,
            now_ms=services.now_ms(),
        )
    except Refused as refused:
        return await _form(request, given, scopes, mistakes_of(refused), status_of(refused))
    return HtmlPage("access/token_made.html", {"made": made, "scope_texts": SCOPE_TEXTS})


@page("/dashboard/tokens/{id}", scope="admin")
async def show_token(request: PageRequest) -> Answer:
    store = request.services.tokens
    found = await tokens.named(store, request.path["id"])
    return HtmlPage(
        "access/token.html",
        {
            "token": token_json(found, await store.last_uses()),
            "scope_texts": SCOPE_TEXTS,
            "own": found.id == request.token.id,
            "last": found.has_scope("admin") and not await _other_admin(request, found),
        },
    )


@action("/dashboard/tokens/{id}/revoke")
async def revoke_token(request: PageRequest) -> Answer:
    services = request.services
    found = await tokens.named(services.tokens, request.path["id"])
    if "confirmed" not in request.form:
        raise invalid("", "tick the box to confirm")
    own = found.id == request.token.id
    if own and "own" not in request.form:
        raise ApiError(
            "CONFLICT",
            "this is your own token, and revoking it signs you out; to continue, tick the box for your own token",
        )
    await tokens.revoke(
        services.tokens,
        request.author,
        found,
        now_ms=services.now_ms(),
    )
    if not own:
        return Redirect(link("tokens"), f"Token {found.name} revoked.")
    if (id_ := cookie(request.call, COOKIE)) is not None:
        await services.sessions.end(id_)
    return Redirect(link("sign-in"))


async def _other_admin(request: PageRequest, token: Token) -> bool:
    """Return whether another admin token exists."""
    return any(
        one.id != token.id and one.revoked_at is None and one.has_scope("admin")
        for one in await request.services.tokens.readable()
    )


async def _count(request: PageRequest) -> int:
    """Return the number of tokens, with revoked ones."""
    return len(await request.services.tokens.readable())


def _rate(text: str) -> float | None:
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("must be a number such as 50; leave it empty for no limit")
    return number


async def _form(
    request: PageRequest,
    given: Mapping[str, str],
    scopes: list[str],
    mistakes: Sequence[tuple[str, str]] = (),
    status: int | None = None,
) -> HtmlPage:
    wrong = {path.partition("[")[0]: message for path, message in reversed(mistakes)}
    return HtmlPage(
        "access/token_form.html",
        {
            "given": given,
            "scopes": scopes,
            "choices": [(scope, SCOPE_TEXTS[scope]) for scope in SCOPES],
            "mistakes": mistakes,
            "wrong": wrong,
            "seen": await _count(request),
        },
        status or (400 if mistakes else 200),
    )
