"""What confirmed outcomes cost under a price: one by itself, or a group of them when its period closes.

A group is what one customer is billed in one period for one agent under one price; its outcomes come in order of
(resolved_at, outcome key bytewise). Quantities are billing units, amounts are in the price's currency, all exact
decimals. Every amount comes with its working: a JSON-able record from which `working` computes it again. Which
outcomes are a group, and where lines are kept, is left to others. The rules: contract section 6.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from witnd.domain.pricing.ratecard import FLAT, GRADUATED, PACKAGE, PERCENTAGE, VOLUME, Price
from witnd.domain.values.money import begun, difference, exact, exact_sum, minor_text, plain, plus, to_minor

Working: TypeAlias = dict[str, Any]

_ZERO: Final = Decimal(0)
_HUNDREDTH: Final = Decimal("0.01")


class Rated(Struct, frozen=True):
    """What one outcome costs. `amount` is rounded to the minor unit, `exact` is not. `price_per_unit` is None where no
    single price was asked for each charged unit. `working` is None where unit × price says it all."""

    price_per_unit: Decimal | None
    exact: Decimal
    amount: Decimal
    working: Working | None


class Adjustment(Struct, frozen=True):
    """A line of a group that belongs to no outcome; a cap is negative."""

    kind: Literal["fee", "minimum", "cap"]
    exact: Decimal
    amount: Decimal
    working: Working


def rate_now(price: Price, unit: Decimal) -> Rated:
    """An outcome whose cost depends on nothing but itself; its amount is rounded by itself."""
    assert not price.at_close, price
    if price.kind == PERCENTAGE:
        each, cost, said = _percentage(price, unit)
        amount = to_minor(cost, price.exponent)
        working = {"kind": PERCENTAGE, "unit": plain(unit)} | said
        return Rated(each, cost, amount, working | {"exact": plain(cost), "rounded": minor_text(cost, price.exponent)})
    each = _given(price.price_per_unit)
    cost = exact(each, unit)
    return Rated(each, cost, to_minor(cost, price.exponent), None)


class Meter:
    """Rates one group: `add` each outcome in order, then `close` for what belongs to the group as a whole.

    `total`: the units of all outcomes of the group, which decides the tier of a volume price. `before` and `spent`:
    units and exact cost of the group so far, for going on in the middle.
    """

    __slots__ = ("_charged", "_charged_total", "_price", "_rounded", "_spent", "_spent_text", "_units", "_units_text")

    def __init__(self, price: Price, total: Decimal, *, before: Decimal = _ZERO, spent: Decimal = _ZERO) -> None:
        assert price.at_close, price
        self._price = price
        self._charged_total = _charged(price, total)
        self._units, self._units_text = before, plain(before)
        self._charged = _charged(price, before)
        self._spent, self._spent_text = spent, plain(spent)
        self._rounded = to_minor(spent, price.exponent)

    def add(self, unit: Decimal) -> Rated:
        """The next outcome. Its amount is what it moves the rounded sum of the group by, so that no minor unit is
        lost or made."""
        price, begins = self._price, self._charged
        after = plus(self._units, unit)
        ends = _charged(price, after)
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
        return Rated(each, cost, amount, working)

    def close(self) -> list[Adjustment]:
        """The fees of the tiers that were reached, then what is missing to the minimum or above the cap."""
        price, found = self._price, []
        charged = _charged(price, self._units)
        for number in tiers_with_fee(price, charged):
            found.append(fee(price, number, charged, self._spent))
            self._spent = exact_sum((self._spent, found[-1].exact))
        bounded = bound(price, self._spent)
        return found if bounded is None else [*found, bounded]

    def _cost(self, begins: Decimal, charged: Decimal) -> tuple[Decimal | None, Decimal, Working]:
        """What the charged units behind the first `begins` of the group cost: one price per unit if there is one, the
        exact cost, and what its working says."""
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
            slices = [(0, charged, _given(price.price_per_unit))] if charged else []
        cost = exact_sum([exact(units, each) for _, units, each in slices])
        each = slices[0][2] if len(slices) == 1 else price.price_per_unit
        return each, cost, total | {"slices": [_said(*one) for one in slices]}


def tiers_with_fee(price: Price, charged: Decimal) -> list[int]:
    """The numbers, from 1, of the tiers whose flat fee so many charged units of a group make due: of a graduated price
    all that are reached, of a volume price the one they are in."""
    if not (charged and price.tiers):
        return []
    reached = _tier(price, charged)
    first = reached if price.kind == VOLUME else 0
    return [number + 1 for number in range(first, reached + 1) if price.tiers[number].flat_fee]


def fee(price: Price, number: int, charged: Decimal, spent: Decimal) -> Adjustment:
    """The flat fee of a tier, for a group that has come to the exact sum `spent`; ValueError where none is due."""
    if number not in tiers_with_fee(price, charged):
        raise ValueError(f"{plain(charged)} charged units make no fee of tier {number} due")
    cost = price.tiers[number - 1].flat_fee
    amount = _moved(price, spent, cost)
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
    """The line that brings a group with that exact sum to its minimum or cap. Where the currency cannot say one of
    them, no more than the cap is asked for and no less than the minimum; the cap goes before."""
    digits = price.exponent
    total = to_minor(spent, digits)
    target = max(total, to_minor(price.period_minimum, digits, ROUND_CEILING))
    if price.period_cap is not None:
        target = min(target, to_minor(price.period_cap, digits, ROUND_FLOOR))
    if target == total:
        return None
    kind: Literal["minimum", "cap"] = "minimum" if target > total else "cap"
    limit = price.period_minimum if kind == "minimum" else _given(price.period_cap)
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


def _moved(price: Price, spent: Decimal, cost: Decimal) -> Decimal:
    """How far a cost moves the rounded sum of a group: what is allocated to it."""
    digits = price.exponent
    return difference(to_minor(exact_sum((spent, cost)), digits), to_minor(spent, digits))


def _charged(price: Price, units: Decimal) -> Decimal:
    """Of the first so many units of a group, those behind the free quota."""
    return max(_ZERO, difference(units, price.free_quota))


def _tier(price: Price, quantity: Decimal) -> int:
    """The place of the tier that a quantity is in; exactly at a border it is still in the tier below."""
    return bisect_left(price.borders, quantity)


def _slices(price: Price, begins: Decimal, charged: Decimal) -> Iterator[tuple[int, Decimal, Decimal]]:
    """The tiers that the charged units behind the first `begins` lie in: number, units there, price per unit."""
    ends = exact_sum((begins, charged))
    while begins < ends:
        # At a border the next unit is already one of the tier above.
        number = bisect_right(price.borders, begins)
        tier = price.tiers[number]
        until = ends if tier.up_to is None else min(ends, tier.up_to)
        yield number + 1, difference(until, begins), tier.price_per_unit
        begins = until


def _said(number: int, units: Decimal, each: Decimal) -> Working:
    said: Working = {"tier": number} if number else {}
    cost = plain(exact(units, each))
    return said | {"units": plain(units), "price_per_unit": plain(each), "amount": cost}


def _packages(price: Price, begins: Decimal, charged: Decimal) -> tuple[None, Decimal, Working]:
    """The packages that these units begin; one that was begun before them is paid for already."""
    size, each = _given(price.package_size), _given(price.price_per_package)
    before, after = begun(begins, size), begun(exact_sum((begins, charged)), size)
    count = difference(after, before)
    said = {
        "package_size": plain(size),
        "packages_before": plain(before),
        "packages": plain(count),
        "price_per_package": plain(each),
    }
    return None, exact(count, each), said


def _percentage(price: Price, charged: Decimal) -> tuple[Decimal, Decimal, Working]:
    """A part of what is charged, within the bounds of one outcome; nothing of nothing.

    A bound that is finer than the minor unit is rounded inwards, as those of a period are: an outcome never costs
    more than its maximum or less than its minimum. Where no amount lies between them, the maximum decides.
    """
    percent = _given(price.percent)
    part = exact(exact(charged, percent), _HUNDREDTH)
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
    return exact(percent, _HUNDREDTH), cost, said


def _given(value: Decimal | None) -> Decimal:
    """A field that every price of this kind has."""
    assert value is not None
    return value
