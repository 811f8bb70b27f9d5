"""The page on exports explains every column, and no other."""

from tests.docs import exports, generate
from witnd.billing.export import csv_text, stripe

PAGE = (generate.ROOT / "docs/reference/exports.md").read_text()


def test_every_column_is_explained_and_no_other() -> None:
    assert set(exports.MEANINGS) == {name for columns in exports.MEMBERS.values() for name in columns}


def test_the_signs_that_are_made_safe_are_those_of_the_page() -> None:
    for sign in "=+-@":
        assert f"`{sign}`" in PAGE
        assert csv_text.escape_formula(sign) == "'" + sign


def test_the_limits_of_the_page_are_those_of_the_code() -> None:
    assert f"{stripe.ITEMS_MAX} items" in PAGE
    for currency in ("ISK", "UGX", "BHD", "JOD", "KWD", "OMR", "TND", "MGA"):
        assert f"`{currency}`" in PAGE, currency
