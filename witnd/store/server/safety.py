"""Checks whether a Redis may be billed from: a master, persistent, never evicting, with a clock near the host's.

The checks use `INFO` and `CONFIG`. If one of them is not allowed, they use what is readable.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis

from witnd.endpoint import Mode
from witnd.settings import Durability
from witnd.store.errors import Loading, StoreRefused, Unsafe
from witnd.store.server.connection import CLUSTER, NOT_A_CLUSTER, SENTINEL, is_permission, redis_errors

CLOCK_MS_MAX = 60_000  # synchronised hosts differ by milliseconds; a minute is a wrong clock

# The oldest version with all commands that witnd needs, and the first version with WAITAOF.
OLDEST = (7, 0)
WAITAOF_FROM = (7, 2)
OTHER_DURABILITY = "choose another redis.durability"

Ask = Callable[..., Awaitable[list[Any]]]


class Problem(NamedTuple):
    reason: str
    remedy: str


class Health(NamedTuple):
    """What a server reports: fields of INFO and CONFIG, and its clock in ms.

    `mode` is that of redis.url. `denied`: which of INFO and CONFIG the user may not run.
    """

    info: Mapping[str, str]
    config: Mapping[str, str]
    now_ms: int
    mode: Mode = "single"
    denied: tuple[str, ...] = ()


async def read_health(ask: Ask, mode: Mode = "single") -> Health:
    """Read the state of a server. Raises `Loading` while it is loading, when its fields are not yet right."""
    denied: list[str] = []
    try:
        fields = read_info((await ask(("INFO",)))[0])
    except StoreRefused as refused:
        if not is_permission(refused):
            raise
        denied.append("INFO")
        fields = {}
    if kind_problems(fields, mode):
        return Health(fields, {}, 0, mode)  # a Sentinel does not even have TIME
    if fields.get("loading", "0") == "1":
        raise Loading("Redis is still loading its data", "wait until it has finished")
    clock = (await ask(("TIME",)))[0]
    config: dict[str, str] = {}
    for name in ("save", "appendfsync", "no-appendfsync-on-rewrite"):
        try:
            answer = (await ask(("CONFIG", "GET", name)))[0]
        except (StoreRefused, Unsafe):  # not allowed, or the server has no CONFIG
            denied = list(dict.fromkeys([*denied, "CONFIG"]))
            continue
        if len(answer) == 2:
            config[name] = answer[1].decode()
    return Health(fields, config, int(clock[0]) * 1000 + int(clock[1]) // 1000, mode, tuple(denied))


async def check_kind(client: Redis, mode: Mode = "single") -> None:
    """Raise `Unsafe` for a kind of server that redis.url does not describe. Accept one that does not allow INFO."""
    with redis_errors():
        await client.ping()
    try:
        with redis_errors():
            info = await client.info()
    except StoreRefused:
        return
    raise_problems(kind_problems({name: str(value) for name, value in info.items()}, mode))


def read_info(reply: bytes) -> dict[str, str]:
    """Return the fields of a reply to INFO."""
    lines = (line.partition(":") for line in reply.decode(errors="replace").splitlines())
    return {name: value.strip() for name, colon, value in lines if colon}


def version(info: Mapping[str, str]) -> tuple[int, ...]:
    """Return the version of Redis, or the Redis version that Valkey is compatible with; () if unknown."""
    return tuple(map(int, re.findall(r"\d+", info.get("redis_version", ""))[:2]))


def kind_problems(info: Mapping[str, str], mode: Mode = "single") -> list[Problem]:
    """Return why witnd cannot use this kind of server. `mode` is that of redis.url."""
    found = mode_problems(info, mode)
    current = version(info)
    if current and current < OLDEST and SENTINEL not in found:
        found.append(
            Problem(f"it is Redis {info['redis_version']}, which is too old", "use Redis or Valkey 7.0 or later")
        )
    return found


def mode_problems(info: Mapping[str, str], mode: Mode = "single") -> list[Problem]:
    """Return why redis.url, which is of this mode, does not fit the server."""
    kind = info.get("server_mode") or info.get("redis_mode")  # Valkey's name, then Redis's
    if kind == "sentinel":
        return [Problem(*SENTINEL)]
    is_node = info.get("cluster_enabled", "0") == "1" or kind == "cluster"
    if is_node and mode != "cluster":
        return [Problem(*CLUSTER)]
    if info and not is_node and mode == "cluster":
        return [Problem(f"it {NOT_A_CLUSTER[0]}", NOT_A_CLUSTER[1])]
    return []


def durability_problem(health: Health, durability: Durability) -> Problem | None:
    """Return why the server cannot provide `redis.durability` at the moment, or None."""
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
        if info and version(info) < WAITAOF_FROM and health.config.get("appendfsync", "always") != "always":
            return Problem(
                f'redis.durability is "{durability}", but this server supports neither WAITAOF nor '
                "`appendfsync always`",
                f"set `appendfsync always` on the server, use Redis or Valkey 7.2 or later, or {OTHER_DURABILITY}",
            )
    if durability.mode == "replica" and info and (online := replicas(info)) < durability.replicas:
        return Problem(
            f'redis.durability is "{durability}", but Redis has {online} of {durability.replicas} replicas in sync',
            f"restore its replicas, or {OTHER_DURABILITY}",
        )
    return None


def replicas(info: Mapping[str, str]) -> int:
    """Return the number of replicas in sync."""
    return sum("state=online" in value for name, value in info.items() if re.fullmatch(r"slave\d+", name))


def problems(health: Health, durability: Durability | None = None) -> list[Problem]:
    """Return why this server must not be billed from; an empty list if nothing is wrong.

    With `durability`, also check that events are kept on disk as configured. Missing replicas do not stop settlement:
    new events are refused, and stored ones are safe.
    """
    if found := kind_problems(health.info, health.mode):
        return found
    info = health.info
    role = info.get("role", "master").strip()
    if role != "master":
        found.append(Problem("Redis is a replica", "point redis.url at the primary"))
    if info.get("aof_enabled", "1").strip() == "0" and not health.config.get("save", "?"):
        found.append(
            Problem(
                "Redis stores nothing on disk (no append-only file, no snapshots)",
                "set `appendonly yes` on the server",
            )
        )
    if info.get("aof_last_write_status", "ok").strip() != "ok":
        found.append(Problem("Redis cannot write its append-only file", "free space or repair its disk"))
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
    """Return allowed settings that an operator should know about."""
    found = []
    if health.denied:
        names = " and ".join(health.denied)
        unchecked = "its persistence, eviction and role" if "INFO" in health.denied else "how it syncs its file"
        found.append(
            Problem(
                f"the Redis user may not run {names}, so witnd cannot check {unchecked}",
                f"allow {names} for the user, or check these settings yourself",
            )
        )
    if health.info.get("aof_enabled", "1").strip() == "0":
        found.append(
            Problem(
                "Redis only takes snapshots: a crash of the server loses everything since the last one",
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
    """Return the problem with a server clock that differs from this host's by `off_ms`, or None."""
    if abs(off_ms) <= CLOCK_MS_MAX:
        return None
    return Problem(
        f"the clocks of Redis and of this host differ by {off_ms / 1000:+.0f} s",
        "correct the wrong one; outcomes settle by the clock of Redis",
    )


def raise_problems(found: Sequence[Problem]) -> None:
    """Raise `Unsafe` with all the problems, if there are any."""
    if found:
        raise Unsafe("; ".join(problem.reason for problem in found), "; ".join(problem.remedy for problem in found))
