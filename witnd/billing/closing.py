"""Rate a draft whose period has ended: the amounts of its rows, and the adjustments of its groups.

Rows are read in order in pages, so a draft of any size needs the memory of a page, or of all rows of one instant.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from decimal import Decimal
from typing import Protocol

from msgspec.structs import replace

from witnd.domain.invoices.invoice import Invoice, Row, adjustment_row, charge_row
from witnd.domain.invoices.sums import GroupSums, Sum, Sums, add_to, group_total, with_charges
from witnd.domain.pricing.charge import PeriodCharges, charges
from witnd.domain.pricing.group import GroupKey, GroupMeter, Position
from witnd.domain.pricing.ratecard import Price
from witnd.domain.pricing.working import REVERSED
from witnd.domain.values import instant, money
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

    def meter_after(self, price: Price) -> GroupMeter:
        """Return the meter for the next row, which has this price."""
        self.last = price
        if self.meter is None:
            self.meter = GroupMeter(self.position.charged)
        return self.meter


class _Priced:
    """The rows of a draft under one price: their number, those without an amount yet, and the sums of amounts that
    were set at settlement and now. `reversed`: those of the reversed rows that were rated at settlement."""

    __slots__ = ("group", "lines", "price", "rated", "reversed", "reversed_lines", "settled", "unrated")

    def __init__(self, price: Price, group: _Group) -> None:
        self.price = price
        self.group = group
        self.lines = self.unrated = self.reversed_lines = 0
        self.settled = self.rated = self.reversed = _ZERO


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
        self._prices: dict[str, _Priced] = {}
        self._groups: dict[GroupKey, _Group] = {}
        self._reversed = 0
        self.subtotal = _ZERO
        self.sums = Sums()

    def accumulate(self, rows: Iterable[Row]) -> None:
        """Count the charged units of each group, which volume prices need before the first row."""
        prices = self._prices
        for row in rows:
            priced = prices.get(_price_hash(row)) or self._learn(row)
            if row.reversed_at is not None:
                continue
            if row.amount is None:
                priced.group.position.add(priced.price, _unit(row))
            else:
                priced.group.position.settle(_unit(row))

    def rate(self, row: Row) -> Row:
        """Return the row with its amount."""
        priced = self._prices.get(_price_hash(row)) or self._learn(row)
        priced.lines += 1
        group = priced.group
        if row.reversed_at is not None:
            return self._rate_reversed(row, priced)
        if row.amount is not None and group.is_settled:
            priced.settled = money.plus(priced.settled, Decimal(row.amount))
            return row
        meter = group.meter_after(priced.price)
        if row.amount is not None:
            amount = Decimal(row.amount)
            priced.settled = money.plus(priced.settled, amount)
            meter.settle(_unit(row), amount, Decimal(row.amount_exact or row.amount))
            return row
        priced.unrated += 1
        rated = meter.add(priced.price, _unit(row))
        priced.rated = money.plus(priced.rated, rated.amount)
        each = rated.price_per_unit
        return replace(
            row,
            price_per_unit=None if each is None else plain(each),
            amount=format(rated.amount, "f"),  # rounded already
            amount_exact=plain(rated.exact),
            working=rated.working,
        )

    def _rate_reversed(self, row: Row, priced: _Priced) -> Row:
        """Return the row of an outcome that was reversed within the period. It still belongs to its group, and its
        price can be the last one there."""
        self._reversed += 1
        if row.amount is None:
            priced.unrated += 1
            priced.group.meter_after(priced.price).add(priced.price, _ZERO)
            free = _reversed_row(row, priced.price)
            # Nothing, with the digits of the currency, as the total in the working of a commitment has them.
            priced.rated = money.plus(priced.rated, Decimal(free.amount or 0))
            return free
        amount = Decimal(row.amount)
        priced.reversed_lines += 1
        priced.reversed = money.plus(priced.reversed, amount)
        priced.settled = money.plus(priced.settled, amount)
        if not priced.group.is_settled:
            priced.group.meter_after(priced.price)
        return row

    def close(self) -> list[Row]:
        """Return the adjustments of the groups, by agent, then fees and commitment. `subtotal` and `sums` are set then.

        Raises `Unsafe` if rows are missing or were changed."""
        self._check_sums()
        invoice_id, added = self._invoice.id, list[Row]()
        sums: dict[GroupKey, dict[str, Sum]] = {}
        reversed_: dict[str, Sum] = {}
        for priced in self._prices.values():
            tax, of_group = priced.price.tax or "", sums.setdefault(priced.group.key, {})
            if lines := priced.lines - priced.reversed_lines:
                amount = money.exact_sum((priced.settled, priced.rated, priced.reversed.copy_negate()))
                add_to(of_group, tax, amount, lines)
            if priced.reversed_lines:
                add_to(reversed_, tax, priced.reversed, priced.reversed_lines)
        groups = []
        for key, group in sorted(self._groups.items(), key=lambda item: item[0].parts):
            cap = _ZERO
            # Without an entry in effect at the end, the last outcome's price decides.
            for one in [] if group.meter is None else group.meter.close(group.terms or group.last):
                added.append(adjustment_row(invoice_id, key, one))
                if one.kind == "cap":
                    cap = one.amount
                else:
                    add_to(sums[key], one.price.tax or "", one.amount)
            groups.append(GroupSums(key.agent, key.grade, sums[key], cap))
        self.sums = Sums(tuple(groups), reversed=reversed_)
        total = group_total(groups)
        self.subtotal = money.exact_sum((total, *(one.amount for one in reversed_.values())))
        if self._due is not None:
            more = charges(self._due, total)
            added += [charge_row(invoice_id, one) for one in more]
            self.subtotal = money.exact_sum((self.subtotal, *(one.amount for one in more)))
            self.sums = with_charges(self.sums, more)
        return added

    def _check_sums(self) -> None:
        invoice, prices = self._invoice, self._prices.values()
        lines, unrated = sum(one.lines for one in prices), sum(one.unrated for one in prices)
        settled = money.exact_sum(one.settled for one in prices)
        if self._reversed != invoice.reversed:
            raise Unsafe(
                f"draft {invoice.id} has {self._reversed} rows of reversed outcomes, and its head says "
                f"{invoice.reversed}",
                "another program changed it: run `witnd audit` before you issue invoices",
            )
        if (lines, unrated, settled) != (invoice.lines, invoice.unrated, invoice.subtotal):
            raise Unsafe(
                f"draft {invoice.id} has {lines} rows of {plain(settled)} {invoice.currency}, "
                f"{unrated} without an amount, and its head says {invoice.lines} of {plain(invoice.subtotal)}, "
                f"{invoice.unrated} without",
                "another program changed it: run `witnd audit` before you issue invoices",
            )

    def _learn(self, row: Row) -> _Priced:
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
        found = self._prices[_price_hash(row)] = _Priced(price, group)
        return found


def _reversed_row(row: Row, price: Price) -> Row:
    """Return a row that would be rated now, and costs nothing, because its outcome was reversed within the period."""
    assert row.reversed_at is not None, row
    amount = money.minor_text(_ZERO, price.exponent)
    at = instant.render(row.reversed_at)
    working = {"kind": REVERSED, "reversed_at": at, "unit": row.unit, "exact": "0", "rounded": amount}
    return replace(row, amount=amount, amount_exact="0", working=working)


def _price_hash(row: Row) -> str:
    assert row.price_hash is not None, row
    return row.price_hash


def _unit(row: Row) -> Decimal:
    assert row.unit is not None, row
    return Decimal(row.unit)
