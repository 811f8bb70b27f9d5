"""Short JSON answers to ingested events, written in one piece: head and body.

They bypass `StreamResponse.prepare` of aiohttp, which takes a third of the time of accepting an event. Only ingestion
uses them. `tests/web/test_fast_response.py` checks that they equal what aiohttp would send.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.web_request import BaseRequest

from witnd.web.http.behind_proxy import PREFIX_HEADER

# aiohttp sends larger ones: it waits for clients that read slowly.
MOST: Final = 32 * 1024


def fits(request: BaseRequest, body: bytes) -> bool:
    """Return whether an answer may be written in one piece."""
    return (
        len(body) <= MOST
        and request.version == HttpVersion11
        and request.keep_alive
        and PREFIX_HEADER not in request.headers
    )


class Heads:
    """Caches the header lines that all answers with the same status share."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._known: dict[int, str] = {}

    def head(self, status: int) -> str:
        known = self._known.get(status)
        if known is None:
            known = self._known[status] = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{self._lines}"
        return known


class FastResponse(web.StreamResponse):
    """A complete answer. Its headers cannot be changed."""

    def __init__(self, head: str, status: int, body: bytes, request_id: str) -> None:
        super().__init__(status=status)
        self._keep_alive = True
        lines = f"Date: {rfc822_formatted_time()}\r\nX-Request-Id: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._whole = (head + lines).encode() + body

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        await request.writer.write(self._whole)
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: `prepare` has written everything."""
