"""Notify open pages of changes by server-sent events. A page then requests its data again.

All open pages share one check of the store, twice a second. Without open pages there is none.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from witnd.store.errors import StoreRefused, StoreUnavailable

LOOK_SECONDS: Final = 0.5
# A comment so often, so that nobody in between takes the connection for dead.
BEAT_SECONDS: Final = 15.0
# Pages that are kept up to date at a time; the others are told to ask again later.
LISTENERS_MOST: Final = 200


class Pulse:
    """Notifies pages. `look` returns a value that differs after any change. `run()` runs until it is cancelled."""

    def __init__(self, look: Callable[[], Awaitable[bytes]]) -> None:
        self._look = look
        self._listeners: set[asyncio.Event] = set()
        self._wanted = asyncio.Event()
        self._closed = False

    async def run(self) -> None:
        known = b""
        while True:
            await self._wanted.wait()
            try:
                seen = await self._look()
            except (StoreUnavailable, StoreRefused):
                seen = b""  # that it is back will be seen as a change
            if seen != known:
                known = seen
                self._tell()
            await asyncio.sleep(LOOK_SECONDS)

    @property
    def full(self) -> bool:
        return len(self._listeners) >= LISTENERS_MOST

    def close(self) -> None:
        """End all streams, so that a stop does not wait for open pages."""
        self._closed = True
        self._tell()

    def _tell(self) -> None:
        for one in self._listeners:
            one.set()

    async def events(self) -> AsyncIterator[str]:
        """Yield server-sent events. The first is a change, because data may have changed since the page was
        rendered."""
        changed = asyncio.Event()
        changed.set()
        self._listeners.add(changed)
        self._wanted.set()
        try:
            yield "retry: 2000\n\n"
            while not self._closed:
                try:
                    async with asyncio.timeout(BEAT_SECONDS):
                        await changed.wait()
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                changed.clear()
                if not self._closed:
                    yield "event: changed\ndata:\n\n"
        finally:
            self._listeners.discard(changed)
            if not self._listeners:
                self._wanted.clear()
