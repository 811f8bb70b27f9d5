"""The same event in many requests at once, cut off, across kills and restarts: it counts once."""

import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import CATALOGUE, Daemon
from tests.support.processes import until
from tests.support.server import Server
from tests.web.api_server import ApiServer

EVENT = {
    "key": "ticket-0001", "action": "resolved", "customer_key": "acme", "agent_key": "support",
    "idempotency_key": "e-1",
}  # fmt: skip
PARALLEL = 50


def events_count(redis: Server, daemon: Daemon, token: str) -> int:
    """How many events the outcome has, once everything in the log is read."""

    def all_is_read() -> bool:
        with redis.sync() as client:
            last = client.xinfo_stream("witn:{0}:events")["last-generated-id"]
            return bool(client.hget("witn:{0}:state", "cursor") == last)

    until(all_is_read, "the log is read", seconds=60)
    _, answer = daemon.get("/v1/outcomes/ticket-0001", token)
    found = answer["outcome"]["events_count"]
    assert isinstance(found, int)
    return found


def post(port: int, token: str) -> int | None:
    """The status; None where no answer came."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=40) as connection:
            data = json.dumps(EVENT).encode()
            head = (
                f"POST /v1/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
            )
            connection.sendall(head.encode() + data)
            line = connection.makefile("rb").readline()
            return int(line.split()[1]) if line else None
    except OSError:
        return None


@pytest.mark.slow
def test_an_event_in_many_requests_with_a_kill_between_counts_once(
    server: Callable[..., Server], short_dir: Path
) -> None:
    redis = server()
    with Daemon(redis, short_dir / "state", daemon__lease="2") as daemon, ThreadPoolExecutor(PARALLEL) as threads:
        daemon.begins(CATALOGUE.replace("settlement_period = 1", "settlement_period = 3600"))
        token = daemon.token()
        port = daemon.port
        first = [threads.submit(post, port, token) for _ in range(PARALLEL)]
        until(lambda: sum(one.done() for one in first) >= 5, "some are answered", seconds=60)
        daemon.kill()
        assert {one.result() for one in first} <= {202, None}
        daemon.start()
        daemon.says("http.listening", times=2)
        again = [threads.submit(post, daemon.port, token) for _ in range(PARALLEL)]
        assert {one.result() for one in again} == {202}
        assert events_count(redis, daemon, token) == 1
        entries: Any = redis.call("XRANGE", "witn:{0}:events", "-", "+")
        assert sum(b"data" in fields for _, fields in entries) >= PARALLEL


@pytest.mark.parametrize("cut", ["head", "half", "whole"])
def test_a_client_that_goes_away_leaves_its_event_whole_or_not_at_all(api: ApiServer, cut: str) -> None:
    data = json.dumps(EVENT).encode()
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {api.tokens['ingest']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    ).encode()
    said = {"head": head, "half": head + data[: len(data) // 2], "whole": head + data}[cut]
    for _ in range(20):
        with socket.create_connection(api.address, timeout=30) as connection:
            connection.sendall(said)
    assert api.ask("POST", "/v1/events", EVENT).status == 202
    entries = api.deployment.call("XRANGE", "witn:{0}:events", "-", "+")
    stored = [json.loads(fields[b"data"]) for _, fields in entries if b"data" in fields]
    assert stored
    assert all(one == EVENT for one in stored)
    assert len(stored) == 1 or cut == "whole"


def test_an_event_with_a_used_key_and_other_content_is_a_conflict_and_the_first_stands(api: ApiServer) -> None:
    first = api.ask("POST", "/v1/events", EVENT)
    other = api.ask("POST", "/v1/events", EVENT | {"action": "reopened"})
    assert (first.status, other.status) == (202, 202)
    path = f"/v1/events/{other.json['partition']}/{other.json['id']}"
    until(lambda: api.ask("GET", path).json.get("fate") == "conflict", "the second is a conflict")


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 50_000, b"{" + b",".join(b'"k%d":1' % n for n in range(20_000)) + b"}",
     b'{"key":"' + b"x" * 100_000 + b'"}', b'{"__proto__":{},"constructor":1}'],
    ids=["lists", "objects", "members", "text", "names"],
)  # fmt: skip
def test_a_body_that_is_made_to_be_hard_to_read_is_refused(api: ApiServer, body: bytes) -> None:
    for path in ("/v1/events", "/v1/events/batch", "/v1/agents"):
        answer = api.ask("POST", path, body)
        assert (answer.status, answer.error["code"]) in ((400, "VALIDATION_ERROR"), (413, "PAYLOAD_TOO_LARGE")), path
    assert api.ask("GET", "/healthz", scope=None).status == 200
