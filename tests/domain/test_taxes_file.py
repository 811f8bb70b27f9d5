"""The seller, taxes and billing data in a catalogue file: references, differences and the way back to a file."""

import tomli_w

from tests.support.catalogues import agent, catalogue, made, rate_card
from tests.support.companies import BILLING, LOGO, SELLER, TAX
from tests.support.pricing import price_of
from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry
from witnd.domain.catalogue.file import parse, reference_mistakes, to_document
from witnd.domain.catalogue.plan import lines, plan
from witnd.domain.values.canonical import digest

FULL = """
[[taxes]]
key = "vat"
rate = "19"
category = "S"

[[agents]]
key = "support"
condition = []

[[rate_cards]]
key = "standard"
currency = "EUR"
entries = [{ agent = "support", price_per_unit = "0.99", tax = "vat" }]
fees = [{ key = "base", amount = "49", tax = "vat" }]
commitment = { period_minimum = "500", tax = "vat" }

[[customers]]
key = "acme"
rate_card = "standard"
entries = [{ agent = "support", price_per_unit = "0.50", tax = "vat" }]
fees = [{ key = "base", amount = "9", tax = "vat" }]
commitment = { period_minimum = "5", tax = "vat" }

[customers.billing]
city = "Paris"
tax = "vat"
"""
COMMITMENT = 'commitment = { period_minimum = "500", tax = "vat" }'


def planned(text: str, current: Catalogue) -> list[str]:
    file = parse(text, current)
    assert (*file.mistakes, *reference_mistakes(file, current)) == ()
    return lines(plan(current, file.items, seed=b"").differences)


def applied(text: str) -> Catalogue:
    current = Catalogue()
    for one in plan(current, parse(text).items, seed=b"").changes:
        current.add(
            CatalogueEntry(kind=one.kind, key=one.key, effective_from=0, archived=one.archived, content=one.content)
        )
    return current


def test_every_unknown_tax_is_a_mistake_with_a_suggestion() -> None:
    file = parse(FULL.replace('tax = "vat"', 'tax = "vad"'))
    assert file.mistakes == ()
    found = reference_mistakes(file, Catalogue())
    assert [one.path for one in found] == [
        "customers[0].entries[0].tax",
        "customers[0].fees[0].tax",
        "customers[0].commitment.tax",
        "customers[0].billing.tax",
        "rate_cards[0].entries[0].tax",
        "rate_cards[0].fees[0].tax",
        "rate_cards[0].commitment.tax",
    ]
    assert {one.message for one in found} == {'there is no tax "vad"; did you mean "vat"?'}


def test_a_tax_of_the_catalogue_can_be_named() -> None:
    known = catalogue(agent(), rate_card(), made("tax", "vat", 0, TAX, archived=True))
    assert planned(FULL[FULL.index("[[customers]]") :], known)[0] == '+ customer "acme"'


def test_the_seller_is_one_table() -> None:
    file = parse('[seller]\nname = "Kontor"\n')
    assert [(one.kind, one.key, one.path) for one in file.items] == [("seller", "seller", "seller")]
    [wrong] = parse('[[seller]]\nname = "Kontor"\n').mistakes
    assert str(wrong) == "seller: must be a table, got a list; write [seller] once"
    [wrong] = parse('[seller]\nkey = "kontor"\nname = "Kontor"\narchived = 1').mistakes[1:]
    assert str(wrong).startswith("seller.key: is not a known field; known fields are name, address")


def test_a_difference_shows_the_size_of_a_logo_and_its_fingerprint() -> None:
    text = tomli_w.dumps({"seller": SELLER})
    found = planned(text, Catalogue())
    assert found[0] == "+ seller"
    assert '    + address: ["Hafenstraße 1", "Hof 2"]' in found
    [logo] = [line for line in found if "logo" in line]
    assert logo.startswith("    + logo: (PNG, 1 KB, fingerprint ")
    assert LOGO not in "\n".join(found)
    assert planned(text, applied(text)) == ["= unchanged: seller"]


def test_billing_data_and_taxes_are_compared_field_by_field() -> None:
    text = FULL.replace('city = "Paris"\n', 'country = "FR"\n').replace(COMMITMENT, "")
    text = text.replace('price_per_unit = "0.99", tax = "vat"', 'price_per_unit = "0.99"').replace('"19"', '"19.5"')
    assert planned(text, applied(FULL)) == [
        '~ tax "vat"',
        '    ~ rate: "19" → "19.5"',
        '~ customer "acme"',
        '    + billing.country: "FR"',
        '    - billing.city: "Paris"',
        '~ rate card "standard"',
        '    - entries[support].tax: "vat"',
        '    - commitment.period_minimum: "500"',
        '    - commitment.tax: "vat"',
        '= unchanged: agent "support"',
    ]


def test_a_document_reads_back_as_the_same_catalogue() -> None:
    customers = tomli_w.dumps({"seller": SELLER, "customers": [{"key": "beta", "billing": BILLING}]})
    current = applied(customers + FULL)
    document = to_document(current)
    assert list(document) == ["seller", "taxes", "customers", "agents", "rate_cards"]
    assert document["seller"] == SELLER
    assert document["customers"][1] == {"key": "beta", "name": "beta", "billing": BILLING}
    again = tomli_w.dumps(document)
    assert {line.partition(" ")[0] for line in planned(again, current)} == {"="}


def test_a_tax_is_part_of_the_hash_of_a_price_only_if_it_has_one() -> None:
    entry = {"price_per_unit": "1"}
    plain, taxed = price_of(entry), price_of(entry | {"tax": "vat"})
    assert (plain.tax, taxed.tax) == (None, "vat")
    assert plain.hash == digest({"rate_card": "card", "currency": "EUR", "agent": "a", "kind": "flat"} | entry)
    assert taxed.content == plain.content | {"tax": "vat"}
    assert taxed.hash == digest(taxed.content) != plain.hash
    assert taxed.entry == {"agent": "a", "kind": "flat", "price_per_unit": "1", "tax": "vat"}


def test_a_price_of_a_customer_has_the_tax_of_its_own_entry() -> None:
    current = applied(FULL.replace('price_per_unit = "0.99", tax = "vat"', 'price_per_unit = "0.99"'))
    customer = current.customer("acme", 0)
    assert customer is not None
    price = current.price(customer, "support", 0)
    assert (price.tax, price.customer) == ("vat", "acme")  # type: ignore[union-attr]
