"""Receive requests, call handlers, and build responses.

In this order: token (401, 403), rate (429), size (413), form (400). One line of the log for each accepted request, but
for successful ingestion, health checks and pages that are looked at, which come too often and are counted instead.
Requests that were refused or came without a token get one line a second for each status: anybody can send them.
"""

import asyncio
import contextlib
import random
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import msgspec
import structlog
from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.web_request import BaseRequest

from witnd.app.daemon_services import DaemonServices
from witnd.app.errors import Refused, invalid, unavailable
from witnd.store.access.tokens import Token
from witnd.store.errors import StoreRefused, StoreUnavailable, Unsafe
from witnd.web.connections.line_limit import LimitedLines
from witnd.web.connections.protocol import Listener
from witnd.web.errors import ApiError, encode_error, from_msgspec, headers_of, internal_error, status_of
from witnd.web.http.behind_proxy import add_prefix, forwarded_prefix
from witnd.web.http.body import body_of
from witnd.web.http.compression import compress
from witnd.web.http.event_identity import header_key
from witnd.web.http.fast_response import FastResponse
from witnd.web.http.idempotency import KeyedRequest, run_once
from witnd.web.http.preconditions import refuse_preconditions
from witnd.web.http.rate_limit import Rates
from witnd.web.http.responses import HEADERS, JSON_HEADERS, response_to, whole_response
from witnd.web.http.route import Call, HtmlErrors, Route, Table, names_in

# A body that takes longer is not worth the connection.
BODY_SECONDS: Final = 30.0
# As long may a connection be silent between two requests.
IDLE_SECONDS: Final = 75.0
# As long may the first request line of a connection take, with its headers.
HEAD_SECONDS: Final = 10.0
# What is still on its way after a refusal is read for so long, so that the client gets to see the answer.
LINGER_SECONDS: Final = 2.0
LINE_MAX: Final = 8190
_VERSIONS: Final = (HttpVersion10, HttpVersion11)
_BEARER = re.compile(r"Bearer +([\x21-\x7e]+) *", re.IGNORECASE | re.ASCII)
_QUIET = frozenset(("/v1/events", "/v1/events/batch", "/healthz", "/livez", "/readyz", "/startupz", "/metrics"))

log = structlog.get_logger()
_draw = random.Random().getrandbits  # noqa: S311 - names requests, and guards nothing


class Server:
    """`handle` is what aiohttp calls for every request."""

    def __init__(
        self,
        services: DaemonServices,
        routes: list[Route],
        html_errors: HtmlErrors,
        *,
        body_seconds: float = BODY_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
        head_seconds: float = HEAD_SECONDS,
    ) -> None:
        self.requests: dict[tuple[str, int], int] = {}  # (path of the route, status) → how many, for metrics
        self.seconds: dict[str, float] = {}  # path of the route → how long its requests took, for metrics
        self._body_seconds = body_seconds
        self._idle_seconds = idle_seconds
        self._head_seconds = head_seconds
        self._services = services
        self._table = Table(routes)
        self._html_errors = html_errors
        self._rates = Rates()
        self._lines = LimitedLines()

    def listener(self) -> Listener:
        return Listener(
            self.handle,
            lambda status: self._count("(malformed)", status, 0.0),
            HEADERS,
            self._head_seconds,
            self._lines,
            auto_decompress=False,
            keepalive_timeout=self._idle_seconds,
            lingering_time=LINGER_SECONDS,
            max_line_size=LINE_MAX,
            max_field_size=LINE_MAX,
        )

    async def handle(self, request: BaseRequest) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        began, request_id = loop.time(), f"{_draw(128):032x}"
        name, who = "(unknown)", ""
        headers: Mapping[str, str] = {}
        for_people = request.rel_url.raw_path.startswith(self._html_errors.prefix)
        call: Call[Any] | None = None
        response: web.StreamResponse
        try:
            _check_form(request)
            methods, parts = self._table.methods(request.rel_url.raw_path)
            route = methods.get(request.method) or (methods.get("GET") if request.method == "HEAD" else None)
            if route is not None:
                name = route.path
            # Before anything else is said: without a token nobody learns what there is.
            free = for_people or (_all_free(methods) if route is None else route.scope is None)
            token = None if free else await self._allowed(request, route)
            who = "" if token is None else token.name
            if route is None:
                raise _nothing(request, methods)
            path = {name_: _decoded(name_, text) for name_, text in names_in(route, parts)} if parts else {}
            call = await self._call(request, route, path, token, request_id)
            response = await self._answer(request, call)
        except Refused as refused:
            response, headers = self._refused(refused, request_id, for_people), headers_of(refused)
        except (StoreUnavailable, StoreRefused, Unsafe) as away:
            error = unavailable(f"Redis is unavailable: {away}")
            response, headers = self._refused(error, request_id, for_people), headers_of(error)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as wrong:
            if (suppressed := self._lines.take("http.failed", type(wrong).__name__, name)) is not None:
                log.exception(
                    "http.failed", request_id=request_id, method=request.method, path=name, suppressed=suppressed
                )
            response = self._refused(internal_error(), request_id, for_people)
        if type(response) is not FastResponse:
            response.headers.update(headers)
            if isinstance(response, web.Response):
                if prefix := forwarded_prefix(request.headers):
                    add_prefix(prefix, response)
                await compress(request, response)
            response.headers["X-Request-Id"] = request_id
        if headers.get("Connection") == "close":
            response.force_close()
        if call is not None and call.token is not None:
            who = call.token.name  # of a session, where pages are asked for
        self._count(name, response.status, loop.time() - began)
        self._log(request, name, response.status, loop.time() - began, who, request_id)
        return response

    def _log(self, request: BaseRequest, name: str, status: int, seconds: float, who: str, request_id: str) -> None:
        # Pages that are open ask again whenever something changes.
        is_page = request.method == "GET" and request.rel_url.raw_path.startswith(self._html_errors.prefix)
        if status < 400 and (is_page or name in _QUIET):
            return
        suppressed: int | None = 0
        if status >= 400 or not who:
            suppressed = self._lines.take("http.request", status, "by a token" if who else "without a token")
        if suppressed is not None:
            log.info(
                "http.request",
                method=request.method,
                path=name,
                status=status,
                ms=round(seconds * 1000, 1),
                who=who or None,
                remote=request.remote,
                request_id=request_id,
                suppressed=suppressed,
            )

    def _count(self, name: str, status: int, seconds: float) -> None:
        self.requests[name, status] = self.requests.get((name, status), 0) + 1
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    async def _allowed(self, request: BaseRequest, route: Route | None) -> Token:
        """Return the token of the request if it has the scope of the route."""
        token = await self._token(request)
        if route is not None and route.scope is not None and not token.has_scope(route.scope):
            raise ApiError("FORBIDDEN", f"token needs the scope {route.scope}")
        wait = self._rates.take(token, asyncio.get_running_loop().time())
        if wait is not None:
            headers = {"Retry-After": str(wait)}
            raise ApiError(
                "RATE_LIMITED", f"rate limit of {token.rate:g} requests per second exceeded", headers=headers
            )
        if self._services.tokens.note_use(token, self._services.now_ms()):
            # Whether that can be written now decides nothing about the request.
            with contextlib.suppress(StoreUnavailable, StoreRefused):
                await self._services.tokens.write_last_uses()
        return token

    async def _token(self, request: BaseRequest) -> Token:
        given = request.headers.getall(hdrs.AUTHORIZATION, [])
        if not given:
            raise _unknown("missing token; send Authorization: Bearer <token>")
        form = _BEARER.fullmatch(given[0]) if len(given) == 1 else None
        if form is None:
            raise _unknown("invalid Authorization header; send Authorization: Bearer <token>")
        token = await self._services.tokens.check(form[1])
        if token is None:
            raise _unknown("token is unknown or revoked")
        return token

    async def _call(
        self, request: BaseRequest, route: Route, path: dict[str, str], token: Token | None, request_id: str
    ) -> Call[Any]:
        data = await body_of(request, route, self._body_seconds)
        content_type = request.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
        if route.body is not None and data and content_type not in route.content_types:
            known = ", ".join(route.content_types)
            raise ApiError("UNSUPPORTED_MEDIA_TYPE", f"Content-Type must be {known}, got {content_type!r}")
        target = request.rel_url.raw_path_qs
        return Call(
            self._services, route, path, _query(request, route), data, token, request_id, content_type,
            request.headers, target,
        )  # fmt: skip

    async def _answer(self, request: BaseRequest, call: Call[Any]) -> web.StreamResponse:
        route, key = call.route, None
        if route.changes:
            refuse_preconditions(call.headers, has_versions=route.has_versions)
            key = header_key(call.headers)
        if key is None or call.token is None:
            return await response_to(request, call, await route.handler(call), self._lines)

        async def act() -> web.Response:
            return whole_response(call, await route.handler(call))

        asked = KeyedRequest(
            key=key,
            token_id=call.token.id,
            secret=request.headers[hdrs.AUTHORIZATION].split()[-1],
            method=request.method,
            target=call.target,
            data=call.data,
            repeatable=route.repeatable,
        )
        return await run_once(asked, self._services.answers, self._services.now_ms, act)

    def _refused(self, error: Refused, request_id: str, for_people: bool) -> web.Response:  # noqa: FBT001
        if for_people:
            page = self._html_errors.render(error, request_id)
            headers = {**HEADERS, **page.headers, "Content-Type": page.content_type}
            return web.Response(body=page.body, status=page.status or status_of(error), headers=headers)
        return web.Response(body=encode_error(error, request_id), status=status_of(error), headers=JSON_HEADERS.copy())


def _all_free(methods: Mapping[str, Route]) -> bool:
    """Return whether no method of a path needs a token. Unknown paths need one."""
    return bool(methods) and all(one.scope is None for one in methods.values())


def _nothing(request: BaseRequest, methods: Mapping[str, Route]) -> Refused:
    if methods:
        allowed = ", ".join(sorted(methods))
        return ApiError("METHOD_NOT_ALLOWED", f"method must be {allowed}", headers={"Allow": allowed})
    # Invalid bytes would make an invalid answer.
    path = request.rel_url.raw_path.encode("ascii", "backslashreplace").decode()
    return ApiError("NOT_FOUND", f"no such path: {path}")


def _check_form(request: BaseRequest) -> None:
    """Reject ambiguous requests that aiohttp accepts, such as a duplicate Host."""
    hosts = len(request.headers.getall(hdrs.HOST, ()))
    if request.version not in _VERSIONS:
        wrong = "HTTP version must be 1.1 or 1.0"
    elif hosts > 1 or (hosts == 0 and request.version == HttpVersion11):
        wrong = "exactly one Host header is required"
    else:
        return
    raise ApiError("VALIDATION_ERROR", wrong, headers={"Connection": "close"})


def _unknown(message: str) -> Refused:
    return ApiError("TOKEN_INVALID", message, headers={"WWW-Authenticate": "Bearer"})


def _query(request: BaseRequest, route: Route) -> Any:
    if route.query is None:
        return None
    text = request.rel_url.raw_query_string
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=50)
    except ValueError:
        raise invalid("", "query string is malformed") from None
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in given:
            raise invalid(name, "must not be repeated")
        given[name] = value
    try:
        return msgspec.convert(given, route.query, strict=False)
    except msgspec.ValidationError as wrong:
        raise from_msgspec(wrong) from None


def _decoded(name: str, text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise invalid(name, "is not valid UTF-8") from None
