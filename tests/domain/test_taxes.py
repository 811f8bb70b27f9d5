"""The seller, buyers and taxes: what is read, every mistake with its remedy, and what is in effect at an instant."""

from base64 import b64encode
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.catalogues import catalogue, customer, made, rate_card
from tests.support.companies import BILLING, LOGO, SELLER, TAX, png
from witnd.domain.catalogue.buyer import Buyer
from witnd.domain.catalogue.customer import Customer, read_customer
from witnd.domain.catalogue.seller import FIELDS, Seller, read_seller
from witnd.domain.catalogue.tax import CATEGORIES, Tax, read_tax

NO_ZERO = "write the rate, or one of the categories Z, E, AE, K, G, O"
ALL_CATEGORIES = (
    "write one of S (standard rate), Z (zero rate), E (exempt from tax), AE (reverse charge), "
    "K (intra-Community supply), G (export outside the EU), O (outside the scope of tax)"
)


def seller_mistakes(**changes: Any) -> dict[str, str]:
    return {one.path: one.message for one in read_seller({"name": "Kontor"} | changes, "seller")[1]}


def billing_mistakes(**raw: Any) -> dict[str, str]:
    return {one.path: one.message for one in read_customer("acme", {"billing": raw}, "customers[0]")[1]}


def tax_mistakes(**changes: Any) -> dict[str, str]:
    raw = {"rate": "19", "category": "S"} | changes
    return {one.path: one.message for one in read_tax("vat", raw, "taxes[0]")[1]}


def test_every_field_of_the_seller_is_read() -> None:
    assert read_seller(SELLER, "seller") == (SELLER, [])
    assert set(SELLER) == set(FIELDS)
    found = Seller.from_content(SELLER)
    assert (found.name, found.address, found.payment_terms_days) == ("Kontor GmbH", ("Hafenstraße 1", "Hof 2"), 14)


def test_a_seller_needs_only_a_name() -> None:
    content, wrong = read_seller({"name": " Kontor ", "email": None}, "seller")
    assert (content, wrong) == ({"name": "Kontor", "payment_terms_days": 30, "locale": "en"}, [])
    assert Seller.from_content(content) == Seller(name="Kontor")


def test_identifiers_are_stored_in_their_compact_form() -> None:
    raw = SELLER | {"tax_id": "de 136 695 976", "iban": "DE89 3704 0044 0532 0130 00", "bic": "cobadeffxxx"}
    assert read_seller(raw | {"logo": f"\n{LOGO}\n"}, "seller") == (SELLER, [])


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("name", None, "is missing; write the name of the company that issues the invoices"),
        ("name", "  ", "is empty; write 1 to 255 characters"),
        ("name", "a\nb", "contains a line break or another control character; remove it"),
        ("footer", "a\x00b", "contains a control character; remove it"),
        ("footer", "a" * 1001, "has 1001 characters; shorten it to at most 1000"),
        ("city", 7, "must be text, got 7; write it in quotes"),
        (
            "address",
            "Hafenstraße 1",
            'must be a list of lines, got "Hafenstraße 1"; write a list such as ["Hafenstraße 1", "2nd floor"]',
        ),
        ("address", ["a"] * 11, "has 11 lines; write at most 10"),
        ("country", "Germany", '"Germany" is not a country; did you mean "DE"?'),
        ("country", 49, "must be text, got 49; write it in quotes"),
        (
            "tax_id",
            "DE136695977",
            '"DE136695977" is not an EU VAT number; its check digits do not match: look for a typo',
        ),
        ("email", "nobody", 'is "nobody"; write an address such as billing@acme.com'),
        ("iban", "DE1", '"DE1" is not an IBAN; its check digits do not match: look for a typo'),
        ("bic", "X", '"X" is not a BIC; it has too few or too many characters'),
        (
            "logo",
            "R0lGODlh",
            "is not a PNG image; write the base64 text of a PNG file, such as the output of `base64 logo.png`",
        ),
        ("logo", "A" * 400_000, "has 300 KB; use an image of at most 200 KB"),
        ("logo", 1, "must be text, got 1; write it in quotes"),
        ("payment_terms_days", 366, "is 366; write 0 to 365 days"),
        ("payment_terms_days", -1, "is -1; write 0 to 365 days"),
        ("payment_terms_days", 1.5, "is 1.5; write whole days without quotes"),
        ("payment_terms_days", "30", 'is "30"; write whole days without quotes'),
        ("payment_terms_days", True, "is true; write whole days without quotes"),
        ("locale", "es", 'is "es"; write one of en, de, fr'),
        ("vat_id", "x", "is not a known field; did you mean tax_id?"),
    ],
)
def test_each_mistake_of_a_seller_has_its_path_and_a_remedy(field: str, value: object, problem: str) -> None:
    assert seller_mistakes(**{field: value}) == {f"seller.{field}": problem}


def test_all_mistakes_are_reported_at_once() -> None:
    raw = {"address": ["a", "", "b\nc"], "country": "ZZ", "tax_id": "DE12", "locale": "xx", "logo": "?", "iban": "1"}
    assert list(seller_mistakes(**raw)) == [
        "seller.address[1]",
        "seller.address[2]",
        "seller.country",
        "seller.locale",
        "seller.iban",
        "seller.logo",
    ]


def test_billing_data_of_a_customer_are_read() -> None:
    content, wrong = read_customer("acme", {"billing": BILLING}, "customers[0]")
    assert (content["billing"], wrong) == (BILLING, [])
    buyer = Customer.from_content("acme", content).billing
    assert buyer is not None
    assert (buyer.legal_name, buyer.address, buyer.tax) == ("Acme Incorporated", ("1 Main Street",), "vat")


def test_a_customer_without_billing_data_has_no_buyer() -> None:
    for raw in ({}, {"billing": None}, {"billing": {}}, {"billing": {"city": None, "address": []}}):
        content, wrong = read_customer("acme", raw, "")
        assert (content, wrong) == ({"name": "acme", "email": None, "rate_card": None}, [])
        assert Customer.from_content("acme", content).billing is None
    content, _ = read_customer("acme", {"billing": {"city": "Paris"}}, "")
    assert Customer.from_content("acme", content).billing == Buyer(city="Paris")


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("legal_name", "", "is empty; write 1 to 255 characters"),
        ("country", "fr", '"fr" is not a country; did you mean "FR"?'),
        ("tax_id", "FR1", '"FR1" is not an EU VAT number; check its prefix, letters and digits'),
        ("email", "x", 'is "x"; write an address such as billing@acme.com'),
        ("payment_terms_days", 400, "is 400; write 0 to 365 days"),
        ("tax", 19, "must be text, got 19; write it in quotes"),
        ("locale", "EN", 'is "EN"; write one of en, de, fr'),
        ("taxid", "x", "is not a known field; did you mean tax_id?"),
    ],
)
def test_each_mistake_of_billing_data_has_its_path_and_a_remedy(field: str, value: object, problem: str) -> None:
    assert billing_mistakes(**{field: value}) == {f"customers[0].billing.{field}": problem}


def test_billing_must_be_a_table() -> None:
    wrong = read_customer("acme", {"billing": "Acme"}, "customers[0]")[1]
    assert [str(one) for one in wrong] == ['customers[0].billing: must be a table of fields, got "Acme"']


def test_a_tax_is_read() -> None:
    assert read_tax("vat", TAX, "") == (TAX, [])
    assert read_tax("vat", {"rate": "07.50", "category": "S"}, "") == (
        {"name": "vat", "rate": "7.5", "category": "S"},
        [],
    )
    assert Tax.from_content("vat", TAX) == Tax(
        key="vat", name="VAT 19%", rate=Decimal(19), category="S", note="Umsatzsteuer"
    )


@pytest.mark.parametrize(
    ("changes", "path", "problem"),
    [
        ({"rate": None}, "rate", 'is missing; write it as a string, such as "19"'),
        ({"rate": 19}, "rate", 'is 19; write it as a string, such as "19"'),
        ({"rate": "-1"}, "rate", '"-1" must not be negative; write 0 for something free'),
        ({"rate": "19%"}, "rate", '"19%" must be a plain decimal number such as "0.99": digits, one point, digits'),
        ({"rate": "100.01"}, "rate", 'is "100.01"; write a percentage from 0 to 100'),
        ({"rate": "1.23456"}, "rate", "has 5 digits after the point; write at most 4"),
        ({"rate": "0"}, "rate", f"must be above 0 in category S (standard rate); {NO_ZERO}"),
        ({"category": "AE"}, "rate", 'must be 0 in category AE (reverse charge); write "0", or the category S'),
        ({"category": None}, "category", f"is missing; {ALL_CATEGORIES}"),
        ({"category": "s"}, "category", f'is "s"; {ALL_CATEGORIES}'),
        ({"name": ""}, "name", "is empty; write 1 to 255 characters"),
        ({"note": "\x07"}, "note", "contains a control character; remove it"),
        ({"rates": "1"}, "rates", "is not a known field; did you mean rate?"),
    ],
)
def test_each_mistake_of_a_tax_has_its_path_and_a_remedy(changes: dict[str, Any], path: str, problem: str) -> None:
    assert tax_mistakes(**changes) == {f"taxes[0].{path}": problem}


@pytest.mark.parametrize("key", [" ", "a\nb", "\x7f"])
def test_the_key_of_a_tax_can_be_printed(key: str) -> None:
    assert [one.path for one in read_tax(key, {"rate": "19", "category": "S"}, "taxes[0]")[1]] == ["taxes[0].key"]


@given(category=st.sampled_from(sorted(CATEGORIES)), rate=st.integers(0, 1_000_000).map(lambda n: Decimal(n) / 10_000))
def test_only_the_standard_rate_is_above_0(category: str, rate: Decimal) -> None:
    wrong = tax_mistakes(category=category, rate=str(rate))
    assert (wrong == {}) == ((rate > 0) == (category == "S"))


def test_the_seller_in_effect_is_found_unless_it_is_archived() -> None:
    found = catalogue(
        made("seller", "seller", 10, {"name": "First"}, archived=False),
        made("seller", "seller", 20, {"name": "Second"}, archived=False),
        made("seller", "seller", 30, {"name": "Second"}, archived=True),
    )
    names = [None if one is None else one.name for one in map(found.seller, (9, 10, 19, 20, 30))]
    assert names == [None, "First", "First", "Second", None]
    assert catalogue().seller(10) is None


def test_the_tax_in_effect_is_found_and_before_its_first_version_that_one() -> None:
    found = catalogue(
        made("tax", "vat", 10, TAX, archived=False),
        made("tax", "vat", 20, TAX | {"rate": "16"}, archived=True),
    )
    rates = [None if one is None else one.rate for one in (found.tax("vat", at) for at in (0, 10, 19, 20))]
    assert rates == [19, 19, 19, 16]
    assert found.tax("unknown", 20) is None


def test_customers_carry_their_billing_data_by_version() -> None:
    found = catalogue(rate_card(), customer(at=0), customer(at=5, billing=BILLING))
    buyers = [one.billing for at in (0, 5) if (one := found.customer("acme", at)) is not None]
    assert buyers == [None, Buyer.from_content(BILLING)]


def test_a_large_logo_is_accepted() -> None:
    text = b64encode(png(width=100, height=100, padding=150_000)).decode()
    assert read_seller({"name": "Kontor", "logo": text}, "")[0]["logo"] == text
