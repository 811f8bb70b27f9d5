"""Worked examples that other billing systems publish: the same prices and quantities come to the same amounts here.

Only numbers are taken from the pages that the cases name. What our kinds cannot say is not among them.
"""

from decimal import Decimal
from typing import Any

import pytest

from tests.support.pricing import bill, price_of


def tiers(*steps: tuple[object, ...]) -> list[dict[str, str]]:
    """(up to or None, price per unit, perhaps a flat fee)."""
    names = ("up_to", "price_per_unit", "flat_fee")
    return [{name: str(it) for name, it in zip(names, step, strict=False) if it is not None} for step in steps]


# https://docs.stripe.com/subscriptions/pricing-models/tiered-pricing
STRIPE = tiers((5, "7"), (10, "6.5"), (None, "6"))
# https://stripe.com/docs/billing/subscriptions/tiers
STRIPE_FIVE = tiers((5, "5"), (10, "4"), (15, "3"), (20, "2"), (None, "1"))
# https://getlago.com/docs/guide/plans/charges/charge-models/volume
LAGO_VOLUME = tiers((10000, "0.0010", 10), (50000, "0.0008", 10), (100000, "0.0006", 10), (None, "0.0004", 10))
# https://getlago.com/docs/guide/plans/charges/charge-models/package
LAGO_PACKAGE = {"kind": "package", "package_size": "100", "price_per_package": "5", "free_quota": "100"}
# https://getlago.com/docs/guide/plans/charges/charge-models/graduated
LAGO_GRADUATED = tiers((100, "1"), (200, "0.5"), (None, "0.1"))
# https://getlago.com/docs/guide/plans/charges/spending-minimum
LAGO_MINIMUM = {"price_per_unit": "0.010", "period_minimum": "100"}
# https://getlago.com/docs/guide/lago-cloud/contract-billing
LAGO_COMMITMENT = {"price_per_unit": "1", "period_minimum": "1000"}
# https://www.chargebee.com/docs/billing/2.0/product-catalog/package-pricing
CHARGEBEE_PACKAGE = {"kind": "package", "package_size": "1000000", "price_per_package": "1.25"}
# https://zuplo.com/docs/articles/monetization/pricing-models
ZUPLO = tiers((1000, "0.10"), (10000, "0.05"), (None, "0.01"))
# https://docs.useautumn.com/documentation/modelling-pricing/graduated-pricing
AUTUMN = tiers((1000, "0.01"), (10000, "0.008"), (None, "0.005"))
# https://docs.oracle.com/en/industries/financial-services/banking-liquidity-management-cloud-service/14.7.4.0.0/
# oblug/examples-tier-based-amount.html: with a unit, and without one (an amount for each slab)
ORACLE = tiers((250, "1"), (500, "2"), (None, "3"))
ORACLE_SLABS = tiers((250, "0", 10), (500, "0", 20), (None, "0", 30))
# https://docs.flexprice.io/docs/product-catalogue/plans/billing-models/flat-fee
FLEXPRICE_FLAT = {"price_per_unit": "0.05"}
# https://platform.toq.io/docs/how-fees-are-calculated (the variable part)
TOQ = {"kind": "percentage", "percent": "1.5", "minimum": "2", "maximum": "30"}
# https://www.neopost.com/neofunds/how-are-transaction-fees-assessed
NEOPOST = {"kind": "percentage", "percent": "1", "free_quota": "4000"}

CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("stripe volume 1", {"kind": "volume", "tiers": STRIPE}, "1", "7"),
    ("stripe volume 5", {"kind": "volume", "tiers": STRIPE}, "5", "35"),
    ("stripe volume 6", {"kind": "volume", "tiers": STRIPE}, "6", "39"),
    ("stripe volume 20", {"kind": "volume", "tiers": STRIPE}, "20", "120"),
    ("stripe volume 25", {"kind": "volume", "tiers": STRIPE}, "25", "150"),
    ("stripe graduated 5", {"kind": "graduated", "tiers": STRIPE}, "5", "35"),
    ("stripe five tiers volume 1", {"kind": "volume", "tiers": STRIPE_FIVE}, "1", "5"),
    ("stripe five tiers volume 5", {"kind": "volume", "tiers": STRIPE_FIVE}, "5", "25"),
    ("stripe five tiers volume 6", {"kind": "volume", "tiers": STRIPE_FIVE}, "6", "24"),
    ("stripe five tiers volume 20", {"kind": "volume", "tiers": STRIPE_FIVE}, "20", "40"),
    ("stripe five tiers volume 25", {"kind": "volume", "tiers": STRIPE_FIVE}, "25", "25"),
    ("stripe five tiers graduated 6", {"kind": "graduated", "tiers": STRIPE_FIVE}, "6", "29"),
    ("stripe per unit 25", {"price_per_unit": "5"}, "25", "125"),
    ("lago volume with a fee", {"kind": "volume", "tiers": LAGO_VOLUME}, "65000", "49"),
    ("lago package, first 100 free", LAGO_PACKAGE, "201", "10"),
    ("lago spending minimum", LAGO_MINIMUM, "5000", "100"),
    ("lago commitment, below", LAGO_COMMITMENT, "800", "1000"),
    ("lago commitment, above", LAGO_COMMITMENT, "1300", "1300"),
    ("chargebee package, begun", CHARGEBEE_PACKAGE, "10", "1.25"),
    ("chargebee package, exactly one", CHARGEBEE_PACKAGE, "1000000", "1.25"),
    ("chargebee package, one and a half", CHARGEBEE_PACKAGE, "1500000", "2.50"),
    ("zuplo graduated", {"kind": "graduated", "tiers": ZUPLO}, "15000", "600"),
    ("zuplo volume", {"kind": "volume", "tiers": ZUPLO}, "15000", "150"),
    ("zuplo per unit", {"price_per_unit": "0.001"}, "100000", "100"),
    ("autumn graduated", {"kind": "graduated", "tiers": AUTUMN}, "15000", "107"),
    ("oracle slabs by unit", {"kind": "graduated", "tiers": ORACLE}, "1000", "2250"),
    ("oracle slabs by amount", {"kind": "graduated", "tiers": ORACLE_SLABS}, "1000", "60"),
    ("oracle variable by unit", {"kind": "volume", "tiers": ORACLE}, "1000", "3000"),
    ("oracle variable by amount", {"kind": "volume", "tiers": ORACLE_SLABS}, "1000", "30"),
    ("flexprice flat", FLEXPRICE_FLAT, "1000", "50"),
    ("toq percentage, at most", TOQ, "49524", "30"),
    ("neopost percentage beyond a limit", NEOPOST, "5000", "10"),
]


@pytest.mark.parametrize(("entry", "quantity", "total"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_published_example_comes_to_the_published_amount(entry: dict[str, Any], quantity: str, total: str) -> None:
    assert bill(price_of(entry, "USD"), [quantity]).total == Decimal(total)


@pytest.mark.parametrize(
    ("entry", "quantity", "total"),
    [case[1:] for case in CASES if case[1].get("kind") != "percentage"],
    ids=[case[0] for case in CASES if case[1].get("kind") != "percentage"],
)
def test_it_does_so_in_several_outcomes_too(entry: dict[str, Any], quantity: str, total: str) -> None:
    whole = int(quantity)
    parts = [whole // 3, whole // 2, whole - whole // 3 - whole // 2]
    assert bill(price_of(entry, "USD"), parts).total == Decimal(total)


@pytest.mark.parametrize(
    ("entry", "quantity", "kind", "amount"),
    [
        # The difference to the minimum is a line of its own, with these amounts on Lago's two pages.
        (LAGO_MINIMUM, 5000, "minimum", "50.00"),
        (LAGO_COMMITMENT, 800, "minimum", "200.00"),
        # The fee that is part of Lago's 49.
        ({"kind": "volume", "tiers": LAGO_VOLUME}, 65000, "fee", "10.00"),
    ],
)
def test_published_lines_besides_the_usage(entry: dict[str, Any], quantity: int, kind: str, amount: str) -> None:
    [line] = bill(price_of(entry, "USD"), [quantity]).adjustments
    assert (line.kind, line.amount) == (kind, Decimal(amount))


def test_a_free_quantity_is_used_up_in_order() -> None:
    # https://openmeter.io/docs/billing/invoicing/discounts: 500 free of 300, 250 and 100 leave 0, 50 and 100
    billed = bill(price_of({"price_per_unit": "1", "free_quota": "500"}), [300, 250, 100])
    assert [line.working["charged"] for line in billed.lines if line.working] == ["0", "50", "100"]


def test_a_bounded_percentage() -> None:
    # https://www.starkode.com/cs/aplikace/podpora/obchod/dokumenty/poplatky: 3 is raised to 5, 15 is cut to 10
    price = price_of({"kind": "percentage", "percent": "100", "minimum": "5", "maximum": "10"}, "USD")
    assert [line.amount for line in bill(price, [3, 7, 15]).lines] == [5, 7, 10]


def test_three_prices_of_one_page_by_hand() -> None:
    # Lago's graduated page gives prices and borders but no sum: 100 × 1 + 100 × 0.5 + 50 × 0.1
    price = price_of({"kind": "graduated", "tiers": LAGO_GRADUATED}, "USD")
    assert bill(price, [250]).total == Decimal("155.00")
