"""The sums of an invoice's rows by their tax keys, as the close of its period records them.

They contain all that the tax of the invoice depends on, so the tax is computed without reading its rows. A tax key that
is empty is that of the customer, which is known at issue.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from witnd.domain.pricing.charge import Charge
from witnd.domain.values.money import difference, exact_sum, plus

_ZERO: Final = Decimal(0)
# Where an overridden row is counted, other than in the group with this index.
FEES: Final = -1
COMMITMENT: Final = -2
MANUAL: Final = -3
REVERSED: Final = -4


class Sum(Struct, frozen=True, array_like=True):
    """The number of rows, and the sum of their amounts."""

    rows: int
    amount: Decimal

    def plus(self, rows: int, amount: Decimal) -> "Sum":
        return Sum(self.rows + rows, plus(self.amount, amount))


class GroupSums(Struct, frozen=True):
    """The outcomes, tier fees and minimum of a group, by tax key, and its cap (0 or below)."""

    agent: str
    grade: str | None
    sums: dict[str, Sum]
    cap: Decimal = _ZERO


class Sums(Struct, frozen=True):
    """The groups, the recurring fees by tax key, and the commitment or its cap, with the commitment's own tax key.

    `reversed` has the outcomes that were rated at settlement and reversed within the period, by tax key. Credit rows
    offset them, so no minimum, cap or commitment includes them."""

    groups: tuple[GroupSums, ...] = ()
    fees: dict[str, Sum] = {}
    commitment: Decimal = _ZERO
    commitment_tax: str = ""
    reversed: dict[str, Sum] = {}


class TaxOverride(Struct, frozen=True, kw_only=True):
    """Another tax key for one row. `place`: the index of its group, or a constant of this module. `own`: the key that
    the row has without the override. `amount`: that of the row."""

    row: str
    place: int
    own: str
    tax: str
    amount: Decimal
    reason: str


def add_to(sums: dict[str, Sum], key: str, amount: Decimal, rows: int = 1) -> None:
    """Add rows to the sum of a tax key."""
    sums[key] = sums.get(key, Sum(0, _ZERO)).plus(rows, amount)


def group_total(groups: Iterable[GroupSums]) -> Decimal:
    """Return the sum of all rows of groups, with their caps."""
    return exact_sum(amount for group in groups for amount in (group.cap, *(one.amount for one in group.sums.values())))


def is_split(sums: Sums) -> bool:
    """Return whether a commitment without its own tax key, or its cap, is divided over the taxes of what it acts on."""
    return bool(group_total(sums.groups))


def with_charges(sums: Sums, charges: Iterable[Charge]) -> Sums:
    """Return the sums of the groups with those of recurring fees and the commitment."""
    fees: dict[str, Sum] = {}
    commitment, tax = _ZERO, ""
    for one in charges:
        if one.kind == "recurring":
            add_to(fees, one.tax or "", one.amount)
        else:
            commitment, tax = one.amount, one.tax or ""
    return Sums(sums.groups, fees, commitment, tax, sums.reversed)


def overridden(sums: Sums, overrides: Iterable[TaxOverride]) -> Sums:
    """Return the sums with the rows of all overrides under their other tax keys."""
    groups, fees, reversed_ = list(sums.groups), sums.fees, sums.reversed
    commitment_tax = sums.commitment_tax
    for one in overrides:
        if one.place == COMMITMENT:
            commitment_tax = one.tax
        elif one.place == FEES:
            fees = _moved(fees, one)
        elif one.place == REVERSED:
            reversed_ = _moved(reversed_, one)
        elif one.place >= 0:
            group = groups[one.place]
            groups[one.place] = replace(group, sums=_moved(group.sums, one))
    return Sums(tuple(groups), fees, sums.commitment, commitment_tax, reversed_)


def _moved(sums: dict[str, Sum], one: TaxOverride) -> dict[str, Sum]:
    found = dict(sums)
    left = found[one.own]
    left = Sum(left.rows - 1, difference(left.amount, one.amount))
    found[one.own] = left
    if not left.rows:
        del found[one.own]
    add_to(found, one.tax, one.amount)
    return found
