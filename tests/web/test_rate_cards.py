"""Rate cards over HTTP: versions, and what outcomes would cost on a card, saved or not."""

import time
from typing import Any

import pytest

from tests.web.api_server import ApiServer
from tests.web.catalogue import AGENT, CARD, made, paths, stocked
from witnd.domain.values import instant

TIERED = {
    "agent": "support",
    "kind": "graduated",
    "free_quota": "10",
    "tiers": [{"up_to": "100", "price_per_unit": "2"}, {"price_per_unit": "1.25", "flat_fee": "20"}],
}


def test_a_rate_card_is_created_and_read(api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    card = made(api, "/v1/rate-cards", CARD)
    assert (card["key"], card["currency"], card["version"]) == ("standard", "EUR", 1)
    assert card["entries"] == [{"agent": "support", "kind": "flat", "price_per_unit": "0.995"}]
    assert card["words"] == {"support": "0.995 per unit"}
    assert api.get("/v1/rate-cards/standard", scope="read") == card
    del card["words"]
    assert api.get("/v1/rate-cards", scope="read") == {"data": [card], "next_cursor": None}


def test_all_mistakes_are_told_at_once_with_their_paths(api: ApiServer) -> None:
    body = {
        "key": "Standard!",
        "currency": "eur",
        "name": "no such field",
        "entries": [
            {"agent": "support", "price_per_unit": 0.99},
            {"agent": "sales", "kind": "volume", "tiers": [{"price_per_unit": "1"}, {"price_per_unit": "-1"}]},
        ],
    }
    assert sorted(paths(api.ask("POST", "/v1/rate-cards", body))) == [
        "currency",
        "entries[0].agent",
        "entries[0].price_per_unit",
        "entries[1].agent",
        "entries[1].tiers[0].up_to",
        "entries[1].tiers[1].price_per_unit",
        "key",
        "name",
    ]


def test_versions_are_kept_and_compared(api: ApiServer) -> None:
    stocked(api)
    changed = api.ask("PATCH", "/v1/rate-cards/standard", {"entries": [TIERED]}).json
    assert (changed["version"], changed["currency"]) == (2, "EUR")
    assert changed["words"] == {"support": "graduated: 2 up to 100, 1.25 and a fee of 20 beyond; 10 units free"}
    assert api.ask("PATCH", "/v1/rate-cards/standard", {"entries": [TIERED]}).json["versions"] == 2
    compared = api.get("/v1/rate-cards/standard/compare?from=1&to=2")
    assert '~ entries[support].kind: "flat" → "graduated"' in [one["words"] for one in compared["changes"]]
    assert [one["version"] for one in api.pages("/v1/rate-cards/standard/versions?limit=1")] == [1, 2]
    assert api.get("/v1/rate-cards/standard?version=1")["words"] == {"support": "0.995 per unit"}


def test_an_archived_card_is_hidden_and_keeps_its_prices(api: ApiServer) -> None:
    stocked(api)
    assert api.ask("POST", "/v1/rate-cards", CARD).status == 409
    assert api.ask("DELETE", "/v1/rate-cards/standard").json["archived"] is True
    assert api.get("/v1/rate-cards")["data"] == []
    assert len(api.get("/v1/rate-cards?archived=true")["data"]) == 1
    assert api.get("/v1/customers/acme")["rate_card"] == "standard"
    assert api.ask("POST", "/v1/rate-cards/standard/quote", {"outcomes": 1}).status == 200
    assert api.ask("POST", "/v1/rate-cards/standard/restore").json["archived"] is False


def test_cards_are_listed_page_by_page(api: ApiServer) -> None:
    for number in range(7):
        made(api, "/v1/rate-cards", {"key": f"card-{number}", "currency": "EUR"})
    assert [one["key"] for one in api.pages("/v1/rate-cards?limit=3")] == [f"card-{number}" for number in range(7)]


# -- what it would cost -----------------------------------------------------------------------------------------------


def test_a_card_says_what_outcomes_would_cost_and_why(api: ApiServer) -> None:
    stocked(api)
    answer = api.ask("POST", "/v1/rate-cards/standard/quote", {"agent": "support", "units": ["1", "2.5"]}, scope="read")
    assert answer.status == 200, answer.body
    quote = answer.json
    assert (quote["total"], quote["currency"], quote["rated"]) == ("3.49", "EUR", "at_settlement")
    assert (quote["outcomes"], quote["units"], quote["words"]) == (2, "3.5", "0.995 per unit")
    assert [(line["amount"], line["amount_exact"]) for line in quote["lines"]] == [
        ("1.00", "0.995"),
        ("2.49", "2.4875"),
    ]
    assert quote["lines"][0]["words"] == "1 × 0.995"
    assert [(row["what"], row["amount"]) for row in quote["rows"]] == [
        ("units", "3.4825"),
        ("rounding of each outcome", "0.0075"),
    ]
    assert api.deployment.json("rate", "standard", "support", "--units", "1,2.5")["total"] == quote["total"]


def test_a_card_that_is_not_saved_says_it_too(api: ApiServer) -> None:
    body = {"currency": "EUR", "entries": [TIERED, {"agent": "sales", "price_per_unit": "3"}], "outcomes": 250}
    quote = api.ask("POST", "/v1/rate-cards/quote", {**body, "agent": "support"}, scope="read").json
    assert quote["total"] == "395.00"  # 10 are free, 100 × 2 + 140 × 1.25 + 20
    assert quote["rated"] == "at_close"
    assert [row["what"] for row in quote["rows"]] == ["free", "tier 1", "tier 2", "flat fee of tier 2"]
    assert (len(quote["lines"]), quote["lines_left_out"]) == (100, 150)
    assert [one["kind"] for one in quote["adjustments"]] == ["fee"]
    assert paths(api.ask("POST", "/v1/rate-cards/quote", body)) == ["agent"]
    assert paths(api.ask("POST", "/v1/rate-cards/quote", {**body, "agent": "x"})) == ["agent"]
    assert api.get("/v1/rate-cards")["data"] == []


def test_the_version_in_force_at_an_instant_is_asked(api: ApiServer) -> None:
    stocked(api)
    later = "2097-01-01T00:00:00.000Z"
    dearer = {"entries": [{"agent": "support", "price_per_unit": "5"}], "effective_from": later}
    assert api.ask("PATCH", "/v1/rate-cards/standard", dearer).status == 200
    ask = "/v1/rate-cards/standard/quote"
    assert api.ask("POST", ask, {"outcomes": 2}).json["total"] == "2.00"
    assert api.ask("POST", ask, {"outcomes": 2, "at": later}).json["total"] == "10.00"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "outcomes"),
        ({"outcomes": 0}, "outcomes"),
        ({"outcomes": 10_001}, "outcomes"),
        ({"outcomes": True}, "outcomes"),
        ({"outcomes": "3"}, "outcomes"),
        ({"units": []}, "units"),
        ({"units": ["1", 2]}, "units[1]"),
        ({"units": ["-1"]}, "units[0]"),
        ({"units": ["1"], "outcomes": 1}, "units"),
        ({"outcomes": 1, "agent": "sales"}, "agent"),
        ({"outcomes": 1, "at": "soon"}, "at"),
        ({"outcomes": 1, "colour": "red"}, "colour"),
    ],
)
def test_what_cannot_be_quoted_is_refused(api: ApiServer, body: dict[str, Any], path: str) -> None:
    stocked(api)
    assert paths(api.ask("POST", "/v1/rate-cards/standard/quote", body)) == [path]


def test_mistakes_of_a_card_that_is_not_saved_are_told_at_once(api: ApiServer) -> None:
    body = {"currency": "XAU", "entries": [{"agent": "a", "kind": "package", "package_size": "0"}], "outcomes": -1}
    assert sorted(paths(api.ask("POST", "/v1/rate-cards/quote", body))) == [
        "currency",
        "entries[0].package_size",
        "entries[0].price_per_package",
        "outcomes",
    ]


def test_scopes_are_kept_and_what_is_not_there_is_not_found(api: ApiServer) -> None:
    assert api.ask("POST", "/v1/rate-cards/none/quote", {"outcomes": 1}).status == 404
    assert api.ask("GET", "/v1/rate-cards/none").status == 404
    assert api.ask("PATCH", "/v1/rate-cards/none", {}).status == 404
    assert api.ask("POST", "/v1/rate-cards/none/quote", {"outcomes": 1}, scope="ingest").status == 403
    assert api.ask("POST", "/v1/rate-cards", CARD, scope="read").status == 403
    assert api.ask("PATCH", "/v1/rate-cards/none", {}, scope="read").status == 403
    assert api.ask("DELETE", "/v1/rate-cards/none", scope="read").status == 403


def test_a_version_that_begins_within_a_minute_is_scheduled_wherever_versions_are_listed(api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    made(api, "/v1/rate-cards", CARD)
    at = instant.render(round(time.time() * 1000) + 55_000)
    later = {"entries": [{"agent": "support", "price_per_unit": "9"}], "effective_from": at}
    assert api.ask("PATCH", "/v1/rate-cards/standard", later).json["standing"] == "scheduled"
    standings = ["in effect", "scheduled"]
    assert [one["standing"] for one in api.get("/v1/rate-cards/standard/versions")["data"]] == standings
    card = api.get("/v1/rate-cards/standard")
    assert (card["version"], card["standing"], card["scheduled"]) == (1, "in effect", [at])
    assert [one["standing"] for one in api.deployment.json("rate-cards", "standard")["versions"]] == standings


def test_fees_and_a_commitment_are_fields_of_cards_and_customers(api: ApiServer) -> None:
    stocked(api)
    fee = {"key": "base", "amount": "49.00", "starts": "2030-01-01"}
    terms = {"fees": [fee], "commitment": {"period_minimum": "500", "prorate": True}}
    canonical = [{"key": "base", "name": "base", "amount": "49", "starts": "2030-01-01"}]
    for path in ("/v1/rate-cards/standard", "/v1/customers/acme"):
        answer = api.ask("PATCH", path, terms)
        assert answer.status == 200, answer.body
        assert api.get(path)["fees"] == canonical
        assert api.get(path)["commitment"] == {"period_minimum": "500", "prorate": True}
        # Without a start, the day of writing is stored, and not shown as if it had been given.
        assert api.ask("PATCH", path, {"fees": [{"key": "base", "amount": "49"}]}).json["fees"] == [
            {"key": "base", "name": "base", "amount": "49"}
        ]
        assert api.ask("PATCH", path, {"fees": None, "commitment": None}).json["commitment"] is None
        assert api.get(path)["fees"] == []


def test_all_mistakes_of_fees_are_refused_with_their_paths(api: ApiServer) -> None:
    stocked(api)
    fees = [{"key": "base", "amount": "-1"}, {"key": "base", "amount": "0.001", "starts": "soon"}]
    wrong = {"fees": fees, "commitment": {"period_minimum": "2", "period_cap": "1"}}
    assert paths(api.ask("PATCH", "/v1/rate-cards/standard", wrong)) == [
        "fees[0].amount",
        "fees[1].starts",
        "fees[1].amount",
        "fees[1].key",
        "commitment.period_cap",
    ]
    assert paths(api.ask("PATCH", "/v1/customers/acme", {"fees": [{"key": "a", "amount": "0.001"}]})) == [
        "fees[a].amount"
    ]
