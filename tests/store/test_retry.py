"""Waiting out a Redis that does not answer."""

import asyncio

import pytest

from witnd.store.errors import StoreUnavailable, Unsafe
from witnd.store.server import retry as module
from witnd.store.server.retry import Retry


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.001)


def retry(*looks: Exception | None) -> Retry:
    """Each look at the server after an outage raises the next of these, or finds it well."""
    left = list(looks)

    async def verify() -> None:
        wrong = left.pop(0) if left else None
        if wrong is not None:
            raise wrong

    return Retry(verify, lambda: 1.0)


@pytest.mark.anyio
async def test_a_call_is_repeated_until_it_gets_through() -> None:
    waiting, calls = retry(), 0

    async def call() -> int:
        nonlocal calls
        calls += 1
        if calls < 4:
            raise StoreUnavailable("no answer")
        return calls

    assert await waiting.call("asking", call) == 4
    assert waiting.trouble is None


@pytest.mark.anyio
async def test_it_is_no_trouble_any_more_when_the_server_answers_and_the_call_takes_its_time() -> None:
    waiting, failed, at_work, done = retry(), False, asyncio.Event(), asyncio.Event()

    async def call() -> None:
        nonlocal failed
        if not failed:
            failed = True
            raise StoreUnavailable("no answer")
        at_work.set()
        await done.wait()

    asking = asyncio.create_task(waiting.call("waiting for a line", call))
    await at_work.wait()
    assert waiting.trouble is None
    done.set()
    await asking


@pytest.mark.anyio
async def test_a_server_that_must_not_be_used_ends_the_waiting() -> None:
    waiting = retry(Unsafe("it lost data", "restore them"))

    async def call() -> None:
        raise StoreUnavailable("no answer")

    with pytest.raises(Unsafe):
        await waiting.call("asking", call)


@pytest.mark.anyio
async def test_a_call_that_is_cancelled_while_it_waits_leaves_no_trouble_behind() -> None:
    waiting = retry()

    async def call() -> None:
        raise StoreUnavailable("no answer")

    asking = asyncio.create_task(waiting.call("reading the log", call))
    while waiting.trouble is None:
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert waiting.trouble is None


@pytest.mark.anyio
async def test_the_success_of_one_call_does_not_hide_the_trouble_of_another() -> None:
    waiting, fail = retry(), True

    async def down() -> None:
        raise StoreUnavailable("no answer")

    async def briefly() -> None:
        nonlocal fail
        if fail:
            fail = False
            raise StoreUnavailable("no answer")

    asking = asyncio.create_task(waiting.call("reading the log", down))
    while waiting.trouble is None:
        await asyncio.sleep(0)
    await waiting.call("reading the clock", briefly)
    assert waiting.trouble == "reading the log: no answer"
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


@pytest.mark.anyio
async def test_a_server_that_must_not_be_used_leaves_no_trouble_that_nobody_ends() -> None:
    waiting = retry(Unsafe("it lost data", "restore them"))

    async def call() -> None:
        raise StoreUnavailable("no answer")

    with pytest.raises(Unsafe):
        await waiting.call("asking", call)
    assert waiting.trouble is None
