"""Price a list of outcomes as if they were a full period: every line, and a summary with the same total."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

from witnd.domain.pricing.cost import Working
from witnd.domain.pricing.group import GroupMeter, Position
from witnd.domain.pricing.ratecard import PACKAGE, PERCENTAGE, Price
from witnd.domain.pricing.rating import Adjustment, OutcomePrice, rate_at_settlement
from witnd.domain.pricing.working import ADJUSTMENTS
from witnd.domain.values.money import difference, exact_sum, minor_text, plain, product

_ZERO: Final = Decimal(0)


class Row(Struct, frozen=True, kw_only=True):
    """A part of the total: a quantity at a price, or only an amount. Decimal strings, not rounded."""

    what: str
    quantity: str | None = None
    price: str | None = None
    amount: str


class Quote(Struct, frozen=True, kw_only=True):
    """Outcomes and their prices. The amounts of `rows` and those of the lines add up to `total`."""

    price: Price
    units: tuple[Decimal, ...]
    lines: tuple[OutcomePrice, ...]
    adjustments: tuple[Adjustment, ...]

    @property
    def parts(self) -> list[OutcomePrice | Adjustment]:
        return [*self.lines, *self.adjustments]

    @property
    def total(self) -> Decimal:
        return exact_sum([one.amount for one in self.parts])

    @property
    def rows(self) -> list[Row]:
        """The parts of the total: free units, charged units by price, fees, bounds and rounding."""
        rows = list(self._usage_rows())
        for one in self.adjustments:
            tier = f" of tier {one.working['tier']}" if one.kind == "fee" else ""
            rows.append(Row(what=ADJUSTMENTS[one.kind] + tier, amount=plain(one.exact)))
        cost = exact_sum([one.exact for one in self.parts])
        if rounded := difference(self.total, cost):
            rows.append(
                Row(
                    what="rounding" if self.price.is_rated_at_close else "rounding of each outcome",
                    amount=plain(rounded),
                )
            )
        return rows

    @property
    def total_text(self) -> str:
        return minor_text(self.total, self.price.exponent)

    def _usage_rows(self) -> Iterator[Row]:
        workings = [line.working for line in self.lines if line.working is not None]
        free = _sum(workings, "free")
        if free:
            yield Row(what="free", quantity=plain(free), amount="0")
        if self.price.kind == PACKAGE:
            yield self._packages(workings)
        elif self.price.kind == PERCENTAGE:
            yield from self._percentage(workings)
        elif workings:
            yield from _slices(workings)
        else:
            each = self.price.price_per_unit or _ZERO
            yield _priced_row("units", exact_sum(self.units), each)

    def _packages(self, workings: Sequence[Working]) -> Row:
        each = self.price.price_per_package or _ZERO
        return _priced_row(f"packages of {plain(self.price.package_size or _ZERO)}", _sum(workings, "packages"), each)

    def _percentage(self, workings: Sequence[Working]) -> Iterator[Row]:
        charged = exact_sum([Decimal(one["charged"] if "charged" in one else one["unit"]) for one in workings])
        percent = plain(self.price.percent or _ZERO)
        yield Row(
            what="percentage", quantity=plain(charged), price=f"{percent} %", amount=plain(_sum(workings, "part"))
        )
        for name, word in (("minimum", "raised to the minimum"), ("maximum", "lowered to the maximum")):
            bounded = [one for one in workings if name in one]
            if bounded:
                amount = difference(_sum(bounded, name), _sum(bounded, "part"))
                many = f"{len(bounded)} outcome{'' if len(bounded) == 1 else 's'}"
                yield Row(what=word, quantity=many, amount=plain(amount))


def quote(price: Price, units: Sequence[Decimal]) -> Quote:
    """Rate these outcomes, in this order, as a full period in which the price does not change."""
    if not price.is_rated_at_close:
        lines = tuple([rate_at_settlement(price, unit) for unit in units])
        return Quote(price=price, units=tuple(units), lines=lines, adjustments=())
    counted = Position()
    for unit in units:
        counted.add(price, unit)
    meter = GroupMeter(counted.charged)
    lines = tuple([meter.add(price, unit) for unit in units])
    return Quote(price=price, units=tuple(units), lines=lines, adjustments=tuple(meter.close(price)))


def _slices(workings: Sequence[Working]) -> Iterator[Row]:
    """Yield the units by tier, or in one row for a flat price."""
    found: dict[tuple[int, str], list[Decimal]] = {}
    for working in workings:
        for one in working["slices"]:
            found.setdefault((one.get("tier", 0), one["price_per_unit"]), []).append(Decimal(one["units"]))
    for (tier, each), quantities in sorted(found.items()):
        yield _priced_row(f"tier {tier}" if tier else "units", exact_sum(quantities), Decimal(each))


def _priced_row(what: str, quantity: Decimal, each: Decimal) -> Row:
    return Row(what=what, quantity=plain(quantity), price=plain(each), amount=plain(product(quantity, each)))


def _sum(workings: Sequence[Working], name: str) -> Decimal:
    return exact_sum([Decimal(one[name]) for one in workings if name in one])
