"""Requests with an `Idempotency-Key` are carried out once; changes with `If-Match` touch what their author has read."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from tests.support.processes import until
from tests.web.api_server import Answer, ApiServer
from witnd.web.http.idempotency import RUNNING_MS, KeyedRequest, Running, seal, unseal

CUSTOMER = {"key": "globex", "name": "Globex"}
REQUESTS: dict[str, tuple[str, Any]] = {
    "token": ("/v1/tokens", {"name": "ci", "scopes": ["ingest"]}),
    "customer": ("/v1/customers", CUSTOMER),
    "rate card": ("/v1/rate-cards", {"key": "gold", "currency": "EUR", "entries": []}),
    "rule": ("/v1/notification-rules", {"name": "hook", "url": "https://example.com/hook", "source": "both"}),
}


def post(api: ApiServer, path: str, body: Any, key: str | None, **more: Any) -> Answer:
    headers = {} if key is None else {"Idempotency-Key": key}
    return api.ask("POST", path, body, headers=headers | more.pop("headers", {}), **more)


def patch(api: ApiServer, body: Any, *tags: str, key: str = "acme") -> Answer:
    return api.ask("PATCH", f"/v1/customers/{key}", body, headers={"If-Match": ", ".join(tags)} if tags else {})


def records(api: ApiServer) -> list[bytes]:
    call = api.deployment.call
    return [call("GET", name) for name in call("KEYS", "witn:{shared}:answer:*")]


@pytest.mark.parametrize("what", REQUESTS)
def test_a_repeated_create_gets_the_stored_answer_and_creates_once(api: ApiServer, what: str) -> None:
    path, body = REQUESTS[what]
    first, again = post(api, path, body, "k-1"), post(api, path, body, "k-1")
    assert first.status == 201, first.body
    assert "idempotency-replayed" not in first.headers
    assert (again.status, again.body) == (201, first.body)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert again.headers.get("etag") == first.headers.get("etag")
    names = [one for one in api.pages(path) if body.items() <= one.items() or one.get("name") == body.get("name")]
    assert len(names) == 1


def test_a_stored_answer_holds_no_secret_that_redis_could_give_away(api: ApiServer) -> None:
    path, body = REQUESTS["token"]
    text = post(api, path, body, "k-1").json["token"]
    [record] = records(api)
    assert text.encode() not in record
    assert text.rpartition("_")[2].encode() not in record


def test_a_key_that_is_reused_for_other_content_is_a_conflict(api: ApiServer) -> None:
    post(api, "/v1/customers", CUSTOMER, "k-1")
    other = post(api, "/v1/customers", CUSTOMER | {"name": "other"}, "k-1")
    assert (other.status, other.error["code"]) == (409, "CONFLICT")
    assert "another request" in other.error["message"]


def test_a_refused_request_frees_its_key(api: ApiServer) -> None:
    assert post(api, "/v1/customers", {"key": ""}, "k-1").status == 400
    assert records(api) == []
    assert post(api, "/v1/customers", CUSTOMER, "k-1").status == 201


def test_keys_belong_to_a_token_and_a_path(api: ApiServer) -> None:
    assert post(api, "/v1/customers", CUSTOMER, "k-1").status == 201
    other = api.ask("POST", "/v1/tokens", {"name": "other", "scopes": ["admin"]}).json["token"]
    assert post(api, "/v1/customers", CUSTOMER, "k-1", token=other).error["message"].endswith("change it instead")
    assert post(api, *REQUESTS["rate card"], "k-1").status == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9"])
def test_a_key_that_cannot_be_used_is_refused(api: ApiServer, key: str) -> None:
    answer = post(api, "/v1/customers", CUSTOMER, key)
    assert (answer.status, answer.error["details"][0]["path"]) == (400, "Idempotency-Key")


def test_of_requests_at_the_same_time_one_is_carried_out(api: ApiServer) -> None:
    path, body = REQUESTS["token"]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: post(api, path, body, "k-1"), range(8)))
    assert {(one.status, one.body) for one in answers} == {(201, answers[0].body)}
    assert sum("idempotency-replayed" not in one.headers for one in answers) == 1
    assert sum(one["name"] == "ci" for one in api.pages("/v1/tokens")) == 1


def test_a_request_whose_answer_was_lost_is_not_carried_out_again_without_notice(api: ApiServer) -> None:
    path, body = REQUESTS["token"]
    token = api.tokens["admin"]
    asked = KeyedRequest(
        key="k-1", token_id=token.split("_")[1], secret=token, method="POST", target=path,
        data=json.dumps(body).encode(), repeatable=False,
    )  # fmt: skip
    marker = Running(request=asked.digest, began_at=time.time_ns() // 1_000_000 - RUNNING_MS - 1)
    api.deployment.call("SET", f"witn:{{shared}}:answer:{asked.name}", msgspec.msgpack.encode(marker))
    answer = post(api, path, body, "k-1")
    assert (answer.status, answer.error["code"]) == (409, "CONFLICT")
    assert "response was lost" in answer.error["message"]
    assert not [one for one in api.pages("/v1/tokens") if one["name"] == "ci"]


def test_stored_answers_end_after_a_day(api: ApiServer) -> None:
    post(api, "/v1/customers", CUSTOMER, "k-1")
    [name] = api.deployment.call("KEYS", "witn:{shared}:answer:*")
    assert 86_000 < api.deployment.call("TTL", name) <= 86_400


@pytest.mark.parametrize("text", [b"", b"x", b'{"a":1}' * 1000])
def test_a_sealed_text_is_read_with_its_secret_only(text: bytes) -> None:
    sealed = seal("wn_1_a", text)
    assert unseal("wn_1_a", sealed) == text
    assert unseal("wn_1_b", sealed) is None
    assert unseal("wn_1_a", sealed[:-1] + bytes([sealed[-1] ^ 1])) is None
    assert seal("wn_1_a", text) != sealed


@pytest.fixture
def acme(api: ApiServer) -> ApiServer:
    """The API, with a customer `acme`."""
    assert post(api, "/v1/customers", {"key": "acme", "name": "Acme"}, None).status == 201
    return api


# -- versions that others changed ------------------------------------------------------------------------------------


def test_a_change_of_what_others_changed_meanwhile_is_refused(acme: ApiServer) -> None:
    read = acme.ask("GET", "/v1/customers/acme")
    tag = read.headers["etag"]
    mine = patch(acme, {"name": "Mine"}, tag)
    assert mine.status == 200, mine.body
    assert mine.headers["etag"] != tag
    theirs = patch(acme, {"email": "a@example.com"}, tag)
    assert (theirs.status, theirs.error["code"]) == (412, "PRECONDITION_FAILED")
    assert theirs.headers["etag"] == mine.headers["etag"]
    assert patch(acme, {"email": "a@example.com"}, '"x"', mine.headers["etag"]).status == 200
    after = acme.get("/v1/customers/acme")
    assert (after["name"], after["email"]) == ("Mine", "a@example.com")


def test_of_many_writers_with_one_tag_one_succeeds(acme: ApiServer) -> None:
    tag = acme.ask("GET", "/v1/customers/acme").headers["etag"]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: patch(acme, {"name": f"writer {n}"}, tag), range(8)))
    assert sorted(one.status for one in answers) == [200] + [412] * 7


def test_a_tag_changes_with_a_version_that_is_scheduled(acme: ApiServer) -> None:
    tag = acme.ask("GET", "/v1/customers/acme").headers["etag"]
    scheduled = acme.ask("PATCH", "/v1/customers/acme", {"name": "later", "effective_from": "2090-01-01T00:00:00Z"})
    assert scheduled.status == 200
    assert patch(acme, {"name": "now"}, tag).status == 412


def test_any_version_is_changed_with_a_star_or_without_a_tag(acme: ApiServer) -> None:
    assert patch(acme, {"name": "one"}, "*").status == 200
    assert patch(acme, {"name": "two"}).status == 200
    assert patch(acme, {"name": "two"}, "*", key="nobody").status == 404


@pytest.mark.parametrize(("tag", "status"), [('W/"1-1"', 412), ("1-1", 400), ('"1-1', 400), ("", 400), ('"9-9"', 412)])
def test_a_tag_that_is_weak_or_no_tag_is_refused(acme: ApiServer, tag: str, status: int) -> None:
    assert patch(acme, {"name": "x"}, tag).status == status
    assert acme.get("/v1/customers/acme")["name"] != "x"


def test_archiving_and_rotating_honour_the_tag_too(acme: ApiServer) -> None:
    stale = {"If-Match": '"9-9"'}
    assert acme.ask("DELETE", "/v1/customers/acme", headers=stale).status == 412
    rule = post(acme, *REQUESTS["rule"], None).json["id"]
    assert acme.ask("POST", f"/v1/notification-rules/{rule}/rotate-secret", {}, headers=stale).status == 412
    tag = acme.ask("GET", f"/v1/notification-rules/{rule}").headers["etag"]
    done = acme.ask("POST", f"/v1/notification-rules/{rule}/rotate-secret", {}, headers={"If-Match": tag})
    assert done.status == 200, done.body
    assert done.headers["etag"] != tag
    assert "etag" in acme.ask("DELETE", "/v1/customers/acme").headers


@pytest.mark.parametrize("name", ["If-Match", "If-Unmodified-Since"])
def test_a_precondition_that_nothing_checks_is_refused(acme: ApiServer, name: str) -> None:
    answer = post(acme, "/v1/customers", CUSTOMER, None, headers={name: '"1-1"'})
    assert (answer.status, answer.error["details"][0]["path"]) == (400, name)
    until(lambda: acme.ask("GET", "/v1/customers/globex").status == 404, "nothing was created")
