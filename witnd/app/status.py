"""A quick summary of Redis health and stream sizes. For a full check, run `witnd doctor`.

Both use the daemon's own checks to decide whether Redis is safe to bill from.
"""

from collections.abc import Mapping
from functools import partial
from typing import Final

from msgspec import Struct

from witnd.app.services import Services
from witnd.store.errors import StoreRefused, StoreUnavailable, Unsafe
from witnd.store.query.reads import open_reads
from witnd.store.server import safety
from witnd.store.server.safety import Health, Problem

ANSWER_SECONDS: Final = 3.0
# Partitions that are listed one by one; of the others, the sums tell.
LISTED: Final = 16


class Redis(Struct, frozen=True, kw_only=True):
    """`problems`: why Redis is not safe to bill from; `warnings`: risks that are allowed. `limit` in bytes, 0 for
    none."""

    name: str
    version: str
    persistence: str
    memory: int
    limit: int
    uptime_seconds: int
    replicas: int
    problems: list[Problem]
    warnings: list[Problem]


class Streams(Struct, frozen=True, kw_only=True):
    """The number of stored entries. `partition` is None for the total of all."""

    partition: int | None
    events: int
    resolutions: int
    lines: int


class Standing(Struct, frozen=True, kw_only=True):
    """`streams`: the first partitions, then the total of all. `changes`: the change log."""

    redis: Redis
    streams: list[Streams]
    changes: int


async def standing(services: Services) -> Standing | str:
    """Return the summary, read on one connection, or the reason why it is not available."""
    try:
        async with open_reads(services.server) as reads:
            health = await safety.read_health(
                partial(reads.connection.ask, seconds=ANSWER_SECONDS), services.server.mode
            )
            wanted = [("XLEN", services.keys.changes)]
            for keys in services.partitions:
                wanted += [("XLEN", keys.events), ("XLEN", keys.resolutions), ("XLEN", keys.lines)]
            changes, *sizes = await reads.pipeline(*wanted)
    except (StoreUnavailable, StoreRefused, Unsafe) as away:
        return str(away)
    rows = [sizes[at : at + 3] for at in range(0, len(sizes), 3)]
    streams = [
        Streams(partition=keys.partition, events=row[0], resolutions=row[1], lines=row[2])
        for keys, row in zip(services.partitions[:LISTED], rows, strict=False)
    ]
    events, resolutions, lines = map(sum, zip(*rows, strict=True))
    whole = Streams(partition=None, events=events, resolutions=resolutions, lines=lines)
    return Standing(redis=_redis(health, services.now_ms()), streams=[*streams, whole], changes=changes)


def _redis(health: Health, now_ms: int) -> Redis:
    # A Valkey tells the version of Redis that it does not differ from, too.
    info = {name: value.strip() for name, value in health.info.items()}
    valkey = "valkey_version" in info
    clock = safety.clock_problem(health, now_ms)
    return Redis(
        name="Valkey" if valkey else info.get("server_name", "redis").capitalize(),
        version=info.get("valkey_version") or info.get("redis_version", "unknown"),
        persistence=_persistence(info, health.config),
        memory=_number(info, "used_memory"),
        limit=_number(info, "maxmemory"),
        uptime_seconds=_number(info, "uptime_in_seconds"),
        replicas=_number(info, "connected_slaves"),
        problems=[*safety.problems(health), *([clock] if clock else [])],
        warnings=safety.warnings(health),
    )


def _persistence(info: Mapping[str, str], config: Mapping[str, str]) -> str:
    if info.get("aof_enabled", "1") == "0":
        return "snapshots only" if config.get("save", "?") else "nothing is kept on disk"
    syncs = config.get("appendfsync")
    return "append-only file" + (f", synced {_SYNCS.get(syncs, syncs)}" if syncs else "")


_SYNCS: Final[Mapping[str, str]] = {
    "always": "with every write",
    "everysec": "every second",
    "no": "when the operating system does so",
}


def _number(info: Mapping[str, str], name: str) -> int:
    text = info.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() else 0
