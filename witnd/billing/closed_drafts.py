"""Closed drafts: adjust their discounts, and issue them after their grace."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

import structlog

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices.operations import Refusal
from witnd.store.errors import DamagedInvoice
from witnd.store.invoices.ledger import Ledger

# Drafts per page.
PAGE: Final = 100
# Longest wait for a line, because calendar settings and the clock are checked this often.
IDLE_MS: Final = 10_000

log = structlog.get_logger()


class Scheduled(Protocol):
    """The operations that the schedule makes. Each takes the id of an invoice, and may be repeated."""

    async def issue(self, id_: str) -> Refusal | None:
        """Issue a closed draft. Return why it is not issued now, or None."""

    async def adjust(self, id_: str) -> bool:
        """Reduce the discounts of a closed draft. Return whether it was a draft."""

    async def mark_overdue(self, id_: str) -> bool:
        """Record that an invoice is overdue. Return whether it leaves the list of unpaid ones."""


class _Refused(NamedTuple):
    """A draft that is due and cannot be issued. It is tried again at an instant (ms), or after a catalogue change."""

    refusal: Refusal
    again_ms: int
    revision: int


class ClosedDrafts:
    """Adjusts and issues. `safe` returns whether Redis is safe to store invoices in."""

    def __init__(
        self,
        ledger: Ledger,
        catalogue: Catalogue,
        operations: Scheduled,
        safe: Callable[[], Awaitable[bool]],
        call: Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]],
        grace_ms: int,
    ) -> None:
        self.is_adjusted = False  # whether the discounts of all closed drafts are adjusted
        self.trouble: str | None = None  # why a draft that is due is not issued
        self.waits_for: int | None = None  # the instant (ms) up to which the logs must be applied for the next issue
        self._ledger = ledger
        self._catalogue = catalogue
        self._operations = operations
        self._safe = safe
        self._call = call
        self._grace_ms = grace_ms
        self._refused: dict[str, _Refused] = {}  # all of them are logged

    async def adjust(self, closed_to: int) -> None:
        """Reduce the discounts of drafts whose period has closed, to what their rows allow."""
        if self.is_adjusted:
            return
        left = 0
        while ids := await self._call("reading drafts", partial(self._ledger.to_adjust, closed_to, left, PAGE)):
            await self._load_catalogue()
            for id_ in ids:
                # A damaged draft stays in the list, so that others are adjusted.
                if not await self._try("adjusting discounts", partial(self._operations.adjust, id_)):
                    left += 1
        self.is_adjusted = True

    async def issue(self, now_ms: int, reached: int, before_period: Callable[[], Awaitable[None]]) -> int:
        """Issue closed drafts after their grace, once all reversals within it are known. Return the time (ms) until the
        next one is due. `reached`: all logs are applied and their lines collected up to this instant (ms).
        `before_period` is called before the first draft of each period that is tried."""
        due, left, issued = now_ms - self._grace_ms, 0, 0
        tried: int | None = None
        self.trouble = self.waits_for = None
        wait_ms, refused = IDLE_MS, self._refused
        self._refused = {}
        while True:
            found = await self._call("reading closed drafts", partial(self._ledger.to_issue, left, PAGE))
            ripe = [(id_, end) for id_, end in found if end <= min(due, reached - self._grace_ms)]
            if ripe and not await self._call("checking Redis", self._safe):
                self._refused = refused
                return IDLE_MS
            if ripe:
                # The parties and taxes are those at issue.
                await self._load_catalogue()
            for id_, end in ripe:
                if (before := refused.get(id_)) is not None and self._is_waiting(before, now_ms):
                    self._refuse(id_, before)
                    left += 1
                    continue
                if end != tried:
                    await before_period()
                tried = end
                if await self._try("issuing an invoice", partial(self._issue, id_, now_ms, before)):
                    issued += 1
                else:
                    left += 1
            if len(ripe) < len(found):
                following = found[len(ripe)][1]
                if following <= due:
                    self.waits_for = following + self._grace_ms
                else:
                    wait_ms = min(IDLE_MS, following - due)
            if len(ripe) < PAGE:
                break
        if issued:
            log.info("billing.issued", invoices=issued)
        return wait_ms

    async def _issue(self, id_: str, now_ms: int, before: _Refused | None) -> bool:
        """Issue a draft. A refusal is logged once; until its cause is removed, the draft waits."""
        revision = self._catalogue.revision
        if (refusal := await self._operations.issue(id_)) is None:
            return True
        if before is None or before.refusal != refusal:
            log.error("billing.not_issued", invoice=id_, reason=refusal.problem, remedy=refusal.remedy)
        self._refuse(id_, _Refused(refusal, now_ms + IDLE_MS, revision))
        return False

    def _is_waiting(self, refused: _Refused, now_ms: int) -> bool:
        """Return whether it is too early to try a refused draft again."""
        return now_ms < refused.again_ms and refused.revision == self._catalogue.revision

    def _refuse(self, id_: str, refused: _Refused) -> None:
        self.trouble = f"draft {id_} is not issued: {refused.refusal}"
        self._refused[id_] = refused

    async def _try(self, doing: str, operation: Callable[[], Awaitable[bool]]) -> bool:
        """Run an operation on a draft. If it is damaged, it is skipped."""
        try:
            return bool(await self._call(doing, operation))
        except DamagedInvoice as damaged:
            self.trouble = str(damaged)
            return False

    async def _load_catalogue(self) -> None:
        await self._call("reading the catalogue", partial(self._ledger.load_catalogue, self._catalogue))
