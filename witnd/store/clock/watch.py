"""Reads the server's clock for the guard while the process runs, and logs jumps."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from witnd.clock import Clock
from witnd.store.clock.guard import Anchor, ClockGuard, Reading, boot_name
from witnd.store.clock.record import ACCEPTED, JUMP, Acceptance, decode_acceptance
from witnd.store.errors import StoreRefused, StoreUnavailable, Unsafe
from witnd.store.keys import GlobalKeys
from witnd.store.server import wire
from witnd.store.server.connection import Endpoint
from witnd.store.server.safety import Problem

ANSWER_SECONDS: Final = 5.0
# How soon a jump is reported. The guard limits its effect anyway.
SAMPLE_SECONDS: Final = 0.5
# Smaller steps are corrections by time servers, and are not logged.
STEP_MS: Final = 500

log = structlog.get_logger()


class ClockWatch:
    """Reads the clock while `run()` runs. `note` stores the offset between the clocks for the next process."""

    def __init__(
        self,
        server: Endpoint,
        keys: GlobalKeys,
        clock: Clock,
        guard: ClockGuard,
        instance: str,
        note: Callable[[Anchor], None],
    ) -> None:
        self.guard = guard
        self._server = server
        self._keys = keys
        self._clock = clock
        self._instance = instance
        self._note = note
        self._wire: wire.Wire | None = None
        self._reading = asyncio.Lock()
        self._boot = boot_name()
        self._acceptance: str | None = None  # id of the last one that was read
        self._asked_ms: int | None = None  # boot time of the last read of it
        self._jump_ms = 0  # as last logged
        self._published: int | None = None  # as stored for commands
        self._is_stepped = False

    @property
    def problem(self) -> Problem | None:
        """Why the server's clock is not trusted."""
        return clock_jump(self.guard.jump_ms) if self.guard.jump_ms else None

    @property
    def problem_ahead(self) -> Problem | None:
        """Why the server's clock must not date anything."""
        return self.problem if self.guard.is_ahead else None

    async def run(self) -> None:
        try:
            while True:
                try:
                    await self.sample()
                    await self._publish()
                except (StoreUnavailable, StoreRefused):
                    pass  # the caller that needs Redis waits and logs it
                except Unsafe as unreadable:
                    log.error("clock.unreadable", reason=unreadable.reason, remedy=unreadable.remedy)
                    await asyncio.sleep(10)
                await asyncio.sleep(SAMPLE_SECONDS)
        finally:
            if self._wire is not None:
                self._wire.close()

    async def sample(self) -> None:
        """Read the clock once."""
        async with self._reading:
            if self._wire is None or not self._wire.open:
                self._wire = await wire.connect(self._server, f"witnd-{self._instance}-clock")
            before = self._clock.boot_ms()
            time, accepted = await self._wire.ask(
                ("TIME",), ("HGET", self._keys.clock, ACCEPTED), seconds=ANSWER_SECONDS
            )
            reading = Reading(int(time[0]) * 1000 + int(time[1]) / 1000, before, self._clock.boot_ms())
            self.guard.observe(reading)
            self._follow_acceptance(reading, accepted)
            if anchor := self.guard.anchor:
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

    async def _publish(self) -> None:
        """Store the jump for commands. The first call removes the jump of an earlier process of this instance."""
        jump, key, field = self.guard.jump_ms, self._keys.clock, JUMP + self._instance
        if jump != self._published and self._wire is not None:
            command = ("HSET", key, field, jump) if jump else ("HDEL", key, field)
            await self._wire.ask(command, seconds=ANSWER_SECONDS)
            self._published = jump


def clock_jump(jump_ms: int) -> Problem:
    """Return the problem for a jump of the server's clock."""
    return Problem(
        f"the clock of the Redis server jumped by {jump_ms / 1000:+.0f} s",
        "correct the clock; if it is right now, run `witnd repair clock`",
    )
