"""The relay sends the committed deliveries of one partition to their endpoints.

Each rule has its own lane, so a slow endpoint delays only its lane. Nothing polls: the pipeline calls `wake_lanes`
after a commit, commands of other processes arrive through a Redis subscription, and the whole outbox is read at the
start and after a lost connection.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import structlog

from witnd.domain.webhooks.notification import SCHEDULE
from witnd.notify.backoff import Backoff
from witnd.notify.lane import Confirmed, Endpoint, Lane, LaneContext, Send, Work
from witnd.notify.queueing import DeliveryQueuer
from witnd.notify.slots import CallLimits, Slots
from witnd.store.deliveries.outbox import Outbox
from witnd.store.errors import Fenced, StoreRefused, StoreUnavailable

__all__ = ["Endpoint", "Relay", "Send"]

log = structlog.get_logger()


class Relay:
    """Sends deliveries: `run()` until stopped or cancelled. Raises `Fenced` if the partition has another owner.

    `send` makes one attempt and never raises; `endpoint` returns None for a rule that is not in effect. The relays of a
    process share `slots`, the limits of attempts, and `calls`, the limits of calls to Redis. `confirmed` waits until a
    step of the partition is as safe as its durability promises, and in the journal; None if there is nothing to wait
    for.
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
        calls: CallLimits | None = None,
        confirmed: Confirmed | None = None,
    ) -> None:
        self._outbox = outbox
        self._random = random
        self._context = LaneContext(
            outbox=outbox,
            send=send,
            endpoint=endpoint,
            now_ms=now_ms,
            random=random,
            schedule=schedule,
            slots=slots or Slots(),
            calls=calls or CallLimits(),
            backoff=Backoff("relay.store", random),
            start_task=self._start_task,
            confirmed=confirmed,
        )
        self._lanes: dict[str, tuple[Lane, asyncio.Task[None]]] = {}
        # None while no task may start.
        self._tasks: asyncio.TaskGroup | None = None
        self._end = asyncio.Event()
        self._queuer = DeliveryQueuer(self._context, self.wake_lanes)
        #: set after the first read of the outbox
        self.ready = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Relay lanes={len(self._lanes)} in_flight={len(self._in_flight())}>"

    async def run(self) -> None:
        if self._end.is_set():
            return
        self._lanes.clear()  # after a failed run
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                beside = [tasks.create_task(self._run_task(work)) for work in (self._listen, self._queuer.run)]
                try:
                    await self._end.wait()
                finally:
                    self._tasks = None
                    for task in beside:
                        task.cancel()
        except BaseExceptionGroup as failures:
            if (fenced := failures.subgroup(Fenced)) is None:
                raise
            raise _first_error(fenced) from failures

    def wake_lanes(self, rule_ids: Iterable[str]) -> None:
        """Wake the lanes of these rules. Cheap, and harmless without deliveries."""
        for rule_id in rule_ids:
            if rule_id in self._lanes:
                self._lanes[rule_id][0].wake.set()
            else:
                self._open(rule_id)  # no effect before the start, which reads everything

    def queue(self, outcome_keys: Iterable[str]) -> None:
        """Queue the deliveries of outcomes that the commit left to the relay."""
        self._queuer.add(outcome_keys)

    async def stop(self, grace_seconds: float) -> tuple[str, ...]:
        """Stop reading, and wait for running attempts. Return the ids of the unfinished ones.

        These are recorded as started, so the next owner repeats them with the same ids.
        """
        self._tasks = None
        for _, task in self._lanes.values():
            task.cancel()
        if in_flight := self._in_flight():
            await asyncio.wait(in_flight.values(), timeout=grace_seconds)
        left = self._in_flight()
        for attempt in left.values():
            attempt.cancel()
        self._end.set()
        log.info("relay.stopped", interrupted=list(left))
        return tuple(left)

    def _in_flight(self) -> "dict[str, asyncio.Task[None]]":
        return {id_: attempt for lane, _ in self._lanes.values() for id_, attempt in lane.in_flight.items()}

    def _open(self, rule_id: str) -> None:
        lane = Lane(rule_id, self._context)
        task = self._start_task(partial(lane.serve, partial(self._close, rule_id)))
        if task is not None:
            self._lanes[rule_id] = (lane, task)

    def _close(self, rule_id: str) -> None:
        del self._lanes[rule_id]

    def _start_task(self, work: Work) -> "asyncio.Task[None] | None":
        return None if self._tasks is None else self._tasks.create_task(self._run_task(work))

    async def _run_task(self, work: Work) -> None:
        try:
            await work()
        except Exception:
            self._tasks = None  # the task group is ending and must not get new tasks
            raise

    async def _listen(self) -> None:
        backoff = Backoff("relay.subscription", self._random)
        failures = 0
        while True:
            try:
                async with self._outbox.calls() as calls:
                    self._queuer.scan()
                    self.wake_lanes(await self._outbox.rules())
                    backoff.reset()
                    failures = 0
                    self.ready.set()
                    async for rule_id in calls:
                        self.wake_lanes([rule_id])
            except (StoreUnavailable, StoreRefused) as error:
                await backoff.wait(error, failures)
                failures += 1


def _first_error(group: BaseExceptionGroup[Fenced]) -> Fenced:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return Fenced(*error.args)
