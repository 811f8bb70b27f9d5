"""Appends a `retry` entry for each held key that a catalogue change makes placeable. It runs beside the intake.

A start checks all held keys; a change checks those that wait for it. Both work in slices, between which the fold
continues. If the daemon ends meanwhile, its next start checks all keys.
"""

import asyncio
from collections import deque
from collections.abc import Iterable

import structlog

from witnd.domain.catalogue.routing import needs, needs_met_by
from witnd.engine.memory import Memory
from witnd.fold.actor import Held, Waiting
from witnd.fold.held_index import HeldIndex
from witnd.store.clock.guard import ClockGuard
from witnd.store.errors import Unreadable
from witnd.store.partition.hydrate import hydrate

# Keys and held events per slice: some 10 ms of this process, and a few of the server. A key has up to 1000 events, so
# the first slice has few keys.
SLICE, EVENTS, FIRST_SLICE = 200, 2000, 5
# Wait before retries that the clock did not allow are appended again.
REFUSED_SECONDS = 1.0
# Wait between two slices while the fold has work.
PAUSE_SECONDS = 0.05
# Wait while the server's clock is not trusted.
CLOCK_SECONDS = 1.0

log = structlog.get_logger()


class HeldRetries:
    """Checks held keys while `run()` runs. `idle` is set while the fold has no work."""

    def __init__(self, memory: Memory, idle: asyncio.Event, guard: ClockGuard) -> None:
        self.index = HeldIndex()
        self._memory = memory
        self._idle = idle
        self._guard = guard
        self._wake = asyncio.Event()
        self._checked_to = -1  # changes up to this instant are checked or queued
        self._now_ms = 0
        self._scan: str | None = None  # cursor of the scan of all held keys; None without a scan
        self._keys: deque[str] = deque()  # keys to check
        self._waiting: set[str] = set()  # the same keys
        self._size = FIRST_SLICE
        self._checked = self._retried = 0

    def has_change(self, applied_to: int) -> bool:
        """Return whether the catalogue changed up to `applied_to` since the last `check`."""
        change = self._memory.partition.catalogue.next_change_after(self._checked_to)
        return change is not None and change <= applied_to

    def check(self, applied_to: int, now_ms: int) -> None:
        """Queue the held keys to check if the catalogue changed up to `applied_to`. All entries up to it are
        committed."""
        if not self.has_change(applied_to):
            return
        changes = self._memory.partition.catalogue.changes_between(self._checked_to, applied_to)
        must_check_all = (
            self._checked_to < 0 or self.index.is_lost or (self._scan is None and not self.index.is_complete)
        )
        self._checked_to, self._now_ms = applied_to, now_ms
        met = {need for change in changes for need in needs_met_by(*change)}
        if not met:
            return
        if must_check_all:
            self._check_all()
        self._push(self.index.take(met))
        self._wake.set()

    def add_held(self, held: Held, waiting: list[Waiting]) -> None:
        """Add newly held events of a key."""
        catalogue = self._memory.partition.catalogue
        for (ms, _), event in waiting:
            found = needs(catalogue, agent_key=event.agent_key, customer_key=event.customer_key, at=ms)
            self.index.add(held.key, found)

    async def run(self) -> None:
        if self._checked:
            self._check_all()  # an error ended the previous run before it was done
        while True:
            await self._wake.wait()
            if self._guard.is_ahead:
                # A retry would place events at a wrong time.
                await asyncio.sleep(CLOCK_SECONDS)
                continue
            if not self._keys and self._scan is not None:
                await self._continue_scan()
            elif self._keys:
                await self._check_slice()
            if not self._keys and self._scan is None:
                self._wake.clear()
                if self._retried:
                    log.info("held.retried", looked_at=self._checked, retried=self._retried)
                self._checked = self._retried = 0
            if not self._idle.is_set():
                await asyncio.sleep(PAUSE_SECONDS)

    def _check_all(self) -> None:
        self.index.clear()
        self._scan = "0"

    def _push(self, keys: Iterable[str]) -> None:
        for key in keys:
            if key not in self._waiting:
                self._waiting.add(key)
                self._keys.append(key)

    async def _continue_scan(self) -> None:
        """Find the next held keys. Every key that stays held during the scan is found."""
        memory, cursor = self._memory, self._scan or "0"
        after, keys = await memory.retry.call("listing held keys", lambda: memory.store.scan_held(cursor, SLICE))
        self._push(keys)
        self._scan = None if after == "0" else after
        if self._scan is None:
            # The index has all keys now, those of this page once they are checked.
            self.index.is_complete = not self.index.is_lost

    async def _check_slice(self) -> None:
        memory, partition = self._memory, self._memory.partition
        keys = [self._keys[index] for index in range(min(self._size, len(self._keys)))]
        events = 0
        found: list[str] = []
        damaged: list[Unreadable] = []
        held = await memory.retry.call("loading held events", lambda: memory.store.held(keys))
        # No await until every key is in the index again, so a concurrent change finds each key in the index or in the
        # queue.
        for key, items in zip(keys, held, strict=True):
            self._keys.popleft()
            self._waiting.discard(key)
            if isinstance(items, Unreadable):
                damaged.append(items)
                continue
            if key in partition.cache.on_hold:
                continue
            one = hydrate(key, None, (), items, partition.catalogue)
            if isinstance(one, Held) and one.waiting:
                events += len(one.waiting)
                # Index it by what it waits for now, also if it can be placed: it stays held until then.
                self._add_to_index(one)
                if partition.placeable(one, self._now_ms):
                    found.append(key)
        for damage in damaged:
            await memory.hold(damage.key, damage.reason)
        self._size = max(1, len(keys) * EVENTS // events) if events > EVENTS else min(SLICE, 2 * self._size)
        self._checked += len(keys)
        if found:
            retries = [("witnd", "retry", "key", key) for key in found]
            limit = self._guard.append_limit()
            if not await memory.retry.call("appending retries", lambda: memory.store.append(*retries, latest_ms=limit)):
                self._push(found)
                await asyncio.sleep(REFUSED_SECONDS)
                return
        self._retried += len(found)

    def _add_to_index(self, held: Held) -> None:
        catalogue, at = self._memory.partition.catalogue, self._now_ms
        for _, event in held.waiting:
            self.index.add(
                held.key, needs(catalogue, agent_key=event.agent_key, customer_key=event.customer_key, at=at)
            )
