"""An office whose daemon finds a catalogue and events, and has settled what is due when the tests begin."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import until
from tests.support.server import Server
from tests.support.workshop import Workshop
from tests.web.office import Office, office


@contextmanager
def lived(
    server: Server, directory: Path, prepare: Callable[[Workshop], object], partitions: int = 1
) -> Iterator[Office]:
    """`prepare` sends the events; those with ids long ago have to come before the daemon puts its own into the log."""
    workshop = Workshop(server, directory, partitions)
    workshop.apply()
    prepare(workshop)
    with office(server, directory, partitions=partitions) as opened:
        settle(opened)
        yield opened


def settle(opened: Office) -> None:
    """Wait until everything is read and nothing is due."""
    with opened.workshop.server.sync() as client:
        until(lambda: opened.workshop.settled(client), "everything is applied and settled")
