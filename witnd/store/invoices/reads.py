"""Finds and lists invoices and credit notes, and reads balances. It works without a daemon."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final, TypeVar, cast

from msgspec import Struct
from redis.asyncio import Redis

from witnd.domain.invoices.invoice import Invoice, invoice_id
from witnd.domain.invoices.operations import CreditNote, note_ids
from witnd.domain.invoices.payment import Payment, payments_of
from witnd.domain.values.period import LONGEST_PERIOD_MS, Calendar
from witnd.domain.values.period_text import DateRange
from witnd.store.errors import DamagedInvoice
from witnd.store.invoices.accounts import Accounts
from witnd.store.invoices.change import Operations
from witnd.store.invoices.change_arguments import balance_field
from witnd.store.invoices.codec import RESTORE, decode_invoice
from witnd.store.invoices.note_codec import decode_note
from witnd.store.invoices.payment_codec import decode_payment
from witnd.store.invoices.reversals import Reversals
from witnd.store.invoices.rows import Rows
from witnd.store.issued_documents import StoredDocuments
from witnd.store.keys import BillingKeys
from witnd.store.page import InvalidCursor, Page
from witnd.store.records.calendar import FIELD, decode_calendar
from witnd.store.server.connection import redis_errors
from witnd.store.server.durability import Confirm, nothing_to_confirm

# Heads per read: a millisecond or two of the server's time.
PAGE: Final = 200
IDS_PAGE: Final = 1000
# A search for rare invoices must still end; the cursor leads to the rest.
LOOKED_AT_MAX: Final = 100_000

_ID: Final = re.compile("[0-9a-f]{64}")
_PREFIX: Final = re.compile("[0-9a-f]{6,63}")

Document = TypeVar("Document", Invoice, CreditNote)


class InvoiceFilter(Struct, frozen=True, kw_only=True):
    """A filter for invoices; None and an empty set match any. Instants in ms."""

    customer: str | None = None
    currency: str | None = None
    stages: frozenset[str] = frozenset()  # `Invoice.stage`
    dates: DateRange | None = None  # local dates that contain the period's first day; a single day lies in the period
    around: int | None = None  # an instant in the period

    def matches(self, invoice: Invoice) -> bool:
        return (
            self.customer in (None, invoice.customer_key)
            and self.currency in (None, invoice.currency)
            and (not self.stages or invoice.stage in self.stages)
            and (self.dates is None or self.dates.selects(invoice.first_day, invoice.last_day))
            and (self.around is None or invoice.start <= self.around < invoice.end)
        )

    @property
    def bounds(self) -> tuple[str, int]:
        """The greatest and the least start of the period, for a search by descending score."""
        if self.around is not None:
            return str(self.around), self.around - LONGEST_PERIOD_MS
        if self.dates is not None:
            return self.dates.start_bounds
        return "+inf", 0


class Ambiguous(ValueError):  # noqa: N818
    """Several ids start with this text."""


class Invoices(Operations):
    """Reads of invoices and credit notes, and operations on them."""

    def __init__(
        self,
        client: Redis,
        keys: BillingKeys,
        partitions: int,
        last_number: Callable[[str], int] = lambda _: 0,
        confirm: Confirm = nothing_to_confirm,
    ) -> None:
        super().__init__(client, keys, last_number, confirm)
        self.accounts = Accounts(client, keys, confirm)
        self.documents = StoredDocuments(client, keys)
        self.rows = Rows(client, keys, partitions)
        self.reversals = Reversals(client, keys, self.rows)

    # -- one ---------------------------------------------------------------------------------------------------------

    async def get(self, id_: str) -> Invoice | None:
        return _raise_damaged((await self.heads([id_]))[0])

    async def note(self, id_: str) -> CreditNote | None:
        return _raise_damaged((await self._notes([id_]))[0])

    async def by_number(self, number: str) -> Invoice | CreditNote | None:
        """Return the invoice or credit note with a number."""
        with redis_errors():
            id_ = cast("bytes | None", await self._client.hget(self._keys.numbers, number))
        return None if id_ is None else await self._by_id(id_.decode())

    async def find(self, text: str, *, can_shorten: bool = True) -> Invoice | CreditNote | None:
        """Return an invoice or credit note by number, by id, or by an id prefix of at least six characters.

        A prefix is compared with all ids; without `can_shorten` it finds nothing. Raises Ambiguous.
        """
        if _ID.fullmatch(text):
            return await self._by_id(text)
        if not can_shorten or not _PREFIX.fullmatch(text):
            return await self.by_number(text)
        found = {id_ async for id_ in self._ids_with_prefix(text)}
        if len(found) > 1:
            raise Ambiguous(f"{len(found)} ids start with {text}")
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
        """Return the newest edition of the invoice of the period in which an outcome was billed, or None."""
        calendar = await self.calendar()
        if calendar is None or billed_at >= calendar.until:
            return None
        found = await self.get(invoice_id(customer_key, currency, calendar.period_at(billed_at)))
        return None if found is None else await self.newest_edition(found)

    async def newest_edition(self, invoice: Invoice) -> Invoice:
        """Return the edition that replaces a revised invoice, or the invoice itself."""
        while invoice.revised_by is not None and (following := await self.get(invoice.revised_by)) is not None:
            invoice = following
        return invoice

    async def server_ms(self) -> int:
        """Return the clock of the invoices' server in ms."""
        with redis_errors():
            seconds, micros = await self._client.time()
        return int(seconds) * 1000 + int(micros) // 1000

    async def calendar(self) -> Calendar | None:
        """Return the calendar of periods, or None before the first invoice."""
        with redis_errors():
            raw = cast("bytes | None", await self._client.hget(self._keys.state, FIELD))
        return None if raw is None else decode_calendar(raw)

    async def balance(self, customer_key: str, currency: str) -> Decimal:
        """Return the customer's unused credit."""
        with redis_errors():
            raw = await self._client.hget(self._keys.balance, balance_field(customer_key, currency))
        return Decimal(cast(bytes, raw or b"0").decode())

    async def credited(self, id_: str, rows: Sequence[str]) -> list[Decimal]:
        """Return the credited amount of each row of an invoice."""
        if not rows:
            return []
        with redis_errors():
            raw = await self._client.hmget(self._keys.credited(id_), list(rows))
        return [Decimal((amount or b"0").decode()) for amount in cast("list[bytes | None]", raw)]

    async def payments(self, id_: str) -> list[Payment]:
        """Return the payments of an invoice, oldest first."""
        with redis_errors():
            records = cast("list[bytes]", await self._client.lrange(self._keys.payments(id_), 0, -1))
        return payments_of(id_, map(decode_payment, records))

    # -- lists -------------------------------------------------------------------------------------------------------

    async def page(
        self, filter_: InvoiceFilter, limit: int, after: str | None = None, *, most: int | None = None
    ) -> Page[Invoice]:
        """Return a page of invoices, newest period first, after reading at most `most`. Raises InvalidCursor."""
        keys = self._keys
        zset = keys.invoices if filter_.customer is None else keys.customer(filter_.customer)
        return await self._page(self._ids(zset, *filter_.bounds, after), self.heads, filter_.matches, limit, most)

    async def notes(
        self, limit: int, after: str | None = None, *, customer: str | None = None, most: int | None = None
    ) -> Page[CreditNote]:
        """Return a page of credit notes, newest first, of one customer or of all. Raises InvalidCursor."""

        def matches(note: CreditNote) -> bool:
            return customer in (None, note.customer_key)

        return await self._page(self._ids(self._keys.notes, "+inf", 0, after), self._notes, matches, limit, most)

    async def notes_of(self, invoice: Invoice, first: int = 0, last: int | None = None) -> list[CreditNote]:
        """Return the credit notes of an invoice, oldest first, from number `first` to before `last`."""
        found = await self._notes(note_ids(invoice)[first:last])
        return [note for note in map(_raise_damaged, found) if note is not None]

    async def closed_drafts(self) -> list[str]:
        """Return ids of the drafts that wait to be issued, oldest period first."""
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
        matches: Callable[[Document], bool],
        limit: int,
        most: int | None,
    ) -> Page[Document]:
        most = LOOKED_AT_MAX if most is None else most
        found: list[Document] = []
        unreadable: list[str] = []
        looked_at, last = 0, None
        async for ids in pages:
            for id_, document in zip(ids, await load(ids), strict=True):
                if looked_at == most:
                    return Page(found, last, unreadable)
                if isinstance(document, DamagedInvoice):
                    unreadable.append(id_)
                elif document is not None and matches(document):
                    if len(found) == limit:
                        return Page(found, last, unreadable)
                    found.append(document)
                looked_at, last = looked_at + 1, id_
        return Page(found, None, unreadable)

    async def _ids(self, zset: str, high: str, low: int, after: str | None) -> AsyncIterator[list[str]]:
        """Iterate over pages of ids by descending score, after the id `after`. Ids are never removed, so any id is a
        valid cursor."""
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
                        continue  # a newer entry was added between the two calls and moved it
                    found = found[1:]
            page = [id_.decode() for id_, score in cast("list[tuple[bytes, float]]", found) if score >= low]
            if page:
                yield page
            if len(page) < PAGE:
                return
            after = page[-1]

    async def heads(self, ids: Sequence[str]) -> list[Invoice | DamagedInvoice | None]:
        """Return invoices by their ids; for a damaged one its error, and None for one that does not exist."""
        return await self._documents(ids, self._keys.invoice, decode_invoice)

    async def _notes(self, ids: Sequence[str]) -> list[CreditNote | DamagedInvoice | None]:
        return await self._documents(ids, self._keys.note, decode_note)

    async def _documents(
        self,
        ids: Sequence[str],
        name: Callable[[str], str],
        decode: Callable[[str, Mapping[bytes, bytes]], Document | None],
    ) -> list[Document | DamagedInvoice | None]:
        """Return documents. For a damaged one, return its error, so that the others can still be read."""
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


def _raise_damaged(document: Document | DamagedInvoice | None) -> Document | None:
    """Return the document, or raise its error if it is damaged."""
    if isinstance(document, DamagedInvoice):
        raise document
    return document
