"""The server is killed or paused in the middle of a run; the daemon waits for it, and the run ends as it should."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from tests.crash.points import Plan
from tests.crash.proxy import Command, Cut, Proxy
from tests.crash.scenarios import Scenario
from tests.crash.stage import Stage, waited
from tests.crash.test_cuts import is_commit
from tests.crash.world import KEYS, World
from tests.support.processes import until

LEASE = 0.5


@pytest.fixture
def proxy(own_stage: Stage, short_dir: Path) -> Iterator[Proxy]:
    with Proxy(own_stage.server.socket, short_dir / "proxy.sock") as between:
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
    own_stage: Stage, scenario: Scenario, undisturbed: World, proxy: Proxy, number: int, cut: Cut | None
) -> None:
    """With `after`, the step is written before the server dies; otherwise the server is gone when it comes."""
    stage = own_stage
    stage.play(scenario)
    if cut == "after":
        times = 0

        def rule(command: Command) -> Cut | None:
            nonlocal times
            times += is_commit(command)
            return "after" if is_commit(command) and times == number else None

        proxy.rule = rule
        life = stage.start(url=proxy.url)
        until(lambda: bool(proxy.cuts), "the commit is cut")
        stage.server.kill()
    else:
        reached = at_command(proxy, is_commit, number, cut)
        life = stage.start(url=proxy.url)
        assert reached.wait(20)
        stage.server.kill()
        proxy.gate.set()
    stage.server.start()
    assert stage.run_on(life), f"the daemon ended with {life.exit}:\n{life.log}"
    assert stage.violations(undisturbed) == []


@pytest.mark.parametrize("answer_seconds", [5.0, 0.3])
def test_the_server_stands_still_past_the_lease_and_the_daemon_takes_it_again(
    own_stage: Stage, scenario: Scenario, undisturbed: World, proxy: Proxy, answer_seconds: float
) -> None:
    """Within the time that an answer may take, and beyond it: then the commit is sent twice."""
    stage = own_stage
    stage.play(scenario)
    reached = at_command(proxy, is_commit, 9, None)
    life = stage.start(Plan(answer_seconds=answer_seconds), url=proxy.url, lease=LEASE)
    assert reached.wait(20)
    stage.server.pause()
    proxy.gate.set()
    waited(2 * LEASE)
    stage.server.resume()
    assert stage.run_on(life), f"the daemon ended with {life.exit}:\n{life.log}"
    assert int(stage.reader.hash(KEYS.state)[b"epoch"]) >= 1
    assert stage.violations(undisturbed) == []


def test_the_scripts_are_forgotten_all_the_time(
    own_stage: Stage, scenario: Scenario, undisturbed: World, proxy: Proxy
) -> None:
    stage = own_stage
    stage.play(scenario)

    def rule(command: Command) -> Cut | None:
        if command.name == "EVALSHA":
            stage.server.call("SCRIPT", "FLUSH")
        return None

    proxy.rule = rule
    life = stage.start(url=proxy.url)
    assert stage.run_on(life), life.log
    assert stage.violations(undisturbed) == []


def test_the_server_is_killed_while_nobody_owns_anything_yet(
    own_stage: Stage, scenario: Scenario, undisturbed: World
) -> None:
    stage = own_stage
    stage.play(scenario)
    stage.server.kill()
    life = stage.start()
    until(lambda: life.says("redis.waiting"), "the daemon waits for the server")
    stage.server.start()
    assert stage.run_on(life), life.log
    assert stage.violations(undisturbed) == []
