"""Logging: writes lines to stderr, as JSON or coloured text.

It hides secrets in every line, and never makes the daemon wait.
"""

import contextlib
import logging
import os
import re
import select
import sys
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Protocol, TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from witnd.clock import Clock
from witnd.domain.values import instant

HIDDEN = "[hidden]"
_SECRET_NAMES = frozenset({"secret", "password", "token"})
# Signing secrets, tokens, and the login in a URL.
_SECRET_TEXT = re.compile(r"whsec_[A-Za-z0-9+/=_-]+|\bwn_[0-9a-f]{12}_[A-Za-z0-9_-]+|(?<=://)[^/@\s]+(?=@)")
# Lower levels of libraries are about their internals.
_LIBRARIES = logging.WARNING
# Lines that wait for a slow reader: some seconds of a busy daemon, and a limit on memory.
LINES_MAX: Final = 10_000
BYTES_MAX: Final = 8 * 1024 * 1024
# How long the process may wait for the last lines at its end.
CLOSE_SECONDS: Final = 1.0


class Stream(Protocol):
    """A destination for lines."""

    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...
    def isatty(self) -> bool: ...


class LogWriter:
    """A stream whose writes never block: a thread writes the lines to a file descriptor.

    A line is dropped and counted if the queue is full or the write fails. When writes succeed again, the event
    `log.dropped` reports the number of missing lines.
    """

    def __init__(self, descriptor: int, *, lines_max: int = LINES_MAX, bytes_max: int = BYTES_MAX) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._lines_max = lines_max
        self._bytes_max = bytes_max
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._reported = 0
        self._is_torn = False
        self._is_closing = False
        self._changed = threading.Condition()
        # A daemon thread does not keep the process alive while the reader blocks.
        self._thread = threading.Thread(target=self._write_lines, name="log-writer", daemon=True)
        self._thread.start()

    def write(self, text: str) -> int:
        line = text.encode(errors="backslashreplace")
        with self._changed:
            if len(self._lines) >= self._lines_max or self._bytes + len(line) > self._bytes_max:
                self.dropped += 1
            else:
                self._lines.append(line)
                self._bytes += len(line)
                self._changed.notify()
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread writes each line as soon as possible."""

    def isatty(self) -> bool:
        with contextlib.suppress(OSError):
            return os.isatty(self._descriptor)
        return False

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Wait until all queued lines are written, at most `seconds`."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(seconds)

    def _write_lines(self) -> None:
        while True:
            with self._changed:
                while not self._lines and not self._is_closing:
                    self._changed.wait()
                if not self._lines:
                    return
                line = self._lines.popleft()
                self._bytes -= len(line)
            try:
                self._write(line)
            except OSError:
                with self._changed:
                    self.dropped += 1
            else:
                self._report()

    def _write(self, line: bytes) -> None:
        rest = memoryview(b"\n" + line if self._is_torn else line)
        while rest:
            try:
                written = os.write(self._descriptor, rest)
            except BlockingIOError:
                # Another process that shares the descriptor made it non-blocking.
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()
                continue
            self._is_torn = written < len(rest)
            rest = rest[written:]

    def _report(self) -> None:
        missing = self.dropped - self._reported
        if missing and len(self._lines) < self._lines_max:
            self._reported += missing
            log = logger()
            log.warning("log.dropped", count=missing, reason="the log was not read, or the daemon could not write it")


class StandardError:
    """The current `sys.stderr`. A failed write loses the line, because logging must not fail a command."""

    def write(self, text: str, /) -> None:
        with contextlib.suppress(OSError, ValueError):
            if sys.stderr is not None:
                sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            if sys.stderr is not None:
                sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr is not None and sys.stderr.isatty()


_stream: Stream | None = None


def logger() -> FilteringBoundLogger:
    return cast("FilteringBoundLogger", structlog.get_logger())


def configure(log_format: str = "auto", *, stream: Stream | None = None) -> None:
    """Log to `stream`, else to stderr. The format `auto` is coloured text on a terminal and JSON lines elsewhere.

    Warnings of libraries are logged in the same format.
    """
    global _stream  # noqa: PLW0603 - structlog's configuration is global as well
    _stream = stream
    out = cast("TextIO", stream or StandardError())
    is_console = log_format == "console" or (log_format == "auto" and out.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _add_time,
            structlog.processors.format_exc_info,
            redact,
            *(_console_renderers(colors=out.isatty()) if is_console else _json_renderers()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Forward)]:
        root.removeHandler(handler)
    root.addHandler(_Forward(_LIBRARIES))


def configure_once() -> None:
    """Configure logging to stderr unless it is already configured. Without a configuration, structlog writes to stdout,
    which is for the output of commands."""
    if not structlog.is_configured():
        configure()


def dropped_lines() -> int:
    """Return the number of log lines dropped since the process started."""
    return _stream.dropped if isinstance(_stream, LogWriter) else 0


def redact(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Hide values that are named or look like secrets, at every depth."""
    return cast("EventDict", _without_secrets(line))


def _without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return _SECRET_TEXT.sub(HIDDEN, value)
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if str(name).lower() in _SECRET_NAMES else _without_secrets(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_without_secrets(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _SECRET_TEXT.sub(HIDDEN, str(value))


def _add_time(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    line["time"] = instant.render(Clock().now_ms())
    return line


def _console_renderers(*, colors: bool) -> tuple[Processor, ...]:
    return (structlog.dev.ConsoleRenderer(colors=colors, timestamp_key="time"),)


# Control characters outside C0, line separators, and marks that change the direction of text.
_ACTIVE: Final = re.compile(r"[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def _json_renderers() -> tuple[Processor, ...]:
    def encode(line: EventDict, **_: object) -> str:
        text = msgspec.json.encode(line).decode()
        # JSON allows these unescaped, but terminals and line readers interpret them.
        return (
            text
            if text.isascii() and "\x7f" not in text
            else _ACTIVE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
        )

    return (structlog.processors.JSONRenderer(serializer=encode),)


class _Forward(logging.Handler):
    """Forwards log records of libraries to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        extra = {"exc_info": record.exc_info} if record.exc_info else {}
        logger().log(record.levelno, record.getMessage(), logger=record.name, **extra)
