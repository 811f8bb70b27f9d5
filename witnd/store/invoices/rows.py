"""Reads the rows of an invoice in order. A closed invoice has fixed rows; an open one still gains some.

An open draft has one list of rows for each partition and one for credits; here they are one sequence.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import Final, TypeAlias, cast

from msgspec.structs import replace
from redis.asyncio import Redis

from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.manual import manual_rows
from witnd.domain.outcomes.partitioning import possible_partitions
from witnd.store.errors import StoreRefused
from witnd.store.invoices.codec import decode_row
from witnd.store.invoices.reversal_codec import decode_reversals, reversed_in_period
from witnd.store.keys import BillingKeys
from witnd.store.server.connection import redis_errors

# Some 100 KiB usually: at most a few ms of the server's time.
PAGE: Final = 500
# Reads of a search by bisection in a long list, for the choice between searches and reading all rows.
READS_PER_SEARCH: Final = 20

Order: TypeAlias = tuple[int, bytes]


class ClosedMeanwhile(StoreRefused):
    """The invoice was closed since it was read, so its rows have another order."""


class Rows:
    """Reads rows of invoices. Raises `ClosedMeanwhile` if an open draft is closed while its rows are read."""

    def __init__(self, client: Redis, keys: BillingKeys, partitions: int) -> None:
        self._client = client
        self._keys = keys
        self._partitions = partitions

    async def of_invoice(self, invoice: Invoice) -> AsyncIterator[Row]:
        """Iterate over all rows: outcomes, rows of the closed period, manual lines, then credits, oldest first."""
        if invoice.closed:
            async for record in self._records(invoice, self._keys.lines(invoice.id)):
                yield decode_row(record)
        else:
            async for row in self._outcome_rows(invoice):
                yield row
        for row in manual_rows(invoice):
            yield row
        async for row in self.credits(invoice):
            yield row

    async def credits(self, invoice: Invoice) -> AsyncIterator[Row]:
        """Iterate over the credits from before the invoice was issued."""
        async for record in self._records(invoice, self._keys.credits(invoice.id)):
            yield decode_row(record)

    async def of_outcome(self, invoice: Invoice, outcome_key: str, billed_at: int) -> Row | None:
        """Return the row of an outcome, by bisection: rows are sorted by the instants at which outcomes resolved."""
        if invoice.closed:
            place = billed_at, outcome_key.encode()
            return await self._row_in(invoice, self._keys.lines(invoice.id), invoice.lines, outcome_key, place)
        # A row from before a repartition is in the list of an earlier partition. Rows of one instant are not sorted
        # here: start with the first of them.
        for number in possible_partitions(outcome_key, self._partitions):
            name = self._keys.rows(invoice.id, number)
            found = await self._row_in(invoice, name, await self._length(name), outcome_key, (billed_at, b""))
            if found is not None:
                return replace(found, reversed_at=(await self._reversed(invoice)).get(outcome_key))
        return None

    async def of_outcomes(self, invoice: Invoice, places: Mapping[str, int]) -> dict[str, Row]:
        """Return the rows of outcomes, by outcome key. `places`: where they were billed (ms)."""
        if len(places) * READS_PER_SEARCH <= invoice.lines // PAGE:
            found = {key: await self.of_outcome(invoice, key, at) for key, at in places.items()}
            return {key: row for key, row in found.items() if row is not None}
        rows: dict[str, Row] = {}
        async for row in self.of_invoice(invoice):
            if row.kind == "outcome" and (key := row.outcome_key or "") in places:
                rows[key] = row
                if len(rows) == len(places):
                    break
        return rows

    async def _row_in(self, invoice: Invoice, name: str, count: int, outcome_key: str, first: Order) -> Row | None:
        """Return the row of an outcome in a list, at or after a position in its order."""
        start = await self._bisect(invoice, name, count, first)
        mark = outcome_key.encode()
        while True:
            records = await self.page(invoice, name, start, PAGE)
            for record in records:
                # Only the few records that contain the key need decoding.
                if mark in record and (row := decode_row(record)).kind == "outcome" and row.outcome_key == outcome_key:
                    return row
            if invoice.closed or len(records) < PAGE or decode_row(records[-1]).billed_at != first[0]:
                return None
            start += PAGE

    async def open_rows(self, invoice: Invoice, most: int, after: Order | None = None) -> list[Row]:
        """Return up to `most` outcomes of an open draft, of all partitions, after a position in their order."""
        found: list[Row] = []
        async for row in self._outcome_rows(invoice, after, min(PAGE, most)):
            found.append(row)
            if len(found) == most:
                break
        return found

    async def of_partition(self, invoice: Invoice, partition: int, start: int, most: int) -> list[Row]:
        """Return outcomes of an open draft from one partition, from an index on."""
        name = self._keys.rows(invoice.id, partition)
        return [decode_row(record) for record in await self.page(invoice, name, start, most)]

    async def find(self, invoice: Invoice, id_: str) -> Row | None:
        """Return the row with an id, credits included."""
        async for row in self.of_invoice(invoice):
            if row.id == id_:
                return row
        return None

    async def _records(self, invoice: Invoice, name: str, start: int = 0, size: int = PAGE) -> AsyncIterator[bytes]:
        """Iterate over a list from an index on. It only grows until the draft is closed, so pages fit together."""
        while True:
            page = await self.page(invoice, name, start, size)
            for record in page:
                yield record
            if len(page) < size:
                return
            start += size

    async def page(self, invoice: Invoice, name: str, start: int, size: int) -> list[bytes]:
        """Return a page of one list of the invoice."""
        with redis_errors():
            async with self._client.pipeline(transaction=True) as reads:
                reads.hget(self._keys.invoice(invoice.id), "closed")
                reads.lrange(name, start, start + size - 1)
                closed, page = await reads.execute()
        if (closed == b"1") != invoice.closed:
            raise ClosedMeanwhile(f"invoice {invoice.id} was closed while it was read", "retry")
        found: list[bytes] = page
        return found

    async def _length(self, name: str) -> int:
        with redis_errors():
            return int(await self._client.llen(name))

    async def _bisect(self, invoice: Invoice, name: str, count: int, order: Order) -> int:
        """Return the index of the first of `count` rows that is not before a position in the order."""
        low, high = 0, count
        while low < high:
            middle = (low + high) // 2
            [record] = await self.page(invoice, name, middle, 1)
            if row_order(decode_row(record)) < order:
                low = middle + 1
            else:
                high = middle
        return low

    async def _outcome_rows(self, invoice: Invoice, after: Order | None = None, size: int = PAGE) -> AsyncIterator[Row]:
        """Iterate over the rows of all partitions, by the instant of the resolution, then by key."""
        sources = [self._partition_rows(invoice, number, after, size) for number in range(self._partitions)]
        heads: list[tuple[Order, int, Row]] = []
        reversed_ = await self._reversed(invoice)
        for number, source in enumerate(sources):
            async for row in source:
                heappush(heads, (row_order(row), number, row))
                break
        while heads:
            _, number, row = heappop(heads)
            yield replace(row, reversed_at=reversed_[row.outcome_key]) if row.outcome_key in reversed_ else row
            async for following in sources[number]:
                heappush(heads, (row_order(following), number, following))
                break

    async def _reversed(self, invoice: Invoice) -> dict[str, int]:
        """Return the outcomes of an open draft that were reversed. The close adds this to the rows."""
        if not invoice.reversed:
            return {}
        with redis_errors():
            fields = await self._client.hgetall(self._keys.reversals(invoice.id))
        return reversed_in_period(invoice, decode_reversals(invoice.id, cast("dict[bytes, bytes]", fields)))

    async def _partition_rows(
        self, invoice: Invoice, partition: int, after: Order | None, size: int
    ) -> AsyncIterator[Row]:
        """Iterate over the rows of one partition after a position. Its list is sorted by instant, but not within
        one."""
        name, start = self._keys.rows(invoice.id, partition), 0
        if after is not None:
            start = await self._bisect(invoice, name, await self._length(name), (after[0], b""))
        tied: list[Row] = []
        async for record in self._records(invoice, name, start, size):
            row = decode_row(record)
            if after is not None and row_order(row) <= after:
                continue
            if tied and row.billed_at != tied[0].billed_at:
                for tied_row in _sorted(tied):
                    yield tied_row
                tied = []
            tied.append(row)
        for tied_row in _sorted(tied):
            yield tied_row


def row_order(row: Row) -> Order:
    """Return the sort key of an outcome's row in an invoice."""
    return row.billed_at, (row.outcome_key or "").encode()


def _sorted(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=row_order)
