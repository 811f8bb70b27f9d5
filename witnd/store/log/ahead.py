"""`witnd repair ahead`: gives new ids to entries whose ids are ahead of the server's clock.

The repair makes as many calls as needed, each of a bounded size. After an interruption it continues where it stopped.
"""

from typing import Any, Final, cast

from msgspec import Struct
from redis.asyncio import Redis

from witnd.store.errors import Unsafe
from witnd.store.keys import Keys
from witnd.store.server.connection import redis_errors
from witnd.store.server.scripts import Script

AHEAD_MAX_MS: Final = 60_000  # contract section 3: an entry further ahead stops the partition

# Entries per call, of up to 256 KiB each: a call reads and writes them again.
PER_CALL: Final = 200
# Longer lists are truncated.
ENTRIES_KEPT: Final = 1000

_AHEAD: Final = Script("log/repair_ahead")
_COUNT: Final = Script("log/log_count")


class Moved(Struct, frozen=True, kw_only=True):
    """An entry that is ahead, and its new id once it is moved."""

    old: str
    new: str | None


class Ahead(Struct, frozen=True, kw_only=True):
    """The result of a repair. `needed` is also true if only the last id of the log is ahead. `entries` has the first
    of `count` entries."""

    needed: bool
    done: bool
    now_ms: int
    count: int
    entries: list[Moved]


async def repair_ahead(client: Redis, keys: Keys, *, do: bool) -> Ahead:
    """Show the entries that are ahead, or move them (`do`). Raises `Unsafe` if an entry cannot be moved."""
    count = 0
    entries: list[Moved] = []
    while True:
        code, now_ms, moved = await _call(client, keys, do=do)
        count += len(moved)
        entries += moved[: ENTRIES_KEPT - len(entries)]
        if code != "MORE":
            break
    if code == "PLAN" and len(moved) == PER_CALL:
        count += await _count_after(client, keys, moved[-1].old)
    return Ahead(needed=code != "NONE", done=code == "DONE", now_ms=now_ms, count=count, entries=entries)


async def _call(client: Redis, keys: Keys, *, do: bool) -> tuple[str, int, list[Moved]]:
    with redis_errors():
        answer = await _AHEAD.run(
            client, [keys.events, keys.state, keys.events_moving], [AHEAD_MAX_MS, "1" if do else "", PER_CALL]
        )
    code, now, *words = [word.decode() for word in cast("list[bytes]", answer)]
    if code == "READ":
        raise Unsafe(
            f"partition {keys.partition} was applied up to entry {words[0]}, which is itself ahead of "
            "the server's clock, so no entry can be moved before it",
            "correct the clock of the Redis server, or wait until it has reached that entry",
        )
    if code == "WIDE":
        raise Unsafe(
            f"entry {words[0]} has too many fields to be written again in one call",
            "correct the clock of the Redis server, or delete the entry, which is not an event",
        )
    pairs = zip(words[::2], words[1::2], strict=True)
    return code, int(now), [Moved(old=old, new=new or None) for old, new in pairs]


async def _count_after(client: Redis, keys: Keys, after: str) -> int:
    """Count the entries that a plan does not show."""
    count = 0
    while True:
        with redis_errors():
            counted, last = cast("list[Any]", await _COUNT.run(client, [keys.events], [after, "+", PER_CALL]))
        if not counted:
            return count
        count, after = count + counted, last.decode()
