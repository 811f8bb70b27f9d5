"""Listens, and turns requests into calls of handlers and what they answer into responses.

In this order: token (401, 403), rate (429), size (413), form (400). One line of the log for each request, but for
successful ingestion and health checks, which come too often and are counted instead.
"""

import asyncio
import re
import secrets
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import msgspec
import structlog
from aiohttp import ClientPayloadError, web
from aiohttp.web_request import BaseRequest

from witnd.store.errors import StoreRefused, StoreUnavailable
from witnd.store.tokens import Token
from witnd.web.errors import ApiError, from_msgspec, invalid, unavailable
from witnd.web.limits import Rates
from witnd.web.route import JSON, Call, Raw, Route, Table, names_in
from witnd.web.services import Services

# A body that takes longer is not worth the connection.
BODY_SECONDS: Final = 30.0
KEEP_ALIVE_SECONDS: Final = 75.0
LINE_MAX: Final = 8190
# Nothing of ours may be framed, sniffed or cached by others.
HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}
_BEARER = re.compile(r"Bearer +([\x21-\x7e]+) *", re.IGNORECASE | re.ASCII)
_QUIET = frozenset(("/v1/events", "/v1/events/batch", "/healthz", "/readyz", "/metrics"))

log = structlog.get_logger()
_encode = msgspec.json.Encoder().encode


class Server:
    """`handle` is what aiohttp calls for every request."""

    def __init__(self, services: Services, routes: list[Route]) -> None:
        self.requests: dict[tuple[str, int], int] = {}  # (path of the route, status) → how many, for metrics
        self._services = services
        self._table = Table(routes)
        self._rates = Rates()

    def listener(self) -> web.Server:
        return web.Server(
            self.handle,
            auto_decompress=False,
            access_log=None,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            max_line_size=LINE_MAX,
            max_field_size=LINE_MAX,
        )

    async def handle(self, request: BaseRequest) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        began, request_id = loop.time(), secrets.token_hex(16)
        name, who = "(unknown)", ""
        headers: Mapping[str, str] = {}
        try:
            route, path = self._find(request)
            if route is not None:
                name = route.path
            token = await self._allowed(request, route)
            who = "" if token is None else token.name
            if route is None:
                raise ApiError("NOT_FOUND", f"there is nothing at {request.path}")
            response = await self._answer(request, route, path, token, request_id)
        except ApiError as refused:
            response, headers = self._refused(refused, request_id), refused.headers
        except (StoreUnavailable, StoreRefused) as away:
            error = unavailable(f"Redis cannot do this now: {away}")
            response, headers = self._refused(error, request_id), error.headers
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:
            log.exception("http.failed", request_id=request_id, method=request.method, path=name)
            error = ApiError("INTERNAL_ERROR", "something went wrong on this side; it is in the log by its request id")
            response = self._refused(error, request_id)
        response.headers.update(headers)
        response.headers["X-Request-Id"] = request_id
        counted = (name, response.status)
        self.requests[counted] = self.requests.get(counted, 0) + 1
        if response.status >= 400 or name not in _QUIET:
            log.info(
                "http.request",
                method=request.method,
                path=name,
                status=response.status,
                ms=round((loop.time() - began) * 1000, 1),
                token=who or None,
                remote=request.remote,
                request_id=request_id,
            )
        return response

    def _find(self, request: BaseRequest) -> tuple[Route | None, dict[str, str]]:
        methods, parts = self._table.methods(request.rel_url.raw_path)
        if not methods:
            return None, {}
        route = methods.get(request.method)
        if route is None and request.method == "HEAD":
            route = methods.get("GET")
        if route is None:
            allowed = ", ".join(sorted(methods))
            raise ApiError("METHOD_NOT_ALLOWED", f"only {allowed} here", headers={"Allow": allowed})
        return route, {name: _decoded(name, text) for name, text in names_in(route, parts)}

    async def _allowed(self, request: BaseRequest, route: Route | None) -> Token | None:
        if route is not None and route.scope is None:
            return None
        token = await self._token(request)
        if route is not None and route.scope is not None and not token.may(route.scope):
            raise ApiError("FORBIDDEN", f"this token may not do this: it needs the scope {route.scope}")
        wait = self._rates.take(token, asyncio.get_running_loop().time())
        if wait is not None:
            headers = {"Retry-After": str(wait)}
            raise ApiError("RATE_LIMITED", f"more than {token.rate:g} requests a second", headers=headers)
        if self._services.tokens.note(token, self._services.now_ms()):
            await self._services.tokens.write_used()
        return token

    async def _token(self, request: BaseRequest) -> Token:
        given = request.headers.getall("Authorization", [])
        if not given:
            raise _unknown("Missing token")
        form = _BEARER.fullmatch(given[0]) if len(given) == 1 else None
        if form is None:
            raise _unknown("The header must be `Authorization: Bearer <token>`")
        token = await self._services.tokens.check(form[1])
        if token is None:
            raise _unknown("This token is not known, or was revoked")
        return token

    async def _answer(
        self, request: BaseRequest, route: Route, path: dict[str, str], token: Token | None, request_id: str
    ) -> web.Response:
        data = await _body(request, route)
        content_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if route.body is not None and data and content_type not in route.content_types:
            known = ", ".join(route.content_types)
            raise ApiError(
                "UNSUPPORTED_MEDIA_TYPE", f"Content-Type must be {known}, and is {content_type or 'missing'}"
            )
        query = _query(request, route)
        call = Call(
            self._services, route, path, query, data, token, request_id, content_type, request.headers
        )  # fmt: skip
        answer = await route.handler(call)
        if isinstance(answer, Raw):
            headers = {**HEADERS, **answer.headers, "Content-Type": answer.content_type}
            return web.Response(body=answer.body, status=route.status, headers=headers)
        if answer is None:
            return web.Response(status=204, headers=HEADERS)
        return web.Response(body=_encode(answer), status=route.status, headers={**HEADERS, "Content-Type": JSON})

    def _refused(self, error: ApiError, request_id: str) -> web.Response:
        return web.Response(body=error.body(request_id), status=error.status, headers={**HEADERS, "Content-Type": JSON})


def _unknown(message: str) -> ApiError:
    return ApiError("TOKEN_INVALID", message, headers={"WWW-Authenticate": "Bearer"})


async def _body(request: BaseRequest, route: Route) -> bytes:
    """The body, at most as large as the route allows; what is larger is refused while it is read."""
    if not request.body_exists:
        return b""
    if (request.content_length or 0) > route.most_bytes:
        raise _too_large(route)
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ApiError("UNSUPPORTED_MEDIA_TYPE", "send the body without Content-Encoding")
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while part := await request.content.readany():
                size += len(part)
                if size > route.most_bytes:
                    raise _too_large(route)
                parts.append(part)
    except TimeoutError:
        raise ApiError("REQUEST_TIMEOUT", f"the body took longer than {BODY_SECONDS:g} s") from None
    except ClientPayloadError:
        raise invalid("", "the body is broken off or not framed as HTTP asks") from None
    return b"".join(parts)


def _too_large(route: Route) -> ApiError:
    return ApiError(
        "PAYLOAD_TOO_LARGE", f"the body is larger than {route.most_bytes} bytes", headers={"Connection": "close"}
    )


def _query(request: BaseRequest, route: Route) -> Any:
    text = request.rel_url.raw_query_string
    if route.query is None:
        return None
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=50)
    except ValueError:
        raise invalid("", "the query of the address is not well formed") from None
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in given:
            raise invalid(name, "is there twice; give it once")
        given[name] = value
    try:
        return msgspec.convert(given, route.query, strict=False)
    except msgspec.ValidationError as wrong:
        raise from_msgspec(wrong) from None


def _decoded(name: str, text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise invalid(name, "is not UTF-8 in percent-encoding") from None
