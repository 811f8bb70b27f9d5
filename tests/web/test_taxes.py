"""Taxes over HTTP, and where their keys are named: prices, fees, commitments and billing data."""

from typing import Any

import pytest

from tests.support.companies import BILLING
from tests.web.api_server import ApiServer
from tests.web.catalogue import CARD, changes, made, paths, stocked

VAT: dict[str, Any] = {"key": "vat", "name": "VAT 19%", "rate": "19.00", "category": "S"}


def test_a_tax_is_created_and_read(api: ApiServer) -> None:
    tax = made(api, "/v1/taxes", VAT)
    assert {name: tax[name] for name in ("key", "name", "rate", "category", "note")} == {
        "key": "vat",
        "name": "VAT 19%",
        "rate": "19",
        "category": "S",
        "note": None,
    }
    assert api.get("/v1/taxes/vat", scope="read") == tax
    assert api.get("/v1/taxes", scope="read") == {"data": [tax], "next_cursor": None}
    assert api.ask("POST", "/v1/taxes", VAT).status == 409


def test_versions_of_a_tax_are_kept_and_compared(api: ApiServer) -> None:
    made(api, "/v1/taxes", VAT)
    changed = api.ask("PATCH", "/v1/taxes/vat", {"rate": "16", "note": "Until December"})
    assert (changed.json["rate"], changed.json["note"], changed.json["version"]) == ("16", "Until December", 2)
    assert changed.headers["etag"] == '"2-2"'
    assert api.ask("PATCH", "/v1/taxes/vat", {"note": None}, headers={"If-Match": '"1-1"'}).status == 412
    compared = api.get("/v1/taxes/vat/compare?from=1&to=2")
    assert [one["words"] for one in compared["changes"]] == ['~ rate: "19" → "16"', '+ note: "Until December"']
    assert [one["version"] for one in api.pages("/v1/taxes/vat/versions?limit=1")] == [1, 2]
    assert api.get("/v1/taxes/vat?version=1")["rate"] == "19"
    assert [one["what"] for one in changes(api)] == ["tax.create", "tax.update"]


def test_an_archived_tax_is_hidden_and_can_still_be_named(api: ApiServer) -> None:
    made(api, "/v1/taxes", VAT)
    assert api.ask("DELETE", "/v1/taxes/vat").json["archived"] is True
    assert api.get("/v1/taxes")["data"] == []
    assert [one["key"] for one in api.get("/v1/taxes?archived=true")["data"]] == ["vat"]
    assert made(api, "/v1/customers", {"key": "acme", "billing": {"tax": "vat"}})["billing"] == {"tax": "vat"}
    assert api.ask("POST", "/v1/taxes/vat/restore").json["archived"] is False


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"rate": 19}, ["rate"]),
        ({"rate": "101"}, ["rate"]),
        ({"rate": "1.23456"}, ["rate"]),
        ({"category": "X"}, ["category"]),
        ({"category": "AE"}, ["rate"]),
        ({"rate": "0"}, ["rate"]),
        ({"rate": None, "category": None, "colour": "red"}, ["colour", "rate", "category"]),
    ],
)
def test_all_mistakes_are_told_at_once_with_their_paths(api: ApiServer, body: dict[str, Any], where: list[str]) -> None:
    assert paths(api.ask("POST", "/v1/taxes", VAT | body)) == where


def test_an_unknown_tax_is_a_mistake_wherever_it_is_named(api: ApiServer) -> None:
    stocked(api)
    made(api, "/v1/taxes", VAT)
    terms = {
        "entries": [{"agent": "support", "price_per_unit": "1", "tax": "vad"}],
        "fees": [{"key": "base", "amount": "9", "tax": "vad"}],
        "commitment": {"period_minimum": "5", "tax": "vad"},
    }
    where = ["entries[0].tax", "fees[0].tax", "commitment.tax"]
    assert paths(api.ask("PATCH", "/v1/rate-cards/standard", terms)) == where
    refused = api.ask("PATCH", "/v1/customers/acme", {**terms, "billing": {"tax": "vad"}})
    assert paths(refused) == [*where, "billing.tax"]
    assert {one["message"] for one in refused.error["details"]} == {'there is no tax "vad"; did you mean "vat"?'}


def test_the_tax_of_prices_fees_and_commitments_is_kept(api: ApiServer) -> None:
    stocked(api)
    made(api, "/v1/taxes", VAT)
    terms = {
        "entries": [{"agent": "support", "price_per_unit": "1", "tax": "vat"}],
        "fees": [{"key": "base", "amount": "9", "tax": "vat"}],
        "commitment": {"period_minimum": "5", "tax": "vat"},
    }
    for path in ("/v1/rate-cards/standard", "/v1/customers/acme"):
        assert api.ask("PATCH", path, terms).status == 200
        shown = api.get(path)
        assert shown["entries"] == [{"agent": "support", "kind": "flat", "price_per_unit": "1", "tax": "vat"}]
        assert shown["fees"] == [{"key": "base", "name": "base", "amount": "9", "tax": "vat"}]
        assert shown["commitment"] == {"period_minimum": "5", "tax": "vat"}


def test_a_price_without_a_tax_keeps_its_hash(api: ApiServer) -> None:
    stocked(api)
    made(api, "/v1/taxes", VAT)
    quoted = api.ask("POST", "/v1/rate-cards/standard/quote", {"outcomes": 1}).json
    entry = {**CARD["entries"][0], "tax": "vat"}
    assert api.ask("PATCH", "/v1/rate-cards/standard", {"entries": [entry]}).status == 200
    taxed = api.ask("POST", "/v1/rate-cards/standard/quote", {"outcomes": 1}).json
    assert (taxed["price"], taxed["total"]) == ({**quoted["price"], "tax": "vat"}, quoted["total"])
    assert taxed["price_hash"] != quoted["price_hash"]
    assert api.ask("PATCH", "/v1/rate-cards/standard", {"entries": CARD["entries"]}).status == 200
    again = api.ask("POST", "/v1/rate-cards/standard/quote", {"outcomes": 1}).json
    assert again["price_hash"] == quoted["price_hash"]


def test_billing_data_of_a_customer_are_replaced_as_a_whole(api: ApiServer) -> None:
    stocked(api)
    made(api, "/v1/taxes", VAT)
    assert api.get("/v1/customers/acme")["billing"] is None
    raw = BILLING | {"tax_id": "fr 40 303 265 045", "city": " Paris "}
    assert api.ask("PATCH", "/v1/customers/acme", {"billing": raw}).json["billing"] == BILLING
    assert api.ask("PATCH", "/v1/customers/acme", {"name": "Acme Inc."}).json["billing"] == BILLING
    assert api.ask("PATCH", "/v1/customers/acme", {"billing": {"city": "Lyon"}}).json["billing"] == {"city": "Lyon"}
    assert api.ask("PATCH", "/v1/customers/acme", {"billing": None}).json["billing"] is None


def test_all_mistakes_of_billing_data_are_told_at_once(api: ApiServer) -> None:
    stocked(api)
    billing = {"country": "Germany", "tax_id": "x\n", "address": "Main Street", "payment_terms_days": 400, "vat": "1"}
    assert paths(api.ask("PATCH", "/v1/customers/acme", {"billing": billing})) == [
        "billing.vat",
        "billing.address",
        "billing.country",
        "billing.payment_terms_days",
    ]
    assert paths(api.ask("PATCH", "/v1/customers/acme", {"billing": {"country": "DE", "tax_id": "DE12"}})) == [
        "billing.tax_id"
    ]
