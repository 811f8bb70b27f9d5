"""Rating: laws that hold for every price and every group, and small cases worked out by hand."""

import json
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.pricing import bill, charged_units, entries, price_of, prices, quantities, recheck, units
from tests.support.searches import examples
from witnd.domain.pricing.group import GroupMeter, Position
from witnd.domain.pricing.ratecard import Price
from witnd.domain.pricing.rating import rate_at_settlement
from witnd.domain.pricing.working import price_text, working_text
from witnd.domain.values.money import exact_sum, plain

D = Decimal
QUICK = settings(max_examples=examples(150), deadline=None)
GRADUATED = {"kind": "graduated", "tiers": [{"up_to": "10", "price_per_unit": "2"}, {"price_per_unit": "1"}]}
VOLUME = GRADUATED | {"kind": "volume"}
PACKAGE = {"kind": "package", "package_size": "10", "price_per_package": "7"}
FEES = [
    {"up_to": "10", "price_per_unit": "1", "flat_fee": "3"},
    {"up_to": "20", "price_per_unit": "1"},
    {"price_per_unit": "1", "flat_fee": "4"},
]
# What a working takes as given; the rest follows from it.
BEGINS_WITH = (
    "free_before", "charged_before", "package_units_before", "unit", "sum_before", "total_before", "charged_total",
    "tier", "charged",
)  # fmt: skip


# -- another reading of the rules, in fractions and without any memory ------------------------------------------------


def half_up(amount: Fraction, digits: int) -> Fraction:
    return Fraction(floor(amount * 10**digits + Fraction(1, 2)), 10**digits)


def cost_of(price: Price, charged: list[Fraction]) -> Fraction:
    """What outcomes with these charged units cost together, fees included, bounds not."""
    entry = price.entry
    whole = sum(charged, Fraction(0))
    if price.kind == "flat":
        return whole * Fraction(entry["price_per_unit"])
    if price.kind == "package":
        return ceil(whole / Fraction(entry["package_size"])) * Fraction(entry["price_per_package"])
    if price.kind == "percentage":
        minor = 10**price.exponent
        low = Fraction(ceil(Fraction(entry.get("minimum", "0")) * minor), minor)
        high = Fraction(floor(Fraction(entry["maximum"]) * minor), minor) if "maximum" in entry else None
        parts = [max(low, one * Fraction(entry["percent"]) / 100) for one in charged if one]
        return sum([part if high is None else min(high, part) for part in parts], Fraction(0))
    cost, below = Fraction(0), Fraction(0)
    for tier in entry["tiers"]:
        end = Fraction(tier["up_to"]) if "up_to" in tier else whole
        each, fee = Fraction(tier["price_per_unit"]), Fraction(tier.get("flat_fee", "0"))
        if price.kind == "volume":
            if below < whole <= end:
                cost = whole * each + fee
        elif whole > below:
            cost += (min(whole, end) - below) * each + fee
        below = end
    return cost


def charged_of(price: Price, quantity: list[Decimal]) -> list[Fraction]:
    free, found = Fraction(price.free_quota), []
    for unit in map(Fraction, quantity):
        found.append(max(Fraction(0), unit - free))
        free = max(Fraction(0), free - unit)
    return found


def same(cost: Decimal, expected: Fraction) -> bool:
    return Fraction(cost) == expected


# -- laws -------------------------------------------------------------------------------------------------------------


@QUICK
@given(price=prices(), quantity=units)
def test_a_group_costs_what_the_rules_say(price: Price, quantity: list[Decimal]) -> None:
    billed = bill(price, quantity)
    exact = cost_of(price, charged_of(price, quantity))
    assert same(exact_sum(one.exact for one in billed.before_bounds), exact)
    if not price.is_rated_at_close:
        assert [Fraction(one.amount) for one in billed.lines] == [
            half_up(Fraction(one.exact), price.exponent) for one in billed.lines
        ]
        return
    total, digits = half_up(exact, price.exponent), 10**price.exponent
    total = max(total, Fraction(ceil(Fraction(price.period_minimum) * digits), digits))
    if price.period_cap is not None:
        total = min(total, Fraction(floor(Fraction(price.period_cap) * digits), digits))
    assert same(billed.total, total)


@QUICK
@given(price=prices(), quantity=units)
def test_no_minor_unit_is_lost_or_made(price: Price, quantity: list[Decimal]) -> None:
    billed = bill(price, quantity)
    if price.is_rated_at_close:
        parts, rest = billed.before_bounds, billed.adjustments
        exact = exact_sum(one.exact for one in parts)
        assert same(exact_sum(one.amount for one in parts), half_up(Fraction(exact), price.exponent))
        bounds = [one for one in rest if one.kind != "fee"]
        assert billed.total == exact_sum([*(one.amount for one in parts), *(one.amount for one in bounds)])
        # With a bound, the exact amounts come to the very same total.
        assert not bounds or billed.exact == billed.total
    for one in (*billed.lines, *billed.adjustments):
        assert one.amount == round(one.amount, price.exponent)
        assert abs(one.amount - one.exact) < D(1).scaleb(-price.exponent)
    assert all(one.amount >= 0 for one in billed.before_bounds)


@QUICK
@given(price=prices(), quantity=units)
def test_a_group_costs_between_its_minimum_and_its_cap(price: Price, quantity: list[Decimal]) -> None:
    step = D(1).scaleb(-price.exponent)
    total = bill(price, quantity).total
    if price.period_cap is not None:
        assert total <= price.period_cap
        # A currency may have no amount between the two; then the cap is kept.
        assert total >= price.period_minimum or price.period_cap - price.period_minimum < step
    else:
        assert total >= price.period_minimum


@QUICK
@given(price=prices(), quantity=units, data=st.data())
def test_the_order_of_outcomes_is_nothing_to_the_total(
    price: Price, quantity: list[Decimal], data: st.DataObject
) -> None:
    if price.kind == "percentage" and price.free_quota and (price.minimum or price.maximum is not None):
        return  # which outcomes are charged decides how many bounds of an outcome apply
    other = data.draw(st.permutations(quantity))
    if price.is_rated_at_close:
        assert bill(price, other).total == bill(price, quantity).total
    assert bill(price, other).exact == bill(price, quantity).exact


def test_the_order_counts_for_a_bounded_percentage_with_a_quota() -> None:
    price = price_of({"kind": "percentage", "percent": "1", "minimum": "1", "free_quota": "10"})
    assert bill(price, [10, 1, 1]).total == 2
    assert bill(price, [1, 1, 10]).total == 1


@QUICK
@given(price=prices(("flat", "graduated", "package", "volume"), bounds=False), quantity=units)
def test_a_whole_costs_what_its_parts_do(price: Price, quantity: list[Decimal]) -> None:
    assert bill(price, [exact_sum(quantity)]).exact == bill(price, quantity).exact
    if price.is_rated_at_close:
        assert bill(price, [exact_sum(quantity)]).total == bill(price, quantity).total


@QUICK
@given(entry=entries(("percentage",), bounds=False), quantity=units)
def test_so_does_a_percentage_without_bounds(entry: dict[str, Any], quantity: list[Decimal]) -> None:
    price = price_of({name: it for name, it in entry.items() if name not in ("minimum", "maximum")})
    assert bill(price, [exact_sum(quantity)]).exact == bill(price, quantity).exact


@QUICK
@given(price=prices(("flat", "graduated", "package", "percentage")), quantity=units, more=quantities.map(Decimal))
def test_more_never_costs_less(price: Price, quantity: list[Decimal], more: Decimal) -> None:
    before = bill(price, quantity)
    assert bill(price, [*quantity, more]).total >= before.total
    whole = exact_sum(quantity)
    assert bill(price, [exact_sum((whole, more))]).total >= bill(price, [whole]).total


def test_more_can_cost_less_under_a_volume_price_just_behind_a_border() -> None:
    price = price_of(VOLUME)
    assert [bill(price, [one]).total for one in (10, "10.01", 11, 20)] == [20, D("10.01"), 11, 20]


@QUICK
@given(price=prices(), quantity=units)
def test_a_working_checks_and_one_that_was_changed_does_not(price: Price, quantity: list[Decimal]) -> None:
    billed = bill(price, quantity)
    for one in (*billed.lines, *billed.adjustments):
        if one.working is None:
            assert not price.is_rated_at_close
            assert price.kind == "flat"
            continue
        assert json.loads(json.dumps(one.working)) == one.working
        assert recheck(price, one.working)
        assert working_text(one.working)
        for name in one.working:
            assert not recheck(price, {key: it for key, it in one.working.items() if key != name})
            if name not in BEGINS_WITH:
                assert not recheck(price, one.working | {name: "31.4159"})


@QUICK
@given(price=prices(), quantity=units)
def test_a_working_alone_gives_the_amount_again(price: Price, quantity: list[Decimal]) -> None:
    billed = bill(price, quantity)
    for one in (*billed.lines, *billed.adjustments):
        if one.working is not None:
            exact, rounded = by_hand(one.working, price.exponent)
            assert same(one.exact, exact)
            assert same(one.amount, rounded)


def by_hand(said: dict[str, Any], digits: int) -> tuple[Fraction, Fraction]:
    """The exact and the rounded amount, from what the working says of quantities and prices."""

    def read(name: str, default: str | None = None) -> Fraction:
        return Fraction(said[name] if default is None else said.get(name, default))

    before = read("sum_before", "0")
    if said["kind"] in ("minimum", "cap"):
        exact = read("total_before") + read("rounded") - before
        return exact, read("rounded")
    if said["kind"] == "package":
        exact = read("packages") * read("price_per_package")
    elif said["kind"] == "percentage":
        part = read("charged", said["unit"]) * read("percent") / 100
        assert part == read("part")
        exact = read("maximum", said.get("minimum", said["part"]))
    elif said["kind"] == "fee":
        exact = read("exact")
    else:
        slices = said["slices"]
        assert sum([Fraction(one["units"]) for one in slices], Fraction(0)) == read("charged")
        exact = sum([Fraction(one["units"]) * Fraction(one["price_per_unit"]) for one in slices], Fraction(0))
    if "free" in said:
        assert read("free") + read("charged") == read("unit")
    return exact, half_up(before + exact, digits) - half_up(before, digits)


@QUICK
@given(price=prices(), quantity=units, data=st.data())
def test_a_meter_goes_on_where_another_stopped(price: Price, quantity: list[Decimal], data: st.DataObject) -> None:
    if not price.is_rated_at_close:
        return
    total = charged_units(price, quantity)
    whole = GroupMeter(total)
    lines = [whole.add(price, unit) for unit in quantity]
    cut = data.draw(st.integers(0, len(quantity)))
    spent = {price.exponent: exact_sum(line.exact for line in lines[:cut])}
    charged = charged_units(price, quantity[:cut])
    free = exact_sum(quantity[:cut]) - charged
    runs = {(price.package_size, price.price_per_package): charged}
    later = GroupMeter(total, position=Position(free, charged), spent=spent, runs=runs)
    assert [later.add(price, unit) for unit in quantity[cut:]] == lines[cut:]
    if not price.tiers:  # the lines before the cut can owe fees
        assert later.close(price) == whole.close(price)


# -- borders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "totals"),
    [
        (GRADUATED, {"9.99": "19.98", "10": "20.00", "10.01": "20.01", "11": "21.00"}),
        (VOLUME, {"9.99": "19.98", "10": "20.00", "10.01": "10.01", "11": "11.00"}),
        (PACKAGE, {"0": "0", "0.01": "7", "9.99": "7", "10": "7", "10.01": "14", "20": "14", "20.01": "21"}),
        ({"price_per_unit": "2", "free_quota": "10"}, {"9.99": "0", "10": "0", "10.01": "0.02", "11": "2"}),
        (GRADUATED | {"free_quota": "5"}, {"5": "0", "15": "20", "15.01": "20.01"}),
        (VOLUME | {"free_quota": "5"}, {"5": "0", "15": "20", "15.01": "10.01"}),
        ({"price_per_unit": "1", "period_minimum": "10"}, {"0": "10", "9.99": "10", "10": "10", "10.01": "10.01"}),
        ({"price_per_unit": "1", "period_cap": "10"}, {"9.99": "9.99", "10": "10", "10.01": "10", "99": "10"}),
        ({"price_per_unit": "1", "period_cap": "0"}, {"0": "0", "1": "0"}),
        (
            {"kind": "percentage", "percent": "10", "minimum": "1", "maximum": "2"},
            {"0": "0", "0.01": "1", "9.99": "1", "10": "1", "10.1": "1.01", "20": "2", "20.1": "2", "999": "2"},
        ),
    ],
)
def test_borders_from_both_sides(entry: dict[str, Any], totals: dict[str, str]) -> None:
    assert {unit: plain(bill(price_of(entry), [unit]).total) for unit in totals} == {
        unit: plain(D(total)) for unit, total in totals.items()
    }


@pytest.mark.parametrize(
    ("kind", "fees"),
    [
        ("graduated", {"0": [], "0.1": [3], "10": [3], "10.1": [3], "20": [3], "20.1": [3, 4]}),
        ("volume", {"0": [], "0.1": [3], "10": [3], "10.1": [], "20": [], "20.1": [4]}),
    ],
)
def test_the_fee_of_a_tier_is_due_when_it_is_reached(kind: str, fees: dict[str, list[int]]) -> None:
    price = price_of({"kind": kind, "tiers": FEES})
    assert {unit: [one.amount for one in bill(price, [unit]).adjustments] for unit in fees} == fees


def test_nothing_charged_means_no_fee() -> None:
    price = price_of({"kind": "graduated", "tiers": FEES, "free_quota": "5"})
    assert bill(price, [5]).adjustments == []
    assert [one.working["tier"] for one in bill(price, ["5.1"]).adjustments] == [1]


# -- by hand ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("currency", "amounts", "total"),
    [
        ("EUR", ["0.33", "0.34", "0.33"], "1.00"),
        ("JPY", ["0", "1", "0"], "1"),
        ("KWD", ["0.333", "0.333", "0.333"], "0.999"),
    ],
)
def test_minor_units_are_allocated_along_the_way(currency: str, amounts: list[str], total: str) -> None:
    price = price_of({"price_per_unit": "0.333", "period_cap": "100"}, currency)
    billed = bill(price, [1, 1, 1])
    assert [format(line.amount, "f") for line in billed.lines] == amounts
    assert format(billed.total, "f") == total


def test_an_outcome_across_a_border_tells_what_it_paid_on_each_side() -> None:
    price = price_of(GRADUATED)
    [_, line] = bill(price, [8, 5]).lines
    assert (line.price_per_unit, line.exact, line.amount) == (None, 7, D("7.00"))
    assert line.working == {
        "kind": "graduated",
        "charged_before": "8",
        "unit": "5",
        "free": "0",
        "charged": "5",
        "slices": [
            {"tier": 1, "units": "2", "price_per_unit": "2", "amount": "4"},
            {"tier": 2, "units": "3", "price_per_unit": "1", "amount": "3"},
        ],
        "exact": "7",
        "sum_before": "16",
        "rounded": "7.00",
    }
    assert working_text(line.working) == "2 × 2 (tier 1) + 3 × 1 (tier 2) = 7"


def test_the_whole_group_decides_the_tier_of_a_volume_price() -> None:
    price = price_of(VOLUME)
    assert [line.price_per_unit for line in bill(price, [8, 5]).lines] == [1, 1]
    assert [line.price_per_unit for line in bill(price, [8, 2]).lines] == [2, 2]
    [line, _] = bill(price, [8, 5]).lines
    assert working_text(line.working or {}) == "8 × 1 (tier 2) = 8 (13 in the period)"


def test_whoever_begins_a_package_pays_for_it() -> None:
    price = price_of(PACKAGE)
    billed = bill(price, [4, 4, 4, 30])
    assert [line.amount for line in billed.lines] == [7, 0, 7, 21]
    assert [working_text(line.working or {}) for line in billed.lines] == [
        "1 package of 10 × 7 = 7",
        "within a package of 10 that was begun before",
        "1 package of 10 × 7 = 7",
        "3 packages of 10 × 7 = 21",
    ]


def test_a_percentage_is_rated_by_itself_and_tells_how() -> None:
    price = price_of({"kind": "percentage", "percent": "2.5", "minimum": "0.5"})
    rated = rate_at_settlement(price, D("123.45"))
    assert (rated.price_per_unit, rated.exact, rated.amount) == (D("0.025"), D("3.08625"), D("3.09"))
    assert rated.working == {
        "kind": "percentage",
        "unit": "123.45",
        "percent": "2.5",
        "part": "3.08625",
        "exact": "3.08625",
        "rounded": "3.09",
    }
    assert working_text(rated.working) == "2.5 % of 123.45 = 3.08625, rounded 3.09"
    least = rate_at_settlement(price, D(1))
    assert (least.amount, working_text(least.working or {})) == (D("0.50"), "2.5 % of 1 = 0.025, at least 0.5")
    assert rate_at_settlement(price, D(0)).amount == 0


def test_a_bound_is_told_only_where_it_decides() -> None:
    price = price_of({"kind": "percentage", "percent": "10", "minimum": "1", "maximum": "2"})
    told = {unit: rate_at_settlement(price, D(unit)).working or {} for unit in ("0", "9", "10", "20", "21")}
    assert [(unit, name) for unit, said in told.items() for name in ("minimum", "maximum") if name in said] == [
        ("9", "minimum"),
        ("21", "maximum"),
    ]


@pytest.mark.parametrize(
    ("currency", "bounds", "unit", "amount", "how"),
    [
        ("USD", {"maximum": "0.995"}, "1000", "0.99", "1 % of 1000 = 10, at most 0.99"),
        ("USD", {"maximum": "0.995"}, "99.4", "0.99", "1 % of 99.4 = 0.994, at most 0.99"),
        ("USD", {"maximum": "0.995"}, "99", "0.99", "1 % of 99 = 0.99"),
        ("JPY", {"maximum": "0.5"}, "1000", "0", "1 % of 1000 = 10, at most 0"),
        ("USD", {"minimum": "0.004"}, "0.01", "0.01", "1 % of 0.01 = 0.0001, at least 0.01"),
        ("KWD", {"minimum": "0.0041", "maximum": "0.0049"}, "1", "0.004", "1 % of 1 = 0.01, at most 0.004"),
        ("USD", {"minimum": "0.004", "maximum": "0.009"}, "0.7", "0.00", "1 % of 0.7 = 0.007, at most 0"),
    ],
)
def test_bounds_of_an_outcome_that_the_currency_cannot_say_are_rounded_inwards(
    currency: str, bounds: dict[str, str], unit: str, amount: str, how: str
) -> None:
    entry = {"kind": "percentage", "percent": "1"} | bounds
    rated = rate_at_settlement(price_of(entry, currency), D(unit))
    assert (format(rated.amount, "f"), working_text(rated.working or {})) == (amount, how)
    # At the close of a period too: what outcomes cost is the same, and adds up.
    closed = bill(price_of(entry | {"free_quota": "0.000000000001"}, currency), [D(unit) + D("0.000000000001"), unit])
    assert [one.amount for one in closed.lines] == [D(amount)] * 2


def test_a_flat_price_is_rated_by_itself_without_a_working() -> None:
    rated = rate_at_settlement(price_of({"price_per_unit": "0.335"}), D(3))
    assert (rated.price_per_unit, rated.exact, rated.amount, rated.working) == (D("0.335"), D("1.005"), D("1.01"), None)


def test_a_minimum_and_a_cap_are_lines_that_tell_why() -> None:
    short = bill(price_of({"price_per_unit": "3.333", "period_minimum": "10"}), [1])
    [missing] = short.adjustments
    assert (missing.kind, missing.exact, missing.amount) == ("minimum", D("6.667"), D("6.67"))
    assert missing.working == {
        "kind": "minimum",
        "period_minimum": "10",
        "sum_before": "3.333",
        "total_before": "3.33",
        "exact": "6.667",
        "rounded": "6.67",
    }
    assert working_text(missing.working) == "3.33 is less than 10: 6.67"
    [over] = bill(price_of({"price_per_unit": "30", "period_cap": "10"}), [1]).adjustments
    assert (over.kind, over.exact, over.amount) == ("cap", -20, D("-20.00"))
    assert working_text(over.working) == "30.00 is more than 10: -20.00"


@pytest.mark.parametrize(
    ("bounds", "total"),
    [
        ({"period_minimum": "10.001"}, "10.01"),
        ({"period_cap": "0.999"}, "0.99"),
        ({"period_minimum": "0.001", "period_cap": "0.009"}, "0.00"),
    ],
)
def test_a_bound_finer_than_the_currency_is_never_overstepped(bounds: dict[str, str], total: str) -> None:
    assert format(bill(price_of({"price_per_unit": "1"} | bounds), [1]).total, "f") == total


def test_huge_and_tiny_quantities_are_exact() -> None:
    price = price_of({"kind": "package", "package_size": "0.000000000001", "price_per_package": "0.000000000001"})
    assert bill(price, [10**15]).exact == 10**15
    steps = {
        "kind": "graduated",
        "tiers": [{"up_to": "0.000000000001", "price_per_unit": "1"}, {"price_per_unit": "0"}],
    }
    assert bill(price_of(steps), [10**15]).exact == D("0.000000000001")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"price_per_unit": "0.99"}, "0.99 per unit"),
        (
            {"price_per_unit": "1", "free_quota": "5", "period_minimum": "10", "period_cap": "100"},
            "1 per unit; 5 units free; at least 10 in a period; at most 100 in a period",
        ),
        (
            {"kind": "graduated", "tiers": FEES},
            "graduated: 1 and a fee of 3 up to 10, 1 up to 20, 1 and a fee of 4 beyond",
        ),
        (VOLUME, "volume: 2 up to 10, 1 beyond"),
        (PACKAGE, "7 per package of 10 units begun"),
        ({"kind": "percentage", "percent": "2.5", "maximum": "9"}, "2.5 % of the unit, at most 9"),
    ],
)
def test_a_price_in_words(entry: dict[str, Any], said: str) -> None:
    assert price_text(price_of(entry)) == said


@pytest.mark.parametrize(
    ("entry", "quantity", "said"),
    [
        ({"price_per_unit": "1", "free_quota": "5"}, [4], ["4 free; nothing is charged"]),
        ({"price_per_unit": "1", "free_quota": "5"}, [7], ["5 free; 2 × 1 = 2"]),
        (
            {"price_per_unit": "0.335", "period_cap": "9"},
            [1, 1],
            [
                "1 × 0.335 = 0.335, rounded 0.34",
                "1 × 0.335 = 0.335, rounded 0.33 (the period's sum goes from 0.335 to 0.67)",
            ],
        ),
        (
            {"kind": "percentage", "percent": "10", "maximum": "2", "free_quota": "1"},
            [1, 99],
            ["1 free; nothing is charged", "10 % of 99 = 9.9, at most 2"],
        ),
    ],
)
def test_workings_in_words(entry: dict[str, Any], quantity: list[int], said: list[str]) -> None:
    assert [working_text(line.working or {}) for line in bill(price_of(entry), quantity).lines] == said


def test_a_fee_in_words() -> None:
    [fee] = bill(price_of({"kind": "volume", "tiers": FEES}), [7]).adjustments
    assert working_text(fee.working) == "3 for reaching tier 1 with 7"


@pytest.mark.parametrize("working", [{}, {"kind": "fee", "tier": 9, "charged": "1", "sum_before": "0"}, {"kind": None}])
def test_what_is_no_working_does_not_check(working: dict[str, Any]) -> None:
    assert not recheck(price_of(GRADUATED), working)
