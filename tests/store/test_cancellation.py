"""No call to Redis swallows a cancellation."""

import asyncio

import pytest

from witnd.store.errors import StoreUnavailable
from witnd.store.server.connection import redis_errors


@pytest.mark.parametrize("fails", [False, True])
def test_a_cancellation_at_the_moment_when_a_call_ends_is_kept(*, fails: bool) -> None:
    async def main() -> None:
        may_end = asyncio.Event()

        async def call() -> None:
            await may_end.wait()
            if fails:
                raise ConnectionResetError("the server has ended")

        async def loop() -> None:
            for _ in range(2):
                try:
                    with redis_errors():
                        await asyncio.wait_for(call(), 60)
                except (StoreUnavailable, OSError):
                    pass
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.01)

        running = asyncio.ensure_future(loop())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        may_end.set()
        await asyncio.sleep(0)  # the call is done, and nobody has its result
        running.cancel()
        await asyncio.wait([running], timeout=5)
        assert running.cancelled()

    asyncio.run(main())
