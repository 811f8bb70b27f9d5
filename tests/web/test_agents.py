"""Agents over HTTP: versions, differences, and trying a condition before it is saved."""

from typing import Any

import pytest

from tests.web.api_server import ApiServer, api_server
from tests.web.catalogue import AGENT, changes, made, paths
from witnd.domain.values import instant

SEEN = {"fact": "a", "operator": "seen"}
LATER = "2097-01-01T00:00:00.000Z"
LATEST = "2098-01-01T00:00:00.000Z"


def test_an_agent_is_created_and_read(api: ApiServer) -> None:
    answer = api.ask("POST", "/v1/agents", AGENT)
    assert answer.status == 201
    agent = answer.json
    assert {name: agent[name] for name in AGENT} == AGENT
    assert (agent["version"], agent["versions"], agent["standing"], agent["archived"]) == (1, 1, "in effect", False)
    assert (agent["until"], agent["scheduled"]) == (None, [])
    assert agent["effective_from"] == "1970-01-01T00:00:00.000Z"  # as long as nothing was accepted
    assert agent["condition_words"] == "`replied` was seen and `reopened` was not seen"
    assert len(agent["contract_hash"]) == 64
    assert api.get("/v1/agents/support", scope="read") == agent
    assert api.get("/v1/agents", scope="read") == {"data": [agent], "next_cursor": None}
    assert api.deployment.json("agents", "support")["versions"][0]["hash"] == agent["contract_hash"]


def test_defaults_stand_in_for_what_is_left_out(api: ApiServer) -> None:
    agent = made(api, "/v1/agents", {"key": "plain", "condition": []})
    assert (agent["name"], agent["settlement_period"], agent["attribution_method"]) == ("plain", 259_200, "last")
    assert agent["condition_words"] == "always"


def test_all_mistakes_are_told_at_once_with_their_paths(api: ApiServer) -> None:
    wrong = {
        "settlement_period": 0,
        "condition": [
            {"fact": "a", "operator": "seen"},
            {"op": "OR", "conditions": [{"fact": "b", "operator": "gte"}]},
        ],
        "colour": "red",
        "archived": True,
        "effective_from": "soon",
    }
    answer = api.ask("POST", "/v1/agents", wrong)
    assert sorted(paths(answer)) == [
        "archived",
        "colour",
        "condition[1].conditions[0].value",
        "effective_from",
        "key",
        "settlement_period",
    ]
    assert api.get("/v1/agents")["data"] == []


@pytest.mark.parametrize("body", [b"", b"[]", b'{"key":"a","key":"b"}'])
def test_what_is_no_json_object_is_refused(api: ApiServer, body: bytes) -> None:
    assert api.ask("POST", "/v1/agents", body).status == 400


def test_what_exists_is_not_created_again(api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    answer = api.ask("POST", "/v1/agents", AGENT)
    assert (answer.status, answer.error["code"]) == (409, "CONFLICT")
    assert '"support"' in answer.error["message"]
    assert "already exists" in answer.error["message"]
    api.ask("DELETE", "/v1/agents/support")
    assert "restore" in api.ask("POST", "/v1/agents", AGENT).error["message"]


def test_a_change_merges_fields_and_makes_a_version(api: ApiServer) -> None:
    first = made(api, "/v1/agents", AGENT)
    answer = api.ask("PATCH", "/v1/agents/support", {"settlement_period": 120, "name": None})
    assert answer.status == 200
    second = answer.json
    assert (second["settlement_period"], second["name"]) == (120, "support")
    assert second["condition"] == AGENT["condition"]
    assert (second["version"], second["versions"]) == (2, 2)
    assert second["contract_hash"] != first["contract_hash"]
    old = api.get("/v1/agents/support?version=1")
    assert (old["name"], old["standing"], old["until"]) == ("Support", "past", second["effective_from"])
    assert api.get("/v1/agents/support?at=2001-01-01T00:00:00Z")["version"] == 1


def test_a_change_without_a_difference_makes_no_version(api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    same = {"settlement_period": 60.0, "condition": AGENT["condition"], "key": "support"}
    for body in ({}, same):
        answer = api.ask("PATCH", "/v1/agents/support", body)
        assert (answer.status, answer.json["versions"]) == (200, 1)
    assert [change["what"] for change in changes(api)] == ["agent.create"]


def test_what_cannot_be_changed_is_refused(api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    answer = api.ask(
        "PATCH", "/v1/agents/support", {"key": "sales", "archived": True, "hue": 1, "settlement_period": "1"}
    )
    assert sorted(paths(answer)) == ["archived", "hue", "key", "settlement_period"]


def test_changes_say_who_made_them(api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    answer = api.ask("PATCH", "/v1/agents/support", {"name": "Help"})
    api.ask("DELETE", "/v1/agents/support")
    api.ask("POST", "/v1/agents/support/restore")
    noted = changes(api)
    assert [one["what"] for one in noted] == ["agent.create", "agent.update", "agent.archive", "agent.restore"]
    assert {one["key"] for one in noted} == {"support"}
    assert {one["who"] for one in noted} == {"token admin"}
    assert noted[0]["before"] is None
    assert (noted[1]["before"]["name"], noted[1]["after"]["name"]) == ("Support", "Help")
    assert noted[1]["request_id"] == answer.headers["x-request-id"]


def test_an_archived_agent_is_hidden_and_can_be_restored(api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    for _ in range(2):
        answer = api.ask("DELETE", "/v1/agents/support")
        assert (answer.status, answer.json["archived"], answer.json["versions"]) == (200, True, 2)
    assert api.get("/v1/agents")["data"] == []
    assert [one["key"] for one in api.get("/v1/agents?archived=true")["data"]] == ["support"]
    assert api.get("/v1/agents/support")["archived"] is True
    changed = api.ask("PATCH", "/v1/agents/support", {"name": "Still there"}).json
    assert (changed["archived"], changed["version"]) == (True, 3)
    for _ in range(2):
        answer = api.ask("POST", "/v1/agents/support/restore")
        assert (answer.status, answer.json["archived"], answer.json["versions"]) == (200, False, 4)
    assert [one["key"] for one in api.get("/v1/agents")["data"]] == ["support"]


def test_versions_tell_what_each_changed(api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    for number in range(2, 6):
        api.ask("PATCH", "/v1/agents/support", {"settlement_period": number})
    found = api.pages("/v1/agents/support/versions?limit=2")
    assert [one["version"] for one in found] == [1, 2, 3, 4, 5]
    assert [one["standing"] for one in found] == ["past"] * 4 + ["in effect"]
    assert found[1]["changes"] == [
        {"path": "settlement_period", "before": "60", "after": "2", "words": "~ settlement_period: 60 → 2"}
    ]
    compared = api.get("/v1/agents/support/compare?from=2&to=5")
    assert (compared["from"]["version"], compared["to"]["version"]) == (2, 5)
    assert [one["words"] for one in compared["changes"]] == ["~ settlement_period: 2 → 5"]
    assert api.get("/v1/agents/support/compare?from=3&to=3")["changes"] == []


def test_a_version_can_be_scheduled(api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    ahead = api.ask("PATCH", "/v1/agents/support", {"name": "Later", "effective_from": LATER})
    assert (ahead.status, ahead.json["standing"], ahead.json["effective_from"]) == (200, "scheduled", LATER)
    now = api.get("/v1/agents/support")
    assert (now["name"], now["until"], now["scheduled"]) == ("Support", LATER, [LATER])
    assert api.get(f"/v1/agents/support?at={LATER}")["name"] == "Later"
    again = api.ask("PATCH", "/v1/agents/support", {"name": "Later", "effective_from": LATER})
    assert (again.status, again.json["versions"]) == (200, 2)
    other = api.ask("PATCH", "/v1/agents/support", {"name": "Other", "effective_from": LATER})
    assert (other.status, other.error["code"]) == (409, "CONFLICT")
    gone = api.ask("DELETE", f"/v1/agents/support?effective_from={LATEST}").json
    assert (gone["archived"], gone["standing"]) == (True, "scheduled")
    back = api.ask("POST", f"/v1/agents/support/restore?effective_from={LATEST}")
    assert (back.status, back.error["code"]) == (409, "CONFLICT")
    assert paths(api.ask("DELETE", "/v1/agents/support?effective_from=soon")) == ["effective_from"]


def test_an_agent_may_begin_later(api: ApiServer) -> None:
    agent = made(api, "/v1/agents", {**AGENT, "effective_from": LATER})
    assert agent["standing"] == "scheduled"
    assert api.get("/v1/agents/support") == agent
    assert api.get("/v1/agents")["data"] == [agent]
    answer = api.ask("PATCH", "/v1/agents/support", {"name": "Too soon"})
    assert (answer.status, answer.error["code"]) == (409, "CONFLICT")
    assert api.ask("GET", "/v1/agents/support?at=2001-01-01T00:00:00Z").status == 404


def test_nothing_begins_before_what_was_accepted(session_server: Any, redis_url: str, tmp_path: Any) -> None:
    with api_server(session_server, tmp_path, partitions=2) as api:
        made(api, "/v1/agents", AGENT)
        event = {"action": "replied", "customer_key": "acme"}
        for number in range(12):
            assert api.ask("POST", "/v1/events", {**event, "key": f"ticket-{number:04}"}).status == 202
        answer = api.ask("PATCH", "/v1/agents/support", {"name": "x", "effective_from": "2001-01-01T00:00:00Z"})
        assert paths(answer) == ["effective_from"]
        assert "the earliest instant is" in answer.error["message"]
        for body in ({"key": "other", "condition": [], "effective_from": "2001-01-01T00:00:00Z"},):
            assert paths(api.ask("POST", "/v1/agents", body)) == ["effective_from"]
        answer = api.ask("DELETE", "/v1/agents/support?effective_from=2001-01-01T00:00:00Z")
        assert paths(answer) == ["effective_from"]
        last = max(
            int(api.deployment.call("XINFO", "STREAM", f"witn:{{{number}}}:events")[7].partition(b"-")[0])
            for number in range(2)
        )
        changed = api.ask("PATCH", "/v1/agents/support", {"name": "New"}).json
        assert changed["effective_from"] > instant.render(last)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/restore"),
        ("GET", "/versions"),
        ("GET", "/compare?from=1&to=2"),
    ],
)
def test_what_is_not_there_is_not_found(api: ApiServer, method: str, path: str) -> None:
    answer = api.ask(method, f"/v1/agents/nobody{path}", {} if method == "PATCH" else None)
    assert (answer.status, answer.error["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("query", "status", "path"),
    [
        ("?at=soon", 400, "at"),
        ("?version=x", 400, "version"),
        ("?version=2", 404, None),
        ("?version=1&at=2001-01-01T00:00:00Z", 400, "version"),
        ("?colour=red", 400, "colour"),
        ("/compare?from=1", 400, "to"),
        ("/compare?from=1&to=9", 404, None),
        ("/versions?after=x", 400, "after"),
        ("/versions?limit=0", 400, "limit"),
    ],
)
def test_what_cannot_be_asked_is_refused(api: ApiServer, query: str, status: int, path: str | None) -> None:
    made(api, "/v1/agents", AGENT)
    answer = api.ask("GET", f"/v1/agents/support{query}")
    assert answer.status == status, answer.body
    if path:
        assert paths(answer) == [path]


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/v1/agents", "read"),
        ("PATCH", "/v1/agents/support", "read"),
        ("DELETE", "/v1/agents/support", "read"),
        ("POST", "/v1/agents/support/restore", "read"),
        ("GET", "/v1/agents", "ingest"),
        ("POST", "/v1/agents/try", "ingest"),
    ],
)
def test_scopes_are_kept(api: ApiServer, method: str, path: str, scope: str) -> None:
    assert api.ask(method, path, {}, scope=scope).status == 403
    assert api.ask(method, path, {}, scope=None).status == 401


def test_lists_go_page_by_page_to_the_end(api: ApiServer) -> None:
    keys = [f"a{number:02}" for number in range(25)]
    for key in reversed(keys):
        made(api, "/v1/agents", {"key": key, "condition": []})
    for key in keys[::3]:
        api.ask("DELETE", f"/v1/agents/{key}")
    assert [one["key"] for one in api.pages("/v1/agents?limit=4")] == [key for key in keys if key not in keys[::3]]
    assert [one["key"] for one in api.pages("/v1/agents?limit=7&archived=true")] == keys
    assert [one["key"] for one in api.get("/v1/agents?after=a22&archived=true")["data"]] == ["a23", "a24"]


def test_keys_are_any_text(api: ApiServer) -> None:
    key = "über/ünï ?&"
    made(api, "/v1/agents", {"key": key, "condition": []})
    assert api.get("/v1/agents/%C3%BCber%2F%C3%BCn%C3%AF%20%3F%26")["key"] == key


def test_an_agent_may_be_called_as_a_path_is(api: ApiServer) -> None:
    made(api, "/v1/agents", {"key": "try", "condition": []})
    assert api.get("/v1/agents/try")["key"] == "try"
    assert api.ask("PATCH", "/v1/agents/try", {"name": "Try"}).json["name"] == "Try"
    assert api.ask("POST", "/v1/agents/try", {"condition": []}).json["holds"] is True
    assert api.ask("PUT", "/v1/agents/try").headers["allow"] == "DELETE, GET, PATCH, POST"


# -- trying -----------------------------------------------------------------------------------------------------------


def test_a_condition_is_tried_on_examples(api: ApiServer) -> None:
    body = {
        "condition": AGENT["condition"],
        "attribution_method": "sum",
        "settlement_period": 60,
        "events": [
            {"action": "opened", "accepted_at": "2026-01-01T00:00:00Z"},
            {"action": "replied", "properties": {"attribution": 2.5}},
            {"action": "reopened", "properties": {"attribution": 1}, "key": "pasted-from-somewhere"},
        ],
    }
    answer = api.ask("POST", "/v1/agents/try", body, scope="read")
    assert answer.status == 200, answer.body
    trial = answer.json
    assert [[leaf["holds"] for leaf in one["leaves"]] for one in trial["events"]] == [
        [False, True],
        [True, True],
        [True, False],
    ]
    assert [one["holds"] for one in trial["events"]] == [False, True, False]
    assert [one["status"] for one in trial["events"]] == ["OPEN", "PENDING", "PENDING"]
    assert [leaf["path"] for leaf in trial["events"][2]["leaves"] if leaf["flipped"]] == ["condition[1]"]
    assert (trial["holds"], trial["status"], trial["would_be"]) == (False, "PENDING", "FAILED")
    assert (trial["unit"], trial["settles_at"]) == ("3.5", "2026-01-01T00:01:02.000Z")
    assert trial["condition_words"] == "`replied` was seen and `reopened` was not seen"
    assert "`reopened`" in trial["why"]
    assert changes(api) == []
    assert api.get("/v1/agents")["data"] == []


def test_an_example_that_comes_too_late_changes_nothing(api: ApiServer) -> None:
    body = {
        "condition": AGENT["condition"],
        "settlement_period": 60,
        "events": [
            {"action": "replied", "accepted_at": "2026-01-01T00:00:00Z"},
            {"action": "reopened", "accepted_at": "2026-01-01T00:01:00Z"},
            {"action": "reopened"},
        ],
    }
    trial = api.ask("POST", "/v1/agents/try", body).json
    assert [one["fate"] for one in trial["events"]] == ["applied", "late", "late"]
    assert (trial["status"], trial["would_be"]) == ("CONFIRMED", "CONFIRMED")


def test_a_condition_can_be_tried_on_nothing(api: ApiServer) -> None:
    trial = api.ask("POST", "/v1/agents/try", {"condition": []}).json
    assert (trial["events"], trial["holds"], trial["settles_at"]) == ([], True, None)


def test_mistakes_in_what_is_tried_are_told_at_once(api: ApiServer) -> None:
    body = {
        "condition": [{"fact": "a", "operator": "sen"}],
        "events": [
            {"action": ""},
            {"action": "a", "properties": {"settles_at": "soon"}},
            {"action": "a", "accepted_at": 5},
            "a",
            {"action": "a", "accepted_at": "2026-01-01T00:01:00Z"},
            {"action": "a", "accepted_at": "2026-01-01T00:00:00Z"},
        ],
        "colour": 1,
    }
    assert sorted(paths(api.ask("POST", "/v1/agents/try", body))) == [
        "colour",
        "condition[0].operator",
        "events[0].action",
        "events[1].properties.settles_at",
        "events[2].accepted_at",
        "events[3]",
        "events[5].accepted_at",
    ]
    many = {"condition": [], "events": [{"action": "a"}] * 101}
    assert paths(api.ask("POST", "/v1/agents/try", many)) == ["events"]
    wide = {"condition": [SEEN] * 200, "events": [{"action": "a"}] * 100}
    assert paths(api.ask("POST", "/v1/agents/try", wide)) == ["events"]


def test_a_condition_may_be_as_deep_as_in_a_file(api: ApiServer) -> None:
    node: dict[str, object] = {"fact": "replied", "operator": "seen"}
    for _ in range(15):
        node = {"op": "AND", "conditions": [node]}
    answer = api.ask("POST", "/v1/agents", {"key": "deep", "condition": [node]})
    assert answer.status == 201, answer.json
