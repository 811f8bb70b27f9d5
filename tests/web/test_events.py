"""Taking events over HTTP."""

import json
from typing import Any

import pytest

from tests.web.api_server import ApiServer
from witnd.domain.values.strictjson import BYTES_MAX

EVENT = {"key": "ticket-4711", "action": "resolved", "customer_key": "acme", "idempotency_key": "evt-1"}


def log(api: ApiServer, partition: int = 0) -> list[dict[str, Any]]:
    """The events in the log, without ticks."""
    entries = api.deployment.call("XRANGE", f"witn:{{{partition}}}:events", "-", "+")
    return [json.loads(fields[b"data"]) for _, fields in entries if b"data" in fields]


def test_an_event_is_in_the_log_when_it_is_accepted(api: ApiServer) -> None:
    answer = api.ask("POST", "/v1/events", EVENT, scope="ingest")
    assert answer.status == 202
    assert answer.json["partition"] == 0
    assert api.deployment.call("XRANGE", "witn:{0}:events", answer.json["id"], answer.json["id"])
    assert log(api) == [EVENT]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"key": "short"}, "key"),
        ({"action": ""}, "action"),
        ({"customer_key": None}, "customer_key"),
        ({"properties": {"settles_at": "soon"}}, "properties.settles_at"),
        ({"properties": {"value": {}}}, "properties.value"),
        ({"timestamp": 5}, "timestamp"),
    ],
)
def test_what_is_no_event_is_refused_with_its_path_and_not_in_the_log(
    api: ApiServer, changes: dict[str, Any], path: str
) -> None:
    answer = api.ask("POST", "/v1/events", EVENT | changes)
    assert answer.status == 400
    error = answer.error
    assert (error["code"], error["type"], error["status"]) == ("VALIDATION_ERROR", "invalid_request_error", 400)
    assert [detail["path"] for detail in error["details"]] == [path]
    assert error["request_id"] == answer.headers["x-request-id"]
    assert log(api) == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"key": NaN}', b"\xff", b'{"key":"a","key":"b"}'])
def test_what_is_no_strict_json_is_refused(api: ApiServer, body: bytes) -> None:
    answer = api.ask("POST", "/v1/events", body)
    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": ""}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer garbage"},
     {"Authorization": "Bearer wn_0123456789ab_garbage"}],
)  # fmt: skip
def test_nobody_sends_events_without_a_token(api: ApiServer, headers: dict[str, str]) -> None:
    answer = api.ask("POST", "/v1/events", b"x" * (BYTES_MAX + 1), scope=None, headers=headers)
    assert (answer.status, answer.error["code"]) == (401, "TOKEN_INVALID")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_token_for_reading_sends_nothing(api: ApiServer) -> None:
    answer = api.ask("POST", "/v1/events", EVENT, scope="read")
    assert (answer.status, answer.error["code"]) == (403, "FORBIDDEN")


def test_an_event_may_have_256_kib_and_not_a_byte_more(api: ApiServer) -> None:
    room = BYTES_MAX - len(json.dumps(EVENT | {"more": ""}))
    body = json.dumps(EVENT | {"more": "x" * room}).encode()
    assert len(body) == BYTES_MAX
    assert api.ask("POST", "/v1/events", body).status == 202
    answer = api.ask("POST", "/v1/events", body + b" ")
    assert (answer.status, answer.error["code"]) == (413, "PAYLOAD_TOO_LARGE")


def test_of_a_batch_all_are_validated_before_any_is_taken(api: ApiServer) -> None:
    events = [EVENT | {"idempotency_key": str(n)} for n in range(5)]
    answer = api.ask("POST", "/v1/events/batch", {"events": [*events[:3], {**EVENT, "action": 7}]})
    assert answer.status == 400
    assert answer.error["details"][0]["path"] == "events[3].action"
    assert log(api) == []
    answer = api.ask("POST", "/v1/events/batch", {"events": events})
    assert answer.status == 202
    assert (answer.json["accepted"], answer.json["failed"], len(answer.json["ids"])) == (5, [], 5)
    assert log(api) == events


@pytest.mark.parametrize("count", [0, 501])
def test_a_batch_has_1_to_500_events(api: ApiServer, count: int) -> None:
    answer = api.ask("POST", "/v1/events/batch", {"events": [EVENT] * count})
    assert (answer.status, answer.error["details"][0]["path"]) == (400, "events")


ENVELOPE = {"specversion": "1.0", "id": "1", "source": "/tickets", "type": "resolved", "data": EVENT}


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events/batch"])
def test_cloud_events_are_taken_in_both_structured_forms(api: ApiServer, path: str) -> None:
    if path == "/v1/events":
        one = api.ask("POST", path, ENVELOPE, content_type="application/cloudevents+json")
        assert one.status == 202
    several = api.ask("POST", path, [ENVELOPE, ENVELOPE], content_type="application/cloudevents-batch+json")
    assert several.status == 202
    assert several.json["accepted"] == 2


def test_an_event_for_nothing_that_is_there_is_no_success(api: ApiServer) -> None:
    assert api.ask("POST", "/v1/nothing", {}).status == 404
    assert api.ask("POST", "/v1/nothing", {}, scope=None).status == 401
    answer = api.ask("DELETE", "/v1/events")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, POST")
