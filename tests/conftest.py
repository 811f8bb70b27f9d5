"""Fixtures for every test: a real server, emptied for each, and others that may be killed."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from redis.asyncio import Redis

from tests.support.server import Server
from witnd.store.connection import connect
from witnd.store.embedded import Fsync

# How long an example takes says more about what else the machine does than about the code.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A directory whose path is short enough for a unix socket, which pytest's own often is not."""
    with TemporaryDirectory(prefix="witnd-") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def session_server() -> Iterator[Server]:
    with TemporaryDirectory(prefix="witnd-") as directory, Server(Path(directory)) as server:
        yield server


@pytest.fixture
def redis_url(session_server: Server) -> str:
    """The address of a real, empty server that tests share: do not hurt or reconfigure it."""
    session_server.call("FLUSHALL")
    return session_server.url


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with connect(redis_url) as redis:
        yield redis


@pytest.fixture
def server() -> Iterator[Callable[..., Server]]:
    """Starts servers that belong to the test: `server()`, `server(fsync="always")`."""
    with ExitStack() as stack:

        def start(*, fsync: Fsync = "everysec", extra: tuple[str, ...] = (), wait: bool = True) -> Server:
            directory = Path(stack.enter_context(TemporaryDirectory(prefix="witnd-")))
            made = stack.enter_context(closing(Server(directory, fsync=fsync, extra=extra)))
            made.start(wait=wait)
            return made

        yield start
