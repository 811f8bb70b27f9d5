"""What `witnd doctor` makes of a server's answers: may it be billed from, and is it fit to.

What makes the daemon refuse a server is asked of the daemon's own judge, `store.safety`, figure by figure.
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

# A commit waits for one round trip: from here on it is felt, and from here on it rules.
SLOW_MS: Final = 5.0
SLOWEST_MS: Final = 50.0
STALL_MS: Final = 250.0
FORK_MS: Final = 500
FULL: Final = 0.9
CLIENTS_PER_PARTITION: Final = 4
CLIENTS_SHARED: Final = SHARED_CONNECTIONS
_ERRORS: Final = {
    "MISCONF": ("it could not write to its disk", "free space on its disk or mend it, and read the server's log"),
    "OOM": ("it was at its memory limit", "raise maxmemory, or trim logs that are applied"),
    "NOREPLICAS": ("it had too few replicas", "bring its replicas back"),
    "BUSY": ("a script ran for too long", "see which program runs long scripts there, and give witnd its own server"),
}


def judge(server: Server, config: Config) -> Iterator[Check]:
    """Everything but whether it answers at all, and its clock."""
    yield _kind(server)
    yield from _mode(server)
    if safety.kind_problems(server.info):
        return
    if server.loading:
        # Its other figures are not true yet: it says that it has no append-only file, for one.
        yield problem("redis", "loading", "it is still loading its data", "wait until it has finished, then ask again")
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
        return problem("redis", "version", kind, "use Redis or Valkey from 7.0 on")
    if "valkey_version" not in info and name != "Redis":
        return note("redis", "version", kind, "witnd is tested with Redis and Valkey only")
    return ok("redis", "version", kind)


def _mode(server: Server) -> Iterator[Check]:
    for one in safety.kind_problems(server.info):
        if "too old" not in one.reason:  # the version has a line of its own
            yield problem("redis", "mode", one.reason, one.remedy)


def _safety(server: Server) -> Iterator[Check]:
    """What the daemon refuses, else what it warns of, else that all is well."""
    judged = list(_unsafe(server))
    lost = any(one.name == "persistence" and one.state == "problem" for one in judged)
    risks = [] if lost else safety.warnings(server.health)
    yield from (one for one in judged if not (risks and one.name == "persistence"))
    for risk in risks:
        yield warning("redis", "persistence", risk.reason, risk.remedy)


def _unsafe(server: Server) -> Iterator[Check]:
    """What the daemon refuses, each figure judged for itself, so that every one has a line of its own."""
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


def _written(server: Server) -> str:
    return f"written without errors, {_size(number(server, 'aof_current_size'))}" if _appends(server) else "none"


def _appends(server: Server) -> bool:
    return server.info.get("aof_enabled", "1") == "1"


_TOPICS: Final[tuple[tuple[str, tuple[str, ...], tuple[str, ...], Callable[[Server], str]], ...]] = (
    ("role", ("role",), (), lambda server: server.info.get("role", "not told, taken for a primary")),
    ("persistence", ("aof_enabled",), ("save",), _on_disk),
    ("append-only file", ("aof_last_write_status",), (), _written),
    (
        "eviction",
        ("maxmemory_policy",),
        (),
        lambda server: server.info.get("maxmemory_policy", "not told, taken for noeviction"),
    ),
)


def _persistence(server: Server, durability: Durability) -> Iterator[Check]:
    if not server.open_config:
        yield note(
            "redis",
            "settings",
            "it does not tell its settings; judged by what INFO tells",
            "let the user run `config|get`, or see its settings yourself",
        )
    syncs = server.health.config.get("appendfsync")
    appends = _appends(server)
    found = f"durability {durability}, appendfsync {syncs or 'not told'}"
    broken = safety.durability_problem(server.health, durability)
    if broken is not None and durability.mode == "fsync":
        yield problem("redis", "durability", broken.reason, broken.remedy)
    elif syncs == "no" and appends and durability.mode != "fsync":
        yield warning(
            "redis",
            "durability",
            f"{found}: a crash of the machine can lose half a minute of events",
            "set `appendfsync everysec` or `always` on the server",
        )
    else:
        yield ok("redis", "durability", found)


def _saving(server: Server) -> Iterator[Check]:
    """What failed in the background."""
    config = server.health.config
    if server.info.get("rdb_last_bgsave_status", "ok") != "ok":
        stops = config.get("save") != "" and config.get("stop-writes-on-bgsave-error", "yes") == "yes"
        tell, what = (problem, "its last snapshot failed, so it refuses writes") if stops else (
            warning, "its last snapshot failed",
        )  # fmt: skip
        yield tell("redis", "snapshots", what, "free space or mend its disk, and read the server's log")
    if server.info.get("aof_last_bgrewrite_status", "ok") != "ok":
        remedy = "free space on its disk and memory for the rewrite, and read the server's log"
        yield warning("redis", "append-only file", "its last rewrite failed, so the file grows", remedy)
    elif server.info.get("aof_rewrite_in_progress", "0") == "1":
        yield note("redis", "append-only file", "it is being rewritten, which costs memory and disk meanwhile")


def _memory(server: Server) -> Check:
    used = number(server, "used_memory") - number(server, "mem_not_counted_for_evict")
    most, whole = number(server, "maxmemory"), number(server, "total_system_memory")
    text = f"{_size(used)} of {_size(most)} (maxmemory)" if most else f"{_size(used)}, without a limit"
    if most and used >= most:
        return problem(
            "redis", "memory", f"{text}: it refuses writes", "raise maxmemory, or trim logs that are applied"
        )
    if used >= FULL * (most or whole or used + 1):
        on = "" if most else f" on a machine of {_size(whole)}"
        return warning("redis", "memory", text + on, "give it more memory, or trim logs that are applied")
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
        what = f"{found}, and min-replicas-to-write is {least}: it refuses writes"
        yield problem("redis", "replicas", what, "bring its replicas back, or lower min-replicas-to-write")
    elif (broken := safety.durability_problem(server.health, durability)) and durability.mode == "replica":
        yield problem("redis", "replicas", broken.reason, broken.remedy)
    elif durability.mode == "replica" or online:
        yield ok("redis", "replicas", found)


def _clients(server: Server, partitions: int) -> Check:
    most = number(server, "maxclients") or int(server.health.config.get("maxclients", "0"))
    now = number(server, "connected_clients")
    needed = CLIENTS_SHARED + CLIENTS_PER_PARTITION * partitions
    found = f"{now} of {most or 'an unknown number'}"
    if most and (now >= FULL * most or most < needed):
        what = found if most >= needed else f"{found}, and a daemon can need {needed}"
        return warning("redis", "clients", what, "raise maxclients on the server")
    return ok("redis", "clients", found)


def _latency(server: Server) -> Check:
    trips = server.round_trips
    found = f"{server.median_ms:.2f} ms, {max(trips):.2f} ms at most, of {len(trips)} round trips"
    if server.median_ms >= SLOWEST_MS:
        return warning("redis", "latency", found, "run the daemon nearer to the server: each commit is a round trip")
    if server.median_ms >= SLOW_MS or max(trips) >= STALL_MS:
        return note("redis", "latency", found, "look at the load of both machines if events wait")
    return ok("redis", "latency", found)


def _rights(server: Server) -> Check:
    who = f"user {server.user}"
    see = "see the users in docs/how-to/run-in-production.md"
    if server.missing:
        found = f"the server does not have {', '.join(server.missing)}"
        return problem("redis", "commands", found, "use Redis or Valkey from 7.0 on, with no command renamed")
    if server.refused:
        found = f"{who} may not run {', '.join(server.refused)} on the keys of witnd"
        return problem("redis", "commands", found, f"give it these commands and keys: {see}")
    if server.refused is None:
        found = f"{who} may not ask what it may do (ACL DRYRUN)"
        return note("redis", "commands", found, f"compare its rights with the documentation: {see}")
    return ok("redis", "commands", f"{who} may run all that witnd needs, scripts too")


def _delays(server: Server) -> Iterator[Check]:
    """What holds the server up now and then."""
    fork_ms = number(server, "latest_fork_usec") // 1000
    if fork_ms >= FORK_MS:
        found = f"its last fork, for a snapshot or a rewrite, held it up for {span(fork_ms)}"
        yield note("redis", "delays", found, "give it a machine with less memory in use or with faster forks")
    if delayed := number(server, "aof_delayed_fsync"):
        found = f"{count(delayed, 'write')} waited for a sync of the append-only file since it started"
        yield note("redis", "delays", found, "give the append-only file a faster disk, or one of its own")
    idle = server.health.config.get("timeout", "0")
    if idle.isdigit() and 0 < int(idle) < 60:
        found = f"it closes connections that are quiet for {idle} s"
        yield note("redis", "delays", found, "set `timeout 0` on the server")


def _refusals(server: Server) -> Iterator[Check]:
    """What it had to refuse since it started, whoever asked."""
    for word, (why, remedy) in _ERRORS.items():
        times = re.search(r"count=(\d+)", server.info.get(f"errorstat_{word}", ""))
        if times:
            calls = count(int(times[1]), "call")
            yield note("redis", "refusals", f"it refused {calls} since it started: {why}", f"if it lasts: {remedy}")
