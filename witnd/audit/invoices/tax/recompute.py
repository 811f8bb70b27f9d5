"""Recompute the taxes of an invoice from its rows, credits and manual lines, without the code that computes them.

Amounts are whole minor units here. The rules: tax is computed once per category and rate on the net sum after credits.
A cap is divided in proportion to the rows of its group; a commitment without its own tax key, and its cap, in
proportion to all groups. Discounts are reduced, the newest first, so that no taxable amount is below 0.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Final, NamedTuple, TypeAlias

from msgspec import Struct, field

from witnd.audit.invoices.pricing import Prices
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.operations import CreditNote
from witnd.domain.invoices.sums import GroupSums, Sum, Sums
from witnd.domain.invoices.tax import TaxRow, TaxTable
from witnd.domain.pricing.group import GroupKey
from witnd.domain.values.money import exact_sum, plain

# A category and a rate; None for rows without a tax.
Class: TypeAlias = tuple[str, Decimal] | None
Units: TypeAlias = dict[Class, int]

_ZERO: Final = Decimal(0)


class TaxedRow(NamedTuple):
    """A row with its own tax key, empty for the customer's, and its group."""

    row: Row
    own: str
    group: GroupKey | None


class RowTaxes:
    """Collects the rows of a closed invoice by tax key: `add` each row in order. `wanted`: the ids of rows to keep."""

    def __init__(self, prices: Prices, wanted: Iterable[str]) -> None:
        self.kept: dict[str, TaxedRow] = {}
        self.commitment: TaxedRow | None = None
        self.is_complete = True  # whether all prices are in the catalogue
        self._prices = prices
        self._wanted = set(wanted)
        self._groups: dict[GroupKey, dict[str, Sum]] = {}
        self._caps: dict[GroupKey, Decimal] = {}
        self._fees: dict[str, Sum] = {}
        self._reversed: dict[str, Sum] = {}

    def add(self, row: Row) -> None:
        taxed = self._taxed(row)
        if taxed is None:
            self.is_complete = False
            return
        if row.id in self._wanted:
            self.kept[row.id] = taxed
        amount = Decimal(row.amount or 0)
        if row.kind in ("commitment", "commitment_cap"):
            self.commitment = taxed
        elif taxed.group is None:
            _count(self._fees, taxed.own, amount)
        elif row.reversed_at is not None and row.rated == "at_settlement":
            self._groups.setdefault(taxed.group, {})
            _count(self._reversed, taxed.own, amount)
        elif row.kind == "cap":
            self._caps[taxed.group] = amount
        else:
            _count(self._groups.setdefault(taxed.group, {}), taxed.own, amount)

    def _taxed(self, row: Row) -> TaxedRow | None:
        if row.price_hash is None:
            return TaxedRow(row, row.tax or "", None)
        price = self._prices.find(row.price_hash)
        return None if price is None else TaxedRow(row, price.tax or "", GroupKey.of(price))

    @property
    def places(self) -> dict[GroupKey, int]:
        """The place of each group in the sums."""
        return {group: place for place, group in enumerate(sorted(self._groups, key=lambda one: one.parts))}

    def sums(self) -> Sums:
        """Return what the close of the period must have recorded."""
        groups = tuple(
            GroupSums(group.agent, group.grade, self._groups[group], self._caps.get(group, _ZERO))
            for group in self.places
        )
        one = self.commitment
        amount, tax = (_ZERO, "") if one is None else (Decimal(one.row.amount or 0), one.own)
        return Sums(groups, self._fees, amount, tax, self._reversed)


def _count(sums: dict[str, Sum], key: str, amount: Decimal) -> None:
    before = sums.get(key)
    sums[key] = Sum(1, amount) if before is None else Sum(before.rows + 1, exact_sum((before.amount, amount)))


class TaxedInvoice(Struct, kw_only=True):
    """All that the taxes of an invoice follow from. `own`: the own tax keys of overridden and credited rows. `drafted`:
    the sums of credits before issue, by row."""

    invoice: Invoice
    table: TaxTable
    sums: Sums
    own: Mapping[str, str]
    commitment: str | None  # the id of its row
    drafted: Mapping[str, Decimal]
    noted: dict[str, int] = field(default_factory=dict)  # by credit notes so far, by row

    # -- keys ----------------------------------------------------------------------------------------------------------

    def key(self, row: str) -> str:
        """Return the tax key of an overridden, credited or manual row."""
        for one in self.invoice.overrides:
            if one.row == row:
                return one.tax
        for line in self.invoice.manual:
            if line.id == row:
                return line.tax
        return self.own.get(row, "")

    def class_of(self, key: str) -> Class:
        found = self.table.terms.get(key or self.table.default or "")
        return None if found is None else (found.category, found.rate)

    def units(self, amount: Decimal) -> int:
        return int(Fraction(amount) * 10**self.invoice.digits)

    def amount(self, units: int) -> Decimal:
        return Decimal(units).scaleb(-self.invoice.digits)

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _groups(self) -> Units:
        """The rows of all groups after their caps."""
        found: Units = {}
        for place, group in enumerate(self.sums.groups):
            mine = self._moved(group.sums, place)
            _add(mine, _divided(self.units(group.cap), mine))
            _add(found, mine)
        return found

    def _moved(self, sums: Mapping[str, Sum], place: int) -> Units:
        """The sums of a group, or of the fees, with overridden rows under their other keys."""
        found: Units = {}
        for key, one in sums.items():
            _add(found, {self.class_of(key): self.units(one.amount)})
        for moved in self.invoice.overrides:
            if moved.place == place:
                _add(found, {self.class_of(moved.own): -self.units(moved.amount)})
                _add(found, {self.class_of(moved.tax): self.units(moved.amount)})
        return found

    def _commitment_parts(self, units: int) -> Units:
        if self.is_split:
            return _divided(units, self._groups())
        return {self.class_of(self.key(self.commitment or "") if self.sums.commitment > 0 else ""): units}

    @property
    def is_split(self) -> bool:
        """Whether a commitment has a part for each category and rate."""
        has_key = self.sums.commitment > 0 and bool(self.key(self.commitment or ""))
        return not has_key and any(self._groups().values())

    def _parts(self, row: str, units: int) -> Units:
        """The parts of an amount of a row."""
        return self._commitment_parts(units) if row == self.commitment else {self.class_of(self.key(row)): units}

    # -- sums ----------------------------------------------------------------------------------------------------------

    def before_discounts(self) -> Units:
        """Return what is taxable after credits, without manual lines below 0."""
        found = self._groups()
        _add(found, self._moved(self.sums.fees, -1))
        _add(found, self._moved(self.sums.reversed, -4))
        if self.sums.commitment:
            _add(found, self._commitment_parts(self.units(self.sums.commitment)))
        for row, amount in self.drafted.items():
            _add(found, self._parts(row, self.units(amount)), -1)
        for line in self.invoice.manual:
            _add(found, {self.class_of(self.key(line.id)): max(0, self.units(line.amount))})
        return found

    def applied(self) -> list[Decimal]:
        """Return what remains of each manual line."""
        left = self.before_discounts()
        lines = [(self.class_of(self.key(line.id)), self.units(line.amount)) for line in self.invoice.manual]
        for class_, units in lines:
            _add(left, {class_: min(0, units)})
        remains = []
        for class_, units in reversed(lines):
            back = min(-units, max(0, -left[class_])) if units < 0 else 0
            _add(left, {class_: back})
            remains.append(self.amount(units + back))
        return remains[::-1]

    def tax_rows(self) -> dict[Class, tuple[Decimal, Decimal]]:
        """Return the taxable amount and the tax of each category and rate, with the stored amounts of discounts."""
        found = self.before_discounts()
        for line in self.invoice.manual:
            _add(found, {self.class_of(self.key(line.id)): min(0, self.units(line.applied))})
        return {
            one: (self.amount(units), self.amount(_tax(units, one[1])))
            for one, units in found.items()
            if one is not None
        }

    def note(self, note: CreditNote) -> dict[Class, tuple[Decimal, Decimal]]:
        """Return what a credit note gives back of each category and rate. Notes must come in their order."""
        before = self._noted()
        for row in note.rows:
            id_ = row.corrects or ""
            self.noted[id_] = self.noted.get(id_, 0) - self.units(Decimal(row.amount or 0))
        after = self._noted()
        found: dict[Class, tuple[Decimal, Decimal]] = {}
        for one, (taxable, tax) in after.items():
            taxable_before, tax_before = before.get(one, (0, 0))
            if (taxable, tax) != (taxable_before, tax_before):
                found[one] = self.amount(taxable - taxable_before), self.amount(tax - tax_before)
        return found

    def all_notes(self) -> dict[Class, tuple[Decimal, Decimal]]:
        """Return what all credit notes so far gave back of each category and rate."""
        return {one: (self.amount(taxable), self.amount(tax)) for one, (taxable, tax) in self._noted().items()}

    def _noted(self) -> dict[Class, tuple[int, int]]:
        net: Units = {}
        for row, units in self.noted.items():
            drafted = self.units(self.drafted.get(row, _ZERO))
            _add(net, self._parts(row, drafted + units))
            _add(net, self._parts(row, drafted), -1)
        charged = {row.tax_class: self.units(row.tax) for row in self.invoice.tax_rows}
        return {
            one: (units, min(_tax(units, one[1]), charged.get((one[0], one[1]), 0)))  # type: ignore[call-overload]
            for one, units in net.items()
            if one is not None
        }


def stored(rows: Iterable[TaxRow]) -> dict[Class, tuple[Decimal, Decimal]]:
    """Return stored tax rows in the form of the recomputed ones."""
    return {(row.category, row.rate): (row.taxable, row.tax) for row in rows if row.taxable or row.tax}


def shown_rows(rows: Mapping[Class, tuple[Decimal, Decimal]]) -> str:
    """Return taxable amounts and taxes as text."""
    texts = [
        f"{'' if one is None else f'{one[0]} {plain(one[1])} %: '}{plain(tax)} on {plain(taxable)}"
        for one, (taxable, tax) in sorted(rows.items(), key=lambda item: item[0] or ("", _ZERO))
    ]
    return ", ".join(texts) or "none"


def _tax(units: int, rate: Decimal) -> int:
    """Return the tax on an amount, halves rounded away from zero."""
    size = floor(abs(units) * Fraction(rate) / 100 + Fraction(1, 2))
    return size if units >= 0 else -size


def _divided(units: int, over: Mapping[Class, int]) -> Units:
    """Divide an amount: each part is rounded down in size, what remains goes to the largest remainders."""
    whole = sum(over.values())
    if not units or not whole:
        return {}
    exact = {one: Fraction(abs(units) * weight, whole) for one, weight in over.items()}
    parts = {one: floor(share) for one, share in exact.items()}
    waiting = sorted(exact, key=lambda one: (parts[one] - exact[one], one or ("", _ZERO)))
    for one in waiting[: abs(units) - sum(parts.values())]:
        parts[one] += 1
    return {one: part if units > 0 else -part for one, part in parts.items()}


def _add(sums: Units, more: Mapping[Class, int], sign: int = 1) -> None:
    for one, units in more.items():
        sums[one] = sums.get(one, 0) + sign * units
