"""What a group of outcomes costs by section 10.1 of the contract, in fractions and without any memory.

Every question is answered by walking all outcomes of the group again. Nothing here is shared with witnd.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor
from typing import Any

ZERO = Fraction(0)


@dataclass(frozen=True)
class Entry:
    """An entry of a rate card or of a customer, as it stands in the catalogue."""

    card: str
    digits: int  # minor digits of the currency
    fields: dict[str, Any] = field(hash=False)

    def of(self, name: str) -> Fraction:
        return Fraction(self.fields.get(name) or 0)

    @property
    def tax(self) -> str | None:
        return self.fields.get("tax")

    @property
    def kind(self) -> str:
        return str(self.fields.get("kind", "flat"))

    @property
    def is_rated_at_close(self) -> bool:
        if self.kind not in ("flat", "percentage") or "period_cap" in self.fields:
            return True
        return bool(self.of("free_quota") or self.of("period_minimum"))

    @property
    def tiers(self) -> list[dict[str, str]]:
        return list(self.fields["tiers"])

    @property
    def package(self) -> tuple[Fraction, Fraction] | None:
        return (self.of("package_size"), self.of("price_per_package")) if self.kind == "package" else None


@dataclass(frozen=True)
class Row:
    """`tax`: the tax key of the entry, fee or commitment that it comes from. `is_offset`: it was rated at settlement
    and reversed within the period, so a credit row offsets it."""

    kind: str
    card: str
    amount: Fraction
    exact: Fraction
    tax: str | None = field(default=None, compare=False)
    is_offset: bool = field(default=False, compare=False)


Outcome = tuple[Entry, Fraction]


def half_up(amount: Fraction, digits: int) -> Fraction:
    return Fraction(floor(amount * 10**digits + Fraction(1, 2)), 10**digits)


def rounded_up(amount: Fraction, digits: int) -> Fraction:
    return Fraction(ceil(amount * 10**digits), 10**digits)


def rounded_down(amount: Fraction, digits: int) -> Fraction:
    return Fraction(floor(amount * 10**digits), 10**digits)


# -- positions ---------------------------------------------------------------------------------------------------------


def split(group: Sequence[Outcome]) -> list[Fraction]:
    """The charged units of each outcome."""
    used, found = ZERO, []
    for entry, unit in group:
        free = min(unit, max(ZERO, entry.of("free_quota") - used)) if entry.is_rated_at_close else ZERO
        used += free
        found.append(unit - free)
    return found


def tier_of(entry: Entry, quantity: Fraction) -> int:
    """The number, from 1, of the tier that contains a quantity; a border belongs to the lower tier."""
    return next(
        number
        for number, tier in enumerate(entry.tiers, 1)
        if "up_to" not in tier or quantity <= Fraction(tier["up_to"])
    )


def slices(entry: Entry, before: Fraction, after: Fraction) -> dict[int, Fraction]:
    """The units between two positions by tier, from 1, without empty ones."""
    found, below = {}, ZERO
    for number, tier in enumerate(entry.tiers, 1):
        top = Fraction(tier["up_to"]) if "up_to" in tier else max(after, below)
        part = min(after, top) - max(before, below)
        if part > 0:
            found[number] = part
        below = top
    return found


# -- costs -------------------------------------------------------------------------------------------------------------


def percentage(entry: Entry, charged: Fraction) -> Fraction:
    if not charged:
        return ZERO
    part = max(charged * entry.of("percent") / 100, rounded_up(entry.of("minimum"), entry.digits))
    return min(part, rounded_down(entry.of("maximum"), entry.digits)) if "maximum" in entry.fields else part


def cost(group: Sequence[Outcome], place: int) -> Fraction:
    """The exact cost of one outcome, fees not included."""
    entry, charged = group[place][0], split(group)
    mine, before = charged[place], sum(charged[:place], ZERO)
    if entry.kind == "flat":
        return mine * entry.of("price_per_unit")
    if entry.kind == "percentage":
        return percentage(entry, mine)
    if entry.kind == "package":
        size, each = entry.of("package_size"), entry.of("price_per_package")
        run = sum([charged[at] for at in range(place) if group[at][0].package == entry.package], ZERO)
        return (ceil((run + mine) / size) - ceil(run / size)) * each
    if entry.kind == "volume":
        return mine * Fraction(entry.tiers[tier_of(entry, sum(charged, ZERO)) - 1]["price_per_unit"])
    parts = slices(entry, before, before + mine)
    return sum([units * Fraction(entry.tiers[at - 1]["price_per_unit"]) for at, units in parts.items()], ZERO)


def fees(group: Sequence[Outcome]) -> list[tuple[Entry, Fraction]]:
    """The entry that owes each tier fee, and its amount, in tier order."""
    charged = split(group)
    whole = sum(charged, ZERO)
    volumes = [place for place, (entry, _) in enumerate(group) if entry.kind == "volume"]
    owed: dict[int, tuple[Entry, Fraction]] = {}
    for place, (entry, _) in enumerate(group):
        before = sum(charged[:place], ZERO)
        numbers = list(slices(entry, before, before + charged[place])) if entry.kind == "graduated" else []
        if volumes and place == volumes[-1] and whole:
            numbers = [tier_of(entry, whole)]
        for number in numbers:
            fee = Fraction(entry.tiers[number - 1].get("flat_fee", "0"))
            if fee and number not in owed:
                owed[number] = (entry, fee)
    return [owed[number] for number in sorted(owed)]


def bill(group: Sequence[Outcome], at_end: Entry | None, gone: Collection[int] = ()) -> list[Row]:
    """All rows of a group, in their order: outcomes, fees, minimum or cap. `at_end` is the entry in force at the last
    millisecond of the period in the currency of the group. `gone` are the places of the outcomes that were reversed
    within the period (11.3)."""
    # Of these, one that is rated now is there with 0 units, and another is not there at all.
    there = [place for place, (entry, _) in enumerate(group) if place not in gone or entry.is_rated_at_close]
    counted = [(group[place][0], ZERO if place in gone else group[place][1]) for place in there]
    rows: list[Row] = []
    spent = ZERO  # by the lines that are rated at close
    digits = group[0][0].digits

    def allocate(kind: str, entry: Entry, exact: Fraction) -> None:
        nonlocal spent
        amount = half_up(spent + exact, digits) - half_up(spent, digits)
        rows.append(Row(kind, entry.card, amount, exact, entry.tax))
        spent += exact

    for place, (entry, unit) in enumerate(group):
        if entry.is_rated_at_close:
            allocate("outcome", entry, cost(counted, there.index(place)))
        else:
            exact = percentage(entry, unit) if entry.kind == "percentage" else unit * entry.of("price_per_unit")
            rows.append(Row("outcome", entry.card, half_up(exact, digits), exact, entry.tax, place in gone))
    for entry, fee in fees(counted):
        allocate("fee", entry, fee)
    terms = group[-1][0] if at_end is None else at_end
    total = sum([row.amount for row in rows if not row.is_offset], ZERO)
    bounded = max(total, rounded_up(terms.of("period_minimum"), digits))
    if "period_cap" in terms.fields:
        bounded = min(bounded, rounded_down(terms.of("period_cap"), digits))
    if bounded != total:
        kind = "minimum" if bounded > total else "cap"
        exact = bounded - sum([row.exact for row in rows if not row.is_offset], ZERO)
        rows.append(Row(kind, terms.card, bounded - total, exact, terms.tax))
    return rows
