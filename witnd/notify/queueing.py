"""Queue the deliveries of outcomes with many rules, which the commit leaves to the relay."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from witnd.notify.lane import LaneContext
from witnd.store.errors import Unreadable

# Deliveries per call: about 2 ms of server time.
QUEUE_ROWS: Final = 200
# The server queues one outcome while the daemon prepares another. More would delay the lanes.
CONCURRENCY: Final = 2
# Outcome keys in memory. Redis has all of them.
MAX_KEYS: Final = 1000

log = structlog.get_logger()


class DeliveryQueuer:
    """Queues deliveries: `run()` until cancelled. Calls `queued` with the rules of each queued slice."""

    def __init__(self, context: LaneContext, queued: Callable[[Iterable[str]], None]) -> None:
        self._context = context
        self._queued = queued
        self._unqueued = context.outbox.unqueued
        self._turn = context.calls.prompt.resume_call
        # Outcome keys without duplicates, in commit order.
        self._next: dict[str, None] = {}
        self._in_work: set[str] = set()
        # Excluded from reads, because they stay in Redis.
        self._damaged: set[str] = set()
        self._has_more = False
        self._wake = asyncio.Event()

    def add(self, outcome_keys: Iterable[str]) -> None:
        """Add outcomes with committed deliveries that are not queued yet."""
        for key in outcome_keys:
            if len(self._next) < MAX_KEYS:
                self._next[key] = None
            else:
                self._has_more = True
        self._wake.set()

    def scan(self) -> None:
        """Also read outcomes from Redis that were not added."""
        self._has_more = True
        self._wake.set()

    async def run(self) -> None:
        self._in_work.clear()  # after a failed run; the next `scan` finds them
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CONCURRENCY):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._next_key()
            self._in_work.add(key)
            await self._queue(key)
            self._in_work.remove(key)

    async def _next_key(self) -> str:
        while True:
            while self._has_more and not self._next:
                self._has_more = False
                known = self._in_work | self._damaged
                found = await self._context.call(self._turn, self._unqueued.outcomes, MAX_KEYS + len(known))
                if fresh := [key for key in found if key not in known]:
                    self.add(fresh)
                    self._has_more = True
            if self._next:
                key = next(iter(self._next))
                del self._next[key]
                return key
            self._wake.clear()
            await self._wake.wait()

    async def _queue(self, outcome_key: str) -> None:
        """Queue the deliveries of one outcome in slices, so that neither commits nor health checks wait long."""
        call, unqueued = self._context.call, self._unqueued
        try:
            waiting = await call(self._turn, unqueued.deliveries, outcome_key)
        except Unreadable as damaged:
            self._damaged.add(outcome_key)
            log.error("delivery.unreadable", delivery=f"all of outcome {outcome_key}", reason=str(damaged))
            return
        if waiting is None:
            return
        rows = waiting.rows
        for at in range(0, len(rows), QUEUE_ROWS):
            part = rows[at : at + QUEUE_ROWS]
            is_last = at + QUEUE_ROWS >= len(rows)
            await call(self._turn, unqueued.queue, outcome_key, waiting.created_ms, part, is_last=is_last)
            self._queued(one.rule_id for one in part)
