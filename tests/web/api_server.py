"""A real daemon with its HTTP side, in a thread, on the test's server; requests go through real sockets."""

import asyncio
import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

from structlog.testing import capture_logs

from tests.support.deployment import CATALOGUE, Deployment
from tests.support.processes import until
from tests.support.server import Server
from witnd.config import BillingConfig, Config, DaemonConfig, HttpConfig, RedisConfig, WebhooksConfig
from witnd.daemon.assembly import Daemon
from witnd.daemon.process.systemd import Systemd
from witnd.endpoint import endpoint
from witnd.settings import Address, Network
from witnd.store.access.tokens import Tokens
from witnd.store.keys import GlobalKeys
from witnd.store.server.connection import connect


class Answer(NamedTuple):
    """What came back. `json` is the body where it is JSON."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]


class ApiServer:
    """`ask` sends a request with the token of a scope; `deployment` has the server, commands and events."""

    def __init__(self, deployment: Deployment, address: tuple[str, int]) -> None:
        self.deployment = deployment
        self.address = address
        self.tokens = self._create({scope: (scope,) for scope in ("ingest", "read", "admin")})

    def token(self, name: str, *scopes: str, rate: float | None = None) -> str:
        return self._create({name: scopes}, rate)[name]

    def _create(self, wanted: dict[str, tuple[str, ...]], rate: float | None = None) -> dict[str, str]:
        """The texts of new tokens by name."""

        async def create() -> dict[str, str]:
            async with connect(self.deployment.server.url) as client:
                tokens = Tokens(client, GlobalKeys("witn"), lambda: 0.0)
                now = time.time_ns() // 1_000_000
                return {name: (await tokens.create(name, scopes, now, rate=rate))[1] for name, scopes in wanted.items()}

        # In a thread of its own: a browser's driver keeps an event loop in that of the test.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, create()).result()

    def ask(
        self, method: str, path: str, body: Any = None, *, scope: str | None = "admin", token: str | None = None,
        headers: dict[str, str] | None = None, content_type: str = "application/json",
    ) -> Answer:  # fmt: skip
        """`body` is sent as JSON, or as it is where it is bytes."""
        given = dict(headers or {})
        text = token if token is not None else None if scope is None else self.tokens[scope]
        if text is not None:
            given.setdefault("Authorization", f"Bearer {text}")
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        if data is not None and content_type:
            given.setdefault("Content-Type", content_type)
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        try:
            connection.request(method, path, body=data, headers=given)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, *, scope: str | None = "admin") -> Any:
        """The JSON of a GET that succeeds."""
        answer = self.ask("GET", path, scope=scope)
        assert answer.status == 200, answer.body
        return answer.json

    def pages(self, path: str) -> list[Any]:
        """Everything of a list, page after page."""
        found: list[Any] = []
        after: str | None = None
        while True:
            joint = "&" if "?" in path else "?"
            page = self.get(path if after is None else f"{path}{joint}after={after}")
            found += page["data"]
            after = page["next_cursor"]
            if after is None:
                return found


@contextmanager
def api_server(
    server: Server,
    directory: Path,
    *,
    partitions: int = 1,
    allow_networks: tuple[Network, ...] = (),
    schedule: tuple[float, ...] = WebhooksConfig().schedule,
    billing: BillingConfig | None = None,
    instance: str = "office",
    lease: float = DaemonConfig().lease,
    **http_settings: Any,
) -> Iterator[ApiServer]:
    """Runs the daemon for as long as the block lasts."""
    deployment = Deployment(server, directory, partitions)
    config = Config(
        redis=RedisConfig(url=server.url, partitions=partitions),
        http=HttpConfig(bind=Address("127.0.0.1", 0), **http_settings),
        webhooks=WebhooksConfig(allow_networks=allow_networks, schedule=schedule),
        billing=billing or BillingConfig(),
        daemon=DaemonConfig(instance=instance, state_dir=directory, lease=lease),
        bind_explicit=True,
    )
    started: list[tuple[Daemon, asyncio.AbstractEventLoop]] = []
    failed: list[BaseException] = []
    ended = Event()

    async def run() -> None:
        daemon = Daemon(config, Systemd(), remember=False)
        started.append((daemon, asyncio.get_running_loop()))
        await daemon.run(endpoint(server.url))

    def live() -> None:
        try:
            with capture_logs():
                asyncio.run(run())
        except BaseException as wrong:
            failed.append(wrong)
        finally:
            ended.set()

    thread = Thread(target=live, daemon=True)
    thread.start()
    try:
        until(lambda: ended.is_set() or bool(started and started[0][0].address), "the daemon listens")
        if failed:
            raise failed[0]
        daemon = started[0][0]
        assert daemon.address is not None
        host, _, port = daemon.address.removeprefix("http://").rpartition(":")
        until(lambda: ended.is_set() or daemon.ready.is_set(), "the daemon is ready")
        yield ApiServer(deployment, (host, int(port)))
    finally:
        if started and not ended.is_set():
            started[0][1].call_soon_threadsafe(started[0][0].stop)
        thread.join(30)
        assert not thread.is_alive(), "the daemon does not stop"
    if failed:
        raise failed[0]


__all__ = ["CATALOGUE", "Answer", "ApiServer", "api_server"]
