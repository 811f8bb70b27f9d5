"""How a command ends when something went wrong that is no mistake in the program."""

from collections.abc import Iterator
from typing import NoReturn

import click

from witnd.config import ConfigError
from witnd.store.errors import Fenced, StoreRefused, StoreUnavailable, Unsafe

USAGE = 2
REDIS = 3
OWNERSHIP = 4
DIFFERENCE = 5


def end(error: Exception) -> NoReturn:
    """Ends the command with a line for the operator and a documented code.

    An error that nobody can act on but us is raised again, with its traceback.
    """
    for one in _leaves(error):
        match one:
            case ConfigError(mistakes=mistakes):
                _say("\n".join(map(str, mistakes)), USAGE)
            case Fenced():
                _say(f"another daemon has taken over: {one}", OWNERSHIP)
            case StoreUnavailable() | StoreRefused() | Unsafe():
                _say(str(one), REDIS)
            case _:
                continue
    raise error


def _say(message: str, code: int) -> NoReturn:
    for line in message.splitlines():
        click.echo(f"witnd: {line}", err=True)
    raise click.exceptions.Exit(code)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The error, or what is inside where it is the group that failed tasks leave behind."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
