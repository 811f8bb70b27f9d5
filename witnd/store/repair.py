"""The two repairs of a log, each one atomic script. What they may change is said on top of each.

Repeating a repair is harmless: what is repaired is not found again.
"""

from typing import Final, cast

from msgspec import Struct
from redis.asyncio import Redis

from witnd.store.connection import mapped
from witnd.store.errors import Unsafe
from witnd.store.keys import Keys
from witnd.store.scripts import Script

AHEAD_MAX_MS: Final = 60_000  # contract section 3: what is further ahead stops the partition

_AHEAD: Final = Script("repair_ahead")
_GAP: Final = Script("repair_gap")


class Moved(Struct, frozen=True, kw_only=True):
    """An entry that is ahead; `new` is its id once it is moved."""

    old: str
    new: str | None


class Ahead(Struct, frozen=True, kw_only=True):
    """What is, or was, ahead. A log can also be ahead by its last id alone: `needed` says so."""

    needed: bool
    done: bool
    now_ms: int
    entries: list[Moved]


class Gap(Struct, frozen=True, kw_only=True):
    """`deleted` is the greatest id of an entry that was deleted; a gap where it is behind `cursor`."""

    needed: bool
    done: bool
    cursor: str
    deleted: str


async def repair_ahead(client: Redis, keys: Keys, *, do: bool) -> Ahead:
    """Raises `Unsafe`, with nothing written, where it cannot be repaired."""
    with mapped():
        answer = await _AHEAD.run(client, [keys.events, keys.state], [AHEAD_MAX_MS, "1" if do else ""])
    code, now, *words = [word.decode() for word in cast("list[bytes]", answer)]
    if code == "READ":
        raise Unsafe(
            f"partition {keys.partition} was applied up to entry {words[0]}, which is itself ahead of "
            "the server's clock: nothing can be moved before it",
            "correct the clock of the Redis server, or wait until it has reached that entry",
        )
    if code == "WIDE":
        raise Unsafe(
            f"entry {words[0]} has more fields than can be written again at once",
            "correct the clock of the Redis server, or delete the entry: no event has so many",
        )
    pairs = zip(words[::2], words[1::2], strict=True)
    return Ahead(
        needed=code != "NONE",
        done=code == "DONE",
        now_ms=int(now),
        entries=[Moved(old=old, new=new or None) for old, new in pairs],
    )


async def repair_gap(client: Redis, keys: Keys, *, do: bool) -> Gap:
    """Raises `Unsafe`, with nothing written, where it cannot be repaired."""
    with mapped():
        answer = await _GAP.run(client, [keys.events, keys.state, keys.owner], ["1" if do else ""])
    code, *words = [word.decode() for word in cast("list[bytes]", answer)]
    if code == "OWNED":
        raise Unsafe(
            f"a daemon works on partition {keys.partition} ({words[0].rpartition(':')[2]})",
            "stop it first; where it is dead, its lease runs out within seconds",
        )
    if code == "LOST":
        raise Unsafe(
            f"the log of partition {keys.partition} ends at {words[1]}, before entry {words[0]} that "
            "was read from it: this is no gap but lost data",
            "restore the data of the Redis server",
        )
    if code == "FIRST":
        raise Unsafe(
            f"the log of partition {keys.partition} begins with entry {words[0]} that was not read",
            "import the history again with later ids",
        )
    return Gap(needed=code != "NONE", done=code == "DONE", cursor=words[0], deleted=words[1])
