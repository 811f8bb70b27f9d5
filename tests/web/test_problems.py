"""What needs a person, over HTTP."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import CATALOGUE, Deployment
from tests.support.processes import until
from tests.support.server import Server
from tests.web.api_server import ApiServer
from tests.web.recorded_run import recorded_run, settle
from witnd.domain.webhooks.delivery import EndpointState, Progress
from witnd.domain.webhooks.notification import rule_id
from witnd.store.deliveries.endpoint_codec import encode_endpoint
from witnd.store.deliveries.outbox import encode_progress

CRM = rule_id("crm")


def trouble(deployment: Deployment) -> None:
    deployment.event("ticket-0001", "replied", 0)
    for n in range(3):
        deployment.event(f"held/{n}/2026", "replied", at="*", customer_key="penniless")
    deployment.event("held/0/2026", "replied", at="*", customer_key="penniless")
    deployment.event("held/9/2026", "replied", at="*", customer_key="nobody")
    deployment.event("bad", "replied", at="*")


@pytest.fixture
def full(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
    with recorded_run(session_server, tmp_path, trouble) as opened:
        yield opened


def test_nothing_is_the_matter_with_an_empty_system(api: ApiServer) -> None:
    found = api.get("/v1/problems", scope="read")
    assert found["count"] == 0
    assert found["held"] == {"count": 0, "items": [], "href": "/v1/events?fate=held"}
    assert (found["troubles"], found["endpoints"], found["drafts"]["items"]) == ([], [], [])


def test_held_keys_are_told_with_what_they_wait_for(full: ApiServer) -> None:
    held = full.get("/v1/problems")["held"]
    assert held["count"] == 4
    assert [(one["key"], one["events"], one["reason"]) for one in held["items"]] == [
        ("held/0/2026", 2, "NO_RATE_CARD"),
        ("held/1/2026", 1, "NO_RATE_CARD"),
        ("held/2/2026", 1, "NO_RATE_CARD"),
        ("held/9/2026", 1, "UNKNOWN_CUSTOMER"),
    ]
    assert held["items"][0]["href"] == "/v1/outcomes/held%2F0%2F2026"
    assert len(full.get(held["items"][0]["href"])["held"]) == 2
    assert len(full.pages(held["href"])) == 5


def test_rejected_events_are_told_with_their_raw_form(full: ApiServer) -> None:
    rejected = full.get("/v1/problems")["rejected"]
    assert (rejected["count"], rejected["last_day"]) == (1, 1)
    [one] = rejected["items"]
    assert (one["reason"], json.loads(one["fields"][0][1])["key"]) == ("INVALID_EVENT", "bad")


def test_messages_that_are_not_sent_and_endpoints_that_fail_are_told(full: ApiServer) -> None:
    deployment = full.deployment
    [id_] = deployment.call("HKEYS", "witn:{0}:deliveries")
    # What the relay writes after the last attempt, and when it suspends the endpoint.
    deployment.call(
        "HSET", "witn:{0}:attempts", id_, encode_progress(Progress(standing="dead", started=10, reason="no"))
    )
    deployment.call("ZADD", "witn:{0}:dead", 1, id_)
    state = EndpointState(failing_since=1000, suspended_at=2000, reason="the endpoint responded 410 Gone")
    deployment.call("HSET", "witn:{shared}:endpoints", CRM, encode_endpoint(state))
    found = full.get("/v1/problems")
    assert (found["deliveries"]["dead"], found["deliveries"]["parked"]) == (1, 0)
    [delivery] = found["deliveries"]["items"]
    assert (delivery["standing"], delivery["outcome_key"], delivery["rule"]) == ("dead", "ticket-0001", "crm")
    assert delivery["href"] == f"/v1/deliveries/{id_.decode()}"
    [endpoint] = found["endpoints"]
    assert (endpoint["rule"], endpoint["suspended_at"]) == ("crm", "1970-01-01T00:00:02.000Z")
    assert endpoint["href"] == f"/v1/notification-rules/{CRM}"
    # Held keys, the rejected event, the dead message, the suspended endpoint.
    assert found["count"] == 4 + 1 + 1 + 1
    assert full.get("/v1/overview")["problems"] == found["count"]


def test_every_link_leads_somewhere(full: ApiServer) -> None:
    def links(node: Any) -> list[str]:
        if isinstance(node, list):
            return [link for one in node for link in links(one)]
        if not isinstance(node, dict):
            return []
        own = [value for name, value in node.items() if name.endswith("href")]
        return own + [link for one in node.values() for link in links(one)]

    found = links(full.get("/v1/problems"))
    assert len(found) >= 5 + 4  # of the kinds, of the held keys, perhaps of an endpoint that fails
    assert [link for link in found if full.ask("GET", link).status != 200] == []


def test_drafts_of_closed_periods_are_told(full: ApiServer) -> None:
    # The period is long past its review: the biller issues it at once, or it is told here.
    until(lambda: full.deployment.call("ZCARD", "witn:{shared}:billing:invoices") == 1, "there is an invoice")
    [id_] = full.deployment.call("ZRANGE", "witn:{shared}:billing:invoices", 0, 0)
    until(
        lambda: full.deployment.call("HGET", f"witn:{{shared}}:billing:invoice:{id_.decode()}", "number"),
        "it is issued",
    )
    assert full.get("/v1/problems")["drafts"]["count"] == 0
    full.deployment.call("ZADD", "witn:{shared}:billing:to_issue", 1, id_)
    drafts = full.get("/v1/problems")["drafts"]
    if drafts["count"]:  # the biller takes it off again
        assert drafts["items"][0]["href"] == f"/v1/invoices/{id_.decode()}"


def test_all_that_can_be_placed_now_is_asked_for_again(full: ApiServer) -> None:
    assert full.ask("POST", "/v1/problems/retry-held", scope="read").status == 403
    answer = full.ask("POST", "/v1/problems/retry-held")
    assert (answer.status, answer.json) == (202, {"retried": 0, "looked_at": 4, "next_cursor": None})
    priced = CATALOGUE.replace('key = "penniless"\n', 'key = "penniless"\nrate_card = "standard"\n')
    full.deployment.apply(priced)
    answer = full.ask("POST", "/v1/problems/retry-held")
    assert answer.status == 202
    # The daemon asks by itself as soon as it notices the change, which may be before.
    assert (answer.json["retried"], answer.json["looked_at"]) in ((3, 4), (0, 1))
    until(lambda: full.get("/v1/problems")["held"]["count"] == 1, "three of them are placed")
    settle(full)
    assert full.get("/v1/problems")["held"]["items"][0]["reason"] == "UNKNOWN_CUSTOMER"
    assert full.ask("POST", "/v1/problems/retry-held?after=x").error["details"][0]["path"] == "after"


def test_many_held_keys_take_several_requests(
    session_server: Server, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("witnd.app.outcomes.retry.KEYS_MOST", 4)

    def prepare(deployment: Deployment) -> None:
        for n in range(10):
            deployment.event(f"ticket-{n:04}", "replied", at="*", customer_key="penniless")

    with recorded_run(session_server, tmp_path, prepare, partitions=2) as api:
        looked_at, after, requests = 0, "", 0
        while True:
            answer = api.ask("POST", f"/v1/problems/retry-held{after}").json
            looked_at, requests = looked_at + answer["looked_at"], requests + 1
            if answer["next_cursor"] is None:
                break
            after = f"?after={answer['next_cursor']}"
        assert (looked_at, requests) == (10, 3)
