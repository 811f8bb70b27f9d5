"""Deliveries that the commit left to the relay are all queued, whatever they are in number and in between."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from msgspec import structs
from redis.asyncio import Redis

from tests.notify.test_relay import FENCE, KEYS, SHARED, Log, log
from tests.store.test_fan_out import FAN_OUT, RULES
from witnd.domain.webhooks.fan_out import FanOut
from witnd.notify import queueing
from witnd.notify.relay import Relay
from witnd.store.deliveries.fan_out_codec import encode_message, encode_rules
from witnd.store.deliveries.outbox import Outbox
from witnd.store.errors import Fenced

__all__ = ["log"]


def keys(count: int) -> list[str]:
    return [f"ticket-{number:04}" for number in range(count)]


async def commit(client: Redis, outcome_keys: Sequence[str]) -> None:
    await client.set(KEYS.owner, FENCE)
    fan_out = FanOut(FAN_OUT.message, RULES[:2])
    async with client.pipeline() as step:
        for key in outcome_keys:
            step.hset(KEYS.messages, key, encode_message(structs.replace(FAN_OUT.message, outcome_key=key)))
            step.hset(KEYS.unqueued, key, encode_rules(fan_out))
        await step.execute()


async def left(client: Redis, count: int) -> list[bytes]:
    async with asyncio.timeout(60):
        while await client.hlen(KEYS.unqueued) != count:
            await asyncio.sleep(0.001)
    return await client.hkeys(KEYS.unqueued)


class Counted(Outbox):
    """Counts how often the deliveries of each outcome are read."""

    def __init__(self, client: Redis) -> None:
        super().__init__(client, KEYS, SHARED, FENCE)
        self.read: list[str] = []
        of = self.unqueued.deliveries

        async def counted(outcome_key: str):
            self.read.append(outcome_key)
            return await of(outcome_key)

        self.unqueued.deliveries = counted


@asynccontextmanager
async def running(client: Redis) -> AsyncIterator[tuple[Relay, Counted]]:
    """No rule is in force, so what is queued is parked and nothing is sent."""
    outbox = Counted(client)
    relay = Relay(outbox, send=None, endpoint=lambda _: None, now_ms=lambda: 0, random=lambda: 0.5)
    task = asyncio.create_task(relay.run())
    await relay.ready.wait()
    try:
        yield relay, outbox
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_more_outcomes_than_are_kept_in_memory_are_all_queued(
    client: Redis, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queueing, "MAX_KEYS", 10)
    first, second = keys(150)[:100], keys(150)[100:]
    await commit(client, first)
    async with running(client) as (relay, outbox):
        await commit(client, second)
        relay.queue(second)
        await left(client, 0)
        assert await client.hlen(KEYS.deliveries) == 300
        assert sorted(set(outbox.read)) == first + second


async def test_a_damaged_record_stays_is_named_once_and_delays_nothing(client: Redis, log: Log) -> None:
    await commit(client, keys(20))
    await client.hset(KEYS.unqueued, "ticket-0003", "xxxx")
    async with running(client) as (relay, _):
        assert await left(client, 1) == [b"ticket-0003"]
        # As after a lost connection: everything is looked through again.
        await commit(client, ["another-1"])
        relay._queuer.scan()
        assert await left(client, 1) == [b"ticket-0003"]
        assert len(log.of("delivery.unreadable")) == 1


async def test_outcomes_that_are_known_already_are_not_queued_twice(client: Redis, log: Log) -> None:
    await commit(client, keys(50))
    async with running(client) as (relay, outbox):
        for _ in range(3):
            relay.queue(keys(50))
        await left(client, 0)
        await commit(client, ["another-1"])
        relay.queue(["another-1"])
        await left(client, 0)
        # Those that were in work when they were named again are read once more.
        assert len(outbox.read) <= 51 + 2 * queueing.CONCURRENCY


async def test_a_lost_lease_ends_the_relay(client: Redis, log: Log) -> None:
    await commit(client, keys(3))
    await client.set(KEYS.owner, "2:other:there")
    relay = Relay(Counted(client), send=None, endpoint=lambda _: None, now_ms=lambda: 0, random=lambda: 0.5)
    with pytest.raises(Fenced, match="other"):
        await relay.run()
    assert await client.hlen(KEYS.unqueued) == 3
