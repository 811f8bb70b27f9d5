"""Connections that break, and servers that go away or refuse, while events come in over HTTP: what was not confirmed is
answered 503, and sent again with the same idempotency key it counts once.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.crash.proxy import MODES, Command, Cut, Proxy
from tests.support.processes import until
from tests.support.server import Server
from tests.web.api_server import CATALOGUE, Answer, ApiServer, api_server

EVENTS = "witn:{0}:events"


class Through:
    """The server as the daemon sees it, through the proxy; the test itself speaks to it directly."""

    def __init__(self, server: Server, url: str) -> None:
        self.url = url
        self.call = server.call
        self.sync = server.sync


def event(number: int = 0) -> dict[str, Any]:
    return {
        "key": f"ticket-{number}", "action": "replied", "customer_key": "acme", "agent_key": "support",
        "idempotency_key": f"evt-{number}",
    }  # fmt: skip


@pytest.fixture
def proxy(session_server: Server, redis_url: str, short_dir: Path) -> Iterator[Proxy]:
    with Proxy(session_server.socket, short_dir / "proxy.sock") as opened:
        yield opened


@pytest.fixture
def cut_off(session_server: Server, proxy: Proxy, tmp_path: Path) -> Iterator[ApiServer]:
    with api_server(cast("Server", Through(session_server, proxy.url)), tmp_path) as api:
        api.deployment.apply(CATALOGUE)
        yield api


def cutting(proxy: Proxy, mode: Cut, at: int) -> None:
    """Cut the connection at the event appended as number `at`."""
    seen: list[Command] = []

    def rule(command: Command) -> Cut | None:
        if command.name != "XADD" or b"data" not in command.words:
            return None
        seen.append(command)
        return mode if len(seen) == at + 1 else None

    proxy.rule = rule


def in_log(api: ApiServer) -> list[str]:
    entries = api.deployment.call("XRANGE", EVENTS, "-", "+")
    return [json.loads(fields[b"data"])["key"] for _, fields in entries if b"data" in fields]


def counted(api: ApiServer, key: str) -> int:
    def all_is_read() -> bool:
        with api.deployment.server.sync() as client:
            last = client.xinfo_stream(EVENTS)["last-generated-id"]
            return bool(client.hget("witn:{0}:state", "cursor") == last)

    until(all_is_read, "the log is read")
    found = api.get(f"/v1/outcomes/{key}")["outcome"]["events_count"]
    assert isinstance(found, int)
    return found


def refused(answer: Answer) -> None:
    assert (answer.status, answer.error["code"]) == (503, "UNAVAILABLE"), answer.body
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("mode", MODES)
def test_an_event_that_was_not_confirmed_counts_once_when_it_is_sent_again(
    cut_off: ApiServer, proxy: Proxy, mode: Cut
) -> None:
    cutting(proxy, mode, 0)
    refused(cut_off.ask("POST", "/v1/events", event()))
    assert len(proxy.cuts) == 1
    assert in_log(cut_off) == ([] if mode == "before" else ["ticket-0"])
    assert cut_off.ask("POST", "/v1/events", event()).status == 202
    assert len(in_log(cut_off)) == (1 if mode == "before" else 2)
    assert counted(cut_off, "ticket-0") == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_batch_that_was_not_confirmed_counts_once_when_it_is_sent_again(
    cut_off: ApiServer, proxy: Proxy, mode: Cut
) -> None:
    batch = {"events": [event(number) for number in range(5)]}
    cutting(proxy, mode, 2)
    refused(cut_off.ask("POST", "/v1/events/batch", batch))
    assert 0 < len(in_log(cut_off)) <= 5, "what the server had before the cut is in the log"
    again = cut_off.ask("POST", "/v1/events/batch", batch)
    assert (again.status, again.json["accepted"], again.json["failed"]) == (202, 5, [])
    assert [counted(cut_off, f"ticket-{number}") for number in range(5)] == [1] * 5


def test_without_an_idempotency_key_the_same_event_is_two(cut_off: ApiServer, proxy: Proxy) -> None:
    """Why clients should send one: nobody else can tell."""
    without = event()
    del without["idempotency_key"]
    cutting(proxy, "after", 0)
    refused(cut_off.ask("POST", "/v1/events", without))
    assert cut_off.ask("POST", "/v1/events", without).status == 202
    assert counted(cut_off, "ticket-0") == 2


def test_what_is_confirmed_to_one_is_not_taken_for_another_who_was_cut_off(cut_off: ApiServer, proxy: Proxy) -> None:
    """An answer that breaks off must not be matched with the next request's."""
    for number in range(10):
        cutting(proxy, "truncate", 0)
        refused(cut_off.ask("POST", "/v1/events", event(number)))
        answer = cut_off.ask("POST", "/v1/events", event(number))
        assert answer.status == 202
        [found] = cut_off.deployment.call("XRANGE", EVENTS, answer.json["id"], answer.json["id"])
        assert json.loads(found[1][b"data"]) == event(number)


def _away(server: Server) -> Callable[[], None]:
    server.stop()
    return server.start


def _full(server: Server) -> Callable[[], None]:
    server.call("CONFIG", "SET", "maxmemory", "1")
    return lambda: server.call("CONFIG", "SET", "maxmemory", "0") and None


def _replica(server: Server) -> Callable[[], None]:
    server.call("REPLICAOF", "127.0.0.1", "1")
    return lambda: server.call("REPLICAOF", "NO", "ONE") and None


@pytest.mark.parametrize("trouble", [_away, _full, _replica], ids=["away", "full", "read-only"])
def test_while_redis_cannot_take_events_they_are_refused_and_afterwards_taken(
    server: Callable[..., Server], tmp_path: Path, trouble: Callable[[Server], Callable[[], None]]
) -> None:
    own = server(fsync="always")
    with api_server(own, tmp_path) as api:
        api.deployment.apply(CATALOGUE)
        assert api.ask("POST", "/v1/events", event(0)).status == 202
        assert counted(api, "ticket-0") == 1
        over = trouble(own)
        for _ in range(3):
            refused(api.ask("POST", "/v1/events", event(1)))
        refused(api.ask("POST", "/v1/events/batch", {"events": [event(1), event(2)]}))
        assert api.ask("GET", "/healthz", scope=None).status == 200, "the process itself is well"
        over()
        until(lambda: api.ask("POST", "/v1/events", event(1)).status == 202, "events are taken again")
        assert counted(api, "ticket-1") == 1
