"""Short answers in JSON on a connection that stays open: nearly all there are. They are written in one piece, head
and body, with nothing to negotiate; what aiohttp does for any answer there could be costs a third of taking an event.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.web_request import BaseRequest

from witnd.web.http.behind_proxy import PREFIX_HEADER
from witnd.web.http.compression import LEAST_BYTES

# Larger ones are aiohttp's: it knows how to wait for who reads slowly.
MOST: Final = 32 * 1024


def fits(request: BaseRequest, body: bytes) -> bool:
    """Whether this answer to that request may be a small one."""
    return (
        len(body) <= MOST
        and request.version == HttpVersion11
        and request.keep_alive
        and (request.method == "POST" or (request.method != "HEAD" and len(body) < LEAST_BYTES))
        and PREFIX_HEADER not in request.headers
    )


class Heads:
    """The lines above a body that are the same for every answer of a status."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._known: dict[int, str] = {}

    def head(self, status: int) -> str:
        known = self._known.get(status)
        if known is None:
            known = self._known[status] = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{self._lines}"
        return known


class FastResponse(web.StreamResponse):
    """A whole answer. Its headers cannot be changed any more."""

    def __init__(self, head: str, status: int, body: bytes, request_id: str) -> None:
        super().__init__(status=status)
        self._keep_alive = True
        lines = f"Date: {rfc822_formatted_time()}\r\nX-Request-Id: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._whole = (head + lines).encode() + body

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        await request.writer.write(self._whole)
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """All of it is written already."""
