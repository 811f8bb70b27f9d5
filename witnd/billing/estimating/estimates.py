"""Estimates of open invoices, as if their periods closed now: the rating of the close, over the outcomes so far.

An estimate uses the terms that, as of now, will be in effect at the end of the period. At the end of the period, it
equals the closed invoice.

The outcomes of a draft are read once and then kept as runs in memory; later estimates only read new ones.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from typing import Final, NamedTuple, Protocol

from msgspec.structs import replace

from witnd.billing.closing import PAGE, DraftRating, merged_rows
from witnd.billing.estimating.runs import OutOfOrder, Runs, TooManyRuns
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.period_terms import period_charges, period_terms
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.issue_terms import tax_table
from witnd.domain.invoices.manual import with_discounts
from witnd.domain.invoices.sums import GroupSums
from witnd.domain.values.money import exact_sum
from witnd.domain.values.period import Calendar
from witnd.store.errors import DamagedInvoice
from witnd.store.invoices.codec import contradictions
from witnd.store.invoices.reads import Invoices
from witnd.store.invoices.reversal_codec import StoredReversal, reversed_in_period
from witnd.store.invoices.rows import ClosedMeanwhile

# How long an estimate is reused: less than 10 seconds, which leaves time for the response.
FRESH_MS: Final = 8_000
# Outcomes that one request reads: about a second. A larger draft is read by several requests.
ROWS_PER_REQUEST: Final = 50_000
# Drafts, and runs and outcomes of all of them, that are kept in memory: some 100 MB at most.
MAX_DRAFTS: Final = 200
MAX_SIZE: Final = 100_000


class Estimate(NamedTuple):
    """An open invoice as if its period closed now. `invoice` is closed; `at` is the instant (ms)."""

    invoice: Invoice
    groups: tuple[GroupSums, ...]
    at: int


class OpenDrafts(Protocol):
    """Reads open drafts. Raises `ClosedMeanwhile` and `DamagedInvoice`."""

    async def rows(self, invoice: Invoice, partition: int, start: int, most: int) -> list[Row]:
        """Return outcomes of one partition from an index on."""

    async def reversals(self, invoice: Invoice) -> Mapping[str, StoredReversal]:
        """Return the reversals within the period, by outcome key."""

    async def rows_of(self, invoice: Invoice, places: Mapping[str, int]) -> Mapping[str, Row]:
        """Return the rows of outcomes by key. `places`: where they were billed (ms)."""


class StoredDrafts:
    """Reads open drafts from the store."""

    def __init__(self, invoices: Invoices) -> None:
        self._invoices = invoices

    async def rows(self, invoice: Invoice, partition: int, start: int, most: int) -> list[Row]:
        return await self._invoices.rows.of_partition(invoice, partition, start, most)

    async def reversals(self, invoice: Invoice) -> Mapping[str, StoredReversal]:
        stored = await self._invoices.reversals.of_invoice(invoice.id)
        return {key: stored[key] for key in reversed_in_period(invoice, stored)}

    async def rows_of(self, invoice: Invoice, places: Mapping[str, int]) -> Mapping[str, Row]:
        return await self._invoices.rows.of_outcomes(invoice, places)


class _Draft:
    """What was read of a draft."""

    def __init__(self, partitions: int, catalogue: Catalogue) -> None:
        self.lock = asyncio.Lock()
        self.revision = -1
        self.catalogue = -1
        self.found: Estimate | None = None
        self.reset(partitions, catalogue)

    def reset(self, partitions: int, catalogue: Catalogue) -> None:
        self.runs = Runs(catalogue.price_by_hash)
        self.places = [0] * partitions
        self.reversed: set[str] = set()  # the keys of the reversed outcomes in the runs


class Estimates:
    """Estimates open invoices. `rows_per_request`: how many outcomes one call reads."""

    def __init__(self, drafts: OpenDrafts, partitions: int, rows_per_request: int = ROWS_PER_REQUEST) -> None:
        self._open = drafts
        self._partitions = partitions
        self._most = rows_per_request
        self._drafts: OrderedDict[str, _Draft] = OrderedDict()

    async def of(self, invoice: Invoice, catalogue: Catalogue, calendar: Calendar, now_ms: int) -> Estimate | None:
        """Return the estimate of an open invoice, at most `FRESH_MS` old. None if it is not open, if it
        is large and further calls have to read the rest, if it has too many runs, or if a row is damaged, which the
        close reports."""
        if invoice.closed or invoice.end > calendar.until:
            return None
        draft = self._drafts.get(invoice.id)
        if draft is None:
            draft = self._drafts[invoice.id] = _Draft(self._partitions, catalogue)
        self._drafts.move_to_end(invoice.id)
        async with draft.lock:
            state = invoice.revision, catalogue.revision
            found = draft.found
            is_same = (draft.revision, draft.catalogue) == state
            if found is not None and is_same and 0 <= now_ms - found.at <= FRESH_MS:
                return found
            try:
                if not await self._read(invoice, draft, catalogue):
                    return None
            except (ClosedMeanwhile, TooManyRuns, KeyError, DamagedInvoice):
                del self._drafts[invoice.id]
                return None
            draft.found = await _estimate(invoice, draft.runs, catalogue, calendar, now_ms)
            draft.revision, draft.catalogue = state
            self._evict()
            return draft.found

    async def _read(self, invoice: Invoice, draft: _Draft, catalogue: Catalogue) -> bool:
        """Read new outcomes, those of all partitions in order. Return whether all were read."""
        left = self._most
        reversed_ = await self._open.reversals(invoice) if invoice.reversed else {}
        while left > 0:
            try:
                async for batch in merged_rows(self._partitions, partial(self._page, invoice, tuple(draft.places))):
                    draft.runs.add(_with_reversal(row, reversed_, draft) for row, _ in batch)
                    for _, number in batch:
                        draft.places[int(number)] += 1
                    left -= len(batch)
                    if left <= 0:
                        return False
                # These were read before they were reversed.
                new = {key: one.billed_at for key, one in reversed_.items() if key not in draft.reversed}
                for key, row in (await self._open.rows_of(invoice, new)).items() if new else ():
                    draft.runs.reverse(row, reversed_[key].reversed_at)
                    draft.reversed.add(key)
            except OutOfOrder:
                draft.reset(self._partitions, catalogue)
                left -= 1
            else:
                return True
        return False

    async def _page(
        self, invoice: Invoice, first: tuple[int, ...], partition: int, start: int
    ) -> list[tuple[Row, bytes]]:
        """Return a page of rows, each with the number of its partition."""
        rows = await self._open.rows(invoice, partition, first[partition] + start, PAGE)
        return [(row, b"%d" % partition) for row in rows]

    def _evict(self) -> None:
        """Evict the drafts that were not estimated for the longest time."""
        size = sum(draft.runs.size for draft in self._drafts.values())
        while len(self._drafts) > MAX_DRAFTS or (size > MAX_SIZE and len(self._drafts) > 1):
            _, oldest = self._drafts.popitem(last=False)
            size -= oldest.runs.size


async def _estimate(invoice: Invoice, runs: Runs, catalogue: Catalogue, calendar: Calendar, at: int) -> Estimate:
    rows = list(runs.rows())
    terms_of = partial(period_terms, catalogue, invoice.customer_key, invoice.currency, end=invoice.end)
    due = period_charges(catalogue, invoice.customer_key, invoice.billed_period, calendar).get(invoice.currency)
    unrated = sum(1 for row in rows if row.amount is None)
    # Counts the rows that were read, which can differ from the count in the head.
    settled = exact_sum(_amount(row) for row in rows)
    gone = sum(1 for row in rows if row.reversed_at is not None)
    head = replace(invoice, lines=len(rows), unrated=unrated, subtotal=settled, reversed=gone)
    rating = DraftRating(head, catalogue.price_by_hash, terms_of, due)
    for start in range(0, len(rows), PAGE):
        rating.accumulate(rows[start : start + PAGE] if unrated else ())
        await asyncio.sleep(0)
    for start in range(0, len(rows), PAGE):
        for row in rows[start : start + PAGE]:
            rating.rate(row)
        await asyncio.sleep(0)
    rating.close()
    digits = invoice.digits if due is None else max(invoice.digits, due.digits)
    closed = replace(
        invoice, digits=digits, unrated=0, subtotal=rating.subtotal, sums=rating.sums, closed=True
    )  # fmt: skip
    with contradictions(invoice.id):
        shown = with_discounts(closed, tax_table(catalogue, closed, at))
    return Estimate(shown, rating.sums.groups, at)


def _with_reversal(row: Row, reversed_: Mapping[str, StoredReversal], draft: _Draft) -> Row:
    found = reversed_.get(row.outcome_key or "")
    if found is None:
        return row
    draft.reversed.add(row.outcome_key or "")
    return replace(row, reversed_at=found.reversed_at)


def _amount(row: Row) -> Decimal:
    return Decimal(row.amount or 0)
