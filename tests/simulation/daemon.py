"""A simulated host and its daemon: the real parts of `witnd.daemon.assembly`, without HTTP, billing and webhooks."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from tests.simulation.loop import Process, VirtualLoop
from tests.simulation.network import Network
from tests.simulation.server import START_MS
from witnd.clock import Clock
from witnd.config import Config, DaemonConfig, RedisConfig
from witnd.daemon.partition.deps import PartitionDeps
from witnd.daemon.partition.owner import Owner
from witnd.daemon.sharing.sharing import Sharing
from witnd.daemon.side_task import SideTask
from witnd.daemon.supervision import run_together
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.notify.relay import Relay
from witnd.notify.slots import CallLimits
from witnd.store.catalogue.versions import CatalogueStore
from witnd.store.clock.watches import ClockWatches
from witnd.store.daemons.registry import Registry
from witnd.store.errors import StoreRefused, StoreUnavailable
from witnd.store.journal.journal import Journal, Record
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.meta import read_meta
from witnd.store.server.clients import open_clients
from witnd.store.server.connection import endpoint
from witnd.store.server.durability import Confirmations

SERVER = endpoint("redis://store:6379")
JOURNAL_SECONDS = 0.5
START_RETRY_SECONDS = 0.5


class VirtualClock(Clock):
    """The clocks of a host. They start at another instant on each host; `wall_offset_ms` is how far the wall clock is
    wrong."""

    def __init__(self, loop: VirtualLoop, boot_offset: float) -> None:
        self._loop = loop
        self._boot_offset = boot_offset
        self.wall_offset_ms = 0

    def now_ms(self) -> int:
        return START_MS + int(self._loop.time() * 1000) + self.wall_offset_ms

    def monotonic(self) -> float:
        return self._loop.time() + self._boot_offset

    def boot_ms(self) -> int:
        return int(self.monotonic() * 1000)


class DiskJournal(Journal):
    """A journal whose file is an attribute of its host."""

    def __init__(self, host: "Host") -> None:
        super().__init__(Path("/nowhere"), "witn")
        self._host = host

    def _read(self) -> Record | None:
        return None if self._host.disk is None else msgspec.json.decode(self._host.disk, type=Record)

    def write(self) -> None:
        if self._record is not None:
            self._written = self._record.copy()
            self._host.disk = msgspec.json.encode(self._written)


class SilentRelay:
    """Sends no webhooks. The rows of deliveries are written by the real commit."""

    def __init__(self) -> None:
        self._end = asyncio.Event()

    async def run(self) -> None:
        await self._end.wait()

    def wake_lanes(self, rule_ids: Iterable[str]) -> None:
        """Nothing waits for deliveries."""

    def queue(self, outcome_keys: Iterable[str]) -> None:
        raise AssertionError("no rule set is large enough for this")

    async def stop(self, grace_seconds: float) -> tuple[str, ...]:
        self._end.set()
        return ()


def silent_relay(*_: object) -> Relay:
    """Stand in for `relay_of`."""
    return cast("Relay", SilentRelay())


class Host:
    """A machine with a clock, a disk for the journal, and at most one daemon."""

    def __init__(self, name: str, network: Network, config: Config, boot_offset: float) -> None:
        self.name = name
        self.disk: bytes | None = None
        self.clock = VirtualClock(network.loop, boot_offset)
        self.process: Process | None = None
        self.daemon: Daemon | None = None
        self.task: asyncio.Task[None] | None = None
        self._network = network
        self._config = msgspec.structs.replace(config, daemon=msgspec.structs.replace(config.daemon, instance=name))

    @property
    def is_up(self) -> bool:
        return self.task is not None and not self.task.done()

    def start(self) -> None:
        assert not self.is_up
        loop = self._network.loop
        self.process = process = loop.start_process(self.name)
        self.daemon = daemon = Daemon(self, self._config)
        self._network.trace(f"{self.name} started")
        self.task = process.context.run(loop.create_task, daemon.run())

    def crash(self) -> None:
        """End the process at once. Nothing of it runs any more, and the system closes its connections."""
        assert self.process is not None
        self._network.trace(f"{self.name} crashed")
        self.process.is_dead = True
        loop = self._network.loop
        loop.processes.remove(self.process)
        loop.dead.append(self.process)
        self._network.cut(self.process)
        self.task = self.daemon = None

    def stop(self) -> None:
        """Ask the daemon to end in order, as SIGTERM does."""
        self._network.trace(f"{self.name} stopping")
        assert self.process is not None
        assert self.daemon is not None
        self._network.loop.call_soon(self.daemon.stop, context=self.process.context)

    @property
    def running(self) -> list[int]:
        """Return the partitions that the daemon runs."""
        owners = [] if self.daemon is None else self.daemon.owners
        return [owner.number for owner in owners if owner.state == "running" and owner.epoch is not None]


class Daemon:
    """Mirrors the run, the stop and the end after lost data in the assembly, for partitions and their sharing."""

    def __init__(self, host: Host, config: Config) -> None:
        self.owners: list[Owner] = []
        self.sharing: Sharing | None = None
        self._host = host
        self._config = config
        self._all_lost = asyncio.Event()
        self.is_stopping = False

    async def run(self) -> None:
        config, host = self._config, self._host
        keys, clock, journal = GlobalKeys(config.redis.prefix), host.clock, DiskJournal(host)
        async with open_clients(SERVER, config.redis.partitions) as clients:
            meta = await retried(lambda: read_meta(clients.ownership, keys, config.redis.partitions))
            assert meta is not None
            journal.open(meta.deployment)
            journal.begin(meta.deployment)
            catalogue = Catalogue()
            store = CatalogueStore(clients.ownership, keys, config.redis.partitions)
            await retried(lambda: store.load(catalogue))
            logs = [Keys(config.redis.prefix, number) for number in range(config.redis.partitions)]
            name = config.daemon.instance
            watches = ClockWatches(SERVER, keys, logs, clock, journal.clock, name, journal.note_clock)
            shared_writes = Confirmations(SERVER, keys.confirmed, config.redis.durability, name)
            shared = PartitionDeps(
                config=config,
                server=SERVER,
                clients=clients,
                shared_keys=keys,
                deployment=meta.deployment,
                catalogue=catalogue,
                journal=journal,
                keeper=cast("Any", SimpleNamespace(is_kept=False)),
                clock=clock,
                watches=watches,
                send=cast("Any", None),
                slots=cast("Any", None),
                calls=CallLimits(),
                changed=self._on_change,
                confirm_shared=shared_writes.confirm,
                has_others=lambda: self.sharing is not None and self.sharing.has_others,
            )
            self.owners = [Owner(shared, number) for number in range(config.redis.partitions)]
            registry = Registry(clients.ownership, keys, config.daemon.instance)
            self.sharing = Sharing(registry, self.owners, clock, config.daemon.lease)
            if self.is_stopping:
                self.stop()
            await self._serve(
                [
                    SideTask("lost data", self._watch_losses),
                    SideTask("sharing of partitions", self.sharing.run),
                    SideTask("clock", watches.run),
                    SideTask("journal", lambda: keep(journal)),
                ]
            )

    async def _serve(self, sides: list[SideTask]) -> None:
        try:
            await run_together([owner.supervised.run() for owner in self.owners], [side.run() for side in sides])
            self._raise_loss()
        finally:
            for owner in self.owners:
                await owner.release()
            assert self.sharing is not None
            with suppress(StoreUnavailable, StoreRefused):
                await self.sharing.leave()

    def _on_change(self) -> None:
        if all(owner.lost for owner in self.owners):
            self._all_lost.set()

    async def _watch_losses(self) -> None:
        await self._all_lost.wait()
        self._raise_loss()

    def _raise_loss(self) -> None:
        for owner in self.owners:
            if owner.lost is not None:
                raise owner.lost

    def stop(self) -> None:
        self.is_stopping = True
        if self.sharing is not None:
            self.sharing.stop()
        for owner in self.owners:
            owner.stop()


async def retried(call: Any) -> Any:
    """Return the result of a call, as `gate.wait_for_server` does without its limit of time."""
    while True:
        with suppress(StoreUnavailable, StoreRefused):
            return await call()
        await asyncio.sleep(START_RETRY_SECONDS)


async def keep(journal: Journal) -> None:
    """Write the journal, as `JournalKeeper` does without its thread."""
    while True:
        journal.write()
        await asyncio.sleep(JOURNAL_SECONDS)


def configuration(partitions: int, lease: float, settings: Mapping[str, int]) -> Config:
    return Config(
        redis=RedisConfig(partitions=partitions),
        daemon=DaemonConfig(lease=lease, **settings),
    )
