"""Build a running daemon from a configuration."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

import structlog

from witnd.app.daemon_services import Health
from witnd.clock import Clock
from witnd.config import Config
from witnd.daemon.billing import Billing
from witnd.daemon.block_watch import BlockWatch
from witnd.daemon.catalogue_keeper import CatalogueKeeper
from witnd.daemon.journal_keeper import JournalKeeper, MarksWatch
from witnd.daemon.metrics import Backlog, collect_samples
from witnd.daemon.partition.deps import PartitionDeps
from witnd.daemon.partition.owner import Owner
from witnd.daemon.process import files, gate
from witnd.daemon.process.garbage import collect
from witnd.daemon.process.systemd import Systemd
from witnd.daemon.services import billing_of, services_of
from witnd.daemon.sharing.sharing import Sharing
from witnd.daemon.side_task import SideTask
from witnd.daemon.supervision import run_together
from witnd.daemon.web import Lag, Web
from witnd.notify.admission import sizes, total_for
from witnd.notify.sender import Sender
from witnd.notify.slots import CallLimits, Slots
from witnd.store.billing_events.blocks import BlockRecord
from witnd.store.catalogue.copy import CatalogueCopy
from witnd.store.catalogue.versions import CatalogueStore
from witnd.store.clock.watches import ClockWatches
from witnd.store.daemons.registry import Registry
from witnd.store.errors import StoreRefused, StoreUnavailable
from witnd.store.journal.journal import Journal
from witnd.store.journal.marks import read_marks
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.log.routed_appender import open_appender
from witnd.store.meta import open_meta, read_meta
from witnd.store.server import embedded
from witnd.store.server.clients import open_clients
from witnd.store.server.connection import Endpoint, endpoint
from witnd.store.server.durability import Confirmations, nothing_to_confirm
from witnd.web.http.metrics import render
from witnd.web.routes import HTML_ERRORS, PAGES, ROUTES

# Outcomes on hold per partition in `/readyz`. The dashboard lists more.
MAX_ON_HOLD_NAMES = 10

log = structlog.get_logger()


class Daemon:
    """The daemon: `run()` until stopped or cancelled. Raises `Displaced`, `Unsafe` or `ConfigError`."""

    def __init__(self, config: Config, systemd: Systemd, *, remember: bool) -> None:
        self._config = config
        self._remember = remember  # whether the state directory survives a restart
        self._systemd = systemd
        self._owners: list[Owner] = []
        self._billing: Billing | None = None
        self._sharing: Sharing | None = None
        self._journal: JournalKeeper | None = None
        self._copy: CatalogueKeeper | None = None
        self._sides = [  # tasks that must not end the daemon
            SideTask("watchdog", self._watch),
            SideTask("lost data", self._watch_losses),
            SideTask("garbage collection", lambda: collect(lambda: all(owner.idle for owner in self._owners))),
        ]
        self._clocks: ClockWatches | None = None
        self._stopping = asyncio.Event()
        self._all_lost = asyncio.Event()  # every partition has stopped, because its data are lost
        self.web: Web | None = None
        self.address: str | None = None  # of the HTTP server, after `answering` is set
        self.answering = asyncio.Event()
        self.ready = asyncio.Event()

    async def run(self, server: Endpoint) -> None:
        config = self._config
        keys = GlobalKeys(config.redis.prefix)
        trust = config.webhooks.tls()
        journal = Journal(config.daemon.state_dir, config.redis.prefix)
        keeper = self._journal = JournalKeeper(journal, is_kept=self._remember)
        async with AsyncExitStack() as stack:
            await gate.check(server, config, self._systemd)
            clients = await stack.enter_async_context(open_clients(server, config.redis.partitions))
            when_ready = partial(gate.wait_for_server, server, self._systemd)
            meta = await when_ready(lambda: read_meta(clients.ownership, keys, config.redis.partitions))
            if self._remember:
                with suppress(OSError):  # the journal's alarm reports it
                    config.daemon.state_dir.mkdir(parents=True, exist_ok=True)
                journal.open(None if meta is None else meta.deployment)
            meta = await when_ready(lambda: open_meta(clients.ownership, keys, config.redis.partitions))
            journal.begin(meta.deployment)
            copy = CatalogueCopy(config.daemon.state_dir, config.redis.prefix)
            copies = self._copy = CatalogueKeeper(copy, is_kept=self._remember)
            store = CatalogueStore(clients.ownership, keys, config.redis.partitions)
            catalogue = await when_ready(lambda: copies.load(meta.deployment, store))
            journal.check_marks(await when_ready(lambda: read_marks(clients.ownership, keys)))
            clock = Clock()
            logs = [Keys(config.redis.prefix, number) for number in range(config.redis.partitions)]
            self._clocks = watches = ClockWatches(
                server, keys, logs, clock, journal.clock, config.daemon.instance, journal.note_clock
            )
            sender = await stack.enter_async_context(
                Sender.open(allow_networks=config.webhooks.allow_networks, now_ms=clock.now_ms, tls=trust)
            )
            name = f"witnd-{config.daemon.instance}-confirm"
            shared_writes = Confirmations(server, keys.confirmed, config.redis.durability, name)
            shared = PartitionDeps(
                config=config,
                server=server,
                clients=clients,
                shared_keys=keys,
                deployment=meta.deployment,
                catalogue=catalogue,
                journal=journal,
                keeper=keeper,
                clock=clock,
                watches=watches,
                send=sender.send,
                slots=Slots(sizes(total_for(files.open_files_limit()))),
                calls=CallLimits(),
                changed=self._report_state,
                confirm_shared=shared_writes.confirm if shared_writes.is_needed else nothing_to_confirm,
                has_others=lambda: self._sharing is not None and self._sharing.has_others,
            )
            self._owners = [Owner(shared, number) for number in range(config.redis.partitions)]
            registry = Registry(clients.ownership, keys, config.daemon.instance)
            self._sharing = Sharing(registry, self._owners, clock, config.daemon.lease)
            marks = MarksWatch(clients.ownership, keys, journal, keeper, shared_writes)
            self._billing = billing = billing_of(shared, marks)
            if self._stopping.is_set():
                self.stop()  # `stop` was called before the start
            partitions = [owner.keys for owner in self._owners]
            backlog = Backlog(clients.figures, keys, partitions, clock)
            self.web = self._web(shared, partitions, backlog)
            self._sides += [
                SideTask("sharing of partitions", self._sharing.run),
                SideTask("blocks", BlockWatch(BlockRecord(clients.ownership, billing.keys), self._parts).run),
                SideTask("figures", lambda: backlog.run(shared.catalogue)),
                SideTask("journal", keeper.run),
                SideTask("catalogue copy", copies.run),
                SideTask("clock", watches.run),
                SideTask("numbers", marks.run),
            ]
            await self._serve(self.web)

    def _web(self, shared: PartitionDeps, partitions: list[Keys], backlog: Backlog) -> Web:
        lag = Lag(shared.clients.figures, partitions)
        appender = open_appender(
            shared.server, self._config.redis.durability, f"witnd-{self._config.daemon.instance}-ingest"
        )

        def metrics() -> bytes:
            return render(
                collect_samples(
                    self._owners,
                    self._health(lag.events),
                    lag.of_partitions,
                    backlog,
                    appender,
                    web.server,
                    shared.clock,
                    self._side_tasks(),
                    is_billing=self._billing is not None and self._billing.is_running,
                )
            )

        services = services_of(shared, partitions, appender, lag, lambda: self._health(lag.events), metrics)
        web = Web(self._config, services, [*ROUTES, *PAGES], HTML_ERRORS, lag, self._listening)
        return web

    def _listening(self, address: str) -> None:
        self.address = address
        self.answering.set()

    def _health(self, lag: int) -> Health:
        states = [owner.state for owner in self._owners]
        return Health(
            started=self.ready.is_set(),
            ready=self.ready.is_set() and not self._stopping.is_set(),
            partitions={state: states.count(state) for state in dict.fromkeys(states)},
            troubles=self.troubles,
            alarms=self.alarms,
            lag=lag,
        )

    async def _serve(self, web: Web) -> None:
        """Run all partitions until each has stopped, then release their leases."""
        try:
            await run_together(
                [part.supervised.run() for part in self._parts()], [web.run(), *(side.run() for side in self._sides)]
            )
            self._raise_loss()
        finally:
            for kept in (self._journal, self._copy):
                if kept is not None:
                    await kept.close()
            for part in self._parts():
                await part.release()
            if self._sharing is not None:
                with suppress(StoreUnavailable, StoreRefused):
                    await self._sharing.leave()

    def stop(self) -> None:
        """Stop reading, commit what was read, wait a moment for deliveries, and release the partitions."""
        if not self._stopping.is_set():
            self._stopping.set()
            log.info("daemon.stopping")
            self._systemd.stopping("finishing what was read")
        if self._sharing is not None:
            self._sharing.stop()
        for part in self._parts():
            part.stop()

    @property
    def troubles(self) -> list[str]:
        """Return why processing is blocked, empty if it is not."""
        problem = None if self._clocks is None else self._clocks.problem
        found = [] if problem is None else [problem.reason]
        if self._sharing is not None and self._sharing.trouble is not None:
            found.append(self._sharing.trouble)
        return list(dict.fromkeys([*found, *(trouble for part in self._parts() for trouble in part.troubles)]))

    @property
    def alarms(self) -> list[str]:
        """Return the alarms of side tasks, empty if there are none."""
        found = [side.alarm for side in self._side_tasks()]
        found += [part.alarm for part in (self._journal, self._copy, self._billing) if part is not None]
        on_hold = [owner.memory.partition.cache.alarms(MAX_ON_HOLD_NAMES) for owner in self._owners if owner.memory]
        return [alarm for alarm in found if alarm is not None] + [alarm for some in on_hold for alarm in some]

    def _side_tasks(self) -> list[SideTask]:
        sides = [*self._sides, *([] if self.web is None else self.web.sides)]
        for part in self._parts():
            sides += [part.supervised, *part.sides]
        return sides

    def _parts(self) -> list[Owner | Billing]:
        return [*self._owners, *([] if self._billing is None else [self._billing])]

    def _report_state(self) -> None:
        if all(owner.lost for owner in self._owners):
            self._all_lost.set()
        states = [owner.state for owner in self._owners]
        if "starting" in states or self._stopping.is_set():
            return
        running = states.count("running")
        status = f"{running} of {len(states)} partitions running, {states.count('standby')} on standby"
        if not self.ready.is_set():
            self.ready.set()
            log.info("daemon.ready", running=running, partitions=len(states))
            self._systemd.ready(status)
        else:
            self._systemd.status(status)

    async def _watch_losses(self) -> None:
        """Raise the loss once every partition has stopped for one: nothing is left to do."""
        await self._all_lost.wait()
        self._raise_loss()

    def _raise_loss(self) -> None:
        for owner in self._owners:
            if owner.lost is not None:
                raise owner.lost

    async def _watch(self) -> None:
        """Send watchdog and status messages to systemd."""
        pause = (self._systemd.watchdog_seconds or 20) / 2
        while True:
            self._systemd.watchdog()
            if troubles := [*self.troubles, *self.alarms]:
                self._systemd.status("; ".join(troubles))
            await asyncio.sleep(pause)


@asynccontextmanager
async def server_for(config: Config, *, private: bool) -> AsyncIterator[tuple[Endpoint, embedded.Embedded | None]]:
    """Return the configured Redis, or a private server that runs until the context ends."""
    if not private:
        yield config.redis.endpoint(), None
        return
    fsync: embedded.Fsync = "always" if config.redis.durability.mode == "fsync" else "everysec"
    async with embedded.embedded(config.daemon.state_dir, fsync) as running:
        yield endpoint(running.url), running
