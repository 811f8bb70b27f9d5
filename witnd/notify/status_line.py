"""Read the status line of a response, because aiohttp loses it if the rest is malformed.

The status line is the endpoint's decision. A wrong length, an unexpected body or a malformed header does not change it.
"""

import re
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

from aiohttp import TCPConnector
from aiohttp.client_proto import ResponseHandler

__all__ = ["RecordingConnector", "StatusLine", "record"]

# Longer than the status lines and interim responses of any server.
MAX_HEAD_BYTES: Final = 16 * 1024

_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r?\n")
_BLANK: Final = re.compile(rb"\r?\n\r?\n")


class StatusLine:
    """The received part of a response's head."""

    __slots__ = ("_head", "status")

    def __init__(self) -> None:
        self.status: int | None = None
        self._head = b""

    def feed(self, data: bytes) -> None:
        """Add the next bytes. Skips interim responses such as 100."""
        if self.status is not None or len(self._head) > MAX_HEAD_BYTES:
            return
        self._head += data
        while (line := _LINE.match(self._head)) is not None:
            status = int(line[1])
            if status == 101 or status >= 200:
                self.status, self._head = status, b""
                return
            blank = _BLANK.search(self._head)
            if blank is None:
                return
            self._head = self._head[blank.end() :]


_RECORDED: ContextVar[StatusLine | None] = ContextVar("status_line", default=None)


def record() -> StatusLine:
    """Record the status line of this task's next response."""
    line = StatusLine()
    _RECORDED.set(line)
    return line


class _Recorder(ResponseHandler):
    """The protocol of a connection. Each request sets where its status line is recorded."""

    _line: StatusLine | None = None

    def set_response_params(self, **options: Any) -> None:
        self._line = _RECORDED.get()
        super().set_response_params(**options)

    def data_received(self, data: bytes) -> None:
        if self._line is not None:
            self._line.feed(data)
        super().data_received(data)


class RecordingConnector(TCPConnector):
    """A connector whose connections record status lines for `record`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # aiohttp has no public way to choose the protocol. Tests of the sender fail if it stops using this one.
        factory: Any = partial(_Recorder, loop=self._loop)
        self._factory = factory
