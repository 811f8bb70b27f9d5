"""A lane sends the deliveries of one rule of one partition.

It reads the rule's part of the outbox, records attempts that are due, sends them, and sleeps until the next is due or
it is woken. `witnd.domain.webhooks.delivery` decides what follows from an attempt.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from time import monotonic_ns
from typing import Any, Final, ParamSpec, TypeVar

import structlog
from msgspec import Struct

from witnd.domain.values import instant
from witnd.domain.webhooks import delivery as transitions
from witnd.domain.webhooks.billing_event import suspended_event
from witnd.domain.webhooks.delivery import HEALTHY, Attempt, EndpointState, Progress
from witnd.domain.webhooks.message import Delivery
from witnd.notify.admission import PER_ENDPOINT, Ticket
from witnd.notify.backoff import Backoff
from witnd.notify.slots import CallLimits, Slots
from witnd.store.deliveries.outbox import Outbox, Row
from witnd.store.errors import StoreRefused, StoreUnavailable

# Per rule and partition. `admission` limits URLs that rules share.
IN_FLIGHT_PER_ENDPOINT: Final = PER_ENDPOINT
# Writing this many rows takes Redis 1 or 2 ms.
PARK_ROWS: Final = 500
# Limited, so that a changed host clock is noticed.
MAX_SLEEP_SECONDS: Final = 60.0
ENDED_EARLY: Final = "ended early because too many endpoints are slow"
NO_RULE: Final = "its rule is not in effect; apply and enable it, then run `witnd deliveries resume`"

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger()


class Endpoint(Struct, frozen=True):
    """The current target of a rule. `secrets` are the current one and possibly the previous one."""

    url: str
    secrets: tuple[str, ...]


Send = Callable[[str, Sequence[str], Delivery], Awaitable[Attempt]]
# Starts a task of the relay, or returns None if the relay is stopping.
Work = Callable[[], Coroutine[Any, Any, None]]
StartTask = Callable[[Work], "asyncio.Task[None] | None"]
Confirmed = Callable[[int], Awaitable[None]]
Turn = Callable[[], AbstractAsyncContextManager[None]]


class LaneContext(Struct, frozen=True, kw_only=True):
    """The dependencies that all lanes of a relay share. `calls` limits their concurrent calls to Redis."""

    outbox: Outbox
    send: Send
    endpoint: Callable[[str], Endpoint | None]
    now_ms: Callable[[], int]
    random: Callable[[], float]
    schedule: Sequence[int]
    slots: Slots
    calls: CallLimits
    backoff: Backoff
    start_task: StartTask
    confirmed: Confirmed | None

    async def call(self, turn: Turn, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the store and retry until it responds. Only for calls that may be repeated."""
        failures = 0
        while True:
            try:
                async with turn():
                    answer = await call(*args, **kwargs)
            except (StoreUnavailable, StoreRefused) as error:
                await self.backoff.wait(error, failures)
                failures += 1
            else:
                self.backoff.reset()
                return answer


class Lane:
    """Sends the deliveries of a rule. `serve` returns when none is left, now or later."""

    def __init__(self, rule_id: str, context: LaneContext) -> None:
        self.rule_id = rule_id
        self.wake = asyncio.Event()
        #: running attempts, by delivery
        self.in_flight: dict[str, asyncio.Task[None]] = {}
        self._context = context
        # The endpoint's state when it was last read.
        self._state: EndpointState = HEALTHY
        self._is_prompt = False

    @property
    def free_places(self) -> int:
        """The number of attempts that may start now: a failing endpoint gets one at a time."""
        most = IN_FLIGHT_PER_ENDPOINT if self._state.failing_since is None else 1
        return max(0, most - len(self.in_flight))

    async def serve(self, done: Callable[[], None]) -> None:
        """Send deliveries until none is left, then call `done` without an await in between."""
        context = self._context
        while True:
            self.wake.clear()
            target = context.endpoint(self.rule_id)
            self._is_prompt = target is not None and context.slots.is_prompt(target.url)
            rows, self._state = await self._ask(self._load)
            if not rows and not self.in_flight and not self.wake.is_set():
                done()
                return
            if await self._park_unsendable(rows):
                continue
            waiting = [row for row in rows if row.id not in self.in_flight]
            now = context.now_ms()
            due = [row for row in waiting if (row.queued_ms or 0) <= now][: self.free_places]
            if due:
                await self._start(due)
                if self.in_flight and target is not None and context.slots.is_busy(target.url):
                    # No attempt can start now, and the running ones may show that the endpoint is prompt.
                    await self.wake.wait()
            elif waiting and self.free_places:
                await self._sleep(waiting[0].queued_ms or 0)
            else:
                await self._wait_for_attempts()

    async def _wait_for_attempts(self) -> None:
        """Wait until an attempt may start. New deliveries meanwhile cause no reads."""
        await self.wake.wait()
        while self.in_flight and not self.free_places:
            self.wake.clear()
            await self.wake.wait()

    async def _ask(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        calls = self._context.calls
        turns = calls.prompt if self._is_prompt else calls.others
        turn = turns.start_call if call == self._load else turns.resume_call
        return await self._context.call(turn, call, *args, **kwargs)

    async def _load(self) -> tuple[list[Row], EndpointState]:
        # Rows in flight are still first in the outbox. One more row gives the time of the next read.
        outbox = self._context.outbox
        return await asyncio.gather(
            outbox.next_rows(self.rule_id, IN_FLIGHT_PER_ENDPOINT + 1),
            outbox.endpoint(self.rule_id),
        )

    async def _sleep(self, due_ms: int) -> None:
        while not self.wake.is_set() and (left_ms := due_ms - self._context.now_ms()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_ms / 1000, MAX_SLEEP_SECONDS)):
                    await self.wake.wait()

    async def _park_unsendable(self, rows: list[Row]) -> bool:
        """Park rows that cannot be sent: those of a suspended endpoint, or of a rule that is not in effect.

        Requested resends are sent even to a suspended endpoint. Return whether any row was parked.
        """
        call, outbox, state = self._ask, self._context.outbox, self._state
        is_in_effect = self._context.endpoint(self.rule_id) is not None
        steps = [(row, transitions.mark_lost(row.progress)) for row in rows if row.delivery is None]
        if not is_in_effect or state.suspended:
            reason = f"the endpoint is suspended: {state.reason}" if is_in_effect else NO_RULE
            steps += [
                (row, transitions.park(row.progress, reason))
                for row in await call(outbox.next_rows, self.rule_id, PARK_ROWS)
                if row.delivery is not None
                and row.id not in self.in_flight
                and not (is_in_effect and row.progress.resends)
            ]
        if not steps:
            return False
        written = await call(outbox.write, self.rule_id, steps)
        swept = [
            (row.with_progress(to), to) for (row, to), is_current in zip(steps, written, strict=True) if is_current
        ]
        reason = steps[-1][1].reason or ""
        log.warning("deliveries.parked", rule_id=self.rule_id, rows=len(swept), reason=reason)
        if state.suspended and not (await call(outbox.endpoint, self.rule_id)).suspended:
            # A concurrent resume has missed the rows that were just parked.
            resumed = [
                (row, transitions.resume(progress, row.created_ms))
                for row, progress in swept
                if progress.standing == "parked"
            ]
            await call(outbox.write, self.rule_id, resumed)
        return True

    async def _start(self, rows: list[Row]) -> None:
        """Record as many attempts as may run, and send them."""
        context = self._context
        if context.confirmed is not None:
            # A delivery must not report a step whose loss would not be noticed.
            await context.confirmed(await self._ask(context.outbox.sequence))
        target = context.endpoint(self.rule_id)
        if target is None:
            return  # the next pass parks them
        tickets = [await context.slots.acquire(target.url)]
        try:
            # The wait may have been long, and a ticket is for one URL.
            latest = context.endpoint(self.rule_id)
            if latest is None or latest.url != target.url:
                return
            while len(tickets) < len(rows) and (more := context.slots.try_acquire(target.url)) is not None:
                tickets.append(more)
            now = context.now_ms()
            steps = [(row, transitions.start_attempt(row.progress, now)) for row in rows[: len(tickets)]]
            written = await self._ask(context.outbox.write, self.rule_id, steps)
            target = context.endpoint(self.rule_id)  # with the current secrets
            for (row, progress), is_current in zip(steps, written, strict=True):
                if not is_current or target is None or row.delivery is None:
                    continue
                attempt = partial(self._attempt, row.with_progress(progress), row.delivery, target, tickets[-1])
                task = context.start_task(attempt)
                if task is not None:
                    self._track(row.id, task, tickets.pop())
        finally:
            for ticket in tickets:
                context.slots.release(ticket, succeeded=None)

    def _track(self, id_: str, attempt: "asyncio.Task[None]", ticket: Ticket) -> None:
        """Count the attempt in the lane until it ends."""
        self.in_flight[id_] = attempt

        def finish(_: "asyncio.Task[None]") -> None:
            del self.in_flight[id_]
            self._context.slots.release(ticket, succeeded=None)
            self.wake.set()

        attempt.add_done_callback(finish)

    async def _attempt(self, row: Row, delivery: Delivery, target: Endpoint, ticket: Ticket) -> None:
        attempt = await self._send(delivery, target, ticket)
        progress = await self._record(row, attempt)
        await self._update_endpoint(delivery, attempt)
        due_ms = progress.queued_ms
        (log.info if attempt.succeeded else log.warning)(
            "delivery.attempted",
            delivery=delivery.id,
            rule=delivery.rule_name,
            outcome_key=delivery.outcome_key,
            attempt=progress.started,
            status=attempt.status,
            reason=attempt.reason,
            duration_ms=attempt.duration_ms,
            next_at=None if due_ms is None else instant.render(due_ms),
        )

    async def _send(self, delivery: Delivery, target: Endpoint, ticket: Ticket) -> Attempt:
        """Make one attempt. It ends early if too many endpoints are slow."""
        slots, began = self._context.slots, monotonic_ns()
        sending = asyncio.ensure_future(self._context.send(target.url, target.secrets, delivery))
        slots.watch(ticket, sending.cancel)
        try:
            attempt = await sending
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not sending.cancelled() or (task is not None and task.cancelling()):
                raise
            duration_ms = (monotonic_ns() - began) // 1_000_000
            attempt = Attempt(reason=f"no response within {duration_ms} ms; {ENDED_EARLY}", duration_ms=duration_ms)
        slots.release(ticket, succeeded=attempt.succeeded)
        self._is_prompt = slots.is_prompt(target.url)
        return attempt

    async def _record(self, row: Row, attempt: Attempt) -> Progress:
        context = self._context
        while True:
            now, jitter = context.now_ms(), context.random()
            progress = transitions.finish_attempt(row.progress, attempt, now, jitter, context.schedule)
            (written,) = await self._ask(context.outbox.write, self.rule_id, [(row, progress)])
            # A command may have changed the row meanwhile; apply the result to the new row.
            fresh = [] if written else await self._ask(context.outbox.rows, [row.id])
            if not fresh:
                return progress
            (row,) = fresh

    async def _update_endpoint(self, delivery: Delivery, attempt: Attempt) -> None:
        context, state = self._context, self._state
        while (after := transitions.record_attempt(state, attempt, context.now_ms())) != state:
            event = None
            if after.suspended:
                event = suspended_event(self.rule_id, delivery.rule_name, after.reason, after.suspended_at or 0)
            if await self._ask(context.outbox.swap_endpoint, self.rule_id, state, after, event):
                if after.suspended:
                    rule, reason = delivery.rule_name, after.reason
                    log.error("endpoint.suspended", rule=rule, reason=reason)
                break
            state = await self._ask(context.outbox.endpoint, self.rule_id)
        self._state = after
