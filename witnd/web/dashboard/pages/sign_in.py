"""Signing in with a read or admin token, and signing out."""

from typing import Any
from urllib.parse import parse_qsl

from witnd.app.errors import invalid
from witnd.store.access.sessions import LENGTH_SECONDS
from witnd.web.dashboard.page import (
    COOKIE,
    FIELDS_MAX,
    Answer,
    PageRequest,
    action,
    add,
    cookie,
    fields,
    redirect,
    same_site,
)
from witnd.web.dashboard.view import PREFIX, html
from witnd.web.http.behind_proxy import is_over_tls
from witnd.web.http.route import Call, Raw


async def form(call: Call[Any]) -> Raw:
    return html("access/sign_in.html", {"next": _inside(call.query.get("next", "")), "kept": "", "problem": ""})


async def sign_in(call: Call[Any]) -> Raw:
    same_site(call)
    given = {name: values[0] for name, values in fields(call).items()}
    back, kept = _inside(given.get("next", "")), given.get("kept", "")
    token = await call.services.tokens.check(given.get("token", "").strip())
    if token is None:
        problem = "This token is invalid or revoked."
        return html("access/sign_in.html", {"next": back, "kept": kept, "problem": problem}, 401)
    call.token = token
    if not token.has_scope("read"):
        problem = "This token can only send events. Sign in with a read or admin token."
        return html("access/sign_in.html", {"next": back, "kept": kept, "problem": problem}, 403)
    id_, session = await call.services.sessions.begin(token.id)
    if (old := cookie(call, COOKIE)) is not None:
        await call.services.sessions.end(old)  # this browser forgets its id now, so nobody should have it
    if call.services.tokens.note_use(token, call.services.now_ms()):
        await call.services.tokens.write_last_uses()
    # Behind a proxy that speaks TLS the cookie must never go out without it.
    secure = "; Secure" if is_over_tls(call.headers) else ""
    remembered = f"{COOKIE}={id_}; Path=/; Max-Age={LENGTH_SECONDS}; HttpOnly; SameSite=Lax{secure}"
    if kept and back != PREFIX:
        values = {"target": back, "kept": _kept(kept), "form_key": session.form_key}
        shown = html("access/kept_form.html", values)
        return Raw(shown.body, shown.content_type, {**shown.headers, "Set-Cookie": remembered}, shown.status)
    return redirect(back, headers={"Set-Cookie": remembered})


@action("/dashboard/sign-out", scope="read")
async def sign_out(request: PageRequest) -> Answer:
    if (id_ := cookie(request.call, COOKIE)) is not None:
        await request.services.sessions.end(id_)
    gone = f"{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
    return redirect(f"{PREFIX}/sign-in", headers={"Set-Cookie": gone})


def _kept(text: str) -> list[tuple[str, str]]:
    """The fields of a form that arrived without a session."""
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except ValueError:
        raise invalid("kept", "the saved form is unreadable; fill it in again") from None


def _inside(target: str) -> str:
    """Where to go afterwards: within the dashboard, wherever the address says."""
    inside = target == PREFIX or target.startswith((f"{PREFIX}/", f"{PREFIX}?"))
    return target if inside and target.isascii() and target.isprintable() and "\\" not in target else PREFIX


add("GET", "/dashboard/sign-in", form)
add("POST", "/dashboard/sign-in", sign_in)
