"""Send a response while it is generated: parts are sent as fast as the client reads them, and none is buffered."""

import asyncio
from typing import Any, Final

import structlog
from aiohttp import web

from witnd.web.connections.line_limit import LimitedLines
from witnd.web.http.route import Stream

# Who takes no part of an answer for so long does not get the rest.
PART_SECONDS: Final = 60.0

log = structlog.get_logger()


class Streamed(web.StreamResponse):
    """The response to a `Stream`. Its first part is generated before the head, so that early errors get a proper
    response."""

    def __init__(
        self,
        stream: Stream,
        first: str | bytes | None,
        name: str,
        lines: LimitedLines,
        status: int,
        headers: dict[str, str],
    ) -> None:
        super().__init__(status=status, headers=headers)
        self._first = first
        self._parts = stream.parts
        self._name = name
        self._lines = lines

    @classmethod
    async def begun(
        cls, stream: Stream, name: str, lines: LimitedLines, status: int, headers: dict[str, str]
    ) -> "Streamed":
        """`name`: the path of the route, for the log. `lines`: the limit for lines of the log."""
        first = await anext(stream.parts, None)
        return cls(
            stream, first, name, lines, status, {**headers, **stream.headers, "Content-Type": stream.content_type}
        )

    async def write_eof(self, data: bytes = b"") -> None:
        """Send all parts, and end the response if they are complete. aiohttp calls this after the head."""
        try:
            await self._send()
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as wrong:
            if (suppressed := self._lines.take("http.failed", type(wrong).__name__, self._name)) is not None:
                request_id = self.headers.get("X-Request-Id")
                log.exception("http.failed", request_id=request_id, path=self._name, suppressed=suppressed)
            # It cannot be told in the answer any more; but that the answer is not whole can.
            if self._req is not None and self._req.transport is not None:
                self._req.transport.abort()
            raise ConnectionAbortedError("the answer could not be finished") from None
        await super().write_eof(data)

    async def _send(self) -> None:
        try:
            part, self._first = self._first, None
            if self._req is None or self._req.method == "HEAD":
                return
            while part is not None:
                await self._write(part)
                part = await anext(self._parts, None)
        finally:
            close: Any = getattr(self._parts, "aclose", None)
            if close is not None:
                await close()

    async def _write(self, part: str | bytes) -> None:
        try:
            async with asyncio.timeout(PART_SECONDS):
                await self.write(part.encode() if isinstance(part, str) else part)
        except TimeoutError:
            raise ConnectionAbortedError(f"no part of the answer was taken for {PART_SECONDS:g} s") from None
