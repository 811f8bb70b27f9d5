"""An event loop in virtual time, shared by several simulated processes.

Time passes only when no callback is ready. Each callback belongs to the process in whose context it was scheduled, so
a process can be paused or killed: its callbacks then wait, or never run.
"""

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

# A process that runs this many rounds of callbacks in one instant never waits for anything.
ROUNDS_MAX = 20_000

CURRENT: contextvars.ContextVar["Process"] = contextvars.ContextVar("process")


class Process:
    """A simulated process: a queue of callbacks, and the context in which all of them run."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready: deque[asyncio.Handle] = deque()
        self.is_paused = False
        self.is_dead = False
        self.context = contextvars.Context()
        self.context.run(CURRENT.set, self)


class NumberedTask(asyncio.Task[Any]):
    """A task whose hash is a number, so that sets of tasks have the same order in every run of a seed."""

    numbers = count()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.number = next(self.numbers)
        super().__init__(*args, **kwargs)

    def __hash__(self) -> int:
        return self.number


class NothingToDo(Exception):  # noqa: N818 - a state of the simulation
    """No callback is ready and no timer is set, so the awaited result never comes."""


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop. `connect` opens a connection of the current process and returns its transport."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self.world = Process("world")
        self.processes: list[Process] = [self.world]
        self.dead: list[Process] = []
        self.connect: Callable[[Process, Callable[[], asyncio.BaseProtocol]], Any] | None = None
        self._now = 0.0
        self._random = random
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = count()
        self.set_task_factory(lambda loop, coroutine, **options: NumberedTask(coroutine, loop=loop, **options))

    def start_process(self, name: str) -> Process:
        process = Process(name)
        self.processes.append(process)
        return process

    # -- what asyncio asks of a loop -------------------------------------------------------------------------------

    def time(self) -> float:
        return self._now

    def call_soon(self, callback: Any, *args: Any, context: contextvars.Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._owner_of(handle).ready.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def call_later(
        self, delay: float, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    async def create_connection(self, protocol_factory: Any, *_: Any, **__: Any) -> Any:
        assert self.connect is not None
        return await self.connect(CURRENT.get(), protocol_factory)

    def _owner_of(self, handle: asyncio.Handle) -> Process:
        return handle._context.get(CURRENT, self.world)

    def _run_once(self) -> None:
        """Run callbacks until the loop is stopped."""
        rounds = 0
        while not self._stopping:
            runnable = [one for one in self.processes if one.ready and not one.is_paused and not one.is_dead]
            if not runnable:
                rounds = 0
                self._advance()
                continue
            rounds += 1
            if rounds > ROUNDS_MAX:
                raise RuntimeError(f"{runnable[0].name} never waits")
            process = runnable[0] if len(runnable) == 1 else self._random.choice(runnable)
            ready = process.ready
            for _ in range(len(ready)):
                handle = ready.popleft()
                if not handle._cancelled:
                    handle._run()
                    if process.is_paused or process.is_dead:
                        break  # the callback did that

    def _advance(self) -> None:
        """Move time to the next timer, and make all timers of that instant ready."""
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if not timers:
            raise NothingToDo
        self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            _, _, timer = heapq.heappop(timers)
            if not timer._cancelled:
                self._owner_of(timer).ready.append(timer)

    def _process_events(self, event_list: Any) -> None:
        """There are no events of a system."""

    def _write_to_self(self) -> None:
        """No other thread wakes this loop."""
