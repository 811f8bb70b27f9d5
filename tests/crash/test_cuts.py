"""The connection to the server is cut before and after every command of a run, and replies break off in the middle."""

from collections import Counter
from collections.abc import Iterator
from hashlib import sha1
from pathlib import Path

import pytest

from tests.crash.harness import FULL, CrashHarness
from tests.crash.points import Plan
from tests.crash.proxy import MODES, Command, Cut, Proxy
from tests.crash.scenarios import Scenario
from tests.crash.stored_state import SHARED, StoredState
from witnd.store.partition import commit
from witnd.store.server.scripts import Script

# How often the same command is cut before it is let through: a repetition can be cut as well.
TIMES = 4 if FULL else 1
COMMIT = commit.SHA.encode()
# Calls that carry the name of a life, or a counter: the same call as long as it is made for the same keys.
PERIODIC = [Script(name) for name in ("server/lease", "daemons/heartbeat")]
PERIODIC_NAMES = {name.encode() for script in PERIODIC for name in (script.sha, script.text)}
APPEND_CONTROL = Script("log/append_control")


@pytest.fixture
def proxy(harness: CrashHarness, short_dir: Path) -> Iterator[Proxy]:
    with Proxy(harness.server.socket, short_dir / "proxy.sock") as between:
        yield between


def _known_as(command: Command) -> tuple[bytes, ...]:
    """What makes it the same command in another life: without the names that each life gives itself."""
    words = (*command.words, b"")
    if (command.name == "EVAL" and words[3] == SHARED.meta.encode()) or words[1] in PERIODIC_NAMES:
        return words[: 3 + int(words[2]) + 1]
    return command.words


class EveryCommand:
    """Cuts each command that was not cut before. The same command again (that is how the daemon repeats itself)
    passes, so the run gets on."""

    def __init__(self, mode: Cut, times: int) -> None:
        self.cut: Counter[str] = Counter()
        self._mode = mode
        self._times = times

    def __call__(self, command: Command) -> Cut | None:
        name = sha1(repr(_known_as(command)).encode()).hexdigest()
        if self.cut[name] == self._times:
            return None
        self.cut[name] += 1
        return self._mode


def is_commit(command: Command) -> bool:
    return command.name in ("EVAL", "EVALSHA") and (command.words[1] == COMMIT or command.words[1] == commit.SOURCE)


@pytest.mark.parametrize("mode", MODES)
def test_every_command_of_a_run_is_cut_once_and_the_run_ends_as_the_undisturbed_one(
    harness: CrashHarness, scenario: Scenario, undisturbed: StoredState, proxy: Proxy, mode: Cut
) -> None:
    harness.play(scenario)
    proxy.rule = rule = EveryCommand(mode, TIMES)
    harness.keep(Plan(), url=proxy.url, seconds=100)
    names = {command.name for _, command in proxy.cuts}
    assert {"XREAD", "MGET", "EVALSHA", "EVAL", "INFO", "HGETALL", "LRANGE", "SUBSCRIBE"} <= names
    scripts = {command.words[1] for _, command in proxy.cuts if command.name in ("EVAL", "EVALSHA")}
    assert scripts & {APPEND_CONTROL.sha.encode(), APPEND_CONTROL.text.encode()}, "no tick or retry was cut"
    assert len(rule.cut) > 100, "this was no whole run"
    assert harness.violations(undisturbed) == []


@pytest.mark.parametrize("mode", MODES)
def test_every_commit_is_cut_again_and_again_and_is_written_once(
    harness: CrashHarness, scenario: Scenario, undisturbed: StoredState, proxy: Proxy, mode: Cut
) -> None:
    harness.play(scenario)
    times: Counter[tuple[bytes, ...]] = Counter()

    def rule(command: Command) -> Cut | None:
        if not is_commit(command):
            return None
        # The digest tells one step from another, whichever form of the call it comes in.
        step = command.words[5:9]
        times[step] += 1
        return mode if times[step] <= 3 else None

    proxy.rule = rule
    life = harness.start(url=proxy.url)
    assert harness.run_on(life), life.log
    assert len(times) > 20
    assert min(times.values()) >= 4
    assert harness.violations(undisturbed) == []
