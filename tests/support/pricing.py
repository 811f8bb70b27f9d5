"""Prices and groups for tests of rating: prices written as entries, a group rated whole, prices made by Hypothesis."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from hypothesis import strategies as st
from msgspec import Struct

from witnd.domain.pricing.cost import Working
from witnd.domain.pricing.group import GroupMeter, Position
from witnd.domain.pricing.ratecard import Price, read_rate_card
from witnd.domain.pricing.rating import Adjustment, OutcomePrice, bound, fee, rate_at_settlement
from witnd.domain.values.money import exact_sum


class Bill(Struct, frozen=True, kw_only=True):
    """A whole group: its lines in order, and what comes besides."""

    price: Price
    units: list[Decimal]
    lines: list[OutcomePrice]
    adjustments: list[Adjustment]

    @property
    def total(self) -> Decimal:
        return exact_sum(one.amount for one in (*self.lines, *self.adjustments))

    @property
    def exact(self) -> Decimal:
        return exact_sum(one.exact for one in (*self.lines, *self.adjustments))

    @property
    def before_bounds(self) -> list[OutcomePrice | Adjustment]:
        """The lines and fees: all but what the minimum or the cap adds."""
        return [*self.lines, *(one for one in self.adjustments if one.kind == "fee")]


def price_of(entry: dict[str, Any], currency: str = "EUR") -> Price:
    content, wrong = read_rate_card("card", {"currency": currency, "entries": [{"agent": "a"} | entry]}, "")
    assert wrong == []
    return Price.from_entry("card", currency, content["digits"], content["entries"][0])


def bill(price: Price, units: Sequence[Decimal | int | str]) -> Bill:
    """What a group of outcomes with these units costs, in this order."""
    quantities = [Decimal(unit) for unit in units]
    if not price.is_rated_at_close:
        return Bill(
            price=price, units=quantities, lines=[rate_at_settlement(price, one) for one in quantities], adjustments=[]
        )
    meter = GroupMeter(charged_units(price, quantities))
    lines = [meter.add(price, one) for one in quantities]
    return Bill(price=price, units=quantities, lines=lines, adjustments=meter.close(price))


def charged_units(price: Price, units: Sequence[Decimal]) -> Decimal:
    """How many of these units of a group under one price are charged."""
    position = Position()
    for unit in units:
        position.add(price, unit)
    return position.charged


# -- made by Hypothesis -----------------------------------------------------------------------------------------------

KINDS = ("flat", "graduated", "volume", "package", "percentage")
CURRENCIES = ("EUR", "JPY", "KWD")

amounts = st.one_of(
    st.sampled_from(["0", "1", "0.005", "0.5", "10", "0.333333333333"]),
    st.decimals(0, 1000, places=4).map(str),
)
quantities = st.one_of(
    st.sampled_from(["0", "1", "0.5", "10", "100", "0.000000000001"]),
    st.decimals(0, 300, places=3).map(str),
)
units = st.lists(quantities.map(Decimal), min_size=1, max_size=12)


@st.composite
def tier_lists(draw: st.DrawFn) -> list[dict[str, str]]:
    borders = sorted(draw(st.sets(st.decimals("0.5", 500, places=1), max_size=4)))
    return [
        {"price_per_unit": draw(amounts)}
        | ({"up_to": str(border)} if border is not None else {})
        | draw(st.one_of(st.just({}), st.builds(lambda fee: {"flat_fee": fee}, amounts)))
        for border in [*borders, None]
    ]


@st.composite
def entries(draw: st.DrawFn, kinds: Sequence[str] = KINDS, *, bounds: bool = True) -> dict[str, Any]:
    """An entry of any kind; without `bounds`, one that has neither a period minimum nor a cap."""
    kind = draw(st.sampled_from(kinds))
    entry: dict[str, Any] = {"kind": kind}
    if kind == "flat":
        entry["price_per_unit"] = draw(amounts)
    elif kind in ("graduated", "volume"):
        entry["tiers"] = draw(tier_lists())
    elif kind == "package":
        entry["package_size"] = draw(st.sampled_from(["1", "0.3", "7", "100", "12.5"]))
        entry["price_per_package"] = draw(amounts)
    else:
        entry["percent"] = draw(st.sampled_from(["2.5", "0.1", "33.333333333333", "100", "0", "250"]))
        entry |= draw(_range("minimum", "maximum"))
    if draw(st.booleans()):
        entry["free_quota"] = draw(quantities)
    if bounds:
        entry |= draw(_range("period_minimum", "period_cap"))
    return entry


@st.composite
def _range(draw: st.DrawFn, least: str, most: str) -> dict[str, str]:
    low, high = sorted(draw(st.lists(amounts, min_size=2, max_size=2)), key=Decimal)
    both = {least: low, most: high}
    return {name: both[name] for name in draw(st.sets(st.sampled_from([least, most])))}


@st.composite
def prices(draw: st.DrawFn, kinds: Sequence[str] = KINDS, *, bounds: bool = True) -> Price:
    return price_of(draw(entries(kinds, bounds=bounds)), draw(st.sampled_from(CURRENCIES)))


def recheck(price: Price, working: Working) -> bool:
    """Whether the working is what the price makes of the quantities and the sum that the working begins with."""
    try:
        return _again(price, working) == working
    except (AssertionError, InvalidOperation, KeyError, TypeError, ValueError):
        return False


def _again(price: Price, working: Working) -> Working | None:
    kind = working["kind"]
    if not price.is_rated_at_close:
        return rate_at_settlement(price, Decimal(working["unit"])).working
    spent = Decimal(working["sum_before"])
    if kind in ("minimum", "cap"):
        bounded = bound(price, spent, Decimal(working["total_before"]))
        return None if bounded is None else bounded.working
    if kind == "fee":
        return fee(price, working["tier"], Decimal(working["charged"]), spent).working
    position = Position(Decimal(working.get("free_before", "0")), Decimal(working["charged_before"]))
    runs = {}
    if price.package_size is not None and price.price_per_package is not None:
        runs = {(price.package_size, price.price_per_package): Decimal(working["package_units_before"])}
    total = Decimal(working.get("charged_total", "0"))
    meter = GroupMeter(total, position=position, spent={price.exponent: spent}, runs=runs)
    return meter.add(price, Decimal(working["unit"])).working
