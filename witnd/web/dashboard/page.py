"""What makes a function a page: who is signed in, the form key, the layout around it.

A page is `async def page(visit: Visit) -> Answer`, found by `@page(path)`; `@action(path)` is what a form sends to, and
is for admins. Both become routes, and the same server answers them as answers the API.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from msgspec import Struct
from msgspec.structs import replace

from witnd.app.daemon_services import DaemonServices
from witnd.app.errors import Refused, invalid, unavailable
from witnd.store.access.change_log import Author
from witnd.store.access.sessions import Session
from witnd.store.access.tokens import Token
from witnd.store.errors import StoreRefused, StoreUnavailable
from witnd.web.dashboard.present.words import key_read
from witnd.web.dashboard.view import HTML, PREFIX, html, refused_page
from witnd.web.errors import ApiError
from witnd.web.http.route import Call, Handler, Raw, Route, Stream

COOKIE: Final = "witnd_session"
TOLD: Final = "witnd_told"
FORM: Final = "application/x-www-form-urlencoded"
MOST_FIELDS: Final = 5000
# Hidden fields of forms.
_NOT_TYPED: Final = frozenset(("form_key", "confirmed", "once", "seen", "do"))

# The pages, as routes beside those of the API: what they answer is no part of its description.
PAGES: Final[list[Route]] = []


class Shown(Struct, frozen=True):
    """A page: a template, what it shows, and the status of the answer."""

    template: str
    values: Mapping[str, Any]
    status: int = 200


class Moved(Struct, frozen=True):
    """Go there instead; `told` is said on the page that follows."""

    to: str
    told: str = ""


class Visit:
    """One request of somebody who is signed in. `query` has what the address asks for, without empty fields; `form`
    the form's fields, the first value of each; `forms` all values of each."""

    __slots__ = ("call", "form", "forms", "query", "session", "token")

    def __init__(self, call: Call[Any], token: Token, session: Session) -> None:
        call.token = token  # so that changes are noted as its own
        self.call = call
        self.token = token
        self.session = session
        self.query: dict[str, str] = {name: text for name, text in call.query.items() if text}
        self.forms = fields(call)
        self.form = {name: values[0] for name, values in self.forms.items()}

    @property
    def services(self) -> DaemonServices:
        return self.call.services

    @property
    def path(self) -> dict[str, str]:
        return {name: key_read(part) for name, part in self.call.path.items()}

    @property
    def may_change(self) -> bool:
        return self.token.may("admin")

    @property
    def author(self) -> Author:
        """Who does something. A form with a field `once` does it once, however often it is sent."""
        once = self.form.get("once") or None
        return replace(self.call.author, idempotency_key=once)

    @property
    def values(self) -> dict[str, Any]:
        """What the layout shows."""
        return {
            "form_key": self.session.form_key,
            "may_change": self.may_change,
            "who": self.token.name,
            "here": self.call.target.partition("?")[0],
            "target": self.call.target,
            "told": cookie(self.call, TOLD) or "",
            "sent": self.call.route.method == "POST",
        }


Answer: TypeAlias = Shown | Moved | Raw | Stream
Page: TypeAlias = Callable[[Visit], Awaitable[Answer]]


def page(path: str, *, admin: bool = False) -> Callable[[Page], Page]:
    """Makes the function below it the page at a path, for whoever may read, or for admins alone."""

    def known(made: Page) -> Page:
        async def answer(call: Call[Any]) -> Raw | Stream:
            visit = await visited(call)
            return visit if isinstance(visit, Raw) else await _answered(visit, made, admin=admin)

        add("GET", path, answer)
        return made

    return known


def action(path: str, *, admin: bool = True) -> Callable[[Page], Page]:
    """Makes the function below it what a form at a path does, for admins; or for whoever may read, where nothing is
    changed by it."""

    def known(made: Page) -> Page:
        async def answer(call: Call[Any]) -> Raw | Stream:
            visit = await visited(call)
            if isinstance(visit, Raw):
                same_site(call)
                return visit if path.endswith("/sign-out") else _sign_in_again(call)
            same_site(call)
            if not hmac.compare_digest(visit.form.get("form_key", "").encode(), visit.session.form_key.encode()):
                raise ApiError("FORBIDDEN", "this form is too old: go back, load the page again and repeat it")
            return await _answered(visit, made, admin=admin)

        add("POST", path, answer)
        return made

    return known


def add(method: str, path: str, handler: Handler) -> None:
    PAGES.append(
        Route(method=method, path=path, handler=handler, says="", scope=None, query=dict[str, str], answer_type=HTML)
    )


async def visited(call: Call[Any]) -> Visit | Raw:
    """Who asks, or the way to the page where one signs in."""
    session = await session_of(call)
    token = None if session is None else await call.services.tokens.by_id(session.token_id)
    if session is None or token is None or not token.may("read"):
        back = call.target if call.route.method == "GET" else PREFIX
        return moved(f"{PREFIX}/sign-in?next={quote(back, safe='')}")
    return Visit(call, token, session)


def _sign_in_again(call: Call[Any]) -> Raw:
    """After the session ended while a form was open: show a sign-in page that keeps the form."""
    kept = [(name, value) for name, values in fields(call).items() if name != "form_key" for value in values]
    if {name for name, _ in kept} <= _NOT_TYPED:
        return moved(f"{PREFIX}/sign-in?next={quote(PREFIX, safe='')}")
    values = {"next": call.target, "kept": urlencode(kept), "problem": ""}
    return html("sign_in.html", values, 401)


async def session_of(call: Call[Any]) -> Session | None:
    id_ = cookie(call, COOKIE)
    return None if id_ is None else await call.services.sessions.find(id_)


def cookie(call: Call[Any], name: str) -> str | None:
    """A cookie of the request. Others on this host may set some too: what they hold, and how, is passed over."""
    for part in call.headers.get("Cookie", "").split(";"):
        known, _, value = part.strip().partition("=")
        if known == name and value.isascii():
            return unquote(value)
    return None


def fields(call: Call[Any]) -> dict[str, list[str]]:
    """The fields of a form that was sent."""
    if not call.data:
        return {}
    if call.content_type != FORM:
        raise ApiError("UNSUPPORTED_MEDIA_TYPE", f"Content-Type must be {FORM}, and is {call.content_type!r}")
    try:
        pairs = parse_qsl(
            call.data.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS
        )
    except ValueError:
        raise invalid("", "the form is not well formed, or has too many fields") from None
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value.replace("\r\n", "\n"))
    return found


def same_site(call: Call[Any]) -> None:
    """Refuse what a browser says was sent by a page of another site."""
    site = call.headers.get("Sec-Fetch-Site")
    origin = call.headers.get("Origin")
    if site is not None:
        foreign = site not in ("same-origin", "none")
    else:
        foreign = origin is not None and urlsplit(origin).netloc != call.headers.get("Host")
    if foreign:
        raise ApiError("FORBIDDEN", "this was sent by a page of another site")


async def _answered(visit: Visit, made: Page, *, admin: bool) -> Raw | Stream:
    try:
        if admin and not visit.may_change:
            raise ApiError("FORBIDDEN", "you are signed in to read; sign in with an admin token for this")
        answer = await made(visit)
    except Refused as refused:
        return _told(visit, refused_page(refused, visit.call.request_id, visit.values))
    except (StoreUnavailable, StoreRefused) as away:
        error = unavailable(f"Redis cannot do this now: {away}")
        return _told(visit, refused_page(error, visit.call.request_id, visit.values))
    if isinstance(answer, Moved):
        return moved(answer.to, told=answer.told)
    if not isinstance(answer, Shown):
        return answer
    return _told(visit, html(answer.template, {**visit.values, **answer.values}, answer.status))


def _told(visit: Visit, shown: Raw) -> Raw:
    """What the page tells once is told now, and not again."""
    if not visit.values["told"]:
        return shown
    gone = f"{TOLD}=; Path={PREFIX}; Max-Age=0"
    return Raw(shown.body, shown.content_type, {**shown.headers, "Set-Cookie": gone}, shown.status)


def moved(to: str, *, told: str = "", headers: Mapping[str, str] | None = None) -> Raw:
    """Go there, by GET. Only to places of the dashboard."""
    said = f"{TOLD}={quote(told)}; Path={PREFIX}; Max-Age=30; HttpOnly; SameSite=Lax"
    return Raw(b"", HTML, {"Location": to, **({"Set-Cookie": said} if told else {}), **(headers or {})}, 303)
