"""Customers over HTTP: their card, their own prices and terms, and what they refer to."""

import pytest

from tests.support.processes import until
from tests.web.api_server import ApiServer
from tests.web.catalogue import AGENT, CARD, CUSTOMER, changes, made, paths, stocked


def test_a_customer_is_created_and_read(api: ApiServer) -> None:
    stocked(api)
    customer = api.get("/v1/customers/acme", scope="read")
    assert {name: customer[name] for name in CUSTOMER} == CUSTOMER
    assert (customer["entries"], customer["agents"]) == ([], [])
    assert (customer["version"], customer["archived"]) == (1, False)
    assert api.get("/v1/customers", scope="read") == {"data": [customer], "next_cursor": None}
    assert [one["key"] for one in api.deployment.json("customers")["data"]] == ["acme"]


def test_a_customer_may_have_prices_and_terms_of_its_own(api: ApiServer) -> None:
    stocked(api)
    own = {
        "entries": [{"agent": "support", "price_per_unit": "0.80"}],
        "agents": [{"agent": "support", "settlement_period": 86400}],
    }
    answer = api.ask("PATCH", "/v1/customers/acme", own)
    assert answer.status == 200, answer.body
    customer = answer.json
    assert customer["entries"] == [{"agent": "support", "kind": "flat", "price_per_unit": "0.8"}]
    assert customer["agents"] == own["agents"]
    assert (customer["name"], customer["rate_card"]) == ("Acme", "standard")
    api.ask("PATCH", "/v1/customers/acme", {"email": None})
    assert api.get("/v1/customers/acme")["entries"] == customer["entries"]
    cleared = api.ask("PATCH", "/v1/customers/acme", {"entries": None, "agents": []}).json
    assert (cleared["entries"], cleared["agents"], cleared["version"]) == ([], [], 4)


def test_what_a_customer_refers_to_must_be_there(api: ApiServer) -> None:
    stocked(api)
    body = {
        "key": "other",
        "rate_card": "standart",
        "entries": [{"agent": "sales", "price_per_unit": "1"}],
        "agents": [{"agent": "suport", "name": "x"}],
    }
    answer = api.ask("POST", "/v1/customers", body)
    assert paths(answer) == ["rate_card", "entries[0].agent", "agents[0].agent"]
    messages = [detail["message"] for detail in answer.error["details"]]
    assert 'did you mean "standard"?' in messages[0]
    assert "create it first" in messages[1]
    assert paths(api.ask("PATCH", "/v1/customers/acme", {"rate_card": "gone"})) == ["rate_card"]


def test_all_mistakes_are_told_at_once_with_their_paths(api: ApiServer) -> None:
    stocked(api)
    body = {
        "key": "",
        "email": "nobody",
        "colour": "red",
        "entries": [
            {
                "agent": "support",
                "kind": "graduated",
                "tiers": [{"up_to": "10", "price_per_unit": "1"}, {"up_to": "5", "price_per_unit": 1}],
            }
        ],
        "agents": [{"agent": "support", "condition": [{"fact": "a", "operator": "count_gte", "value": -1}]}],
    }
    assert sorted(set(paths(api.ask("POST", "/v1/customers", body)))) == [
        "agents[0].condition[0].value",
        "colour",
        "email",
        "entries[0].tiers[1].price_per_unit",
        "entries[0].tiers[1].up_to",
        "key",
        "rate_card",
    ]


def test_a_customer_is_created_once_and_changed_only_where_it_differs(api: ApiServer) -> None:
    stocked(api)
    assert api.ask("POST", "/v1/customers", CUSTOMER).status == 409
    before = len(changes(api))
    assert api.ask("PATCH", "/v1/customers/acme", CUSTOMER).json["versions"] == 1
    assert len(changes(api)) == before


def test_archiving_hides_a_customer_until_it_is_restored(api: ApiServer) -> None:
    stocked(api)
    assert api.ask("DELETE", "/v1/customers/acme").json["archived"] is True
    assert api.get("/v1/customers")["data"] == []
    assert api.get("/v1/customers/acme")["archived"] is True
    assert api.ask("POST", "/v1/customers/acme/restore").json["archived"] is False
    found = api.get("/v1/customers/acme/versions")["data"]
    assert [[one["path"] for one in version["changes"]] for version in found[1:]] == [["archived"], ["archived"]]
    assert [one["path"] for one in api.get("/v1/customers/acme/compare?from=1&to=2")["changes"]] == ["archived"]


def test_customers_are_listed_by_their_card_page_by_page(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    # A page that has looked at enough keys ends before it is full, and says how to go on.
    monkeypatch.setattr("witnd.app.catalogue.read.LOOKED_AT_MAX", 5)
    stocked(api)
    made(api, "/v1/rate-cards", {"key": "other", "currency": "USD"})
    for number in range(12):
        made(api, "/v1/customers", {"key": f"c{number:02}", "rate_card": "other" if number % 4 == 0 else "standard"})
    assert [one["key"] for one in api.pages("/v1/customers?limit=2&rate_card=other")] == ["c00", "c04", "c08"]
    assert [one["key"] for one in api.pages("/v1/customers?limit=3")] == ["acme", *[f"c{n:02}" for n in range(12)]]
    assert api.pages("/v1/customers?rate_card=none") == []


def test_held_events_are_placed_when_their_customer_is_created(api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    api.ask("POST", "/v1/events", {"key": "ticket-4711", "action": "replied", "customer_key": "acme"})
    made(api, "/v1/rate-cards", CARD)
    made(api, "/v1/customers", CUSTOMER)
    until(lambda: api.deployment.call("ZSCORE", "witn:{0}:due", "ticket-4711") is not None, "the outcome is open")


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/v1/customers", "read"),
        ("PATCH", "/v1/customers/acme", "ingest"),
        ("DELETE", "/v1/customers/acme", "read"),
        ("POST", "/v1/customers/acme/restore", "read"),
        ("GET", "/v1/customers/acme", "ingest"),
        ("GET", "/v1/customers/acme/versions", "ingest"),
        ("GET", "/v1/customers/acme/compare", "ingest"),
    ],
)
def test_scopes_are_kept(api: ApiServer, method: str, path: str, scope: str) -> None:
    assert api.ask(method, path, {}, scope=scope).status == 403


@pytest.mark.parametrize("path", ["", "/versions", "/compare?from=1&to=1"])
def test_what_is_not_there_is_not_found(api: ApiServer, path: str) -> None:
    assert api.ask("GET", f"/v1/customers/nobody{path}").status == 404
    assert api.ask("PATCH", "/v1/customers/nobody", {"name": "x"}).status == 404
    assert api.ask("DELETE", "/v1/customers/nobody").status == 404


def test_a_body_may_have_256_kib(api: ApiServer) -> None:
    assert api.ask("POST", "/v1/customers", b"x" * (256 * 1024 + 1)).status == 413


def test_own_prices_keep_their_currency_unless_they_are_written_again(api: ApiServer) -> None:
    stocked(api)
    made(api, "/v1/rate-cards", CARD | {"key": "dollar", "currency": "USD"})
    own = {"entries": [{"agent": "support", "price_per_unit": "15"}]}
    assert api.ask("PATCH", "/v1/customers/acme", own).status == 200
    assert paths(api.ask("PATCH", "/v1/rate-cards/standard", {"currency": "USD"})) == ["currency"]
    later = {"currency": "USD", "effective_from": "2999-01-01T00:00:00Z"}
    assert paths(api.ask("PATCH", "/v1/rate-cards/standard", later)) == ["currency"]
    assert paths(api.ask("PATCH", "/v1/customers/acme", {"rate_card": "dollar"})) == ["entries"]
    moved = api.ask("PATCH", "/v1/customers/acme", {"rate_card": "dollar"} | own)
    assert (moved.status, moved.json["version"]) == (200, 3), moved.body
    assert api.ask("PATCH", "/v1/rate-cards/standard", {"currency": "USD"}).status == 200


def test_a_price_whose_unit_rounds_to_nothing_is_answered_with_a_warning(api: ApiServer) -> None:
    stocked(api)
    assert "warnings" not in api.get("/v1/rate-cards/standard")
    entries = [{"agent": "support", "price_per_unit": "0.0049"}]
    [warning] = api.ask("PATCH", "/v1/rate-cards/standard", {"entries": entries}).json["warnings"]
    assert warning.startswith('agent "support": an outcome of 1 unit costs 0.0049 EUR and is billed as 0.00 EUR')
    assert api.ask("PATCH", "/v1/customers/acme", {"entries": entries}).json["warnings"] == [warning]
    quote = api.ask("POST", "/v1/rate-cards/standard/quote", {"outcomes": 1000}).json
    assert (quote["total"], quote["warnings"]) == ("0.00", [warning])
