"""A stretch of time as people write it on a command line: a year, a month or a day of UTC."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from witnd.domain.values.period import Period
from witnd.domain.values.span import parse_period

Command = TypeVar("Command", bound=Callable[..., Any])


def period_option(command: Command) -> Command:
    """Adds `--period`, which reaches the command as `period: Period | None`."""
    words = "A year, a month (2026-11), or a day within."
    return click.option("--period", metavar="PERIOD", callback=_read, help=words)(command)


def _read(_ctx: click.Context, _param: click.Parameter, text: str | None) -> Period | None:
    try:
        return None if text is None else parse_period(text)
    except ValueError as wrong:
        raise click.BadParameter(f"{text!r} {wrong}; write a year, month or day such as 2026-11") from wrong
