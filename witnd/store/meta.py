"""The deployment's record in Redis: who it is, and what may never change about it."""

from collections.abc import Awaitable
from typing import cast
from uuid import uuid4

from msgspec import Struct
from redis.asyncio import Redis

from witnd.config import ConfigError
from witnd.domain.mistake import Mistake
from witnd.store.connection import mapped
from witnd.store.errors import Unsafe
from witnd.store.keys import GlobalKeys

FORMAT = 1

# One script, so that of two daemons at their first start one writes and both read the same.
_OPEN = """
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'format', ARGV[1], 'deployment', ARGV[2], 'partitions', ARGV[3])
end
return redis.call('HMGET', KEYS[1], 'format', 'deployment', 'partitions')
"""


class Meta(Struct, frozen=True, kw_only=True):
    """`deployment` is a UUID made once: another one behind the same address is other data."""

    deployment: str
    partitions: int
    format: int


async def open_meta(client: Redis, keys: GlobalKeys, partitions: int) -> Meta:
    """The record, made at the first start. Refuses to go on where it contradicts the program."""
    with mapped():
        call = client.eval(_OPEN, 1, keys.meta, str(FORMAT), str(uuid4()), str(partitions))
        found = await cast("Awaitable[list[bytes | None]]", call)
    return _checked(found, keys, partitions)


async def read_meta(client: Redis, keys: GlobalKeys, partitions: int) -> Meta | None:
    """The record where a daemon has already made one. Refuses what `open_meta` refuses."""
    with mapped():
        call = client.hmget(keys.meta, ["format", "deployment", "partitions"])
        found = await cast("Awaitable[list[bytes | None]]", call)
    return None if found == [None, None, None] else _checked(found, keys, partitions)


def _checked(found: list[bytes | None], keys: GlobalKeys, partitions: int) -> Meta:
    try:
        fmt, deployment, recorded = (value.decode() for value in found if value is not None)
        meta = Meta(deployment=deployment, partitions=int(recorded), format=int(fmt))
    except ValueError as wrong:
        raise Unsafe(
            f"the key {keys.meta} is damaged: it has {found}",
            "restore it from a backup, or use another redis.prefix for a new deployment",
        ) from wrong
    if meta.format > FORMAT:
        raise Unsafe(
            f"{keys.meta} has format {meta.format} of a newer witnd; this one knows {FORMAT}",
            "install the newer version again",
        )
    if meta.partitions != partitions:
        raise ConfigError(
            [
                Mistake(
                    "redis.partitions",
                    f"is {partitions}, but this deployment has {meta.partitions} for ever; "
                    f"set it to {meta.partitions}, or choose another redis.prefix for a new one",
                )
            ]
        )
    return meta
