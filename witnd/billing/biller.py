"""Create invoices: collect lines into drafts, close periods, issue drafts after their grace.

Like a partition, the biller is a fold with a committed position: every step is fenced by its lease, numbered and
atomic. The content of an invoice depends only on the lines, not on when the biller runs.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple, TypeVar

import structlog

from witnd.billing.closed_drafts import IDLE_MS, ClosedDrafts, Scheduled
from witnd.billing.closer import Closer
from witnd.billing.collecting import AssignedLine, InvoiceFinder, collect
from witnd.billing.collecting_reversals import (
    AssignedReversal,
    add_reversals,
    newest_editions,
    unknown_reversals,
)
from witnd.billing.periods.deciding import Periods
from witnd.billing.periods.fee_periods import FeePeriods, add_draft
from witnd.billing.reversal_schedule import Reached, ReversalSchedule
from witnd.billing.reversals import ReversalCredits
from witnd.billing.row_ids import drop_repeated_lines
from witnd.billing.scheduled import OverdueInvoices
from witnd.billing.steps import Steps
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.outcomes.resolution import Line
from witnd.domain.outcomes.reversal import ReversalLine
from witnd.domain.values import instant
from witnd.domain.values.local_day import OffsetAt
from witnd.store.catalogue.loader import check_decided, check_head
from witnd.store.clock.guard import ClockGuard
from witnd.store.clock.watch import clock_jump
from witnd.store.errors import Unsafe
from witnd.store.invoices.codec import encode_row, grown_fields
from witnd.store.invoices.ledger import Ledger, NewLine, Positions, row_mark
from witnd.store.partition.commit import Commit
from witnd.store.records.line_position import START, LinePosition, line_digest
from witnd.store.server.retry import Retry
from witnd.zone_data import offsets_of

# Lines per step, of all partitions together, to limit how long the server is busy; and the minimum per partition.
STEP_LINES = 5000
MIN_LINES = 10
# Delay before the next step. Larger steps need fewer commands per draft, which leaves server and daemon to the
# partitions when many outcomes settle.
GATHER_SECONDS = 0.25
# Steps after which periods and drafts are checked even if more lines wait.
MAX_CONSECUTIVE_STEPS = 20
# Interval of checks while a log is not applied past the end of a period.
CLOSING_MS = 100
# Interval of checks while the server's clock is not trusted.
JUMPED_MS = 1000

T = TypeVar("T")
log = structlog.get_logger()


class BillingTerms(NamedTuple):
    """The billing settings of the deployment."""

    period: str
    time_zone: str
    grace_ms: int
    automatic: bool
    zero_invoices: bool


class Biller:
    """Creates invoices: `run()` until cancelled. `safe` returns whether Redis is safe to store invoices in."""

    def __init__(
        self,
        ledger: Ledger,
        catalogue: Catalogue,
        retry: Retry,
        *,
        fence: str,
        terms: BillingTerms,
        operations: Scheduled,
        credits_: ReversalCredits,
        safe: Callable[[], Awaitable[bool]],
        guard: ClockGuard,
        offsets_of: Callable[[str], OffsetAt] = offsets_of,
    ) -> None:
        self.waiting_for: str | None = None  # why a period that has ended is not closed, for health
        self._ledger, self._catalogue, self._retry = ledger, catalogue, retry
        self._steps = Steps(ledger, catalogue, retry, fence)
        self._closer = Closer(ledger, catalogue, self._steps, retry, zero_invoices=terms.zero_invoices)
        self._fees = FeePeriods(ledger, catalogue, self._steps, self._call)
        self._terms = terms
        self._drafts = ClosedDrafts(ledger, catalogue, operations, safe, self._call, terms.grace_ms)
        self._overdue = OverdueInvoices(ledger, operations, safe, self._call)
        self._reversals = ReversalSchedule(
            ledger,
            catalogue,
            self._steps,
            credits_,
            self._call,
            safe,
            terms.grace_ms if terms.automatic else None,
        )
        self._safe, self._guard = safe, guard
        self._read: dict[int, LinePosition] = {}
        self._counts: list[int] = []  # number of lines of each partition at the last check
        self._closed_to, self._reached = 0, Reached()
        self._periods = Periods(terms.period, terms.time_zone, ledger.keys, offsets_of)
        self._places = InvoiceFinder(self._periods.calendar)

    @property
    def sequence(self) -> int:
        """The number of the last commit in Redis."""
        return self._steps.sequence

    @property
    def not_issued(self) -> str | None:
        """Why a draft that is due is not issued, or a reversal not credited, for health."""
        return self._drafts.trouble or self._reversals.trouble

    async def run(self) -> None:
        try:
            await self._run()
        except Unsafe:
            # The data may be the next owner's if the lease was lost meanwhile. An empty step raises `Fenced` then.
            await self._steps.commit(self._steps.begin())
            raise
        finally:
            self._steps.cancel()

    async def _run(self) -> None:
        await self._begin()
        while True:
            wait_ms = await self._close_and_issue()
            new = await self._call("waiting for invoice lines", partial(self._new_lines, wait_ms))
            # Periods must also be closed while lines keep coming.
            for _ in range(MAX_CONSECUTIVE_STEPS):
                if not new:
                    break
                await self._collect(new)
                await self._retry.sleep(GATHER_SECONDS)
                new = await self._call("reading invoice lines", partial(self._new_lines, 0))

    async def _begin(self) -> None:
        """Continue after the last committed step. Another kind of period or time zone applies after the current one."""
        state = await self._call("reading the invoices' state", self._ledger.state)
        self._steps.sequence, self._read, self._closed_to = state.sequence, state.read, state.closed_to
        self._fees.charged_to = state.charged_to
        await self._call("comparing invoice lines", partial(self._ledger.check_positions, self._read))
        await self._call("reading the catalogue", partial(self._ledger.load_catalogue, self._catalogue))
        check_decided(self._catalogue, "billing", state.catalogue)
        applied = await self._applied_positions()
        # Without invoices there is no current period, so a change also applies to imported history.
        first_end = await self._call("reading open drafts", self._ledger.first_end)
        old = state.calendar if state.read or state.charged_to or first_end is not None else None
        # The position of the logs is in the past, even if the server's clock was set back.
        reached = max(applied.now_ms, *applied.cursors)
        self._periods.check_terms(self._catalogue, reached)
        step = self._steps.begin()
        if state.closing is not None:
            # An unfinished close: its rows are written again.
            step.add("UNLINK", self._ledger.keys.lines(state.closing))
            step.add("HSET", self._ledger.keys.state, "closing", "")
        self._periods.begin(state.calendar, old, reached, step)
        self._places = InvoiceFinder(self._periods.calendar)
        await self._steps.commit(step)

    async def _decide_periods(self, now_ms: int) -> None:
        if await self._periods.decide(now_ms, self._steps):
            self._places = InvoiceFinder(self._periods.calendar)

    async def _new_lines(self, block_ms: int) -> list[NewLine]:
        most = max(MIN_LINES, STEP_LINES // len(self._ledger.partitions))
        return await self._ledger.new_lines(self._read, most, block_ms, self._counts)

    # -- collecting ------------------------------------------------------------------------------------------------

    async def _collect(self, new: list[NewLine]) -> None:
        if (newest := max(one.line.billed_at for one in new)) >= self._periods.calendar.until:
            await self._decide_periods(newest)
        placed = [AssignedLine(one, one.line, self._places) for one in new if isinstance(one.line, Line)]
        reversals = [AssignedReversal(one, one.line, self._places) for one in new if isinstance(one.line, ReversalLine)]
        ids = {one.invoice for one in placed} | {one.invoice for one in reversals}
        heads = await self._call("reading drafts", partial(self._ledger.find_invoices, ids))
        placed = await drop_repeated_lines(placed, self._ledger, self._call)
        drafts, rows = collect(placed, heads, self._closed_to)
        keys, step = self._ledger.keys, self._steps.begin()
        pending = await self._reverse(step, reversals, heads, drafts)
        for id_, draft in drafts.items():
            if id_ in heads:
                step.add("HSET", keys.invoice(id_), *grown_fields(draft))
            else:
                add_draft(step, self._ledger, draft)
        for (id_, partition), gained in rows.items():
            step.add_many(("RPUSH", keys.rows(id_, partition)), [encode_row(row) for row in gained])
            step.add_many(("SADD", keys.row_ids(id_)), [row_mark(row.id) for row in gained])
        last = {one.partition: one for one in new}
        read = {number: LinePosition(one.number, line_digest(one.stored)) for number, one in last.items()}
        for partition, position in read.items():
            step.add("HSET", keys.state, f"read:{partition}", str(position))
        await self._steps.commit(step)
        self._read |= read
        for id_ in pending:
            self._reversals.add(id_)

    async def _reverse(
        self,
        step: Commit,
        reversals: list[AssignedReversal],
        heads: dict[str, Invoice],
        drafts: dict[str, Invoice],
    ) -> list[str]:
        """Add reversals to a step and to the heads that it writes. Return the invoices on which they are pending."""
        if not reversals:
            return []
        await newest_editions(self._ledger, reversals, heads, self._call)
        new = await unknown_reversals(self._ledger, reversals, self._call)
        return add_reversals(step, self._ledger, new, heads, drafts)

    # -- closing ---------------------------------------------------------------------------------------------------

    async def _close_and_issue(self) -> int:
        """Close and issue what is due. Return the longest time (ms) until the next check."""
        known = self._catalogue.chain.head
        applied = await self._applied_positions()
        check_head(self._catalogue, known, applied.catalogue)
        await self._decide_periods(max(applied.now_ms, *applied.cursors))
        self._note_reached(applied)
        await self._drafts.adjust(self._closed_to)
        if self._guard.is_ahead:
            self.waiting_for = clock_jump(self._guard.jump_ms).reason
            return JUMPED_MS
        await self._overdue.mark(self._periods.calendar.day_at(applied.now_ms).date)
        await self._reversals.credit(self._reached, self._periods.calendar, applied.now_ms)
        open_end = await self._call("reading open drafts", self._ledger.first_end)
        ends = open_end, self._fees.next_end(self._periods.calendar), self._reversals.next_end
        first = min((end for end in ends if end is not None), default=None)
        if first is None or first > applied.now_ms:
            self.waiting_for = None
            wait_ms = IDLE_MS if first is None else min(IDLE_MS, first - applied.now_ms + 1)
        elif not await self._call("checking Redis", self._safe):
            return IDLE_MS
        elif min(applied.cursors) >= first:
            await self._close_periods(applied)
            return 0
        else:
            await self._wait_for_logs(applied, first)
            wait_ms = CLOSING_MS
        if self._terms.automatic:
            wait_ms = min(wait_ms, await self._issue(applied))
            if (due := self._drafts.waits_for) is not None:
                await self._wait_for_logs(applied, due)
                wait_ms = min(wait_ms, CLOSING_MS)
        return max(1, wait_ms)

    async def _issue(self, applied: Positions) -> int:
        """Issue drafts after their grace. The credit notes of a period come before its invoices."""
        credit = partial(self._reversals.credit, self._reached, self._periods.calendar, applied.now_ms, is_closing=True)
        return await self._drafts.issue(applied.now_ms, self._reached.applied, credit)

    def _note_reached(self, applied: Positions) -> None:
        """Record how far the logs are applied, if all lines up to there are collected."""
        if all(count <= self._read.get(number, START).number for number, count in enumerate(applied.lines)):
            self._reached = self._reached.after(applied)

    async def _applied_positions(self) -> Positions:
        """Return the positions of the logs, while the clock is trusted."""
        applied = await self._call("looking at the logs", self._ledger.positions)
        self._counts = applied.lines
        return applied._replace(now_ms=self._guard.trusted_now(applied.now_ms))

    async def _wait_for_logs(self, applied: Positions, end: int) -> None:
        """Append a tick to idle logs, and record which partitions billing up to an instant waits for."""
        behind = [number for number, cursor in enumerate(applied.cursors) if cursor < end]
        for number in behind:
            if applied.logs[number] < end:
                await self._call("appending a tick", partial(self._ledger.tick, number, self._guard.append_limit()))
        if behind:
            which = ", ".join(map(str, behind))
            self.waiting_for = f"billing up to {instant.render(end)} waits for partition {which} to be applied past it"

    async def _close_periods(self, applied: Positions) -> None:
        """Close every draft whose period ended before the position that all logs have passed."""
        self._counts = await self._call("reading the numbers of invoice lines", self._ledger.line_counts)
        while any(count > self._read.get(number, START).number for number, count in enumerate(self._counts)):
            await self._collect(await self._call("reading invoice lines", partial(self._new_lines, 0)))
        self._reached = self._reached.after(applied)
        await self._reversals.credit(self._reached, self._periods.calendar, applied.now_ms, is_closing=True)
        await self._call("reading the catalogue", partial(self._ledger.load_catalogue, self._catalogue))
        await self._fees.create_drafts(self._periods.calendar, min(applied.cursors))
        self._closed_to = await self._closer.close(self._periods.calendar, min(applied.cursors), self._closed_to)
        self._drafts.is_adjusted = False
        self.waiting_for = None

    async def _call(self, doing: str, call: Callable[[], Awaitable[T]]) -> T:
        return await self._retry.call(doing, call)
