"""Rate one confirmed outcome whose price does not depend on others, and the adjustments of a group.

Quantities are billing units, amounts are in the price's currency, all exact decimals. Every amount has a `working`, a
JSON record of its calculation. `group` rates the outcomes that depend on others.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Literal

from msgspec import Struct

from witnd.domain.pricing.cost import Working, not_none, percentage_cost, tiers_with_fee
from witnd.domain.pricing.ratecard import FLAT, PERCENTAGE, Price
from witnd.domain.values.money import difference, minor_text, plain, plus, product, to_minor


class OutcomePrice(Struct, frozen=True):
    """The price of one outcome. `amount` is rounded to the minor unit, `exact` is not. `price_per_unit` is None if
    the charged units have no single price. `working` is None if the amount is unit × price."""

    price_per_unit: Decimal | None
    exact: Decimal
    amount: Decimal
    working: Working | None


class Adjustment(Struct, frozen=True):
    """A line of a group without an outcome, under the price that causes it. Caps are negative."""

    kind: Literal["fee", "minimum", "cap"]
    price: Price
    exact: Decimal
    amount: Decimal
    working: Working


def rate_at_settlement(price: Price, unit: Decimal) -> OutcomePrice:
    """Rate an outcome whose price does not depend on others. Its amount is rounded individually."""
    assert not price.is_rated_at_close, price
    if price.kind == PERCENTAGE:
        each, cost, said, _ = percentage_cost(price, unit)
        amount = to_minor(cost, price.exponent)
        working = {"kind": PERCENTAGE, "unit": plain(unit)} | said
        return OutcomePrice(
            each, cost, amount, working | {"exact": plain(cost), "rounded": minor_text(cost, price.exponent)}
        )
    assert price.kind == FLAT, price
    each = not_none(price.price_per_unit)
    cost = product(each, unit)
    return OutcomePrice(each, cost, to_minor(cost, price.exponent), None)


def fee(price: Price, number: int, charged: Decimal, spent: Decimal) -> Adjustment:
    """Return the flat fee of a tier for a group with this many charged units and the exact sum `spent`. Raises
    ValueError if none is due."""
    if number not in tiers_with_fee(price, charged):
        raise ValueError(f"{plain(charged)} charged units make no fee of tier {number} due")
    cost, digits = price.tiers[number - 1].flat_fee, price.exponent
    amount = difference(to_minor(plus(spent, cost), digits), to_minor(spent, digits))
    working = {
        "kind": "fee",
        "tier": number,
        "charged": plain(charged),
        "exact": plain(cost),
        "sum_before": plain(spent),
        "rounded": format(amount, "f"),
    }
    return Adjustment("fee", price, cost, amount, working)


def bound(price: Price, spent: Decimal, total: Decimal) -> Adjustment | None:
    """Return the adjustment that brings a group to the period minimum or cap of a price, or None.

    `spent` is the exact sum of the group, `total` the sum of its amounts. Bounds finer than the minor unit are rounded
    inwards; if they then conflict, the cap wins.
    """
    digits = price.exponent
    target = max(total, to_minor(price.period_minimum, digits, ROUND_CEILING))
    if price.period_cap is not None:
        target = min(target, to_minor(price.period_cap, digits, ROUND_FLOOR))
    if target == total:
        return None
    kind: Literal["minimum", "cap"] = "minimum" if target > total else "cap"
    limit = price.period_minimum if kind == "minimum" else not_none(price.period_cap)
    cost, amount = difference(target, spent), difference(target, total)
    working = {
        "kind": kind,
        f"period_{kind}": plain(limit),
        "sum_before": plain(spent),
        "total_before": format(total, "f"),
        "exact": plain(cost),
        "rounded": format(amount, "f"),
    }
    return Adjustment(kind, price, cost, amount, working)
