"""Track which steps of a partition are confirmed: as safe as `redis.durability` promises.

Webhooks, the journal and the biller use only confirmed steps. A failover may undo the others; the owner then decides
them again.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from witnd.store.errors import StoreRefused, StoreUnavailable
from witnd.store.keys import Keys
from witnd.store.server.durability import Confirmations

RETRY_SECONDS: Final = 0.5

log = structlog.get_logger()


class ConfirmedSteps:
    """Confirms steps while `run()` runs. `note` is called with each confirmed step.

    If the reply to a commit is enough, each step counts as confirmed when it is written.
    """

    def __init__(self, keys: Keys, confirmations: Confirmations, note: Callable[[int], None]) -> None:
        self.last = 0
        self.trouble: str | None = None  # why steps are not confirmed, for health
        self._partition = keys.partition
        self._place = (keys.state, "seq")
        self._confirmations = confirmations
        self._note = note
        self._written = 0
        self._has_steps = asyncio.Event()
        self._turn = asyncio.Event()  # set after each confirmation

    @property
    def is_needed(self) -> bool:
        """Return whether written steps may still be undone."""
        return self._confirmations.is_needed

    def begin(self, sequence: int) -> None:
        """Start with the last written step. It may not be confirmed."""
        if sequence < self._written:
            log.warning(
                "partition.undone",
                partition=self._partition,
                written=self._written,
                found=sequence,
                confirmed=self.last,
            )
        self.last = self._written = 0
        self.add(sequence)

    def add(self, sequence: int) -> None:
        """Take a written step."""
        self._written = sequence
        if self.is_needed:
            self._has_steps.set()
        else:
            self._confirm(sequence)

    async def run(self) -> None:
        while True:
            await self._has_steps.wait()
            self._has_steps.clear()
            sequence = self._written
            try:
                # Other daemons read the mark, so it must contain a step that is already confirmed.
                await self._confirmations.confirm(str(self.last), least={self._place: sequence})
            except (StoreUnavailable, StoreRefused) as trouble:
                self._report(str(trouble))
                self._has_steps.set()
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._report(None)
                self._confirm(sequence)

    async def wait_for(self, sequence: int) -> None:
        """Wait until a step is confirmed."""
        while self.last < sequence:
            # A command may have written the step, which this daemon did not see.
            if self._written < sequence:
                self.add(sequence)
            await self._turn.wait()

    def _confirm(self, sequence: int) -> None:
        self.last = max(self.last, sequence)
        self._note(self.last)
        turn, self._turn = self._turn, asyncio.Event()
        turn.set()

    def _report(self, trouble: str | None) -> None:
        if (trouble is None) != (self.trouble is None):
            if trouble is None:
                log.info("steps.confirmed", partition=self._partition)
            else:
                log.warning("steps.unconfirmed", partition=self._partition, reason=trouble)
        self.trouble = trouble
