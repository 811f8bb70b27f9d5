"""A context manager that restores cancellations that redis-py drops.

redis-py sends with `asyncio.wait_for`. Up to Python 3.11 that drops a cancellation which arrives when the awaited
call is just done, or has just failed. The task would run for ever.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def cancellable() -> Iterator[None]:
    """Raise `CancelledError` at the end of the block if a call inside swallowed a cancellation."""
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    try:
        yield
    except Exception as failed:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError from failed
        raise
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
