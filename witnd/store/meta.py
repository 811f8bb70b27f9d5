"""The deployment's record in Redis: who it is, and what may never change about it."""

from collections.abc import Awaitable
from typing import cast
from uuid import uuid4

from msgspec import Struct
from redis.asyncio import Redis

from witnd.config import ConfigError
from witnd.domain.values.mistake import Mistake
from witnd.store.errors import Unsafe
from witnd.store.keys import GlobalKeys, traces
from witnd.store.server.connection import redis_errors

# The layout of everything in Redis. Every change of a stored layout is a new number. 1: development versions before
# 0.1.0, with the catalogue and billing in slots of their own and JSON records without a format number.
FORMAT = 2

# One script, so that of two daemons at their first start one writes and both read the same.
_OPEN = """
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'format', ARGV[1], 'deployment', ARGV[2], 'partitions', ARGV[3])
end
return redis.call('HMGET', KEYS[1], 'format', 'deployment', 'partitions')
"""

_NONE: list[bytes | None] = [None, None, None]
_WRITERS = "a development version before 0.1.0"


class Meta(Struct, frozen=True, kw_only=True):
    """`deployment` is a UUID made once: another one behind the same address is other data."""

    deployment: str
    partitions: int
    format: int


async def open_meta(client: Redis, keys: GlobalKeys, partitions: int) -> Meta:
    """Return the record; write it at the first start. Raise where it contradicts the program, or where it is missing
    although there is data.
    """
    found = await read_meta(client, keys, partitions)
    if found is not None:
        return found
    with redis_errors():
        call = client.eval(_OPEN, 1, keys.meta, str(FORMAT), str(uuid4()), str(partitions))
        fields = await cast("Awaitable[list[bytes | None]]", call)
    return _check_record(fields, keys, partitions)


async def read_meta(client: Redis, keys: GlobalKeys, partitions: int) -> Meta | None:
    """Return the record, None before the first start. Raise what `open_meta` raises."""
    fields = await _fields(client, keys)
    if fields == _NONE:
        names = traces(keys.prefix, partitions)
        with redis_errors():
            async with client.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.exists(name)
                exist = await pipeline.execute()
        # A daemon that starts for the first time at this moment writes meta before all else.
        fields = await _fields(client, keys)
        if fields == _NONE:
            _refuse_orphans(keys, [name for name, exists in zip(names, exist, strict=True) if exists])
            return None
    return _check_record(fields, keys, partitions)


async def _fields(client: Redis, keys: GlobalKeys) -> list[bytes | None]:
    with redis_errors():
        # A pipeline, because its errors name the key.
        async with client.pipeline(transaction=False) as reads:
            reads.hmget(keys.meta, ["format", "deployment", "partitions"])
            [found] = await reads.execute()
    return cast("list[bytes | None]", found)


def _refuse_orphans(keys: GlobalKeys, names: list[str]) -> None:
    if names:
        raise Unsafe(
            f"the key {keys.meta} is lost, but Redis has data of a deployment: {', '.join(names)}",
            "restore a backup that has all keys, or use another redis.prefix for a new deployment",
        )


def _check_record(found: list[bytes | None], keys: GlobalKeys, partitions: int) -> Meta:
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
            f"{keys.meta} has format {meta.format} of a newer witnd; this one reads format {FORMAT}",
            "install the newer version again",
        )
    if meta.format < FORMAT:
        raise Unsafe(
            f"{keys.meta} has format {meta.format} of an older witnd ({_WRITERS}); this one reads format {FORMAT}",
            "run the version that wrote the data, or use another redis.prefix for a new deployment",
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
