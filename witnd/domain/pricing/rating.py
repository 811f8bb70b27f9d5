"""Rate confirmed outcomes under a price: one at settlement, or a group when its period closes.

A group is the outcomes of one customer, period, agent and price, in order of (resolved_at, outcome key bytewise).
Quantities are billing units, amounts are in the price's currency, all exact decimals. Every amount has a `working`, a
JSON record of its calculation.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from witnd.domain.pricing.ratecard import FLAT, GRADUATED, PACKAGE, PERCENTAGE, VOLUME, Price
from witnd.domain.values.money import ceil_div, difference, exact_sum, minor_text, plain, plus, product, to_minor

Working: TypeAlias = dict[str, Any]

_ZERO: Final = Decimal(0)
_HUNDREDTH: Final = Decimal("0.01")


class OutcomePrice(Struct, frozen=True):
    """The price of one outcome. `amount` is rounded to the minor unit, `exact` is not. `price_per_unit` is None if
    the charged units have no single price. `working` is None if the amount is unit × price."""

    price_per_unit: Decimal | None
    exact: Decimal
    amount: Decimal
    working: Working | None


class Adjustment(Struct, frozen=True):
    """A line of a group without an outcome. Caps are negative."""

    kind: Literal["fee", "minimum", "cap"]
    exact: Decimal
    amount: Decimal
    working: Working


def rate_at_settlement(price: Price, unit: Decimal) -> OutcomePrice:
    """Rate an outcome whose price does not depend on others. Its amount is rounded individually."""
    assert not price.is_rated_at_close, price
    if price.kind == PERCENTAGE:
        each, cost, said = _percentage(price, unit)
        amount = to_minor(cost, price.exponent)
        working = {"kind": PERCENTAGE, "unit": plain(unit)} | said
        return OutcomePrice(
            each, cost, amount, working | {"exact": plain(cost), "rounded": minor_text(cost, price.exponent)}
        )
    assert price.kind == FLAT, price
    each = _not_none(price.price_per_unit)
    cost = product(each, unit)
    return OutcomePrice(each, cost, to_minor(cost, price.exponent), None)


class Meter:
    """Rates one group: `add` each outcome in order, then `close` for the group's fees and bounds.

    `total`: the units of the whole group, which select the tier of a volume price. `before` and `spent`: units and
    exact cost so far, to continue in the middle of a group.
    """

    __slots__ = ("_charged", "_charged_total", "_price", "_rounded", "_spent", "_spent_text", "_units", "_units_text")

    def __init__(self, price: Price, total: Decimal, *, before: Decimal = _ZERO, spent: Decimal = _ZERO) -> None:
        assert price.is_rated_at_close, price
        self._price = price
        self._charged_total = _charged_units(price, total)
        self._units, self._units_text = before, plain(before)
        self._charged = _charged_units(price, before)
        self._spent, self._spent_text = spent, plain(spent)
        self._rounded = to_minor(spent, price.exponent)

    def add(self, unit: Decimal) -> OutcomePrice:
        """Rate the next outcome. Its amount is the change of the group's rounded sum, so that no minor unit is lost
        or added."""
        price, begins = self._price, self._charged
        after = plus(self._units, unit)
        ends = _charged_units(price, after)
        charged = difference(ends, begins)
        each, cost, said = self._cost(begins, charged)
        spent = plus(self._spent, cost)
        rounded = to_minor(spent, price.exponent)
        amount = difference(rounded, self._rounded)
        working = {
            "kind": price.kind,
            "before": self._units_text,
            "unit": plain(unit),
            "free": plain(difference(unit, charged)),
            "charged": plain(charged),
            **said,
            "exact": plain(cost),
            "sum_before": self._spent_text,
            "rounded": format(amount, "f"),
        }
        self._units, self._units_text, self._charged = after, plain(after), ends
        self._spent, self._spent_text, self._rounded = spent, plain(spent), rounded
        return OutcomePrice(each, cost, amount, working)

    def close(self) -> list[Adjustment]:
        """Return the fees of the reached tiers, then the adjustment to the minimum or cap."""
        price, found = self._price, []
        charged = _charged_units(price, self._units)
        for number in tiers_with_fee(price, charged):
            found.append(fee(price, number, charged, self._spent))
            self._spent = exact_sum((self._spent, found[-1].exact))
        bounded = bound(price, self._spent)
        return found if bounded is None else [*found, bounded]

    def _cost(self, begins: Decimal, charged: Decimal) -> tuple[Decimal | None, Decimal, Working]:
        """Return price per unit (if there is one), exact cost and working of the charged units after the first
        `begins` units of the group."""
        price = self._price
        if price.kind == PERCENTAGE:
            return _percentage(price, charged)
        if price.kind == PACKAGE:
            return _packages(price, begins, charged)
        total: Working = {}
        if price.kind == GRADUATED:
            slices = list(_slices(price, begins, charged))
        elif price.kind == VOLUME:
            total = {"charged_total": plain(self._charged_total)}
            number = _tier(price, self._charged_total)
            slices = [(number + 1, charged, price.tiers[number].price_per_unit)] if charged else []
        else:
            assert price.kind == FLAT, price.kind
            slices = [(0, charged, _not_none(price.price_per_unit))] if charged else []
        cost = exact_sum([product(units, each) for _, units, each in slices])
        each = slices[0][2] if len(slices) == 1 else price.price_per_unit
        return each, cost, total | {"slices": [_slice_working(*one) for one in slices]}


def tiers_with_fee(price: Price, charged: Decimal) -> list[int]:
    """Return the numbers, from 1, of the tiers whose flat fee is due for this many charged units: all reached tiers
    of a graduated price, or the single tier of a volume price."""
    if not (charged and price.tiers):
        return []
    reached = _tier(price, charged)
    first = reached if price.kind == VOLUME else 0
    return [number + 1 for number in range(first, reached + 1) if price.tiers[number].flat_fee]


def fee(price: Price, number: int, charged: Decimal, spent: Decimal) -> Adjustment:
    """Return the flat fee of a tier for a group with exact sum `spent`. Raises ValueError if none is due."""
    if number not in tiers_with_fee(price, charged):
        raise ValueError(f"{plain(charged)} charged units make no fee of tier {number} due")
    cost = price.tiers[number - 1].flat_fee
    amount = _allocation(price, spent, cost)
    working = {
        "kind": "fee",
        "tier": number,
        "charged": plain(charged),
        "exact": plain(cost),
        "sum_before": plain(spent),
        "rounded": minor_text(amount, price.exponent),
    }
    return Adjustment("fee", cost, amount, working)


def bound(price: Price, spent: Decimal) -> Adjustment | None:
    """Return the adjustment that brings a group with exact sum `spent` to its minimum or cap, or None. Bounds finer
    than the minor unit are rounded inwards; if they then conflict, the cap wins."""
    digits = price.exponent
    total = to_minor(spent, digits)
    target = max(total, to_minor(price.period_minimum, digits, ROUND_CEILING))
    if price.period_cap is not None:
        target = min(target, to_minor(price.period_cap, digits, ROUND_FLOOR))
    if target == total:
        return None
    kind: Literal["minimum", "cap"] = "minimum" if target > total else "cap"
    limit = price.period_minimum if kind == "minimum" else _not_none(price.period_cap)
    cost, amount = difference(target, spent), difference(target, total)
    working = {
        "kind": kind,
        f"period_{kind}": plain(limit),
        "sum_before": plain(spent),
        "total_before": minor_text(total, digits),
        "exact": plain(cost),
        "rounded": minor_text(amount, digits),
    }
    return Adjustment(kind, cost, amount, working)


def _allocation(price: Price, spent: Decimal, cost: Decimal) -> Decimal:
    """Return the change of the group's rounded sum when a cost is added."""
    digits = price.exponent
    return difference(to_minor(exact_sum((spent, cost)), digits), to_minor(spent, digits))


def _charged_units(price: Price, units: Decimal) -> Decimal:
    """Return how many of the group's first `units` exceed the free quota."""
    return max(_ZERO, difference(units, price.free_quota))


def _tier(price: Price, quantity: Decimal) -> int:
    """Return the index of the tier of a quantity. A quantity exactly at a border is in the lower tier."""
    return bisect_left(price.borders, quantity)


def _slices(price: Price, begins: Decimal, charged: Decimal) -> Iterator[tuple[int, Decimal, Decimal]]:
    """Yield number, units and price per unit of each tier that contains charged units after the first `begins`."""
    ends = exact_sum((begins, charged))
    while begins < ends:
        # At a border the next unit belongs to the upper tier.
        number = bisect_right(price.borders, begins)
        tier = price.tiers[number]
        until = ends if tier.up_to is None else min(ends, tier.up_to)
        yield number + 1, difference(until, begins), tier.price_per_unit
        begins = until


def _slice_working(number: int, units: Decimal, each: Decimal) -> Working:
    said: Working = {"tier": number} if number else {}
    cost = plain(product(units, each))
    return said | {"units": plain(units), "price_per_unit": plain(each), "amount": cost}


def _packages(price: Price, begins: Decimal, charged: Decimal) -> tuple[None, Decimal, Working]:
    """Return the cost of the packages that these units start. Packages started by earlier units are already charged."""
    size, each = _not_none(price.package_size), _not_none(price.price_per_package)
    before, after = ceil_div(begins, size), ceil_div(exact_sum((begins, charged)), size)
    count = difference(after, before)
    said = {
        "package_size": plain(size),
        "packages_before": plain(before),
        "packages": plain(count),
        "price_per_package": plain(each),
    }
    return None, product(count, each), said


def _percentage(price: Price, charged: Decimal) -> tuple[Decimal, Decimal, Working]:
    """Return a percentage of the charged units within the bounds of one outcome; 0 for 0 units.

    Bounds finer than the minor unit are rounded inwards. If they then conflict, the maximum wins.
    """
    percent = _not_none(price.percent)
    part = product(product(charged, percent), _HUNDREDTH)
    cost = part
    said = {"percent": plain(percent), "part": plain(part)}
    if charged:
        least = to_minor(price.minimum, price.exponent, ROUND_CEILING)
        most = None if price.maximum is None else to_minor(price.maximum, price.exponent, ROUND_FLOOR)
        if most is not None and max(part, least) > most:
            cost = most
            said["maximum"] = plain(cost)
        elif part < least:
            cost = least
            said["minimum"] = plain(cost)
    return product(percent, _HUNDREDTH), cost, said


def _not_none(value: Decimal | None) -> Decimal:
    """Return a field that every price of this kind has."""
    assert value is not None
    return value
