"""The rows of an invoice in their order, read in pages: those of a closed one are fixed, an open one still gains some.

An open draft has its rows per partition, and what is given back in a list of its own; here they are one sequence.
"""

from collections.abc import AsyncIterator, Sequence
from heapq import heappop, heappush
from typing import Final, TypeAlias

from redis.asyncio import Redis

from witnd.domain.invoice import Invoice, Row
from witnd.domain.resolution import derived_id
from witnd.store.connection import mapped
from witnd.store.errors import StoreRefused
from witnd.store.invoice_codec import decode_row
from witnd.store.keys import BillingKeys, partition_of

# Some 100 KiB as a rule: no more than a few ms of the server's time.
PAGE: Final = 500

_Order: TypeAlias = tuple[int, bytes]


class Rows:
    """Raises `StoreRefused` where an open draft is closed while its rows are read: they have got another order."""

    def __init__(self, client: Redis, keys: BillingKeys, partitions: int) -> None:
        self._client = client
        self._keys = keys
        self._partitions = partitions

    async def of(self, invoice: Invoice) -> AsyncIterator[Row]:
        """All rows: outcomes, then what a closed period adds or takes, then credits, the oldest first."""
        if invoice.closed:
            async for record in self._records(invoice, self._keys.lines(invoice.id)):
                yield decode_row(record)
        else:
            async for row in self._merged(invoice):
                yield row
        async for row in self.credits(invoice):
            yield row

    async def credits(self, invoice: Invoice) -> AsyncIterator[Row]:
        """What was given back before the invoice was issued."""
        async for record in self._records(invoice, self._keys.credits(invoice.id)):
            yield decode_row(record)

    async def of_outcome(self, invoice: Invoice, outcome_key: str) -> Row | None:
        """The row of one outcome."""
        number = partition_of(outcome_key, self._partitions)
        name = self._keys.lines(invoice.id) if invoice.closed else self._keys.rows(invoice.id, number)
        mark, id_ = outcome_key.encode(), derived_id("line", outcome_key)
        async for record in self._records(invoice, name):
            # Few records have the key's bytes in them, and only those are worth decoding.
            if mark in record and (row := decode_row(record)).id == id_:
                return row
        return None

    async def one(self, invoice: Invoice, id_: str) -> Row | None:
        """The row with an id, credits too."""
        async for row in self.of(invoice):
            if row.id == id_:
                return row
        return None

    async def _records(self, invoice: Invoice, name: str) -> AsyncIterator[bytes]:
        """A list in pages. It only grows, so pages fit together, until the draft is closed."""
        start = 0
        while True:
            with mapped():
                async with self._client.pipeline(transaction=True) as reads:
                    reads.hget(self._keys.invoice(invoice.id), "closed")
                    reads.lrange(name, start, start + PAGE - 1)
                    closed, page = await reads.execute()
            if (closed == b"1") != invoice.closed:
                raise StoreRefused(f"the period of invoice {invoice.id} was closed meanwhile", "ask again")
            for record in page:
                yield record
            if len(page) < PAGE:
                return
            start += PAGE

    async def _merged(self, invoice: Invoice) -> AsyncIterator[Row]:
        """The rows of all partitions, by when their outcomes resolved, then by key."""
        sources = [self._ordered(invoice, number) for number in range(self._partitions)]
        heads: list[tuple[_Order, int, Row]] = []
        for number, source in enumerate(sources):
            async for row in source:
                heappush(heads, (_order(row), number, row))
                break
        while heads:
            _, number, row = heappop(heads)
            yield row
            async for after in sources[number]:
                heappush(heads, (_order(after), number, after))
                break

    async def _ordered(self, invoice: Invoice, partition: int) -> AsyncIterator[Row]:
        """Those of one partition. It has them by when they resolved; of one instant in no order."""
        tied: list[Row] = []
        async for record in self._records(invoice, self._keys.rows(invoice.id, partition)):
            row = decode_row(record)
            if tied and row.resolved_at != tied[0].resolved_at:
                for one in _sorted(tied):
                    yield one
                tied = []
            tied.append(row)
        for one in _sorted(tied):
            yield one


def _order(row: Row) -> _Order:
    return row.resolved_at or 0, (row.outcome_key or "").encode()


def _sorted(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=_order)
