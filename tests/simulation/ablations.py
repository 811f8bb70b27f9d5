"""Simulations without one safeguard, to show that a seed finds what it prevents.

Each replaces the safeguard by what somebody might have written instead. Nothing in witnd can switch it off.
"""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from tests.simulation import scripts
from tests.simulation.server import START_MS
from witnd.domain.outcomes.event import EntryId
from witnd.domain.outcomes.outcome import Outcome
from witnd.engine.intake import IDLE_MS, Batch, Intake
from witnd.fold.partition import Partition
from witnd.fold.step import Entry, Step
from witnd.store.clock.guard import ClockGuard
from witnd.store.log.reader import Row

Ablation = Callable[[pytest.MonkeyPatch], None]


def fence(patch: pytest.MonkeyPatch) -> None:
    """Write a step whoever owns the partition."""
    patch.setattr(scripts, "fenced_reply", lambda *_: None)


def sequence(patch: pytest.MonkeyPatch) -> None:
    """Write a step wherever the partition is, so as often as it is sent."""
    patch.setattr(scripts, "sequence_reply", lambda *_: None)


def tick(patch: pytest.MonkeyPatch) -> None:
    """Settle what is due by the clock, without a tick that proves that the log was read to its end."""
    fold = Partition.fold

    def fold_and_settle(
        partition: Partition, entries: Sequence[Entry], start: int, settle_max: int, batch: int
    ) -> tuple[Step, int]:
        step, reached = fold(partition, entries, start, settle_max, batch)
        if reached == len(entries) and step.need is None and step.repair is None:
            now_ms = START_MS + int(asyncio.get_running_loop().time() * 1000)
            partition._settle_due(step, now_ms, 0, settle_max, now_ms)
        return step, reached

    async def wait_without_tick(intake: Intake, due_ms: int | None) -> list[Row]:
        if due_ms is None or due_ms >= IDLE_MS:
            return await intake._read(IDLE_MS)
        rows = await intake._read(max(1, due_ms))
        if not rows:
            intake._number += 1
            intake.idle.clear()
            await intake.queue.put(Batch(intake._number, [], intake._guard.latest()))
        return rows

    patch.setattr(Partition, "fold", fold_and_settle)
    patch.setattr(Intake, "_wait", wait_without_tick)


def clock_judge(patch: pytest.MonkeyPatch) -> None:
    """Trust the server's clock, whatever it shows."""
    patch.setattr(ClockGuard, "observe", lambda *_: None)
    patch.setattr(ClockGuard, "append_limit", lambda *_: 1 << 62)
    patch.setattr(ClockGuard, "latest", lambda *_: 1 << 62)


def reversed_once(patch: pytest.MonkeyPatch) -> None:
    """Reverse an outcome with every reversing event."""

    def can_be_reversed(outcome: Outcome, action: str, accepted_at: int) -> bool:
        return (
            action in outcome.contract.reversing
            and outcome.status == "CONFIRMED"
            and accepted_at < outcome.settles_at + outcome.contract.reversal_ms
        )

    def reverse(outcome: Outcome, entry: EntryId, at: int) -> None:
        outcome.reversed_by, outcome.reversed_at = entry, at

    patch.setattr(Outcome, "can_be_reversed", can_be_reversed)
    patch.setattr(Outcome, "reverse", reverse)


class Expected:
    """What an ablation must lead to: a part of the text of a violation."""

    FENCE = ("partition.stopped", "numbered", "differ")
    SEQUENCE = ("numbered", "settled 2 times", "differ")
    TICK = ("fates differ",)
    CLOCK_JUDGE = ("before its deadline",)
    REVERSED_ONCE = ("reversed 2 times",)


ABLATIONS: dict[str, tuple[Ablation, tuple[str, ...]]] = {
    "fence": (fence, Expected.FENCE),
    "sequence": (sequence, Expected.SEQUENCE),
    "tick": (tick, Expected.TICK),
    "clock judge": (clock_judge, Expected.CLOCK_JUDGE),
    "reversed once": (reversed_once, Expected.REVERSED_ONCE),
}
