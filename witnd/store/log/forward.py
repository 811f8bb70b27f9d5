"""Forwards events to the log of the partition to which their key moved.

After a repartition, a producer may still append to the log that a key had before. The fold of that log decides nothing
about such an event. Its commit puts the event into a list, and `forward_waiting` appends it to the right log. It is
appended once: that log's slot remembers the last event of each other partition. It counts as accepted there.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, cast

import msgspec
from redis.asyncio import Redis

from witnd.domain.outcomes.event import EntryId
from witnd.store.errors import Unsafe
from witnd.store.keys import Keys
from witnd.store.records.log_snapshot import text_of
from witnd.store.records.sealed import DAMAGE
from witnd.store.server.connection import redis_errors
from witnd.store.server.scripts import Script

# Events of one call, of up to 256 KiB each.
MOST: Final = 50
# Lua can unpack about 8000 words onto its stack.
WORDS_MAX: Final = 7000

_FORWARD: Final = Script("log/forward")
_pack = msgspec.msgpack.Encoder().encode
_FORMAT: Final = 1


class Forwarded(NamedTuple):
    """An event in the log of another partition: its id there, the partition of its key, and its fields."""

    entry: EntryId
    partition: int
    fields: list[bytes]


class _Item(msgspec.Struct, array_like=True, frozen=True):
    v: int
    ms: int
    seq: int
    partition: int
    fields: list[bytes]


_unpack = msgspec.msgpack.Decoder(_Item).decode


def encode_forwarded(event: Forwarded) -> bytes:
    return _pack(_Item(_FORMAT, *event.entry, event.partition, event.fields))


def decode_forwarded(name: str, item: bytes) -> Forwarded:
    """Return an item of the list `name`. Raises `Unsafe` if it is damaged: an accepted event must not get lost."""
    try:
        found = _unpack(item)
    except DAMAGE as wrong:
        raise Unsafe(f"an item of {name} is damaged: {wrong}", f"restore {name} from a backup of Redis") from None
    return Forwarded((found.ms, found.seq), found.partition, found.fields)


async def forward(client: Redis, source: int, target: Keys, events: Sequence[Forwarded], latest_ms: int) -> int:
    """Append events of another partition to the log of `target`, in their order. Return how many of them, from the
    first one on, are in the log now. The call may be repeated, with events that are there already."""
    words: list[str | bytes | int] = []
    for event in events:
        words += (text_of(event.entry), len(event.fields), *event.fields)
    with redis_errors():
        done = await _FORWARD.run(client, [target.events, target.forwarded], [source, latest_ms, *words])
    return cast(int, done)


async def forward_waiting(client: Redis, keys: Keys, prefix: str, latest_ms: int) -> int:
    """Forward the oldest events that wait in a partition. Return how many were forwarded."""
    with redis_errors():
        items = cast("list[bytes]", await client.lrange(keys.forwards, 0, MOST - 1))
    by_target: dict[int, list[tuple[bytes, Forwarded]]] = {}
    for item in items:
        event = decode_forwarded(keys.forwards, item)
        by_target.setdefault(event.partition, []).append((item, event))
    count = 0
    for number, found in by_target.items():
        done = await forward(client, keys.partition, Keys(prefix, number), [event for _, event in found], latest_ms)
        if done:
            count += done
            with redis_errors():
                async with client.pipeline(transaction=False) as removals:
                    for item, _ in found[:done]:
                        # By content, so a repeated removal removes nothing else.
                        removals.execute_command("LREM", keys.forwards, 1, item)
                    await cast("Any", removals).execute()
    return count
