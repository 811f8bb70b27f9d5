"""Queues the deliveries of outcomes with many rules, which the commit leaves to the relay.

They are stored as in `witnd.store.deliveries.fan_out_codec`.
"""

from collections.abc import Awaitable, Sequence
from typing import Final, cast

from redis.asyncio import Redis

from witnd.store.deliveries.fan_out_codec import QueueRow, UnqueuedDeliveries, decode_unqueued, outcome_of
from witnd.store.errors import Fenced
from witnd.store.keys import OutboxKeys
from witnd.store.server.connection import redis_errors
from witnd.store.server.scripts import Script

__all__ = ["QueueWriter", "shared_messages"]

_QUEUE: Final = Script("deliveries/queue")


class QueueWriter:
    """Reads and queues the unqueued deliveries of one partition. `fence` is the daemon's lease on it."""

    def __init__(self, client: Redis, keys: OutboxKeys, fence: str) -> None:
        self._client = client
        self._keys = keys
        self._fence = fence

    async def outcomes(self, most: int) -> list[str]:
        """Return keys of outcomes with committed and unqueued deliveries: all, or `most` of them, in any order."""
        with redis_errors():
            found = await cast("Awaitable[list[bytes]]", self._client.hrandfield(self._keys.unqueued, most))
        return [key.decode() for key in found]

    async def deliveries(self, outcome_key: str) -> UnqueuedDeliveries | None:
        """Return the unqueued deliveries of an outcome, or None if there are none. Raises `Unreadable`."""
        with redis_errors():
            async with self._client.pipeline(transaction=True) as reads:
                reads.hget(self._keys.unqueued, outcome_key)
                reads.hget(self._keys.messages, outcome_key)
                rules, message = await reads.execute()
        return None if rules is None else decode_unqueued(outcome_key, rules, message)

    async def queue(self, outcome_key: str, created_ms: int, rows: Sequence[QueueRow], *, is_last: bool) -> None:
        """Write rows and queue them. `is_last` marks the last rows of an outcome.

        The call may be repeated. Raises `Fenced` if another daemon has the lease.
        """
        keys = self._keys
        names = [
            keys.owner,
            keys.deliveries,
            keys.unqueued,
            keys.outbox_rules,
            *(keys.outbox(row.rule_id) for row in rows),
        ]
        # In one argument, because the client takes longer for each argument than the server for a row.
        packed = b"".join(
            [len(part).to_bytes(4) + part for row in rows for part in (row.rule_id.encode(), row.id.encode(), row.row)]
        )
        words: list[str | bytes | int] = [self._fence, created_ms, outcome_key if is_last else "", packed]
        with redis_errors():
            reply = await _QUEUE.run(self._client, names, words)
        if reply != b"OK":
            raise Fenced(cast("list[bytes]", reply)[1].decode())


async def shared_messages(
    client: Redis, keys: OutboxKeys, rows: Sequence[bytes | None]
) -> dict[str | None, bytes | None]:
    """Return the shared messages that these rows need, by outcome key."""
    outcomes = list({key for row in rows if (key := outcome_of(row)) is not None})
    if not outcomes:
        return {}
    with redis_errors():
        found = await cast("Awaitable[list[bytes | None]]", client.hmget(keys.messages, outcomes))
    return dict(zip(outcomes, found, strict=True))
