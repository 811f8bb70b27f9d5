"""Check the Redis server: whether it is safe to bill from, and fast enough.

`store.server.safety` decides what makes the daemon refuse a server.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from witnd.config import Config
from witnd.doctor.check import Check, count, note, ok, problem, span, warning
from witnd.doctor.probe import Server
from witnd.settings import Durability
from witnd.store.server import safety
from witnd.store.server.clients import SHARED_CONNECTIONS

# A commit waits for one round trip: noticeable from here on, and dominant from here on.
SLOW_MS: Final = 5.0
SLOWEST_MS: Final = 50.0
STALL_MS: Final = 250.0
FORK_MS: Final = 500
FULL: Final = 0.9
CLIENTS_PER_PARTITION: Final = 4
CLIENTS_SHARED: Final = SHARED_CONNECTIONS
_ERRORS: Final = {
    "MISCONF": ("it could not write to its disk", "free disk space, and check the server's log"),
    "OOM": ("it was at its memory limit", "raise maxmemory, or trim logs that witnd has processed"),
    "NOREPLICAS": ("it had too few replicas", "reconnect its replicas"),
    "BUSY": (
        "a script ran for too long",
        "find the program that runs long scripts, and use a separate server for witnd",
    ),
}


def check_server(server: Server, config: Config) -> Iterator[Check]:
    """Check everything except reachability and the clock."""
    yield _kind(server)
    yield from _mode(server)
    if safety.kind_problems(server.info, server.health.mode):
        return
    if server.loading:
        # Its other values are not valid yet.
        yield problem(
            "redis", "loading", "still loading its data", "wait until it has finished, then run `witnd doctor` again"
        )
        return
    yield from _safety(server)
    yield from _persistence(server, config.redis.durability)
    yield from _saving(server)
    yield _memory(server)
    yield from _replicas(server, config.redis.durability)
    yield _clients(server, config.redis.partitions)
    yield _latency(server)
    yield _rights(server)
    yield from _delays(server)
    yield from _refusals(server)


def number(server: Server, name: str) -> int:
    text = server.info.get(name, "")
    return int(text) if text.lstrip("-").isdigit() else 0


def _kind(server: Server) -> Check:
    info = server.info
    version = info.get("valkey_version") or info.get("redis_version", "")
    name = info.get("server_name", "redis").capitalize()
    kind = f"{'Valkey' if 'valkey_version' in info else name} {version or 'of an unknown version'}"
    if (told := safety.version(info)) and told < safety.OLDEST:
        return problem("redis", "version", kind, "use Redis or Valkey 7.0 or later")
    if "valkey_version" not in info and name != "Redis":
        return note("redis", "version", kind, "witnd is tested with Redis and Valkey only")
    return ok("redis", "version", kind)


def _mode(server: Server) -> Iterator[Check]:
    for one in safety.mode_problems(server.info, server.health.mode):
        yield problem("redis", "mode", one.reason, one.remedy)


def _safety(server: Server) -> Iterator[Check]:
    """Yield what the daemon refuses; else its warnings; else ok."""
    judged = list(_unsafe(server))
    lost = any(one.name == "persistence" and one.state == "problem" for one in judged)
    risks = [] if lost else safety.warnings(server.health)
    yield from (one for one in judged if not (risks and one.name == "persistence"))
    for risk in risks:
        yield warning("redis", "persistence", risk.reason, risk.remedy)


def _unsafe(server: Server) -> Iterator[Check]:
    """Check each value separately, so that each one gets a line."""
    seen = set()
    for name, fields, settings, fine in _TOPICS:
        health = safety.Health(
            {field: server.info[field] for field in fields if field in server.info},
            {setting: server.health.config[setting] for setting in settings if setting in server.health.config},
            server.health.now_ms,
        )
        found = safety.problems(health)
        seen.update(found)
        for one in found:
            yield problem("redis", name, one.reason, one.remedy)
        if not found:
            yield ok("redis", name, fine(server))
    for one in safety.problems(server.health):
        if one not in seen:
            yield problem("redis", "safety", one.reason, one.remedy)


def _on_disk(server: Server) -> str:
    return "append-only file" if _appends(server) else "snapshots"


def _append_file_text(server: Server) -> str:
    return f"written without errors, {_size(number(server, 'aof_current_size'))}" if _appends(server) else "none"


def _appends(server: Server) -> bool:
    return server.info.get("aof_enabled", "1") == "1"


_TOPICS: Final[tuple[tuple[str, tuple[str, ...], tuple[str, ...], Callable[[Server], str]], ...]] = (
    ("role", ("role",), (), lambda server: server.info.get("role", "unknown; assuming primary")),
    ("persistence", ("aof_enabled",), ("save",), _on_disk),
    ("append-only file", ("aof_last_write_status",), (), _append_file_text),
    (
        "eviction",
        ("maxmemory_policy",),
        (),
        lambda server: server.info.get("maxmemory_policy", "unknown; assuming noeviction"),
    ),
)


def _persistence(server: Server, durability: Durability) -> Iterator[Check]:
    if not server.open_config:
        yield note(
            "redis",
            "settings",
            "the user cannot read the settings (CONFIG GET); checked against INFO only",
            "allow the user `config|get`, or check the settings yourself",
        )
    syncs = server.health.config.get("appendfsync")
    appends = _appends(server)
    found = f"durability {durability}, appendfsync {syncs or 'unknown'}"
    broken = safety.durability_problem(server.health, durability)
    if broken is not None and durability.mode == "fsync":
        yield problem("redis", "durability", broken.reason, broken.remedy)
    elif syncs == "no" and appends and durability.mode != "fsync":
        yield warning(
            "redis",
            "durability",
            f"{found}: a crash of the machine can lose the events of the last 30 s",
            "set `appendfsync everysec` or `always` on the server",
        )
    else:
        yield ok("redis", "durability", found)


def _saving(server: Server) -> Iterator[Check]:
    """Check background jobs."""
    config = server.health.config
    if server.info.get("rdb_last_bgsave_status", "ok") != "ok":
        stops = config.get("save") != "" and config.get("stop-writes-on-bgsave-error", "yes") == "yes"
        tell, what = (problem, "the last snapshot failed, so Redis refuses writes") if stops else (
            warning, "the last snapshot failed",
        )  # fmt: skip
        yield tell("redis", "snapshots", what, "free disk space, and check the server's log")
    if server.info.get("aof_last_bgrewrite_status", "ok") != "ok":
        remedy = "free disk space and memory for the rewrite, and check the server's log"
        yield warning("redis", "append-only file", "the last rewrite failed, so the file keeps growing", remedy)
    elif server.info.get("aof_rewrite_in_progress", "0") == "1":
        yield note("redis", "append-only file", "a rewrite is running; it needs extra memory and disk space")


def _memory(server: Server) -> Check:
    used = number(server, "used_memory") - number(server, "mem_not_counted_for_evict")
    most, whole = number(server, "maxmemory"), number(server, "total_system_memory")
    text = f"{_size(used)} of {_size(most)} (maxmemory)" if most else f"{_size(used)}, without a limit"
    if most and used >= most:
        return problem(
            "redis", "memory", f"{text}: Redis refuses writes", "raise maxmemory, or trim logs that witnd has processed"
        )
    if used >= FULL * (most or whole or used + 1):
        on = "" if most else f" on a machine of {_size(whole)}"
        return warning("redis", "memory", text + on, "add memory, or trim logs that witnd has processed")
    return ok("redis", "memory", text)


def _size(value: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value / 1024:.0f} KiB"


def _replicas(server: Server, durability: Durability) -> Iterator[Check]:
    online = safety.replicas(server.info)
    text = server.health.config.get("min-replicas-to-write", "0")
    least = int(text) if text.isdigit() else 0
    found = f"{count(online, 'replica')} in sync"
    if online < least:
        what = f"{found}, and min-replicas-to-write is {least}: Redis refuses writes"
        yield problem("redis", "replicas", what, "reconnect the replicas, or lower min-replicas-to-write")
    elif (broken := safety.durability_problem(server.health, durability)) and durability.mode == "replica":
        yield problem("redis", "replicas", broken.reason, broken.remedy)
    elif durability.mode == "replica" or online:
        yield ok("redis", "replicas", found)


def _clients(server: Server, partitions: int) -> Check:
    most = number(server, "maxclients") or int(server.health.config.get("maxclients", "0"))
    now = number(server, "connected_clients")
    needed = CLIENTS_SHARED + CLIENTS_PER_PARTITION * partitions
    found = f"{now} of {most or 'an unknown limit'}"
    if most and (now >= FULL * most or most < needed):
        what = found if most >= needed else f"{found}; a daemon can need {needed}"
        return warning("redis", "clients", what, "raise maxclients on the server")
    return ok("redis", "clients", found)


def _latency(server: Server) -> Check:
    trips = server.round_trips
    found = f"median {server.median_ms:.2f} ms, maximum {max(trips):.2f} ms, {len(trips)} round trips"
    if server.median_ms >= SLOWEST_MS:
        return warning("redis", "latency", found, "run the daemon closer to the server: each commit is a round trip")
    if server.median_ms >= SLOW_MS or max(trips) >= STALL_MS:
        return note("redis", "latency", found, "if events wait, check the load of both machines")
    return ok("redis", "latency", found)


def _rights(server: Server) -> Check:
    who = f"user {server.user}"
    see = "see docs/how-to/run-in-production.md"
    if server.missing:
        found = f"the server does not have {', '.join(server.missing)}"
        return problem("redis", "commands", found, "use Redis or Valkey 7.0 or later, without renamed commands")
    if server.refused:
        found = f"{who} is not allowed to run {', '.join(server.refused)} on the keys of witnd"
        return problem("redis", "commands", found, f"allow these commands and keys: {see}")
    if server.refused is None:
        found = f"{who} is not allowed to check its permissions (ACL DRYRUN)"
        return note("redis", "commands", found, f"compare its permissions with the documentation: {see}")
    return ok("redis", "commands", f"{who} is allowed to run every command that witnd needs")


def _delays(server: Server) -> Iterator[Check]:
    """Check what delays the server."""
    fork_ms = number(server, "latest_fork_usec") // 1000
    if fork_ms >= FORK_MS:
        found = f"the last fork, for a snapshot or rewrite, blocked Redis for {span(fork_ms)}"
        yield note("redis", "delays", found, "use a machine with less memory in use, or with faster forks")
    if delayed := number(server, "aof_delayed_fsync"):
        found = f"{count(delayed, 'write')} waited for a sync of the append-only file since the server started"
        yield note("redis", "delays", found, "use a faster or separate disk for the append-only file")
    idle = server.health.config.get("timeout", "0")
    if idle.isdigit() and 0 < int(idle) < 60:
        found = f"Redis closes connections that are idle for {idle} s"
        yield note("redis", "delays", found, "set `timeout 0` on the server")


def _refusals(server: Server) -> Iterator[Check]:
    """Check what the server has refused since it started, to any client."""
    for word, (why, remedy) in _ERRORS.items():
        times = re.search(r"count=(\d+)", server.info.get(f"errorstat_{word}", ""))
        if times:
            calls = count(int(times[1]), "call")
            yield note(
                "redis", "refusals", f"Redis refused {calls} since it started: {why}", f"if this continues: {remedy}"
            )
