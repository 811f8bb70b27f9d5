"""An office whose daemon finds a catalogue and events, and has settled what is due when the tests begin."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.deployment import CATALOGUE, Deployment
from tests.support.processes import until
from tests.support.server import Server
from tests.web.api_server import ApiServer, api_server


@contextmanager
def recorded_run(
    server: Server,
    directory: Path,
    prepare: Callable[[Deployment], object],
    partitions: int = 1,
    catalogue: str = CATALOGUE,
) -> Iterator[ApiServer]:
    """`prepare` sends the events; those with ids long ago have to come before the daemon puts its own into the log."""
    deployment = Deployment(server, directory, partitions)
    deployment.apply(catalogue)
    prepare(deployment)
    with api_server(server, directory, partitions=partitions) as opened:
        settle(opened)
        yield opened


def settle(opened: ApiServer) -> None:
    """Wait until everything is read and nothing is due."""
    with opened.deployment.server.sync() as client:
        until(lambda: opened.deployment.settled(client), "everything is applied and settled")
