"""The rows of an invoice in pages that a cursor leads through, for who asks for them over many calls.

Those of a closed invoice come in their final order. Those of an open one come partition after partition, each in the
order in which they were collected: in that order nothing is ever put in between, so a cursor stays right while rows
arrive. And single rows, without reading all of a large invoice. Reading all rows, in the order of an invoice, is left
to `invoice_rows`.
"""

import re
from collections.abc import Sequence
from typing import Final

from redis.asyncio import Redis

from witnd.domain.invoice import Invoice, Row
from witnd.store.connection import mapped
from witnd.store.invoice_codec import decode_row
from witnd.store.invoices import NoCursor, Page
from witnd.store.keys import BillingKeys, partition_of

_CURSOR: Final = re.compile(r"([a-z0-9]+)-([0-9]{1,15})", re.ASCII)


# Rows per read where one is looked for, and how many are looked at where nothing tells its place.
PAGE: Final = 500
LOOKED_AT_MAX: Final = 20_000


class TooFar(ValueError):  # noqa: N818 - what somebody asked for, not a mistake in code
    """It may be there, but not among as many rows as are looked at."""


class Closed(NoCursor):
    """The cursor is of an invoice that was open then: its lines have another order now."""


class Lines:
    def __init__(self, client: Redis, keys: BillingKeys, partitions: int) -> None:
        self._client = client
        self._keys = keys
        self._partitions = partitions

    async def page(self, invoice: Invoice, limit: int, after: str | None = None) -> Page[Row]:
        """Rows behind a cursor. Raises NoCursor, and Closed where the invoice was closed meanwhile."""
        sources = self._sources(invoice)
        names = list(sources)
        place, start = _begin(names, after)
        found: list[Row] = []
        while place < len(names):
            wanted = limit + 1 - len(found)
            records = await self._read(invoice, sources[names[place]], start, wanted)
            room = limit - len(found)
            found += [decode_row(record) for record in records[:room]]
            if len(records) > room:
                return Page(found, f"{names[place]}-{start + room}")
            place, start = place + 1, 0
        return Page(found, None)

    async def of_outcome(self, invoice: Invoice, outcome_key: str, resolved_at: int) -> Row | None:
        """The row of an outcome, found by halving: rows stand by when their outcomes resolved. Raises Closed."""
        keys, id_ = self._keys, invoice.id
        if invoice.closed:
            name, count, first = keys.lines(id_), invoice.lines, (resolved_at, outcome_key.encode())
        else:
            # Those of one instant are in no order here: it begins with the first of them.
            name = keys.rows(id_, partition_of(outcome_key, self._partitions))
            with mapped():
                count, first = await self._client.llen(name), (resolved_at, b"")
        low, high = 0, count
        while low < high:
            middle = (low + high) // 2
            [record] = await self._read(invoice, name, middle, 1)
            row = decode_row(record)
            if (row.resolved_at or 0, (row.outcome_key or "").encode()) < first:
                low = middle + 1
            else:
                high = middle
        while True:
            records = await self._read(invoice, name, low, PAGE)
            found = _with_key(records, outcome_key)
            over = invoice.closed or len(records) < PAGE or decode_row(records[-1]).resolved_at != resolved_at
            if found is not None or over:
                return found
            low += PAGE

    async def one(self, invoice: Invoice, id_: str) -> Row | None:
        """The row with an id. Those that a closed period adds or takes are looked through first, then outcomes, of a
        large invoice not all: then it raises TooFar. Credits are not among them. Raises Closed."""
        sources = [name for source, name in self._sources(invoice).items() if source != "credits"]
        places = [(sources[0], invoice.lines), (sources[0], 0)] if invoice.closed else [(name, 0) for name in sources]
        looked_at = 0
        for name, first in places:
            start = first
            while records := await self._read(invoice, name, start, PAGE):
                for record in records:
                    if (row := decode_row(record)).id == id_:
                        return row
                start += len(records)
                looked_at += len(records)
                if looked_at >= LOOKED_AT_MAX:
                    raise TooFar(f"no line with this id is among the {LOOKED_AT_MAX} that were looked at")
        return None

    def _sources(self, invoice: Invoice) -> dict[str, str]:
        """Name in cursors → list, in order."""
        keys, id_ = self._keys, invoice.id
        if invoice.closed:
            rows = {"lines": keys.lines(id_)}
        else:
            rows = {f"rows{number}": keys.rows(id_, number) for number in range(self._partitions)}
        return rows | {"credits": keys.credits(id_)}

    async def _read(self, invoice: Invoice, name: str, start: int, count: int) -> list[bytes]:
        with mapped():
            async with self._client.pipeline(transaction=True) as reads:
                reads.hget(self._keys.invoice(invoice.id), "closed")
                reads.lrange(name, start, start + count - 1)
                closed, records = await reads.execute()
        if (closed == b"1") != invoice.closed:
            raise _closed(invoice)
        found: list[bytes] = records
        return found


def _with_key(records: Sequence[bytes], outcome_key: str) -> Row | None:
    mark = outcome_key.encode()
    for record in records:
        # Few records have the key's bytes in them, and only those are worth decoding.
        if mark in record and (row := decode_row(record)).kind == "outcome" and row.outcome_key == outcome_key:
            return row
    return None


def _begin(names: list[str], after: str | None) -> tuple[int, int]:
    if after is None:
        return 0, 0
    form = _CURSOR.fullmatch(after)
    if form is not None and form[1] in names:
        return names.index(form[1]), int(form[2])
    if form is not None and form[1].startswith("rows"):
        raise Closed("the period of this invoice was closed meanwhile: begin its lines again, without a cursor")
    raise NoCursor(f"{after!r} is no cursor of these lines: write the one that they ended with")


def _closed(invoice: Invoice) -> Closed:
    return Closed(f"the period of invoice {invoice.id} was closed meanwhile: begin its lines again, without a cursor")
