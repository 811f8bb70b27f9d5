"""Finds deadlines and lists of held events that another program changed in Redis. It runs beside the intake.

The index of deadlines only says when to check an outcome. A score that is too late would make the outcome settle late,
and no other check detects that. So this compares all open outcomes at each start, and again every few minutes. A key
whose held events are lost goes on hold at once: it may never get another event.
"""

import asyncio

import structlog

from witnd.engine.memory import Memory
from witnd.store.partition import deadline_audit as stored_deadlines
from witnd.store.partition.deadline_audit import DeadlineMismatch

# Keys per slice: some 5 ms of this process. With the pause that is 10 000 outcomes a second.
SLICE = 500
PAUSE_SECONDS = 0.05
# Between two passes over all open outcomes.
PASS_SECONDS = 600.0
# Up to this many open outcomes are compared at the start, before the first entry is read: some 0.2 s.
FIRST_MAX = 20_000

log = structlog.get_logger()


class DeadlineAudit:
    """Compares deadlines and held events while `run()` runs."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._is_fresh = False  # a pass was made just before `run`

    async def run_first_pass(self, open_outcomes: int) -> None:
        """Make the first pass at once, if it is short."""
        if open_outcomes <= FIRST_MAX:
            await self._pass(0)
            self._is_fresh = True

    async def run(self) -> None:
        while True:
            if not self._is_fresh:
                await self._pass(PAUSE_SECONDS)
            self._is_fresh = False
            await self._check_held()
            await asyncio.sleep(PASS_SECONDS)

    async def _pass(self, pause: float) -> None:
        """Compare every open outcome, then every member of the set, which may have no outcome."""
        keys = self._memory.store.keys
        for zset in (keys.with_status("PENDING"), keys.with_status("OPEN"), keys.due):
            cursor, done = "0", False
            while not done:
                cursor, names = await self._scan(zset, cursor)
                await self._compare(names, is_listed=zset != keys.due)
                done = cursor == "0"
                await asyncio.sleep(pause)

    async def _check_held(self) -> None:
        memory, cursor, done = self._memory, "0", False
        while not done:
            cursor, names = await self._scan(memory.store.keys.held, cursor)
            lost = await memory.retry.call(
                "comparing held events",
                lambda: stored_deadlines.lost_held(memory.store, names),  # noqa: B023
            )
            for key, reason in lost:
                await memory.hold(key, reason)
            done = cursor == "0"
            await asyncio.sleep(PAUSE_SECONDS)

    async def _scan(self, zset: str, cursor: str) -> tuple[str, list[str]]:
        memory = self._memory
        return await memory.retry.call(
            "comparing deadlines", lambda: stored_deadlines.scan(memory.store, zset, cursor, SLICE)
        )

    async def _compare(self, names: list[str], *, is_listed: bool) -> None:
        memory = self._memory
        wrong, damaged = await memory.retry.call(
            "comparing deadlines", lambda: stored_deadlines.compare(memory.store, names)
        )
        on_hold = memory.partition.cache.on_hold
        # Loading puts them on hold, unless an intact actor is in memory, which will be written.
        if unknown := [key for key in damaged if key not in on_hold]:
            await memory.load(unknown, 0)
            if not is_listed:
                # The remaining keys have no outcome at all.
                wrong += [DeadlineMismatch(key, None, None, 0) for key in unknown if key not in on_hold]
        for mismatch in wrong:
            await self._correct(mismatch)

    async def _correct(self, mismatch: DeadlineMismatch) -> None:
        memory, deadlines = self._memory, self._memory.partition.deadlines
        if not await memory.retry.call(
            "correcting a deadline", lambda: stored_deadlines.correct(memory.store, mismatch)
        ):
            return
        log.error(
            "deadline.corrected",
            partition=memory.store.keys.partition,
            key=mismatch.key,
            found=mismatch.found,
            expected=mismatch.expected,
            reason="another program changed the sorted set of deadlines",
        )
        # The index was already read up to the horizon, with the wrong instant.
        if mismatch.expected is not None and mismatch.expected <= max(deadlines.horizon, deadlines.horizon_asked):
            deadlines.add_stored(mismatch.expected, mismatch.key)
