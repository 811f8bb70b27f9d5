"""Summarise the outcomes of an open draft, so that estimates are fast.

Consecutive outcomes of a group with the same price are one *run*: rating a run as if it were one outcome gives the
same sum, because prices depend on the units before and not on single outcomes. A group whose price does not change has
one run. The newest outcomes are kept one by one, because outcomes of other partitions can still come before them.
A reversed outcome adds nothing to the sums of its run, but its price can be the last one of a group.
"""

from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from witnd.domain.invoices.invoice import Row
from witnd.domain.pricing.group import GroupKey
from witnd.domain.pricing.ratecard import PERCENTAGE, Price
from witnd.domain.values.money import difference, plain, plus
from witnd.store.invoices.rows import Order, row_order

# Outcomes newer than this, compared with the newest, are kept one by one; but no more of them than `MAX_KEPT`.
KEPT_MS: Final = 60_000
MAX_KEPT: Final = 1_000
# More runs take more than a second to rate. Only a group with many outcomes under alternating prices has them.
MAX_RUNS: Final = 50_000
_ZERO: Final = Decimal(0)


class OutOfOrder(Exception):  # noqa: N818 - caught by the reader, which starts again
    """A run would have to change in its middle: an outcome comes before others in it, or was reversed."""


class TooManyRuns(Exception):  # noqa: N818 - an expected state, not a bug
    """The draft has too many runs for an estimate."""


class _Run:
    """Outcomes with one price: their number and units, and their sums if they were rated at settlement. The reversed
    ones are not in these."""

    __slots__ = ("amount", "count", "exact", "first", "reversed", "unit")

    def __init__(self, first: Row) -> None:
        self.first = first
        self.count = 0
        self.unit = self.amount = self.exact = _ZERO
        self.reversed: list[Row] = []
        self.add(first)

    def add(self, row: Row) -> None:
        if row.reversed_at is not None:
            self.reversed.append(row)
            return
        self.count += 1
        self.unit = plus(self.unit, Decimal(row.unit or 0))
        if row.amount is not None:
            amount = Decimal(row.amount)
            self.amount = plus(self.amount, amount)
            self.exact = plus(self.exact, Decimal(row.amount_exact) if row.amount_exact else amount)

    def remove(self, row: Row) -> None:
        self.count -= 1
        self.unit = difference(self.unit, Decimal(row.unit or 0))
        if row.amount is not None:
            amount = Decimal(row.amount)
            self.amount = difference(self.amount, amount)
            self.exact = difference(self.exact, Decimal(row.amount_exact) if row.amount_exact else amount)

    def rows(self) -> Iterator[Row]:
        """Yield the reversed outcomes, then the others as one row."""
        yield from self.reversed
        if self.count:
            yield self._row()

    def _row(self) -> Row:
        first = self.first
        is_rated = first.amount is not None
        return Row(
            id=first.id,
            kind=first.kind,
            agent_key=first.agent_key,
            rate_card=first.rate_card,
            price_hash=first.price_hash,
            amount=format(self.amount, "f") if is_rated else None,
            amount_exact=plain(self.exact) if is_rated else None,
            rated=first.rated,
            resolved_at=first.resolved_at,
            unit=plain(self.unit),
            grade=first.grade,
        )


class Runs:
    """The outcomes of a draft, in runs. `price_of` returns a price by its hash; raises KeyError."""

    def __init__(self, price_of: Callable[[str], Price]) -> None:
        self._price_of = price_of
        self._groups: dict[GroupKey, list[_Run]] = {}
        self._places: dict[str, tuple[list[_Run], bool]] = {}  # by price hash: runs of its group; is it additive
        self._kept: list[tuple[Order, int, Row]] = []
        self._last: Order = (-1, b"")  # of the outcomes in runs
        self._number = 0
        self.size = 0  # runs and outcomes in memory

    def add(self, rows: Iterable[Row]) -> None:
        """Add outcomes. Raises OutOfOrder, TooManyRuns, and KeyError for an unknown price."""
        for row in rows:
            order = row_order(row)
            self._place(row)  # raises before a row with an unknown price is kept
            if order < self._last:
                self._add_late(row)
                continue
            self._number += 1
            insort(self._kept, (order, self._number, row))
        newest = self._kept[-1][0][0] if self._kept else 0
        done = max(0, len(self._kept) - MAX_KEPT)
        while done < len(self._kept) and self._kept[done][0][0] < newest - KEPT_MS:
            done += 1
        for order, _, row in self._kept[:done]:
            self._append(row)
            self._last = order
        del self._kept[:done]
        in_runs = sum(1 + len(run.reversed) for runs in self._groups.values() for run in runs)
        self.size = in_runs + len(self._kept)
        if self.size > MAX_RUNS:
            raise TooManyRuns

    def reverse(self, row: Row, at: int) -> None:
        """Record the reversal of an added outcome, at an instant (ms). Raises OutOfOrder."""
        order = row_order(row)
        for place, (_, number, kept) in enumerate(self._kept):
            if kept.id == row.id:
                self._kept[place] = order, number, replace(kept, reversed_at=at)
                return
        runs, is_additive = self._place(row)
        if not is_additive or len(runs) != 1 or runs[0].first.price_hash != row.price_hash:
            raise OutOfOrder
        runs[0].remove(row)
        runs[0].add(replace(row, reversed_at=at))

    def rows(self) -> Iterator[Row]:
        """Yield all outcomes, those of each group in order. In a run, reversed ones come first."""
        for runs in self._groups.values():
            for run in runs:
                yield from run.rows()
        for _, _, row in self._kept:
            yield row

    def _append(self, row: Row) -> None:
        runs, is_additive = self._place(row)
        if runs and runs[-1].first.price_hash == row.price_hash and (is_additive or row.reversed_at is not None):
            runs[-1].add(row)
        else:
            runs.append(_Run(row))

    def _add_late(self, row: Row) -> None:
        """Add an outcome whose place in the order has passed, if the order does not matter in its group."""
        runs, is_additive = self._place(row)
        if not runs:
            runs.append(_Run(row))
        elif is_additive and len(runs) == 1 and runs[0].first.price_hash == row.price_hash:
            runs[0].add(row)
        else:
            raise OutOfOrder

    def _place(self, row: Row) -> tuple[list[_Run], bool]:
        digest = row.price_hash or ""
        found = self._places.get(digest)
        if found is None:
            price = self._price_of(digest)
            # The bounds of a percentage apply to each outcome.
            is_additive = price.kind != PERCENTAGE or not price.is_rated_at_close or not _has_bounds(price)
            found = self._groups.setdefault(GroupKey.of(price), []), is_additive
            self._places[digest] = found
        return found


def _has_bounds(price: Price) -> bool:
    return bool(price.minimum) or price.maximum is not None
