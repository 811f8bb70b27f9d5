"""The HTTP server of a daemon, independent of the state of its partitions."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from functools import partial
from typing import Final, cast

import structlog
from redis.asyncio import Redis

from witnd.app.daemon_services import DaemonServices
from witnd.config import Config, ConfigError
from witnd.daemon.side_task import SideTask
from witnd.domain.values.mistake import Mistake
from witnd.settings import Address
from witnd.store.errors import StoreRefused, StoreUnavailable
from witnd.store.keys import Keys
from witnd.store.server.connection import redis_errors
from witnd.web.connections.accept import Acceptor, listening_sockets
from witnd.web.connections.limit import connections_max, file_limit
from witnd.web.http.route import HtmlErrors, Route
from witnd.web.http.server import Server

LAG_SECONDS: Final = 1.0
# The port becomes free when another daemon of this host ends.
BIND_AGAIN_SECONDS: Final = 5.0
# Requests under way get this long when the daemon stops.
END_SECONDS: Final = 5.0

log = structlog.get_logger()


class Lag:
    """Counts accepted events that are not applied yet, once a second."""

    def __init__(self, client: Redis, partitions: list[Keys]) -> None:
        self.of_partitions = [0] * len(partitions)
        self._client = client
        self._partitions = partitions

    @property
    def events(self) -> int:
        """Over all partitions."""
        return sum(self.of_partitions)

    async def run(self) -> None:
        while True:
            with contextlib.suppress(StoreUnavailable, StoreRefused):  # the caller that needs Redis logs it
                self.of_partitions = await self._look()
            await asyncio.sleep(LAG_SECONDS)

    async def _look(self) -> list[int]:
        with redis_errors():
            async with self._client.pipeline(transaction=False) as asked:
                for keys in self._partitions:
                    asked.hget(keys.state, "read")
                    asked.xinfo_stream(keys.events)
                found = cast("list[object]", await asked.execute(raise_on_error=False))
        return [_lag(read, info) for read, info in zip(found[::2], found[1::2], strict=True)]


def _lag(read: object, info: object) -> int:
    """Return the lag, 0 without a stream. The owner of the partition reports a damaged position."""
    text = b"0" if read is None else read
    if not isinstance(info, dict) or not isinstance(text, bytes) or not text.isdigit():
        return 0
    return max(0, int(info["entries-added"]) - int(text))


class Web:
    """Serves HTTP: `run()` until cancelled. Calls `listening` with the address."""

    def __init__(
        self,
        config: Config,
        services: DaemonServices,
        routes: list[Route],
        html_errors: HtmlErrors,
        lag: Lag,
        listening: Callable[[str], None],
    ) -> None:
        self.server = Server(services, routes, html_errors)
        self._config = config
        self._services = services
        self._listening = listening
        self.sides = [
            SideTask("ingestion over HTTP", services.appender.run),
            SideTask("lag", lag.run),
            SideTask("live pages", services.pulse.run),
        ]
        if config.http.bind is not None:
            self.sides.append(SideTask("HTTP", partial(self._listen, config.http.bind)))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for side in self.sides:
                group.create_task(side.run())

    async def _listen(self, bind: Address) -> None:
        listener = self.server.listener()
        sockets: list[socket.socket] = []
        try:
            sockets = await self._bound(bind)
            most = connections_max(self._config.http.connections_max, file_limit())
            host, port = sockets[0].getsockname()[:2]
            address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            log.info("http.listening", address=address, connections_max=most)
            self._listening(address)
            await Acceptor(listener, most).run(sockets)
        finally:
            for one in sockets:
                one.close()
            self._services.pulse.close()
            listener.pre_shutdown()
            await listener.shutdown(END_SECONDS)

    async def _bound(self, bind: Address) -> list[socket.socket]:
        told = False
        while True:
            try:
                return await listening_sockets(bind.host, bind.port)
            except OSError as taken:
                if self._config.bind_explicit:
                    problem = f"cannot be bound: {taken.strerror or taken}; choose another address"
                    raise ConfigError([Mistake("http.bind", problem)]) from taken
                if not told:
                    log.warning(
                        "http.unavailable", address=str(bind), reason=str(taken), remedy="set http.bind to another"
                    )
                    told = True
            await asyncio.sleep(BIND_AGAIN_SECONDS)
