"""Closes drafts: reads their rows, has them rated, writes them in their final order.

The next draft is on its way while one is rated, and the one before is being written. Whether a period may be closed is
decided by whoever calls this.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeAlias, TypeVar

import structlog
from msgspec.structs import replace

from witnd.billing.closing import PAGE, Rating, in_order
from witnd.billing.steps import Steps
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.values import instant
from witnd.store.errors import Unsafe
from witnd.store.invoices.codec import billed_fields, encode_row
from witnd.store.invoices.ledger import Ledger
from witnd.store.partition.commit import Word
from witnd.store.server.retry import Retry

# Rows written in one step: some ms of server time.
STEP_ROWS = 1000
# A draft of up to so many rows is closed in one step, and its rows are read once.
HELD_ROWS = 5000
# Drafts that are looked up at a time.
DRAFTS = 100
PROGRESS = 1000  # drafts between two lines of the log

Stretch: TypeAlias = list[tuple[Row, bytes]]
T = TypeVar("T")
log = structlog.get_logger()


class Closer:
    """`zero_invoices`: whether drafts over nothing are to be issued by schedule."""

    def __init__(
        self, ledger: Ledger, catalogue: Catalogue, steps: Steps, retry: Retry, *, zero_invoices: bool
    ) -> None:
        self._ledger = ledger
        self._catalogue = catalogue
        self._steps = steps
        self._retry = retry
        self._zero_invoices = zero_invoices
        self._closed_to = 0

    async def close(self, until: int, closed_to: int) -> int:
        """Close every draft whose period ends by then. Answers up to when all are closed, `closed_to` before."""
        self._closed_to = closed_to
        closed = rows = 0
        while ids := await self._call("looking at open drafts", partial(self._ledger.open_until, until, DRAFTS)):
            heads = await self._call("reading drafts", partial(self._ledger.find_invoices, ids))
            if missing := [id_ for id_ in ids if id_ not in heads]:
                remedy = "another program changed it: run `witnd audit`"
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
            if closed % PROGRESS == 0:
                log.info("billing.closing", invoices=closed, lines=rows)
        log.info("billing.closed", invoices=closed, lines=rows, until=instant.render(until))
        return self._closed_to

    async def _held(self, head: Invoice) -> list[Stretch] | None:
        """All rows of a draft; None for one that is too large to be held."""
        return [one async for one in self._stretches(head)] if head.lines <= HELD_ROWS else None

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
            while len(waiting) > HELD_ROWS:
                step = self._steps.begin()
                step.add("HSET", keys.state, "closing", head.id)
                step.add_many(("RPUSH", keys.lines(head.id)), waiting[:STEP_ROWS])
                await self._steps.send(step)
                del waiting[:STEP_ROWS]
        waiting += [encode_row(row) for row in rating.close()]
        done = replace(head, unrated=0, subtotal=rating.subtotal, closed=True)
        step = self._steps.begin()
        step.add_many(("RPUSH", keys.lines(head.id)), waiting)
        step.add("HSET", keys.invoice(head.id), *billed_fields(done))
        rows = [keys.rows(head.id, number) for number in range(len(ledger.partitions))]
        step.add("UNLINK", *rows, keys.row_ids(head.id))
        step.add("ZREM", keys.open, head.id)
        if done.subtotal or self._zero_invoices:
            step.add("ZADD", keys.to_issue, head.end, head.id)
        closed_to = max(self._closed_to, head.end)
        step.add("HSET", keys.state, "closing", "", "closed_to", closed_to)
        await self._steps.send(step)
        self._closed_to = closed_to

    def _stretches(self, head: Invoice) -> AsyncIterator[Stretch]:
        ledger = self._ledger

        async def page(partition: int, start: int) -> list[tuple[Row, bytes]]:
            return await self._call("reading a draft", partial(ledger.draft_rows, head.id, partition, start, PAGE))

        return in_order(len(ledger.partitions), page)

    async def _call(self, doing: str, call: Callable[[], Awaitable[T]]) -> T:
        return await self._retry.call(doing, call)


async def _again(held: list[Stretch]) -> AsyncIterator[Stretch]:
    for stretch in held:
        # A stretch takes some ms, and others want to work too.
        await asyncio.sleep(0)
        yield stretch
