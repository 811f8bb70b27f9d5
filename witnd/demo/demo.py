"""Run the demo: start all parts, stop them in order, and leave nothing behind.

Everything is in a temporary directory and in this process, except the private server. The user's configuration file and
environment are ignored, so that the demo is the same everywhere.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from redis.asyncio import Redis

from witnd import telemetry
from witnd.config import Config, DaemonConfig, HttpConfig, RedisConfig, WebhooksConfig
from witnd.daemon.assembly import Daemon, server_for
from witnd.daemon.process.systemd import Systemd
from witnd.demo import catalogue as wares
from witnd.demo.receiver import Receiver
from witnd.demo.screen import Screen
from witnd.demo.stops import Stops
from witnd.demo.summary import Summary, lines, summary
from witnd.demo.traffic import Fields, Traffic
from witnd.demo.watch import Watch
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.settings import Address
from witnd.store.access.tokens import Tokens
from witnd.store.catalogue.versions import CatalogueStore
from witnd.store.errors import StoreUnavailable
from witnd.store.keys import BillingKeys, GlobalKeys, Keys
from witnd.store.query.reads import open_reads
from witnd.store.server.connection import connect, redis_errors

PREFIX: Final = "witn"
FOLDER: Final = "witnd-demo-"
LOG_FILE: Final = "daemon.log"
LEASE_SECONDS: Final = 3.0
RETRY_SECONDS: Final = (0.6, 1, 2, 4, 8, 15, 30, 60)
# Longest wait for outcomes to settle after the last event.
SETTLE_SECONDS: Final = 20.0
STOP_SECONDS: Final = 15.0
# Longest time between the loss of a connection and the exit of the server's process.
NOTICE_SECONDS: Final = 2.0
POLL_SECONDS: Final = 0.05
_LOG_LINES: Final = 20

# Returns the commands to inspect the Redis at an address.
Hint = Callable[[str], Sequence[str]]


class DemoFailed(Exception):  # noqa: N818 - its cause is the error
    """A part of the demo ended unexpectedly. `log` has the daemon's last log lines."""

    def __init__(self, cause: Exception, log: str) -> None:
        super().__init__("the demo failed")
        self.cause = cause
        self.log = log


def settings(folder: Path) -> Config:
    """Return the demo's configuration, independent of the user's."""
    return Config(
        redis=RedisConfig(prefix=PREFIX),
        http=HttpConfig(bind=Address("127.0.0.1", 0)),
        webhooks=WebhooksConfig(allow_networks=(ip_network("127.0.0.0/8"),), schedule=RETRY_SECONDS),
        daemon=DaemonConfig(state_dir=folder / "state", instance="demo", lease=LEASE_SECONDS),
        state_dir_explicit=True,
    )


async def play(seconds: int | None, look_inside: Hint) -> Summary:
    """Run the demo and return its summary. `look_inside` returns the commands to inspect Redis."""
    stops = Stops()
    screen = Screen(stops.reader_lost)
    with stops.listening():
        try:
            with TemporaryDirectory(prefix=FOLDER) as folder, _logging(Path(folder)):
                return await Demo(Path(folder), screen, stops, seconds, look_inside).play()
        finally:
            await screen.close(stops.hurried)


@contextmanager
def _logging(folder: Path) -> Iterator[None]:
    """Write the daemon's log to a file, which is shown if the demo fails."""
    file = folder / LOG_FILE
    with file.open("w", encoding="utf-8") as log:
        telemetry.configure("console", stream=log)
        try:
            yield
        except Exception as error:
            log.flush()
            tail = file.read_text(encoding="utf-8").splitlines()[-_LOG_LINES:]
            raise DemoFailed(error, "\n".join(tail)) from error
        finally:
            telemetry.configure()


class Demo:
    """One run of the demo. Its parts communicate only through Redis and HTTP."""

    def __init__(self, folder: Path, screen: Screen, stops: Stops, seconds: int | None, look_inside: Hint) -> None:
        self._config = settings(folder)
        self._screen = screen
        self._stops = stops
        self._seconds = seconds
        self._look_inside = look_inside
        self._keys = Keys(PREFIX, 0)
        self._watched = asyncio.Event()
        self._running: dict[str, asyncio.Task[Any]] = {}

    async def play(self) -> Summary:
        config = self._config
        daemon = Daemon(config, Systemd({}), remember=True)
        async with (
            server_for(config, private=True) as (server, private),
            connect(server) as client,
            open_reads(server) as reads,
        ):
            assert private is not None
            store = CatalogueStore(client, GlobalKeys(PREFIX), config.redis.partitions)
            watch = Watch(reads, self._keys, store, lambda line: self._screen.print_line(*line.pieces()))
            async with Receiver.open(watch.add_receipt) as receiver, self._clean_up():
                with self._stops.cuttable():
                    receiver.secrets = await wares.apply_items(store, wares.sample_items(receiver.address))
                    self._start("server", private.wait_exit())
                    self._start("daemon", daemon.run(server))
                    await self._wait(daemon.ready)
                    await self._wait(daemon.answering)
                    _, token = await Tokens(client, GlobalKeys(PREFIX), time.monotonic).create(
                        "demo", ("admin",), time.time_ns() // 1_000_000
                    )
                    self._greet(private.url, f"{daemon.address}", token)
                    self._start("account", watch.run(self._watched))
                    await self._run_traffic(client, store)
                    await self._settle(client)
                    daemon.stop()
                    await self._wait_for_end("daemon")
                    self._watched.set()
                    await self._wait_for_end("account")
                    found = await summary(reads, self._keys, BillingKeys(PREFIX), store, Catalogue(), receiver.heard)
        self._say()
        for pieces in lines(found):
            self._screen.print_line(*pieces)
        return found

    # -- the acts --------------------------------------------------------------------------------

    def _greet(self, url: str, address: str, token: str) -> None:
        agents = "support tickets, pull requests and contracts"
        self._say(f"A real daemon on a private server bills {agents} of made-up customers.")
        self._say("Outcomes settle after 3 to 5 quiet seconds; in real life it is days.")
        until = "until Ctrl-C" if self._seconds is None else f"for {self._seconds} s"
        self._say(f"It runs {until}, settles what is open, audits its sums and leaves nothing behind.")
        self._say(f"Look at it in a browser: {address}/dashboard")
        self._say(f"  sign in with {token}")
        self._say("Or in another terminal:")
        for command in self._look_inside(url):
            self._say(f"  {command}")
        self._say(f"  curl -H 'Authorization: Bearer {token}' {address}/v1/outcomes")
        self._say("Times are UTC.")
        self._say()

    async def _run_traffic(self, client: Redis, store: CatalogueStore) -> None:
        async def append(fields: Fields) -> None:
            entry: dict[Any, Any] = {**fields}
            with redis_errors():
                await client.xadd(self._keys.events, entry)

        async def arrive(customer: str, rate_card: str) -> None:
            await wares.apply_items(store, wares.new_customer_items(customer, rate_card))

        self._start("traffic", Traffic(append, arrive).run())
        await self._wait(self._stops.asked, seconds=self._seconds)
        self._stops.asked.set()
        await self._cancel("traffic")

    async def _settle(self, client: Redis) -> None:
        """Wait until all outcomes are settled and all webhooks delivered, unless the user interrupts."""
        if not self._stops.hurried.is_set() and not await self._quiet(client):
            self._say()
            self._say("No more events. Open outcomes settle now; press Ctrl-C again to skip that.")
        give_up = asyncio.get_running_loop().time() + SETTLE_SECONDS
        while not await self._quiet(client) and asyncio.get_running_loop().time() < give_up:
            if await self._wait(self._stops.hurried, seconds=POLL_SECONDS):
                return

    async def _quiet(self, client: Redis) -> bool:
        with redis_errors():
            unsettled = await client.zcard(self._keys.due)
            unsent = await client.scard(self._keys.outbox_rules)
        return not unsettled and not unsent

    def _say(self, text: str = "") -> None:
        self._screen.print_line((text, ""))

    # -- what runs meanwhile ---------------------------------------------------------------------

    def _start(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        self._running[name] = asyncio.create_task(work, name=name)

    async def _wait(self, event: asyncio.Event, *, seconds: float | None = None) -> bool:
        """Return whether the event was set in time. Raises if a part ended unexpectedly."""
        coming = asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait(
                {coming, *self._running.values()},
                timeout=seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            coming.cancel()
        self._check()
        return event.is_set()

    def _check(self) -> None:
        for name, task in self._running.items():
            if task.done():
                raise _unexpected_end(name, task)

    async def _wait_for_end(self, name: str) -> None:
        """Wait for a stopped part to end, for a limited time."""
        task = self._running[name]
        await asyncio.wait(self._running.values(), timeout=STOP_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            del self._running[name]
            await task
            return
        self._check()
        raise StoreUnavailable(f"the {name} of the demo did not stop in time")

    async def _cancel(self, name: str) -> None:
        task = self._running.pop(name)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    @asynccontextmanager
    async def _clean_up(self) -> AsyncIterator[None]:
        """Stop all parts, however the demo ends."""
        try:
            yield
        except StoreUnavailable:
            # A connection is lost before the exit of the server's process is visible.
            server = self._running.get("server")
            if server is None:
                raise
            await asyncio.wait([server], timeout=NOTICE_SECONDS)
            if server.done():
                raise _unexpected_end("server", server) from None
            raise
        finally:
            for name in [*self._running]:
                await self._cancel(name)


def _unexpected_end(name: str, task: asyncio.Task[Any]) -> StoreUnavailable:
    return StoreUnavailable(f"the {name} of the demo ended unexpectedly: it {task.result() or 'ended'}")
