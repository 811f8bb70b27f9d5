"""The connection to the server is cut before and after every command of a run, and replies break off in the middle."""

from collections import Counter
from collections.abc import Iterator
from hashlib import sha1
from pathlib import Path

import pytest

from tests.crash.launcher import Plan
from tests.crash.proxy import MODES, Command, Cut, Proxy
from tests.crash.scenarios import Scenario
from tests.crash.stage import FULL, Stage
from tests.crash.world import World
from witnd.store import commit

# How often the same command is cut before it is let through: a repetition can be cut as well.
TIMES = 4 if FULL else 1
COMMIT = commit.SHA.encode()


@pytest.fixture
def proxy(stage: Stage, short_dir: Path) -> Iterator[Proxy]:
    with Proxy(stage.server.socket, short_dir / "proxy.sock") as between:
        yield between


class EveryCommand:
    """Cuts each command that was not cut before. The same command again (that is how the daemon repeats itself)
    passes, so the run gets on."""

    def __init__(self, mode: Cut, times: int) -> None:
        self.cut: Counter[str] = Counter()
        self._mode = mode
        self._times = times

    def __call__(self, command: Command) -> Cut | None:
        name = sha1(repr(command.words).encode()).hexdigest()
        if self.cut[name] == self._times:
            return None
        self.cut[name] += 1
        return self._mode


def is_commit(command: Command) -> bool:
    return command.name in ("EVAL", "EVALSHA") and (command.words[1] == COMMIT or command.words[1] == commit.SOURCE)


@pytest.mark.parametrize("mode", MODES)
def test_every_command_of_a_run_is_cut_once_and_the_run_ends_as_the_undisturbed_one(
    stage: Stage, scenario: Scenario, undisturbed: World, proxy: Proxy, mode: Cut
) -> None:
    stage.play(scenario)
    proxy.rule = rule = EveryCommand(mode, TIMES)
    stage.keep(Plan(), url=proxy.url, seconds=100)
    names = {command.name for _, command in proxy.cuts}
    assert {"XREAD", "MGET", "EVALSHA", "EVAL", "XADD", "INFO", "HGETALL", "LRANGE", "SUBSCRIBE"} <= names
    assert len(rule.cut) > 100, "this was no whole run"
    assert stage.violations(undisturbed) == []


@pytest.mark.parametrize("mode", MODES)
def test_every_commit_is_cut_again_and_again_and_is_written_once(
    stage: Stage, scenario: Scenario, undisturbed: World, proxy: Proxy, mode: Cut
) -> None:
    stage.play(scenario)
    times: Counter[tuple[bytes, ...]] = Counter()

    def rule(command: Command) -> Cut | None:
        if not is_commit(command):
            return None
        # The digest tells one step from another, whichever form of the call it comes in.
        step = command.words[5:9]
        times[step] += 1
        return mode if times[step] <= 3 else None

    proxy.rule = rule
    life = stage.start(url=proxy.url)
    assert stage.run_on(life), life.log
    assert len(times) > 20
    assert min(times.values()) >= 4
    assert stage.violations(undisturbed) == []


def test_replies_that_break_off_at_any_byte_are_read_again(
    stage: Stage, scenario: Scenario, undisturbed: World, proxy: Proxy
) -> None:
    stage.play(scenario)
    reads = 0

    def rule(command: Command) -> Cut | None:
        nonlocal reads
        if command.name not in ("XREAD", "LRANGE", "MGET"):
            return None
        reads += 1
        return "truncate" if reads % 2 else None

    proxy.rule = rule
    life = stage.start(url=proxy.url)
    assert stage.run_on(life), life.log
    assert len(proxy.cuts) > 20
    assert stage.violations(undisturbed) == []
