"""An invoice's rows put together for a reader: what each agent costs under each price, and its rows one after another.

Rows come in order of resolution, of all agents mixed. They are read several times rather than held: an invoice of a
million rows takes no more memory than one of some thousands. What it looks like is left to the pages.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from decimal import Decimal
from typing import Final, TypeAlias

from msgspec import Struct, field

from witnd.billing.export.bill import Rows
from witnd.domain.invoices.invoice import Row
from witnd.domain.values.money import exact_sum

# Rows in memory at one time: some ten megabytes. An invoice has to be read again for each so many rows.
HELD_MAX: Final = 20_000

_ZERO: Final = Decimal(0)
_Key: TypeAlias = tuple[str, str]


class Group(Struct, kw_only=True):
    """What one agent comes to under one price. `amount` is that of rated outcomes; adjustments come on top."""

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


class Tally(Struct, frozen=True):
    """All groups by agent, then as they first appear; how many credits there are."""

    groups: list[Group]
    credits: int


async def tally(rows: Rows) -> Tally:
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
    return Tally(sorted(groups.values(), key=lambda group: group.agent_key), credits_)


async def outcomes(rows: Rows, groups: Iterable[Group]) -> AsyncIterator[tuple[Group, AsyncIterator[Row]]]:
    """Each group with its outcomes in order. A group has to be read to its end before the next one is asked for."""
    for batch in _batches(groups):
        if len(batch) == 1 and batch[0].outcomes > HELD_MAX:
            yield batch[0], _those_of(rows, batch[0])
            continue
        held: dict[_Key, list[Row]] = {(group.agent_key, group.price_hash): [] for group in batch}
        async for row in rows():
            if row.kind == "outcome" and (mine := held.get((row.agent_key, row.price_hash))) is not None:
                mine.append(row)
        for group in batch:
            yield group, _each(held.pop((group.agent_key, group.price_hash)))


async def credits_of(rows: Rows) -> AsyncIterator[Row]:
    async for row in rows():
        if row.kind == "credit":
            yield row


def _batches(groups: Iterable[Group]) -> Iterator[list[Group]]:
    """Neighbours that can be held together. A group too large for that is a batch of its own."""
    batch: list[Group] = []
    size = 0
    for group in groups:
        if batch and size + group.outcomes > HELD_MAX:
            yield batch
            batch, size = [], 0
        batch.append(group)
        size += group.outcomes
    if batch:
        yield batch


async def _those_of(rows: Rows, group: Group) -> AsyncIterator[Row]:
    async for row in rows():
        if row.kind == "outcome" and (row.agent_key, row.price_hash) == (group.agent_key, group.price_hash):
            yield row


async def _each(rows: list[Row]) -> AsyncIterator[Row]:
    for row in rows:
        yield row
