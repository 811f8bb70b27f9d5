"""An identity that a producer gives an event is used or refused, never dropped: over HTTP, with the real daemon."""

import base64
import json
from hashlib import sha256
from typing import Any

import pytest

from tests.support.processes import until
from tests.web.api_server import Answer, ApiServer

EVENT = {"key": "ticket-4711", "action": "resolved", "customer_key": "acme"}
CLOUD = {
    "ce-specversion": "1.0", "ce-id": "42", "ce-source": "/helpdesk", "ce-type": "ticket.resolved",
    "ce-time": "2026-01-31T09:30:00Z",
}  # fmt: skip
CLOUD_KEY = sha256(b"/helpdesk\x0042").hexdigest()
ENVELOPE = {"specversion": "1.0", "id": "42", "source": "/helpdesk", "type": "t", "data": EVENT}
STRUCTURED = "application/cloudevents+json"


def log(api: ApiServer) -> list[dict[str, Any]]:
    entries = api.deployment.call("XRANGE", "witn:{0}:events", "-", "+")
    return [json.loads(fields[b"data"]) for _, fields in entries if b"data" in fields]


def fates(api: ApiServer, *answers: Answer) -> list[str]:
    """What became of the events of these answers."""
    found: list[str] = []
    for answer in answers:
        assert answer.status == 202, answer.body
        path = f"/v1/events/{answer.json['partition']}/{answer.json['id']}"
        until(lambda path=path: api.ask("GET", path).json.get("fate") not in (None, "waiting"), "the event is applied")
        found.append(api.get(path)["fate"])
    return found


def paths(answer: Answer) -> list[str]:
    assert answer.status == 400, answer.body
    return [detail["path"] for detail in answer.error["details"]]


def test_a_cloud_event_in_binary_mode_counts_once_however_often_it_is_sent(api: ApiServer) -> None:
    first, again = (api.ask("POST", "/v1/events", EVENT, headers=CLOUD) for _ in range(2))
    structured = api.ask(
        "POST", "/v1/events", ENVELOPE | {"time": CLOUD["ce-time"], "datacontenttype": "application/json"},
        content_type=STRUCTURED,
    )  # fmt: skip
    other = api.ask("POST", "/v1/events", EVENT, headers=CLOUD | {"ce-id": "43"})
    first_fate, *others = fates(api, first, again, structured, other)
    assert others == ["duplicate", "duplicate", first_fate]


def test_a_header_idempotency_key_is_the_key_of_the_event(api: ApiServer) -> None:
    header = {"Idempotency-Key": "evt-1"}
    answers = [api.ask("POST", "/v1/events", EVENT, headers=header) for _ in range(2)]
    answers.append(api.ask("POST", "/v1/events", EVENT, headers={"Idempotency-Key": '"evt-1"'}))
    answers.append(api.ask("POST", "/v1/events", EVENT | {"idempotency_key": "evt-1"}))
    answers.append(api.ask("POST", "/v1/events", EVENT | {"idempotency_key": None}, headers=header))
    answers.append(api.ask("POST", "/v1/events", EVENT | {"action": "reopened"}, headers=header))
    assert fates(api, *answers)[1:] == ["duplicate"] * 4 + ["conflict"]


def test_the_time_of_the_headers_is_the_timestamp_where_the_event_has_none(api: ApiServer) -> None:
    api.ask("POST", "/v1/events", EVENT, headers=CLOUD)
    api.ask("POST", "/v1/events", EVENT | {"timestamp": "2026-01-01T00:00:00Z"}, headers=CLOUD)
    first, second = log(api)
    assert (first["time"], first["data"]) == (CLOUD["ce-time"], EVENT)
    assert second["data"]["timestamp"] == "2026-01-01T00:00:00Z"
    assert paths(api.ask("POST", "/v1/events", EVENT, headers=CLOUD | {"ce-time": "soon"})) == ["timestamp"]


@pytest.mark.parametrize("missing", ["ce-id", "ce-source", "ce-specversion", "ce-type"])
def test_a_part_of_a_cloud_event_in_binary_mode_is_refused_by_name(api: ApiServer, missing: str) -> None:
    headers = {name: value for name, value in CLOUD.items() if name != missing}
    assert paths(api.ask("POST", "/v1/events", EVENT, headers=headers)) == [missing]
    assert paths(api.ask("POST", "/v1/events", EVENT, headers=CLOUD | {missing: ""})) == [missing]
    assert log(api) == []


def test_every_header_that_is_missing_is_named_at_once(api: ApiServer) -> None:
    answer = api.ask("POST", "/v1/events", EVENT, headers={"ce-subject": "x"})
    assert paths(answer) == ["ce-specversion", "ce-id", "ce-source", "ce-type"]


@pytest.mark.parametrize(
    ("value", "means"),
    [("%2Fb%C3%BCro%20%25", "/b\u00fcro %"), ('"/a b"', "/a b"), ("/x%E2%82%AC", "/x\u20ac"), ("a+b", "a+b")],
)
def test_headers_are_decoded_as_the_binding_of_cloud_events_says(api: ApiServer, value: str, means: str) -> None:
    answer = api.ask("POST", "/v1/events", EVENT, headers=CLOUD | {"ce-source": value})
    assert answer.status == 202
    assert log(api)[0]["source"] == means


@pytest.mark.parametrize("value", ["100%", "%zz", "%ff", "%C3", "%ED%A0%80"])
def test_headers_that_cannot_be_decoded_are_refused_by_name(api: ApiServer, value: str) -> None:
    assert paths(api.ask("POST", "/v1/events", EVENT, headers=CLOUD | {"ce-id": value})) == ["ce-id"]


@pytest.mark.parametrize(
    ("body", "headers", "content_type", "path"),
    [
        (EVENT | {"idempotency_key": "b"}, {"Idempotency-Key": "a"}, "application/json", "Idempotency-Key"),
        (EVENT | {"idempotency_key": "b"}, CLOUD, "application/json", "idempotency_key"),
        (EVENT, CLOUD | {"Idempotency-Key": "a"}, "application/json", "Idempotency-Key"),
        (ENVELOPE, {"Idempotency-Key": "a"}, STRUCTURED, "Idempotency-Key"),
        (ENVELOPE, CLOUD | {"ce-id": "43"}, STRUCTURED, "ce-id"),
        (ENVELOPE, {"ce-source": "/other"}, "application/json", "ce-source"),
        (EVENT, {"Idempotency-Key": ""}, "application/json", "Idempotency-Key"),
        (EVENT, {"Idempotency-Key": "x" * 256}, "application/json", "Idempotency-Key"),
        (EVENT, {"X-Idempotency-Key": "a"}, "application/json", "X-Idempotency-Key"),
        (EVENT, CLOUD | {"ce-specversion": "0.3"}, "application/json", "ce-specversion"),
    ],
)
def test_identities_that_differ_are_refused_by_name(
    api: ApiServer, body: object, headers: dict[str, str], content_type: str, path: str
) -> None:
    answer = api.ask("POST", "/v1/events", body, headers=headers, content_type=content_type)
    assert paths(answer) == [path]
    assert log(api) == []


@pytest.mark.parametrize(
    ("body", "headers", "content_type"),
    [
        (EVENT | {"idempotency_key": "a"}, {"Idempotency-Key": "a"}, "application/json"),
        (EVENT | {"idempotency_key": CLOUD_KEY}, CLOUD | {"Idempotency-Key": CLOUD_KEY}, "application/json"),
        (ENVELOPE, CLOUD | {"Idempotency-Key": CLOUD_KEY}, STRUCTURED),
        (ENVELOPE | {"data": EVENT | {"idempotency_key": "a"}}, {"Idempotency-Key": "a"}, STRUCTURED),
        (EVENT, {"X-Request-Id": "a"}, "application/json"),
    ],
)
def test_equal_identities_are_accepted(
    api: ApiServer, body: object, headers: dict[str, str], content_type: str
) -> None:
    assert api.ask("POST", "/v1/events", body, headers=headers, content_type=content_type).status == 202


def test_a_body_that_is_no_single_document_cannot_leave_its_envelope(api: ApiServer) -> None:
    body = json.dumps(EVENT).encode() + b',"id":"other"'
    assert api.ask("POST", "/v1/events", body, headers=CLOUD).status == 400
    assert api.ask("POST", "/v1/events", b"[]", headers=CLOUD).status == 400


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events/batch"])
def test_headers_of_one_event_are_refused_for_a_batch(api: ApiServer, path: str) -> None:
    answer = api.ask("POST", path, [ENVELOPE], headers=CLOUD, content_type="application/cloudevents-batch+json")
    assert answer.status == 400
    assert "ce-*" in answer.error["message"]


def test_the_header_of_a_batch_is_the_key_of_all_its_events(api: ApiServer) -> None:
    events = [EVENT, EVENT, EVENT | {"idempotency_key": "own"}]
    for _ in range(2):
        assert api.ask("POST", "/v1/events/batch", events, headers={"Idempotency-Key": "b-1"}).status == 202
    keys = [event["idempotency_key"] for event in log(api)]
    assert len(set(keys)) == 3
    assert keys[:3] == keys[3:]
    assert keys[2] == "own"


def test_a_batch_comes_as_an_object_an_array_or_json_lines(api: ApiServer) -> None:
    events = [EVENT | {"idempotency_key": str(n)} for n in range(3)]
    lines = b"\n\r\n".join(json.dumps(one).encode() for one in events) + b"\n"
    assert api.ask("POST", "/v1/events/batch", {"events": events}).json["accepted"] == 3
    assert api.ask("POST", "/v1/events/batch", events).json["accepted"] == 3
    for content_type in ("application/x-ndjson", "application/ndjson", "application/jsonl"):
        assert api.ask("POST", "/v1/events/batch", lines, content_type=content_type).json["accepted"] == 3
    assert log(api) == events * 5
    wrong = api.ask("POST", "/v1/events/batch", lines + b"{}", content_type="application/x-ndjson")
    assert paths(wrong) == ["[3].key", "[3].action", "[3].customer_key"]
    assert api.ask("POST", "/v1/events/batch", b"\n", content_type="application/x-ndjson").status == 400


def test_a_batch_of_cloud_events_may_be_empty_and_hold_base64(api: ApiServer) -> None:
    batch = "application/cloudevents-batch+json"
    empty = api.ask("POST", "/v1/events/batch", [], content_type=batch)
    assert (empty.status, empty.json) == (202, {"accepted": 0, "failed": [], "ids": []})
    encoded = {**ENVELOPE, "data_base64": base64.b64encode(json.dumps(EVENT).encode()).decode()}
    del encoded["data"]
    assert api.ask("POST", "/v1/events", [ENVELOPE, encoded], content_type=batch).json["accepted"] == 2


def test_everything_that_is_wrong_with_an_event_is_told_at_once(api: ApiServer) -> None:
    assert paths(api.ask("POST", "/v1/events", {})) == ["key", "action", "customer_key"]


@pytest.mark.parametrize("path", ["/v1/events?idempotency_key=a", "/v1/events/batch?Idempotency-Key=a"])
def test_an_identity_in_the_address_is_refused(api: ApiServer, path: str) -> None:
    answer = api.ask("POST", path, [EVENT] if "batch" in path else EVENT)
    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert log(api) == []
