"""Appending for many callers: what waits is bounded, and every caller gets an answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from tests.support.server import Server
from witnd.endpoint import endpoint
from witnd.settings import Durability
from witnd.store.errors import StoreRefused
from witnd.store.log import appender as appending
from witnd.store.log.appender import WAITING_BYTES, WAITING_MOST, Appender

ENTRY = ("witn:{0}:events", ("data", b"{}"))

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def running(url: str) -> AsyncIterator[Appender]:
    appender = Appender(endpoint(url), Durability("server"), "test")
    task = asyncio.create_task(appender.run())
    try:
        yield appender
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def fate(appender: Appender) -> str:
    try:
        [answer] = await appender.append([ENTRY])
    except StoreRefused as refused:
        return "full" if "wait for Redis" in str(refused) else "refused"
    return "unknown" if answer is None else "taken" if answer.id else "refused"


@pytest.mark.slow
async def test_beyond_a_bound_events_are_refused_at_once_and_every_caller_gets_an_answer(
    server: Callable[..., Server],
) -> None:
    redis = server()
    count = 2 * WAITING_MOST
    async with running(redis.url) as appender, asyncio.timeout(90):
        assert await fate(appender) == "taken"
        redis.pause()
        try:
            callers = [asyncio.create_task(fate(appender)) for _ in range(count)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            at_once = [one.result() for one in callers if one.done()]
            assert at_once == ["full"] * (count - WAITING_MOST)
            fates = await asyncio.gather(*callers)
        finally:
            redis.resume()
        assert set(fates) <= {"full", "unknown", "refused"}
        assert fates.count("full") == count - WAITING_MOST
        assert appender.answers["rejected"] >= count - WAITING_MOST
        assert await fate(appender) == "taken"


async def test_what_waits_is_bounded_in_bytes_too(redis_url: str) -> None:
    appender = Appender(endpoint(redis_url), Durability("server"), "test")  # nothing is written: it does not run
    large = (ENTRY[0], ("data", b"x" * (WAITING_BYTES // 2)))
    first = asyncio.create_task(appender.append([large]))
    await asyncio.sleep(0)
    with pytest.raises(StoreRefused, match="1 events already wait"):
        await appender.append([large])
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    second = asyncio.create_task(appender.append([large]))
    await asyncio.sleep(0)
    assert not second.done(), "what was given up does not count"
    second.cancel()


async def test_an_error_that_ends_the_writing_leaves_no_caller_without_an_answer(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(appending, "append", broken)
    appender = Appender(endpoint(redis_url), Durability("server"), "test")
    task = asyncio.create_task(appender.run())
    async with asyncio.timeout(30):
        assert await fate(appender) == "unknown"
        with pytest.raises(RuntimeError):
            await task


async def test_a_stop_answers_those_who_wait(redis_url: str) -> None:
    appender = Appender(endpoint(redis_url), Durability("server"), "test")
    task = asyncio.create_task(appender.run())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(fate(appender))
    await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(30):
        assert await waiting in ("refused", "unknown")
