"""Reads the instants that a new version of the catalogue must be later than.

On one server, the script that writes a version reads all logs itself. In a cluster it cannot: they are in other slots.
There, a version is dated `MARGIN_MS` after everything that was read, and is written within half of that time, by the
clock of the shared slot. So it is written before the clock of any log reaches its instant. An owner applies an entry
only once its server's clock has reached it, and reads the catalogue after that clock. So it never misses the version.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from witnd.store.keys import GlobalKeys, Keys
from witnd.store.server.connection import redis_errors

# Longer than one write takes, and short enough to wait for.
MARGIN_MS: Final = 2000


class Instants(NamedTuple):
    """The earliest instant (ms) of a new version: 0 before the first start. It must be written until `until_ms` by the
    clock of the shared slot."""

    least_ms: int
    until_ms: int


async def next_instant(client: Redis, partitions: Sequence[Keys]) -> int:
    """Return the instant (ms) after all clocks and entries that were read."""
    with redis_errors():
        async with client.pipeline(transaction=False) as pipeline:
            pipeline.time()
            for keys in partitions:
                pipeline.xinfo_stream(keys.events)
            time, *logs = await pipeline.execute(raise_on_error=False)
        return max(_ms(time), *map(_last_ms, logs)) + 1


async def instants_in_cluster(client: Redis, shared: GlobalKeys, partitions: Sequence[Keys]) -> Instants:
    """Read the clock of the shared slot first, and then the clock and the last entry of each partition."""
    with redis_errors():
        async with client.pipeline(transaction=True) as pipeline:
            pipeline.time()
            pipeline.exists(shared.catalogue)
            time, _ = await pipeline.execute()
        is_used = bool(await client.exists(shared.meta))
    now_ms = _ms(time)
    found = await asyncio.gather(*[_partition(client, keys) for keys in partitions])
    is_used = is_used or any(last for _, last in found)
    least = max(now_ms, *(max(pair) for pair in found)) + MARGIN_MS
    # Before the first start, no daemon can have applied an event.
    return Instants(least if is_used else 0, now_ms + MARGIN_MS // 2)


async def _partition(client: Redis, keys: Keys) -> tuple[int, int]:
    """Return the clock of a partition's server and the instant of its last entry."""
    with redis_errors():
        async with client.pipeline(transaction=True) as pipeline:
            pipeline.time()
            pipeline.xinfo_stream(keys.events)
            time, log = await pipeline.execute(raise_on_error=False)
        return _ms(time), _last_ms(log)


def _ms(time: Any) -> int:
    if isinstance(time, Exception):
        raise time
    seconds, microseconds = time
    return int(seconds) * 1000 + int(microseconds) // 1000


def _last_ms(log: object) -> int:
    """Return the instant of a log's last entry, 0 for an empty log."""
    if isinstance(log, ResponseError) and "no such key" in str(log):
        return 0
    if isinstance(log, Exception):
        raise log
    last = cast("dict[str, bytes]", log)["last-generated-id"]
    return int(last.partition(b"-")[0])
