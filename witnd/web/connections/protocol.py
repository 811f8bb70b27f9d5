"""Respond to bytes that are not HTTP: in the form of every other error, with at most one log line per second."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.web_request import BaseRequest

from witnd.web.connections.limit import Activity, State
from witnd.web.connections.line_limit import LimitedLines
from witnd.web.errors import ApiError, encode_error, internal_error, status_of

# Of what a stranger sent, so much is worth a line of the log.
_REASON_MAX: Final = 120

log = structlog.get_logger()


class Listener(web.Server):
    """Create a `Protocol` for each connection. `told` receives the status of requests that could not be parsed.
    `head_seconds`: time limit for the first complete headers. `lines`: the limit for log lines."""

    def __init__(
        self,
        handle: Callable[[BaseRequest], Awaitable[web.StreamResponse]],
        told: Callable[[int], None],
        headers: Mapping[str, str],
        head_seconds: float,
        lines: LimitedLines,
        **settings: Any,
    ) -> None:
        super().__init__(handle, access_log=None, **settings)
        self.head_seconds = head_seconds
        self.lines = lines
        self.told = told
        self.headers = headers
        self._settings = settings

    def __call__(self) -> web.RequestHandler:
        return Protocol(self, loop=self._loop, access_log=None, **self._settings)


class Protocol(web.RequestHandler):
    """One connection."""

    __slots__ = ("_head_timer", "_listener", "_since")

    def __init__(self, listener: Listener, **settings: Any) -> None:
        super().__init__(listener, **settings)
        self._listener = listener
        self._since = self._loop.time()  # it was opened, or its last request began or ended
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._head_timer = self._loop.call_later(self._listener.head_seconds, self._end_if_silent)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().connection_lost(exc)

    def _end_if_silent(self) -> None:
        if self._request_count == 0:
            self.abort()

    async def _handle_request(self, *given: Any) -> Any:
        self._since = self._loop.time()
        try:
            return await super()._handle_request(*given)
        finally:
            self._since = self._loop.time()

    def state(self, now: float) -> State:
        """Return what the connection is doing, and for how long."""
        if self._request_in_progress:
            request = self._current_request
            is_sending = request is not None and not request.content.is_eof()
            activity = Activity.SENDING if is_sending else Activity.BUSY
        else:
            activity = Activity.IDLE if self._request_count else Activity.SILENT
        return State(activity, now - self._since)

    def abort(self) -> None:
        """Close the connection at once, without sending the rest."""
        transport = self.transport
        self.force_close()
        if isinstance(transport, asyncio.Transport):
            transport.abort()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Respond to what the parser refused, and end the connection."""
        if isinstance(exc, ConnectionError):  # the client has gone away: nobody waits for an answer
            raise exc
        request_id = secrets.token_hex(16)
        if status >= 500:
            if (suppressed := self._listener.lines.take("http.failed", type(exc).__name__)) is not None:
                log.error(
                    "http.failed",
                    request_id=request_id,
                    method=request.method,
                    path="(unknown)",
                    suppressed=suppressed,
                    exc_info=exc,
                )
            error = internal_error()
        else:
            reason = " ".join((message or str(exc)).split())[:_REASON_MAX]
            if (suppressed := self._listener.lines.take("http.malformed")) is not None:
                log.info(
                    "http.malformed",
                    reason=reason,
                    remote=request.remote,
                    request_id=request_id,
                    suppressed=suppressed,
                )
            error = ApiError("VALIDATION_ERROR", "malformed HTTP request")
        if request.writer.output_size > 0:
            raise ConnectionError("a response has already started")
        self._listener.told(status_of(error))
        headers = {**self._listener.headers, "Content-Type": "application/json", "X-Request-Id": request_id}
        response = web.Response(body=encode_error(error, request_id), status=status_of(error), headers=headers)
        response.force_close()
        return response
