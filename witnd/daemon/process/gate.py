"""Check whether the daemon may start on a Redis, before it reads or writes anything.

Every primary that the deployment uses is checked.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from witnd.clock import Clock
from witnd.config import Config
from witnd.daemon.process.systemd import Systemd
from witnd.store.errors import Loading, Moving, StoreUnavailable
from witnd.store.log.reader import ANSWER_SECONDS
from witnd.store.server import safety
from witnd.store.server.connection import Endpoint
from witnd.store.server.routing import health as routing
from witnd.store.server.safety import Problem

# How long to wait for a server that is still loading its data.
START_SECONDS: Final = 600.0
# How long to wait for a server that does not answer. Host and server may start together.
SILENT_SECONDS: Final = 30.0
RETRY_SECONDS = 1.0

T = TypeVar("T")

log = structlog.get_logger()


async def check(server: Endpoint, config: Config, systemd: Systemd) -> None:
    """Refuse to start on a Redis that is not safe to bill from."""
    redis = config.redis
    healths = await wait_for_server(
        server, systemd, lambda: routing.read_all(server, redis.prefix, redis.partitions, ANSWER_SECONDS)
    )
    found = [_at(primary, one) for primary, health in healths.items() for one in safety.problems(health)]
    safety.raise_problems(found)
    for primary, health in healths.items():
        others = (
            safety.durability_problem(health, redis.durability),
            safety.clock_problem(health, Clock().now_ms()),
        )
        found += [_at(primary, one) for one in others if one is not None]
    safety.raise_problems(found)
    risks = [_at(primary, one) for primary, health in healths.items() for one in safety.warnings(health)]
    for one in [*risks, *routing.durability_warnings(healths, server, redis.durability)]:
        log.warning("redis.risk", reason=one.reason, remedy=one.remedy)


def _at(primary: Endpoint, problem: Problem) -> Problem:
    """Add the server to a problem if there are several servers."""
    return problem if not primary.is_routed else Problem(f"{primary}: {problem.reason}", problem.remedy)


async def wait_for_server(server: Endpoint, systemd: Systemd, call: Callable[[], Awaitable[T]]) -> T:
    """Retry a call while the server does not respond or has no primary (30 s), or is loading its data (10 min)."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    is_logged = False
    while True:
        try:
            return await call()
        except Moving as moving:
            if server.mode == "single" or loop.time() - began > SILENT_SECONDS:
                raise
            if not is_logged:
                is_logged = True
                log.warning("redis.waiting", doing="starting", reason=str(moving), seconds=0)
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
        await asyncio.sleep(RETRY_SECONDS)
