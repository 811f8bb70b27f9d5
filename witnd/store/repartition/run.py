"""Multiplies the partitions of a stopped deployment: `witnd repartition`.

Outcomes of partition P move to P, P + N, P + 2·N … of k·N partitions. The command works per partition: it writes to a
new partition, then removes from the old one. It can be killed at any point; the same command then continues, and until
it has finished, no daemon starts.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Final, cast

from msgspec import Struct
from redis.asyncio import Redis

from witnd.settings import Durability
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.meta import Meta, begin_repartition, finish_repartition, recorded_meta
from witnd.store.partition.deadline_index import literal
from witnd.store.query.reads import open_reads
from witnd.store.records.log_snapshot import text_of
from witnd.store.repartition.checks import check_count, check_logs, check_unused, early_events
from witnd.store.repartition.counts import split_counters
from witnd.store.repartition.deliveries import move_deliveries
from witnd.store.repartition.leases import Leases
from witnd.store.repartition.mover import BATCH, Mover
from witnd.store.repartition.outcomes import key_starts, move_indexes, move_keys, move_members, move_waiting_fates
from witnd.store.repartition.slot import NAME, Slot, Wires
from witnd.store.repartition.tail import forward_tail
from witnd.store.server.connection import Endpoint, redis_errors
from witnd.store.server.durability import confirm_once
from witnd.store.server.scripts import Script

_PREPARE_LOG: Final = Script("repartition/prepare_log")

Progress = Callable[[str], None]


class Deployment(Struct, frozen=True, kw_only=True):
    """The deployment to repartition, and how to reach it. `now_ms` is this host's clock."""

    client: Redis
    server: Endpoint
    prefix: str
    durability: Durability
    lease_ms: int
    now_ms: Callable[[], int]


class Repartitioned(Struct, frozen=True, kw_only=True):
    """The result. `forwarded`: events that arrived meanwhile and were forwarded. `left`: damaged keys that were
    not moved."""

    before: int
    partitions: int
    done: bool
    forwarded: int = 0
    left: list[str] = []


async def check(deployment: Deployment, wanted: int) -> Meta | None:
    """Check that a repartition can begin, or continue. Return the record of the deployment, or None if no daemon ever
    ran. Raises `ConfigError` or `Unsafe`."""
    meta = await recorded_meta(deployment.client, GlobalKeys(deployment.prefix), 1)
    if meta is None:
        return None
    check_count(meta, wanted)
    if meta.repartitioning is None and wanted != meta.partitions:
        keys = [Keys(deployment.prefix, number) for number in range(wanted)]
        async with open_reads(deployment.server) as reads:
            await check_logs(reads, keys[: meta.partitions])
            await check_unused(reads, keys[meta.partitions :])
    return meta


async def repartition(
    deployment: Deployment, wanted: int, progress: Progress, note: Callable[[int], Awaitable[None]]
) -> Repartitioned:
    """Move all outcomes to `wanted` partitions, or continue. `note` is called with the old number before the first
    write. No daemon may run. Raises `ConfigError` or `Unsafe`; if it had not begun, nothing is written."""
    leases = Leases(deployment.client, deployment.prefix, wanted, deployment.lease_ms, deployment.now_ms)
    wires = Wires(deployment.server, deployment.durability)
    try:
        async with leases.held():
            meta = await check(deployment, wanted)
            if meta is None or wanted == meta.partitions:
                return Repartitioned(before=wanted, partitions=wanted, done=False)
            if meta.repartitioning is None:
                await note(meta.partitions)
            return await _Run(deployment, meta, wanted, leases, wires, progress).run()
    finally:
        wires.close()


class _Run:
    """One run of the command, with all leases held."""

    def __init__(
        self, deployment: Deployment, meta: Meta, wanted: int, leases: Leases, wires: Wires, progress: Progress
    ) -> None:
        self._deployment = deployment
        self._shared = GlobalKeys(deployment.prefix)
        self._before, self._wanted = meta.partitions, wanted
        self._wires = wires
        self._progress = progress
        self._slots = [Slot(wires, Keys(deployment.prefix, number), leases.of(number)) for number in range(wanted)]
        self._movers = [
            Mover(wires, source, self._targets(source), wanted) for source in self._slots[: meta.partitions]
        ]

    def _targets(self, source: Slot) -> Mapping[int, Slot]:
        return {slot.number: slot for slot in self._slots[source.number + self._before :: self._before]}

    async def run(self) -> Repartitioned:
        deployment = self._deployment
        for slot in self._slots:
            await slot.open()
        await self._prepare_new_logs()
        await begin_repartition(deployment.client, self._shared, self._wanted)
        for mover in self._movers:
            await self._begin(mover)
        for mover in self._movers:
            self._progress(f"partition {mover.source.number}: lists and deliveries")
            await move_indexes(mover)
            await move_waiting_fates(mover)
            await move_deliveries(mover)
        left = await self._move_keys()
        forwarded = 0
        for mover in self._movers:
            self._progress(f"partition {mover.source.number}: counters")
            if all(number != self._before for number, _ in mover.source.lineage.earlier):
                await split_counters(mover, self._before)
            forwarded += await forward_tail(
                deployment.client, mover.source, mover.targets, self._wanted, self._before, deployment.now_ms()
            )
        await self._confirm_all()
        await finish_repartition(deployment.client, self._shared, self._wanted)
        await self._confirm_all()
        return Repartitioned(before=self._before, partitions=self._wanted, done=True, forwarded=forwarded, left=left)

    async def _confirm_all(self) -> None:
        """Wait until all writes so far are safe, also those over other connections."""
        deployment = self._deployment
        await self._wires.confirm([slot.keys.state for slot in self._slots])
        await confirm_once(deployment.server, self._shared.confirmed, deployment.durability, NAME)

    async def _prepare_new_logs(self) -> None:
        """Prepare the logs of new partitions, before anything else is written."""
        for mover in self._movers:
            for target in mover.targets.values():
                with redis_errors():
                    answer = await _PREPARE_LOG.run(
                        self._deployment.client, [target.keys.events], [text_of(mover.source.cursor)]
                    )
                if answer:
                    raise early_events(target.keys, cast(bytes, answer).decode())

    async def _begin(self, mover: Mover) -> None:
        await mover.source.begin_old()
        for target in mover.targets.values():
            if not target.lineage.origins:
                await target.begin_new(mover.source)

    async def _move_keys(self) -> list[str]:
        """Move the keys of Redis that have an outcome key or a customer in their name. One scan finds those of all
        partitions."""
        waiting: dict[int, list[tuple[bytes, int]]] = {}
        left: list[str] = []
        looked_at = 0
        async with aclosing(self._scan()) as names:
            async for name in names:
                looked_at += 1
                if looked_at % 10_000 == 0:
                    self._progress(f"{looked_at} keys")
                number = _partition_in(name, self._deployment.prefix)
                if number is None or number >= self._before:
                    continue
                mover = self._movers[number]
                if name.startswith(mover.source.keys.of_customer("").encode()):
                    await move_members(mover, name.decode())
                    continue
                target = _target_of_name(mover, name)
                if target is None:
                    continue
                batch = waiting.setdefault(number, [])
                batch.append((name, target))
                if len(batch) == BATCH:
                    left += await move_keys(mover, batch)
                    batch.clear()
        for number, batch in waiting.items():
            left += await move_keys(self._movers[number], batch)
        return left

    async def _scan(self) -> AsyncGenerator[bytes]:
        """Iterate over all keys of the old partitions. A key may appear twice."""
        start = f"{literal(self._deployment.prefix)}:{{"
        # In a cluster, each partition may be on another primary.
        patterns = (
            [f"{start}{number}}}:*" for number in range(self._before)] if self._wires.is_cluster else [f"{start}*"]
        )
        for pattern in patterns:
            async with aclosing(self._scan_pattern(pattern)) as names:
                async for name in names:
                    yield name

    async def _scan_pattern(self, pattern: str) -> AsyncGenerator[bytes]:
        cursor = "0"
        while True:
            [(after, names)] = await self._wires.ask(("SCAN", cursor, "MATCH", pattern, "COUNT", 1000))
            for name in names:
                yield name
            cursor = after.decode()
            if cursor == "0":
                return


def _partition_in(name: bytes, prefix: str) -> int | None:
    """Return the partition in the name of a key, or None for a shared key."""
    number, brace, _ = name.removeprefix(f"{prefix}:{{".encode()).partition(b"}")
    return int(number) if brace and number.isdigit() else None


def _target_of_name(mover: Mover, name: bytes) -> int | None:
    """Return the partition to which a key moves, or None if it stays."""
    for start in key_starts(mover):
        if name.startswith(start):
            return mover.target_of(name.removeprefix(start))
    return None
