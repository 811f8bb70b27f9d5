"""Fixtures for every test: a real server, emptied for each, and others that may be killed."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from redis.asyncio import Redis

from tests.support.daemon import Daemon
from tests.support.server import Server
from witnd.store.server.connection import connect
from witnd.store.server.embedded import Fsync

# Tests start many processes; without compiled modules each of them would compile the whole package again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """A witnd.toml in the directory in which tests are started, as a tutorial leaves it, is nothing to them."""
    monkeypatch.setenv("WITND_CONFIG", os.devnull)


@pytest.fixture(autouse=True, scope="session")
def no_authorities_of_the_system() -> Iterator[None]:
    """No test may depend on what this machine trusts, and reading it takes longer than all else of a daemon's start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", os.devnull)
        patch.setenv("SSL_CERT_DIR", os.devnull)
        yield


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


@pytest.fixture
def daemon(short_dir: Path) -> Iterator[Callable[..., Daemon]]:
    """Starts daemons that belong to the test and share a state directory: `daemon(server())`."""
    with ExitStack() as stack:

        def start(server: Server, **arguments: Any) -> Daemon:
            made = Daemon(server, short_dir / "state", **{"daemon__lease": "2"} | arguments)
            return stack.enter_context(made)

        yield start


# -- slow tests --------------------------------------------------------------------------------------------------------

# Without a deadline: how long an example takes says more about what else the machine does than about the code.
settings.register_profile("quick", max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=100)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return one more than there are processors: tests spend a third of their time waiting for servers and processes.

    Slow tests spend two thirds of it waiting, so each processor runs two of them.
    """
    processors = os.cpu_count() or 1
    return processors + 1 if config.option.markexpr == "not slow" else 2 * processors


def pytest_configure(config: pytest.Config) -> None:
    """Search a tenth of the examples in the quick run. `pytest -m "slow or hypothesis"` searches all of them."""
    settings.load_profile("quick" if config.option.markexpr == "not slow" else "thorough")


# Tests of these places start processes, kill them and wait for what they do, or repeat one check for every page.
SLOW_PLACES = (
    "tests/crash/",
    "tests/daemon/",
    "tests/contract/test_billing_random.py",
    "tests/contract/test_billing_trouble.py",
    "tests/dashboard/test_hostile.py",
    "tests/dashboard/test_permissions.py",
    "tests/demo/test_demo.py",
    "tests/mcp/",
    "tests/web/test_connections.py",
    "tests/web/test_ingest_crash.py",
    "tests/web/test_line_limit.py",
    "tests/cli/test_damaged_state.py",
    "tests/cli/test_output_streams.py",
    "tests/cli/test_retry_clock.py",
    "tests/oracle/test_reach.py",
)
# A few of them show in the quick run that the real daemon works and refuses what it must.
QUICK_ALL_THE_SAME = (
    "test_a_redis_that_must_not_be_billed_from_is_refused_with_the_remedy",
    "test_an_event_that_was_not_confirmed_counts_once_when_it_is_sent_again",
    "test_killed_at_a_step_and_again_further_on_a_run_ends_as_the_undisturbed_one[commit.executed]",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what is in a slow place or drives a browser."""
    for item in items:
        drives_browser = {"browser", "chromium"} & set(getattr(item, "fixturenames", ()))
        is_in_slow_place = item.nodeid.startswith(SLOW_PLACES) and not item.name.startswith(QUICK_ALL_THE_SAME)
        if drives_browser or is_in_slow_place:
            item.add_marker(pytest.mark.slow)


# -- the summary: how many slow tests were left out --------------------------------------------------------------------

_LEFT_OUT = pytest.StashKey[int]()


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Count the slow tests that `-m "not slow"` leaves out; in a worker process, for the one that reports."""
    slow = sum(item.get_closest_marker("slow") is not None for item in items)
    if items:
        config = items[0].config
        config.stash[_LEFT_OUT] = config.stash.get(_LEFT_OUT, 0) + slow
        if hasattr(config, "workeroutput"):
            config.workeroutput["left_out"] = config.stash[_LEFT_OUT]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    # Every worker collects all tests, so each reports the same number.
    node.config.stash[_LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    left_out = config.stash.get(_LEFT_OUT, 0)
    if left_out:
        terminalreporter.write_line(f"{left_out} slow tests were left out; run them with: pytest -m slow")
