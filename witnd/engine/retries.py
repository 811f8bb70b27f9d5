"""Appends a retry for every held key that a change of the catalogue makes placeable, beside the intake.

At a start all held keys are looked at; later those that wait for what changed. Either way in slices, between which
applying and settling continue. A daemon that ends meanwhile checks all of them at its next start.
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

# Keys and held events per slice: some 10 ms of this process, and a few of the server. A key has 1000 events at most,
# so the first slice is of few keys.
SLICE, EVENTS, FIRST_SLICE = 200, 2000, 5
# Before retries are appended again that the clock does not allow.
REFUSED_SECONDS = 1.0
# Between two slices, while there is something to apply or to settle.
PAUSE_SECONDS = 0.05
# While the server's clock is not believed.
CLOCK_SECONDS = 1.0

log = structlog.get_logger()


class Retries:
    """`run()` until cancelled. `idle` is set while the fold has nothing to do."""

    def __init__(self, memory: Memory, idle: asyncio.Event, guard: ClockGuard) -> None:
        self.index = HeldIndex()
        self._memory = memory
        self._idle = idle
        self._guard = guard
        self._wake = asyncio.Event()
        self._checked_to = -1  # changes up to this instant are looked at, or waiting to be
        self._now_ms = 0
        self._scan: str | None = None  # where the scan of all held keys continues; None while there is none
        self._keys: deque[str] = deque()  # to be looked at
        self._waiting: set[str] = set()  # the same keys
        self._size = FIRST_SLICE
        self._checked = self._retried = 0

    def has_change(self, applied_to: int) -> bool:
        """Whether the catalogue changed by `applied_to` since the last `check`."""
        change = self._memory.partition.catalogue.next_change_after(self._checked_to)
        return change is not None and change <= applied_to

    def check(self, applied_to: int, now_ms: int) -> None:
        """Check the held keys if the catalogue changed by `applied_to`. Everything up to it is committed."""
        if not self.has_change(applied_to):
            return
        changes = self._memory.partition.catalogue.changes_between(self._checked_to, applied_to)
        everything = self._checked_to < 0 or self.index.is_lost or (self._scan is None and not self.index.is_complete)
        self._checked_to, self._now_ms = applied_to, now_ms
        met = {need for change in changes for need in needs_met_by(*change)}
        if not met:
            return
        if everything:
            self._check_all()
        self._push(self.index.take(met))
        self._wake.set()

    def add_held(self, held: Held, waiting: list[Waiting]) -> None:
        """Add events of a key that are held from now on."""
        catalogue = self._memory.partition.catalogue
        for (ms, _), event in waiting:
            found = needs(catalogue, agent_key=event.agent_key, customer_key=event.customer_key, at=ms)
            self.index.add(held.key, found)

    async def run(self) -> None:
        if self._checked:
            self._check_all()  # an error ended the run before, in the middle of something
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
        self.index.begin()
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
            # The index has every key now, those of this page as soon as they are looked at.
            self.index.is_complete = not self.index.is_lost

    async def _check_slice(self) -> None:
        memory, partition = self._memory, self._memory.partition
        keys = [self._keys[place] for place in range(min(self._size, len(self._keys)))]
        events = 0
        found: list[str] = []
        damaged: list[Unreadable] = []
        held = await memory.retry.call("loading held events", lambda: memory.store.held(keys))
        # From here on nothing is waited for until every key is in the index again: a change that comes meanwhile finds
        # a key either there or still to be looked at.
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
                # Under what it waits for now; also a key that can be placed, until it is.
                self._add_to_index(one)
                if partition.placeable(one, self._now_ms):
                    found.append(key)
        for one_damaged in damaged:
            await memory.hold(one_damaged.key, one_damaged.reason)
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
