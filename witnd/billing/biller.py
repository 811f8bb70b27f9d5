"""Makes invoices: collects lines into drafts, closes periods, issues what has waited long enough.

Like a partition it is a fold with a committed position: every step is fenced by the biller's lease, numbered, and
written whole or not at all. What is in an invoice follows from the lines alone, whenever and however often it runs.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import NamedTuple, TypeAlias, TypeVar

import msgspec
import structlog
from msgspec.structs import replace

from witnd.billing.closing import PAGE, Rating, in_order
from witnd.billing.collecting import Placed, Places, collect
from witnd.billing.steps import Steps
from witnd.domain import instant
from witnd.domain.catalogue import Catalogue
from witnd.domain.invoice import Invoice, Row
from witnd.domain.period import Calendar
from witnd.store.commit import Word
from witnd.store.errors import Unsafe
from witnd.store.invoice_codec import billed_fields, encode_row, grown_fields
from witnd.store.ledger import Applied, Ledger, NewLine
from witnd.store.log import entry_id
from witnd.store.patience import Patience

# Lines per step: some ms of server time. Also the rows of a page while a period is closed.
STEP_LINES = 1000
# A draft of up to so many rows is closed in one step, and its rows are read once.
HELD_LINES = 5000
# Longest wait for a line: settings of the calendar and the clock are looked at this often.
IDLE_MS = 10_000
# While a period waits for a log to be applied past its end.
CLOSING_MS = 100
# Closed drafts that are looked at for issuing at a time.
ISSUE_PAGE = 100
PROGRESS_INVOICES = 1000

Stretch: TypeAlias = list[tuple[Row, bytes]]
T = TypeVar("T")
log = structlog.get_logger()


class Terms(NamedTuple):
    """How this deployment bills."""

    period: str
    grace_ms: int
    automatic: bool
    zero_invoices: bool


class Biller:
    """`run()` until cancelled. `issue` issues a closed draft by its id and answers whether it did; it may be asked again
    for the same one. `safe` tells whether Redis is one to fix invoices in."""

    def __init__(
        self,
        ledger: Ledger,
        catalogue: Catalogue,
        patience: Patience,
        *,
        fence: str,
        terms: Terms,
        issue: Callable[[str], Awaitable[bool]],
        safe: Callable[[], Awaitable[bool]],
    ) -> None:
        self.waiting_for: str | None = None  # why a period that has ended is not closed, for health
        self._ledger = ledger
        self._catalogue = catalogue
        self._patience = patience
        self._steps = Steps(ledger, patience, fence)
        self._terms = terms
        self._issue = issue
        self._safe = safe
        self._read: dict[int, str] = {}
        self._closed_to = 0
        self._places = Places(Calendar.of(terms.period))

    @property
    def sequence(self) -> int:
        """That of the last commit in Redis."""
        return self._steps.sequence

    async def run(self) -> None:
        try:
            await self._run()
        except Unsafe:
            # Who has lost the lease meanwhile sees what the next owner wrote: an empty step tells, by raising `Fenced`.
            await self._steps.commit(self._steps.begin())
            raise
        finally:
            self._steps.cancel()

    async def _run(self) -> None:
        await self._begin()
        while True:
            wait_ms = await self._close_and_issue()
            new = await self._insist("waiting for invoice lines", partial(self._new_lines, wait_ms))
            while new:
                await self._collect(new)
                new = await self._insist("reading invoice lines", partial(self._new_lines, 0))

    async def _begin(self) -> None:
        """Take up where the last biller stopped; a change of the period's length is dated now."""
        state = await self._insist("reading the invoices' state", self._ledger.state)
        self._steps.sequence, self._read, self._closed_to = state.sequence, state.read, state.closed_to
        applied = await self._insist("looking at the logs", self._ledger.applied)
        old = state.calendar
        calendar = (old or Calendar.of(self._terms.period)).changed(self._terms.period, applied.now_ms)
        self._places = Places(calendar)
        step = self._steps.begin()
        if state.closing is not None:
            # Whoever wrote it did not finish: its rows are written anew.
            step.add("UNLINK", self._ledger.keys.lines(state.closing))
            step.add("HSET", self._ledger.keys.state, "closing", "")
        if calendar != old:
            step.add("HSET", self._ledger.keys.state, "calendar", msgspec.json.encode(calendar))
            if old is not None:
                at = instant.render(calendar.turns[-1].start)
                log.info("billing.period_changes", period=self._terms.period, at=at)
        await self._steps.commit(step)

    async def _new_lines(self, block_ms: int) -> list[NewLine]:
        return await self._ledger.new_lines(self._read, STEP_LINES, block_ms)

    # -- collecting ------------------------------------------------------------------------------------------------

    async def _collect(self, new: list[NewLine]) -> None:
        placed = [Placed(one, self._places) for one in new]
        ids = {one.invoice for one in placed}
        heads = await self._insist("reading drafts", partial(self._ledger.heads, ids))
        drafts, rows = collect(placed, heads, self._closed_to)
        keys, step = self._ledger.keys, self._steps.begin()
        for id_, draft in drafts.items():
            if id_ in heads:
                step.add("HSET", keys.invoice(id_), *grown_fields(draft))
            else:
                step.add("HSET", keys.invoice(id_), *billed_fields(draft))
                step.add("ZADD", keys.invoices, draft.start, id_)
                step.add("ZADD", keys.customer(draft.customer_key), draft.start, id_)
                step.add("ZADD", keys.open, draft.end, id_)
        for (id_, partition), gained in rows.items():
            step.add_many(("RPUSH", keys.rows(id_, partition)), [encode_row(row) for row in gained])
        read = self._read | {one.partition: one.entry for one in new}
        for partition, entry in read.items():
            step.add("HSET", keys.state, f"read:{partition}", entry)
        await self._steps.commit(step)
        self._read = read

    # -- closing ---------------------------------------------------------------------------------------------------

    async def _close_and_issue(self) -> int:
        """Do what is due. Answers after how many ms at most to look again."""
        applied = await self._insist("looking at the logs", self._ledger.applied)
        first = await self._insist("looking at open drafts", self._ledger.first_end)
        if first is None or first > applied.now_ms:
            self.waiting_for = None
            wait_ms = IDLE_MS if first is None else min(IDLE_MS, first - applied.now_ms + 1)
        elif not await self._insist("judging Redis", self._safe):
            return IDLE_MS
        elif min(applied.cursors) >= first:
            await self._close(applied)
            return 0
        else:
            await self._wait_for_logs(applied, first)
            wait_ms = CLOSING_MS
        if self._terms.automatic:
            wait_ms = min(wait_ms, await self._issue_due(applied.now_ms))
        return max(1, wait_ms)

    async def _wait_for_logs(self, applied: Applied, end: int) -> None:
        """Logs that are quiet get a tick; others are being applied, or their daemon is not running."""
        behind = [number for number, cursor in enumerate(applied.cursors) if cursor < end]
        for number in behind:
            if applied.logs[number] < end:
                await self._insist("appending a tick", partial(self._ledger.tick, number))
        self.waiting_for = (
            f"the period that ended at {instant.render(end)} waits for partition "
            f"{', '.join(map(str, behind))} to be applied past it"
        )

    async def _close(self, applied: Applied) -> None:
        """Close every draft whose period has ended by the time that all logs are applied to."""
        ends = await self._insist("reading the ends of invoice lines", self._ledger.lines_end)
        while any(end > entry_id(self._read.get(number, "0-0")) for number, end in ends.items()):
            await self._collect(await self._insist("reading invoice lines", partial(self._new_lines, 0)))
        until = min(applied.cursors)
        await self._insist("reading the catalogue", partial(self._ledger.learn, self._catalogue))
        closed = rows = 0
        while ids := await self._insist("looking at open drafts", partial(self._ledger.open_until, until, ISSUE_PAGE)):
            heads = await self._insist("reading drafts", partial(self._ledger.heads, ids))
            if missing := [id_ for id_ in ids if id_ not in heads]:
                remedy = "other hands changed it: run `witnd audit`"
                raise Unsafe(f"draft {missing[0]} is listed and has no head", remedy)
            # The next draft is on its way while one is rated, and the one before is being written.
            reading = asyncio.ensure_future(self._held(heads[ids[0]]))
            try:
                for id_, following in zip(ids, [*ids[1:], None], strict=True):
                    held = await reading
                    if following is not None:
                        reading = asyncio.ensure_future(self._held(heads[following]))
                    await self._close_one(heads[id_], held)
                    closed += 1
                    rows += heads[id_].lines
            finally:
                reading.cancel()
            await self._steps.written()
            if closed % PROGRESS_INVOICES == 0:
                log.info("billing.closing", invoices=closed, lines=rows)
        log.info("billing.closed", invoices=closed, lines=rows, until=instant.render(until))
        self.waiting_for = None

    async def _held(self, head: Invoice) -> list[Stretch] | None:
        """All rows of a draft; None for one that is too large to be held."""
        return [one async for one in self._stretches(head)] if head.lines <= HELD_LINES else None

    async def _close_one(self, head: Invoice, held: list[Stretch] | None) -> None:
        """Rate one draft and fix its rows; a large one takes several steps, and only the last makes it closed."""
        ledger, keys = self._ledger, self._ledger.keys
        rating = Rating(head, self._catalogue.price_by_hash)
        if head.unrated:
            async for stretch in self._stretches(head) if held is None else _again(held):
                rating.weigh(row for row, _ in stretch)
        waiting: list[Word] = []
        async for stretch in self._stretches(head) if held is None else _again(held):
            for row, stored in stretch:
                rated = rating.rate(row)
                waiting.append(stored if rated is row else encode_row(rated))
            while len(waiting) > HELD_LINES:
                step = self._steps.begin()
                step.add("HSET", keys.state, "closing", head.id)
                step.add_many(("RPUSH", keys.lines(head.id)), waiting[:STEP_LINES])
                await self._steps.send(step)
                del waiting[:STEP_LINES]
        waiting += [encode_row(row) for row in rating.close()]
        done = replace(head, unrated=0, subtotal=rating.subtotal, closed=True)
        step = self._steps.begin()
        step.add_many(("RPUSH", keys.lines(head.id)), waiting)
        step.add("HSET", keys.invoice(head.id), *billed_fields(done))
        step.add("UNLINK", *[keys.rows(head.id, number) for number in range(len(ledger.partitions))])
        step.add("ZREM", keys.open, head.id)
        if done.subtotal or self._terms.zero_invoices:
            step.add("ZADD", keys.to_issue, head.end, head.id)
        closed_to = max(self._closed_to, head.end)
        step.add("HSET", keys.state, "closing", "", "closed_to", closed_to)
        await self._steps.send(step)
        self._closed_to = closed_to

    def _stretches(self, head: Invoice) -> AsyncIterator[Stretch]:
        ledger = self._ledger

        async def page(partition: int, start: int) -> list[tuple[Row, bytes]]:
            return await self._insist("reading a draft", partial(ledger.draft_rows, head.id, partition, start, PAGE))

        return in_order(len(ledger.partitions), page)

    # -- issuing ---------------------------------------------------------------------------------------------------

    async def _issue_due(self, now_ms: int) -> int:
        """Issue closed drafts whose time for review is over. Answers in how many ms the next one's is."""
        due, left = now_ms - self._terms.grace_ms, 0
        while True:
            found = await self._insist(
                "looking at closed drafts",
                partial(self._ledger.to_issue, left, ISSUE_PAGE),
            )
            for id_, end in found:
                if end > due:
                    return min(IDLE_MS, end - due)
                # What could not be issued stays, and the one who was told of it decides.
                left += not await self._insist("issuing an invoice", partial(self._issue, id_))
            if len(found) < ISSUE_PAGE:
                return IDLE_MS

    async def _insist(self, doing: str, call: Callable[[], Awaitable[T]]) -> T:
        return await self._patience.insist(doing, call)


async def _again(held: list[Stretch]) -> AsyncIterator[Stretch]:
    for stretch in held:
        # A stretch takes some ms, and others want to work too.
        await asyncio.sleep(0)
        yield stretch
