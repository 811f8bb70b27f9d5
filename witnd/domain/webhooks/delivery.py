"""The state of a delivery after its commit, and of its endpoint.

Rule 1: every change of a delivery's standing happens in this module; the store only writes it. Rule 2: an attempt is
recorded before it is sent. An attempt without a recorded result was interrupted and is repeated: a receiver can get a
delivery twice, with the same id, but never zero times. Rule 3: only automatic attempts advance the schedule. A resend
between them neither skips a step nor repeats one.

| from | what happens | to |
| --- | --- | --- |
| pending | 2xx | delivered |
| pending | failure, automatic | pending, due at the schedule's next step; after the last: dead |
| pending | its endpoint is suspended or gone | parked |
| parked | resume | pending, from the first step |
| any | resend, 2xx | delivered |
| any | resend, failure | unchanged |
"""

from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from witnd.domain.webhooks.notification import SCHEDULE, next_attempt

Standing = Literal["pending", "delivered", "parked", "dead"]
STANDINGS: Final[tuple[Standing, ...]] = ("pending", "delivered", "parked", "dead")

# Twice the schedule: all automatic attempts, and as many manual ones.
MAX_ATTEMPTS_KEPT: Final = 20
MAX_FAILING_MS: Final = 5 * 24 * 60 * 60_000
INTERRUPTED: Final = "interrupted: witnd stopped before it recorded a response"


class Attempt(Struct, frozen=True, kw_only=True):
    """The result of an attempt. `reason` is None if it succeeded."""

    status: int | None = None
    reason: str | None = None
    retry_after_ms: int | None = None
    duration_ms: int = 0
    detail: str | None = None
    gone: bool = False
    blocked: bool = False

    @property
    def succeeded(self) -> bool:
        return self.reason is None


class AttemptRecord(Struct, frozen=True, array_like=True):
    """A recorded attempt. `duration_ms` is None until its result is recorded."""

    at: int
    manual: bool
    duration_ms: int | None = None
    status: int | None = None
    reason: str | None = None
    detail: str | None = None


class Progress(Struct, frozen=True, kw_only=True):
    """The state of a delivery."""

    standing: Standing
    #: failed automatic attempts since the start of the schedule
    failures: int = 0
    #: when the next automatic attempt of a pending delivery is due
    due_ms: int | None = None
    #: requested resends without a recorded result, and the instant of the first
    resends: int = 0
    resend_ms: int | None = None
    reason: str | None = None
    #: attempts ever started; `attempts` has the last ones
    started: int = 0
    attempts: tuple[AttemptRecord, ...] = ()

    @property
    def queued_ms(self) -> int | None:
        """When the next attempt is due (ms), or None if nothing is queued."""
        waits = [ms for ms in (self.due_ms, self.resend_ms) if ms is not None]
        return min(waits, default=None)


def new_progress(created_ms: int) -> Progress:
    """Return the state of a new delivery, due at once."""
    return Progress(standing="pending", due_ms=created_ms)


def start_attempt(progress: Progress, now_ms: int) -> Progress:
    """Record the start of an attempt."""
    attempts = list(progress.attempts)
    if attempts and attempts[-1].duration_ms is None:
        attempts[-1] = replace(attempts[-1], reason=INTERRUPTED)
    attempts.append(AttemptRecord(now_ms, progress.resends > 0))
    return replace(progress, started=progress.started + 1, attempts=tuple(attempts[-MAX_ATTEMPTS_KEPT:]))


def finish_attempt(
    progress: Progress,
    attempt: Attempt,
    now_ms: int,
    jitter: float,
    schedule: Sequence[int] = SCHEDULE,
) -> Progress:
    """Record the result of the last attempt."""
    *earlier, last = progress.attempts or (AttemptRecord(now_ms, progress.resends > 0),)
    closed = replace(
        last,
        duration_ms=attempt.duration_ms,
        status=attempt.status,
        reason=attempt.reason,
        detail=attempt.detail,
    )
    resends = progress.resends - 1 if last.manual and progress.resends else progress.resends
    after = replace(
        progress,
        resends=resends,
        resend_ms=progress.resend_ms if resends else None,
        attempts=(*earlier, closed),
    )
    if attempt.succeeded:
        return replace(after, standing="delivered", due_ms=None, reason=None)
    if last.manual or progress.standing != "pending":
        return after
    failures = progress.failures + 1
    due_ms = next_attempt(failures, now_ms, jitter, attempt.retry_after_ms, schedule)
    if due_ms is None:
        reason = f"the schedule is exhausted; last: {attempt.reason}"
        return replace(after, standing="dead", failures=failures, due_ms=None, reason=reason)
    return replace(after, failures=failures, due_ms=due_ms, reason=attempt.reason)


def park(progress: Progress, reason: str) -> Progress:
    """Park a delivery until its rule is resumed, and drop its resends."""
    standing: Standing = "parked" if progress.standing == "pending" else progress.standing
    return replace(_without_queue(progress), standing=standing, reason=reason)


def mark_lost(progress: Progress) -> Progress:
    """Mark a delivery dead because its message is missing from the store."""
    return replace(_without_queue(progress), standing="dead", reason="its message is missing")


def _without_queue(progress: Progress) -> Progress:
    return replace(progress, due_ms=None, resends=0, resend_ms=None)


def resume(progress: Progress, created_ms: int) -> Progress:
    """Make a parked delivery due at once, oldest first, with a new schedule."""
    return replace(progress, standing="pending", failures=0, due_ms=created_ms, reason=None)


def request_resend(progress: Progress, now_ms: int) -> Progress:
    """Request that a delivery is sent (again) now."""
    since = progress.resend_ms if progress.resends else now_ms
    return replace(progress, resends=progress.resends + 1, resend_ms=since)


class EndpointState(Struct, frozen=True, kw_only=True):
    """The state of a rule's endpoint, over all partitions. Instants in ms."""

    failing_since: int | None = None
    suspended_at: int | None = None
    reason: str | None = None

    @property
    def suspended(self) -> bool:
        return self.suspended_at is not None


HEALTHY: Final = EndpointState()


def record_attempt(state: EndpointState, attempt: Attempt, now_ms: int) -> EndpointState:
    """Update the endpoint state after an attempt. A success clears its failures, but not a suspension."""
    if attempt.succeeded:
        return state if state.suspended else HEALTHY
    since = now_ms if state.failing_since is None else state.failing_since
    if state.suspended:
        return state
    if attempt.gone:
        return EndpointState(failing_since=since, suspended_at=now_ms, reason="the endpoint responded 410 Gone")
    if now_ms - since >= MAX_FAILING_MS:
        reason = f"all attempts failed for five days; last: {attempt.reason}"
        return EndpointState(failing_since=since, suspended_at=now_ms, reason=reason)
    return state if state.failing_since is not None else EndpointState(failing_since=since)
