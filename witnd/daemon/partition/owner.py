"""Own one partition: take the lease, fold its log, send its webhooks, release the lease.

`run()` until cancelled or stopped. After losing the lease, or when another daemon should have the partition, it drops
its memory and waits until it may take the lease again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from witnd.daemon.block_watch import Blocked
from witnd.daemon.lease_keeper import LeaseKeeper
from witnd.daemon.partition.blocked import why_blocked
from witnd.daemon.partition.confirmed_steps import ConfirmedSteps
from witnd.daemon.partition.deps import PartitionDeps
from witnd.daemon.partition.losses import Losses
from witnd.daemon.partition.preparation import prepare
from witnd.daemon.partition.safety import pause_while_unsafe
from witnd.daemon.partition.same_data import check_deployment, check_partition
from witnd.daemon.partition.webhooks import relay_of
from witnd.daemon.side_task import SideTask
from witnd.engine.forwarding import Forwarding
from witnd.engine.intake import Intake
from witnd.engine.memory import Memory
from witnd.engine.pipeline import Pipeline
from witnd.engine.poison import Poisons
from witnd.fold.on_hold import Poison
from witnd.fold.partition import Partition
from witnd.notify.relay import Relay
from witnd.store.errors import LostData, only_lost_data
from witnd.store.keys import Keys
from witnd.store.log.forward import ForwardQueue
from witnd.store.log.reader import Log, State
from witnd.store.server.durability import Confirmations
from witnd.store.server.lease import Lease
from witnd.store.server.retry import Retry

# An attempt may take 20 s. One that is cut off is recorded as begun and repeated under the same id.
DELIVERY_GRACE_SECONDS = 5.0
# When another daemon waits for the partition, it must not wait for a slow endpoint.
HANDOVER_GRACE_SECONDS = 0.3

log = structlog.get_logger()


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
        self.lost: LostData | None = None  # why the partition has stopped
        self._shared = shared
        self._clock_watch = shared.watches.of(number)
        self._poison: Poison | None = None  # what ended the last run of the pipeline
        self._poisons = Poisons(number)
        self._retry = Retry(self._verify, shared.clock.monotonic)
        name = f"witnd-{config.daemon.instance}-{number}-confirm"
        self._confirmations = Confirmations(shared.server, self.keys.confirmed, config.redis.durability, name)
        self._steps = ConfirmedSteps(self.keys, self._confirmations, lambda step: shared.journal.note(number, step))
        self._losses = Losses(number, self._steps)
        length_ms = int(config.daemon.lease * 1000)
        lease = Lease(shared.clients.ownership, self.keys, config.daemon.instance, length_ms, shared.clock.now_ms)
        self._lease_keeper = LeaseKeeper(
            f"partition {number}",
            lease,
            self._retry,
            shared.clock,
            seconds=config.daemon.lease,
            standby=self._standby,
            look=self._look,
            assigned="",
        )
        self._store = Log(
            shared.server,
            self.keys,
            shared.shared_keys,
            f"witnd-{config.daemon.instance}-{number}",
            shared.confirm_shared,
        )
        queue = ForwardQueue(shared.clients.deliveries, self.keys, shared.shared_keys)
        self._forwarding = Forwarding(queue, number, self._retry, self._clock_watch.guard)
        self._watcher = Log(shared.server, self.keys, shared.shared_keys, f"witnd-{config.daemon.instance}-watch")

    @property
    def troubles(self) -> list[str]:
        """Why work is blocked at the moment; empty while all is well."""
        found = [] if self.intake is None or self.state != "running" else self.intake.blocks.reasons
        if self._retry.trouble is not None:
            found = [self._retry.trouble, *found]
        if self._steps.trouble is not None and self.state == "running":
            found = [f"steps of partition {self.number} are not confirmed: {self._steps.trouble}", *found]
        if self._retry.paused is not None:
            found = [f"partition {self.number} is paused: {self._retry.paused}", *found]
        if self.lost is not None:
            return [f"partition {self.number} has stopped: {self.lost}"]
        if self.state != "running" and (self._lease_keeper.is_wanted or self.state == "starting"):
            why = f": {self._lease_keeper.waiting_for}" if self._lease_keeper.waiting_for is not None else ""
            found = [f"partition {self.number} is {self.state}{why}", *found]
        return found

    @property
    def is_ours(self) -> bool:
        """Whether it runs here, or has stopped here."""
        return self.state == "running" or self.lost is not None

    @property
    def blocked(self) -> Blocked | None:
        return why_blocked(self.lost, self.intake, self._retry.paused)

    @property
    def idle(self) -> bool:
        """Return whether the fold is idle."""
        return self.intake is None or self.intake.idle.is_set()

    async def run(self) -> None:
        """Own the partition until stopped. Lost data of this partition stops only this one: see `lost`."""
        try:
            while await self._lease_keeper.take():
                while await self._own():
                    pass  # run again with the same lease, after reading all data again
                await self._lease_keeper.release()
        except Exception as error:
            if (lost := only_lost_data(error)) is None:
                raise
            # A loss of everything ends the daemon. An outage must not release the lease.
            await self._retry.call("checking the deployment", self._verify_deployment)
            self.lost = lost
            log.error("partition.stopped", partition=self.number, reason=lost.reason, remedy=lost.remedy)
            self._set_state("stopped")
            # Another daemon may not know of the loss, so it must not take the partition.
            await self._lease_keeper.hold()
            await self._lease_keeper.release()
        finally:
            self.state = "stopped"
            self._store.close()
            self._watcher.close()
            self._confirmations.close()

    def stop(self) -> None:
        self._lease_keeper.stop()
        if self.pipeline is not None:
            self.pipeline.stop()

    async def release(self) -> None:
        await self._lease_keeper.release()

    @property
    def epoch(self) -> int | None:
        return self._lease_keeper.epoch

    def assign(self, instance: str) -> None:
        """Set which daemon should have the partition. If it is another one, this daemon gives it up."""
        self._lease_keeper.assign(instance)
        if not self._lease_keeper.is_wanted and self.pipeline is not None:
            self.pipeline.stop()

    async def _look(self) -> None:
        """While waiting for the lease, read the clock and the owner's last step, so that this daemon detects lost data
        as the owner does."""
        await self._clock_watch.sample()
        state, confirmed = await self._watcher.state(), None
        self._shared.journal.check(self.number, state.sequence)
        if self._confirmations.is_needed:
            confirmed = await self._watcher.confirmed_step()
        self._shared.journal.note(self.number, state.sequence if confirmed is None else min(confirmed, state.sequence))

    def _standby(self, owner: str) -> None:
        log.info("partition.standby", partition=self.number, owner=owner)
        self._set_state("standby")

    async def _own(self) -> bool:
        """Run the partition while this daemon has the lease. Return True to run it again with the same lease."""
        shared = self._shared
        await self._retry.call("looking at the data", self._verify)
        state = await self._retry.call("reading the state", self._store.state)
        shared.journal.check(self.number, state.sequence)
        self._steps.begin(state.sequence)
        try:
            async with asyncio.TaskGroup() as group:
                # Loading may take longer than the lease.
                renewing = group.create_task(self._lease_keeper.renew())
                pipeline, relay = await self._load(state)
                await self._run(group, pipeline, relay)
                renewing.cancel()
        except BaseExceptionGroup as failed:
            # The next run checks Redis itself.
            self._retry.paused = None
            self._poison = poison = self._poisons.extract(failed)
            sequence = state.sequence if self.pipeline is None else self.pipeline.sequence
            is_undone = poison is None and self._losses.is_undone(failed, sequence)
            if poison is None and not is_undone:
                await self._lease_keeper.handle_loss(failed)
            self._set_state("starting")
            return poison is not None or is_undone
        finally:
            self.sides = []
            self._store.close()
            self.pipeline = self.intake = self.memory = self.relay = None
        return False

    async def _load(self, state: State) -> tuple[Pipeline, Relay]:
        """Load the partition, and create what processes it."""
        config, shared = self._shared.config, self._shared
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
        open_outcomes, check = await prepare(memory, state, self.number, poison, self._lease_keeper.fence)
        confirmed = self._confirmed if self._steps.is_needed or shared.keeper.is_kept else None
        self.relay = relay = relay_of(shared, self.keys, self._lease_keeper.fence, confirmed)
        self.intake = intake = Intake(
            memory, batch_max=config.daemon.batch, guard=self._clock_watch.guard, clock=shared.clock
        )
        self.pipeline = pipeline = Pipeline(
            memory,
            intake,
            fence=self._lease_keeper.fence,
            sequence=state.sequence,
            actors_max=config.daemon.actors_in_memory,
            on_commit=self._steps.add,
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
        if not self._lease_keeper.is_wanted:
            pipeline.stop()
        self.sides = [
            self._side("webhooks", relay.run),
            self._side("health checks", partial(pause_while_unsafe, self._watcher, self._retry, self.number, shared)),
            self._side("retries", intake.retries.run),
            self._side("deadline checks", check.run),
            self._side("forwarding", self._forwarding.run),
            *([self._side("confirmation of steps", self._steps.run)] if self._steps.is_needed else []),
        ]
        return pipeline, relay

    async def _run(self, group: asyncio.TaskGroup, pipeline: Pipeline, relay: Relay) -> None:
        """Run the pipeline until it is stopped, and the side tasks beside it."""
        beside = [group.create_task(one.run()) for one in self.sides]
        await group.create_task(pipeline.run())
        is_awaited = self._shared.has_others()
        left = await relay.stop(HANDOVER_GRACE_SECONDS if is_awaited else DELIVERY_GRACE_SECONDS)
        if left:
            log.warning("deliveries.interrupted", count=len(left), partition=self.number)
        for task in beside:
            task.cancel()

    def _side(self, kind: str, work: Callable[[], Awaitable[None]]) -> SideTask:
        return SideTask(f"{kind} of partition {self.number}", work, kind=kind)

    async def _verify(self) -> None:
        """Check that Redis has the same data after an outage."""
        shared = self._shared
        await self._verify_deployment()
        pipeline, intake = self.pipeline, self.intake
        if pipeline is not None and intake is not None and self.state == "running":
            await check_partition(self._store, self.number, pipeline.sequence, shared.catalogue, intake)

    async def _verify_deployment(self) -> None:
        shared = self._shared
        await check_deployment(
            self._store, shared.clients.ownership, shared.shared_keys, shared.deployment, shared.config
        )

    async def _confirmed(self, step: int) -> None:
        """Wait until a step is confirmed, and in the journal."""
        await self._steps.wait_for(step)
        await self._shared.keeper.on_disk(self.number, step)

    def _set_state(self, state: str) -> None:
        self.state = state
        self._shared.changed()
