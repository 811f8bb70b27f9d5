"""The daemon is killed at every step of the pipeline; what it leaves behind is as if it never was."""

import os
import signal
from itertools import count

import pytest

from tests.crash.harness import FULL, CrashHarness
from tests.crash.points import OF_REVERSALS, POINTS, Plan
from tests.crash.receiver import Message
from tests.crash.scenarios import Scenario, outage
from tests.crash.stored_state import KEYS, StoredState, read_state

# Steps that only come at the end of an orderly life, or by the clock.
AT_THE_END = ("journal.before", "journal.after", "release.before")


def plan(point: str, number: int) -> Plan:
    at = {point: (number, "kill")}
    return Plan(
        at=at | {"fold": (8, "term")} if point in AT_THE_END else at,
        # A run is over before a lease is prolonged for the first time.
        slow=0.03 if point == "renewed" else 0,
    )


@pytest.mark.parametrize("point", [point for point in POINTS if point not in OF_REVERSALS])
def test_killed_at_a_step_and_again_further_on_a_run_ends_as_the_undisturbed_one(
    harness: CrashHarness, scenario: Scenario, undisturbed: StoredState, point: str
) -> None:
    harness.play(scenario)
    lease = 0.5 if point == "renewed" else 10
    for number in count(1) if FULL else (1, 4):
        life = harness.start(plan(point, number), lease=lease)
        if harness.run_on(life) or life.exit == 0:
            break  # it reached the step less often, or was told to end before
        assert life.killed, life.log
    assert harness.lives[0].killed, f"{point} was not reached:\n{harness.lives[0].log}"
    life.destroy()
    harness.complete()
    assert harness.violations(undisturbed) == []


def test_killed_by_the_receiver_before_it_answers_a_message_is_sent_again_under_its_id(
    harness: CrashHarness, scenario: Scenario, undisturbed: StoredState
) -> None:
    harness.play(scenario)
    life = harness.start()

    def shoot(message: Message) -> None:
        if len(harness.receiver.messages) == 7:
            os.kill(life.process.pid, signal.SIGKILL)

    harness.receiver.on_message = shoot
    try:
        assert not harness.run_on(life)
    finally:
        harness.receiver.on_message = None
    assert life.killed
    interrupted = {one.id for one in harness.receiver.messages}
    before = len(harness.receiver.messages)
    harness.complete()
    assert harness.violations(undisturbed) == []
    assert interrupted & {one.id for one in harness.receiver.messages[before:]}


@pytest.mark.parametrize(
    "point",
    ["lease.taken", "catalogue", "read", "prefetch", "fold", "commit.before", "commit.executed",
     "written", "tick.before", "retry.after", "begun.after", "send.before", "failed.before"],
)  # fmt: skip
def test_told_to_end_in_the_middle_it_ends_in_order_and_the_next_goes_on(
    harness: CrashHarness, scenario: Scenario, undisturbed: StoredState, point: str
) -> None:
    harness.play(scenario)
    for number in (1, 4):
        life = harness.start(Plan(at={point: (number, "term")}))
        if harness.run_on(life):
            break
        assert life.exit == 0, life.log
        assert not life.says("daemon.drain_timeout"), life.log
        assert not life.says("deliveries.interrupted"), life.log
        assert harness.reader.ask("GET", KEYS.owner) is None, "the lease was not given back"
    assert harness.lives[0].exit == 0, f"{point} was not reached:\n{harness.lives[0].log}"
    for life in harness.lives:
        life.destroy()
    harness.complete()
    assert harness.violations(undisturbed) == []


@pytest.mark.parametrize("point", ["tick.before", "written"])
def test_a_reversal_that_came_in_time_during_an_outage_counts_although_everything_is_due(
    harness: CrashHarness, point: str
) -> None:
    scenario, meanwhile = outage(harness.receiver.url)
    harness.play(scenario)
    life = harness.start(Plan(at={point: (1, "kill")}))
    assert not harness.run_on(life)
    assert life.killed, life.log
    harness.append(meanwhile)
    stored_state = harness.complete()
    settled = [one for one in stored_state["resolutions"] if one["type"] != "outcome_reversed"]
    assert {one["outcome_key"]: one["status"] for one in settled} == {
        "stands-anyway": "CONFIRMED",
        "busy-meanwhile-0": "CONFIRMED",
        "busy-meanwhile-1": "CONFIRMED",
        "busy-meanwhile-2": "CONFIRMED",
        "reversed-meanwhile": "FAILED",
        "after-all-were-due": "CONFIRMED",
    }
    assert stored_state["counters"]["late"] == 1
    reversals = [one["outcome_key"] for one in stored_state["resolutions"] if one["type"] == "outcome_reversed"]
    assert reversals == ["stands-anyway"]
    assert harness.violations(read_state(harness.reader)) == []
