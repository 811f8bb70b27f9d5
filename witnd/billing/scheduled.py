"""The operations on invoices that the schedule makes: adjust the discounts of a closed draft, issue it, and mark an
invoice that is overdue. `OverdueInvoices` finds the last ones."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import structlog

from witnd.billing.closed_drafts import Scheduled
from witnd.billing.reversals import pending_reversals, reversed_rows
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices.ageing import day_number
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.issue import issue
from witnd.domain.invoices.issue_terms import issue_terms, tax_table
from witnd.domain.invoices.manual import adjust
from witnd.domain.invoices.operations import Decision, Refusal, Series, Unchanged
from witnd.domain.invoices.payment import mark_overdue
from witnd.store.errors import DamagedInvoice
from witnd.store.invoices.change import Operation
from witnd.store.invoices.change_arguments import Snapshot
from witnd.store.invoices.codec import contradictions
from witnd.store.invoices.ledger import Ledger
from witnd.store.invoices.reads import Invoices

# One token: it is the same operation, even after a restart of the daemon.
ISSUE_ID: Final = "schedule"
# An edition is adjusted once, when its period has closed.
ADJUST_ID: Final = "adjust"
# An invoice is marked once.
OVERDUE_ID: Final = "overdue"
# Unpaid invoices per page.
PAGE: Final = 100

log = structlog.get_logger()


class ScheduledOperations:
    """Issues and adjusts invoices by their ids. Calls may be repeated. The catalogue must be up to date. `store` stores
    the documents of an issued invoice.

    Raises `DamagedInvoice` for an invoice that must be skipped."""

    def __init__(
        self,
        invoices: Invoices,
        catalogue: Catalogue,
        series: Series,
        grace_ms: int,
        store: Callable[[Invoice], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._invoices = invoices
        self._catalogue = catalogue
        self._series = series
        self._grace_ms = grace_ms
        self._is_warned = False

    async def issue(self, id_: str) -> Refusal | None:
        """Issue a closed draft. Reversals until the end of the grace are credited on it. Return why it is not issued
        now, or None."""
        draft = await self._invoices.get(id_)
        through = 0 if draft is None else draft.end + self._grace_ms
        pending = [] if draft is None else await pending_reversals(self._invoices, draft, through)

        def decide(seen: Snapshot) -> Decision:
            with contradictions(id_):
                return issue(
                    seen.invoice,
                    seen.balance,
                    self._series,
                    seen.at,
                    issue_terms(self._catalogue, seen.invoice, seen.at),
                    today=seen.today,
                    through=through,
                    reversed_=reversed_rows(self._catalogue, seen, pending),
                    first_reversal=seen.first_reversal,
                )

        rows = [one.row.id for one in pending]
        done = await self._invoices.do(id_, decide, rows=rows, token=ISSUE_ID)
        if isinstance(done, Operation):
            self._warn(done)
            if self._store is not None:
                await self._store(done.invoice)
        return done if isinstance(done, Refusal) else None

    async def adjust(self, id_: str) -> bool:
        """Reduce the discounts of an invoice whose period has closed. Return whether that was needed."""

        def decide(seen: Snapshot) -> Decision:
            with contradictions(id_):
                return adjust(seen.invoice, tax_table(self._catalogue, seen.invoice, seen.at))

        done = await self._invoices.do(id_, decide, token=ADJUST_ID)
        return not isinstance(done, Refusal | Unchanged)

    async def mark_overdue(self, id_: str) -> bool:
        """Record that an invoice is overdue. Return whether it leaves the list of unpaid ones."""

        def decide(seen: Snapshot) -> Decision:
            with contradictions(id_):
                return mark_overdue(seen.invoice, seen.today.date, seen.at)

        return isinstance(await self._invoices.do(id_, decide, token=OVERDUE_ID), Operation)

    def _warn(self, done: Operation) -> None:
        data = done.invoice.issue_data
        if not self._is_warned and data is not None and data.seller is None:
            self._is_warned = True
            remedy = "add a [seller] to the catalogue, and issue corrected invoices with `witnd invoices revise`"
            log.warning("billing.no_seller", invoice=done.invoice.number, remedy=remedy)


class OverdueInvoices:
    """Marks overdue invoices. `safe` returns whether Redis is safe to store invoices in."""

    def __init__(
        self,
        ledger: Ledger,
        operations: Scheduled,
        safe: Callable[[], Awaitable[bool]],
        call: Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]],
    ) -> None:
        self._ledger = ledger
        self._operations = operations
        self._safe = safe
        self._call = call
        self._damaged: set[str] = set()  # all of them are logged

    async def mark(self, today: str) -> None:
        """Mark those that are overdue on a local date."""
        day, left, marked = day_number(today), 0, 0
        while ids := await self._call("reading unpaid invoices", partial(self._ledger.past_due, day, left, PAGE)):
            if not await self._call("checking Redis", self._safe):
                return
            for id_ in ids:
                if await self._mark(id_):
                    marked += 1
                else:
                    left += 1  # a damaged invoice stays in the list, so that others are marked
        if marked:
            log.info("billing.overdue", invoices=marked)

    async def _mark(self, id_: str) -> bool:
        try:
            return bool(await self._call("marking an overdue invoice", partial(self._operations.mark_overdue, id_)))
        except DamagedInvoice as damaged:
            if id_ not in self._damaged:
                self._damaged.add(id_)
                log.error("billing.not_marked", invoice=id_, reason=damaged.reason, remedy=damaged.remedy)
            return False
