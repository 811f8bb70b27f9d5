"""Queue webhook attempts until `admission` allows them to start.

The relays of a process share one `Slots`. Attempts of the same share wait in order of arrival, without a socket or a
Redis connection.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from witnd.notify.admission import TOTAL, Admission, Share, Sizes, Ticket, sizes

__all__ = ["CALLS", "PROMPT_SECONDS", "CallLimiter", "CallLimits", "Slots"]

# Longer than most handshakes and responses, and short for attempts that wait behind a silent endpoint.
PROMPT_SECONDS: Final = 0.5

# Concurrent calls to Redis, for prompt endpoints and for the others each. More would only wait in the server.
CALLS: Final = 4
# The event loop is busy if one iteration takes longer.
BUSY_SECONDS: Final = 0.01

_Waiter = tuple[str, "asyncio.Future[Ticket]"]


class CallLimiter:
    """Limits concurrent calls. Resumed work has priority over new work.

    Otherwise, of a thousand endpoints that start together, all would take their first step before one took its second.
    With `yields_to_loop`, new work waits as long as an iteration of a busy event loop takes, so that commits, health
    checks and prompt endpoints get at least half of the time.
    """

    def __init__(self, count: int, *, yields_to_loop: bool = False) -> None:
        self._free = count
        self._yields_to_loop = yields_to_loop
        self._resumed: deque[asyncio.Future[None]] = deque()
        self._starting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def start_call(self) -> AsyncIterator[None]:
        async with self._turn(self._starting):
            if self._yields_to_loop:
                await _yield_to_loop()
            yield

    def resume_call(self) -> AbstractAsyncContextManager[None]:
        return self._turn(self._resumed)

    @asynccontextmanager
    async def _turn(self, queue: "deque[asyncio.Future[None]]") -> AsyncIterator[None]:
        if self._free:
            self._free -= 1
        else:
            await self._wait(queue)
        try:
            yield
        finally:
            self._wake_next()

    async def _wait(self, queue: "deque[asyncio.Future[None]]") -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._wake_next()
            raise

    def _wake_next(self) -> None:
        for queue in (self._resumed, self._starting):
            while queue:
                future = queue.popleft()
                if not future.done():
                    future.set_result(None)
                    return
        self._free += 1


async def _yield_to_loop() -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()
    await asyncio.sleep(0)
    round_seconds = loop.time() - before
    if round_seconds > BUSY_SECONDS:
        await asyncio.sleep(round_seconds)


class CallLimits:
    """Limits on calls to Redis, so that many failing endpoints do not delay those that answer."""

    def __init__(self, each: int = CALLS) -> None:
        self.prompt = CallLimiter(each)
        self.others = CallLimiter(each, yields_to_loop=True)


class Slots:
    """Limits attempts: `acquire`, then `watch` the running attempt, then `release`."""

    def __init__(self, limits: Sizes | None = None, *, prompt_seconds: float = PROMPT_SECONDS) -> None:
        self._admission = Admission(limits or sizes(TOTAL))
        self._prompt_seconds = prompt_seconds
        # Attempts that wait for their share, and attempts that wait for their endpoint.
        self._queues: dict[Share, deque[_Waiter]] = {share: deque() for share in Share}
        self._behind: dict[str, deque[_Waiter]] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._cuts: dict[int, Callable[[], object]] = {}

    def __repr__(self) -> str:
        waiting = sum(map(len, self._queues.values())) + sum(map(len, self._behind.values()))
        return f"<Slots {dict(self._admission.counts)} waiting={waiting}>"

    def is_prompt(self, url: str) -> bool:
        return self._admission.share_for(url) is Share.PROMPT

    def is_busy(self, url: str) -> bool:
        """Return whether the endpoint has its maximum of running attempts."""
        return self._admission.is_busy(url)

    async def acquire(self, url: str) -> Ticket:
        """Wait until an attempt to `url` may start."""
        if (ticket := self.try_acquire(url)) is not None:
            return ticket
        future: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        self._enqueue((url, future))
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release(future.result(), succeeded=None)
            self._grant()
            raise

    def try_acquire(self, url: str) -> Ticket | None:
        """Return a ticket if nobody is waiting and an attempt may start now."""
        if self._queues[self._admission.share_for(url)] or url in self._behind:
            return None
        return self._admission.start(url)

    def watch(self, ticket: Ticket, cut: Callable[[], object]) -> None:
        """Start the timer of a running attempt. `cut` ends it early if too many endpoints are slow."""
        loop = asyncio.get_running_loop()
        self._timers[id(ticket)] = loop.call_later(self._prompt_seconds, self._mark_slow, ticket)
        self._cuts[id(ticket)] = cut
        if ticket.share is None:
            cut()

    def release(self, ticket: Ticket, *, succeeded: bool | None) -> None:
        """End an attempt. `succeeded` is None if it was not sent. Calling this again has no effect."""
        timer = self._timers.pop(id(ticket), None)
        if timer is not None:
            timer.cancel()
        self._cuts.pop(id(ticket), None)
        before = self._admission.share_for(ticket.url)
        self._admission.end(ticket, succeeded=succeeded)
        if self._admission.share_for(ticket.url) is not before:
            self._move(ticket.url, before)
        for waiter in self._behind.pop(ticket.url, ()):
            self._enqueue(waiter)
        self._grant()

    def _mark_slow(self, ticket: Ticket) -> None:
        longest = self._admission.mark_slow(ticket)
        if longest is not None and (cut := self._cuts.get(id(longest))) is not None:
            cut()
        self._grant()

    def _move(self, url: str, share: Share) -> None:
        """Move the waiters for `url` to the queue of its new share."""
        queue = self._queues[share]
        moving = [waiter for waiter in queue if waiter[0] == url]
        if moving:
            self._queues[share] = deque(waiter for waiter in queue if waiter[0] != url)
        for waiter in moving:
            self._enqueue(waiter)

    def _enqueue(self, waiter: _Waiter) -> None:
        url = waiter[0]
        if self._admission.is_busy(url):
            self._behind.setdefault(url, deque()).append(waiter)
        else:
            self._queues[self._admission.share_for(url)].append(waiter)

    def _grant(self) -> None:
        """Start waiting attempts while there is room."""
        has_moved = True
        while has_moved:
            has_moved = False
            for share in Share:
                queue = self._queues[share]
                while queue and not self._admission.is_full(share):
                    url, future = queue.popleft()
                    if future.done():
                        continue
                    # Its share may have changed meanwhile, or its endpoint has enough attempts.
                    ticket = self._admission.start(url) if self._admission.share_for(url) is share else None
                    if ticket is not None:
                        future.set_result(ticket)
                    else:
                        self._enqueue((url, future))
                        has_moved = True
