"""The stage and its undisturbed run, which every disturbed one is compared with."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.crash.nursery import Nursery
from tests.crash.receiver import Receiver
from tests.crash.scenarios import Scenario, mixed
from tests.crash.stage import Stage
from tests.crash.world import World
from tests.support.server import Server


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    with Receiver() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def nurseries() -> Iterator[list[Nursery]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(Nursery())) for _ in range(2)]


@pytest.fixture
def scenario(receiver: Receiver) -> Scenario:
    return mixed(receiver.url)


@pytest.fixture
def stage(session_server: Server, receiver: Receiver, short_dir: Path, nurseries: list[Nursery]) -> Iterator[Stage]:
    """On the server that tests share."""
    here = Stage(session_server, receiver, short_dir, nurseries)
    yield here
    here.close()


@pytest.fixture
def own_stage(
    server: Callable[..., Server], receiver: Receiver, short_dir: Path, nurseries: list[Nursery]
) -> Iterator[Stage]:
    """On a server that may be killed and paused."""
    here = Stage(server(), receiver, short_dir, nurseries)
    yield here
    here.close()


@pytest.fixture(scope="session")
def undisturbed(session_server: Server, receiver: Receiver, nurseries: list[Nursery]) -> World:
    """What the mixed scenario leads to when nothing goes wrong."""
    with TemporaryDirectory(prefix="witnd-") as directory:
        here = Stage(session_server, receiver, Path(directory), nurseries)
        try:
            here.play(mixed(receiver.url))
            world = here.complete()
            assert here.violations(world) == []
        finally:
            here.close()
    return world
