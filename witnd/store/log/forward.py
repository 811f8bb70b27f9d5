"""Forwards events to the log of the partition to which their key moved.

After a repartition, a producer may still append to the log that a key had before. The fold of that log decides nothing
about such an event. Its commit puts the event into a list, and `ForwardQueue` appends it to the right log. It is
appended once: that log's slot remembers the last event of each other partition. It counts as accepted there.
"""

from collections.abc import Sequence
from typing import Final, cast

import msgspec
from redis.asyncio import Redis

from witnd.domain.outcomes.event import EntryId, Event, read
from witnd.fold.step import FORWARD_WORDS_MAX, Forwarded
from witnd.store.errors import Unreadable
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.records.lineage import Lineage
from witnd.store.records.log_snapshot import text_of
from witnd.store.records.sealed import DAMAGE
from witnd.store.server.connection import redis_errors
from witnd.store.server.scripts import Script

# Events of one call, of up to 256 KiB each.
MOST: Final = 50
_FORWARD: Final = Script("log/forward")
_pack = msgspec.msgpack.Encoder().encode
_FORMAT: Final = 1


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
    """Return an item of the list `name`. Raises `Unreadable`."""
    try:
        found = _unpack(item)
    except DAMAGE as wrong:
        raise Unreadable(name, f"an item is damaged: {wrong}; restore the key from a backup of Redis") from None
    return Forwarded((found.ms, found.seq), found.partition, found.fields)


def forwarded_to(lineage: Lineage, partition: int, entry: EntryId, fields: list[bytes], partitions: int) -> int | None:
    """Return the partition to which an applied entry of a log was forwarded, or None if it was not. `partitions` is the
    current number of partitions."""
    if not lineage.earlier or len(fields) > FORWARD_WORDS_MAX:
        return None
    event = read(fields)
    return lineage.forwarded_to(partition, event.key, entry, partitions) if isinstance(event, Event) else None


async def forward(client: Redis, source: int, target: Keys, events: Sequence[Forwarded], latest_ms: int) -> int:
    """Append events of another partition to the log of `target`, in their order. Return how many of them, from the
    first one on, are in the log now. The call may be repeated, with events that are there already."""
    words: list[str | bytes | int] = []
    for event in events:
        words += (text_of(event.entry), len(event.fields), *event.fields)
    with redis_errors():
        done = await _FORWARD.run(client, [target.events, target.forwarded], [source, latest_ms, *words])
    return cast(int, done)


class ForwardQueue:
    """The events that wait in one partition to be forwarded."""

    def __init__(self, client: Redis, keys: Keys, shared: GlobalKeys) -> None:
        self._client = client
        self._keys = keys
        self._prefix = shared.prefix

    async def forward(self, latest_ms: int) -> tuple[int, bool]:
        """Forward the oldest events, unless the server's clock is past `latest_ms`. Return how many were forwarded, and
        whether others wait. The call may be repeated. Raises `Unreadable`."""
        keys = self._keys
        with redis_errors():
            items = cast("list[bytes]", await self._client.lrange(keys.forwards, 0, MOST))
        by_target: dict[int, list[tuple[bytes, Forwarded]]] = {}
        for item in items[:MOST]:
            event = decode_forwarded(keys.forwards, item)
            by_target.setdefault(event.partition, []).append((item, event))
        done: list[bytes] = []
        for number, found in by_target.items():
            target, events = Keys(self._prefix, number), [event for _, event in found]
            count = await forward(self._client, keys.partition, target, events, latest_ms)
            done += [item for item, _ in found[:count]]
        if done:
            with redis_errors():
                async with self._client.pipeline(transaction=False) as writes:
                    for item in done:
                        writes.execute_command(
                            "LREM", keys.forwards, 1, item
                        )  # by content, so a repeated call removes nothing else
                    await writes.execute()
        return len(done), len(items) > len(done)
