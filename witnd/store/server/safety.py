"""Whether a Redis may be billed from: master, persistent, never evicting, and its clock near the host's.

Judged from what `INFO` and `CONFIG` tell. A server that hides its configuration is judged by what it does tell.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis

from witnd.settings import Durability
from witnd.store.errors import StoreRefused, Unsafe
from witnd.store.server.connection import CLUSTER, SENTINEL, redis_errors

CLOCK_MS_MAX = 60_000  # hosts that synchronise differ by milliseconds; a minute is a clock set wrong

# What witnd's scripts and commands need, and what has WAITAOF.
OLDEST = (7, 0)
WAITAOF_FROM = (7, 2)
OTHER_DURABILITY = "choose another redis.durability"

Ask = Callable[..., Awaitable[list[Any]]]


class Problem(NamedTuple):
    reason: str
    remedy: str


class Health(NamedTuple):
    """What the server tells of itself."""

    info: Mapping[str, str]
    config: Mapping[str, str]
    now_ms: int


async def read_health(ask: Ask) -> Health:
    """Raises `StoreRefused` for a server that is still loading: until it has, it says that it keeps nothing."""
    fields = read_info((await ask(("INFO",)))[0])
    if kind_problems(fields):
        return Health(fields, {}, 0)  # a Sentinel does not even have TIME
    if fields.get("loading", "0") == "1":
        raise StoreRefused("Redis is still loading its data", "wait until it has finished")
    clock = (await ask(("TIME",)))[0]
    config: dict[str, str] = {}
    for name in ("save", "appendfsync", "no-appendfsync-on-rewrite"):
        try:
            answer = (await ask(("CONFIG", "GET", name)))[0]
        except (StoreRefused, Unsafe):  # not allowed, or a server without CONFIG
            continue
        if len(answer) == 2:
            config[name] = answer[1].decode()
    return Health(fields, config, int(clock[0]) * 1000 + int(clock[1]) // 1000)


async def check_kind(client: Redis) -> None:
    """Refuse a server that witnd cannot work with. One whose user may not ask what it is may be used."""
    with redis_errors():
        await client.ping()
    try:
        with redis_errors():
            info = await client.info()
    except StoreRefused:
        return
    raise_problems(kind_problems({name: str(value) for name, value in info.items()}))


def read_info(reply: bytes) -> dict[str, str]:
    """The fields of a reply to INFO."""
    lines = (line.partition(":") for line in reply.decode(errors="replace").splitlines())
    return {name: value.strip() for name, colon, value in lines if colon}


def version(info: Mapping[str, str]) -> tuple[int, ...]:
    """The version of Redis, for Valkey the one it is compatible with; () where it is not told."""
    return tuple(map(int, re.findall(r"\d+", info.get("redis_version", ""))[:2]))


def kind_problems(info: Mapping[str, str]) -> list[Problem]:
    """Why witnd cannot work with this kind of server at all."""
    mode = info.get("server_mode") or info.get("redis_mode")  # Valkey has another name for it
    if mode == "sentinel":
        return [Problem(*SENTINEL)]
    found = []
    if info.get("cluster_enabled", "0") == "1" or mode == "cluster":
        found.append(Problem(*CLUSTER))
    told = version(info)
    if told and told < OLDEST:
        found.append(
            Problem(f"it is Redis {info['redis_version']}, which is too old", "use Redis or Valkey from 7.0 on")
        )
    return found


def durability_problem(health: Health, durability: Durability) -> Problem | None:
    """Why the server cannot keep the promise of `redis.durability` at the moment."""
    info = health.info
    if durability.mode == "fsync":
        if info.get("aof_enabled", "1") == "0":
            return Problem(
                f'redis.durability is "{durability}", but Redis has no append-only file (appendonly no)',
                f"set `appendonly yes` on the server, or {OTHER_DURABILITY}",
            )
        if health.config.get("appendfsync") == "no":
            return Problem(
                f'redis.durability is "{durability}", but Redis leaves syncing to the system (appendfsync no)',
                f"set `appendfsync everysec` or `always` on the server, or {OTHER_DURABILITY}",
            )
        if version(info) < WAITAOF_FROM and health.config.get("appendfsync", "always") != "always":
            return Problem(
                f'redis.durability is "{durability}", but this server supports neither WAITAOF nor '
                "`appendfsync always`",
                f"set `appendfsync always` on the server, use Redis or Valkey from 7.2 on, or {OTHER_DURABILITY}",
            )
    if durability.mode == "replica" and (online := replicas(info)) < durability.replicas:
        return Problem(
            f'redis.durability is "{durability}", but Redis has {online} of {durability.replicas} replicas in sync',
            f"bring its replicas back, or {OTHER_DURABILITY}",
        )
    return None


def replicas(info: Mapping[str, str]) -> int:
    """The number of replicas in sync."""
    return sum("state=online" in value for name, value in info.items() if re.fullmatch(r"slave\d+", name))


def problems(health: Health, durability: Durability | None = None) -> list[Problem]:
    """Why this server must not be billed from; nothing is wrong where it is empty.

    With `durability`, also that events cannot be kept on disk as promised. Replicas that are missing do not stop
    settlement: new events are refused, and those that are there are safe.
    """
    if found := kind_problems(health.info):
        return found
    info = health.info
    role = info.get("role", "master").strip()
    if role != "master":
        found.append(Problem("Redis is a replica", "point redis.url at the primary"))
    if info.get("aof_enabled", "1").strip() == "0" and not health.config.get("save", "?"):
        found.append(
            Problem(
                "Redis keeps nothing on disk (no append-only file, no snapshots)",
                "set `appendonly yes` on the server",
            )
        )
    if info.get("aof_last_write_status", "ok").strip() != "ok":
        found.append(Problem("Redis cannot write its append-only file", "free space or mend its disk"))
    policy = info.get("maxmemory_policy", "noeviction").strip()
    if policy != "noeviction":
        found.append(
            Problem(
                f"Redis evicts keys when memory is short (maxmemory-policy {policy})",
                "set `maxmemory-policy noeviction` on the server",
            )
        )
    if durability is not None and durability.mode == "fsync" and (broken := durability_problem(health, durability)):
        found.append(broken)
    return found


def warnings(health: Health) -> list[Problem]:
    """What is allowed and should be known."""
    found = []
    if health.info.get("aof_enabled", "1").strip() == "0":
        found.append(
            Problem(
                "Redis only takes snapshots: a crash of the server loses everything since the last",
                "set `appendonly yes` on the server",
            )
        )
    if health.config.get("no-appendfsync-on-rewrite") == "yes":
        found.append(
            Problem(
                "Redis does not sync its file while it rewrites it: up to 30 s can be lost",
                "set `no-appendfsync-on-rewrite no` on the server",
            )
        )
    return found


def clock_problem(health: Health, host_ms: int) -> Problem | None:
    return clock_difference(health.now_ms - host_ms)


def clock_difference(off_ms: int) -> Problem | None:
    """Why the server's clock, which differs from this host's by so much, must not be billed by."""
    if abs(off_ms) <= CLOCK_MS_MAX:
        return None
    return Problem(
        f"the clocks of Redis and of this host differ by {off_ms / 1000:+.0f} s",
        "correct the wrong one; outcomes are settled by the clock of Redis",
    )


def raise_problems(found: Sequence[Problem]) -> None:
    """Raise `Unsafe` with all that is wrong."""
    if found:
        raise Unsafe("; ".join(one.reason for one in found), "; ".join(one.remedy for one in found))
