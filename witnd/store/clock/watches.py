"""Reads the clock of each primary for the guards of its partitions.

On a single server, or behind Sentinels, there is one clock and one guard. In a cluster, each partition has its own
guard, which compares the clock of whichever server is the primary of its slot: a new primary whose clock is ahead is a
jump, and one whose clock is behind makes settlement wait.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from witnd.clock import Clock
from witnd.store.clock.guard import Anchor, ClockGuard, boot_name
from witnd.store.clock.record import JUMP
from witnd.store.clock.watch import ANSWER_SECONDS, SAMPLE_SECONDS, ClockWatch, acceptance_command, read_clock
from witnd.store.errors import StoreRefused, StoreUnavailable, Unsafe
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.server.connection import Endpoint
from witnd.store.server.routing.wires import Wires
from witnd.store.server.safety import Problem

UNREADABLE_SECONDS: Final = 10.0

log = structlog.get_logger()


class ClockWatches:
    """The clocks of a deployment, which are read while `run()` runs. `anchor` is that of an earlier process."""

    def __init__(
        self,
        server: Endpoint,
        keys: GlobalKeys,
        partitions: Sequence[Keys],
        clock: Clock,
        anchor: Anchor | None,
        instance: str,
        note: Callable[[Anchor], None],
    ) -> None:
        self._clock = clock
        self._keys = keys
        self._instance = instance
        self._wires = Wires(server, f"witnd-{instance}-clock")

        def watch(key: str, note: Callable[[Anchor], None] | None) -> ClockWatch:
            guard = ClockGuard(clock.boot_ms, anchor, boot=boot_name())
            return ClockWatch(self._wires, keys, key, clock, guard, note)

        self.shared = watch(keys.clock, note)  # of the invoices and the catalogue
        of_partitions = [watch(one.state, None) for one in partitions] if server.mode == "cluster" else []
        self._partitions = dict(enumerate(of_partitions))
        self._published: int | None = None  # as stored for commands

    def of(self, partition: int) -> ClockWatch:
        """Return the watch of a partition's primary."""
        return self._partitions.get(partition, self.shared)

    @property
    def _all(self) -> list[ClockWatch]:
        return [self.shared, *self._partitions.values()]

    @property
    def problem(self) -> Problem | None:
        """Why the clock of a server is not trusted."""
        return next((problem for watch in self._all if (problem := watch.problem) is not None), None)

    @property
    def problem_ahead(self) -> Problem | None:
        """Why the clock of a server must not date anything."""
        return next((problem for watch in self._all if (problem := watch.problem_ahead) is not None), None)

    async def run(self) -> None:
        try:
            while True:
                try:
                    await self._sample()
                    await self._publish()
                except (StoreUnavailable, StoreRefused):
                    pass  # the caller that needs Redis waits and logs it
                except Unsafe as unreadable:
                    log.error("clock.unreadable", reason=unreadable.reason, remedy=unreadable.remedy)
                    await asyncio.sleep(UNREADABLE_SECONDS)
                await asyncio.sleep(SAMPLE_SECONDS)
        finally:
            self._wires.close()

    async def _sample(self) -> None:
        """Read the clock of each primary once, for all its partitions. One that does not answer delays no other."""
        if not self._partitions:
            await self.shared.sample()
            return
        [record] = await self._wires.ask(acceptance_command(self._keys), seconds=ANSWER_SECONDS)
        by_primary: dict[Endpoint, list[ClockWatch]] = {}
        for watch in self._all:
            by_primary.setdefault(await self._wires.primary(watch.key), []).append(watch)
        calls = [self._sample_primary(watches, record) for watches in by_primary.values()]
        for error in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(error, BaseException) and not isinstance(error, StoreUnavailable | StoreRefused):
                raise error

    async def _sample_primary(self, watches: Sequence[ClockWatch], record: bytes | None) -> None:
        connection = await self._wires.wire(watches[0].key)
        reading, _ = await read_clock(connection, self._clock)
        for watch in watches:
            watch.take(reading, record)

    async def _publish(self) -> None:
        """Store the greatest jump for commands. The first call removes the jump of an earlier process of this
        instance."""
        jump_ms = max((watch.guard.jump_ms for watch in self._all), key=abs)
        if jump_ms != self._published:
            key, field = self._keys.clock, JUMP + self._instance
            command = ("HSET", key, field, jump_ms) if jump_ms else ("HDEL", key, field)
            await self._wires.ask(command, seconds=ANSWER_SECONDS)
            self._published = jump_ms
