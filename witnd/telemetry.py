"""Logging: one line per unit of work, to stderr, as JSON for machines or in colours for a terminal.

Callers decide what is worth a line. This module makes sure that no line holds a secret and that no line makes the
daemon wait.
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
# Signing secrets, tokens, and the login inside an address.
_SECRET_TEXT = re.compile(r"whsec_[A-Za-z0-9+/=_-]+|\bwn_[0-9a-f]{12}_[A-Za-z0-9_-]+|(?<=://)[^/@\s]+(?=@)")
# What libraries say below a warning is about their own inner life.
_LIBRARIES = logging.WARNING
# Lines that wait for a slow reader: some seconds of a busy daemon, and a bound on memory.
LINES_MAX: Final = 10_000
BYTES_MAX: Final = 8 * 1024 * 1024
# How long the last lines may take when the process ends.
CLOSE_SECONDS: Final = 1.0


class Stream(Protocol):
    """Where lines go."""

    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...
    def isatty(self) -> bool: ...


class LogWriter:
    """A stream whose writes never wait: a thread passes the lines on to a file descriptor.

    A line is dropped and counted if the queue is full or the descriptor refuses it. As soon as lines get through again,
    the event `log.dropped` reports how many are missing.
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
        # As a daemon thread, it cannot keep the process alive while nobody reads.
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
        """Do nothing: the thread writes every line as soon as it can."""

    def isatty(self) -> bool:
        with contextlib.suppress(OSError):
            return os.isatty(self._descriptor)
        return False

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Wait for what is queued to be written, but not longer than this."""
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
                # Whoever shares the descriptor made it non-blocking.
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
            log.warning("log.dropped", count=missing, reason="nobody read the log, or the daemon could not write it")


class StandardError:
    """Whatever `sys.stderr` is when a line is written. A line that it refuses is lost: logging fails no command."""

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
    """Log to `stream`, else to stderr. `auto` means for people on a terminal and JSON lines elsewhere.

    Logs of libraries join in.
    """
    global _stream  # noqa: PLW0603 - structlog's configuration is global as well
    _stream = stream
    out = cast("TextIO", stream or StandardError())
    people = log_format == "console" or (log_format == "auto" and out.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _add_time,
            structlog.processors.format_exc_info,
            redact,
            *(_console_renderers(colors=out.isatty()) if people else _json_renderers()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, _Forward)]:
        root.removeHandler(handler)
    root.addHandler(_Forward(_LIBRARIES))


def configure_once() -> None:
    """Log to stderr unless the process has already decided where. Without a configuration lines go to stdout, where
    the answer of a command belongs."""
    if not structlog.is_configured():
        configure()


def dropped_lines() -> int:
    """Return how many lines of the log were dropped since the process began."""
    return _stream.dropped if isinstance(_stream, LogWriter) else 0


def redact(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Hides what is named or looks like a secret, at every depth."""
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


# Control characters beyond ASCII's first ones, line separators, and marks that change the direction of text.
_ACTIVE: Final = re.compile(r"[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def _json_renderers() -> tuple[Processor, ...]:
    def encode(line: EventDict, **_: object) -> str:
        text = msgspec.json.encode(line).decode()
        # JSON allows these as they are; terminals and line readers act on them.
        return (
            text
            if text.isascii() and "\x7f" not in text
            else _ACTIVE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
        )

    return (structlog.processors.JSONRenderer(serializer=encode),)


class _Forward(logging.Handler):
    """Makes a log record of a library one of our lines."""

    def emit(self, record: logging.LogRecord) -> None:
        extra = {"exc_info": record.exc_info} if record.exc_info else {}
        logger().log(record.levelno, record.getMessage(), logger=record.name, **extra)
