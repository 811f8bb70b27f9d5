"""A lane: everything that is sent for one rule of one partition.

It looks into the rule's part of the outbox, puts what is due on record, sends it, and sleeps until
the next is due or until it is woken. What an attempt leads to, `witnd.domain.webhooks.delivery` decides;
which lanes there are, the relay.
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
from witnd.domain.webhooks import delivery as life
from witnd.domain.webhooks.delivery import HEALTHY, Attempt, EndpointState, Progress
from witnd.domain.webhooks.message import Delivery
from witnd.notify.admission import PER_ENDPOINT, Ticket
from witnd.notify.backoff import Patience
from witnd.notify.slots import Calls, Slots
from witnd.store.deliveries.outbox import Outbox, Row
from witnd.store.errors import StoreRefused, StoreUnavailable

# Of one rule and partition; a URL that rules share has its own bound in `admission`.
IN_FLIGHT_PER_ENDPOINT: Final = PER_ENDPOINT
# One write of so many rows takes Redis a millisecond or two.
SWEEP_ROWS: Final = 500
# A sleep is cut into pieces of this length, so that a host clock that was set is noticed.
NAP_SECONDS: Final = 60.0
CUT: Final = "ended early because too many endpoints are slow"
NO_RULE: Final = "its rule is not in force; apply and enable it, then `witnd deliveries resume` it"

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger()


class Endpoint(Struct, frozen=True):
    """Where a rule's deliveries go now; `secrets` are the current one and the one it replaces."""

    url: str
    secrets: tuple[str, ...]


Send = Callable[[str, Sequence[str], Delivery], Awaitable[Attempt]]
# Starts work that the relay owns, or answers None: nothing new is started any more.
Work = Callable[[], Coroutine[Any, Any, None]]
Begin = Callable[[Work], "asyncio.Task[None] | None"]
OnDisk = Callable[[int], Awaitable[None]]
Turn = Callable[[], AbstractAsyncContextManager[None]]


class Means(Struct, frozen=True, kw_only=True):
    """What all lanes of a relay work with. `calls` bounds their calls to Redis, however many lanes there are."""

    outbox: Outbox
    send: Send
    endpoint: Callable[[str], Endpoint | None]
    now_ms: Callable[[], int]
    random: Callable[[], float]
    schedule: Sequence[int]
    slots: Slots
    calls: Calls
    retry: Patience
    begin: Begin
    on_disk: OnDisk | None

    async def ask(self, turn: Turn, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """The store's answer, however long it takes. Every call made here may be repeated."""
        failures = 0
        while True:
            try:
                async with turn():
                    answer = await call(*args, **kwargs)
            except (StoreUnavailable, StoreRefused) as error:
                await self.retry.wait(error, failures)
                failures += 1
            else:
                self.retry.over()
                return answer


class Lane:
    """`serve` ends when its rule has nothing more to send, now or later."""

    def __init__(self, rule_id: str, means: Means) -> None:
        self.rule_id = rule_id
        self.wake = asyncio.Event()
        #: attempts under way, by delivery
        self.flying: dict[str, asyncio.Task[None]] = {}
        self._means = means
        # How the endpoint stood when it was last looked at.
        self._state: EndpointState = HEALTHY
        self._is_prompt = False

    @property
    def free(self) -> int:
        """How many more attempts may start: a failing endpoint gets one at a time."""
        most = IN_FLIGHT_PER_ENDPOINT if self._state.failing_since is None else 1
        return max(0, most - len(self.flying))

    async def serve(self, done: Callable[[], None]) -> None:
        """`done` is called in the very moment in which it is certain that nothing is left."""
        means = self._means
        while True:
            self.wake.clear()
            target = means.endpoint(self.rule_id)
            self._is_prompt = target is not None and means.slots.is_prompt(target.url)
            rows, self._state = await self._ask(self._look)
            if not rows and not self.flying and not self.wake.is_set():
                done()
                return
            if await self._sweep(rows):
                continue
            waiting = [row for row in rows if row.id not in self.flying]
            now = means.now_ms()
            due = [row for row in waiting if (row.queued_ms or 0) <= now][: self.free]
            if due:
                await self._start(due)
                if self.flying and target is not None and means.slots.is_busy(target.url):
                    # Nothing more can start now, and soon more is known of the endpoint: it may be a prompt one.
                    await self.wake.wait()
            elif waiting and self.free:
                await self._sleep(waiting[0].queued_ms or 0)
            else:
                await self._wait_for_attempts()

    async def _wait_for_attempts(self) -> None:
        """Wait until an attempt may start. Commits meanwhile cost Redis nothing."""
        await self.wake.wait()
        while self.flying and not self.free:
            self.wake.clear()
            await self.wake.wait()

    async def _ask(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        calls = self._means.calls
        turns = calls.prompt if self._is_prompt else calls.others
        turn = turns.begin if call == self._look else turns.go_on
        return await self._means.ask(turn, call, *args, **kwargs)

    async def _look(self) -> tuple[list[Row], EndpointState]:
        # Rows in flight still stand first in the outbox, and one more tells when to look again.
        outbox = self._means.outbox
        return await asyncio.gather(
            outbox.next_rows(self.rule_id, IN_FLIGHT_PER_ENDPOINT + 1),
            outbox.endpoint(self.rule_id),
        )

    async def _sleep(self, due_ms: int) -> None:
        while not self.wake.is_set() and (left_ms := due_ms - self._means.now_ms()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_ms / 1000, NAP_SECONDS)):
                    await self.wake.wait()

    async def _sweep(self, rows: list[Row]) -> bool:
        """Take out what cannot be sent: all rows of a suspended endpoint or a rule not in force.

        What somebody asks to be resent is tried even at a suspended endpoint. True if any went.
        """
        ask, outbox, state = self._ask, self._means.outbox, self._state
        in_force = self._means.endpoint(self.rule_id) is not None
        steps = [(row, life.mark_lost(row.progress)) for row in rows if row.delivery is None]
        if not in_force or state.suspended:
            reason = f"the endpoint is suspended: {state.reason}" if in_force else NO_RULE
            steps += [
                (row, life.park(row.progress, reason))
                for row in await ask(outbox.next_rows, self.rule_id, SWEEP_ROWS)
                if row.delivery is not None and row.id not in self.flying and not (in_force and row.progress.resends)
            ]
        if not steps:
            return False
        written = await ask(outbox.write, self.rule_id, steps)
        swept = [(row.with_progress(to), to) for (row, to), ours in zip(steps, written, strict=True) if ours]
        reason = steps[-1][1].reason or ""
        log.warning("deliveries.taken_out", rule_id=self.rule_id, rows=len(swept), reason=reason)
        if state.suspended and not (await ask(outbox.endpoint, self.rule_id)).suspended:
            # It was resumed while we were at it, and that has not seen the rows just parked.
            back = [
                (row, life.resume(progress, row.created_ms)) for row, progress in swept if progress.standing == "parked"
            ]
            await ask(outbox.write, self.rule_id, back)
        return True

    async def _start(self, rows: list[Row]) -> None:
        """Record as many attempts as may run, then send them."""
        means = self._means
        if means.on_disk is not None:
            # Nobody may be notified of a step whose loss would not be noticed.
            await means.on_disk(await self._ask(means.outbox.sequence))
        target = means.endpoint(self.rule_id)
        if target is None:
            return  # the next look parks them
        tickets = [await means.slots.acquire(target.url)]
        try:
            # This may have waited for long, and a ticket is for one address.
            latest = means.endpoint(self.rule_id)
            if latest is None or latest.url != target.url:
                return
            while len(tickets) < len(rows) and (more := means.slots.try_acquire(target.url)) is not None:
                tickets.append(more)
            now = means.now_ms()
            steps = [(row, life.start_attempt(row.progress, now)) for row in rows[: len(tickets)]]
            written = await self._ask(means.outbox.write, self.rule_id, steps)
            target = means.endpoint(self.rule_id)  # the secrets of now
            for (row, progress), ours in zip(steps, written, strict=True):
                if not ours or target is None or row.delivery is None:
                    continue
                attempt = partial(self._attempt, row.with_progress(progress), row.delivery, target, tickets[-1])
                flight = means.begin(attempt)
                if flight is not None:
                    self._track(row.id, flight, tickets.pop())
        finally:
            for ticket in tickets:
                means.slots.release(ticket, succeeded=None)

    def _track(self, id_: str, attempt: "asyncio.Task[None]", ticket: Ticket) -> None:
        """Hold a place in the lane for the duration of the attempt."""
        self.flying[id_] = attempt

        def landed(_: "asyncio.Task[None]") -> None:
            del self.flying[id_]
            self._means.slots.release(ticket, succeeded=None)
            self.wake.set()

        attempt.add_done_callback(landed)

    async def _attempt(self, row: Row, delivery: Delivery, target: Endpoint, ticket: Ticket) -> None:
        attempt = await self._send(delivery, target, ticket)
        progress = await self._record(row, attempt)
        await self._judge(delivery, attempt)
        due_ms = progress.queued_ms
        (log.info if attempt.succeeded else log.warning)(
            "delivery.attempted",
            delivery=delivery.id,
            rule=delivery.rule_name,
            outcome_key=delivery.outcome_key,
            **{"try": progress.started},
            status=attempt.status,
            reason=attempt.reason,
            duration_ms=attempt.duration_ms,
            next_at=None if due_ms is None else instant.render(due_ms),
        )

    async def _send(self, delivery: Delivery, target: Endpoint, ticket: Ticket) -> Attempt:
        """Make one attempt. It ends early if too many endpoints are slow."""
        slots, began = self._means.slots, monotonic_ns()
        sending = asyncio.ensure_future(self._means.send(target.url, target.secrets, delivery))
        slots.watch(ticket, sending.cancel)
        try:
            attempt = await sending
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not sending.cancelled() or (task is not None and task.cancelling()):
                raise
            duration_ms = (monotonic_ns() - began) // 1_000_000
            attempt = Attempt(reason=f"no answer within {duration_ms} ms; {CUT}", duration_ms=duration_ms)
        slots.release(ticket, succeeded=attempt.succeeded)
        self._is_prompt = slots.is_prompt(target.url)
        return attempt

    async def _record(self, row: Row, attempt: Attempt) -> Progress:
        means = self._means
        while True:
            now, jitter = means.now_ms(), means.random()
            progress = life.finish_attempt(row.progress, attempt, now, jitter, means.schedule)
            (written,) = await self._ask(means.outbox.write, self.rule_id, [(row, progress)])
            # A command may have touched it meanwhile: the answer belongs to what it made of it.
            fresh = [] if written else await self._ask(means.outbox.rows, [row.id])
            if not fresh:
                return progress
            (row,) = fresh

    async def _judge(self, delivery: Delivery, attempt: Attempt) -> None:
        means, state = self._means, self._state
        while (after := life.record_attempt(state, attempt, means.now_ms())) != state:
            if await self._ask(means.outbox.swap_endpoint, self.rule_id, state, after):
                if after.suspended:
                    rule, reason = delivery.rule_name, after.reason
                    log.error("endpoint.suspended", rule=rule, reason=reason)
                break
            state = await self._ask(means.outbox.endpoint, self.rule_id)
        self._state = after
