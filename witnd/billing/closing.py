"""Rate a draft whose period has ended: the amounts of its rows, and the adjustments of its groups.

Rows are read in order in pages, so a draft of any size needs the memory of a page, or of all rows of one instant.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from decimal import Decimal
from typing import Protocol

from msgspec.structs import replace

from witnd.domain.invoices.adjustments import adjustment_row, charge_row
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.pricing.charge import PeriodCharges, charges
from witnd.domain.pricing.group import GroupKey, GroupMeter, Position
from witnd.domain.pricing.ratecard import Price
from witnd.domain.values import money
from witnd.domain.values.money import plain
from witnd.store.errors import Unsafe

# Rows per page: about 100 KiB, and a few ms of rating.
PAGE = 500

_ZERO = Decimal(0)


class _Page(Protocol):
    async def __call__(self, partition: int, start: int) -> list[tuple[Row, bytes]]: ...


async def merged_rows(partitions: int, page: _Page) -> AsyncIterator[list[tuple[Row, bytes]]]:
    """Yield the rows of all partitions in order of (billed_at, key), in batches.

    The rows of each partition are already in order of `billed_at`, so only rows of one instant must be sorted.
    `page(partition, start)` returns the rows from an index on, fewer than `PAGE` at the end.
    """
    waiting: list[list[tuple[Row, bytes]]] = [[] for _ in range(partitions)]
    places = [0] * partitions
    ended = [False] * partitions
    while not all(ended) or any(waiting):
        for number in range(partitions):
            # With two instants, the earlier one is complete.
            while not ended[number] and (
                not waiting[number] or _billed_at(waiting[number][0]) == _billed_at(waiting[number][-1])
            ):
                found = await page(number, places[number])
                places[number] += len(found)
                ended[number] = len(found) < PAGE
                waiting[number] += found
        bounds = [_billed_at(rows[-1]) for rows, over in zip(waiting, ended, strict=True) if not over]
        bound = min(bounds) if bounds else None
        stretch: list[tuple[Row, bytes]] = []
        for number, rows in enumerate(waiting):
            ready = len(rows) if bound is None else _count_before(rows, bound)
            stretch += rows[:ready]
            waiting[number] = rows[ready:]
        stretch.sort(key=_order)
        # All rows can have the same instant, so let other tasks run.
        for at in range(0, len(stretch), PAGE):
            yield stretch[at : at + PAGE]
            await asyncio.sleep(0)


def _billed_at(row: tuple[Row, bytes]) -> int:
    return row[0].billed_at


def _order(row: tuple[Row, bytes]) -> tuple[int, bytes]:
    # Code point order equals UTF-8 order, except for surrogates, which no key contains.
    return row[0].billed_at, (row[0].outcome_key or "").encode()


def _count_before(rows: Sequence[tuple[Row, bytes]], bound: int) -> int:
    low, high = 0, len(rows)
    while low < high:
        middle = (low + high) // 2
        if _billed_at(rows[middle]) < bound:
            low = middle + 1
        else:
            high = middle
    return low


class _Group:
    """A group of a draft while it is rated. `terms` is the price in effect at the end of the period, if any."""

    __slots__ = ("is_settled", "key", "last", "meter", "position", "terms")

    def __init__(self, key: GroupKey, terms: Price | None, first: Price, *, is_settled: bool) -> None:
        self.key = key
        self.terms = terms
        self.position = Position()  # of the first pass
        self.meter: GroupMeter | None = None
        self.last = first  # the price of the last row
        # Whether the close adds nothing to the amounts of its rows.
        self.is_settled = is_settled and (terms is None or not terms.has_period_bounds)


class DraftRating:
    """Rates one draft: first `accumulate` all rows, then `rate` all rows, both in order.

    `price_of` returns a price by its hash, `terms_of` the price of a group that is in effect at the end of the period.
    `due`: the customer's fees and commitment in this currency.
    """

    def __init__(
        self,
        invoice: Invoice,
        price_of: Callable[[str], Price],
        terms_of: Callable[[GroupKey], Price | None],
        due: PeriodCharges | None = None,
    ) -> None:
        self._invoice = invoice
        self._due = due
        self._price_of = price_of
        self._terms_of = terms_of
        self._prices: dict[str, tuple[Price, _Group]] = {}
        self._groups: dict[GroupKey, _Group] = {}
        self._lines = self._unrated = 0
        self._settled = _ZERO  # sum of the rows rated at settlement
        self.subtotal = _ZERO

    def accumulate(self, rows: Iterable[Row]) -> None:
        """Count the charged units of each group, which volume prices need before the first row."""
        prices = self._prices
        for row in rows:
            price, group = prices.get(_price_hash(row)) or self._learn(row)
            if row.amount is None:
                group.position.add(price, _unit(row))
            else:
                group.position.settle(_unit(row))

    def rate(self, row: Row) -> Row:
        """Return the row with its amount."""
        self._lines += 1
        price, group = self._prices.get(_price_hash(row)) or self._learn(row)
        if row.amount is not None and group.is_settled:
            self._settled = money.plus(self._settled, Decimal(row.amount))
            return row
        group.last = price
        meter = group.meter
        if meter is None:
            meter = group.meter = GroupMeter(group.position.charged)
        if row.amount is not None:
            amount = Decimal(row.amount)
            self._settled = money.plus(self._settled, amount)
            meter.settle(_unit(row), amount, Decimal(row.amount_exact or row.amount))
            return row
        self._unrated += 1
        rated = meter.add(price, _unit(row))
        self.subtotal = money.plus(self.subtotal, rated.amount)
        each = rated.price_per_unit
        return replace(
            row,
            price_per_unit=None if each is None else plain(each),
            amount=format(rated.amount, "f"),  # rounded already
            amount_exact=plain(rated.exact),
            working=rated.working,
        )

    def close(self) -> list[Row]:
        """Return the adjustments of the groups, by agent, then fees and commitment.

        Raises `Unsafe` if rows are missing or were changed."""
        invoice = self._invoice
        found = self._lines, self._unrated, self._settled
        if found != (invoice.lines, invoice.unrated, invoice.subtotal):
            raise Unsafe(
                f"draft {invoice.id} has {self._lines} rows of {plain(self._settled)} {invoice.currency}, "
                f"{self._unrated} without an amount, and its head says {invoice.lines} of {plain(invoice.subtotal)}, "
                f"{invoice.unrated} without",
                "another program changed it: run `witnd audit` before you issue invoices",
            )
        self.subtotal = money.plus(self.subtotal, self._settled)
        added: list[Row] = []
        for _, group in sorted(self._groups.items(), key=lambda item: item[0].parts):
            if group.meter is not None:
                # Without an entry in effect at the end, the last outcome's price decides.
                adjustments = group.meter.close(group.terms or group.last)
                added += [adjustment_row(invoice.id, group.key, one) for one in adjustments]
                self.subtotal = money.exact_sum((self.subtotal, *(one.amount for one in adjustments)))
        if self._due is not None:
            more = charges(self._due, self.subtotal)
            added += [charge_row(invoice.id, one) for one in more]
            self.subtotal = money.exact_sum((self.subtotal, *(one.amount for one in more)))
        return added

    def _learn(self, row: Row) -> tuple[Price, _Group]:
        """Return the price and the group of the first row with this price."""
        try:
            price = self._price_of(_price_hash(row))
        except KeyError:
            raise Unsafe(
                f"row {row.id} was priced by {row.price_hash}, which the catalogue does not have",
                "restore the catalogue of this deployment; it must never lose a version",
            ) from None
        key = GroupKey.of(price)
        group = self._groups.get(key)
        if group is None:
            group = _Group(key, self._terms_of(key), price, is_settled=not self._invoice.unrated)
            self._groups[key] = group
        self._prices[_price_hash(row)] = price, group
        return price, group


def _price_hash(row: Row) -> str:
    assert row.price_hash is not None, row
    return row.price_hash


def _unit(row: Row) -> Decimal:
    assert row.unit is not None, row
    return Decimal(row.unit)
