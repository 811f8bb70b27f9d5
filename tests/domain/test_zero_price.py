"""Prices under which one unit is billed as nothing are warned about."""

from typing import Any

import pytest

from tests.support.pricing import price_of
from witnd.domain.catalogue.checks.zero_price import zero_price_warning


@pytest.mark.parametrize(
    ("entry", "currency"),
    [
        ({"price_per_unit": "0.0049"}, "EUR"),
        ({"price_per_unit": "0.4"}, "JPY"),
        ({"price_per_unit": "0.0004"}, "KWD"),
        ({"kind": "percentage", "percent": "0.4"}, "EUR"),
        ({"kind": "percentage", "percent": "10", "maximum": "0.5"}, "JPY"),
    ],
)
def test_a_price_whose_unit_rounds_to_nothing_is_warned_about(entry: dict[str, Any], currency: str) -> None:
    warning = zero_price_warning(price_of(entry, currency))
    assert warning is not None
    assert (
        f"is billed as {'0' if currency == 'JPY' else '0.000' if currency == 'KWD' else '0.00'} {currency}" in warning
    )


@pytest.mark.parametrize(
    "entry",
    [
        {"price_per_unit": "0.005"},
        {"price_per_unit": "0"},
        {"price_per_unit": "0.0049", "period_minimum": "1"},
        {"kind": "graduated", "tiers": [{"price_per_unit": "0.0049"}]},
        {"kind": "package", "package_size": "1000", "price_per_package": "0.004"},
        {"kind": "percentage", "percent": "0.4", "minimum": "0.001"},
        {"kind": "percentage", "percent": "10", "maximum": "0"},
        {"kind": "percentage", "percent": "0"},
    ],
)
def test_what_is_billed_or_meant_to_be_free_or_added_up_is_not(entry: dict[str, Any]) -> None:
    assert zero_price_warning(price_of(entry)) is None
