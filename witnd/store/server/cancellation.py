"""Cancellation that survives redis-py.

redis-py sends with `asyncio.wait_for`, which up to Python 3.11 drops a cancellation that arrives in
the very moment in which what it waits for is done. The task would go on for ever.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def cancellable() -> Iterator[None]:
    """Raises `CancelledError` at its end where a call inside was cancelled and did not say so."""
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    yield
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
