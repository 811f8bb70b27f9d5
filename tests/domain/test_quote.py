"""What outcomes would cost: the summary adds up to what the lines do."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings

from tests.support.pricing import bill, price_of, prices, units
from tests.support.searches import examples
from witnd.domain.pricing.quote import quote
from witnd.domain.pricing.ratecard import Price

TIERS = [{"up_to": "100", "price_per_unit": "1"}, {"price_per_unit": "0.333", "flat_fee": "5"}]


@settings(max_examples=examples(150), deadline=None)
@given(price=prices(), quantity=units)
def test_the_rows_come_to_the_total_of_the_lines(price: Price, quantity: list[Decimal]) -> None:
    quoted, billed = quote(price, quantity), bill(price, quantity)
    assert (list(quoted.lines), list(quoted.adjustments)) == (billed.lines, billed.adjustments)
    assert quoted.total == billed.total
    # Exactly: a sum of decimals is rounded to 28 digits.
    assert sum([Fraction(row.amount) for row in quoted.rows], Fraction(0)) == Fraction(billed.total)


@pytest.mark.parametrize(
    ("entry", "quantity", "rows", "total"),
    [
        (
            {"price_per_unit": "0.335"},
            [1, 1],
            [("units", "2", "0.335", "0.67"), ("rounding of each outcome", "0.01")],
            "0.68",
        ),
        (
            {"kind": "graduated", "tiers": TIERS, "free_quota": "50", "period_cap": "120"},
            [3, 60, "7.5", 200],
            [
                ("free", "50", "0"),
                ("tier 1", "100", "1", "100"),
                ("tier 2", "120.5", "0.333", "40.1265"),
                ("flat fee of tier 2", "5"),
                ("period cap", "-25.1265"),
            ],
            "120.00",
        ),
        (
            {"kind": "volume", "tiers": TIERS},
            [50, 51],
            [("tier 2", "101", "0.333", "33.633"), ("flat fee of tier 2", "5"), ("rounding", "-0.003")],
            "38.63",
        ),
        (
            {"kind": "package", "package_size": "3", "price_per_package": "1.005", "period_minimum": "10"},
            [7],
            [("packages of 3", "3", "1.005", "3.015"), ("period minimum", "6.985")],
            "10.00",
        ),
        (
            {"kind": "percentage", "percent": "2.5", "minimum": "1", "maximum": "3"},
            [1, 2, 50, 1000],
            [
                ("percentage", "1053", "2.5 %", "26.325"),
                ("raised to the minimum", "2 outcomes", "1.925"),
                ("lowered to the maximum", "1 outcome", "-22"),
            ],
            "6.25",
        ),
        ({"price_per_unit": "1", "free_quota": "9"}, [4], [("free", "4", "0")], "0.00"),
    ],
)  # fmt: skip
def test_the_rows_say_what_the_total_is_made_of(
    entry: dict[str, Any], quantity: list[Any], rows: list[tuple[str, ...]], total: str
) -> None:
    quoted = quote(price_of(entry), [Decimal(one) for one in quantity])
    told = [
        tuple([it for it in (row.what, row.quantity, row.price, row.amount) if it is not None]) for row in quoted.rows
    ]
    assert told == rows
    assert quoted.total_text == total
