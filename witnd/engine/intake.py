"""Reads the log a batch ahead of the fold, and advances time on a quiet log.

On a quiet log no next entry proves that all entries were read. When the earliest deadline has passed by the server's
clock and the log is drained, the intake appends a `tick` entry; reading it back is the proof. Timers and the index of
deadlines only show when a tick may be useful; they decide nothing.
"""

import asyncio
from typing import NamedTuple

from witnd.clock import Clock
from witnd.domain.outcomes.event import EntryId
from witnd.engine.blocks import Blocks, ClockJumped, EntryAhead, RepairUnfinished
from witnd.engine.held_retries import HeldRetries
from witnd.engine.memory import HORIZON_MS, Memory
from witnd.fold.step import Entry
from witnd.store.clock.guard import ClockGuard
from witnd.store.log.reader import Row
from witnd.store.records.log_snapshot import LogSnapshot, check_read_to_end, check_snapshot, entry_id

IDLE_MS = 1000  # longest wait in the server, and interval of the checks of catalogue and horizon on a quiet log
TICK_MS = 20  # shortest time between ticks: close deadlines share one
MOVING_SECONDS = 0.1  # interval of the checks whether a repair has ended
AHEAD_MAX_MS = 60_000  # contract section 3: an entry further ahead of the server's clock stops the partition


class Batch(NamedTuple):
    """Entries whose keys are all in memory."""

    number: int
    entries: list[Entry]
    now_ms: int


class Intake:
    """Reads the log while `run()` runs. `queue` has room for one batch: the fold works while the next is prepared."""

    def __init__(self, memory: Memory, *, batch_max: int, guard: ClockGuard, clock: Clock) -> None:
        self.queue: asyncio.Queue[Batch | None] = asyncio.Queue(1)  # None: no more batches
        self.idle = asyncio.Event()  # set by the fold while it has no work
        self.idle.set()
        self.read_to: EntryId = memory.partition.cursor
        self.read = memory.partition.read  # number of entries up to `read_to`
        self.snapshot: LogSnapshot | None = None
        self.blocks = Blocks()
        self._memory = memory
        self._batch_max = batch_max
        self._guard = guard
        self._clock = clock
        self._server_ms = 0  # the server's clock when it was last read
        self._number = 0
        self._ticked_ms = 0
        self.retries = HeldRetries(memory, self.idle, guard)

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
        """Prepare `rows`, and read the entries after them meanwhile. Return those."""
        after = entry_id(rows[-1][0])
        reading = asyncio.ensure_future(self._read(None, after))
        try:
            await asyncio.sleep(0)  # so that the request is sent
            batch = await self._prepare(rows)
            # Wait for the next rows, so that their outcomes are requested before the fold sends its next commit. After
            # the commit, the answer would keep the fold waiting (traced: 40 % of the time).
            following = await reading
        finally:
            reading.cancel()
        if batch is not None:
            await self.queue.put(batch)
        return following if self.read_to == after else await self._read(None)

    async def _read(self, block: int | None, after: EntryId | None = None) -> list[Row]:
        memory = self._memory
        return await memory.retry.call(
            "reading the log",
            lambda: memory.store.read(after or self.read_to, self._batch_max, block),
        )

    async def _wait(self, due_ms: int | None) -> list[Row]:
        """Wait in the server for entries. Append a tick when the earliest deadline comes, `due_ms` from now."""
        if due_ms is None or due_ms >= IDLE_MS:
            return await self._read(IDLE_MS)
        due_ms = max(due_ms, self._ticked_ms + TICK_MS - self._clock.boot_ms())
        # The server checks its timeouts only ten times a second, so this uses a timer of the host.
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
        """Load all that rows need. Return their batch, or None if no entry can be applied yet."""
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
        due = [entry for entry in entries if entry[0] <= snapshot.now_ms]
        if due:
            return due
        ms, seq = entries[0][0], entries[0][1]
        # While the clock is ahead, it is the reason; entries with its time are not ahead of it.
        if (ahead_ms := ms - self._server_ms) > AHEAD_MAX_MS:
            self.blocks.set(EntryAhead((ms, seq), ahead_ms))
        else:
            self.blocks.clear(EntryAhead.code)
        await self._memory.retry.sleep(min(ms - snapshot.now_ms, IDLE_MS) / 1000)
        return []

    def _check_clock(self, snapshot: LogSnapshot) -> LogSnapshot:
        """Return the snapshot with a trusted clock, and update the blocks."""
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
        """Do the work of a quiet log. Return the ms until the earliest deadline, or None if unknown or not to be
        ticked."""
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
        # Drained: all events accepted so far are applied.
        self.retries.check(snapshot.now_ms, snapshot.now_ms)
        if keys := deadlines.unloaded(snapshot.now_ms, self._batch_max):
            # Redis has lower bounds, so only the outcomes show whether a tick is useful.
            await self._refresh(keys)
        await self._write_changes(snapshot.now_ms)
        due = deadlines.peek()
        if due is None or self._guard.is_ahead:
            # A tick would carry the wrong time into the log.
            return None
        return max(0, due[0] - snapshot.now_ms)

    async def _refresh(self, keys: list[str]) -> None:
        """Load outcomes whose stored deadline has come."""
        self._number += 1
        await self._memory.load(keys, self._number)

    async def _write_changes(self, now_ms: int) -> None:
        """Queue an empty batch for changes without an event: stored deadlines that were too early, and new holds."""
        cache = self._memory.partition.cache
        if cache.stale or cache.new_holds:
            self._number += 1
            self.idle.clear()
            await self.queue.put(Batch(self._number, [], now_ms))
