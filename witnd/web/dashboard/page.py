"""Pages and forms: the signed-in user, the form key, the layout around a page.

A page is `async def page(request: PageRequest) -> Answer`, registered by `@page(path)`. `@action(path)` registers what
a form does, by default for admins only. Both become routes of the HTTP server, beside those of the API.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from msgspec import Struct
from msgspec.structs import replace

from witnd.app.daemon_services import DaemonServices
from witnd.app.errors import Refused, invalid, unavailable
from witnd.domain.values.strictjson import BYTES_MAX
from witnd.store.access.change_log import Author
from witnd.store.access.sessions import Session
from witnd.store.access.tokens import Token
from witnd.store.errors import StoreRefused, StoreUnavailable
from witnd.web.dashboard.multipart import MULTIPART, Posted, read_multipart
from witnd.web.dashboard.present.words import decode_key
from witnd.web.dashboard.view import HTML, PREFIX, html, refused_page
from witnd.web.errors import ApiError
from witnd.web.http.route import Call, Handler, Raw, Route, Scope, Stream

COOKIE: Final = "witnd_session"
MESSAGE_COOKIE: Final = "witnd_message"
FORM: Final = "application/x-www-form-urlencoded"
FIELDS_MAX: Final = 5000
# Hidden fields of forms.
_NOT_TYPED: Final = frozenset(("form_key", "confirmed", "once", "seen", "do"))

# The pages, as routes beside those of the API: what they answer is no part of its description.
PAGES: Final[list[Route]] = []


class HtmlPage(Struct, frozen=True):
    """A page: its template, the values it shows, and the status of the answer."""

    template: str
    values: Mapping[str, Any]
    status: int = 200


class Redirect(Struct, frozen=True):
    """Redirect to another page, which shows `message` once."""

    to: str
    message: str = ""


class PageRequest:
    """A request of a signed-in user.

    `query` has the non-empty parameters of the address, `form` the first value of each field of the form, `forms` all
    values, `files` the files that were chosen.
    """

    __slots__ = ("call", "files", "form", "forms", "query", "session", "token")

    def __init__(self, call: Call[Any], token: Token, session: Session) -> None:
        call.token = token  # so that changes are noted as its own
        self.call = call
        self.token = token
        self.session = session
        self.query: dict[str, str] = {name: text for name, text in call.query.items() if text}
        posted = _posted(call)
        self.files = posted.files
        self.forms = _by_name(posted)
        self.form = {name: values[0] for name, values in self.forms.items()}

    @property
    def services(self) -> DaemonServices:
        return self.call.services

    @property
    def path(self) -> dict[str, str]:
        return {name: decode_key(part) for name, part in self.call.path.items()}

    @property
    def may_change(self) -> bool:
        return self.token.has_scope("admin")

    @property
    def may_bill(self) -> bool:
        return self.token.has_scope("billing")

    @property
    def author(self) -> Author:
        """Return the author of a change. A form with the field `once` is carried out once, however often it is sent."""
        once = self.form.get("once") or None
        return replace(self.call.author, idempotency_key=once)

    @property
    def values(self) -> dict[str, Any]:
        """Return the values that the layout needs."""
        return {
            "form_key": self.session.form_key,
            "may_change": self.may_change,
            "may_bill": self.may_bill,
            "who": self.token.name,
            "here": self.call.target.partition("?")[0],
            "target": self.call.target,
            "message": cookie(self.call, MESSAGE_COOKIE) or "",
            "is_form": self.call.route.method == "POST",
        }


Answer: TypeAlias = HtmlPage | Redirect | Raw | Stream
PageFunction: TypeAlias = Callable[[PageRequest], Awaitable[Answer]]


def page(path: str, *, scope: Scope = "read") -> Callable[[PageFunction], PageFunction]:
    """Register a page at a path, for everybody who may read, or only for tokens with another scope."""

    def register(function: PageFunction) -> PageFunction:
        async def answer(call: Call[Any]) -> Raw | Stream:
            request = await page_request(call)
            return request if isinstance(request, Raw) else await _answer(request, function, scope)

        add("GET", path, answer)
        return function

    return register


def action(path: str, *, scope: Scope = "admin", most_bytes: int = BYTES_MAX) -> Callable[[PageFunction], PageFunction]:
    """Register what a form at a path does: for admins, or for tokens with another scope; `read` if it changes
    nothing. `most_bytes`: of the form, with its files."""

    def register(function: PageFunction) -> PageFunction:
        async def answer(call: Call[Any]) -> Raw | Stream:
            request = await page_request(call)
            if isinstance(request, Raw):
                same_site(call)
                return request if path.endswith("/sign-out") else _sign_in_again(call)
            same_site(call)
            if not hmac.compare_digest(request.form.get("form_key", "").encode(), request.session.form_key.encode()):
                raise ApiError("FORBIDDEN", "this form has expired; reload the page and submit again")
            return await _answer(request, function, scope)

        add("POST", path, answer, most_bytes)
        return function

    return register


def add(method: str, path: str, handler: Handler, most_bytes: int = BYTES_MAX) -> None:
    PAGES.append(
        Route(
            method=method, path=path, handler=handler, says="", scope=None, query=dict[str, str], answer_type=HTML,
            most_bytes=most_bytes,
        )
    )  # fmt: skip


async def page_request(call: Call[Any]) -> PageRequest | Raw:
    """Return the request of a signed-in user, or a redirect to the sign-in page."""
    session = await session_of(call)
    token = None if session is None else await call.services.tokens.by_id(session.token_id)
    if session is None or token is None or not token.has_scope("read"):
        back = call.target if call.route.method == "GET" else PREFIX
        return redirect(f"{PREFIX}/sign-in?next={quote(back, safe='')}")
    return PageRequest(call, token, session)


def _sign_in_again(call: Call[Any]) -> Raw:
    """The session ended while a form was open: show a sign-in page that keeps the form."""
    kept = [(name, value) for name, values in fields(call).items() if name != "form_key" for value in values]
    if {name for name, _ in kept} <= _NOT_TYPED:
        return redirect(f"{PREFIX}/sign-in?next={quote(PREFIX, safe='')}")
    values = {"next": call.target, "kept": urlencode(kept), "problem": ""}
    return html("access/sign_in.html", values, 401)


async def session_of(call: Call[Any]) -> Session | None:
    id_ = cookie(call, COOKIE)
    return None if id_ is None else await call.services.sessions.find(id_)


def cookie(call: Call[Any], name: str) -> str | None:
    """Return a cookie of the request. Other programs on this host may set cookies too; those are ignored."""
    for part in call.headers.get("Cookie", "").split(";"):
        known, _, value = part.strip().partition("=")
        if known == name and value.isascii():
            return unquote(value)
    return None


def fields(call: Call[Any]) -> dict[str, list[str]]:
    """Return the fields of a posted form, without files."""
    return _by_name(_posted(call))


def _posted(call: Call[Any]) -> Posted:
    if not call.data:
        return Posted([], {})
    if call.content_type not in (FORM, MULTIPART):
        raise ApiError("UNSUPPORTED_MEDIA_TYPE", f"Content-Type must be {FORM}, got {call.content_type!r}")
    try:
        if call.content_type == MULTIPART:
            return read_multipart(call.data, call.headers.get("Content-Type", ""), FIELDS_MAX)
        text = call.data.decode("ascii")
        return Posted(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX), {})
    except ValueError:
        raise invalid("", "the form is malformed or has too many fields") from None


def _by_name(posted: Posted) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in posted.fields:
        found.setdefault(name, []).append(value.replace("\r\n", "\n"))
    return found


def same_site(call: Call[Any]) -> None:
    """Refuse a form that a page of another site has sent."""
    site = call.headers.get("Sec-Fetch-Site")
    origin = call.headers.get("Origin")
    if site is not None:
        foreign = site not in ("same-origin", "none")
    else:
        foreign = origin is not None and urlsplit(origin).netloc != call.headers.get("Host")
    if foreign:
        raise ApiError("FORBIDDEN", "this form was submitted from another site")


async def _answer(request: PageRequest, function: PageFunction, scope: Scope) -> Raw | Stream:
    try:
        if not request.token.has_scope(scope):
            may = "may only do billing" if request.may_bill else "is read-only"
            raise ApiError("FORBIDDEN", f"this session {may}; sign in with an admin token")
        answer = await function(request)
    except Refused as refused:
        return _without_message(request, refused_page(refused, request.call.request_id, request.values))
    except (StoreUnavailable, StoreRefused) as away:
        error = unavailable(f"Redis is unavailable: {away}")
        return _without_message(request, refused_page(error, request.call.request_id, request.values))
    if isinstance(answer, Redirect):
        return redirect(answer.to, message=answer.message)
    if not isinstance(answer, HtmlPage):
        return answer
    return _without_message(request, html(answer.template, {**request.values, **answer.values}, answer.status))


def _without_message(request: PageRequest, shown: Raw) -> Raw:
    """Clear the message that this page has shown."""
    if not request.values["message"]:
        return shown
    gone = f"{MESSAGE_COOKIE}=; Path={PREFIX}; Max-Age=0"
    return Raw(shown.body, shown.content_type, {**shown.headers, "Set-Cookie": gone}, shown.status)


def redirect(to: str, *, message: str = "", headers: Mapping[str, str] | None = None) -> Raw:
    """Redirect to a page of the dashboard, by GET."""
    shown = f"{MESSAGE_COOKIE}={quote(message)}; Path={PREFIX}; Max-Age=30; HttpOnly; SameSite=Lax"
    return Raw(b"", HTML, {"Location": to, **({"Set-Cookie": shown} if message else {}), **(headers or {})}, 303)
