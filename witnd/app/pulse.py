"""Telling open pages that something changed, by server-sent events. What it is they ask for themselves, by the page
that they show: there is no second way to the data.

All pages that are open share one look at the store, twice a second, and none while nobody looks.
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
    """`look` answers something that differs whenever anything changed. `run()` until cancelled."""

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
        """End all streams: who stops must not wait for pages that somebody left open."""
        self._closed = True
        self._tell()

    def _tell(self) -> None:
        for one in self._listeners:
            one.set()

    async def events(self) -> AsyncIterator[str]:
        """Server-sent events. They begin with a change: nobody knows what happened since the page was made."""
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
