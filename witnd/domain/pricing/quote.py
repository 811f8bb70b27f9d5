"""What some outcomes would cost under a price, if they were a whole period: every line, and a summary that adds up.

It asks `rating` and invents nothing; where prices and quantities come from is left to others.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

from witnd.domain.pricing.ratecard import PACKAGE, PERCENTAGE, Price
from witnd.domain.pricing.rating import Adjustment, Meter, Rated, Working, rate_now
from witnd.domain.pricing.working import ADJUSTMENTS
from witnd.domain.values.money import difference, exact, exact_sum, minor_text, plain

_ZERO: Final = Decimal(0)


class Row(Struct, frozen=True, kw_only=True):
    """A part of the total, exactly: so much at such a price, or an amount that has neither."""

    what: str
    quantity: str | None = None
    price: str | None = None
    amount: str


class Quote(Struct, frozen=True, kw_only=True):
    """Outcomes with what they cost. The amounts of `rows` come to `total`, as do those of the lines."""

    price: Price
    units: tuple[Decimal, ...]
    lines: tuple[Rated, ...]
    adjustments: tuple[Adjustment, ...]

    @property
    def parts(self) -> list[Rated | Adjustment]:
        return [*self.lines, *self.adjustments]

    @property
    def total(self) -> Decimal:
        return exact_sum([one.amount for one in self.parts])

    @property
    def rows(self) -> list[Row]:
        """What the total is made of: what is free, what is charged at which price, fees, bounds, and rounding."""
        rows = list(self._used())
        for one in self.adjustments:
            tier = f" of tier {one.working['tier']}" if one.kind == "fee" else ""
            rows.append(Row(what=ADJUSTMENTS[one.kind] + tier, amount=plain(one.exact)))
        cost = exact_sum([one.exact for one in self.parts])
        if rounded := difference(self.total, cost):
            rows.append(
                Row(what="rounding" if self.price.at_close else "rounding of each outcome", amount=plain(rounded))
            )
        return rows

    @property
    def total_text(self) -> str:
        return minor_text(self.total, self.price.exponent)

    def _used(self) -> Iterator[Row]:
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
            yield _times("units", exact_sum(self.units), each)

    def _packages(self, workings: Sequence[Working]) -> Row:
        each = self.price.price_per_package or _ZERO
        return _times(f"packages of {plain(self.price.package_size or _ZERO)}", _sum(workings, "packages"), each)

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
    """Rate these outcomes, in this order, as all there is in a period."""
    if not price.at_close:
        lines = tuple([rate_now(price, unit) for unit in units])
        return Quote(price=price, units=tuple(units), lines=lines, adjustments=())
    meter = Meter(price, exact_sum(units))
    lines = tuple([meter.add(unit) for unit in units])
    return Quote(price=price, units=tuple(units), lines=lines, adjustments=tuple(meter.close()))


def _slices(workings: Sequence[Working]) -> Iterator[Row]:
    """Units by tier; a flat price has none."""
    found: dict[tuple[int, str], list[Decimal]] = {}
    for working in workings:
        for one in working["slices"]:
            found.setdefault((one.get("tier", 0), one["price_per_unit"]), []).append(Decimal(one["units"]))
    for (tier, each), quantities in sorted(found.items()):
        yield _times(f"tier {tier}" if tier else "units", exact_sum(quantities), Decimal(each))


def _times(what: str, quantity: Decimal, each: Decimal) -> Row:
    return Row(what=what, quantity=plain(quantity), price=plain(each), amount=plain(exact(quantity, each)))


def _sum(workings: Sequence[Working], name: str) -> Decimal:
    return exact_sum([Decimal(one[name]) for one in workings if name in one])
