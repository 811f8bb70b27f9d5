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

from tests.crash.points import Plan
from tests.crash.proxy import Command, Cut, Proxy
from tests.crash.scenarios import BASE, Scenario, entry, outage
from tests.crash.stage import ROOT, Stage
from tests.crash.test_cuts import is_commit
from tests.crash.test_owners import wakes_up_first
from tests.crash.world import KEYS, World, look

# A run without a safeguard may also never end: then this long is enough to know.
SECONDS = 15.0


def ends(stage: Stage, plan: Plan, url: str | None = None) -> list[str]:
    life = stage.start(plan, url=url)
    try:
        if stage.run_on(life, seconds=SECONDS):
            return []
    except AssertionError:
        return ["the run does not end"]
    finally:
        life.destroy()
    return [f"the daemon ended with {life.exit}"]


@pytest.mark.parametrize("ablate", [None, "fencing"])
def test_fencing(stage: Stage, scenario: Scenario, undisturbed: World, ablate: str | None) -> None:
    stage.play(scenario)
    wrong = wakes_up_first(stage, ablate)
    assert bool(wrong) == (ablate is not None), wrong
    if ablate is None:
        assert stage.violations(undisturbed) == []


def every_reply_is_lost_once(
    stage: Stage, directory: Path, ablate: str | None, which: Callable[[Command], bool]
) -> tuple[list[str], int]:
    """Run while the replies of such steps are lost once each. Return what is wrong with the end, and their number."""
    seen: set[tuple[bytes, ...]] = set()

    def rule(command: Command) -> Cut | None:
        step = command.words[5:9]
        if not which(command) or step in seen:
            return None
        seen.add(step)
        return "after"

    with Proxy(stage.server.socket, directory / "proxy.sock") as proxy:
        proxy.rule = rule
        return ends(stage, Plan(ablate=ablate), proxy.url), len(seen)


@pytest.mark.parametrize("ablate", [None, "sequence-and-line-numbers"])
def test_sequence_check(
    stage: Stage, scenario: Scenario, undisturbed: World, short_dir: Path, ablate: str | None
) -> None:
    stage.play(scenario)
    wrong, steps = every_reply_is_lost_once(stage, short_dir, ablate, is_a_step)
    found = stage.violations(undisturbed)
    assert steps > 20
    if ablate is None:
        assert wrong + found == []
    else:
        assert any(one.startswith("resolutions:") for one in found), "outcomes resolved twice"
        assert any(one.startswith("lines:") for one in found), "outcomes billed twice"
        # A run that ends early would differ from the undisturbed one as well.
        assert repeated(stage, "resolutions")
        assert repeated(stage, "lines")


def test_without_the_sequence_check_its_line_number_refuses_a_repeated_step(
    stage: Stage, scenario: Scenario, short_dir: Path
) -> None:
    stage.play(scenario)
    wrong, steps = every_reply_is_lost_once(stage, short_dir, "sequence", has_a_line)
    assert (wrong, steps) == (["the daemon ended with 3"], 1)
    ids = [id_.decode() for id_, _ in stage.reader.stream(KEYS.lines)]
    assert ids == [f"{number}-0" for number in range(1, len(ids) + 1)]
    assert f"the next entry of {KEYS.lines} is 1-0, and the stream is at {ids[-1]} already" in stage.lives[-1].log
    assert repeated(stage, "lines") == set()
    assert repeated(stage, "resolutions") == set(), "a refused step wrote its resolutions"


def test_without_the_sequence_check_a_repeated_step_without_a_line_resolves_outcomes_twice(
    stage: Stage, scenario: Scenario, undisturbed: World, short_dir: Path
) -> None:
    """Line numbers are no reason to do without the sequence check."""
    stage.play(scenario)
    wrong, steps = every_reply_is_lost_once(stage, short_dir, "sequence", has_no_line)
    found = stage.violations(undisturbed)
    assert wrong == [], "the daemon noticed it"
    assert steps > 10
    assert any(one.startswith("resolutions:") for one in found)
    assert repeated(stage, "lines") == set()
    billed = {one["outcome_key"] for one in look(stage.reader)["lines"]}
    twice = repeated(stage, "resolutions")
    assert twice
    assert twice.isdisjoint(billed)


def repeated(stage: Stage, results: str) -> set[str]:
    """Keys of outcomes that have more than one of these results."""
    counts = Counter(one["outcome_key"] for one in look(stage.reader)[results])
    return {key for key, count in counts.items() if count > 1}


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
def test_tick_rule(stage: Stage, ablate: str | None) -> None:
    """The reversal waits unread in a backlog, and the outcome is due by the clock."""
    scenario, meanwhile = outage(stage.receiver.url)
    stage.play(scenario)
    stage.append(meanwhile)
    wrong = ends(stage, Plan(ablate=ablate))
    statuses = {one["outcome_key"]: one["status"] for one in look(stage.reader)["resolutions"]}
    violations = wrong + stage.violations(look(stage.reader))
    if ablate is None:
        assert statuses["reversed-meanwhile"] == "FAILED"
        assert violations == []
    else:
        assert statuses["reversed-meanwhile"] == "CONFIRMED", "billed although it was reversed in time"
        assert violations


@pytest.mark.parametrize("ablate", [None, "dedup"])
def test_dedup(stage: Stage, scenario: Scenario, undisturbed: World, ablate: str | None) -> None:
    stage.play(scenario)
    wrong = ends(stage, Plan(ablate=ablate)) + stage.violations(undisturbed)
    assert bool(wrong) == (ablate is not None), wrong
    if ablate is not None:
        assert any(one.startswith("histories:") for one in wrong), "an event counted twice"


@pytest.mark.parametrize(
    ("ablate", "kill", "lost"),
    [(None, True, False), ("outbox-in-commit", False, False), ("outbox-in-commit", True, True)],
)
def test_outbox_in_commit(
    stage: Stage, scenario: Scenario, undisturbed: World, ablate: str | None, kill: bool, lost: bool
) -> None:
    """Killed when a step with resolutions is written. Without the kill the ablated daemon is as good as any: it is
    the crash that finds it out."""
    stage.play(scenario)
    if kill:
        life = stage.start(Plan(at={"commit.known": (12, "kill")}, ablate=ablate))
        assert not stage.run_on(life)
        assert life.killed, life.log
    wrong = ends(stage, Plan(ablate=ablate)) + stage.violations(undisturbed)
    assert bool(wrong) == lost, wrong
    if lost:
        assert any(one.startswith("deliveries:") for one in wrong), "a delivery was lost"
        assert not any(one.startswith("resolutions:") for one in wrong)


@pytest.mark.parametrize("ablate", [None, "retry-off"])
def test_retry_off(stage: Stage, scenario: Scenario, short_dir: Path, ablate: str | None) -> None:
    """Every write of the daemon is known again when it comes twice, so there a repetition does no harm (the cuts prove
    it). Appending an event is where it does: without an idempotency key nobody can tell it from a second event."""
    stage.play(scenario._replace(log=[], outcomes=1))
    plan = msgspec.json.encode(Plan(ablate=ablate)).decode()

    def append(settles_in: float) -> tuple[str, bool]:
        """Append over a connection that loses the first reply. Return the answer, and whether all is in time."""
        due = time.time() + settles_in
        event = entry(0, "appended-1", "called", agent="calls", attribution=2, pin=due - BASE / 1000).fields[1]

        def rule(command: Command) -> Cut | None:
            return "after" if command.name == "XADD" and len(proxy.cuts) < 1 else None

        with Proxy(stage.server.socket, short_dir / "proxy.sock") as proxy:
            proxy.rule = rule
            line = [sys.executable, "-m", "tests.crash.launcher", plan, "append", proxy.url, KEYS.events, event]
            answer = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
        last = stage.reader.ask("XREVRANGE", KEYS.events, "+", "-", "COUNT", 1)[0][0]
        return answer, int(last.partition(b"-")[0]) < due * 1000

    # A busy machine may append the second entry after the first one is due: then append both again, with more time.
    for settles_in in (1.5, 6.0, 30.0):
        told, in_time = append(settles_in)
        if in_time:
            break
        stage.reader.ask("DEL", KEYS.events)
    assert in_time, "the machine is too busy to append two entries within 30 s"
    stage.complete()
    [billed] = look(stage.reader)["lines"]
    if ablate is None:
        assert told == "unknown", "nobody may be told that it is accepted, or that it is not"
        assert billed["unit"] == "2"
    else:
        assert told != "unknown"
        assert billed["unit"] == "4", "one event, accepted once, billed twice"
