"""Group an invoice's rows by agent and price.

Rows come in order of resolution, with all agents mixed. They are read several times instead of kept, so that an invoice
with a million rows needs no more memory than one with a few thousand.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from decimal import Decimal
from typing import Final, TypeAlias

from msgspec import Struct, field

from witnd.billing.export.bill import Rows
from witnd.domain.invoices.invoice import Row
from witnd.domain.values.money import exact_sum

# Rows in memory: about ten megabytes. An invoice is read once for every this many rows.
MAX_BUFFERED_ROWS: Final = 20_000

_ZERO: Final = Decimal(0)
_Key: TypeAlias = tuple[str, str]


class Group(Struct, kw_only=True):
    """One agent under one price. `amount` is that of rated outcomes, without adjustments."""

    agent_key: str
    price_hash: str
    outcomes: int = 0
    unrated: int = 0
    units: Decimal = _ZERO
    amount: Decimal = _ZERO
    adjustments: list[Row] = field(default_factory=list)  # at most a fee per tier, and a minimum or a cap

    @property
    def total(self) -> Decimal:
        return exact_sum((self.amount, *[Decimal(row.amount or "0") for row in self.adjustments]))

    def count(self, row: Row) -> None:
        if row.kind == "outcome":
            self.outcomes += 1
            self.units = exact_sum((self.units, Decimal(row.unit or "0")))
            if row.amount is None:
                self.unrated += 1
            else:
                self.amount = exact_sum((self.amount, Decimal(row.amount)))
        else:
            self.adjustments.append(row)


class InvoiceSummary(Struct, frozen=True):
    """All groups by agent, then by first appearance, and the number of credits."""

    groups: list[Group]
    credits: int


async def summarise(rows: Rows) -> InvoiceSummary:
    groups: dict[_Key, Group] = {}
    credits_ = 0
    async for row in rows():
        if row.kind == "credit":
            credits_ += 1
            continue
        key = row.agent_key, row.price_hash
        if key not in groups:
            groups[key] = Group(agent_key=row.agent_key, price_hash=row.price_hash)
        groups[key].count(row)
    return InvoiceSummary(sorted(groups.values(), key=lambda group: group.agent_key), credits_)


async def outcomes(rows: Rows, groups: Iterable[Group]) -> AsyncIterator[tuple[Group, AsyncIterator[Row]]]:
    """Yield each group with its outcomes in order. Read a group to its end before the next one."""
    for batch in _batches(groups):
        if len(batch) == 1 and batch[0].outcomes > MAX_BUFFERED_ROWS:
            yield batch[0], _group_rows(rows, batch[0])
            continue
        held: dict[_Key, list[Row]] = {(group.agent_key, group.price_hash): [] for group in batch}
        async for row in rows():
            if row.kind == "outcome" and (mine := held.get((row.agent_key, row.price_hash))) is not None:
                mine.append(row)
        for group in batch:
            yield group, _each(held.pop((group.agent_key, group.price_hash)))


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
        if row.kind == "outcome" and (row.agent_key, row.price_hash) == (group.agent_key, group.price_hash):
            yield row


async def _each(rows: list[Row]) -> AsyncIterator[Row]:
    for row in rows:
        yield row
