"""Logging: one line per unit of work, to stderr, as JSON for machines or in colours for a terminal.

What is worth a line is decided where it happens; that no line holds a secret is decided here.
"""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from witnd.clock import Clock
from witnd.domain import instant

HIDDEN = "[hidden]"
_SECRET_NAMES = frozenset({"secret", "password", "token"})
# Signing secrets, tokens, and the login inside an address.
_SECRET_TEXT = re.compile(r"whsec_[A-Za-z0-9+/=_-]+|\bwn_[0-9a-f]{12}_[A-Za-z0-9_-]+|(?<=://)[^/@\s]+(?=@)")
# What libraries say below a warning is about their own inner life.
_LIBRARIES = logging.WARNING


def logger() -> FilteringBoundLogger:
    return cast("FilteringBoundLogger", structlog.get_logger())


def configure(log_format: str = "auto", *, stream: TextIO | None = None) -> None:
    """`auto` means for people on a terminal and JSON lines elsewhere. Library logs join in."""
    out = stream or sys.stderr
    people = log_format == "console" or (log_format == "auto" and out.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _stamped,
            structlog.processors.format_exc_info,
            redacted,
            *(_for_people(colors=out.isatty()) if people else _for_machines()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, _Forward)]:
        root.removeHandler(handler)
    root.addHandler(_Forward(_LIBRARIES))


def redacted(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
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


def _stamped(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    line["time"] = instant.render(Clock().now_ms())
    return line


def _for_people(*, colors: bool) -> tuple[Processor, ...]:
    return (structlog.dev.ConsoleRenderer(colors=colors, timestamp_key="time"),)


def _for_machines() -> tuple[Processor, ...]:
    def encoded(line: EventDict, **_: object) -> str:
        return msgspec.json.encode(line).decode()

    return (structlog.processors.JSONRenderer(serializer=encoded),)


class _Forward(logging.Handler):
    """Makes a log record of a library one of our lines."""

    def emit(self, record: logging.LogRecord) -> None:
        extra = {"exc_info": record.exc_info} if record.exc_info else {}
        logger().log(record.levelno, record.getMessage(), logger=record.name, **extra)
