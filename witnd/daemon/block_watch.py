"""Record what blocks settlement, so that operators get one webhook each time that happens."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from witnd.domain.webhooks.billing_event import blocked_event, blocked_subject
from witnd.store.billing_events.blocks import BlockRecord
from witnd.store.errors import StoreRefused, StoreUnavailable

LOOK_SECONDS: Final = 0.5
# Shorter blocks are not reported, such as those after a failover or until a clock is read again.
LASTING_LOOKS: Final = 4


class Blocked(NamedTuple):
    """Why a partition settles nothing, or why no invoices are made, and what to do."""

    reason: str
    remedy: str | None


class Part(Protocol):
    """A partition, or the invoices, which have no number."""

    @property
    def number(self) -> int | None: ...

    @property
    def is_ours(self) -> bool:
        """Whether this daemon works on it, or is the one that it is blocked for."""
        ...

    @property
    def blocked(self) -> Blocked | None: ...


class BlockWatch:
    """Records blocks and their ends: `run()` until cancelled."""

    def __init__(self, record: BlockRecord, parts: Callable[[], Iterable[Part]]) -> None:
        self._record = record
        self._parts = parts
        self._times_blocked: dict[str, int] = {}  # subject → how often it was found blocked in a row

    async def run(self) -> None:
        while True:
            with contextlib.suppress(StoreUnavailable, StoreRefused):  # the caller that needs Redis logs it
                await self._check()
            await asyncio.sleep(LOOK_SECONDS)

    async def _check(self) -> None:
        recorded = await self._record.subjects()
        for part in self._parts():
            if not part.is_ours:
                continue
            subject, blocked = blocked_subject(part.number), part.blocked
            self._times_blocked[subject] = 0 if blocked is None else self._times_blocked.get(subject, 0) + 1
            if blocked is None and subject in recorded:
                await self._record.end(subject)
            elif blocked is not None and subject not in recorded and self._times_blocked[subject] >= LASTING_LOOKS:
                await self._record.begin(blocked_event(part.number, blocked.reason, blocked.remedy), blocked.reason)
