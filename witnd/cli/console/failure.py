"""Map expected errors to messages and exit codes."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Final, NoReturn

import click

from witnd.app.errors import Refused
from witnd.cli.console.output import printable
from witnd.cli.console.streams import Unwritable
from witnd.config import ConfigError
from witnd.exit_codes import OWNERSHIP, REDIS, USAGE
from witnd.store.errors import Displaced, Fenced, StoreRefused, StoreUnavailable, Unsafe, leaves

# What a refusal ends a command with; all other codes mean a wrong argument, or something that may not be done.
_EXIT_CODES: Final[Mapping[str, int]] = {"UNAVAILABLE": REDIS}
# The commands that list things of a kind.
_LISTS: Final[Mapping[str, str]] = {
    "agent": "witnd agents",
    "customer": "witnd customers",
    "rate card": "witnd rate-cards",
    "outcome": "witnd outcomes",
    "delivery": "witnd deliveries",
    "invoice": "witnd invoices",
    "invoice or credit note": "witnd invoices",
    "credit note": "witnd invoices notes",
    "token": "witnd tokens --all",
}


def end(error: Exception) -> NoReturn:
    """End the command with a message and a documented exit code.

    An error that only a developer can act on is raised again, with its traceback.
    """
    found = verdict(error)
    if found is None:
        raise error
    message, code = found
    with suppress(OSError):  # stderr may be closed or full
        for line in message.splitlines():
            click.echo(printable(f"witnd: {line}"), err=True)
    raise click.exceptions.Exit(code)


def refuse(why: str) -> NoReturn:
    """End the command because of a wrong argument."""
    click.echo(printable(f"witnd: {why}"), err=True)
    raise click.exceptions.Exit(USAGE)


def verdict(error: Exception) -> tuple[str, int] | None:
    """Return the message and the exit code of an expected error, else None."""
    for one in leaves(error):
        match one:
            case ConfigError(mistakes=mistakes):
                return "\n".join(map(str, mistakes)), USAGE
            case Refused():
                return refusal_text(one), _EXIT_CODES.get(one.code, USAGE)
            case Unwritable():
                return str(one), USAGE
            case Fenced():
                return f"another daemon took over: {one}", OWNERSHIP
            case Displaced():
                return str(one), OWNERSHIP
            case StoreUnavailable() | StoreRefused() | Unsafe():
                return str(one), REDIS
            case _:
                continue
    return None


def refusal_text(refused: Refused) -> str:
    """Return what a refusal of a use case means at a terminal: its fields are options, and lists are commands."""
    if (command := remedy_of(refused)) is not None:
        return f"{refused.problem}; {command}"
    if refused.code != "VALIDATION_ERROR" or not refused.details:
        return refused.message
    return "\n".join([f"{_option(one.path)}: {one.message}" if one.path else one.message for one in refused.details])


def remedy_of(refused: Refused) -> str | None:
    """Return what can be done instead: its own remedy, or the command that lists what exists."""
    command = _LISTS.get(refused.missing or "")
    return refused.remedy or (None if command is None else f"`{command}` lists them")


def _option(path: str) -> str:
    """Return the option or argument of the command that a field came from; the path itself if none did."""
    context = click.get_current_context(silent=True)
    for param in () if context is None else context.command.params:
        if f"--{path.replace('_', '-')}" in param.opts:
            return param.opts[0]
    return path
