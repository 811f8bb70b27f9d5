"""Feeds the fold of one partition: read → prefetch → fold → commit, with reads a batch ahead and one commit in flight.

The order never changes. While Redis is unavailable, reads are repeated, and a commit whose reply was lost is sent
again: its sequence number shows whether it is written. `Fenced` and `Unsafe` end the pipeline.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import structlog

from witnd.domain.outcomes.event import Retry
from witnd.domain.outcomes.reversal import Reversal
from witnd.engine.intake import Batch, Intake
from witnd.engine.memory import HORIZON_MS, Memory
from witnd.fold.on_hold import Poison
from witnd.fold.step import Step
from witnd.store.errors import WrongType
from witnd.store.keys import Keys
from witnd.store.log.reader import ANSWER_SECONDS
from witnd.store.partition import commit
from witnd.store.partition.commit import PackedCommit
from witnd.store.partition.writes import write

# Resolutions per commit: some 10 ms of server time, so that other calls do not wait long.
SETTLE_MAX = 1000
COMMIT_SECONDS = 2 * ANSWER_SECONDS

log = structlog.get_logger()


class _CommitInFlight(NamedTuple):
    """A commit that was sent. `writing` ends when it is known to be written."""

    writing: asyncio.Future[None]
    sequence: int
    rules: frozenset[str]
    unqueued: tuple[str, ...]
    step: Step
    batch: int


class Pipeline:
    """Runs a partition: `run()` until cancelled, or until `stop()` has drained it. `sequence` is that of the last
    commit."""

    def __init__(
        self,
        memory: Memory,
        intake: Intake,
        *,
        fence: str,
        sequence: int,
        actors_max: int,
        on_commit: Callable[[int], None],
        on_queued: Callable[[frozenset[str]], None],
        on_unqueued: Callable[[tuple[str, ...]], None],
        on_forwards: Callable[[], None],
    ) -> None:
        self.sequence = sequence
        self._memory = memory
        self._intake = intake
        self._fence = fence
        self._actors_max = actors_max
        self._on_commit = on_commit
        self._on_queued = on_queued
        self._on_unqueued = on_unqueued
        self._on_forwards = on_forwards
        self._in_flight: _CommitInFlight | None = None
        self._committed_batch = 0
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self._intake.run())
                group.create_task(self._fold_on())
                await self._stopping.wait()
                reading.cancel()
                await asyncio.wait([reading])
                await self._intake.queue.put(None)
        finally:
            if self._in_flight is not None:
                self._in_flight.writing.cancel()

    def stop(self) -> None:
        """Stop reading. `run` returns when all that was read is committed."""
        self._stopping.set()

    async def _fold_on(self) -> None:
        while (batch := await self._next()) is not None:
            await self._fold(batch)
            await self._retry(batch)
        await self._wait_for_commit()

    async def _next(self) -> Batch | None:
        """Return the next batch. If none is ready, first wait for the commit in flight."""
        getting = asyncio.ensure_future(self._intake.queue.get())
        try:
            if self._in_flight is not None:
                await asyncio.wait((getting, self._in_flight.writing), return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                await self._wait_for_commit()
                self._intake.idle.set()
            return await getting
        finally:
            getting.cancel()

    async def _fold(self, batch: Batch) -> None:
        memory, partition = self._memory, self._memory.partition
        at, entries = 0, batch.entries
        if any(type(entry[2]) is Retry for entry in entries):
            await memory.load_removals()
        done = False
        while not done:
            try:
                step, reached = partition.fold(entries, at, SETTLE_MAX, batch.number)
            except Poison:
                await self._wait_for_commit()  # a restart must find it
                raise
            done = reached == len(entries)
            await asyncio.sleep(0)  # health checks and the lease must not wait for the encoding too
            if reached > at or step.actors or step.new_holds:
                await self._commit(step, batch.number if done else batch.number - 1)
            at = reached
            if step.need == "horizon":
                await memory.extend(max(entries[-1][0], entries[at][0] + HORIZON_MS))
            elif step.repair is not None:
                # The waiting events are read from Redis, so all of them must be written.
                await self._wait_for_commit()
                await memory.load_repair(*step.repair)
            elif step.need is not None:
                await memory.load(list(step.need), batch.number)
            if partition.orphaned_deadlines:
                log.error(
                    "deadlines.orphaned",
                    keys=partition.orphaned_deadlines[:10],
                    remedy="another program changed the sorted set of deadlines; run `witnd audit`",
                )
                partition.orphaned_deadlines.clear()

    async def _retry(self, batch: Batch) -> None:
        """Start the check of held events after a catalogue change. On a busy log the intake never does this."""
        retries = self._intake.retries
        if batch.entries and retries.has_change(applied_to := batch.entries[-1][0]):
            await self._wait_for_commit()
            retries.check(applied_to, batch.now_ms)

    async def _commit(self, step: Step, batch: int) -> None:
        """Send a step after the previous one is written."""
        memory = self._memory
        for held in step.held:
            self._intake.retries.add_held(held, held.waiting[held.stored :])
        expected = self.sequence + (self._in_flight is not None)
        packed = write(step, memory.partition, memory.store.keys, expected).packed(self._fence)
        fan_outs = [settled.deliveries for settled in step.settled if settled.deliveries]
        rules = frozenset(rule.id for fan_out in fan_outs if not fan_out.is_large for rule in fan_out.rules)
        unqueued = tuple(fan_out.message.outcome_key for fan_out in fan_outs if fan_out.is_large)
        await self._wait_for_commit()
        await memory.retry.wait_while_paused()
        try:
            replies = (await memory.store.caller()).send_packed(packed.by_digest(), 1)
        except memory.retry.unreachable:
            replies = None
        writing = asyncio.ensure_future(self._write(packed, replies))
        self._in_flight = _CommitInFlight(writing, packed.sequence, rules, unqueued, step, batch)

    async def _write(self, packed: PackedCommit, replies: asyncio.Future[list[object]] | None) -> None:
        """Retry a step until it is written. `replies` is None if it could not be sent."""
        memory = self._memory

        async def attempt() -> None:
            nonlocal replies
            caller = await memory.store.caller()
            waiting, replies = replies, None
            if waiting is None:
                waiting = caller.send_packed(packed.by_digest(), 1)
            answer = await caller.wait(waiting, COMMIT_SECONDS)
            await commit.finish(caller, packed, answer, COMMIT_SECONDS)

        await memory.retry.call("committing", attempt)

    async def _wait_for_commit(self) -> None:
        """Wait until the commit in flight is known to be written."""
        sent, memory = self._in_flight, self._memory
        if sent is None:
            return
        try:
            await sent.writing
        except WrongType as wrong:
            self._in_flight = None
            raise _poison(wrong, memory.store.keys) from wrong
        self._in_flight = None
        self.sequence = sent.sequence
        self._on_commit(sent.sequence)
        self._committed_batch = max(self._committed_batch, sent.batch)
        if sent.rules:
            self._on_queued(sent.rules)
        if sent.unqueued:
            self._on_unqueued(sent.unqueued)
        if sent.step.forwards:
            self._on_forwards()
        # Not before: an owner that has lost its lease may find damage where another one has written.
        _log_holds(sent.step, memory.store.keys.partition)
        _log_final(sent.step, self.sequence)
        memory.partition.cache.passivate(self._actors_max, self._committed_batch, memory.loading)


def _log_final(step: Step, sequence: int) -> None:
    reversals = sum(isinstance(one.resolution, Reversal) for one in step.settled)
    if len(step.settled) > reversals:
        log.info("outcomes.settled", count=len(step.settled) - reversals, sequence=sequence)
    if reversals:
        log.info("outcomes.reversed", count=reversals, sequence=sequence)


def _log_holds(step: Step, partition: int) -> None:
    for one in step.new_holds:
        log.error(
            "outcome.on_hold",
            partition=partition,
            key=one.key,
            reason=one.hold.reason,
            remedy=f"run `witnd repair outcome {one.key}`; its events wait until then",
        )
    for one in step.repaired:
        log.info("outcome.repaired", partition=partition, key=one.key, waiting=len(one.waiting))


def _poison(wrong: WrongType, keys: Keys) -> Exception:
    """Return `Poison` if the key belongs to one outcome; any other key concerns the whole partition."""
    for start in (keys.history(""), keys.held_events(""), keys.waiting("")):
        if wrong.key.startswith(start):
            return Poison(wrong.key.removeprefix(start), wrong)
    return wrong
