"""Groups under several prices: against the reckoning of the contract's tests, and small cases worked out by hand."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.groups import Entry, bill
from tests.support.pricing import entries, quantities, recheck
from tests.support.searches import examples
from witnd.domain.pricing.group import GroupKey, GroupMeter, Position
from witnd.domain.pricing.ratecard import Price
from witnd.domain.pricing.rating import Adjustment, OutcomePrice, rate_at_settlement
from witnd.domain.pricing.working import working_text
from witnd.domain.values.money import plain

D = Decimal
DIGITS = {"EUR": 2, "JPY": 0, "KWD": 3}
Outcomes = list[tuple[Price, Decimal]]


def price(card: str = "card", currency: str = "EUR", digits: int | None = None, **entry: Any) -> Price:
    found = DIGITS[currency] if digits is None else digits
    return Price.from_entry(card, currency, found, {"agent": "a", "kind": "flat"} | entry)


def rated(outcomes: Outcomes, terms: Price | None = None) -> list[tuple[Price, OutcomePrice | Adjustment]]:
    """All lines of a group, with the price of each."""
    counted = Position()
    for one, unit in outcomes:
        if one.is_rated_at_close:
            counted.add(one, unit)
        else:
            counted.settle(unit)
    meter, found = GroupMeter(counted.charged), []
    for one, unit in outcomes:
        if one.is_rated_at_close:
            found.append((one, meter.add(one, unit)))
        else:
            line = rate_at_settlement(one, unit)
            meter.settle(unit, line.amount, line.exact)
            found.append((one, line))
    return [*found, *[(one.price, one) for one in meter.close(terms or outcomes[-1][0])]]


def amounts(outcomes: Outcomes, terms: Price | None = None) -> list[str]:
    return [plain(line.amount) for _, line in rated(outcomes, terms)]


def entry(one: Price) -> Entry:
    return Entry(one.rate_card, one.exponent, one.entry)


@st.composite
def groups(draw: st.DrawFn) -> tuple[Outcomes, Price | None]:
    """Outcomes under up to four prices of one currency. Some prices differ only in their quota or amounts."""
    currency = draw(st.sampled_from(list(DIGITS)))
    raw = draw(st.lists(entries(), min_size=1, max_size=4))
    if draw(st.booleans()):
        raw.append(dict(draw(st.sampled_from(raw))) | {"free_quota": draw(quantities)})
    known = [price(f"card-{number}", currency, **one) for number, one in enumerate(raw)]
    some = st.lists(st.tuples(st.sampled_from(known), quantities.map(Decimal)), min_size=1, max_size=12)
    return draw(some), draw(st.one_of(st.none(), st.sampled_from(known)))


@settings(max_examples=examples(400), deadline=None)
@given(group=groups())
def test_a_group_under_many_prices_costs_what_the_rules_say(group: tuple[Outcomes, Price | None]) -> None:
    outcomes, terms = group
    found = rated(outcomes, terms)
    expected = bill([(entry(one), Fraction(unit)) for one, unit in outcomes], None if terms is None else entry(terms))
    kinds = [line.kind if isinstance(line, Adjustment) else "outcome" for _, line in found]
    assert kinds == [row.kind for row in expected]
    assert [one.rate_card for one, _ in found] == [row.card for row in expected]
    assert [Fraction(line.amount) for _, line in found] == [row.amount for row in expected]
    assert [Fraction(line.exact) for _, line in found] == [row.exact for row in expected]
    for one, line in found:
        if line.working is not None:
            assert recheck(one, line.working)
            assert working_text(line.working)


# -- by hand ----------------------------------------------------------------------------------------------------------

TIERS = [
    {"up_to": "10", "price_per_unit": "2", "flat_fee": "5"},
    {"up_to": "20", "price_per_unit": "1"},
    {"price_per_unit": "0.5", "flat_fee": "7"},
]
OTHER = [{"up_to": "5", "price_per_unit": "3", "flat_fee": "11"}, {"price_per_unit": "4", "flat_fee": "13"}]
FLAT = price(price_per_unit="1")


def test_a_new_price_continues_at_the_position_of_the_group() -> None:
    old, new = price(kind="graduated", tiers=TIERS), price(kind="graduated", tiers=[{**TIERS[0]}, {**TIERS[2]}])
    # 8 in the first tier; then 2 at its price and 1 in the second tier of the new table.
    assert amounts([(old, D(8)), (new, D(3))]) == ["16", "4.5", "5", "7"]


def test_the_example_of_the_reference() -> None:
    def sales(first: str, then: str, least: str) -> Price:
        tiers = [{"up_to": "10", "price_per_unit": first}, {"price_per_unit": then}]
        return price(kind="graduated", tiers=tiers, period_minimum=least)

    old, new = sales("2", "1", "30"), sales("3", "2", "20")
    assert amounts([(old, D(8)), (old, D(4)), (new, D(6))], new) == ["16", "6", "12"]


def test_outcomes_rated_at_settlement_keep_their_amounts_use_no_quota_and_fill_tiers() -> None:
    tiered = price(kind="graduated", tiers=TIERS, free_quota="4")
    # The first three units are free, then one more; of the last five units three are in the first tier.
    assert amounts([(tiered, D(3)), (FLAT, D(7)), (tiered, D(6))]) == ["0", "7", "8", "5"]


def test_each_price_has_its_own_quota_of_the_units_used_so_far() -> None:
    low, high = price(price_per_unit="1", free_quota="3"), price(price_per_unit="1", free_quota="5")
    assert amounts([(low, D(2)), (high, D(4)), (low, D(1)), (high, D(1))]) == ["0", "1", "1", "1"]


def test_the_whole_group_decides_the_tier_of_each_volume_table() -> None:
    old, new = price(kind="volume", tiers=TIERS), price(kind="volume", tiers=OTHER)
    # 8 units with those of the flat price: the first tier of the old table, and the second of the new one with its fee.
    assert amounts([(old, D(3)), (FLAT, D(4)), (new, D(1))]) == ["6", "4", "4", "13"]
    # The last line under a volume price decides on the fee.
    assert amounts([(new, D(1)), (FLAT, D(4)), (old, D(3))]) == ["4", "4", "6", "5"]


def test_a_package_continues_whatever_lies_between() -> None:
    old, new = [price(kind="package", package_size="10", price_per_package=each) for each in ("9", "8")]
    assert amounts([(old, D(1)), (new, D(1)), (old, D(9)), (new, D(10)), (FLAT, D(5)), (old, D(1))]) == [
        "9", "8", "0", "8", "5", "9",
    ]  # fmt: skip
    # The same package with another quota continues too.
    again = price(kind="package", package_size="10.0", price_per_package="9.00", free_quota="2")
    assert amounts([(old, D(1)), (again, D(3)), (again, D(9))]) == ["9", "0", "9"]


@pytest.mark.parametrize(
    ("first", "second", "fees"),
    [(TIERS, OTHER, ["5", "13"]), (OTHER, TIERS, ["11"])],
    ids=["a tier without a fee is not charged, so a later one is", "the first that owes a tier decides"],
)
def test_a_tier_number_is_charged_once_at_the_fee_of_the_first_that_owes_it(
    first: list[dict[str, str]], second: list[dict[str, str]], fees: list[str]
) -> None:
    one, two = price("one", kind="graduated", tiers=first), price("two", kind="graduated", tiers=second)
    found = rated([(one, D(4)), (two, D(9))])
    assert [plain(line.amount) for _, line in found if isinstance(line, Adjustment)] == fees


def test_a_graduated_and_a_volume_fee_of_one_tier_are_charged_once() -> None:
    tiered, volume = price("tiered", kind="graduated", tiers=TIERS), price("volume", kind="volume", tiers=OTHER)
    for outcomes, fee in (([(tiered, D(2)), (volume, D(1))], "5"), ([(volume, D(1)), (tiered, D(2))], "11")):
        assert amounts(outcomes)[2:] == [fee]


def test_a_volume_line_that_charges_nothing_owes_the_fee_of_what_the_group_charges() -> None:
    volume = price(kind="volume", tiers=OTHER, free_quota="5")
    assert amounts([(volume, D(5))]) == ["0"]
    assert amounts([(FLAT, D(2)), (volume, D(5))]) == ["2", "0", "11"]


def test_bounds_apply_once_to_the_sum_of_everything() -> None:
    old, new = price("old", price_per_unit="1", period_minimum="50"), price("new", price_per_unit="2", period_cap="9")
    outcomes = [(old, D(3)), (FLAT, D(2)), (new, D(3))]
    assert amounts(outcomes, old) == ["3", "2", "6", "39"]
    assert amounts(outcomes, new) == ["3", "2", "6", "-2"]
    assert amounts(outcomes, FLAT) == ["3", "2", "6"]
    # Without an entry in force, that of the last line.
    assert amounts(outcomes) == ["3", "2", "6", "-2"]


def test_the_exact_amounts_of_a_bounded_group_add_up_to_its_total() -> None:
    settled, other = price(price_per_unit="0.995"), price(price_per_unit="0.333", free_quota="1")
    found = rated([(settled, D(1)), (other, D(2)), (settled, D(1))], price(price_per_unit="1", period_minimum="10"))
    assert [plain(line.amount) for _, line in found] == ["1", "0.33", "1", "7.67"]
    assert sum(line.exact for _, line in found) == 10
    bound = found[-1][1].working
    assert bound == {
        "kind": "minimum",
        "period_minimum": "10",
        "sum_before": "2.323",
        "total_before": "2.33",
        "exact": "7.677",
        "rounded": "7.67",
    }


def test_a_sum_is_kept_for_each_number_of_digits() -> None:
    """A currency that changed its minor digits between two cards: each line keeps those of its card."""
    old, new = [price(str(n), "EUR", n, price_per_unit="0.005", free_quota="1") for n in (2, 3)]
    found = rated([(old, D(2)), (new, D(1)), (old, D(1)), (new, D(1))], price(digits=2, price_per_unit="1"))
    assert [format(line.amount, "f") for _, line in found] == ["0.01", "0.005", "0.00", "0.005"]


def test_a_group_has_one_key_for_all_its_prices() -> None:
    assert {GroupKey.of(FLAT), GroupKey.of(price("other", price_per_unit="9"))} == {GroupKey("a", None)}
