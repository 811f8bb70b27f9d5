"""The outbox of one partition, or of billing events: committed deliveries and their progress.

The commit writes a row once (`encode_row`), queues it and adds its rule; for an outcome with many rules, the relay does
this after the commit (`witnd.store.deliveries.fan_out_codec`). Later changes go through `Outbox.write`. It writes the
next progress only if the stored one is what the caller read, and for the daemon only under its lease.
`witnd.domain.webhooks.delivery` decides the next progress. `witnd.store.deliveries.reads` reads all partitions.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias, cast

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import astuple, replace
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from witnd.domain.webhooks.billing_event import BillingEvent
from witnd.domain.webhooks.delivery import HEALTHY, STANDINGS, AttemptRecord, EndpointState, Progress, new_progress
from witnd.domain.webhooks.message import Delivery
from witnd.store.deliveries.endpoint_codec import decode_endpoint, encode_endpoint, read_endpoint
from witnd.store.deliveries.fan_out_codec import FORMAT, decode_shared_row, members, outcome_of
from witnd.store.deliveries.queue import QueueWriter, shared_messages
from witnd.store.errors import Fenced, StoreUnavailable, Unreadable
from witnd.store.keys import BillingKeys, GlobalKeys, OutboxKeys
from witnd.store.records.event_codec import count_field, event_head
from witnd.store.records.sealed import DAMAGE
from witnd.store.server.cancellation import cancellable
from witnd.store.server.connection import redis_errors
from witnd.store.server.scripts import Script

# How often a silent connection is pinged, and how long it may take to answer.
CALLS_QUIET_SECONDS: Final = 20.0
CALLS_ANSWER_SECONDS: Final = 5.0

_DUE: Final = Script("deliveries/due")
_WRITE: Final = Script("deliveries/write")
_ENDPOINT: Final = Script("deliveries/endpoint")

_pack = msgspec.msgpack.Encoder().encode
Report: TypeAlias = Callable[[str, str], None]
log = structlog.get_logger()


class Row(Struct, frozen=True):
    """A delivery as it was read. `delivery` is None if its row is gone; `stored` is its progress as stored."""

    id: str
    created_ms: int
    delivery: Delivery | None
    progress: Progress
    stored: bytes

    @property
    def queued_ms(self) -> int | None:
        """When the delivery is due, ms. A first attempt or a requested resend is due at any clock."""
        return self.progress.queued_ms if self.stored and not self.progress.resends else 0

    def with_progress(self, progress: Progress) -> "Row":
        """Return the row once `progress` is written."""
        return replace(self, progress=progress, stored=encode_progress(progress))


def encode_row(delivery: Delivery) -> bytes:
    # Without `astuple`, which takes longer than the rest; one step writes thousands of rows.
    rule_id, rule_name, outcome_key = delivery.rule_id, delivery.rule_name, delivery.outcome_key
    return _pack((FORMAT, rule_id, rule_name, outcome_key, delivery.type, delivery.created_ms, delivery.body))


def decode_row(id_: str, record: bytes, message: bytes | None = None) -> Delivery:
    """Return the delivery of a row. `message` is the shared message, if the row needs one. Raises `Unreadable`."""
    try:
        fields = members(record)
        if len(fields) == 2:
            return decode_shared_row(id_, fields, message)
        return Delivery(id_, *fields)
    except DAMAGE as wrong:
        raise Unreadable(f"the message of delivery {id_}", str(wrong)) from None


def encode_progress(progress: Progress) -> bytes:
    return _pack((FORMAT, STANDINGS.index(progress.standing), *astuple(progress)[1:]))


def decode_progress(record: bytes) -> Progress:
    """Return the progress of a delivery. Raises `Unreadable`."""
    try:
        standing, failures, due_ms, resends, resend_ms, reason, started, attempts = members(record)
        return Progress(
            standing=STANDINGS[standing],
            failures=failures,
            due_ms=due_ms,
            resends=resends,
            resend_ms=resend_ms,
            reason=reason,
            started=started,
            attempts=tuple(AttemptRecord(*attempt) for attempt in attempts),
        )
    except DAMAGE as wrong:
        raise Unreadable("attempts", str(wrong)) from None


def _quiet(_id: str, _reason: str) -> None:
    """Ignore damage. Only the daemon logs it; commands and pages show what they read."""


def _log_damage(id_: str, reason: str) -> None:
    log.error("delivery.unreadable", delivery=id_, reason=reason)


def read_row(
    id_: str,
    record: bytes | None,
    message: bytes | None,
    stored: bytes | None,
    score: float | None = None,
    damage: Report = _quiet,
) -> Row:
    """Return a row from its stored parts. `score` replaces its creation time if the delivery is gone.

    A damaged message counts as gone, so its delivery is given up. Damaged attempts start again, under the same id.
    """
    delivery, progress = None, None
    try:
        delivery = None if record is None else decode_row(id_, record, message)
    except Unreadable as wrong:
        damage(id_, str(wrong))
    created_ms = int(score or 0) if delivery is None else delivery.created_ms
    try:
        progress = decode_progress(stored) if stored else None
    except Unreadable as wrong:
        damage(id_, str(wrong))
    return Row(id_, created_ms, delivery, progress or new_progress(created_ms), stored or b"")


class Outbox:
    """Reads and writes the deliveries of one outbox. `fence` is the owner's lease; without one only commands may write.

    `channels` is the client for subscriptions, by default `client`.
    """

    def __init__(
        self, client: Redis, keys: OutboxKeys, shared: GlobalKeys, fence: str = "", *, channels: Redis | None = None
    ) -> None:
        self._client = client
        self._channels = channels or client
        self._keys = keys
        self._shared = shared
        self._billing = BillingKeys(shared.prefix)
        self._fence = fence
        self.unqueued = QueueWriter(client, keys, fence)

    async def rules(self) -> list[str]:
        """Return the ids of the rules that have rows to send, now or later."""
        with redis_errors():
            members = await self._client.smembers(self._keys.outbox_rules)
        return sorted(cast(bytes, member).decode() for member in members)

    async def sequence(self) -> int:
        """Return the number of the owner's last step. All rows read before belong to it or to an earlier step."""
        with redis_errors():
            found = await cast("Awaitable[bytes | None]", self._client.hget(self._keys.state, "seq"))
        return int(found or 0)

    async def next_rows(self, rule_id: str, limit: int) -> list[Row]:
        """Return the next rows of a rule, in the order in which they are due."""
        keys = self._keys
        with redis_errors():
            names = [keys.outbox(rule_id), keys.deliveries, keys.attempts, keys.messages]
            reply = await _DUE.run(self._client, names, [limit])
        answer = cast(list[Any], reply)
        return [
            read_row(id_.decode(), record, message, stored, float(score), _log_damage)
            for id_, score, record, message, stored in zip(*[iter(answer)] * 5, strict=True)
        ]

    async def rows(self, ids: Sequence[str]) -> list[Row]:
        """Return the rows with these ids, in any state. Leave out unknown ids."""
        if not ids:
            return []
        with redis_errors():
            async with self._client.pipeline(transaction=True) as reads:
                reads.hmget(self._keys.deliveries, list(ids))
                reads.hmget(self._keys.attempts, list(ids))
                records, stored = await reads.execute()
        messages = await shared_messages(self._client, self._keys, records)
        return [
            read_row(id_, record, messages.get(outcome_of(record)), progress)
            for id_, record, progress in zip(ids, records, stored, strict=True)
            if record is not None or progress is not None
        ]

    async def write(self, rule_id: str, steps: Sequence[tuple[Row, Progress]], *, call: bool = False) -> list[bool]:
        """Write the next progress of each row. Return False for each row that has changed or is gone.

        `call` notifies the owner of the partition. Raises `Fenced` if another daemon has the lease.
        """
        keys = self._keys
        args: list[str | bytes | int] = [self._fence, rule_id, keys.outbox_calls if call else ""]
        for row, progress in steps:
            queued_ms = progress.queued_ms
            args += [
                row.id,
                row.stored,
                encode_progress(progress),
                "" if queued_ms is None else queued_ms,
                row.created_ms,
                progress.standing,
                "" if row.delivery is None else "1",
            ]
        with redis_errors():
            reply = await _WRITE.run(
                self._client,
                [
                    keys.owner,
                    keys.attempts,
                    keys.outbox(rule_id),
                    keys.outbox_rules,
                    keys.parked(rule_id),
                    keys.dead,
                    keys.delivered,
                    keys.deliveries,
                ],
                args,
            )
        answer = cast(list[Any], reply)
        if answer and answer[0] == b"FENCED":
            raise Fenced(answer[1].decode())
        return [written == 1 for written in answer]

    async def endpoint(self, rule_id: str) -> EndpointState:
        with redis_errors():
            record = await self._client.hget(self._shared.endpoints, rule_id)
        state = read_endpoint(cast("bytes | None", record))
        if state is None:
            log.error("endpoint.unreadable", rule=rule_id, action="treating it as healthy")
            await self._swap_endpoint(rule_id, cast("bytes", record), b"", "", "")
        return state or HEALTHY

    async def endpoints(self, rule_ids: Sequence[str]) -> list[EndpointState]:
        """Return the states of several rules' endpoints, in the same order."""
        if not rule_ids:
            return []
        with redis_errors():
            records = await self._client.hmget(self._shared.endpoints, list(rule_ids))
        return [decode_endpoint(cast("bytes | None", record)) for record in records]

    async def swap_endpoint(
        self, rule_id: str, old: EndpointState, new: EndpointState, event: BillingEvent | None = None
    ) -> bool:
        """Replace an endpoint's state if it is still `old`, and write the event of this change. Return whether it is
        `new` now."""
        about = ("", "") if event is None else (count_field(event), event_head(event))
        return await self._swap_endpoint(rule_id, encode_endpoint(old), encode_endpoint(new), *about)

    async def _swap_endpoint(self, *args: str | bytes) -> bool:
        names = [self._shared.endpoints, self._billing.event_counts, self._billing.events]
        with redis_errors():
            answer = await _ENDPOINT.run(self._client, names, args)
        return bool(answer == 1)

    @asynccontextmanager
    async def calls(self) -> AsyncIterator[AsyncIterator[str]]:
        """Iterate over ids of rules for which a command, in another process, has queued deliveries.

        Earlier calls are lost, so read `rules` first inside the context.
        """
        listener = self._channels.pubsub(ignore_subscribe_messages=True)
        try:
            with redis_errors():
                with cancellable():
                    await listener.subscribe(self._keys.outbox_calls)
                yield _rule_ids(listener)
        finally:
            await listener.aclose()  # type: ignore[no-untyped-call]


async def _rule_ids(listener: PubSub) -> AsyncIterator[str]:
    while True:
        with cancellable():
            message = await listener.get_message(timeout=CALLS_QUIET_SECONDS)
            if message is None:
                await listener.ping()
                message = await listener.get_message(timeout=CALLS_ANSWER_SECONDS)
            if message is None:
                raise StoreUnavailable("no answer from Redis on the connection for calls")
        if message["type"] == "message":
            yield message["data"].decode()
