"""API tokens: made, shown once, revoked."""

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
from witnd.web.dashboard.page import COOKIE, Answer, Moved, Shown, Visit, action, cookie, page
from witnd.web.dashboard.present.words import link
from witnd.web.errors import ApiError, status_of

LIMIT: Final = 50
# Whose text would be shown nowhere any more.
_MEANWHILE: Final = (
    "a token was made since this form was opened, perhaps by this very form: look at the list of tokens, and send this "
    "again if another one is to be made"
)
# What each scope lets somebody do, in words.
MAY: Final[Mapping[str, str]] = {
    "ingest": "send events. For the applications whose work is billed.",
    "read": "read everything but tokens and the log of changes. For dashboards, reports and people who look.",
    "admin": "do everything: change agents, prices and customers, issue invoices, make tokens.",
}


@page("/dashboard/tokens", admin=True)
async def list_tokens(visit: Visit) -> Answer:
    archived, after = "archived" in visit.query, visit.query.get("after")
    found = await tokens.page(visit.services.tokens, LIMIT, after, archived=archived)
    asked = {"archived": "yes" if archived else ""}
    return Shown(
        "tokens.html",
        {
            "found": found.data,
            "archived": archived,
            "own": visit.token.id,
            "next": link("tokens", **asked, after=found.next_cursor) if found.next_cursor else None,
            "first": link("tokens", **asked) if after else None,
        },
    )


@page("/dashboard/tokens/new", admin=True)
async def new_token(visit: Visit) -> Answer:
    return await _form(visit, {"name": visit.query.get("name", ""), "rate": ""}, [])


@action("/dashboard/tokens/new")
async def create_token(visit: Visit) -> Answer:
    given = {name: visit.form.get(name, "") for name in ("name", "rate")}
    scopes, services = visit.forms.get("scopes", []), visit.services
    try:
        rate = _rate(given["rate"].strip())
    except ValueError as wrong:
        found = [*wish_mistakes(given["name"], scopes, None), Mistake("rate", str(wrong))]
        return await _form(visit, given, scopes, [(one.path, one.message) for one in found])
    try:
        check_seen(visit, await _count(visit), _MEANWHILE)
        made = await tokens.create(
            services.tokens,
            visit.author,
            name=given["name"],
            scopes=scopes,
            rate=rate,
            now_ms=services.now_ms(),
        )
    except Refused as refused:
        return await _form(visit, given, scopes, mistakes_of(refused), status_of(refused))
    return Shown("token_made.html", {"made": made, "may": MAY})


@page("/dashboard/tokens/{id}", admin=True)
async def show_token(visit: Visit) -> Answer:
    store = visit.services.tokens
    found = await tokens.named(store, visit.path["id"])
    return Shown(
        "token.html",
        {
            "token": token_json(found, await store.used()),
            "may": MAY,
            "own": found.id == visit.token.id,
            "last": found.may("admin") and not await _other_admin(visit, found),
        },
    )


@action("/dashboard/tokens/{id}/revoke")
async def revoke_token(visit: Visit) -> Answer:
    services = visit.services
    found = await tokens.named(services.tokens, visit.path["id"])
    if "confirmed" not in visit.form:
        raise invalid("", "tick the box to confirm that the token is to be revoked")
    own = found.id == visit.token.id
    if own and "own" not in visit.form:
        raise ApiError(
            "CONFLICT",
            "this is the token that you are signed in with: revoking it signs you out. If that is meant, tick the "
            "box which says so",
        )
    await tokens.revoke(
        services.tokens,
        visit.author,
        found,
        now_ms=services.now_ms(),
    )
    if not own:
        return Moved(link("tokens"), f"Token {found.name} is revoked: from now on it is refused.")
    if (id_ := cookie(visit.call, COOKIE)) is not None:
        await services.sessions.end(id_)
    return Moved(link("sign-in"))


async def _other_admin(visit: Visit, token: Token) -> bool:
    """Whether somebody else could still make tokens without it."""
    return any(
        one.id != token.id and one.revoked_at is None and one.may("admin")
        for one in await visit.services.tokens.listed()
    )


async def _count(visit: Visit) -> int:
    """How many there ever were."""
    return len(await visit.services.tokens.listed())


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
    visit: Visit,
    given: Mapping[str, str],
    scopes: list[str],
    mistakes: Sequence[tuple[str, str]] = (),
    status: int | None = None,
) -> Shown:
    wrong = {path.partition("[")[0]: message for path, message in reversed(mistakes)}
    return Shown(
        "token_form.html",
        {
            "given": given,
            "scopes": scopes,
            "choices": [(scope, MAY[scope]) for scope in SCOPES],
            "mistakes": mistakes,
            "wrong": wrong,
            "seen": await _count(visit),
        },
        status or (400 if mistakes else 200),
    )
