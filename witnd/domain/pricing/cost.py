"""The cost of charged units by each kind of price, with the part of the working that explains it.

Quantities are billing units, amounts are in the price's currency and not rounded, all exact decimals.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final, NamedTuple, TypeAlias

from witnd.domain.pricing.ratecard import FLAT, GRADUATED, PACKAGE, PERCENTAGE, VOLUME, Price
from witnd.domain.values.money import ceil_div, difference, exact_sum, plain, plus, product, to_minor

Working: TypeAlias = dict[str, Any]

_ZERO: Final = Decimal(0)
_HUNDREDTH: Final = Decimal("0.01")


class Cost(NamedTuple):
    """The cost of charged units. `price_per_unit` is None if they have no single price. `tiers`: the numbers, from 1,
    of the tiers that contain them."""

    price_per_unit: Decimal | None
    exact: Decimal
    working: Working
    tiers: tuple[int, ...] = ()


def units_cost(price: Price, charged: Decimal, before: Decimal, total: Decimal, run: Decimal) -> Cost:
    """Return the cost of the charged units of one outcome in a group.

    `before`: the charged units of the group so far, where a graduated price continues. `total`: those of the whole
    group, which select the tier of a volume price. `run`: those so far with the same package.
    """
    if price.kind == PERCENTAGE:
        return percentage_cost(price, charged)
    if price.kind == PACKAGE:
        return _package_cost(price, charged, run)
    said: Working = {}
    if price.kind == GRADUATED:
        slices = list(_slices(price, before, charged))
    elif price.kind == VOLUME:
        said = {"charged_total": plain(total)}
        number = tier_index(price, total)
        slices = [(number + 1, charged, price.tiers[number].price_per_unit)] if charged else []
    else:
        assert price.kind == FLAT, price.kind
        slices = [(0, charged, not_none(price.price_per_unit))] if charged else []
    if len(slices) == 1:
        [(number, units, each)] = slices
        cost = product(units, each)
        said["slices"] = [_slice_working(number, units, each, cost)]
        return Cost(each, cost, said, (number,))
    costs = [product(units, each) for _, units, each in slices]
    said["slices"] = [_slice_working(*one, cost) for one, cost in zip(slices, costs, strict=True)]
    return Cost(price.price_per_unit, exact_sum(costs), said, tuple([number for number, _, _ in slices]))


def percentage_cost(price: Price, charged: Decimal) -> Cost:
    """Return a percentage of the charged units within the bounds of one outcome; 0 for 0 units.

    Bounds finer than the minor unit are rounded inwards. If they then conflict, the maximum wins.
    """
    percent = not_none(price.percent)
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
    return Cost(product(percent, _HUNDREDTH), cost, said)


def tiers_with_fee(price: Price, charged: Decimal) -> list[int]:
    """Return the numbers, from 1, of the tiers whose flat fee can be due for this many charged units: all reached
    tiers of a graduated price, or the single tier of a volume price."""
    if not (charged and price.tiers):
        return []
    reached = tier_index(price, charged)
    first = reached if price.kind == VOLUME else 0
    return [number + 1 for number in range(first, reached + 1) if price.tiers[number].flat_fee]


def tier_index(price: Price, quantity: Decimal) -> int:
    """Return the index of the tier of a quantity. A quantity exactly at a border is in the lower tier."""
    return bisect_left(price.borders, quantity)


def _slices(price: Price, begins: Decimal, charged: Decimal) -> Iterator[tuple[int, Decimal, Decimal]]:
    """Yield number, units and price per unit of each tier that contains charged units after the first `begins`."""
    ends = plus(begins, charged)
    while begins < ends:
        # At a border the next unit belongs to the upper tier.
        number = bisect_right(price.borders, begins)
        tier = price.tiers[number]
        until = ends if tier.up_to is None else min(ends, tier.up_to)
        yield number + 1, difference(until, begins), tier.price_per_unit
        begins = until


def _slice_working(number: int, units: Decimal, each: Decimal, cost: Decimal) -> Working:
    said: Working = {"tier": number} if number else {}
    said["units"], said["price_per_unit"], said["amount"] = plain(units), plain(each), plain(cost)
    return said


def _package_cost(price: Price, charged: Decimal, run: Decimal) -> Cost:
    """Return the cost of the packages that these units start. Packages started by earlier units are already charged."""
    size, each = not_none(price.package_size), not_none(price.price_per_package)
    before, after = ceil_div(run, size), ceil_div(plus(run, charged), size)
    count = difference(after, before)
    said = {
        "package_units_before": plain(run),
        "package_size": plain(size),
        "packages_before": plain(before),
        "packages": plain(count),
        "price_per_package": plain(each),
    }
    return Cost(None, product(count, each), said)


def not_none(value: Decimal | None) -> Decimal:
    """Return a field that every price of this kind has."""
    assert value is not None
    return value
