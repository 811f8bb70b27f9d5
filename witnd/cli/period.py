"""A stretch of time as people write it on a command line: a year, a month or a day of UTC."""

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from witnd.domain import instant
from witnd.domain.period import Calendar, Period

Command = TypeVar("Command", bound=Callable[..., Any])

_FORM: Final = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", re.ASCII)


def period_option(command: Command) -> Command:
    """Adds `--period`, which reaches the command as `period: Period | None`."""
    words = "A year, a month (2026-11), or a day within."
    return click.option("--period", metavar="PERIOD", callback=_read, help=words)(command)


def _read(_ctx: click.Context, _param: click.Parameter, text: str | None) -> Period | None:
    try:
        return None if text is None else spanned(text)
    except ValueError as wrong:
        raise click.BadParameter(f"{text!r} {wrong}; write a year, month or day such as 2026-11") from wrong


def spanned(text: str) -> Period:
    """Raises ValueError with the reason."""
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError("is no period")
    year, month, day = form.groups()
    first = instant.parse(f"{year}-{month or '01'}-{day or '01'}T00:00:00Z")
    if month is None:
        return Period(first, instant.parse(f"{int(year) + 1}-01-01T00:00:00Z"), "year")
    return Calendar.of("month" if day is None else "day").period_of(first)
