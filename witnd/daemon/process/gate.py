"""Check whether the daemon may start on a Redis, before it reads or writes anything."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

import structlog

from witnd.clock import Clock
from witnd.config import Config
from witnd.daemon.process.systemd import Systemd
from witnd.store.errors import Loading, StoreUnavailable
from witnd.store.log.reader import ANSWER_SECONDS
from witnd.store.server import safety, wire
from witnd.store.server.connection import Endpoint

# How long to wait for a server that is still loading its data.
START_SECONDS: Final = 600.0
# How long to wait for a server that does not answer. Host and server may start together.
SILENT_SECONDS: Final = 30.0

T = TypeVar("T")

log = structlog.get_logger()


async def check(server: Endpoint, config: Config, systemd: Systemd) -> None:
    """Refuse to start on a Redis that is not safe to bill from."""
    health = await wait_for_server(server, systemd, lambda: _look(server))
    safety.raise_problems(safety.problems(health))
    found = [
        safety.durability_problem(health, config.redis.durability),
        safety.clock_problem(health, Clock().now_ms()),
    ]
    safety.raise_problems([one for one in found if one is not None])
    for one in safety.warnings(health):
        log.warning("redis.risk", reason=one.reason, remedy=one.remedy)


async def wait_for_server(server: Endpoint, systemd: Systemd, call: Callable[[], Awaitable[T]]) -> T:
    """Retry a call while the server does not respond (30 s) or is loading its data (10 min)."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    is_logged = False
    while True:
        try:
            return await call()
        except Loading:
            if loop.time() - began > START_SECONDS:
                raise
            log.info("redis.loading", server=str(server))
        except StoreUnavailable as silent:
            if loop.time() - began > SILENT_SECONDS:
                raise StoreUnavailable(
                    f"Redis at {server} does not respond ({silent}); start it, or change redis.url"
                ) from silent
            if not is_logged:
                is_logged = True
                log.warning("redis.waiting", doing="starting", reason=str(silent), seconds=0)
        systemd.extend(30)
        await asyncio.sleep(1)


async def _look(server: Endpoint) -> safety.Health:
    caller = await wire.connect(server, "witnd-gate")
    try:
        return await safety.read_health(partial(caller.ask, seconds=ANSWER_SECONDS))
    finally:
        caller.close()
