"""Own one partition: take the lease, fold its log, send its webhooks, release the lease.

`run()` until cancelled or stopped. After losing the lease, it drops its memory, waits for the lease again and reloads.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from random import random

import structlog
from msgspec import Struct

from witnd.clock import Clock
from witnd.config import Config
from witnd.daemon.endpoints import Endpoints
from witnd.daemon.journal_keeper import JournalKeeper
from witnd.daemon.lease_keeper import LeaseKeeper
from witnd.daemon.preparation import prepare
from witnd.daemon.side_task import SideTask
from witnd.daemon.side_tasks import side_tasks
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.engine.forwarding import Forwarding
from witnd.engine.intake import Intake
from witnd.engine.memory import Memory
from witnd.engine.pipeline import Pipeline
from witnd.engine.poison import Poisons
from witnd.fold.on_hold import Poison
from witnd.fold.partition import Partition
from witnd.notify.relay import Relay, Send
from witnd.notify.slots import CallLimits, Slots
from witnd.store.catalogue.loader import check_head
from witnd.store.clock.watch import ClockWatch
from witnd.store.deliveries.outbox import Outbox
from witnd.store.errors import Displaced, LostData, StoreRefused, StoreUnavailable
from witnd.store.journal.journal import Journal
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.log.forward import ForwardQueue
from witnd.store.log.reader import Log
from witnd.store.meta import read_meta
from witnd.store.records.log_snapshot import check_snapshot
from witnd.store.server.clients import Clients
from witnd.store.server.connection import Endpoint
from witnd.store.server.lease import Lease
from witnd.store.server.retry import Retry
from witnd.store.server.safety import problems, read_health

# An attempt may take 20 s. One that is cut off is recorded as begun and repeated under the same id.
DELIVERY_GRACE_SECONDS = 5.0
WATCH_SECONDS = 2.0

log = structlog.get_logger()


class PartitionDeps(Struct, frozen=True, kw_only=True):
    """The dependencies that all partitions of a daemon share."""

    config: Config
    server: Endpoint
    clients: Clients
    shared_keys: GlobalKeys
    deployment: str
    catalogue: Catalogue
    journal: Journal
    keeper: JournalKeeper
    clock: Clock
    watch: ClockWatch
    send: Send
    slots: Slots
    calls: CallLimits
    changed: Callable[[], None]


class Owner:
    """One partition of one daemon."""

    def __init__(self, shared: PartitionDeps, number: int) -> None:
        config = shared.config
        self.number = number
        self.keys = Keys(config.redis.prefix, number)
        self.state = "starting"  # starting | standby | running | stopped, for people
        self.pipeline: Pipeline | None = None
        self.intake: Intake | None = None
        self.memory: Memory | None = None
        self.relay: Relay | None = None
        self.supervised = SideTask(f"partition {number}", self.run, self.release, kind="partition")
        self.sides: list[SideTask] = []  # tasks that must not end the partition
        self._shared = shared
        self._poison: Poison | None = None  # what ended the last run of the pipeline
        self._poisons = Poisons(number)
        self._retry = Retry(self._verify, shared.clock.monotonic)
        self._lease_keeper = LeaseKeeper(
            f"partition {number}",
            Lease(
                shared.clients.ownership,
                self.keys,
                config.daemon.instance,
                int(config.daemon.lease * 1000),
                shared.clock.now_ms,
            ),
            self._retry,
            shared.clock,
            seconds=config.daemon.lease,
            standby=self._standby,
            look=self._look,
        )
        self._store = Log(shared.server, self.keys, shared.shared_keys, f"witnd-{config.daemon.instance}-{number}")
        queue = ForwardQueue(shared.clients.deliveries, self.keys, shared.shared_keys)
        self._forwarding = Forwarding(queue, number, self._retry, shared.watch.guard)
        self._watcher = Log(shared.server, self.keys, shared.shared_keys, f"witnd-{config.daemon.instance}-watch")

    @property
    def troubles(self) -> list[str]:
        """Why work is blocked at the moment; empty while all is well."""
        found = [] if self.intake is None or self.state != "running" else self.intake.blocks.reasons
        if self._retry.trouble is not None:
            found = [self._retry.trouble, *found]
        if self._retry.paused is not None:
            found = [f"partition {self.number} is paused: {self._retry.paused}", *found]
        if self.state != "running":
            why = f": {self._lease_keeper.waiting_for}" if self._lease_keeper.waiting_for is not None else ""
            found = [f"partition {self.number} is {self.state}{why}", *found]
        return found

    @property
    def idle(self) -> bool:
        """Return whether the fold is idle."""
        return self.intake is None or self.intake.idle.is_set()

    async def run(self) -> None:
        try:
            while await self._lease_keeper.take():
                while await self._own():
                    pass  # with the same lease, and all data read again
        finally:
            self.state = "stopped"
            self._store.close()
            self._watcher.close()

    def stop(self) -> None:
        self._lease_keeper.stop()
        if self.pipeline is not None:
            self.pipeline.stop()

    async def release(self) -> None:
        await self._lease_keeper.release()

    async def _look(self) -> None:
        """While waiting for the lease, read the clock and the owner's last step, so that this daemon detects lost data
        as the owner does."""
        await self._shared.watch.sample()
        state = await self._watcher.state()
        self._shared.journal.check(self.number, state.sequence)
        self._shared.journal.note(self.number, state.sequence)

    def _standby(self, owner: str) -> None:
        log.info("partition.standby", partition=self.number, owner=owner)
        self._set_state("standby")

    async def _own(self) -> bool:
        """Run the partition while this daemon has the lease. Return True to run it again with the same lease."""
        config, shared = self._shared.config, self._shared
        await self._retry.call("looking at the data", self._verify)
        state = await self._retry.call("reading the state", self._store.state)
        shared.journal.check(self.number, state.sequence)
        shared.journal.note(self.number, state.sequence)
        partition = Partition(
            shared.catalogue,
            partition=self.number,
            partitions=config.redis.partitions,
            earlier=state.earlier,
            cursor=state.cursor,
            read=state.read,
            lines=state.lines,
            counters=state.counters,
        )
        self.memory = memory = Memory(self._store, partition, self._retry)
        poison, self._poison = self._poison, None
        open_outcomes, check = await prepare(memory, state, self.number, poison)
        self.relay = relay = self._relay()
        batch_max = config.daemon.batch
        self.intake = intake = Intake(memory, batch_max=batch_max, guard=shared.watch.guard, clock=shared.clock)
        self.pipeline = pipeline = Pipeline(
            memory,
            intake,
            fence=self._lease_keeper.fence,
            sequence=state.sequence,
            actors_max=config.daemon.actors_in_memory,
            on_commit=lambda sequence: shared.journal.note(self.number, sequence),
            on_queued=relay.wake_lanes,
            on_unqueued=relay.queue,
            on_forwards=self._forwarding.wake,
        )
        log.info(
            "partition.running",
            partition=self.number,
            cursor=f"{state.cursor[0]}-{state.cursor[1]}",
            open=open_outcomes,
            lease=self._lease_keeper.fence.partition(":")[0],
        )
        self._set_state("running")
        if self._lease_keeper.stopping:
            pipeline.stop()
        self.sides = sides = side_tasks(self.number, relay, self._watch, intake.retries, check, self._forwarding)
        try:
            async with asyncio.TaskGroup() as group:
                renewing = group.create_task(self._lease_keeper.renew())
                relaying, *beside = [group.create_task(one.run()) for one in sides]
                await group.create_task(pipeline.run())
                if left := await relay.stop(DELIVERY_GRACE_SECONDS):
                    log.warning("deliveries.interrupted", count=len(left), partition=self.number)
                for task in (renewing, relaying, *beside):
                    task.cancel()
        except BaseExceptionGroup as failed:
            # The next run checks Redis itself.
            self._retry.paused = None
            self._poison = poison = self._poisons.extract(failed)
            if poison is None:
                await self._lease_keeper.handle_loss(failed)
            self._set_state("starting")
            return poison is not None
        finally:
            self.sides = []
            self._store.close()
        return False

    async def _watch(self) -> None:
        """Pause while Redis is not safe to bill from."""
        while True:
            await self._shared.clock.sleep(WATCH_SECONDS)
            try:
                found = problems(await read_health(self._watcher.ask), self._shared.config.redis.durability)
            except (StoreUnavailable, StoreRefused):
                continue  # the caller that needs Redis waits and logs it
            reason = "; ".join(one.reason for one in found) or None
            if reason != self._retry.paused:
                if reason is None:
                    log.info("partition.resumed", partition=self.number)
                else:
                    remedy = "; ".join(one.remedy for one in found)
                    log.error("partition.paused", partition=self.number, reason=reason, remedy=remedy)
                self._retry.paused = reason

    async def _verify(self) -> None:
        """Check that Redis has the same data after an outage."""
        found = problems(await read_health(self._store.ask), self._shared.config.redis.durability)
        if found:
            raise StoreRefused(found[0].reason, found[0].remedy)
        meta = await read_meta(
            self._shared.clients.ownership, self._shared.shared_keys, self._shared.config.redis.partitions
        )
        if meta is None:
            raise LostData(
                f"Redis lost its data: deployment {self._shared.deployment} is gone",
                "restore the data before witnd is started again",
            )
        if meta.deployment != self._shared.deployment:
            raise Displaced(
                f"Redis has the data of another deployment, {meta.deployment}, in place of {self._shared.deployment}; "
                "find out which of the two is right before you start witnd again"
            )
        if self.pipeline is None or self.intake is None or self.state != "running":
            return
        state = await self._store.state()
        if state.sequence < self.pipeline.sequence:
            raise LostData(
                f"Redis lost data: partition {self.number} is at step {state.sequence}, "
                f"and step {self.pipeline.sequence} was written",
                "restore the data before witnd is started again",
            )
        known = self._shared.catalogue.chain.head
        snapshot, _ = await self._store.snapshot()
        check_head(self._shared.catalogue, known, snapshot.catalogue, snapshot.versions)
        check_snapshot(snapshot, self.intake.read_to, self.intake.read)

    def _relay(self) -> Relay:
        shared = self._shared
        outbox = Outbox(
            shared.clients.deliveries,
            self.keys,
            shared.shared_keys,
            fence=self._lease_keeper.fence,
            channels=shared.clients.channels,
        )
        return Relay(
            outbox,
            send=shared.send,
            endpoint=Endpoints(shared.catalogue, shared.clock.now_ms).of,
            now_ms=shared.clock.now_ms,
            random=random,
            schedule=tuple(int(step * 1000) for step in shared.config.webhooks.schedule),
            slots=shared.slots,
            calls=shared.calls,
            on_disk=partial(shared.keeper.on_disk, self.number) if shared.keeper.is_kept else None,
        )

    def _set_state(self, state: str) -> None:
        self.state = state
        self._shared.changed()
