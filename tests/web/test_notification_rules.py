"""Notification rules over HTTP: their secrets, a signed sample to a real endpoint, and resuming a suspended one."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from aiohttp import web

from tests.notify.receiver import SECRET, Receiver, receiver
from tests.support.processes import until
from tests.support.server import Server
from tests.web.api_server import ApiServer, api_server
from tests.web.catalogue import AGENT, CARD, CUSTOMER, RULE, changes, made, paths
from witnd.domain.webhooks.delivery import EndpointState
from witnd.domain.webhooks.notification import rule_id, secret_bytes
from witnd.store.deliveries.endpoint_codec import encode_endpoint

CRM = rule_id("crm")
AT_CRM = f"/v1/notification-rules/{CRM}"


@contextmanager
def listening() -> Iterator[Receiver]:
    """A receiver in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    opened = receiver()
    endpoint = asyncio.run_coroutine_threadsafe(opened.__aenter__(), loop).result(10)
    try:
        yield endpoint
    finally:
        asyncio.run_coroutine_threadsafe(opened.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture
def reachable(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
    """A daemon that may send to this machine, with two partitions."""
    networks = (ip_network("127.0.0.0/8"),)
    with api_server(session_server, tmp_path, partitions=2, allow_networks=networks) as opened:
        yield opened


def test_a_rule_is_created_and_its_secret_shown_once(api: ApiServer) -> None:
    rule = made(api, "/v1/notification-rules", RULE)
    assert secret_bytes(rule.pop("secret"))
    assert (rule["id"], rule["name"], rule["source"], rule["url"]) == (CRM, "crm", "both", RULE["url"])
    assert (rule["agent"], rule["enabled"], rule["archived"], rule["version"]) == (None, True, False, 1)
    assert rule["previous_secret_until"] is None
    assert rule["endpoint"] == {"state": "healthy", "failing_since": None, "suspended_at": None, "reason": None}
    assert api.get(AT_CRM, scope="read") == rule
    assert api.get("/v1/notification-rules", scope="read") == {"data": [rule], "next_cursor": None}


def test_a_secret_is_never_shown_again(api: ApiServer) -> None:
    own = "whsec_" + "QUFB" * 10
    answer = api.ask("POST", "/v1/notification-rules", {**RULE, "secret": own})
    assert answer.status == 201
    seen = [answer.body, api.ask("PATCH", AT_CRM, {"enabled": False, "secret": own}).body]
    seen += [api.ask("GET", f"{AT_CRM}{path}").body for path in ("", "/versions", "/compare?from=1&to=2", "?version=1")]
    seen += [api.ask("GET", "/v1/notification-rules").body]
    seen += [str(changes(api)).encode()]
    assert not [one for one in seen if b"QUFB" in one]
    assert changes(api)[0]["after"]["secret"] == "(hidden)"


def test_all_mistakes_are_told_at_once_with_their_paths(api: ApiServer) -> None:
    body = {
        "source": "all",
        "url": "ftp://x",
        "agent": "nobody",
        "secret": "whsec_x",
        "enabled": 1,
        "secret_overlap": -1,
        "colour": "red",
    }
    assert sorted(paths(api.ask("POST", "/v1/notification-rules", body))) == [
        "agent",
        "colour",
        "enabled",
        "name",
        "secret",
        "secret_overlap",
        "source",
        "url",
    ]
    assert sorted(paths(api.ask("POST", "/v1/notification-rules", {}))) == ["name", "source", "url"]


def test_a_change_keeps_the_secret_and_the_name(api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    rule = made(api, "/v1/notification-rules", RULE)
    changed = api.ask("PATCH", AT_CRM, {"agent": "support", "secret": None}).json
    assert (changed["agent"], changed["version"]) == ("support", 2)
    assert changed["secret_fingerprint"] == rule["secret_fingerprint"]
    assert changed["previous_secret_until"] is None
    assert "secret" not in changed
    assert paths(api.ask("PATCH", AT_CRM, {"name": "other"})) == ["name"]
    assert api.ask("PATCH", AT_CRM, {"agent": "support", "name": "crm"}).json["versions"] == 2
    assert api.ask("POST", "/v1/notification-rules", RULE).status == 409


def test_archiving_hides_a_rule_until_it_is_restored(api: ApiServer) -> None:
    made(api, "/v1/notification-rules", RULE)
    assert api.ask("DELETE", AT_CRM).json["archived"] is True
    assert api.get("/v1/notification-rules")["data"] == []
    for path in ("/test", "/resume"):
        assert api.ask("POST", AT_CRM + path).error["code"] == "CONFLICT"
    assert api.ask("POST", f"{AT_CRM}/restore").json["archived"] is False
    assert [one["version"] for one in api.pages(f"{AT_CRM}/versions?limit=2")] == [1, 2, 3]


def test_rules_are_listed_page_by_page(api: ApiServer) -> None:
    names = [f"rule-{number}" for number in range(7)]
    for name in names:
        made(api, "/v1/notification-rules", {**RULE, "name": name})
    assert [one["name"] for one in api.pages("/v1/notification-rules?limit=3")] == names


# -- secrets ----------------------------------------------------------------------------------------------------------


def test_both_secrets_sign_while_one_is_replaced(reachable: ApiServer) -> None:
    with listening() as endpoint:
        first = made(reachable, "/v1/notification-rules", {**RULE, "url": endpoint.url()})["secret"]
        answer = reachable.ask("POST", f"{AT_CRM}/rotate-secret", {"overlap_seconds": 3600})
        assert answer.status == 200, answer.body
        second = answer.json["secret"]
        assert answer.json["previous_secret_until"] is not None
        sent(reachable)
        [message] = endpoint.received
        for secret in (first, second):
            message.verify(secret)
        assert reachable.ask("POST", f"{AT_CRM}/rotate-secret", {"secret": SECRET, "overlap_seconds": 0}).json[
            "previous_secret_until"
        ] is None  # fmt: skip
        sent(reachable)
        message = endpoint.received[-1]
        message.verify(SECRET)
        for secret in (first, second):
            with pytest.raises(Exception, match="signature"):
                message.verify(secret)
    noted = [one for one in changes(reachable) if one["what"] == "notification_rule.rotate_secret"]
    assert len(noted) == 2
    # The catalogue's file knows of it, and leaves it as it is.
    exported = reachable.deployment.witnd("export").stdout
    assert "secret_overlap = 0" in exported
    reachable.deployment.apply(exported.replace("secret_overlap = 0\n", ""))
    assert reachable.get(AT_CRM)["versions"] == 3


def test_a_secret_that_takes_anothers_place_has_a_day_again(api: ApiServer) -> None:
    made(api, "/v1/notification-rules", RULE)
    api.ask("POST", f"{AT_CRM}/rotate-secret", {"overlap_seconds": 0})
    rotated = api.ask("POST", f"{AT_CRM}/rotate-secret").json
    assert rotated["secret"].startswith("whsec_")
    assert rotated["previous_secret_until"] is not None
    assert api.ask("PATCH", AT_CRM, {"secret": SECRET}).json["previous_secret_until"] is not None


def test_what_is_no_rotation_is_refused(api: ApiServer) -> None:
    made(api, "/v1/notification-rules", {**RULE, "secret": SECRET})
    for body, path in (
        ({"secret": "abc"}, "secret"),
        ({"secret": SECRET}, "secret"),
        ({"secret": 5}, "secret"),
        ({"overlap_seconds": -1}, "overlap_seconds"),
        ({"overlap": 1}, "overlap"),
    ):
        assert paths(api.ask("POST", f"{AT_CRM}/rotate-secret", body)) == [path]
    assert api.get(AT_CRM)["versions"] == 1


# -- a test -----------------------------------------------------------------------------------------------------------


def sent(api: ApiServer) -> Any:
    answer = api.ask("POST", f"{AT_CRM}/test")
    assert answer.status == 200, answer.body
    return answer.json


def test_a_sample_is_signed_and_its_answer_told(reachable: ApiServer) -> None:
    with listening() as endpoint:
        rule = made(reachable, "/v1/notification-rules", {**RULE, "url": endpoint.url("/hook"), "enabled": False})
        tested = sent(reachable)
        [message] = endpoint.at("/hook")
        message.verify(rule["secret"])
        body = json.loads(message.body)
        assert (body["id"], body["type"]) == (tested["id"], tested["type"]) == (message.id, "test")
        assert tested["id"].startswith("test_")
        assert body["data"]["rule"] == {"id": CRM, "name": "crm"}
        assert body["data"]["facts"]["outcomeKey"] == body["data"]["subjectKey"] == "witnd-test"
        assert (tested["delivered"], tested["status"], tested["body"]) == (True, 200, "as told")
        assert (tested["reason"], tested["blocked"], tested["url"]) == (None, False, endpoint.url("/hook"))
        assert sent(reachable)["id"] != tested["id"]


def test_what_goes_wrong_with_a_sample_is_told(reachable: ApiServer) -> None:
    async def long(_: web.Request) -> web.Response:
        return web.Response(status=500, text="x" * 5000)

    with listening() as endpoint:
        endpoint.answers["/long"] = long
        made(reachable, "/v1/notification-rules", {**RULE, "url": endpoint.url("/long")})
        tested = sent(reachable)
        assert (tested["delivered"], tested["status"], tested["reason"]) == (False, 500, "responded 500")
        assert tested["body"] == "x" * 1024
        reachable.ask("PATCH", AT_CRM, {"url": "http://127.0.0.1:1/"})
        tested = sent(reachable)
        assert (tested["delivered"], tested["status"], tested["body"]) == (False, None, None)
        assert "no connection" in tested["reason"]
    # A test says nothing about the endpoint's health.
    assert reachable.get(AT_CRM)["endpoint"]["state"] == "healthy"


def test_the_guard_stands_before_samples_too(api: ApiServer) -> None:
    with listening() as endpoint:
        made(api, "/v1/notification-rules", {**RULE, "url": endpoint.url()})
        tested = sent(api)
        assert (tested["delivered"], tested["blocked"]) == (False, True)
        assert "webhooks.allow_networks" in tested["reason"]
        assert endpoint.received == []


# -- a suspended endpoint ---------------------------------------------------------------------------------------------


def suspend(api: ApiServer) -> None:
    state = EndpointState(failing_since=1_000, suspended_at=2_000, reason="the endpoint responded 410 Gone")
    api.deployment.call("HSET", "witn:{shared}:endpoints", CRM, encode_endpoint(state))


def test_a_suspended_endpoint_is_resumed(reachable: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("witnd.app.catalogue.rules.RESUMED_MAX", 2)
    monkeypatch.setattr("witnd.store.deliveries.reads.PAGE", 2)
    api = reachable
    with listening() as endpoint:
        made(api, "/v1/agents", {**AGENT, "settlement_period": 1})
        made(api, "/v1/rate-cards", CARD)
        made(api, "/v1/customers", CUSTOMER)
        made(api, "/v1/notification-rules", {**RULE, "url": endpoint.url()})
        suspend(api)
        assert api.get(AT_CRM)["endpoint"] == {
            "state": "suspended",
            "failing_since": "1970-01-01T00:00:01.000Z",
            "suspended_at": "1970-01-01T00:00:02.000Z",
            "reason": "the endpoint responded 410 Gone",
        }
        assert api.get("/v1/notification-rules")["data"][0]["endpoint"]["state"] == "suspended"
        keys = [f"ticket-{number:04}" for number in range(6)]
        for key in keys:
            api.ask("POST", "/v1/events", {"key": key, "action": "replied", "customer_key": "acme"})
        until(lambda: parked(api) == len(keys), "all are parked")
        resumed = [api.ask("POST", f"{AT_CRM}/resume").json]
        while resumed[-1]["more"]:
            resumed.append(api.ask("POST", f"{AT_CRM}/resume").json)
        assert len(resumed) > 2
        assert sum(one["queued"] for one in resumed) == len(keys)
        until(lambda: len(endpoint.received) == len(keys), "all are sent")
    assert api.get(AT_CRM)["endpoint"]["state"] == "healthy"
    assert changes(api)[-1]["what"] == "notification_rule.resume"
    assert api.ask("POST", f"{AT_CRM}/resume").json == {"queued": 0, "more": False}


def parked(api: ApiServer) -> int:
    return sum(api.deployment.call("ZCARD", f"witn:{{{number}}}:parked:{CRM}") for number in range(2))


def test_a_failing_endpoint_is_told(api: ApiServer) -> None:
    made(api, "/v1/notification-rules", RULE)
    api.deployment.call("HSET", "witn:{shared}:endpoints", CRM, encode_endpoint(EndpointState(failing_since=1_000)))
    assert api.get(AT_CRM)["endpoint"]["state"] == "failing"


def test_a_disabled_rule_is_not_resumed(api: ApiServer) -> None:
    made(api, "/v1/notification-rules", {**RULE, "enabled": False})
    answer = api.ask("POST", f"{AT_CRM}/resume")
    assert (answer.status, answer.error["code"]) == (409, "CONFLICT")


ALL = [
    ("GET", ""),
    ("PATCH", ""),
    ("DELETE", ""),
    ("POST", "/restore"),
    ("GET", "/versions"),
    ("GET", "/compare?from=1&to=1"),
    ("POST", "/rotate-secret"),
    ("POST", "/test"),
    ("POST", "/resume"),
]


def test_what_is_not_there_is_not_found_and_scopes_are_kept(api: ApiServer) -> None:
    for method, path in ALL:
        body = {} if method == "PATCH" else None
        assert api.ask(method, f"{AT_CRM}{path}", body).status == 404
        wrong = "ingest" if method == "GET" else "read"
        assert api.ask(method, f"{AT_CRM}{path}", body, scope=wrong).status == 403
        assert api.ask(method, f"{AT_CRM}{path}", body, scope=None).status == 401
    assert api.ask("GET", "/v1/notification-rules/crm").status == 404
