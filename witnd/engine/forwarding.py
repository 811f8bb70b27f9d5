"""Forwards events that arrived in the log from which their key moved in a repartition."""

import asyncio
import contextlib

import structlog

from witnd.store.clock.guard import ClockGuard
from witnd.store.log.forward import ForwardQueue
from witnd.store.server.retry import Retry

# Pause between attempts while a wrong clock prevents forwarding.
BLOCKED_SECONDS = 1.0

log = structlog.get_logger()


class Forwarding:
    """Forwards the events of one partition while `run()` runs. Call `wake` after a commit with events to forward."""

    def __init__(self, queue: ForwardQueue, partition: int, retry: Retry, guard: ClockGuard) -> None:
        self._queue = queue
        self._partition = partition
        self._retry = retry
        self._guard = guard
        self._waiting = asyncio.Event()

    def wake(self) -> None:
        self._waiting.set()

    async def run(self) -> None:
        self.wake()  # a previous owner may have left some
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            await self._forward_all()

    async def _forward_all(self) -> None:
        more = True
        while more:
            limit = self._guard.append_limit()
            count, more = await self._retry.call("forwarding events", lambda: self._queue.forward(limit))  # noqa: B023
            if count:
                log.info("events.forwarded", partition=self._partition, count=count)
            elif more:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(BLOCKED_SECONDS):
                        await self._waiting.wait()
