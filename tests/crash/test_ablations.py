"""Each safeguard is taken away in turn, and the suite must notice: otherwise it proves nothing.

The same scene is played with the safeguard (all is well, or the scene itself is wrong) and without it.
"""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.crash.harness import ROOT, CrashHarness
from tests.crash.points import Plan
from tests.crash.proxy import Command, Cut, Proxy
from tests.crash.scenarios import BASE, Scenario, entry, outage
from tests.crash.stored_state import KEYS, StoredState, read_state
from tests.crash.test_cuts import is_commit
from tests.crash.test_owners import wakes_up_first

# A run without a safeguard may also never end: then this long is enough to know.
SECONDS = 15.0


def ends(harness: CrashHarness, plan: Plan, url: str | None = None) -> list[str]:
    life = harness.start(plan, url=url)
    try:
        if harness.run_on(life, seconds=SECONDS):
            return []
    except AssertionError:
        return ["the run does not end"]
    finally:
        life.destroy()
    return [f"the daemon ended with {life.exit}"]


@pytest.mark.parametrize("ablate", [None, "fencing"])
def test_fencing(harness: CrashHarness, scenario: Scenario, undisturbed: StoredState, ablate: str | None) -> None:
    harness.play(scenario)
    wrong = wakes_up_first(harness, ablate)
    assert bool(wrong) == (ablate is not None), wrong
    if ablate is None:
        assert harness.violations(undisturbed) == []


def every_reply_is_lost_once(
    harness: CrashHarness, directory: Path, ablate: str | None, which: Callable[[Command], bool]
) -> tuple[list[str], int]:
    """Run while the replies of such steps are lost once each. Return what is wrong with the end, and their number."""
    seen: set[tuple[bytes, ...]] = set()

    def rule(command: Command) -> Cut | None:
        step = command.words[5:9]
        if not which(command) or step in seen:
            return None
        seen.add(step)
        return "after"

    with Proxy(harness.server.socket, directory / "proxy.sock") as proxy:
        proxy.rule = rule
        return ends(harness, Plan(ablate=ablate), proxy.url), len(seen)


@pytest.mark.parametrize("ablate", [None, "sequence-and-line-numbers"])
def test_sequence_check(
    harness: CrashHarness, scenario: Scenario, undisturbed: StoredState, short_dir: Path, ablate: str | None
) -> None:
    harness.play(scenario)
    wrong, steps = every_reply_is_lost_once(harness, short_dir, ablate, is_a_step)
    found = harness.violations(undisturbed)
    assert steps > 20
    if ablate is None:
        assert wrong + found == []
    else:
        assert any(one.startswith("resolutions:") for one in found), "outcomes resolved twice"
        assert any(one.startswith("lines:") for one in found), "outcomes billed twice"
        # A run that ends early would differ from the undisturbed one as well.
        assert repeated(harness, "resolutions")
        assert repeated(harness, "lines")


def test_without_the_sequence_check_its_line_number_refuses_a_repeated_step(
    harness: CrashHarness, scenario: Scenario, short_dir: Path
) -> None:
    harness.play(scenario)
    wrong, steps = every_reply_is_lost_once(harness, short_dir, "sequence", has_a_line)
    assert (wrong, steps) == (["the daemon ended with 3"], 1)
    ids = [id_.decode() for id_, _ in harness.reader.stream(KEYS.lines)]
    assert ids == [f"{number}-0" for number in range(1, len(ids) + 1)]
    assert f"the next entry of {KEYS.lines} is 1-0, and the stream is at {ids[-1]} already" in harness.lives[-1].log
    assert repeated(harness, "lines") == set()
    assert repeated(harness, "resolutions") == set(), "a refused step wrote its resolutions"


def test_without_the_sequence_check_a_repeated_step_without_a_line_resolves_outcomes_twice(
    harness: CrashHarness, scenario: Scenario, undisturbed: StoredState, short_dir: Path
) -> None:
    """Line numbers are no reason to do without the sequence check."""
    harness.play(scenario)
    wrong, steps = every_reply_is_lost_once(harness, short_dir, "sequence", has_no_line)
    found = harness.violations(undisturbed)
    assert wrong == [], "the daemon noticed it"
    assert steps > 10
    assert any(one.startswith("resolutions:") for one in found)
    assert repeated(harness, "lines") == set()
    billed = {one["outcome_key"] for one in read_state(harness.reader)["lines"]}
    twice = repeated(harness, "resolutions")
    assert twice
    assert twice.isdisjoint(billed)


def repeated(harness: CrashHarness, results: str) -> set[str]:
    """Keys of outcomes that have one of these results more than once."""
    counts = Counter((one["outcome_key"], one["id"]) for one in read_state(harness.reader)[results])
    return {key for (key, _), count in counts.items() if count > 1}


def has_a_line(command: Command) -> bool:
    return is_a_step(command) and KEYS.lines.encode() in command.words


def has_no_line(command: Command) -> bool:
    return is_a_step(command) and not has_a_line(command)


def is_a_step(command: Command) -> bool:
    """A commit, whichever script it is of."""
    return is_commit(command) or (
        command.name in ("EVAL", "EVALSHA")
        and command.words[2:5] == (b"2", KEYS.owner.encode(), KEYS.state.encode())
        and command.words[6].isdigit()
    )


@pytest.mark.parametrize("ablate", [None, "tick-rule"])
def test_tick_rule(harness: CrashHarness, ablate: str | None) -> None:
    """The reversal waits unread in a backlog, and the outcome is due by the clock."""
    scenario, meanwhile = outage(harness.receiver.url)
    harness.play(scenario)
    harness.append(meanwhile)
    wrong = ends(harness, Plan(ablate=ablate))
    resolutions = read_state(harness.reader)["resolutions"]
    statuses = {one["outcome_key"]: one["status"] for one in resolutions if "status" in one}
    violations = wrong + harness.violations(read_state(harness.reader))
    if ablate is None:
        assert statuses["reversed-meanwhile"] == "FAILED"
        assert violations == []
    else:
        assert statuses["reversed-meanwhile"] == "CONFIRMED", "billed although it was reversed in time"
        assert violations


@pytest.mark.parametrize("ablate", [None, "dedup"])
def test_dedup(harness: CrashHarness, scenario: Scenario, undisturbed: StoredState, ablate: str | None) -> None:
    harness.play(scenario)
    wrong = ends(harness, Plan(ablate=ablate)) + harness.violations(undisturbed)
    assert bool(wrong) == (ablate is not None), wrong
    if ablate is not None:
        assert any(one.startswith("histories:") for one in wrong), "an event counted twice"


@pytest.mark.parametrize(
    ("ablate", "kill", "lost"),
    [(None, True, False), ("outbox-in-commit", False, False), ("outbox-in-commit", True, True)],
)
def test_outbox_in_commit(
    harness: CrashHarness, scenario: Scenario, undisturbed: StoredState, ablate: str | None, kill: bool, lost: bool
) -> None:
    """Killed when a step with resolutions is written. Without the kill the ablated daemon is as good as any: it is
    the crash that finds it out."""
    harness.play(scenario)
    if kill:
        life = harness.start(Plan(at={"commit.known": (12, "kill")}, ablate=ablate))
        assert not harness.run_on(life)
        assert life.killed, life.log
    wrong = ends(harness, Plan(ablate=ablate)) + harness.violations(undisturbed)
    assert bool(wrong) == lost, wrong
    if lost:
        assert any(one.startswith("deliveries:") for one in wrong), "a delivery was lost"
        assert not any(one.startswith("resolutions:") for one in wrong)


@pytest.mark.parametrize("ablate", [None, "retry-off"])
def test_retry_off(harness: CrashHarness, scenario: Scenario, short_dir: Path, ablate: str | None) -> None:
    """Every write of the daemon is known again when it comes twice, so there a repetition does no harm (the cuts prove
    it). Appending an event is where it does: without an idempotency key nobody can tell it from a second event."""
    harness.play(scenario._replace(log=[], outcomes=1))
    plan = msgspec.json.encode(Plan(ablate=ablate)).decode()

    def append(settles_in: float) -> tuple[str, bool]:
        """Append over a connection that loses the first reply. Return the answer, and whether all is in time."""
        due = time.time() + settles_in
        event = entry(0, "appended-1", "called", agent="calls", attribution=2, pin=due - BASE / 1000).fields[1]

        def rule(command: Command) -> Cut | None:
            return "after" if command.name == "XADD" and len(proxy.cuts) < 1 else None

        with Proxy(harness.server.socket, short_dir / "proxy.sock") as proxy:
            proxy.rule = rule
            line = [sys.executable, "-m", "tests.crash.launcher", plan, "append", proxy.url, KEYS.events, event]
            answer = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
        last = harness.reader.ask("XREVRANGE", KEYS.events, "+", "-", "COUNT", 1)[0][0]
        return answer, int(last.partition(b"-")[0]) < due * 1000

    # A busy machine may append the second entry after the first one is due: then append both again, with more time.
    for settles_in in (1.5, 6.0, 30.0):
        told, in_time = append(settles_in)
        if in_time:
            break
        harness.reader.ask("DEL", KEYS.events)
    assert in_time, "the machine is too busy to append two entries within 30 s"
    harness.complete()
    [billed] = read_state(harness.reader)["lines"]
    if ablate is None:
        assert told == "unknown", "nobody may be told that it is accepted, or that it is not"
        assert billed["unit"] == "2"
    else:
        assert told != "unknown"
        assert billed["unit"] == "4", "one event, accepted once, billed twice"
