"""Pause a partition while its Redis is not safe to bill from."""

from typing import Final

import structlog

from witnd.daemon.partition.deps import PartitionDeps
from witnd.store.errors import StoreRefused, StoreUnavailable
from witnd.store.log.reader import Log
from witnd.store.server.retry import Retry
from witnd.store.server.safety import problems

WATCH_SECONDS: Final = 2.0

log = structlog.get_logger()


async def pause_while_unsafe(watcher: Log, retry: Retry, number: int, shared: PartitionDeps) -> None:
    """Pause the calls of a partition while its server is unsafe, until cancelled."""
    while True:
        await shared.clock.sleep(WATCH_SECONDS)
        try:
            found = problems(await watcher.health(), shared.config.redis.durability)
        except (StoreUnavailable, StoreRefused):
            continue  # the caller that needs Redis waits and logs it
        reason = "; ".join(one.reason for one in found) or None
        if reason != retry.paused:
            if reason is None:
                log.info("partition.resumed", partition=number)
            else:
                remedy = "; ".join(one.remedy for one in found)
                log.error("partition.paused", partition=number, reason=reason, remedy=remedy)
            retry.paused = reason
