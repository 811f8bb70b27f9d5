"""Types of options, and options and groups that several commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from witnd.app.errors import Refused
from witnd.cli.console.texts import text
from witnd.domain.values import instant
from witnd.domain.values.period_text import DateRange, parse_period

Command = TypeVar("Command", bound=Callable[..., Any])


class _Instant(click.ParamType[int]):
    name = "instant"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return instant.parse(str(value))
        except ValueError as wrong:
            self.fail(f"{value!r} {wrong}", param, ctx)


class _Period(click.ParamType[DateRange]):
    name = "period"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> DateRange:
        if isinstance(value, DateRange):
            return value
        try:
            return parse_period(str(value))
        except ValueError as wrong:
            self.fail(f"{value!r} {wrong}; write a year, month or day such as 2026-11", param, ctx)


class CheckedText(click.ParamType[str]):
    """Text that `parse` accepts. A mistake ends the command before it connects to Redis."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        given = text(str(value))
        try:
            self._parse(given)
        except ValueError as wrong:
            self.fail(f"{given!r} {wrong}", param, ctx)
        except Refused as refused:
            self.fail(refused.details[0].message, param, ctx)
        return given


#: An instant as the contract writes it, in milliseconds.
INSTANT = _Instant()
#: A year, a month or a day, in the billing time zone.
PERIOD = _Period()
#: The text of an instant.
INSTANT_TEXT = CheckedText("instant", instant.parse)


class DefaultGroup(click.Group):
    """A group of commands that runs `default` if no command is given."""

    def __init__(self, *arguments: Any, default: str = "list", **members: Any) -> None:
        super().__init__(*arguments, **members)
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.commands, "--help", "-h"):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


def page_options(command: Command) -> Command:
    """Add `--limit` and `--after`, which reach the command as `limit: int` and `after: str | None`."""
    limit = click.option(
        "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Entries per page."
    )
    after = click.option("--after", metavar="CURSOR", help="Continue after CURSOR from a previous page.")
    return limit(after(command))
