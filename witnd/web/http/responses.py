"""Turns the result of a handler into a response: JSON, raw bytes or a stream."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web
from aiohttp.web_request import BaseRequest
from multidict import CIMultiDict

from witnd.web.connections.line_limit import LimitedLines
from witnd.web.http.fast_response import FastResponse, Heads, fits
from witnd.web.http.route import JSON, Call, Raw, Stream
from witnd.web.http.streaming import Streamed

# Nothing of ours may be framed, sniffed or cached by others.
HEADERS: Final[Mapping[str, str]] = {
    "Server": "witnd",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}
JSON_HEADERS: Final = CIMultiDict({**HEADERS, "Content-Type": JSON})  # to be copied: a response changes its own
_HEADS: Final = Heads(JSON_HEADERS)
_encode = msgspec.json.Encoder().encode


async def response_to(request: BaseRequest, call: Call[Any], answer: Any, lines: LimitedLines) -> web.StreamResponse:
    """The response to a success. `lines`: the limit for lines of the log, where a stream fails half way."""
    route = call.route
    if isinstance(answer, Stream):
        return await Streamed.begun(answer, route.path, lines, route.status, dict(HEADERS))
    if answer is None or isinstance(answer, Raw) or call.answer_headers:
        return whole_response(call, answer)
    body = _encode(answer)
    if route.scope == "ingest" and fits(request, body):
        return FastResponse(_HEADS.head(route.status), route.status, body, call.request_id)
    return web.Response(body=body, status=route.status, headers=JSON_HEADERS.copy())


def whole_response(call: Call[Any], answer: Any) -> web.Response:
    """The response to a success that is no stream, with its body in memory."""
    route = call.route
    if isinstance(answer, Raw):
        headers = {**HEADERS, **call.answer_headers, **answer.headers, "Content-Type": answer.content_type}
        return web.Response(body=answer.body, status=answer.status or route.status, headers=headers)
    if answer is None:
        return web.Response(status=204, headers={**HEADERS, **call.answer_headers})
    return web.Response(body=_encode(answer), status=route.status, headers={**JSON_HEADERS, **call.answer_headers})
