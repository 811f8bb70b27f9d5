"""The life of a delivery and of its endpoint, as decisions."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from witnd.domain.webhooks.delivery import (
    HEALTHY,
    INTERRUPTED,
    MAX_ATTEMPTS_KEPT,
    MAX_FAILING_MS,
    Attempt,
    EndpointState,
    Progress,
    finish_attempt,
    mark_lost,
    new_progress,
    park,
    record_attempt,
    request_resend,
    resume,
    start_attempt,
)
from witnd.domain.webhooks.notification import SCHEDULE

OK = Attempt(status=200, duration_ms=7)
REFUSED = Attempt(status=500, reason="responded 500", duration_ms=7, detail="oops")
GONE = Attempt(status=410, reason="answered 410", gone=True)
ATTEMPTS = st.sampled_from([OK, REFUSED, GONE])


def tried(progress: Progress, attempt: Attempt, now_ms: int) -> Progress:
    return finish_attempt(start_attempt(progress, now_ms), attempt, now_ms, 0.5)


def exhausted() -> Progress:
    progress = new_progress(0)
    for _ in range(10):
        progress = tried(progress, REFUSED, 0)
    return progress


def test_a_committed_delivery_is_due_at_once() -> None:
    assert new_progress(1000).queued_ms == 1000


def test_an_attempt_is_on_record_before_its_answer_and_stays_due_until_then() -> None:
    progress = start_attempt(new_progress(1000), 1005)

    assert progress.queued_ms == 1000
    assert (progress.started, progress.attempts[-1].duration_ms) == (1, None)


def test_success_ends_it() -> None:
    progress = tried(new_progress(1000), OK, 1005)

    assert (progress.standing, progress.queued_ms) == ("delivered", None)
    assert (progress.attempts[-1].status, progress.attempts[-1].duration_ms) == (200, 7)


def test_failures_walk_down_the_schedule_to_the_dead() -> None:
    progress, now = new_progress(0), 0
    for step in SCHEDULE:
        progress = tried(progress, REFUSED, now)
        assert (progress.standing, progress.due_ms) == ("pending", now + step)
        now += step

    progress = tried(progress, REFUSED, now)

    assert (progress.standing, progress.queued_ms) == ("dead", None)
    assert progress.reason == "the schedule is exhausted; last: responded 500"


def test_an_attempt_without_an_answer_was_interrupted_and_does_not_use_up_a_step() -> None:
    progress = tried(start_attempt(new_progress(0), 0), REFUSED, 50)

    assert [attempt.reason for attempt in progress.attempts] == [INTERRUPTED, "responded 500"]
    assert (progress.failures, progress.started) == (1, 2)


def test_only_the_last_attempts_are_kept() -> None:
    progress = new_progress(0)
    for at in range(30):
        progress = tried(request_resend(progress, at), REFUSED, at)

    assert [attempt.at for attempt in progress.attempts] == list(range(10, 30))
    assert progress.started == 30


class TestResend:
    def test_a_failed_one_leaves_the_schedule_alone(self) -> None:
        before = tried(new_progress(0), REFUSED, 0)

        after = tried(request_resend(before, 100), REFUSED, 100)

        assert (after.due_ms, after.failures) == (before.due_ms, before.failures)
        assert after.attempts[-1].manual

    def test_it_goes_out_at_once_in_the_middle_of_automatic_retries(self) -> None:
        progress = request_resend(tried(new_progress(0), REFUSED, 0), 100)

        assert progress.queued_ms == 100

    def test_a_successful_one_ends_the_retries(self) -> None:
        progress = tried(request_resend(tried(new_progress(0), REFUSED, 0), 100), OK, 100)

        assert (progress.standing, progress.queued_ms) == ("delivered", None)

    def test_asked_for_twice_it_is_sent_twice(self) -> None:
        progress = request_resend(request_resend(tried(new_progress(0), OK, 0), 100), 101)

        progress = tried(progress, OK, 105)
        assert progress.queued_ms == 100
        progress = tried(progress, OK, 106)
        assert progress.queued_ms is None

    def test_asked_for_during_an_attempt_it_comes_after_it(self) -> None:
        during = request_resend(start_attempt(new_progress(0), 0), 5)

        after = finish_attempt(during, REFUSED, 10, 0.5)

        assert (after.failures, after.resends, after.queued_ms) == (1, 1, 5)

    def test_one_that_was_interrupted_is_still_owed(self) -> None:
        progress = start_attempt(request_resend(tried(new_progress(0), OK, 0), 100), 100)

        assert progress.queued_ms == 100
        assert tried(progress, OK, 200).queued_ms is None

    @pytest.mark.parametrize(
        "settled",
        [tried(new_progress(0), OK, 0), exhausted(), park(new_progress(0), "suspended")],
        ids=["delivered", "dead", "parked"],
    )
    def test_a_failed_one_changes_nothing_about_where_it_stands(self, settled: Progress) -> None:
        after = tried(request_resend(settled, 100), REFUSED, 100)

        assert (after.standing, after.queued_ms) == (settled.standing, None)
        assert tried(request_resend(settled, 100), OK, 100).standing == "delivered"


class TestParking:
    def test_a_parked_one_waits_without_a_time(self) -> None:
        progress = park(new_progress(0), "suspended")

        assert (progress.standing, progress.queued_ms) == ("parked", None)

    def test_resumed_it_has_the_whole_schedule_before_it(self) -> None:
        progress = park(tried(tried(new_progress(50), REFUSED, 50), REFUSED, 60), "suspended")

        again = resume(progress, 50)

        assert (again.standing, again.queued_ms, again.failures) == ("pending", 50, 0)

    def test_what_was_delivered_does_not_become_parked_with_its_resend(self) -> None:
        progress = park(request_resend(tried(new_progress(0), OK, 0), 5), "no rule")

        assert (progress.standing, progress.queued_ms) == ("delivered", None)

    def test_a_lost_message_is_dead(self) -> None:
        assert (mark_lost(new_progress(0)).standing, mark_lost(new_progress(0)).queued_ms) == ("dead", None)


class TestEndpoint:
    def test_the_first_failure_starts_the_clock_and_later_ones_do_not_move_it(self) -> None:
        state = record_attempt(record_attempt(HEALTHY, REFUSED, 100), REFUSED, 200)

        assert state == EndpointState(failing_since=100)

    def test_one_success_clears_it(self) -> None:
        assert record_attempt(EndpointState(failing_since=100), OK, 200) == HEALTHY

    def test_410_suspends_at_once(self) -> None:
        state = record_attempt(HEALTHY, GONE, 100)

        assert state.suspended
        assert "410" in (state.reason or "")

    def test_five_days_of_nothing_but_failures_suspend(self) -> None:
        failing = EndpointState(failing_since=100)

        assert not record_attempt(failing, REFUSED, 99 + MAX_FAILING_MS).suspended
        assert record_attempt(failing, REFUSED, 100 + MAX_FAILING_MS).suspended

    def test_a_suspension_is_lifted_by_people_only(self) -> None:
        suspended = record_attempt(HEALTHY, GONE, 100)

        assert record_attempt(suspended, OK, 200) == suspended
        assert record_attempt(suspended, REFUSED, 200) == suspended


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("try"), ATTEMPTS),
        st.sampled_from([("crash", None), ("resend", None), ("park", None), ("resume", None)]),
    ),
    max_size=40,
)


@given(STEPS)
def test_whatever_happens_the_record_stays_consistent(steps: list) -> None:
    """A queued row is pending or owed; automatic failures never outnumber the schedule."""
    progress = new_progress(0)
    for now, (what, attempt) in enumerate(steps):
        if what == "resend":
            progress = request_resend(progress, now)
        elif what == "resume" and progress.standing == "parked":
            progress = resume(progress, 0)
        elif what == "park" and progress.queued_ms is not None:
            progress = park(progress, "suspended")
        elif what == "crash" and progress.queued_ms is not None:
            progress = start_attempt(progress, now)
        elif what == "try" and progress.queued_ms is not None:
            progress = tried(progress, attempt, now)

        assert (progress.due_ms is not None) == (progress.standing == "pending")
        assert (progress.resend_ms is not None) == (progress.resends > 0)
        assert 0 <= progress.failures <= len(SCHEDULE) + 1
        assert len(progress.attempts) <= MAX_ATTEMPTS_KEPT
        assert all(a.at <= b.at for a, b in pairwise(progress.attempts))
