"""Reversals over HTTP: of agents and own terms, in trials, of outcomes, of events and of notification rules."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_audit_reversals import REVERSIBLE
from tests.support.deployment import LONG_AGO, Deployment
from tests.support.server import Server
from tests.web.api_server import ApiServer
from tests.web.catalogue import AGENT, CARD, CUSTOMER, RULE, made, paths
from tests.web.recorded_run import recorded_run

WEEK: dict[str, Any] = {"window": 604_800, "on": ["refunded", "note added"]}
REVERSED_AT = "2001-09-09T01:48:20.000Z"


# -- terms ------------------------------------------------------------------------------------------------------------


def test_an_agent_with_a_reversal_is_created_read_and_changed(api: ApiServer) -> None:
    agent = made(api, "/v1/agents", AGENT | {"reversal": WEEK})
    assert agent["reversal"] == WEEK
    assert api.get("/v1/agents/support") == agent
    assert api.get("/v1/agents")["data"] == [agent]
    assert api.deployment.json("agents", "support")["versions"][0]["reversal"] == WEEK
    assert api.ask("PATCH", "/v1/agents/support", {"name": "Help"}).json["reversal"] == WEEK
    other = {"window": 60, "on": ["refunded"]}
    assert api.ask("PATCH", "/v1/agents/support", {"reversal": other}).json["reversal"] == other
    found = api.get("/v1/agents/support/compare?from=2&to=3")["changes"]
    assert [one["words"] for one in found] == [
        "~ reversal.window: 604800 → 60",
        '~ reversal.on: refunded, "note added" → refunded',
    ]
    assert api.ask("PATCH", "/v1/agents/support", {"reversal": None}).json["reversal"] is None


def test_mistakes_have_their_paths(api: ApiServer) -> None:
    wrong = {"window": 0, "on": ["a", "a"], "colour": 1}
    expected = ["reversal.colour", "reversal.window", "reversal.on[1]"]
    assert paths(api.ask("POST", "/v1/agents", AGENT | {"reversal": wrong})) == expected
    assert paths(api.ask("POST", "/v1/agents", AGENT | {"reversal": {}})) == ["reversal.window", "reversal.on"]
    made(api, "/v1/agents", AGENT)
    assert paths(api.ask("PATCH", "/v1/agents/support", {"reversal": wrong})) == expected
    own = {"agent": "support", "reversal": {"window": 1}}
    refused = api.ask("POST", "/v1/customers", {"key": "acme", "name": "Acme", "agents": [own]})
    assert paths(refused) == ["agents[0].reversal.on"]


@pytest.mark.parametrize("own", [{"window": 60, "on": ["refunded"]}, {}])
def test_own_terms_have_a_reversal(api: ApiServer, own: dict[str, Any]) -> None:
    made(api, "/v1/agents", AGENT | {"reversal": WEEK})
    made(api, "/v1/rate-cards", CARD)
    customer = made(api, "/v1/customers", CUSTOMER | {"agents": [{"agent": "support", "reversal": own}]})
    assert customer["agents"] == [{"agent": "support", "reversal": own}]
    shown = api.deployment.witnd("agents", "support", "--customer", "acme").stdout
    assert ("reversed within 1 min by refunded" in shown) == bool(own)


def test_a_trial_shows_which_event_reverses(api: ApiServer) -> None:
    def tried(*events: tuple[str, str]) -> tuple[list[str], bool]:
        given = [{"action": action, "accepted_at": f"2027-01-01T00:{at}Z"} for action, at in events]
        asked = {**AGENT, "reversal": {"window": 120, "on": ["refunded"]}, "events": given}
        answer = api.ask("POST", "/v1/agents/try", {name: one for name, one in asked.items() if name != "key"}).json
        assert answer["would_be"] == ("FAILED" if given[0]["action"] == "noted" else "CONFIRMED")
        return [one["fate"] for one in answer["events"]], answer["reversed"]

    replied = ("replied", "00:00")
    late = [("noted", "01:30"), ("refunded", "02:59.999"), ("refunded", "02:59.999")]
    assert tried(replied, *late) == (["applied", "late", "reversed", "late"], True)
    assert tried(replied, ("refunded", "03:00")) == (["applied", "late"], False)
    assert tried(replied, ("refunded", "00:59")) == (["applied", "applied"], False)
    assert tried(("noted", "00:00"), ("refunded", "01:30")) == (["applied", "late"], False)


# -- outcomes and events ----------------------------------------------------------------------------------------------


def life(deployment: Deployment) -> None:
    deployment.event("ticket-0001", "replied")
    deployment.event("ticket-0002", "replied", 1)
    deployment.event(
        "ticket-0001", "refunded", 100_000, timestamp="2001-09-09T01:48:00Z", properties={"value": 5, "attribution": 2}
    )
    deployment.event("ticket-0001", "refunded", 100_001)


@pytest.fixture
def full(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
    with recorded_run(session_server, tmp_path, life, catalogue=REVERSIBLE) as opened:
        yield opened


def test_an_outcome_shows_what_reversed_it_and_what_that_did(full: ApiServer) -> None:
    found = full.get("/v1/outcomes/ticket-0001", scope="read")
    assert (found["outcome"]["status"], found["outcome"]["events_count"]) == ("CONFIRMED", 1)
    assert found["outcome"]["reversed_at"] == REVERSED_AT
    assert found["terms"]["reversal"] == {"window": 600, "on": ["refunded", "withdrawn"]}
    assert [event["action"] for event in found["story"]["events"]] == ["replied"]
    entry = f"{LONG_AGO + 100_000}-0"
    reversal = found["reversal"]
    assert {name: reversal[name] for name in reversal if name not in ("words", "bill", "credit")} == {
        "entry": entry,
        "accepted_at": REVERSED_AT,
        "action": "refunded",
        "timestamp": "2001-09-09T01:48:00.000Z",
        "value": 5.0,
        "attribution": "2",
        "fate": "reversed",
    }
    assert reversal["words"] == (
        f"Reversed at {REVERSED_AT} by `refunded` (event {entry}), before the window ended at "
        "2001-09-09T01:57:40.000Z; it stays confirmed."
    )
    assert "a credit of 1.00 EUR offsets the line" in reversal["bill"]
    assert {one["rule"] for one in found["deliveries"]} == {"crm", "credits"}
    other = full.get("/v1/outcomes/ticket-0002")
    assert (other["reversal"], other["outcome"]["reversed_at"]) == (None, None)


def test_lists_have_the_instant(full: ApiServer) -> None:
    found = full.get("/v1/outcomes", scope="read")["data"]
    assert {one["key"]: one["reversed_at"] for one in found} == {"ticket-0001": REVERSED_AT, "ticket-0002": None}


def test_the_reversing_event_has_its_fate(full: ApiServer) -> None:
    [fate] = full.get("/v1/events?fate=reversed", scope="read")["data"]
    assert (fate["id"], fate["key"], fate["reason"]) == (f"{LONG_AGO + 100_000}-0", "ticket-0001", None)
    assert full.get(f"/v1/events/0/{fate['id']}")["fate"] == "reversed"
    [late] = full.get("/v1/events?fate=late")["data"]
    assert late["id"] == f"{LONG_AGO + 100_001}-0"
    assert full.get("/v1/overview")["events"]["reversed"] == 1


# -- notification rules -----------------------------------------------------------------------------------------------


def test_a_rule_reports_reversals(full: ApiServer) -> None:
    [one] = full.get("/v1/deliveries?rule=credits")["data"]
    assert (one["type"], one["outcome_key"], one["created_at"]) == ("outcome_reversed", "ticket-0001", REVERSED_AT)
    assert {found["type"] for found in full.get("/v1/deliveries?rule=crm")["data"]} == {"outcome_succeed"}


def test_the_source_is_stored_and_others_are_refused(api: ApiServer) -> None:
    assert made(api, "/v1/notification-rules", RULE | {"source": "outcome_reversed"})["source"] == "outcome_reversed"
    assert paths(api.ask("POST", "/v1/notification-rules", RULE | {"name": "b", "source": "reversed"})) == ["source"]
