"""The page on rate cards names every field and every member of a working."""

from decimal import Decimal

import pytest

from tests.docs import rate_cards
from tests.support.pricing import bill, price_of
from witnd.domain.catalogue import file as catalogue_file
from witnd.domain.pricing.entry import TIER_FIELDS
from witnd.domain.pricing.ratecard import ENTRY_FIELDS

PAGE = rate_cards.PAGE.read_text()
TIERS = [{"up_to": "1", "price_per_unit": "2", "flat_fee": "1"}, {"price_per_unit": "1"}]


@pytest.mark.parametrize("field", [*ENTRY_FIELDS, *TIER_FIELDS])
def test_every_field_is_on_the_page(field: str) -> None:
    assert f"`{field}`" in PAGE


@pytest.mark.parametrize(
    "entry",
    [
        {"price_per_unit": "1", "period_minimum": "99"},
        {"kind": "graduated", "tiers": TIERS, "period_cap": "1"},
        {"kind": "volume", "tiers": TIERS, "free_quota": "1"},
        {"kind": "package", "package_size": "3", "price_per_package": "2"},
        {"kind": "percentage", "percent": "1", "minimum": "1"},
        {"kind": "percentage", "percent": "1", "maximum": "0", "free_quota": "1"},
    ],
)
def test_every_member_of_a_working_is_on_the_page(entry: dict[str, str]) -> None:
    billed = bill(price_of(entry), [Decimal(3), Decimal(2)])
    members = {name for one in (*billed.lines, *billed.adjustments) for name in one.working or {}}
    assert members
    assert [name for name in sorted(members) if f"`{name}`" not in PAGE.partition("## Workings")[2]] == []


def test_the_card_of_the_page_is_sound() -> None:
    file = catalogue_file.parse(rate_cards.catalogue())
    assert file.mistakes == ()
    assert {entry["kind"] for item in file.items if item.kind == "rate_card" for entry in item.content["entries"]} == {
        "flat", "graduated", "volume", "package", "percentage",
    }  # fmt: skip
