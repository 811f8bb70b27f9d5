"""The rows of an invoice in pages that a cursor leads through, for who asks for them over many calls.

Those of a closed invoice come in their final order. Those of an open one come partition after partition, each in the
order in which they were collected: in that order nothing is ever put in between, so a cursor stays right while rows
arrive. Reading all rows at once, in the order of an invoice, is left to `invoice_rows`.
"""

import re
from typing import Final

from redis.asyncio import Redis

from witnd.domain.invoice import Invoice, Row
from witnd.store.connection import mapped
from witnd.store.invoice_codec import decode_row
from witnd.store.invoices import NoCursor, Page
from witnd.store.keys import BillingKeys

_CURSOR: Final = re.compile(r"([a-z0-9]+)-([0-9]{1,15})", re.ASCII)


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
