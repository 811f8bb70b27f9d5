"""The stage and its undisturbed run, which every disturbed one is compared with."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.crash.harness import CrashHarness
from tests.crash.process_pool import ProcessPool
from tests.crash.receiver import Receiver
from tests.crash.scenarios import Scenario, mixed
from tests.crash.stored_state import StoredState
from tests.support.server import Server


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    with Receiver() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def process_pools() -> Iterator[list[ProcessPool]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(ProcessPool())) for _ in range(2)]


@pytest.fixture
def scenario(receiver: Receiver) -> Scenario:
    return mixed(receiver.url)


@pytest.fixture
def harness(
    session_server: Server, receiver: Receiver, short_dir: Path, process_pools: list[ProcessPool]
) -> Iterator[CrashHarness]:
    """On the server that tests share."""
    here = CrashHarness(session_server, receiver, short_dir, process_pools)
    yield here
    here.close()


@pytest.fixture
def own_harness(
    server: Callable[..., Server], receiver: Receiver, short_dir: Path, process_pools: list[ProcessPool]
) -> Iterator[CrashHarness]:
    """On a server that may be killed and paused."""
    here = CrashHarness(server(), receiver, short_dir, process_pools)
    yield here
    here.close()


@pytest.fixture(scope="session")
def undisturbed(session_server: Server, receiver: Receiver, process_pools: list[ProcessPool]) -> StoredState:
    """What the mixed scenario leads to when nothing goes wrong."""
    with TemporaryDirectory(prefix="witnd-") as directory:
        here = CrashHarness(session_server, receiver, Path(directory), process_pools)
        try:
            here.play(mixed(receiver.url))
            stored_state = here.complete()
            assert here.violations(stored_state) == []
        finally:
            here.close()
    return stored_state
