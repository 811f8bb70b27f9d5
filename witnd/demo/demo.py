"""Run the demo: start all parts, stop them in order, and leave nothing behind.

Everything is in a temporary directory and in this process, except the private server. The user's configuration file and
environment are ignored, so that the demo is the same everywhere.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from redis.asyncio import Redis

from witnd import telemetry
from witnd.app import tokens
from witnd.app.audit import Report, audit
from witnd.app.catalogue.apply import Application, apply
from witnd.app.outcomes.list import one
from witnd.app.outcomes.view import Explained
from witnd.app.services import Services, services_without_daemon
from witnd.config import BillingConfig, Config, DaemonConfig, HttpConfig, RedisConfig, WebhooksConfig
from witnd.daemon.assembly import Daemon, server_for
from witnd.daemon.process.systemd import Systemd
from witnd.demo.account import Line, webhook_line
from witnd.demo.catalogue import customer_file, history_file, sample_file
from witnd.demo.history import DAYS, append_history
from witnd.demo.invoices import InvoiceCounts, is_billed, process_invoices
from witnd.demo.receiver import Receiver
from witnd.demo.screen import Screen
from witnd.demo.stops import Stops
from witnd.demo.traffic import Fields, Traffic
from witnd.demo.watch import Watch
from witnd.settings import Address
from witnd.store.access.change_log import Author
from witnd.store.errors import StoreUnavailable
from witnd.store.keys import Keys
from witnd.store.query.reads import open_reads
from witnd.store.server.connection import connect, redis_errors

PREFIX: Final = "witn"
FOLDER: Final = "witnd-demo-"
LOG_FILE: Final = "daemon.log"
LEASE_SECONDS: Final = 3.0
RETRY_SECONDS: Final = (0.6, 1, 2, 4, 8, 15, 30, 60)
# Longest wait for the invoices of the history.
HISTORY_SECONDS: Final = 30.0
# Longest wait for outcomes to settle after the last event.
SETTLE_SECONDS: Final = 20.0
STOP_SECONDS: Final = 15.0
# Longest time between the loss of a connection and the exit of the server's process.
NOTICE_SECONDS: Final = 2.0
POLL_SECONDS: Final = 0.05
_LOG_LINES: Final = 20
_AUTHOR: Final = Author(who="demo", source="cli")

# Returns the commands to inspect the Redis at an address.
Hint = Callable[[str], Sequence[str]]
# Returns an explained outcome and the audit as text.
Describe = Callable[[Explained | None, Report], str]


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
        # With the real clock, a period rarely ends during the demo. The draft of the history waits for the user.
        billing=BillingConfig(issue="manual"),
        daemon=DaemonConfig(state_dir=folder / "state", instance="demo", lease=LEASE_SECONDS),
        state_dir_explicit=True,
    )


async def play(seconds: int | None, look_inside: Hint, describe: Describe) -> Report:
    """Run the demo and return its audit."""
    stops = Stops()
    screen = Screen(stops.reader_lost)
    with stops.listening():
        try:
            with TemporaryDirectory(prefix=FOLDER) as folder, _logging(Path(folder)):
                return await Demo(Path(folder), screen, stops, seconds, look_inside, describe).play()
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

    def __init__(
        self, folder: Path, screen: Screen, stops: Stops, seconds: int | None, look_inside: Hint, describe: Describe
    ) -> None:
        self._config = settings(folder)
        self._screen = screen
        self._stops = stops
        self._seconds = seconds
        self._look_inside = look_inside
        self._describe = describe
        self._keys = Keys(PREFIX, 0)
        self._watched = asyncio.Event()
        self._running: dict[str, asyncio.Task[Any]] = {}

    async def play(self) -> Report:
        config = self._config
        daemon = Daemon(config, Systemd({}), remember=True)
        async with (
            server_for(config, private=True) as (server, private),
            connect(server) as client,
            open_reads(server) as reads,
        ):
            assert private is not None
            services = services_without_daemon(config, server, client, None)
            watch = Watch(services, reads, lambda line: self._screen.print_line(*line.pieces()))
            async with Receiver.open(lambda receipt: watch.add(webhook_line(receipt))) as receiver, self._clean_up():
                with self._stops.cuttable():
                    await _apply(services, history_file())
                    await append_history(client, self._keys, services.now_ms())
                    self._start("server", private.wait_exit())
                    self._start("daemon", daemon.run(server))
                    await self._wait(daemon.ready)
                    await self._wait(daemon.answering)
                    counts = await self._bill_history(services)
                    receiver.secrets = (await _apply(services, sample_file(receiver.address))).plan.secrets
                    await watch.skip()
                    token = await tokens.create(
                        services.tokens, _AUTHOR, name="demo", scopes=("admin",), rate=None, now_ms=services.now_ms()
                    )
                    self._greet(private.url, f"{daemon.address}", token.token, counts)
                    self._start("account", watch.run(self._watched))
                    await self._run_traffic(services, watch)
                    await self._settle(client)
                    daemon.stop()
                    await self._wait_for_end("daemon")
                    self._watched.set()
                    await self._wait_for_end("account")
                    key = watch.first_final
                    explained = None if key is None else await one(services, key)
                    report = await audit(services)
        self._say()
        self._say(f"webhooks: {receiver.stats.text}")
        for line in self._describe(explained, report).splitlines():
            self._say(line)
        return report

    # -- the acts --------------------------------------------------------------------------------

    async def _bill_history(self, services: Services) -> InvoiceCounts:
        """Wait until the daemon has billed the history, then issue its invoices."""
        give_up = asyncio.get_running_loop().time() + HISTORY_SECONDS
        while not await is_billed(services) and asyncio.get_running_loop().time() < give_up:
            if await self._wait(self._stops.hurried, seconds=POLL_SECONDS):
                break
        return await process_invoices(services, _AUTHOR)

    def _greet(self, url: str, address: str, token: str, counts: InvoiceCounts) -> None:
        agents = "support tickets, pull requests and contracts"
        self._say(f"A real daemon on a private server bills {agents} of made-up customers.")
        self._say("Outcomes settle after 3 to 5 quiet seconds; in real life it is days.")
        until = "until Ctrl-C" if self._seconds is None else f"for {self._seconds} s"
        self._say(f"It runs {until}, settles what is open, audits everything and leaves nothing behind.")
        self._say(f"Look at it in a browser: {address}/dashboard")
        self._say(f"  sign in with {token}")
        self._say(f"{DAYS} days of history are billed. Invoices: {counts.text}.")
        self._say(f"  See them at {address}/dashboard/invoices")
        self._say("Or in another terminal:")
        for command in self._look_inside(url):
            self._say(f"  {command}")
        self._say(f"  curl -H 'Authorization: Bearer {token}' {address}/v1/outcomes")
        self._say("Times are UTC.")
        self._say()

    async def _run_traffic(self, services: Services, watch: Watch) -> None:
        async def append(fields: Fields) -> None:
            entry: dict[Any, Any] = {**fields}
            with redis_errors():
                await services.client.xadd(self._keys.events, entry)

        async def arrive(customer: str, rate_card: str) -> None:
            at_ms = services.now_ms()
            await _apply(services, customer_file(customer, rate_card))
            text = f"customer {customer} is added, with rate card {rate_card}"
            watch.add(Line(at_ms=at_ms, key="", word="catalogue", text=text))

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


async def _apply(services: Services, file: bytes) -> Application:
    return await apply(services, _AUTHOR, file, effective_from=None, is_dry_run=False)


def _unexpected_end(name: str, task: asyncio.Task[Any]) -> StoreUnavailable:
    return StoreUnavailable(f"the {name} of the demo ended unexpectedly: it {task.result() or 'ended'}")
