"""Read the state of a Redis server: INFO, clock, latency, and the permissions of the user.

It writes nothing, and every wait has a limit. `data_probe` reads the data.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

import hiredis
from msgspec import Struct

from witnd.clock import Clock
from witnd.endpoint import Mode
from witnd.settings import Durability
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.query.reads import Command
from witnd.store.server import wire
from witnd.store.server.connection import Endpoint
from witnd.store.server.safety import Health, kind_problems, read_info

ANSWER_SECONDS: Final = 3.0
PINGS: Final = 50
# Longest time for all pings.
PING_SECONDS: Final = 2.0
CLOCK_READINGS: Final = 5

SETTINGS: Final = (
    "save", "appendfsync", "no-appendfsync-on-rewrite", "stop-writes-on-bgsave-error", "min-replicas-to-write",
    "maxclients", "timeout",
)  # fmt: skip
# The commands that find the primary.
_FINDING: Final[Mapping[Mode, Sequence[Command]]] = {
    "single": (),
    "sentinel": (("ROLE",),),
    "cluster": (("ROLE",), ("CLUSTER", "SLOTS"), ("CLUSTER", "INFO")),
}
WAITING: Final = {"fsync": ("WAITAOF", 1, 0, 1), "replica": ("WAIT", 1, 1)}


class Server(Struct, frozen=True, kw_only=True):
    """The replies of a server. Times in ms. `off_ms`: how far its clock is ahead of the host's, exact to `within_ms`.

    `refused`: commands that the user may not run, or None if unknown. `missing`: commands that the server lacks.
    `open_config`: whether the user may read the settings.
    """

    health: Health
    open_config: bool
    round_trips: Sequence[float]
    off_ms: float
    within_ms: float
    user: str
    refused: Sequence[str] | None
    missing: Sequence[str]

    @property
    def info(self) -> Mapping[str, str]:
        return self.health.info

    @property
    def loading(self) -> bool:
        return self.info.get("loading", "0") == "1"

    @property
    def median_ms(self) -> float:
        return median(self.round_trips or [0.0])


async def read_server(
    server: Endpoint, prefix: str, durability: Durability, clock: Clock, mode: Mode = "single"
) -> Server:
    """Read the state. `mode` is that of redis.url.

    Raises `StoreUnavailable`, or `StoreRefused` if the user cannot run INFO.
    """
    connection = await wire.connect(server, "witnd-doctor")
    try:
        info = read_info((await connection.ask(("INFO",), seconds=ANSWER_SECONDS))[0])
        if kind_problems(info, mode):  # it may lack the commands below
            return Server(
                health=Health(info, {}, 0, mode), open_config=True, round_trips=[], off_ms=0, within_ms=0,
                user="default", refused=[], missing=[],
            )  # fmt: skip
        config = await _settings(connection)
        off_ms, within_ms, now_ms = await _clock(connection, clock)
        loading = info.get("loading") == "1"
        keys, shared = Keys(prefix, 0), GlobalKeys(prefix)
        wanted = [*commands(keys, shared, durability), *_FINDING[mode]]
        return Server(
            health=Health(info, config or {}, now_ms, mode),
            open_config=config is not None,
            round_trips=[] if loading else await _pings(connection, clock),
            off_ms=off_ms,
            within_ms=within_ms,
            **await _rights(connection, wanted),
        )
    finally:
        connection.close()


def commands(keys: Keys, shared: GlobalKeys, durability: Durability) -> list[Command]:
    """Return one example of each command that witnd runs on its keys, in scripts and outside."""
    outcome, held, outbox = keys.outcome("doctor"), keys.held_events("doctor"), keys.outbox("doctor")
    return [
        ("TIME",), ("MULTI",), ("EXEC",), ("EVAL", "return 1", 1, keys.state), ("EVALSHA", "0" * 40, 1, keys.state),
        ("XADD", keys.events, "*", "witnd", "tick"), ("XREAD", "STREAMS", keys.events, "0"),
        ("XINFO", "STREAM", keys.events), ("XRANGE", keys.events, "-", "+"), ("XREVRANGE", keys.events, "+", "-"),
        ("GET", keys.owner), ("MGET", outcome), ("SET", keys.owner, "0", "PX", 1), ("PEXPIRE", keys.owner, 1),
        ("PTTL", keys.owner), ("TYPE", keys.state), ("DEL", keys.owner), ("UNLINK", held), ("EXISTS", shared.meta),
        ("HGET", keys.state, "cursor"), ("HMGET", keys.deliveries, "0"), ("HGETALL", keys.state),
        ("HVALS", shared.endpoints), ("HRANDFIELD", keys.unqueued, 1), ("HSETNX", keys.deliveries, "0", "0"),
        ("HSET", keys.fates, "0", "0"), ("HINCRBY", keys.day("2000-01-01"), "0", 0),
        ("HDEL", keys.attempts, "0"), ("LLEN", shared.catalogue), ("LRANGE", held, 0, 0), ("RPUSH", held, "0"),
        ("LTRIM", held, 0, 0), ("LREM", keys.forwards, 1, "0"), ("LINDEX", held, 0), ("COPY", held, held),
        ("ZADD", keys.due, 0, "0"), ("ZREM", keys.due, "0"), ("ZRANGE", outbox, 0, 0),
        ("ZREVRANGE", keys.with_status("OPEN"), 0, 0),
        ("ZRANGEBYSCORE", keys.due, 0, 0), ("ZCARD", keys.dead), ("ZCOUNT", keys.due, 0, 0),
        ("ZMSCORE", keys.due, "0"),
        ("SADD", keys.outbox_rules, "0"), ("SREM", keys.outbox_rules, "0"), ("SMEMBERS", keys.outbox_rules),
        ("SMISMEMBER", keys.outbox_rules, "0"), ("TYPE", keys.outbox_rules),
        ("MSET", outcome, "0"), ("SCAN", "0"), ("HSCAN", keys.on_hold, "0"), ("ZSCAN", keys.due, "0"),
        ("HLEN", keys.on_hold), ("HKEYS", keys.on_hold), ("HEXISTS", keys.on_hold, "0"), ("ZSCORE", keys.due, "0"),
        ("SISMEMBER", keys.outbox_rules, "0"), ("ZRANGEBYLEX", keys.keys, "-", "+"),
        ("ZREVRANGEBYSCORE", keys.dead, 0, 0), ("ZREVRANK", keys.dead, "0"), ("XLEN", keys.events),
        ("XDEL", keys.events, "0-0"), ("XSETID", keys.events, "0-0"),
        ("XGROUP", "CREATE", keys.events, "0", "0"), ("XGROUP", "DESTROY", keys.events, "0"),
        ("SUBSCRIBE", keys.outbox_calls), ("PUBLISH", keys.outbox_calls, "0"),
        *([WAITING[durability.mode]] if durability.mode in WAITING else []),
    ]  # fmt: skip


async def _each(connection: wire.Wire, asked: Sequence[Command]) -> list[Any]:
    """Return the replies in order, including errors."""
    return await connection.wait(connection.send(asked), ANSWER_SECONDS)


async def _settings(connection: wire.Wire) -> dict[str, str] | None:
    """Return the commands of the server, None if it does not list them."""
    answers = await _each(connection, [("CONFIG", "GET", name) for name in SETTINGS])
    if all(isinstance(answer, hiredis.ReplyError) for answer in answers):
        return None
    pairs = [answer for answer in answers if isinstance(answer, list) and len(answer) == 2]
    return {name.decode(): value.decode(errors="replace") for name, value in pairs}


async def _clock(connection: wire.Wire, clock: Clock) -> tuple[float, float, int]:
    """Return how far the server's clock is ahead, the precision, and its time. The fastest round trip is the best."""
    readings = []
    for _ in range(CLOCK_READINGS):
        host, began = clock.now_ms(), clock.monotonic()
        time = (await connection.ask(("TIME",), seconds=ANSWER_SECONDS))[0]
        took = 1000 * (clock.monotonic() - began)
        server = int(time[0]) * 1000 + int(time[1]) / 1000
        readings.append((took, server - (host + took / 2), int(server)))
    took, off, now = min(readings)
    return off, took / 2 + 1, now  # the host's clock is read in whole ms


async def _pings(connection: wire.Wire, clock: Clock) -> list[float]:
    took: list[float] = []
    end = clock.monotonic() + PING_SECONDS
    while len(took) < PINGS and (not took or clock.monotonic() < end):
        began = clock.monotonic()
        await connection.ask(("PING",), seconds=ANSWER_SECONDS)
        took.append(1000 * (clock.monotonic() - began))
    return took


async def _rights(connection: wire.Wire, wanted: Sequence[Command]) -> dict[str, Any]:
    """Return the user, and its refused and missing commands if it can check its permissions."""
    who = (await _each(connection, [("ACL", "WHOAMI")]))[0]
    user = who.decode() if isinstance(who, bytes) else "default"
    answers = await _each(connection, [("ACL", "DRYRUN", user, *command) for command in wanted])
    refused, missing = [], []
    for command, answer in zip(wanted, answers, strict=True):
        if isinstance(answer, bytes) and answer != b"OK":
            refused.append(str(command[0]))
        elif isinstance(answer, hiredis.ReplyError) and "not found" in str(answer):
            missing.append(str(command[0]))
    asked = any(isinstance(answer, bytes) for answer in answers)
    return {"user": user, "refused": refused if asked else None, "missing": missing}
