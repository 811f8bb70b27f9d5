"""Pages of an invoice's rows, with cursors.

Rows are sorted by `resolved_at` and key; then follow rows of the closed period, manual lines, then credits. In a closed
invoice a cursor is an index in a list. An open invoice still gains rows, so its cursor is the sort key of the last
returned row. A row that arrives before that position is not in later pages.

`rows` reads all rows, or the row of one outcome.
"""

import re
from base64 import b64decode, urlsafe_b64encode
from contextlib import suppress
from typing import Final

from redis.asyncio import Redis

from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.manual import manual_rows
from witnd.store.invoices.codec import decode_row
from witnd.store.invoices.rows import ClosedMeanwhile, Order, Rows, row_order
from witnd.store.keys import BillingKeys
from witnd.store.page import InvalidCursor, Page

_CURSOR: Final = re.compile(r"([a-z]+)-([0-9]{1,15})", re.ASCII)
_OPEN: Final = re.compile(r"open-([0-9]{1,15})-([A-Za-z0-9_-]{1,2000})", re.ASCII)
# The sources that an open invoice has too, by their names in cursors.
_MANUAL: Final = "manual"
_CREDITS: Final = "credits"

# Rows per read in a search, and the limit of a search for a row by id.
PAGE: Final = 500
LOOKED_AT_MAX: Final = 20_000


class SearchLimit(ValueError):  # noqa: N818 - an expected state, not a bug
    """The search ended at its limit. The row may still exist."""


class StaleCursor(ValueError):  # noqa: N818 - an expected state, not a bug
    """The invoice was closed since the cursor was returned, so its lines have another order."""


class Lines:
    def __init__(self, client: Redis, keys: BillingKeys, partitions: int) -> None:
        self._keys = keys
        self._partitions = partitions
        self._rows = Rows(client, keys, partitions)

    async def page(self, invoice: Invoice, limit: int, after: str | None = None) -> Page[Row]:
        """Return a page of rows. Raises InvalidCursor, and StaleCursor if the invoice was closed meanwhile."""
        found: list[Row] = []
        if not invoice.closed and not (after or "").startswith((_MANUAL, _CREDITS)):
            order = None if after is None else _decode_cursor(after)
            try:
                found = await self._rows.open_rows(invoice, limit + 1, order)
            except ClosedMeanwhile:
                raise _stale_cursor(invoice) from None
            if len(found) > limit:
                return Page(found[:limit], _encode_cursor(found[limit - 1]))
            after = None
        names = ["lines", _MANUAL, _CREDITS] if invoice.closed else [_MANUAL, _CREDITS]
        index, start = _start_position(names, after)
        while index < len(names):
            room = limit - len(found)
            rows = await self._rows_of(invoice, names[index], start, room + 1)
            found += rows[:room]
            if len(rows) > room:
                return Page(found, f"{names[index]}-{start + room}")
            index, start = index + 1, 0
        return Page(found, None)

    async def find(self, invoice: Invoice, id_: str) -> Row | None:
        """Return the row with an id, but no credit. Search rows of the closed period first, then outcomes.

        Raises SearchLimit if a large invoice has more rows than a search reads, and StaleCursor.
        """
        for row in manual_rows(invoice):
            if row.id == id_:
                return row
        keys = self._keys
        starts = [(keys.lines(invoice.id), first) for first in (invoice.lines, 0)]
        if not invoice.closed:
            starts = [(keys.rows(invoice.id, number), 0) for number in range(self._partitions)]
        looked_at = 0
        for name, first in starts:
            start = first
            while records := await self._read(invoice, name, start, PAGE):
                for record in records:
                    if (row := decode_row(record)).id == id_:
                        return row
                start += len(records)
                looked_at += len(records)
                if looked_at >= LOOKED_AT_MAX:
                    raise SearchLimit(f"no line with this id is among the first {LOOKED_AT_MAX} lines")
        return None

    async def _rows_of(self, invoice: Invoice, source: str, start: int, count: int) -> list[Row]:
        if source == _MANUAL:
            return manual_rows(invoice)[start : start + count]
        name = self._keys.credits(invoice.id) if source == _CREDITS else self._keys.lines(invoice.id)
        return [decode_row(record) for record in await self._read(invoice, name, start, count)]

    async def _read(self, invoice: Invoice, name: str, start: int, count: int) -> list[bytes]:
        try:
            return await self._rows.page(invoice, name, start, count)
        except ClosedMeanwhile:
            raise _stale_cursor(invoice) from None


def _start_position(names: list[str], after: str | None) -> tuple[int, int]:
    if after is None:
        return 0, 0
    form = _CURSOR.fullmatch(after)
    if form is not None and form[1] in names:
        return names.index(form[1]), int(form[2])
    if _OPEN.fullmatch(after):
        raise StaleCursor("this invoice was closed while it was paged; restart without a cursor")
    raise InvalidCursor(after or "")


def _encode_cursor(row: Row) -> str:
    """Return the cursor after a row of an open invoice."""
    at, key = row_order(row)
    return f"open-{at}-{urlsafe_b64encode(key).decode().rstrip('=')}"


def _decode_cursor(cursor: str) -> Order:
    form = _OPEN.fullmatch(cursor)
    with suppress(ValueError):
        if form is not None:
            return int(form[1]), b64decode(form[2] + "=" * (-len(form[2]) % 4), altchars=b"-_", validate=True)
    raise InvalidCursor(cursor)


def _stale_cursor(invoice: Invoice) -> StaleCursor:
    return StaleCursor(
        f"the period of invoice {invoice.id} was closed meanwhile: begin its lines again, without a cursor"
    )
