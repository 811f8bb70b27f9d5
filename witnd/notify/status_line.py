"""Reads the status line of a response, because aiohttp loses it if the rest is malformed.

An endpoint has decided when it has sent its status line. A wrong length, a body where none may be or a header that is
no header does not change that.
"""

import re
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

from aiohttp import TCPConnector
from aiohttp.client_proto import ResponseHandler

__all__ = ["RecordingConnector", "StatusLine", "record"]

# Longer than the status lines and interim answers of any server.
HEAD_BYTES_MAX: Final = 16 * 1024

_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r?\n")
_BLANK: Final = re.compile(rb"\r?\n\r?\n")


class StatusLine:
    """What came of the head of one answer so far."""

    __slots__ = ("_head", "status")

    def __init__(self) -> None:
        self.status: int | None = None
        self._head = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Interim answers such as 100 are skipped."""
        if self.status is not None or len(self._head) > HEAD_BYTES_MAX:
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
    """Record the status line of the next answer that this task asks for."""
    line = StatusLine()
    _RECORDED.set(line)
    return line


class _Recorder(ResponseHandler):
    """The protocol of a connection; a request that begins on it says where its status line is recorded."""

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
