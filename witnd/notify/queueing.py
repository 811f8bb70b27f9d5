"""Queues the deliveries of outcomes with many rules, which the commit left to the relay."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from witnd.notify.lane import Means
from witnd.store.errors import Unreadable

# Deliveries that are queued in one call: some 2 ms of the server's time.
QUEUE_ROWS: Final = 200
# Outcomes at a time: the server queues for one while the daemon prepares the other. More would take turns from lanes.
AT_A_TIME: Final = 2
# Outcomes whose keys are in memory. Redis has all of them, and the rest are read from there.
KEYS_MAX: Final = 1000

log = structlog.get_logger()


class Queueing:
    """`run()` until cancelled. Calls `queued` with the rules of each slice that is queued."""

    def __init__(self, means: Means, queued: Callable[[Iterable[str]], None]) -> None:
        self._means = means
        self._queued = queued
        self._unqueued = means.outbox.unqueued
        self._turn = means.calls.prompt.go_on
        # Keys of outcomes, each once, in the order of their commits.
        self._next: dict[str, None] = {}
        self._in_work: set[str] = set()
        # These stay in Redis; without this set they would be read again and again.
        self._damaged: set[str] = set()
        self._has_more = False
        self._wake = asyncio.Event()

    def add(self, outcome_keys: Iterable[str]) -> None:
        """These outcomes have deliveries that are committed and not queued."""
        for key in outcome_keys:
            if len(self._next) < KEYS_MAX:
                self._next[key] = None
            else:
                self._has_more = True
        self._wake.set()

    def look(self) -> None:
        """Redis may have outcomes that were not added."""
        self._has_more = True
        self._wake.set()

    async def run(self) -> None:
        self._in_work.clear()  # of a run that ended with an error; the next `look` finds them
        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_A_TIME):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._take()
            self._in_work.add(key)
            await self._queue(key)
            self._in_work.remove(key)

    async def _take(self) -> str:
        while True:
            while self._has_more and not self._next:
                self._has_more = False
                known = self._in_work | self._damaged
                found = await self._means.ask(self._turn, self._unqueued.outcomes, KEYS_MAX + len(known))
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
        ask, unqueued = self._means.ask, self._unqueued
        try:
            waiting = await ask(self._turn, unqueued.deliveries, outcome_key)
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
            await ask(self._turn, unqueued.queue, outcome_key, waiting.created_ms, part, is_last=is_last)
            self._queued(one.rule_id for one in part)
