"""Reads the server's clock for the guard while the process runs, and logs jumps."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog

from witnd.clock import Clock
from witnd.store.clock.guard import Anchor, ClockGuard, Reading, boot_name
from witnd.store.clock.record import ACCEPTED, Acceptance, decode_acceptance
from witnd.store.errors import Unsafe
from witnd.store.keys import GlobalKeys
from witnd.store.server.routing.slots import Command
from witnd.store.server.routing.wires import Wires
from witnd.store.server.safety import Problem
from witnd.store.server.wire import Wire

ANSWER_SECONDS: Final = 5.0
# How soon a jump is reported. The guard limits its effect anyway.
SAMPLE_SECONDS: Final = 0.5
# Smaller steps are corrections by time servers, and are not logged.
STEP_MS: Final = 500

log = structlog.get_logger()


class ClockWatch:
    """Reads the clock of the server with a key. `note` stores the offset between the clocks for the next process."""

    def __init__(
        self,
        wires: Wires,
        keys: GlobalKeys,
        key: str,
        clock: Clock,
        guard: ClockGuard,
        note: Callable[[Anchor], None] | None,
    ) -> None:
        self.guard = guard
        self.key = key
        self._wires = wires
        self._keys = keys
        self._clock = clock
        self._note = note
        self._reading = asyncio.Lock()
        self._boot = boot_name()
        self._acceptance: str | None = None  # id of the last one that was read
        self._asked_ms: int | None = None  # boot time of the last read of it
        self._jump_ms = 0  # as last logged
        self._is_stepped = False

    @property
    def problem(self) -> Problem | None:
        """Why the server's clock is not trusted."""
        return clock_jump(self.guard.jump_ms) if self.guard.jump_ms else None

    @property
    def problem_ahead(self) -> Problem | None:
        """Why the server's clock must not date anything."""
        return self.problem if self.guard.is_ahead else None

    async def sample(self) -> None:
        """Read the clock once."""
        async with self._reading:
            connection, command = await self._wires.wire(self.key), acceptance_command(self._keys)
            if self.key == self._keys.clock:
                reading, [record] = await read_clock(connection, self._clock, command)
            else:
                [record] = await self._wires.ask(command, seconds=ANSWER_SECONDS)
                reading, _ = await read_clock(connection, self._clock)
            self.take(reading, record)

    def take(self, reading: Reading, record: bytes | None) -> None:
        """Compare a reading. `record`: the last acceptance of the clock by an operator, read at that time."""
        self.guard.observe(reading)
        self._follow_acceptance(reading, record)
        if self._note is not None and (anchor := self.guard.anchor):
            self._note(anchor)
        self._log()

    def _follow_acceptance(self, reading: Reading, record: bytes | None) -> None:
        """Apply an acceptance of the clock, once."""
        asked_ms, self._asked_ms = self._asked_ms, reading.before_ms
        if record is None:
            return
        try:
            acceptance: Acceptance = decode_acceptance(record)
        except ValueError as damaged:
            raise Unsafe(
                f"field {ACCEPTED} of {self._keys.clock} is damaged ({damaged})", f"delete the key {self._keys.clock}"
            ) from damaged
        if acceptance.id == self._acceptance:
            return
        self._acceptance = acceptance.id
        if self.guard.jump_ms and acceptance.applies_to(reading, self._boot, asked_ms):
            log.warning("clock.accepted", jump_ms=self.guard.jump_ms, acceptance=acceptance.id)
            self.guard.accept(reading)

    def _log(self) -> None:
        guard = self.guard
        if guard.jump_ms != self._jump_ms:
            if problem := self.problem:
                log.error("clock.jumped", jump_ms=guard.jump_ms, reason=problem.reason, remedy=problem.remedy)
            else:
                log.info("clock.recovered", was_ms=self._jump_ms)
            self._jump_ms = guard.jump_ms
        is_stepped = abs(guard.step_ms) >= STEP_MS
        if is_stepped and not self._is_stepped:
            log.warning("clock.stepped", step_ms=guard.step_ms)
        self._is_stepped = is_stepped


async def read_clock(connection: Wire, clock: Clock, *commands: Command) -> tuple[Reading, list[Any]]:
    """Read the server's clock. Return it with the replies to `commands`, which run in the same round trip."""
    before = clock.boot_ms()
    time, *replies = await connection.ask(("TIME",), *commands, seconds=ANSWER_SECONDS)
    return Reading(int(time[0]) * 1000 + int(time[1]) / 1000, before, clock.boot_ms()), replies


def acceptance_command(keys: GlobalKeys) -> Command:
    """Return the command that reads the last acceptance of the clock."""
    return ("HGET", keys.clock, ACCEPTED)


def clock_jump(jump_ms: int) -> Problem:
    """Return the problem for a jump of the server's clock."""
    return Problem(
        f"the clock of the Redis server jumped by {jump_ms / 1000:+.0f} s",
        "correct the clock; if it is right now, run `witnd repair clock`",
    )
