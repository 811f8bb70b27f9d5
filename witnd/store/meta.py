"""The meta record of a deployment in Redis: its id, and settings that never change."""

from collections.abc import Awaitable
from typing import cast
from uuid import uuid4

from msgspec import Struct
from redis.asyncio import Redis

from witnd.config import ConfigError
from witnd.domain.values.mistake import Mistake
from witnd.store.errors import Unsafe
from witnd.store.keys import GlobalKeys, deployment_keys
from witnd.store.server.connection import redis_errors

# The layout of all data in Redis. A changed layout gets a new number. 1: development versions before 0.1.0, with
# separate slots for the catalogue and billing, and JSON records without a format number. 2: development versions
# before 0.1.0, with checksums that did not include the key of a record. 3: development versions before 0.1.0, whose
# invoices had a group for each version of a price, with other workings and row ids. 4: development versions before
# 0.1.0, with invoices whose total was reduced by the customer's balance, and without payments. 6: development versions
# before 0.1.0, without reversals and without the kind of an invoice line.
FORMAT = 7

# One script: if two daemons start for the first time together, one writes and both read the same.
_OPEN = """
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'format', ARGV[1], 'deployment', ARGV[2], 'partitions', ARGV[3])
end
return redis.call('HMGET', KEYS[1], 'format', 'deployment', 'partitions', 'repartitioning')
"""

_NONE: list[bytes | None] = [None, None, None, None]
_WRITERS = "a development version before 0.1.0"


class Meta(Struct, frozen=True, kw_only=True):
    """The meta record. `deployment` is a UUID, created once: another UUID means other data. `repartitioning` is the new
    number of partitions while `witnd repartition` is not finished."""

    deployment: str
    partitions: int
    format: int
    repartitioning: int | None = None


async def open_meta(client: Redis, keys: GlobalKeys, partitions: int) -> Meta:
    """Return the record, and create it at the first start. Raise `Unsafe` or `ConfigError` if it does not fit this
    program and configuration, or is missing although data exists.
    """
    found = await read_meta(client, keys, partitions)
    if found is not None:
        return found
    with redis_errors():
        call = client.eval(_OPEN, 1, keys.meta, str(FORMAT), str(uuid4()), str(partitions))
        fields = await cast("Awaitable[list[bytes | None]]", call)
    return _check_partitions(_check_record(fields, keys), keys, partitions)


async def read_meta(client: Redis, keys: GlobalKeys, partitions: int) -> Meta | None:
    """Return the record, or None before the first start. Raises the same errors as `open_meta`."""
    meta = await recorded_meta(client, keys, partitions)
    return None if meta is None else _check_partitions(meta, keys, partitions)


async def recorded_meta(client: Redis, keys: GlobalKeys, partitions: int) -> Meta | None:
    """Return the record, or None before the first start, whatever number of partitions it has."""
    fields = await _fields(client, keys)
    if fields == _NONE:
        names = deployment_keys(keys.prefix, partitions)
        with redis_errors():
            async with client.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.exists(name)
                exist = await pipeline.execute()
        # A daemon that starts for the first time now writes meta before all other keys.
        fields = await _fields(client, keys)
        if fields == _NONE:
            _refuse_orphans(keys, [name for name, exists in zip(names, exist, strict=True) if exists])
            return None
    return _check_record(fields, keys)


async def begin_repartition(client: Redis, keys: GlobalKeys, partitions: int) -> None:
    """Record that a repartition began. No daemon and no other command starts until it is finished."""
    with redis_errors():
        await client.hset(keys.meta, "repartitioning", str(partitions))


async def finish_repartition(client: Redis, keys: GlobalKeys, partitions: int) -> None:
    """Record the new number of partitions."""
    with redis_errors():
        async with client.pipeline(transaction=True) as writes:
            writes.hset(keys.meta, "partitions", str(partitions))
            writes.hdel(keys.meta, "repartitioning")
            await writes.execute()


async def _fields(client: Redis, keys: GlobalKeys) -> list[bytes | None]:
    with redis_errors():
        # A pipeline, because its errors name the key.
        async with client.pipeline(transaction=False) as reads:
            reads.hmget(keys.meta, ["format", "deployment", "partitions", "repartitioning"])
            [found] = await reads.execute()
    return cast("list[bytes | None]", found)


def _refuse_orphans(keys: GlobalKeys, names: list[str]) -> None:
    if names:
        raise Unsafe(
            f"the key {keys.meta} is lost, but Redis has data of a deployment: {', '.join(names)}",
            "restore a backup that has all keys, or use another redis.prefix for a new deployment",
        )


def _check_record(found: list[bytes | None], keys: GlobalKeys) -> Meta:
    try:
        fmt, deployment, recorded = (value.decode() for value in found[:3] if value is not None)
        wanted = None if found[3] is None else int(found[3])
        meta = Meta(deployment=deployment, partitions=int(recorded), format=int(fmt), repartitioning=wanted)
    except ValueError as error:
        raise Unsafe(
            f"the key {keys.meta} is damaged: {found}",
            "restore it from a backup, or use another redis.prefix for a new deployment",
        ) from error
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
    return meta


def _check_partitions(meta: Meta, keys: GlobalKeys, partitions: int) -> Meta:
    if meta.repartitioning is not None:
        raise Unsafe(
            f"the repartition from {meta.partitions} to {meta.repartitioning} partitions is not finished "
            f"({keys.meta}, field repartitioning)",
            f"run `witnd repartition {meta.repartitioning}` again",
        )
    if meta.partitions != partitions:
        raise ConfigError(
            [
                Mistake(
                    "redis.partitions",
                    f"is {partitions}, but this deployment has {meta.partitions}",
                    f"set it to {meta.partitions}: only `witnd repartition` changes the number, and this setting "
                    "follows; or use another redis.prefix for a new deployment",
                )
            ]
        )
    return meta
