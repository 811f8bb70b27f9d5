"""Reads billing events, and writes and queues their deliveries.

A step writes an event, and nothing else. The owner of the biller then writes the deliveries of the rules that were in
effect at the event's instant. The id of the last event whose deliveries are queued is written together with them, so
each event is handled once, in order.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, cast

from redis.asyncio import Redis

from witnd.domain.webhooks.message import Delivery
from witnd.store.deliveries.outbox import encode_row
from witnd.store.errors import Fenced, StoreUnavailable
from witnd.store.keys import BillingKeys
from witnd.store.server.connection import Endpoint, redis_errors
from witnd.store.server.routing.wires import Connection
from witnd.store.server.scripts import Argument, Script

ANSWER_SECONDS: Final = 5.0
# Events per read: some 100 KB.
EVENTS: Final = 100
# Deliveries per call: about 2 ms of server time.
ROWS: Final = 200

_QUEUE: Final = Script("billing_events/queue")


class StoredEvent(NamedTuple):
    """An entry of the stream of billing events."""

    id: str
    record: bytes | None


class EventQueue:
    """The billing events of a deployment. `fence`: the daemon's lease on the biller."""

    def __init__(self, client: Redis, endpoint: Endpoint, keys: BillingKeys, name: str, fence: str) -> None:
        self._client = client
        self._keys = keys
        self._fence = fence
        # Of its own, because it blocks in the server while there is no event.
        self._waiter = Connection(endpoint, f"{name}-events", keys.events)

    def close(self) -> None:
        self._waiter.close()

    async def next_events(self, block_ms: int) -> tuple[str, list[StoredEvent]]:
        """Return the last event with queued deliveries ("" for none), and the ones after it. Wait for one up to
        `block_ms`."""
        keys, waiter = self._keys, await self._waiter.wire()
        [last] = await waiter.ask(("GET", keys.events_queued), seconds=ANSWER_SECONDS)
        text = (last or b"").decode()
        command = ("XREAD", "COUNT", EVENTS, "BLOCK", block_ms, "STREAMS", keys.events, text or "0-0")
        [answer] = await waiter.ask(command, seconds=ANSWER_SECONDS + block_ms / 1000)
        entries = answer[0][1] if answer else []
        return text, [
            StoredEvent(id_.decode(), fields[1] if len(fields) > 1 else None) for id_, fields in entries
        ]  # fmt: skip

    async def queue(self, last: str, event: str, created_ms: int, deliveries: Sequence[Delivery]) -> None:
        """Write and queue the deliveries of an event, after those of the event `last`. The call may be repeated.

        Raises `Fenced` if another daemon has the lease, and `StoreUnavailable` if a failover undid an earlier call.
        """
        keys = self._keys
        for at in range(0, max(1, len(deliveries)), ROWS):
            part = deliveries[at : at + ROWS]
            names = [keys.owner, keys.deliveries, keys.events_queued, keys.outbox_rules]
            names += [keys.outbox(one.rule_id) for one in part]
            is_last = at + ROWS >= len(deliveries)
            args: list[Argument] = [self._fence, created_ms, last, event if is_last else ""]
            for one in part:
                args += [one.rule_id, one.id, encode_row(one)]
            with redis_errors():
                code, *found = cast("list[Any]", await _QUEUE.run(self._client, names, args))
            if code == b"FENCED":
                raise Fenced(found[0].decode())
            if code == b"MOVED":
                raise StoreUnavailable(f"the last billing event with queued deliveries is {found[0].decode()!r}")
