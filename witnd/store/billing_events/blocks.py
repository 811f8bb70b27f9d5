"""What is blocked: partitions, or the invoices. The record outlasts a restart, so that each block is one event."""

from collections.abc import Awaitable
from typing import Final, cast

from redis.asyncio import Redis

from witnd.domain.webhooks.billing_event import BillingEvent
from witnd.store.keys import BillingKeys
from witnd.store.records.event_codec import count_field, event_head
from witnd.store.server.connection import redis_errors
from witnd.store.server.scripts import Argument, Script

_BLOCK: Final = Script("billing_events/block")


class BlockRecord:
    """The blocks of a deployment, by subject."""

    def __init__(self, client: Redis, keys: BillingKeys) -> None:
        self._client = client
        self._names = [keys.blocked, keys.event_counts, keys.events]

    async def subjects(self) -> set[str]:
        """Return the subjects that are recorded as blocked."""
        with redis_errors():
            found = await cast("Awaitable[dict[bytes, bytes]]", self._client.hgetall(self._names[0]))
        return {one.decode() for one in found}

    async def begin(self, event: BillingEvent, reason: str) -> bool:
        """Record a block and its event. Return False if it is recorded already."""
        args: list[Argument] = [event.subject, reason, count_field(event), event_head(event)]
        with redis_errors():
            return bool(await _BLOCK.run(self._client, self._names, args))

    async def end(self, subject: str) -> None:
        """Record that something is no longer blocked."""
        with redis_errors():
            await _BLOCK.run(self._client, self._names, [subject, "", "", ""])
