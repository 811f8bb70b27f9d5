"""Whether the daemon may begin on a Redis: asked once, before anything is read or written."""

import asyncio
from functools import partial
from typing import Final

import structlog

from witnd.clock import Clock
from witnd.config import Config
from witnd.daemon.systemd import Systemd
from witnd.store import safety, wire
from witnd.store.connection import Endpoint
from witnd.store.errors import StoreRefused, StoreUnavailable
from witnd.store.log import ANSWER_SECONDS

# How long a server that is still loading its data is waited for.
START_SECONDS: Final = 600.0

log = structlog.get_logger()


async def check(server: Endpoint, config: Config, systemd: Systemd) -> None:
    """Refuse to begin on a Redis that must not be billed from; wait for one that is still loading."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + START_SECONDS
    while True:
        try:
            caller = await wire.connect(server, "witnd-gate")
            try:
                health = await safety.look(partial(caller.ask, seconds=ANSWER_SECONDS))
            finally:
                caller.close()
            break
        except StoreRefused as refused:
            if "loading" not in refused.reason or loop.time() > give_up:
                raise
            systemd.extend(30)
            log.info("redis.loading", server=str(server))
            await asyncio.sleep(1)
        except StoreUnavailable as silent:
            raise StoreUnavailable(
                f"Redis at {server} does not answer ({silent}); start it, or name another in redis.url"
            ) from silent
    safety.refuse(safety.problems(health))
    found = [
        safety.durability_problem(health, config.redis.durability),
        safety.clock_problem(health, Clock().now_ms()),
    ]
    safety.refuse([one for one in found if one is not None])
    for one in safety.warnings(health):
        log.warning("redis.risk", reason=one.reason, remedy=one.remedy)
