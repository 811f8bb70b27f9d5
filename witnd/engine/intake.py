"""Reads the log a batch ahead of the fold, and keeps time on a quiet stream.

On a quiet stream no next entry proves that everything was read. When the earliest deadline has passed by the server's
own clock and the log is drained, a `tick` entry is appended; reading it back is the proof. Timers and the sorted set
only tell when a tick is worth appending; they decide nothing.
"""

import asyncio
from typing import NamedTuple

from witnd.clock import Clock
from witnd.domain.outcomes.event import EntryId
from witnd.engine.blocks import Blocks, ClockJumped, EntryAhead, RepairUnfinished
from witnd.engine.memory import HORIZON_MS, Memory
from witnd.engine.retries import Retries
from witnd.fold.step import Entry
from witnd.store.clock.guard import ClockGuard
from witnd.store.log.reader import Row
from witnd.store.records.log_snapshot import LogSnapshot, check_read_to_end, check_snapshot, entry_id

IDLE_MS = 1000  # longest wait in the server: catalogue and horizon are looked at this often on a quiet stream
TICK_MS = 20  # shortest time between ticks: what is due one after the other shares them
MOVING_SECONDS = 0.1  # between looks whether a repair has ended
AHEAD_MAX_MS = 60_000  # contract section 3: an entry further ahead of the server's clock stops the partition


class Batch(NamedTuple):
    """Entries with everything in memory that their fold needs."""

    number: int
    entries: list[Entry]
    now_ms: int


class Intake:
    """`run()` until cancelled; batches go to `queue`, which holds one: the fold works while the next is prepared."""

    def __init__(self, memory: Memory, *, batch_max: int, guard: ClockGuard, clock: Clock) -> None:
        self.queue: asyncio.Queue[Batch | None] = asyncio.Queue(1)  # None: nothing more will come
        self.idle = asyncio.Event()  # set by the fold while nothing waits for it
        self.idle.set()
        self.read_to: EntryId = memory.partition.cursor
        self.read = memory.partition.read  # how many entries that is
        self.snapshot: LogSnapshot | None = None
        self.blocks = Blocks()
        self._memory = memory
        self._batch_max = batch_max
        self._guard = guard
        self._clock = clock
        self._server_ms = 0  # what the server's clock said last
        self._number = 0
        self._ticked_ms = 0
        self.retries = Retries(memory, self.idle, guard)

    async def run(self) -> None:
        rows: list[Row] = []
        while True:
            if rows:
                rows = await self._prepare_and_read_ahead(rows)
            else:
                await self.idle.wait()
                rows = await self._wait(await self._check_quiet_log())
                if not rows and self.snapshot is not None:
                    check_read_to_end(self.snapshot, self.read_to, self.read)

    async def _prepare_and_read_ahead(self, rows: list[Row]) -> list[Row]:
        """The entries behind `rows`, which are on their way while those are prepared."""
        after = entry_id(rows[-1][0])
        reading = asyncio.ensure_future(self._read(None, after))
        try:
            await asyncio.sleep(0)  # so that it is on its way
            batch = await self._prepare(rows)
            # With the next rows at hand, their outcomes are asked for before the fold sends its next commit: behind
            # that, the answer would keep the fold waiting (traced: 40 % of the time).
            behind = await reading
        finally:
            reading.cancel()
        if batch is not None:
            await self.queue.put(batch)
        return behind if self.read_to == after else await self._read(None)

    async def _read(self, block: int | None, after: EntryId | None = None) -> list[Row]:
        memory = self._memory
        return await memory.retry.call(
            "reading the log",
            lambda: memory.store.read(after or self.read_to, self._batch_max, block),
        )

    async def _wait(self, due_ms: int | None) -> list[Row]:
        """Wait for entries in the server; append a tick when the earliest deadline comes, `due_ms` from now."""
        if due_ms is None or due_ms >= IDLE_MS:
            return await self._read(IDLE_MS)
        due_ms = max(due_ms, self._ticked_ms + TICK_MS - self._clock.boot_ms())
        # The server looks at its own time limits ten times a second only, so the host's timer has to do this.
        reading = asyncio.ensure_future(self._read(IDLE_MS))
        try:
            await asyncio.wait({reading}, timeout=due_ms / 1000)
            if not reading.done():
                memory, self._ticked_ms = self._memory, self._clock.boot_ms()
                limit = self._guard.append_limit()
                await memory.retry.call(
                    "appending a tick", lambda: memory.store.append(("witnd", "tick"), latest_ms=limit)
                )
            return await reading
        finally:
            reading.cancel()

    async def _prepare(self, rows: list[Row]) -> Batch | None:
        """A batch with everything in memory that it needs; None if nothing can be taken yet."""
        self._number += 1
        entries, cold = self._memory.partition.plan(rows, self._number)
        snapshot = self._check_clock(await self._memory.load(cold, self._number))
        entries = await self._entries_in_time(entries, snapshot)
        if not entries:
            return None
        until = entries[-1][0], entries[-1][1]
        check_snapshot(snapshot, self.read_to, self.read, entries)
        self.idle.clear()
        self.read_to, self.read = until, self.read + len(entries)
        return Batch(self._number, entries, snapshot.now_ms)

    async def _entries_in_time(self, entries: list[Entry], snapshot: LogSnapshot) -> list[Entry]:
        """Return the entries whose time has come by the trusted clock. If there is none, wait a moment."""
        if snapshot.moving:
            await self._memory.retry.sleep(MOVING_SECONDS)
            return []
        if entries[-1][0] <= snapshot.now_ms:
            self.blocks.clear(EntryAhead.code)
            return entries
        sound = [entry for entry in entries if entry[0] <= snapshot.now_ms]
        if sound:
            return sound
        ms, seq = entries[0][0], entries[0][1]
        # While the clock itself is ahead, the clock is the reason; entries with its time are not ahead of it.
        if (ahead_ms := ms - self._server_ms) > AHEAD_MAX_MS:
            self.blocks.set(EntryAhead((ms, seq), ahead_ms))
        else:
            self.blocks.clear(EntryAhead.code)
        await self._memory.retry.sleep(min(ms - snapshot.now_ms, IDLE_MS) / 1000)
        return []

    def _check_clock(self, snapshot: LogSnapshot) -> LogSnapshot:
        """Return the moment with a trusted clock, and update the blocks."""
        self._server_ms = snapshot.now_ms
        if jump_ms := self._guard.jump_ms:
            self.blocks.set(ClockJumped(jump_ms))
        else:
            self.blocks.clear(ClockJumped.code)
        if snapshot.moving:
            self.blocks.set(RepairUnfinished())
        else:
            self.blocks.clear(RepairUnfinished.code)
        self.snapshot = snapshot = snapshot._replace(now_ms=self._guard.trusted_now(snapshot.now_ms))
        return snapshot

    # -- on a quiet stream -----------------------------------------------------------------------------------------

    async def _check_quiet_log(self) -> int | None:
        """Answers in how many ms the earliest deadline comes; None where that is not known or not to be acted on."""
        memory = self._memory
        snapshot = self._check_clock(await memory.load([], 0))
        check_snapshot(snapshot, self.read_to, self.read)
        if snapshot.moving:
            return None
        deadlines = memory.partition.deadlines
        if deadlines.horizon < snapshot.now_ms + HORIZON_MS // 2:
            await memory.extend(snapshot.now_ms + HORIZON_MS)
        if snapshot.added > self.read:
            return None
        # Drained: everything that was accepted by now is applied.
        self.retries.check(snapshot.now_ms, snapshot.now_ms)
        if keys := deadlines.unloaded(snapshot.now_ms, self._batch_max):
            # What Redis has are lower bounds: the outcomes themselves tell whether a tick is worth appending.
            await self._refresh(keys)
        await self._write_changes(snapshot.now_ms)
        due = deadlines.peek()
        if due is None or self._guard.is_ahead:
            # A tick would carry the wrong time into the log.
            return None
        return max(0, due[0] - snapshot.now_ms)

    async def _refresh(self, keys: list[str]) -> None:
        """Load outcomes whose stored bound has come."""
        self._number += 1
        await self._memory.load(keys, self._number)

    async def _write_changes(self, now_ms: int) -> None:
        """Make an empty batch write what no event writes: bounds that were too early, and outcomes put on hold."""
        cache = self._memory.partition.cache
        if cache.behind or cache.new_holds:
            self._number += 1
            self.idle.clear()
            await self.queue.put(Batch(self._number, [], now_ms))
