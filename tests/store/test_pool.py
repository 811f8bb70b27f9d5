"""Calls wait for a free connection, and hear which share was in use if they wait in vain."""

import asyncio

import pytest
from redis.asyncio import Redis

from witnd.store.errors import StoreRefused
from witnd.store.server import pool
from witnd.store.server.clients import open_clients
from witnd.store.server.connection import connect, endpoint, redis_errors


async def test_more_calls_than_connections_wait_their_turn(redis_url: str) -> None:
    async with connect(redis_url, connections=2) as client:
        await asyncio.gather(*(client.incr("count") for _ in range(100)))
        assert await client.get("count") == b"100"
        assert len(await client.client_list()) <= 3  # the fixture's own may be there


async def test_a_call_that_waits_in_vain_is_refused_and_the_next_one_is_served(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "WAIT_SECONDS", 0.05)
    async with connect(redis_url, connections=1, work="a test") as client:
        listener = client.pubsub()
        await listener.subscribe("channel")
        with pytest.raises(StoreRefused, match="all 1 connections to Redis for a test were in use"), redis_errors():
            await client.ping()
        await listener.aclose()  # type: ignore[no-untyped-call]
        assert await client.ping()


async def test_a_caller_that_is_cancelled_gives_its_turn_back(redis_url: str) -> None:
    async with connect(redis_url, connections=1) as client:
        for _ in range(20):
            calls = [asyncio.create_task(client.incr("count")) for _ in range(5)]
            await asyncio.sleep(0)
            for call in calls[::2]:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        assert await client.ping()


async def test_a_server_that_cannot_be_reached_uses_no_turns_up(redis_url: str) -> None:
    async with connect("redis://127.0.0.1:1/0", connections=1) as client:
        for _ in range(5):
            with pytest.raises(Exception, match="no answer from Redis"), redis_errors():
                await client.ping()


async def test_one_share_in_use_leaves_the_others_free(redis_url: str) -> None:
    async def hold(client: Redis) -> None:
        await client.blpop(["nothing"], timeout=0.5)

    async with open_clients(endpoint(redis_url), partitions=1) as clients:
        held = [asyncio.create_task(hold(clients.deliveries)) for _ in range(50)]
        await asyncio.sleep(0)
        assert await clients.ownership.ping()
        assert await clients.api.ping()
        assert not any(task.done() for task in held)
        for task in held:
            task.cancel()
        await asyncio.wait(held)
