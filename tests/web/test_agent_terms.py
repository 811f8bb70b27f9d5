"""Grades and timers over HTTP: of agents, of customers' own terms, of prices, in trials and in quotes."""

from typing import Any

import pytest

from tests.web.api_server import ApiServer
from tests.web.catalogue import AGENT, CARD, CUSTOMER, made, paths

SOLVED = {"key": "solved", "name": "Solved", "condition": [{"fact": "solved", "operator": "seen"}]}
TRIED = {"key": "tried", "condition": [{"fact": "replied", "operator": "seen"}]}
TIMERS = {"note added": "keep", "replied": 60}
GRADED: dict[str, Any] = {"key": "support", "grades": [SOLVED, TRIED], "timers": TIMERS}
PRICES = [
    {"agent": "support", "kind": "flat", "price_per_unit": "1"},
    {"agent": "support", "grade": "solved", "kind": "flat", "price_per_unit": "2"},
]


def test_an_agent_with_grades_and_timers_is_created_and_read(api: ApiServer) -> None:
    agent = made(api, "/v1/agents", GRADED)
    assert (agent["grades"], agent["timers"]) == (GRADED["grades"], TIMERS)
    assert agent["condition"] == [{"op": "OR", "conditions": [SOLVED["condition"][0], TRIED["condition"][0]]}]
    assert agent["condition_words"] == "`solved` was seen or `replied` was seen"
    assert api.get("/v1/agents/support") == agent
    assert api.get("/v1/agents")["data"] == [agent]
    shown = api.deployment.json("agents", "support")["versions"][0]
    assert {name: shown[name] for name in ("condition", "grades", "timers")} == {
        name: agent[name] for name in ("condition", "grades", "timers")
    }


def test_an_agent_without_them_has_null(api: ApiServer) -> None:
    agent = made(api, "/v1/agents", AGENT)
    assert (agent["grades"], agent["timers"]) == (None, None)


def test_a_change_of_the_condition_replaces_grades_and_the_other_way_round(api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    graded = api.ask("PATCH", "/v1/agents/support", {"grades": [SOLVED]}).json
    assert graded["grades"] == [SOLVED]
    assert graded["condition"] == [{"op": "OR", "conditions": SOLVED["condition"]}]
    named = api.ask("PATCH", "/v1/agents/support", {"name": "Help", "timers": TIMERS}).json
    assert (named["grades"], named["timers"]) == ([SOLVED], TIMERS)
    plain = api.ask("PATCH", "/v1/agents/support", {"condition": AGENT["condition"]}).json
    assert (plain["grades"], plain["condition"], plain["timers"]) == (None, AGENT["condition"], TIMERS)


@pytest.mark.parametrize("none", [None, {}])
def test_timers_are_removed(api: ApiServer, none: Any) -> None:
    made(api, "/v1/agents", GRADED)
    assert api.ask("PATCH", "/v1/agents/support", {"timers": none}).json["timers"] is None
    assert api.get("/v1/agents/support")["grades"] == GRADED["grades"]


def test_both_or_neither_is_refused(api: ApiServer) -> None:
    both = {"condition": AGENT["condition"], "grades": [SOLVED]}
    assert paths(api.ask("POST", "/v1/agents", {"key": "a", **both})) == ["grades"]
    assert paths(api.ask("POST", "/v1/agents", {"key": "a"})) == ["condition"]
    made(api, "/v1/agents", AGENT)
    assert paths(api.ask("PATCH", "/v1/agents/support", both)) == ["grades"]
    assert paths(api.ask("PATCH", "/v1/agents/support", {"condition": None})) == ["condition"]


def test_mistakes_have_their_paths(api: ApiServer) -> None:
    wrong = {"key": "a", "grades": [SOLVED, SOLVED, {"key": "b"}], "timers": {"a": 0, "b": "no"}}
    assert paths(api.ask("POST", "/v1/agents", wrong)) == [
        "grades[1].key",
        "grades[2].condition",
        "timers.a",
        "timers.b",
    ]


def test_versions_differ_in_grades_and_timers(api: ApiServer) -> None:
    made(api, "/v1/agents", GRADED)
    api.ask("PATCH", "/v1/agents/support", {"grades": [TRIED, SOLVED], "timers": {"replied": 61}})
    found = api.get("/v1/agents/support/compare?from=1&to=2")["changes"]
    assert [one["words"] for one in found] == [
        "~ grades: solved, tried → tried, solved",
        '- timers["note added"]: "keep"',
        "~ timers[replied]: 60 → 61",
    ]


def test_a_card_prices_grades_and_warns_of_those_it_leaves_out(api: ApiServer) -> None:
    made(api, "/v1/agents", GRADED)
    card = made(api, "/v1/rate-cards", CARD | {"entries": PRICES})
    assert card["entries"] == PRICES
    assert sorted(card["words"]) == ["support", "support (solved)"]
    assert "warnings" not in card
    part = api.ask("PATCH", "/v1/rate-cards/standard", {"entries": PRICES[1:]}).json
    assert len(part["warnings"]) == 1
    assert 'no price for grade "tried"' in part["warnings"][0]
    assert 'rate card "standard"' in api.get("/v1/agents/support")["warnings"][0]


def test_an_entry_for_an_unknown_grade_is_refused_with_its_place(api: ApiServer) -> None:
    made(api, "/v1/agents", GRADED)
    unknown = {"agent": "support", "grade": "solve", "price_per_unit": "1"}
    answer = api.ask("POST", "/v1/rate-cards", CARD | {"entries": [unknown, PRICES[0]]})
    assert paths(answer) == ["entries[0].grade"]
    assert 'did you mean "solved"?' in answer.error["details"][0]["message"]
    made(api, "/v1/rate-cards", CARD | {"entries": PRICES})
    assert paths(api.ask("PATCH", "/v1/rate-cards/standard", {"entries": [PRICES[0], unknown]})) == ["entries[1].grade"]
    made(api, "/v1/customers", CUSTOMER)
    assert paths(api.ask("PATCH", "/v1/customers/acme", {"entries": [unknown]})) == ["entries[0].grade"]


def test_an_entry_left_behind_stays_with_a_warning(api: ApiServer) -> None:
    made(api, "/v1/agents", GRADED)
    made(api, "/v1/rate-cards", CARD | {"entries": PRICES})
    api.ask("PATCH", "/v1/agents/support", {"grades": [TRIED]})
    card = api.ask("PATCH", "/v1/rate-cards/standard", {"currency": "USD"})
    assert card.status == 200
    assert card.json["warnings"] == ['agent "support" has no grade "solved"; write one of "tried"']


def test_own_terms_have_grades_and_timers(api: ApiServer) -> None:
    made(api, "/v1/agents", GRADED)
    made(api, "/v1/rate-cards", CARD)
    own = {"agent": "support", "grades": [{"key": "own", "condition": []}], "timers": {}}
    entries = [{"agent": "support", "grade": "own", "kind": "flat", "price_per_unit": "3"}]
    customer = made(api, "/v1/customers", CUSTOMER | {"agents": [own], "entries": entries})
    assert (customer["agents"], customer["entries"]) == ([own], entries)
    both = own | {"condition": []}
    assert paths(api.ask("PATCH", "/v1/customers/acme", {"agents": [both]})) == ["agents[0].grades"]


def test_a_trial_has_the_grade_and_the_timers(api: ApiServer) -> None:
    events = [{"action": "replied"}, {"action": "solved"}, {"action": "note added"}]
    tried = api.ask("POST", "/v1/agents/try", {"grades": [SOLVED, TRIED], "timers": TIMERS, "events": events}).json
    assert (tried["would_be"], tried["grade"]) == ("CONFIRMED", "solved")
    assert tried["events"][1]["settles_at"] == tried["events"][2]["settles_at"]
    plain = api.ask("POST", "/v1/agents/try", {"condition": [], "events": events[:1]}).json
    assert plain["grade"] is None
    assert paths(api.ask("POST", "/v1/agents/try", {"grades": [SOLVED], "condition": []})) == ["grades"]


def test_a_quote_is_for_a_grade(api: ApiServer) -> None:
    made(api, "/v1/agents", GRADED)
    made(api, "/v1/rate-cards", CARD | {"entries": PRICES})

    def total(**asked: Any) -> tuple[str | None, str]:
        answer = api.ask("POST", "/v1/rate-cards/standard/quote", {"outcomes": 10, **asked})
        assert answer.status == 200, answer.body
        return answer.json["grade"], answer.json["total"]

    assert total(agent="support", grade="solved") == ("solved", "20.00")
    assert total(agent="support") == total(agent="support", grade="tried") == (None, "10.00")
    assert total(grade="solved") == ("solved", "20.00")
    unsaved = {"currency": "EUR", "entries": PRICES[1:], "outcomes": 1}
    assert api.ask("POST", "/v1/rate-cards/quote", unsaved).json["grade"] == "solved"
    assert paths(api.ask("POST", "/v1/rate-cards/quote", unsaved | {"grade": "tried"})) == ["grade"]
