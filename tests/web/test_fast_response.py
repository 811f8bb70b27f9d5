"""Answers that are written in one piece, past aiohttp's own way, are what its own way would have answered."""

import json
import socket
from contextlib import closing
from http.client import HTTPResponse
from typing import Any

import pytest

from tests.web.api_server import ApiServer

EVENT = json.dumps({"key": "ticket-4711", "action": "resolved", "customer_key": "acme"}).encode()


def request(api: ApiServer, *lines: str, version: str = "HTTP/1.1", body: bytes = EVENT, method: str = "POST") -> bytes:
    head = [
        f"{method} /v1/events {version}", "Host: x", f"Authorization: Bearer {api.tokens['admin']}",
        "Content-Type: application/json", f"Content-Length: {len(body)}", *lines, "", "",
    ]  # fmt: skip
    return "\r\n".join(head).encode() + body


def answer(connection: socket.socket) -> tuple[HTTPResponse, Any]:
    response = HTTPResponse(connection)
    response.begin()
    return response, json.loads(response.read())


def test_many_come_over_one_connection_each_with_its_own_id(api: ApiServer) -> None:
    with closing(socket.create_connection(api.address, 10)) as connection:
        seen = []
        for _ in range(3):
            connection.sendall(request(api))
            response, body = answer(connection)
            assert (response.status, response.reason, response.version) == (202, "Accepted", 11)
            assert body["partition"] == 0
            seen.append((response.headers["X-Request-Id"], body["id"]))
    assert len(set(seen)) == 3
    assert all(len(request_id) == 32 for request_id, _ in seen)


def test_requests_that_come_together_are_answered_in_their_order(api: ApiServer) -> None:
    with closing(socket.create_connection(api.address, 10)) as connection:
        connection.sendall(request(api) + request(api, body=b"{") + request(api))
        with connection.makefile("rb") as incoming:
            statuses = []
            for _ in range(3):
                statuses.append(int(incoming.readline().split()[1]))
                length = 0
                while (line := incoming.readline().strip()) != b"":
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                incoming.read(length)
    assert statuses == [202, 400, 202]


@pytest.mark.parametrize(("version", "lines"), [("HTTP/1.0", ()), ("HTTP/1.1", ("Connection: close",))])
def test_who_wants_no_more_is_told_that_the_connection_ends(
    api: ApiServer, version: str, lines: tuple[str, ...]
) -> None:
    with closing(socket.create_connection(api.address, 10)) as connection:
        connection.sendall(request(api, *lines, version=version))
        response, _ = answer(connection)
        assert response.status == 202
        assert response.will_close
        assert connection.recv(1) == b""


def test_an_http_1_0_client_that_wants_to_go_on_may(api: ApiServer) -> None:
    with closing(socket.create_connection(api.address, 10)) as connection:
        for _ in range(2):
            connection.sendall(request(api, "Connection: keep-alive", version="HTTP/1.0"))
            response, _ = answer(connection)
            assert response.status == 202
            assert response.headers["Connection"].lower() == "keep-alive"


def test_both_ways_have_the_same_headers(api: ApiServer) -> None:
    heads = []
    for lines in ((), ("Connection: close",)):
        with closing(socket.create_connection(api.address, 10)) as connection:
            connection.sendall(request(api, *lines))
            response, _ = answer(connection)
            heads.append({name.lower(): value for name, value in response.getheaders()})
    small, whole = heads
    told = {"date", "x-request-id", "content-length", "connection", "server"}
    assert {name: value for name, value in small.items() if name not in told} == {
        name: value for name, value in whole.items() if name not in told
    }
    assert {"date", "x-request-id", "content-length"} <= small.keys()


def test_a_body_that_comes_late_is_waited_for(api: ApiServer) -> None:
    whole = request(api)
    with closing(socket.create_connection(api.address, 10)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in (whole[: -len(EVENT)], EVENT[:10]):
            connection.sendall(part)
            connection.settimeout(0.1)
            with pytest.raises(TimeoutError):
                connection.recv(1)
        connection.settimeout(10)
        connection.sendall(EVENT[10:])
        assert answer(connection)[0].status == 202
