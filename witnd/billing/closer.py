"""Close drafts: read their rows, rate them, and write them in their final order.

The next draft is read while one is rated and the previous one is written. The caller decides whether a period may be
closed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import TypeAlias, TypeVar

import structlog
from msgspec.structs import replace

from witnd.billing.closing import PAGE, DraftRating, merged_rows
from witnd.billing.steps import Steps
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.period_terms import period_charges, period_terms
from witnd.domain.invoice_events import invoice_event
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.values import instant
from witnd.domain.values.period import Calendar
from witnd.store.errors import Unsafe
from witnd.store.invoices.codec import billed_fields, encode_row, sums_fields
from witnd.store.invoices.ledger import Ledger
from witnd.store.invoices.reversals import reversed_outcomes
from witnd.store.partition.commit import Word
from witnd.store.records.event_codec import whole_event
from witnd.store.server.retry import Retry

# Rows per step: a few ms of server time.
STEP_ROWS = 1000
# Drafts up to this many rows are closed in one step, and their rows are read once.
MAX_BUFFERED_ROWS = 5000
DRAFTS_PER_PAGE = 100
DRAFTS_PER_LOG_LINE = 1000

RowBatch: TypeAlias = list[tuple[Row, bytes]]
T = TypeVar("T")
log = structlog.get_logger()


class Closer:
    """Closes drafts. `zero_invoices`: whether drafts of total 0 are issued automatically."""

    def __init__(
        self, ledger: Ledger, catalogue: Catalogue, steps: Steps, retry: Retry, *, zero_invoices: bool
    ) -> None:
        self._ledger = ledger
        self._catalogue = catalogue
        self._steps = steps
        self._retry = retry
        self._zero_invoices = zero_invoices
        self._closed_to = 0
        self._calendar = Calendar.of("month")

    async def close(self, calendar: Calendar, until: int, closed_to: int) -> int:
        """Close every draft whose period ends by `until`. Return the instant (ms) up to which all are closed."""
        self._closed_to, self._calendar = closed_to, calendar
        closed = rows = 0
        while ids := await self._call(
            "looking at open drafts", partial(self._ledger.open_until, until, DRAFTS_PER_PAGE)
        ):
            heads = await self._call("reading drafts", partial(self._ledger.find_invoices, ids))
            if missing := [id_ for id_ in ids if id_ not in heads]:
                remedy = "another program changed it: run `witnd audit`"
                raise Unsafe(f"draft {missing[0]} is in the list but has no data", remedy)
            reading = asyncio.ensure_future(self._buffered_rows(heads[ids[0]]))
            try:
                for id_, following in zip(ids, [*ids[1:], None], strict=True):
                    held = await reading
                    if following is not None:
                        reading = asyncio.ensure_future(self._buffered_rows(heads[following]))
                    await self._close_draft(heads[id_], held)
                    closed += 1
                    rows += heads[id_].lines
            finally:
                reading.cancel()
            await self._steps.flush()
            if closed % DRAFTS_PER_LOG_LINE == 0:
                log.info("billing.closing", invoices=closed, lines=rows)
        log.info("billing.closed", invoices=closed, lines=rows, until=instant.render(until))
        return self._closed_to

    async def _buffered_rows(self, head: Invoice) -> list[RowBatch] | None:
        """Return all rows of a draft, or None if it is too large for memory."""
        return [one async for one in self._row_batches(head)] if head.lines <= MAX_BUFFERED_ROWS else None

    async def _close_draft(self, head: Invoice, held: list[RowBatch] | None) -> None:
        """Rate one draft and write its rows. A large one takes several steps; the last one closes it."""
        ledger, keys = self._ledger, self._ledger.keys
        terms_of = partial(period_terms, self._catalogue, head.customer_key, head.currency, end=head.end)
        charges = period_charges(self._catalogue, head.customer_key, head.billed_period, self._calendar)
        due = charges.get(head.currency)
        rating = DraftRating(head, self._catalogue.price_by_hash, terms_of, due)
        if head.unrated:
            async for stretch in self._row_batches(head) if held is None else _replay(held):
                rating.accumulate(row for row, _ in stretch)
        waiting: list[Word] = []
        async for stretch in self._row_batches(head) if held is None else _replay(held):
            for row, stored in stretch:
                rated = rating.rate(row)
                waiting.append(stored if rated is row and row.reversed_at is None else encode_row(rated))
            while len(waiting) > MAX_BUFFERED_ROWS:
                step = self._steps.begin()
                step.add("HSET", keys.state, "closing", head.id)
                step.add_many(("RPUSH", keys.lines(head.id)), waiting[:STEP_ROWS])
                await self._steps.send(step)
                del waiting[:STEP_ROWS]
        waiting += [encode_row(row) for row in rating.close()]
        digits = head.digits if due is None else max(head.digits, due.digits)
        done = replace(head, digits=digits, unrated=0, subtotal=rating.subtotal, sums=rating.sums, closed=True)
        step = self._steps.begin()
        step.add_many(("RPUSH", keys.lines(head.id)), waiting)
        step.add("HSET", keys.invoice(head.id), *billed_fields(done), *sums_fields(done))
        rows = [keys.rows(head.id, number) for number in range(len(ledger.partitions))]
        step.add("UNLINK", *rows, keys.row_ids(head.id))
        step.add("ZREM", keys.open, head.id)
        if done.subtotal or self._zero_invoices:
            step.add("ZADD", keys.to_issue, head.end, head.id)
        step.add("XADD", keys.events, "*", "data", whole_event(invoice_event("invoice_closed", done)))
        closed_to = max(self._closed_to, head.end)
        step.add("HSET", keys.state, "closing", "", "closed_to", closed_to)
        await self._steps.send(step)
        self._closed_to = closed_to

    async def _row_batches(self, head: Invoice) -> AsyncIterator[RowBatch]:
        ledger = self._ledger
        reversed_: dict[str, int] = {}
        if head.reversed:
            reversed_ = await self._call("reading reversals", partial(reversed_outcomes, ledger, head))

        async def page(partition: int, start: int) -> list[tuple[Row, bytes]]:
            return await self._call("reading a draft", partial(ledger.draft_rows, head.id, partition, start, PAGE))

        async for batch in merged_rows(len(ledger.partitions), page):
            yield batch if not reversed_ else [(_with_reversal(row, reversed_), stored) for row, stored in batch]

    async def _call(self, doing: str, call: Callable[[], Awaitable[T]]) -> T:
        return await self._retry.call(doing, call)


def _with_reversal(row: Row, reversed_: Mapping[str, int]) -> Row:
    at = reversed_.get(row.outcome_key or "")
    return row if at is None else replace(row, reversed_at=at)


async def _replay(held: list[RowBatch]) -> AsyncIterator[RowBatch]:
    for stretch in held:
        # A batch takes a few ms, so let other tasks run.
        await asyncio.sleep(0)
        yield stretch
