"""The option `--id`: repeating a command with it does the same thing once."""

from collections.abc import Iterator
from contextlib import contextmanager

from witnd.app.errors import Refused
from witnd.app.invoices.change import Reused


@contextmanager
def named_request(what: str, name: str, repeating: str) -> Iterator[None]:
    """Name the option in errors. `repeating`: what a repeated command does, such as "it credits once"."""
    try:
        yield
    except Reused as before:
        problem = f"--id {name} was used before: it {before.how}"
        raise Refused("CONFLICT", problem, remedy="choose another --id") from None
    except Refused as refused:
        if refused.code == "UNAVAILABLE":
            remedy = f"repeat the command with --id {name}; {repeating}"
            raise Refused(refused.code, f"{what} not confirmed ({refused.__cause__})", remedy=remedy) from refused
        raise
