"""How a command ends when something went wrong that is no mistake in the program."""

from contextlib import suppress
from typing import NoReturn

import click

from witnd.cli.console.streams import Unwritable
from witnd.config import ConfigError
from witnd.exit_codes import OWNERSHIP, REDIS, USAGE
from witnd.store.errors import Displaced, Fenced, StoreRefused, StoreUnavailable, Unsafe, leaves


def end(error: Exception) -> NoReturn:
    """End the command with a line for the operator and a documented code.

    An error that only a developer can act on is raised again, with its traceback.
    """
    found = verdict(error)
    if found is None:
        raise error
    message, code = found
    with suppress(OSError):  # stderr may be closed or full
        for line in message.splitlines():
            click.echo(f"witnd: {line}", err=True)
    raise click.exceptions.Exit(code)


def verdict(error: Exception) -> tuple[str, int] | None:
    """Return the message and the exit code of an expected error, else None."""
    for one in leaves(error):
        match one:
            case ConfigError(mistakes=mistakes):
                return "\n".join(map(str, mistakes)), USAGE
            case Unwritable():
                return str(one), USAGE
            case Fenced():
                return f"another daemon has taken over: {one}", OWNERSHIP
            case Displaced():
                return str(one), OWNERSHIP
            case StoreUnavailable() | StoreRefused() | Unsafe():
                return str(one), REDIS
            case _:
                continue
    return None
