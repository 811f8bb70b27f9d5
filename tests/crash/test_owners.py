"""Two daemons and one partition: one owner at a time, and whoever was the owner writes nothing more."""

import signal

import pytest

from tests.crash.harness import CrashHarness, waited
from tests.crash.points import Plan
from tests.crash.scenarios import Scenario
from tests.crash.stored_state import StoredState
from tests.support.processes import until

LEASE = 0.5


def test_a_second_daemon_stands_by_and_takes_over_when_the_first_is_killed(
    harness: CrashHarness, scenario: Scenario, undisturbed: StoredState
) -> None:
    harness.play(scenario)
    first = harness.start(Plan(at={"written": (9, "stop")}), name="a")
    until(lambda: first.stopped, "the first daemon stands still")
    second = harness.start(name="b", lease=1)
    until(lambda: second.says("partition.standby"), "the second daemon stands by")
    first.destroy()
    assert harness.run_on(second), second.log
    assert harness.violations(undisturbed) == []


def test_of_two_daemons_at_once_one_works_and_the_other_waits(
    harness: CrashHarness, scenario: Scenario, undisturbed: StoredState
) -> None:
    harness.play(scenario)
    both = [harness.start(name="a"), harness.start(name="b")]
    until(lambda: harness.finished, "everything is done")
    until(lambda: any(one.says("partition.standby") for one in both), "one of them stands by")
    assert [one.exit for one in both] == [None, None]
    assert sum(one.says("partition.running") for one in both) == 1
    assert harness.violations(undisturbed) == []


@pytest.mark.parametrize(
    "point",
    [
        "read",
        "fold",
        "commit.before",
        "commit.executed",
        "written.settled",
        "begun.before",
        "send.after",
        "delivered.before",
    ],
)
def test_an_owner_that_slept_past_its_lease_wakes_up_and_writes_nothing(
    harness: CrashHarness, scenario: Scenario, undisturbed: StoredState, point: str
) -> None:
    harness.play(scenario)
    first = harness.start(Plan(at={point: (5, "stop")}), name="a", lease=LEASE)
    until(lambda: first.stopped, "the first daemon stands still")
    second = harness.start(name="b", lease=LEASE)
    until(lambda: harness.finished, "the second daemon has done everything")
    first.signal(signal.SIGCONT)
    until(lambda: first.says("lease.lost") or first.exit is not None, "the first daemon notices")
    until(lambda: first.says("partition.standby"), "the first daemon is on standby")
    assert [first.exit, second.exit] == [None, None], first.log
    assert harness.violations(undisturbed) == []


def wakes_up_first(harness: CrashHarness, ablate: str | None) -> list[str]:
    """The old owner wakes up with a step in its hands before the new one has written anything, so that the sequence
    number still fits. What went wrong, apart from the results."""
    first = harness.start(Plan(at={"commit.before": (9, "stop")}, ablate=ablate), name="a", lease=LEASE)
    until(lambda: first.stopped, "the first daemon stands still")
    waited(LEASE)
    # Another batch size: its step is another one, and not the very same that the first would write.
    long = 10  # this one must not lose its lease while it stands still
    second = harness.start(Plan(at={"commit.before": (1, "stop")}, ablate=ablate), name="b", lease=long, batch=7)
    until(lambda: second.stopped, "the second daemon is the owner and stands still")
    first.signal(signal.SIGCONT)
    wrong = []
    until(lambda: first.says("lease.lost") or first.exit is not None, "the old owner notices")
    if first.exit is not None:
        wrong.append(f"the old owner ended with {first.exit}")
    second.signal(signal.SIGCONT)
    if not harness.run_on(second):
        wrong.append(f"the owner ended with {second.exit}: {second.log}")
    return wrong


def test_an_owner_that_wakes_up_before_the_new_one_has_written_is_stopped_by_the_fence(
    harness: CrashHarness, scenario: Scenario, undisturbed: StoredState
) -> None:
    harness.play(scenario)
    assert wakes_up_first(harness, None) == []
    assert harness.violations(undisturbed) == []
