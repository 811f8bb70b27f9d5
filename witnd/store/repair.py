"""`witnd repair ahead`: give entries whose ids lie ahead of the server's clock new ids."""

from typing import Final, cast

from msgspec import Struct
from redis.asyncio import Redis

from witnd.store.connection import mapped
from witnd.store.errors import Unsafe
from witnd.store.keys import Keys
from witnd.store.scripts import Script

AHEAD_MAX_MS: Final = 60_000  # contract section 3: what is further ahead stops the partition

_AHEAD: Final = Script("repair_ahead")


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
