"""API tokens over HTTP."""

import time
from typing import Any

import pytest

from tests.support.processes import until
from tests.web.api_server import Answer, ApiServer
from witnd.store.access.tokens import FRESH_SECONDS


def made(api: ApiServer, **wish: Any) -> Any:
    answer = api.ask("POST", "/v1/tokens", {"name": "shop", "scopes": ["read"]} | wish)
    assert answer.status == 201, answer.body
    return answer.json


def id_of(text: str) -> str:
    return text.split("_")[1]


def code(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.error["code"]


def test_a_token_is_shown_once_and_works_at_once(api: ApiServer) -> None:
    token = made(api, scopes=["read", "ingest"], rate=50)
    text = token.pop("token")
    assert (token["name"], token["scopes"], token["rate"], token["revoked_at"]) == (
        "shop",
        ["read", "ingest"],
        50,
        None,
    )
    assert api.ask("GET", "/v1/invoices", token=text).status == 200
    assert code(api.ask("GET", "/v1/tokens", token=text)) == (403, "FORBIDDEN")
    for answer in (
        api.ask("GET", "/v1/tokens"),
        api.ask("GET", f"/v1/tokens/{token['id']}"),
        api.ask("GET", "/v1/changes"),
    ):
        assert text.encode() not in answer.body
        assert text.split("_", 2)[2].encode() not in answer.body
        assert b"digest" not in answer.body


def test_tokens_are_listed_oldest_first_with_their_last_use(api: ApiServer) -> None:
    tokens = [made(api, name=f"shop {n % 2}") for n in range(5)]
    for limit in (1, 3, 100):
        found = api.pages(f"/v1/tokens?limit={limit}")
        assert len(found) == 8, "and those that the test has"
        assert sorted(one["id"] for one in found[3:]) == sorted(one["id"] for one in tokens), "names may come twice"
    assert {one["last_used_at"] for one in found[3:]} == {None}
    api.ask("GET", "/v1/invoices", token=tokens[0]["token"])
    assert api.get(f"/v1/tokens/{tokens[0]['id']}")["last_used_at"] is not None
    stored = api.deployment.call("HKEYS", "witn:{shared}:tokens:used")
    assert tokens[0]["id"].encode() in stored, "the first use is written at once"


def test_a_revoked_token_is_worth_nothing_at_once_and_hidden(api: ApiServer) -> None:
    token = made(api)
    assert api.ask("GET", "/v1/invoices", token=token["token"]).status == 200
    gone = api.ask("DELETE", f"/v1/tokens/{token['id']}")
    assert gone.status == 200
    assert gone.json["revoked_at"] is not None
    assert code(api.ask("GET", "/v1/invoices", token=token["token"])) == (401, "TOKEN_INVALID")
    assert token["id"] not in {one["id"] for one in api.pages("/v1/tokens?limit=1")}
    assert token["id"] in {one["id"] for one in api.pages("/v1/tokens?limit=1&archived=true")}
    assert api.get(f"/v1/tokens/{token['id']}")["revoked_at"] == gone.json["revoked_at"]
    assert api.ask("DELETE", f"/v1/tokens/{token['id']}").json == gone.json, "again, it changes nothing"
    assert [one["what"] for one in api.pages("/v1/changes?limit=1")] == ["token.revoke", "token.create"]


def test_a_token_revoked_at_a_terminal_is_refused_within_a_moment(api: ApiServer) -> None:
    token = made(api)
    assert api.ask("GET", "/v1/invoices", token=token["token"]).status == 200
    assert api.deployment.witnd("tokens", "revoke", token["id"]).exit_code == 0
    since = time.monotonic()
    until(lambda: api.ask("GET", "/v1/invoices", token=token["token"]).status == 401, "it is refused")
    assert time.monotonic() - since < FRESH_SECONDS + 5  # a busy machine


def test_nobody_revokes_the_token_in_hand_by_mistake(api: ApiServer) -> None:
    mine = id_of(api.tokens["admin"])
    answer = api.ask("DELETE", f"/v1/tokens/{mine}")
    assert code(answer) == (409, "CONFLICT")
    assert "?self=true" in answer.error["message"]
    assert api.ask("DELETE", f"/v1/tokens/{mine}?self=false").status == 409
    assert api.ask("DELETE", f"/v1/tokens/{mine}?self=true").status == 200
    assert api.ask("GET", "/v1/tokens").status == 401


def test_who_made_and_revoked_is_noted_without_any_secret(api: ApiServer) -> None:
    token = made(api)
    api.ask("DELETE", f"/v1/tokens/{token['id']}")
    revoked, created = api.get("/v1/changes")["data"]
    assert (created["who"], created["what"], created["key"], created["before"]) == (
        "token admin", "token.create", token["id"], None
    )  # fmt: skip
    assert created["after"]["scopes"] == ["read"]
    assert (revoked["before"]["revoked_at"], revoked["after"]["revoked_at"] is None) == (None, False)
    assert not {"digest", "token"} & (created["after"].keys() | revoked["after"].keys())


@pytest.mark.parametrize(
    ("wish", "path"),
    [({"name": ""}, "name"), ({"name": "x" * 101}, "name"), ({"name": "a\nb"}, "name"), ({"name": 5}, "name"),
     ({"scopes": []}, "scopes"), ({"scopes": ["root"]}, "scopes[0]"), ({"scopes": ["read", "read"]}, "scopes[1]"),
     ({"scopes": "read"}, "scopes"), ({"rate": 0}, "rate"), ({"rate": -1}, "rate"), ({"rate": 1e9}, "rate"),
     ({"rate": "fast"}, "rate"), ({"secret": "mine"}, "secret")],
)  # fmt: skip
def test_a_wish_that_cannot_be_meant_is_refused_with_its_path(api: ApiServer, wish: dict[str, Any], path: str) -> None:
    answer = api.ask("POST", "/v1/tokens", {"name": "shop", "scopes": ["read"]} | wish)
    assert code(answer) == (400, "VALIDATION_ERROR")
    assert answer.error["details"][0]["path"] == path
    assert len(api.get("/v1/tokens")["data"]) == 3


def test_everything_wrong_is_told_at_once(api: ApiServer) -> None:
    answer = api.ask("POST", "/v1/tokens", {"name": "", "scopes": [], "rate": 0})
    assert [one["path"] for one in answer.error["details"]] == ["name", "scopes", "rate"]


def test_one_that_is_not_there_is_not_found(api: ApiServer) -> None:
    for method in ("GET", "DELETE"):
        for name in ("0123456789ab", "revision", "%00"):
            assert code(api.ask(method, f"/v1/tokens/{name}")) == (404, "NOT_FOUND")
    assert code(api.ask("GET", "/v1/tokens?after=revision")) == (400, "VALIDATION_ERROR")


def test_only_an_admin_sees_or_changes_tokens(api: ApiServer) -> None:
    for scope in ("read", "ingest"):
        for method, path in (("GET", "/v1/tokens"), ("POST", "/v1/tokens"), ("GET", "/v1/tokens/0123456789ab"),
                             ("DELETE", "/v1/tokens/0123456789ab"), ("GET", "/v1/changes")):  # fmt: skip
            assert code(api.ask(method, path, scope=scope)) == (403, "FORBIDDEN")
