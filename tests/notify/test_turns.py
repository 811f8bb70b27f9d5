"""The order in which calls to Redis are made when there are more than may be under way."""

import asyncio

from witnd.notify.slots import CallLimiter


async def test_attempts_that_continue_come_before_attempts_that_begin() -> None:
    turns, order = CallLimiter(1), list[str]()

    async def begin(name: str) -> None:
        async with turns.start_call():
            order.append(name)

    async def go_on(name: str) -> None:
        async with turns.resume_call():
            order.append(name)

    async with turns.resume_call():
        waiting = [asyncio.create_task(begin("begins 1")), asyncio.create_task(begin("begins 2"))]
        await asyncio.sleep(0)
        waiting.append(asyncio.create_task(go_on("goes on")))
        await asyncio.sleep(0)
        assert order == []
    await asyncio.gather(*waiting)

    assert order == ["goes on", "begins 1", "begins 2"]


async def test_a_turn_that_is_given_up_goes_to_the_next() -> None:
    turns, order = CallLimiter(1), list[str]()

    async def begin(name: str) -> None:
        async with turns.start_call():
            order.append(name)

    async with turns.start_call():
        waiting = [asyncio.create_task(begin(name)) for name in ("first", "second", "third")]
        await asyncio.sleep(0)
        waiting[0].cancel()
    waiting[1].cancel()  # it has its turn, and was not told yet
    await asyncio.gather(*waiting, return_exceptions=True)

    assert order == ["third"]
    async with asyncio.timeout(20), turns.start_call():
        pass
