"""Whether a Redis may be billed from: master, persistent, never evicting, and its clock near the host's.

Judged from what `INFO` and `CONFIG` tell. A server that hides its configuration is judged by what it does tell.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from witnd.store.errors import StoreRefused, Unsafe

CLOCK_MS_MAX = 60_000  # hosts that synchronise differ by milliseconds; a minute is a clock set wrong

Ask = Callable[..., Awaitable[list[Any]]]


class Problem(NamedTuple):
    reason: str
    remedy: str


class Health(NamedTuple):
    """What the server tells of itself."""

    info: Mapping[str, str]
    config: Mapping[str, str]
    now_ms: int


async def look(ask: Ask) -> Health:
    """Raises `StoreRefused` for a server that is still loading: until it has, it says that it keeps nothing."""
    info, clock = await ask(("INFO",), ("TIME",))
    fields = dict(line.split(":", 1) for line in info.decode(errors="replace").split("\r\n") if ":" in line)
    if fields.get("loading", "0").strip() == "1":
        raise StoreRefused("Redis is still loading its data", "wait until it has finished")
    config: dict[str, str] = {}
    for name in ("save", "appendfsync", "no-appendfsync-on-rewrite"):
        try:
            answer = (await ask(("CONFIG", "GET", name)))[0]
        except StoreRefused:
            continue
        except Exception as error:  # a server that does not know CONFIG says so in its own words
            if type(error).__module__.startswith("hiredis"):
                continue
            raise
        if len(answer) == 2:
            config[name] = answer[1].decode()
    return Health(fields, config, int(clock[0]) * 1000 + int(clock[1]) // 1000)


def problems(health: Health) -> list[Problem]:
    """Why this server must not be billed from; nothing is wrong where it is empty."""
    info, found = health.info, []
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
    off = health.now_ms - host_ms
    if abs(off) <= CLOCK_MS_MAX:
        return None
    return Problem(
        f"the clocks of Redis and of this host differ by {off / 1000:+.0f} s",
        "correct the wrong one; outcomes are settled by the clock of Redis",
    )


def refuse(found: Sequence[Problem]) -> None:
    """Raise `Unsafe` with all that is wrong."""
    if found:
        raise Unsafe("; ".join(one.reason for one in found), "; ".join(one.remedy for one in found))
