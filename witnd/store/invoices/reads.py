"""What people ask of invoices and credit notes: one, lists in pages, rows, balances. The daemon is not needed for it.

How rows are read is in `invoice_rows`, how something is done in `invoice_change`; the heads are the biller's.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final, TypeVar, cast

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from witnd.domain.invoices.credit import note_id
from witnd.domain.invoices.invoice import Invoice, invoice_id
from witnd.domain.invoices.operations import CreditNote
from witnd.domain.values.period import Calendar
from witnd.store.errors import DamagedInvoice
from witnd.store.invoices.change import Operations, balance_field
from witnd.store.invoices.codec import RESTORE, decode_invoice
from witnd.store.invoices.note_codec import decode_note
from witnd.store.invoices.rows import Rows
from witnd.store.keys import BillingKeys
from witnd.store.page import InvalidCursor, Page
from witnd.store.server.connection import redis_errors

# Heads per read: a millisecond or two of the server's time.
PAGE: Final = 200
IDS_PAGE: Final = 1000
# A list asked for a rare thing must still end: its cursor leads on.
LOOKED_AT_MAX: Final = 100_000
# A month, in ms: how far back the start of the period around an instant can lie.
LONGEST_PERIOD_MS: Final = 31 * 86_400_000

_ID: Final = re.compile("[0-9a-f]{64}")
_PREFIX: Final = re.compile("[0-9a-f]{6,63}")

Document = TypeVar("Document", Invoice, CreditNote)
_calendar = msgspec.json.Decoder(Calendar).decode


class InvoiceFilter(Struct, frozen=True, kw_only=True):
    """Which invoices a list is to have; None and nothing mean any. Instants in ms."""

    customer: str | None = None
    currency: str | None = None
    stages: frozenset[str] = frozenset()  # `Invoice.stage`
    begins_from: int | None = None  # the period's start
    begins_before: int | None = None
    around: int | None = None  # an instant that lies in the period

    def matches(self, invoice: Invoice) -> bool:
        return (
            self.customer in (None, invoice.customer_key)
            and self.currency in (None, invoice.currency)
            and (not self.stages or invoice.stage in self.stages)
            and (self.around is None or invoice.start <= self.around < invoice.end)
        )

    @property
    def bounds(self) -> tuple[str, int]:
        """Of the period's start: from where downwards, and to which instant."""
        if self.around is not None:
            return str(self.around), self.around - LONGEST_PERIOD_MS
        return "+inf" if self.begins_before is None else f"({self.begins_before}", self.begins_from or 0


class Ambiguous(ValueError):  # noqa: N818
    """Several ids begin so."""


class Invoices(Operations):
    """Invoices and credit notes as they are read, and the operations on one. Reads may be repeated."""

    def __init__(
        self, client: Redis, keys: BillingKeys, partitions: int, given: Callable[[str], int] = lambda _: 0
    ) -> None:
        super().__init__(client, keys, given)
        self.rows = Rows(client, keys, partitions)

    # -- one ---------------------------------------------------------------------------------------------------------

    async def get(self, id_: str) -> Invoice | None:
        return _raise_damaged((await self._heads([id_]))[0])

    async def note(self, id_: str) -> CreditNote | None:
        return _raise_damaged((await self._notes([id_]))[0])

    async def by_number(self, number: str) -> Invoice | CreditNote | None:
        """The invoice or credit note with a number."""
        with redis_errors():
            id_ = cast("bytes | None", await self._client.hget(self._keys.numbers, number))
        return None if id_ is None else await self._by_id(id_.decode())

    async def find(self, text: str, *, can_shorten: bool = True) -> Invoice | CreditNote | None:
        """By number, by id, or by the beginning of an id, at least six characters. Raises Ambiguous.

        The beginning of an id is compared with all ids; without `can_shorten` it finds nothing.
        """
        if _ID.fullmatch(text):
            return await self._by_id(text)
        if not can_shorten or not _PREFIX.fullmatch(text):
            return await self.by_number(text)
        found = {one async for one in self._ids_with_prefix(text)}
        if len(found) > 1:
            raise Ambiguous(f"{len(found)} ids begin with {text}: write more of it, or the number")
        return await self._by_id(found.pop()) if found else None

    async def _by_id(self, id_: str) -> Invoice | CreditNote | None:
        return await self.get(id_) or await self.note(id_)

    async def _ids_with_prefix(self, prefix: str) -> AsyncIterator[str]:
        for zset in (self._keys.invoices, self._keys.notes):
            cursor = 0
            while True:
                with redis_errors():
                    cursor, found = await self._client.zscan(zset, cursor, match=f"{prefix}*", count=IDS_PAGE)
                for id_, _ in cast("list[tuple[bytes, float]]", found):
                    yield id_.decode()
                if not cursor:
                    break

    async def of_outcome(self, customer_key: str, currency: str, billed_at: int) -> Invoice | None:
        """The invoice of the period that an outcome resolved in."""
        calendar = await self.calendar()
        if calendar is None:
            return None
        return await self.get(invoice_id(customer_key, currency, calendar.period_at(billed_at)))

    async def calendar(self) -> Calendar | None:
        """The periods in use; None where no invoice was ever made."""
        with redis_errors():
            raw = cast("bytes | None", await self._client.hget(self._keys.state, "calendar"))
        return None if raw is None else _calendar(raw)

    async def balance(self, customer_key: str, currency: str) -> Decimal:
        """What the customer has got back and not used yet."""
        with redis_errors():
            raw = await self._client.hget(self._keys.balance, balance_field(customer_key, currency))
        return Decimal(cast(bytes, raw or b"0").decode())

    async def credited(self, id_: str, rows: Sequence[str]) -> list[Decimal]:
        """How much was given back of each of these rows of an invoice."""
        if not rows:
            return []
        with redis_errors():
            raw = await self._client.hmget(self._keys.credited(id_), list(rows))
        return [Decimal((one or b"0").decode()) for one in cast("list[bytes | None]", raw)]

    # -- lists -------------------------------------------------------------------------------------------------------

    async def page(
        self, wanted: InvoiceFilter, limit: int, after: str | None = None, *, most: int | None = None
    ) -> Page[Invoice]:
        """Invoices, the newest period first, of at most `most` that are looked at. Raises InvalidCursor."""
        keys = self._keys
        zset = keys.invoices if wanted.customer is None else keys.customer(wanted.customer)
        return await self._page(self._ids(zset, *wanted.bounds, after), self._heads, wanted.matches, limit, most)

    async def notes(
        self, limit: int, after: str | None = None, *, customer: str | None = None, most: int | None = None
    ) -> Page[CreditNote]:
        """Credit notes, the newest first; those of a customer, of any without one. Raises InvalidCursor."""

        def wanted(note: CreditNote) -> bool:
            return customer in (None, note.customer_key)

        return await self._page(self._ids(self._keys.notes, "+inf", 0, after), self._notes, wanted, limit, most)

    async def notes_of(self, invoice: Invoice, first: int = 0, last: int | None = None) -> list[CreditNote]:
        """The credit notes of an invoice, the oldest first; of them those from the place `first` to before `last`."""
        places = range(invoice.notes)[first:last]
        found = await self._notes([note_id(invoice.id, before) for before in places])
        return [note for note in map(_raise_damaged, found) if note is not None]

    async def closed_drafts(self) -> list[str]:
        """Ids of the drafts that wait to be issued, the oldest period first."""
        found: list[str] = []
        while True:
            with redis_errors():
                page = await self._client.zrange(self._keys.to_issue, len(found), len(found) + IDS_PAGE - 1)
            found += [cast(bytes, id_).decode() for id_ in page]
            if len(page) < IDS_PAGE:
                return found

    async def _page(
        self,
        pages: AsyncIterator[list[str]],
        load: Callable[[Sequence[str]], Awaitable[list[Document | DamagedInvoice | None]]],
        wanted: Callable[[Document], bool],
        limit: int,
        most: int | None,
    ) -> Page[Document]:
        most = LOOKED_AT_MAX if most is None else most
        found: list[Document] = []
        unreadable: list[str] = []
        looked_at, last = 0, None
        async for ids in pages:
            for id_, paper in zip(ids, await load(ids), strict=True):
                if looked_at == most:
                    return Page(found, last, unreadable)
                if isinstance(paper, DamagedInvoice):
                    unreadable.append(id_)
                elif paper is not None and wanted(paper):
                    if len(found) == limit:
                        return Page(found, last, unreadable)
                    found.append(paper)
                looked_at, last = looked_at + 1, id_
        return Page(found, None, unreadable)

    async def _ids(self, zset: str, high: str, low: int, after: str | None) -> AsyncIterator[list[str]]:
        """Ids by falling score, from the one behind `after`. None of them ever goes away, so each is a place to go on
        from, whatever is added meanwhile."""
        while True:
            with redis_errors():
                if after is None:
                    found = await self._client.zrevrangebyscore(zset, high, low, 0, PAGE, withscores=True)
                else:
                    rank = cast("int | None", await self._client.zrevrank(zset, after))
                    if rank is None:
                        raise InvalidCursor(after)
                    found = await self._client.zrange(zset, rank, rank + PAGE, desc=True, withscores=True)
                    if not found or found[0][0] != after.encode():
                        continue  # something newer came between the two calls and moved it on
                    found = found[1:]
            page = [id_.decode() for id_, score in cast("list[tuple[bytes, float]]", found) if score >= low]
            if page:
                yield page
            if len(page) < PAGE:
                return
            after = page[-1]

    async def _heads(self, ids: Sequence[str]) -> list[Invoice | DamagedInvoice | None]:
        return await self._documents(ids, self._keys.invoice, decode_invoice)

    async def _notes(self, ids: Sequence[str]) -> list[CreditNote | DamagedInvoice | None]:
        return await self._documents(ids, self._keys.note, decode_note)

    async def _documents(
        self,
        ids: Sequence[str],
        name: Callable[[str], str],
        decode: Callable[[str, Mapping[bytes, bytes]], Document | None],
    ) -> list[Document | DamagedInvoice | None]:
        """A damaged one is its error: the others can still be read."""
        with redis_errors():
            async with self._client.pipeline(transaction=False) as reads:
                for id_ in ids:
                    reads.hgetall(name(id_))
                raw = await reads.execute(raise_on_error=False)
            found: list[Document | DamagedInvoice | None] = []
            for id_, fields in zip(ids, raw, strict=True):
                if isinstance(fields, Exception):
                    if not str(fields).startswith("WRONGTYPE"):
                        raise fields
                    found.append(DamagedInvoice(f"the key {name(id_)} holds another type of data", RESTORE))
                    continue
                try:
                    found.append(decode(id_, fields))
                except DamagedInvoice as damaged:
                    found.append(damaged)
        return found


def _raise_damaged(paper: Document | DamagedInvoice | None) -> Document | None:
    """Raises the error of a damaged one."""
    if isinstance(paper, DamagedInvoice):
        raise paper
    return paper
