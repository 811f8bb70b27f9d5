"""Run the tasks of a daemon together, and end all of them."""

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any, Final

# Pause before a task that did not end is cancelled again.
CANCEL_SECONDS: Final = 1.0


async def run_together(
    work: Collection[Coroutine[Any, Any, None]], beside: Collection[Coroutine[Any, Any, None]]
) -> None:
    """Run all until each of `work` has returned or any fails, then cancel the others.

    Raises the errors as one group.
    """
    owners = [asyncio.create_task(one) for one in work]
    everything = {*owners, *(asyncio.create_task(one) for one in beside)}
    try:
        running = everything
        while running and not all(one.done() for one in owners):
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            if any(one.cancelled() or one.exception() is not None for one in done):
                break
    finally:
        await _cancel(everything)
    errors = [error for one in everything if not one.cancelled() and (error := one.exception()) is not None]
    if errors:
        raise BaseExceptionGroup("the daemon failed", errors)


async def _cancel(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended.

    One cancellation may not suffice: before Python 3.13, a task group whose task fails at the same moment raises only
    that error, and the caller that handles it continues.
    """
    while left := [one for one in tasks if not one.done()]:
        for one in left:
            one.cancel()
        await asyncio.wait(left, timeout=CANCEL_SECONDS)
