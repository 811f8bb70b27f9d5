"""Group an invoice's rows by agent, and within it by price.

Rows come in order of resolution, with all agents mixed. They are read several times instead of kept, so that an invoice
with a million rows needs no more memory than one with a few thousand.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from decimal import Decimal
from typing import Final

from msgspec import Struct, field

from witnd.billing.export.bill import Rows
from witnd.domain.invoices.invoice import Row
from witnd.domain.values.money import exact_sum

# Rows in memory: about ten megabytes. An invoice is read once for every this many rows.
MAX_BUFFERED_ROWS: Final = 20_000

_ZERO: Final = Decimal(0)


def priced_unit(row: Row) -> Decimal:
    """Return the quantity that the amount of an outcome is for. A reversed one that was rated at settlement keeps its
    amount, which a credit offsets."""
    return Decimal((row.unit if row.rated == "at_settlement" else row.counted_unit) or 0)


class PriceSum(Struct, kw_only=True):
    """The outcomes of a group under one price and tax key, with one grade. `amount` is that of rated outcomes."""

    price_hash: str
    tax: str | None
    grade: str | None = None
    outcomes: int = 0
    unrated: int = 0
    units: Decimal = _ZERO
    amount: Decimal = _ZERO

    def count(self, row: Row) -> None:
        self.outcomes += 1
        self.units = exact_sum((self.units, priced_unit(row)))
        if row.amount is None:
            self.unrated += 1
        else:
            self.amount = exact_sum((self.amount, Decimal(row.amount)))


class Group(Struct, kw_only=True):
    """One agent, with its prices, taxes and grades by first appearance. `last_price`: the hash of the last outcome's
    price."""

    agent_key: str
    last_price: str = ""
    prices: dict[tuple[str, str | None, str | None], PriceSum] = field(default_factory=dict)
    adjustments: list[Row] = field(default_factory=list)  # at most a fee per tier, and a minimum or a cap

    @property
    def outcomes(self) -> int:
        return sum(one.outcomes for one in self.prices.values())

    @property
    def unrated(self) -> int:
        return sum(one.unrated for one in self.prices.values())

    @property
    def units(self) -> Decimal:
        return exact_sum([one.units for one in self.prices.values()])

    @property
    def amount(self) -> Decimal:
        """The amount of rated outcomes, without adjustments."""
        return exact_sum([one.amount for one in self.prices.values()])

    @property
    def total(self) -> Decimal:
        return exact_sum((self.amount, *[Decimal(row.amount or "0") for row in self.adjustments]))

    def count(self, row: Row, tax: str | None) -> None:
        if row.kind != "outcome":
            self.adjustments.append(row)
            return
        price = row.price_hash or ""
        key = price, tax, row.grade
        found = self.prices.get(key)
        if found is None:
            found = self.prices[key] = PriceSum(price_hash=price, tax=tax, grade=row.grade)
        found.count(row)
        self.last_price = price


class InvoiceSummary(Struct, frozen=True):
    """All groups by agent, the number of credits, the recurring fees and commitment, and the manual lines."""

    groups: list[Group] = []
    credits: int = 0
    charges: list[Row] = []
    manual: list[Row] = []


async def summarise(rows: Rows, tax_of: Callable[[Row], str | None] = lambda row: row.tax) -> InvoiceSummary:
    groups: dict[str, Group] = {}
    credits_ = 0
    charges: list[Row] = []
    manual: list[Row] = []
    async for row in rows():
        if row.kind == "credit":
            credits_ += 1
            continue
        if row.kind == "manual":
            manual.append(row)
            continue
        if row.agent_key is None:
            charges.append(row)
            continue
        group = groups.get(row.agent_key)
        if group is None:
            group = groups[row.agent_key] = Group(agent_key=row.agent_key)
        group.count(row, tax_of(row))
    return InvoiceSummary(sorted(groups.values(), key=lambda group: group.agent_key), credits_, charges, manual)


async def outcomes(rows: Rows, groups: Iterable[Group]) -> AsyncIterator[tuple[Group, AsyncIterator[Row]]]:
    """Yield each group with its outcomes in order. Read a group to its end before the next one."""
    for batch in _batches(groups):
        if len(batch) == 1 and batch[0].outcomes > MAX_BUFFERED_ROWS:
            yield batch[0], _group_rows(rows, batch[0])
            continue
        held: dict[str, list[Row]] = {group.agent_key: [] for group in batch}
        async for row in rows():
            if row.kind == "outcome" and (mine := held.get(row.agent_key or "")) is not None:
                mine.append(row)
        for group in batch:
            yield group, _each(held.pop(group.agent_key))


async def credit_rows(rows: Rows) -> AsyncIterator[Row]:
    async for row in rows():
        if row.kind == "credit":
            yield row


def _batches(groups: Iterable[Group]) -> Iterator[list[Group]]:
    """Yield consecutive groups that fit into memory together. A larger group is a batch on its own."""
    batch: list[Group] = []
    size = 0
    for group in groups:
        if batch and size + group.outcomes > MAX_BUFFERED_ROWS:
            yield batch
            batch, size = [], 0
        batch.append(group)
        size += group.outcomes
    if batch:
        yield batch


async def _group_rows(rows: Rows, group: Group) -> AsyncIterator[Row]:
    async for row in rows():
        if row.kind == "outcome" and row.agent_key == group.agent_key:
            yield row


async def _each(rows: list[Row]) -> AsyncIterator[Row]:
    for row in rows:
        yield row
