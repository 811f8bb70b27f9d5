"""The relay: takes committed deliveries of one partition to their endpoints until they are done.

Each rule has a lane of its own, so a slow endpoint fills its own lane and nobody else's. Nothing
polls: the pipeline calls `poke` after a commit, commands of other processes are heard through the
store, and everything is looked through at the start and after a lost connection.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import structlog

from witnd.domain.webhooks.notification import SCHEDULE
from witnd.notify.backoff import Patience
from witnd.notify.lane import Endpoint, Lane, Means, OnDisk, Send, Work
from witnd.notify.queueing import Queueing
from witnd.notify.slots import Calls, Slots
from witnd.store.deliveries.outbox import Outbox
from witnd.store.errors import Fenced, StoreRefused, StoreUnavailable

__all__ = ["Endpoint", "Relay", "Send"]

log = structlog.get_logger()


class Relay:
    """`run()` until stopped or cancelled. Raises `Fenced` when the partition has another owner.

    `send` makes one attempt and never raises; `endpoint` answers None for a rule that is not in
    force. The relays of one process share `slots`, the bounds on attempts at a time, and `calls`, the bounds on
    calls to Redis. `on_disk` waits until a step of the partition is in the journal; None where no journal is kept.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        send: Send,
        endpoint: Callable[[str], Endpoint | None],
        now_ms: Callable[[], int],
        random: Callable[[], float],
        schedule: Sequence[int] = SCHEDULE,
        slots: Slots | None = None,
        calls: Calls | None = None,
        on_disk: OnDisk | None = None,
    ) -> None:
        self._outbox = outbox
        self._random = random
        self._means = Means(
            outbox=outbox,
            send=send,
            endpoint=endpoint,
            now_ms=now_ms,
            random=random,
            schedule=schedule,
            slots=slots or Slots(),
            calls=calls or Calls(),
            retry=Patience("relay.store", random),
            begin=self._begin,
            on_disk=on_disk,
        )
        self._lanes: dict[str, tuple[Lane, asyncio.Task[None]]] = {}
        # While this is None nothing new is started.
        self._tasks: asyncio.TaskGroup | None = None
        self._end = asyncio.Event()
        self._queueing = Queueing(self._means, self.poke)
        #: set once everything that waited in the outbox has been looked at
        self.ready = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Relay lanes={len(self._lanes)} in_flight={len(self._flying())}>"

    async def run(self) -> None:
        if self._end.is_set():
            return
        self._lanes.clear()  # of a run that ended with an error
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                beside = [tasks.create_task(self._owned(work)) for work in (self._listen, self._queueing.run)]
                try:
                    await self._end.wait()
                finally:
                    self._tasks = None
                    for task in beside:
                        task.cancel()
        except BaseExceptionGroup as failures:
            if (fenced := failures.subgroup(Fenced)) is None:
                raise
            raise _first(fenced) from failures

    def poke(self, rule_ids: Iterable[str]) -> None:
        """These rules have something to send. Cheap, and harmless when they have not."""
        for rule_id in rule_ids:
            if rule_id in self._lanes:
                self._lanes[rule_id][0].wake.set()
            else:
                self._open(rule_id)  # or not, before the start, which looks through everything

    def queue(self, outcome_keys: Iterable[str]) -> None:
        """These outcomes have deliveries that are committed and not queued yet."""
        self._queueing.add(outcome_keys)

    async def stop(self, grace_seconds: float) -> tuple[str, ...]:
        """Take no more rows and let attempts under way finish; the ids of those that did not.

        They are on record as begun, so the next owner sends them again, under the same ids.
        """
        self._tasks = None
        for _, task in self._lanes.values():
            task.cancel()
        if flying := self._flying():
            await asyncio.wait(flying.values(), timeout=grace_seconds)
        left = self._flying()
        for attempt in left.values():
            attempt.cancel()
        self._end.set()
        log.info("relay.stopped", interrupted=list(left))
        return tuple(left)

    def _flying(self) -> "dict[str, asyncio.Task[None]]":
        return {id_: attempt for lane, _ in self._lanes.values() for id_, attempt in lane.flying.items()}

    def _open(self, rule_id: str) -> None:
        lane = Lane(rule_id, self._means)
        task = self._begin(partial(lane.serve, partial(self._close, rule_id)))
        if task is not None:
            self._lanes[rule_id] = (lane, task)

    def _close(self, rule_id: str) -> None:
        del self._lanes[rule_id]

    def _begin(self, work: Work) -> "asyncio.Task[None] | None":
        return None if self._tasks is None else self._tasks.create_task(self._owned(work))

    async def _owned(self, work: Work) -> None:
        try:
            await work()
        except Exception:
            self._tasks = None  # the group is about to end, and must not grow meanwhile
            raise

    async def _listen(self) -> None:
        retry = Patience("relay.calls", self._random)
        failures = 0
        while True:
            try:
                async with self._outbox.calls() as calls:
                    self._queueing.look()
                    self.poke(await self._outbox.rules())
                    retry.over()
                    failures = 0
                    self.ready.set()
                    async for rule_id in calls:
                        self.poke([rule_id])
            except (StoreUnavailable, StoreRefused) as error:
                await retry.wait(error, failures)
                failures += 1


def _first(group: BaseExceptionGroup[Fenced]) -> Fenced:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return Fenced(*error.args)
