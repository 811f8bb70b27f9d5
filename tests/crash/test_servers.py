"""The server is killed or paused in the middle of a run; the daemon waits for it, and the run ends as it should."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from tests.crash.harness import CrashHarness, waited
from tests.crash.points import Plan
from tests.crash.proxy import Command, Cut, Proxy
from tests.crash.scenarios import Scenario
from tests.crash.stored_state import KEYS, StoredState
from tests.crash.test_cuts import is_commit
from tests.support.processes import until

LEASE = 0.5


@pytest.fixture
def proxy(own_harness: CrashHarness, short_dir: Path) -> Iterator[Proxy]:
    with Proxy(own_harness.server.socket, short_dir / "proxy.sock") as between:
        yield between


def at_command(proxy: Proxy, which: Callable[[Command], bool], number: int, cut: Cut | None) -> Event:
    """Set when a command comes for that time; the proxy then stands still until its `gate` is opened."""
    seen = 0
    reached = Event()

    def rule(command: Command) -> Cut | None:
        nonlocal seen
        seen += which(command)
        if reached.is_set() or seen < number:
            return None
        reached.set()
        assert proxy.gate.wait(30)
        return cut

    proxy.gate.clear()
    proxy.rule = rule
    return reached


@pytest.mark.parametrize("cut", [None, "before", "after"])
@pytest.mark.parametrize("number", [1, 9, 20])
def test_the_server_is_killed_at_a_commit_and_comes_back(
    own_harness: CrashHarness, scenario: Scenario, undisturbed: StoredState, proxy: Proxy, number: int, cut: Cut | None
) -> None:
    """With `after`, the step is written before the server dies; otherwise the server is gone when it comes."""
    harness = own_harness
    harness.play(scenario)
    if cut == "after":
        times = 0

        def rule(command: Command) -> Cut | None:
            nonlocal times
            times += is_commit(command)
            return "after" if is_commit(command) and times == number else None

        proxy.rule = rule
        life = harness.start(url=proxy.url)
        until(lambda: bool(proxy.cuts), "the commit is cut")
        harness.server.kill()
    else:
        reached = at_command(proxy, is_commit, number, cut)
        life = harness.start(url=proxy.url)
        assert reached.wait(20)
        harness.server.kill()
        proxy.gate.set()
    harness.server.start()
    assert harness.run_on(life), f"the daemon ended with {life.exit}:\n{life.log}"
    assert harness.violations(undisturbed) == []


@pytest.mark.parametrize("answer_seconds", [5.0, 0.3])
def test_the_server_stands_still_past_the_lease_and_the_daemon_takes_it_again(
    own_harness: CrashHarness, scenario: Scenario, undisturbed: StoredState, proxy: Proxy, answer_seconds: float
) -> None:
    """Within the time that an answer may take, and beyond it: then the commit is sent twice."""
    harness = own_harness
    harness.play(scenario)
    reached = at_command(proxy, is_commit, 9, None)
    life = harness.start(Plan(answer_seconds=answer_seconds), url=proxy.url, lease=LEASE)
    assert reached.wait(20)
    harness.server.pause()
    proxy.gate.set()
    waited(2 * LEASE)
    harness.server.resume()
    assert harness.run_on(life), f"the daemon ended with {life.exit}:\n{life.log}"
    assert int(harness.reader.hash(KEYS.state)[b"epoch"]) >= 1
    assert harness.violations(undisturbed) == []


def test_the_scripts_are_forgotten_all_the_time(
    own_harness: CrashHarness, scenario: Scenario, undisturbed: StoredState, proxy: Proxy
) -> None:
    harness = own_harness
    harness.play(scenario)

    def rule(command: Command) -> Cut | None:
        if command.name == "EVALSHA":
            harness.server.call("SCRIPT", "FLUSH")
        return None

    proxy.rule = rule
    life = harness.start(url=proxy.url)
    assert harness.run_on(life), life.log
    assert harness.violations(undisturbed) == []


def test_the_server_is_killed_while_nobody_owns_anything_yet(
    own_harness: CrashHarness, scenario: Scenario, undisturbed: StoredState
) -> None:
    harness = own_harness
    harness.play(scenario)
    harness.server.kill()
    life = harness.start()
    until(lambda: life.says("redis.waiting"), "the daemon waits for the server")
    harness.server.start()
    assert harness.run_on(life), life.log
    assert harness.violations(undisturbed) == []
