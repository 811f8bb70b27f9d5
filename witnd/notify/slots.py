"""A queue for webhook attempts: each waits until `admission` allows it to start.

Relays of one process share one `Slots`. Attempts of the same share wait in order of arrival, and
hold neither a socket nor a connection to Redis meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from witnd.notify.admission import TOTAL, Admission, Share, Sizes, Ticket, sizes

__all__ = ["CALLS", "PROMPT_SECONDS", "Calls", "Slots", "Turns"]

# Longer than most handshakes and answers take, and short for attempts that wait behind a silent endpoint.
PROMPT_SECONDS: Final = 0.5

# Concurrent calls to Redis for prompt endpoints, and as many for the others: more would only wait in the server.
CALLS: Final = 4
# The event loop is busy when one round of it takes longer.
BUSY_SECONDS: Final = 0.01

_Waiter = tuple[str, "asyncio.Future[Ticket]"]


class Turns:
    """So many calls at a time. Whoever goes on with something comes before whoever begins something.

    Otherwise a thousand endpoints that begin together would all take their first step before one took its second.
    With `gives_way`, whoever begins something while the event loop is busy waits as long again as the loop took, so
    that commits, health checks and prompt endpoints have half of the time at least.
    """

    def __init__(self, count: int, *, gives_way: bool = False) -> None:
        self._free = count
        self._gives_way = gives_way
        self._going_on: deque[asyncio.Future[None]] = deque()
        self._beginning: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[None]:
        async with self._turn(self._beginning):
            if self._gives_way:
                await _give_way()
            yield

    def go_on(self) -> AbstractAsyncContextManager[None]:
        return self._turn(self._going_on)

    @asynccontextmanager
    async def _turn(self, queue: "deque[asyncio.Future[None]]") -> AsyncIterator[None]:
        if self._free:
            self._free -= 1
        else:
            await self._wait(queue)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, queue: "deque[asyncio.Future[None]]") -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        for queue in (self._going_on, self._beginning):
            while queue:
                future = queue.popleft()
                if not future.done():
                    future.set_result(None)
                    return
        self._free += 1


async def _give_way() -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()
    await asyncio.sleep(0)
    round_seconds = loop.time() - before
    if round_seconds > BUSY_SECONDS:
        await asyncio.sleep(round_seconds)


class Calls:
    """Limits on calls to Redis, so that many failing endpoints do not delay those that answer."""

    def __init__(self, each: int = CALLS) -> None:
        self.prompt = Turns(each)
        self.others = Turns(each, gives_way=True)


class Slots:
    """`acquire`, then `watch` while the attempt is under way, then `release`."""

    def __init__(self, limits: Sizes | None = None, *, prompt_seconds: float = PROMPT_SECONDS) -> None:
        self._admission = Admission(limits or sizes(TOTAL))
        self._prompt_seconds = prompt_seconds
        # Attempts that wait for a place in a share, and attempts that wait for an endpoint to have fewer attempts.
        self._queues: dict[Share, deque[_Waiter]] = {share: deque() for share in Share}
        self._behind: dict[str, deque[_Waiter]] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._cuts: dict[int, Callable[[], object]] = {}

    def __repr__(self) -> str:
        waiting = sum(map(len, self._queues.values())) + sum(map(len, self._behind.values()))
        return f"<Slots {dict(self._admission.counts)} waiting={waiting}>"

    def is_prompt(self, url: str) -> bool:
        return self._admission.share_of(url) is Share.PROMPT

    def is_busy(self, url: str) -> bool:
        """Whether the endpoint has as many attempts under way as it may have."""
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
        if self._queues[self._admission.share_of(url)] or url in self._behind:
            return None
        return self._admission.start(url)

    def watch(self, ticket: Ticket, cut: Callable[[], object]) -> None:
        """Start the timer of an attempt that is being sent; `cut` ends it early if too many endpoints are slow."""
        loop = asyncio.get_running_loop()
        self._timers[id(ticket)] = loop.call_later(self._prompt_seconds, self._turn_slow, ticket)
        self._cuts[id(ticket)] = cut
        if ticket.share is None:
            cut()

    def release(self, ticket: Ticket, *, succeeded: bool | None) -> None:
        """End an attempt. `succeeded` is None if it was not sent. Calling this again has no effect."""
        timer = self._timers.pop(id(ticket), None)
        if timer is not None:
            timer.cancel()
        self._cuts.pop(id(ticket), None)
        before = self._admission.share_of(ticket.url)
        self._admission.end(ticket, succeeded=succeeded)
        if self._admission.share_of(ticket.url) is not before:
            self._move(ticket.url, before)
        for waiter in self._behind.pop(ticket.url, ()):
            self._enqueue(waiter)
        self._grant()

    def _turn_slow(self, ticket: Ticket) -> None:
        longest = self._admission.turn_slow(ticket)
        if longest is not None and (cut := self._cuts.get(id(longest))) is not None:
            cut()
        self._grant()

    def _move(self, url: str, share: Share) -> None:
        """Move the waiters for `url` to the queue of its new standing."""
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
            self._queues[self._admission.share_of(url)].append(waiter)

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
                    # Its share may have changed since it began to wait, or its endpoint has enough attempts now.
                    ticket = self._admission.start(url) if self._admission.share_of(url) is share else None
                    if ticket is not None:
                        future.set_result(ticket)
                    else:
                        self._enqueue((url, future))
                        has_moved = True
