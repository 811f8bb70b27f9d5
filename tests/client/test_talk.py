"""What both clients do with what a server says, and with one that says nothing."""

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.client.script import Answer, Asked, Script, refused, taken
from witnd.client import (
    ApiError,
    AsyncClient,
    Client,
    ConflictError,
    Detail,
    Event,
    NoAnswerError,
    NotAllowedError,
    NotFoundError,
    NotSentError,
    RateLimitedError,
    Retries,
    UnavailableError,
    ValidationError,
)

QUICK = Retries(attempts=3, first=0.001, most=0.01)
EVENT = ("ticket-4711", "resolved", "acme")
TOKEN = "wn_0123456789ab_secret"


class Both:
    """The same calls by either client."""

    def __init__(self, kind: str, url: str, retries: Retries = QUICK, timeout: float = 5.0) -> None:
        self.kind = kind
        self._given: dict[str, Any] = {"retries": retries, "timeout": timeout}
        self._url = url

    def do(self, name: str, *arguments: Any, **named: Any) -> Any:
        if self.kind == "blocking":
            with Client(self._url, TOKEN, **self._given) as client:
                got = getattr(client, name)(*arguments, **named)
                return list(got) if name == "outcomes" else got
        return asyncio.run(self._do(name, *arguments, **named))

    async def _do(self, name: str, *arguments: Any, **named: Any) -> Any:
        async with AsyncClient(self._url, TOKEN, **self._given) as client:
            got = getattr(client, name)(*arguments, **named)
            return [one async for one in got] if name == "outcomes" else await got


@pytest.fixture(params=["blocking", "async"])
def client(request: pytest.FixtureRequest) -> Callable[..., Both]:
    return lambda script, **more: Both(request.param, script.url, **more)


Start = Callable[..., Script]
Make = Callable[..., Both]


def test_an_event_goes_with_the_token_and_an_idempotency_key_of_its_own(script: Start, client: Make) -> None:
    server = script(taken("17-3", 2))
    sent = client(server).do("send", *EVENT, value=4, properties={"by": "alice"})
    [asked] = server.asked
    assert (asked.method, asked.target) == ("POST", "/v1/events")
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["content-type"] == "application/json"
    assert asked.json == {
        "key": "ticket-4711", "action": "resolved", "customer_key": "acme",
        "idempotency_key": sent.idempotency_key, "properties": {"by": "alice", "value": 4},
    }  # fmt: skip
    assert (sent.id, sent.partition, sent.key) == ("17-3", 2, "ticket-4711")
    assert len(sent.idempotency_key) == 36


@pytest.mark.parametrize(
    "trouble",
    [Answer(cut=True), refused(503, "UNAVAILABLE"), Answer(502, b"<html>bad gateway</html>"), refused(500, "X")],
    ids=["cut", "503", "502", "500"],
)
def test_what_may_pass_is_tried_again_with_the_same_key(script: Start, client: Make, trouble: Answer) -> None:
    server = script(trouble, trouble, taken())
    sent = client(server).do("send", *EVENT)
    assert [asked.json["idempotency_key"] for asked in server.asked] == [sent.idempotency_key] * 3
    assert len({asked.body for asked in server.asked}) == 1


def test_a_server_that_is_silent_is_given_up_and_asked_again(script: Start, client: Make) -> None:
    server = script(Answer(silent=True), taken())
    sent = client(server, timeout=0.2).do("send", *EVENT, idempotency_key="evt-1")
    assert sent.idempotency_key == "evt-1"
    assert [asked.json["idempotency_key"] for asked in server.asked] == ["evt-1", "evt-1"]


def test_a_server_that_comes_back_too_late_leaves_the_event_to_the_caller(script: Start, client: Make) -> None:
    server = script(*[Answer(cut=True)] * 3, *[refused(503, "UNAVAILABLE")] * 3)
    for kind in (NoAnswerError, UnavailableError):
        with pytest.raises(kind) as caught:
            client(server).do("send", *EVENT, idempotency_key="evt-1")
        [event] = caught.value.events
        assert (event.key, event.idempotency_key) == ("ticket-4711", "evt-1")
    assert len(server.asked) == 6


def test_nobody_at_the_address_is_an_error_of_its_own(client: Make, script: Start) -> None:
    server = script()
    server.__exit__()
    with pytest.raises(NoAnswerError, match=r"127\.0\.0\.1"):
        client(server).do("outcome", "ticket-4711")
    server.__init__(())  # the fixture ends it once more


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(400, "VALIDATION_ERROR", ValidationError), (401, "TOKEN_INVALID", NotAllowedError),
     (403, "FORBIDDEN", NotAllowedError), (404, "NOT_FOUND", NotFoundError), (405, "METHOD_NOT_ALLOWED", ApiError),
     (408, "REQUEST_TIMEOUT", ApiError), (409, "CONFLICT", ConflictError),
     (413, "PAYLOAD_TOO_LARGE", ValidationError), (415, "UNSUPPORTED_MEDIA_TYPE", ValidationError)],
)  # fmt: skip
def test_a_refusal_is_never_asked_again(
    script: Start, client: Make, status: int, code: str, kind: type[ApiError]
) -> None:
    server = script(refused(status, code, ("action", "is required"), Retry_After="7"))
    with pytest.raises(kind) as caught:
        client(server).do("send", *EVENT)
    error = caught.value
    assert (type(error), error.status, error.code, error.request_id) == (kind, status, code, "req-2")
    assert error.details == (Detail("action", "is required"),)
    assert error.retry_after == 7
    assert len(server.asked) == 1


def test_retry_after_is_waited_for(script: Start, client: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[tuple[int, float | None]] = []

    def wait(_: Retries, failures: int, asked: float | None) -> float:
        waits.append((failures, asked))
        return 0.0

    monkeypatch.setattr(Retries, "wait", wait)
    dated = refused(503, "UNAVAILABLE", Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")
    server = script(refused(503, "UNAVAILABLE", Retry_After="3"), dated, taken())
    client(server).do("send", *EVENT)
    assert waits == [(1, 3.0), (2, 0.0)]


def test_waits_double_and_add_to_what_the_server_asks() -> None:
    retries = Retries(first=1.0, most=8.0)
    for failures, longest in ((1, 1), (2, 2), (3, 4), (4, 8), (9, 8), (5000, 8)):
        assert longest / 2 <= retries.wait(failures, None) <= longest
        assert 5 + longest / 2 <= retries.wait(failures, 5.0) <= 5 + longest


def test_who_asks_for_an_hour_is_not_waited_for(script: Start, client: Make) -> None:
    server = script(refused(503, "UNAVAILABLE", Retry_After="3600"))
    with pytest.raises(UnavailableError) as caught:
        client(server).do("send", *EVENT)
    assert caught.value.retry_after == 3600


# -- batches ----------------------------------------------------------------------------------------------------------


def batch(asked: Asked, *failed: tuple[int, str]) -> Answer:
    events = asked.json["events"]
    bad = dict(failed)
    ids = [None if n in bad else f"9-{event['idempotency_key']}" for n, event in enumerate(events)]
    failures = [{"index": n, "reason": reason} for n, reason in failed]
    return Answer(202, {"accepted": len(events) - len(bad), "failed": failures, "ids": ids})


def numbered(count: int) -> list[dict[str, Any]]:
    return [
        {"key": f"ticket-{n:04}", "action": "a", "customer_key": "acme", "idempotency_key": str(n)}
        for n in range(count)
    ]


def test_of_a_batch_only_what_failed_is_sent_again(script: Start, client: Make) -> None:
    server = script(
        lambda asked: batch(asked, (1, "rejected"), (3, "unconfirmed")),
        lambda asked: batch(asked, (1, "unconfirmed")),
        batch,
    )
    sent = client(server).do("send_batch", numbered(5))
    assert [[event["idempotency_key"] for event in asked.json["events"]] for asked in server.asked] == [
        ["0", "1", "2", "3", "4"], ["1", "3"], ["3"],
    ]  # fmt: skip
    assert [(one.id, one.idempotency_key) for one in sent] == [(f"9-{n}", str(n)) for n in range(5)]


def test_what_fails_for_good_is_handed_back_with_its_reason(script: Start, client: Make) -> None:
    server = script(*[lambda asked: batch(asked, (0, "rejected")) for _ in range(3)])
    with pytest.raises(NotSentError) as caught:
        client(server).do("send_batch", numbered(2))
    assert [event.idempotency_key for event in caught.value.events] == ["0"]
    assert caught.value.reasons == ("rejected",)


def test_many_events_go_in_requests_of_500_and_8_mib(script: Start, client: Make) -> None:
    server = script(batch, batch, batch)
    assert len(client(server).do("send_batch", numbered(1001))) == 1001
    assert [len(asked.json["events"]) for asked in server.asked] == [500, 500, 1]
    large = [one | {"properties": {"text": "x" * 250_000}} for one in numbered(40)]
    server = script(batch, batch)
    client(server).do("send_batch", large)
    assert [len(asked.json["events"]) for asked in server.asked] == [33, 7]
    assert all(len(asked.body) <= 8 * 1024 * 1024 for asked in server.asked)


def test_a_mistake_is_told_with_the_events_place_among_all(script: Start, client: Make) -> None:
    server = script(batch, refused(400, "VALIDATION_ERROR", ("events[3].action", "is required"), ("", "odd")))
    with pytest.raises(ValidationError) as caught:
        client(server).do("send_batch", numbered(600))
    assert [detail.path for detail in caught.value.details] == ["events[503].action", ""]
    assert len(caught.value.events) == 100


def test_no_events_are_no_request(script: Start, client: Make) -> None:
    assert client(script()).do("send_batch", []) == []


# -- reading ----------------------------------------------------------------------------------------------------------


def test_keys_may_hold_anything(script: Start, client: Make) -> None:
    told = {"id": "17-0", "partition": 3, "accepted_at": "x", "fate": "late", "new": 1}
    server = script(Answer(200, {"key": "x", "partition": 1}), Answer(200, told), Answer(200, told))
    both = client(server)
    assert both.do("outcome", "a/b?c=d&e f%20ü").partition == 1
    assert both.do("fate", 3, "17-0").fate == "late"
    assert both.do("fate", 3, "17-0", key="a&b").fate == "late"
    assert [asked.target for asked in server.asked] == [
        "/v1/outcomes/a%2Fb%3Fc%3Dd%26e%20f%2520%C3%BC",
        "/v1/events/3/17-0",
        "/v1/events/3/17-0?key=a%26b",
    ]


def outcome(key: str) -> dict[str, Any]:
    text = dict.fromkeys(("status", "customer_key", "agent_key", "opened_at", "settles_at"), "x")
    empty = dict.fromkeys(("scheduled_resolution", "processed_at", "unit", "amount", "currency"))
    return {"key": key, "partition": 0, "events_count": 1} | text | empty


def test_a_list_is_read_page_after_page(script: Start, client: Make) -> None:
    server = script(
        Answer(200, {"data": [outcome("1"), outcome("2")], "next_cursor": "c/1"}),
        refused(503, "UNAVAILABLE"),
        Answer(200, {"data": [outcome("3")], "next_cursor": None}),
    )
    found = client(server).do("outcomes", status="OPEN", customer_key="ac me")
    assert [one.key for one in found] == ["1", "2", "3"]
    first = "/v1/outcomes?status=OPEN&customer_key=ac%20me&limit=100"
    assert [asked.target for asked in server.asked] == [first, *[f"{first}&after=c%2F1"] * 2]


def test_a_rate_limit_is_waited_for_and_is_no_failed_try(script: Start, client: Make) -> None:
    limited = refused(429, "RATE_LIMITED", Retry_After="0")
    server = script(*[limited] * 5, taken("1-0", 0))
    assert client(server).do("send", *EVENT).id == "1-0"
    assert len(server.asked) == 6


def test_a_rate_limit_that_asks_for_more_than_the_patience_is_an_error(script: Start, client: Make) -> None:
    server = script(refused(429, "RATE_LIMITED", Retry_After="61"))
    with pytest.raises(RateLimitedError) as caught:
        client(server).do("send", *EVENT)
    assert (caught.value.retry_after, len(server.asked)) == (61, 1)
    assert len(caught.value.events) == 1


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]", b"\xff"])
def test_a_success_of_something_else_is_no_success(script: Start, client: Make, body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        client(script(Answer(200, body))).do("send", *EVENT)
    assert caught.value.code == "UNREADABLE_ANSWER"
    assert caught.value.events


def test_a_redirect_is_not_followed(script: Start, client: Make) -> None:
    server = script(Answer(307, b"", {"Location": "/elsewhere"}))
    with pytest.raises(ApiError) as caught:
        client(server).do("send", *EVENT)
    assert (caught.value.status, len(server.asked)) == (307, 1)


def test_a_path_before_the_api_is_kept(script: Start, client: Make) -> None:
    server = script(taken(), taken())
    for base in ("/billing", "/billing/v1/"):
        both = client(server)
        both._url += base
        both.do("send", *EVENT)
    assert [asked.target for asked in server.asked] == ["/billing/v1/events"] * 2


# -- the blocking client's connections --------------------------------------------------------------------------------


def test_a_connection_is_used_again(script: Start) -> None:
    server = script(taken(), taken(), taken())
    with Client(server.url, TOKEN) as client:
        for _ in range(3):
            client.send(*EVENT)
    assert {asked.line for asked in server.asked} == {1}


def test_a_connection_that_the_server_closed_meanwhile_costs_no_try(script: Start) -> None:
    server = script(taken()._replace(ends=True), taken())
    with Client(server.url, TOKEN, retries=Retries(attempts=1)) as client:
        client.send(*EVENT)
        client.send(*EVENT)
    assert [asked.line for asked in server.asked] == [1, 2]


def test_a_forked_child_leaves_the_parents_connections_alone(script: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server = script(taken(), taken())
    with Client(server.url, TOKEN) as client:
        client.send(*EVENT)
        parents = client._idle
        monkeypatch.setattr(os, "getpid", lambda: -1)
        client.send(*EVENT)
        for connection in parents:
            connection.close()
    assert [asked.line for asked in server.asked] == [1, 2]


# -- what is refused before anything is sent --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["", "billing.example.com", "ftp://x", "http://", "http://u:p@host", "http://host/?a=1", "http://host/ü"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        Client(url, TOKEN)


@pytest.mark.parametrize("token", ["", "a b", "secret\r\nX: y", "ü"])
def test_a_token_that_is_none_is_refused_without_repeating_it(token: str) -> None:
    with pytest.raises(ValueError, match="token") as caught:
        AsyncClient("http://host", token)
    assert not token or token not in str(caught.value)


def test_a_client_never_shows_its_token() -> None:
    assert TOKEN not in repr(Client("https://host", TOKEN)) + repr(AsyncClient("https://host", TOKEN))


def test_an_event_without_a_key_of_its_own_keeps_the_one_it_was_made_with() -> None:
    one = Event(key="ticket-4711", action="a", customer_key="c")
    assert one.body() == one.body()
    assert json.loads(one.body())["idempotency_key"] == one.idempotency_key
    assert one.idempotency_key != Event(key="ticket-4711", action="a", customer_key="c").idempotency_key
