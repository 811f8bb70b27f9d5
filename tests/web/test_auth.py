"""Who may ask at all: the header, its oddities, scopes, rates; and what is said before a token was seen."""

import http.client
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.support.server import Server
from tests.web.api_server import Answer, ApiServer, api_server

EVENT = {"key": "ticket-4711", "action": "resolved", "customer_key": "acme"}


def asked(
    api: ApiServer, head: Sequence[bytes], *, method: bytes = b"GET", path: bytes = b"/v1/invoices"
) -> tuple[int, bytes]:
    """Sends exactly these header lines, and no body; status and body of the answer."""
    lines = [method + b" " + path + b" HTTP/1.1", b"Host: x", b"Connection: close", *head]
    with socket.create_connection(api.address, timeout=10) as connection:
        connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
        answer = http.client.HTTPResponse(connection, method=method.decode())
        answer.begin()
        return answer.status, answer.read()


def code(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.error["code"]


class TestHeader:
    @pytest.mark.parametrize(
        "form",
        [b"Bearer %s", b"bearer %s", b"BEARER %s", b"Bearer    %s", b"Bearer %s  ", b"  Bearer %s", b"Bearer %s\t"],
    )
    def test_how_it_is_spelled_does_not_matter(self, api: ApiServer, form: bytes) -> None:
        assert asked(api, [b"Authorization: " + form % api.tokens["read"].encode()])[0] == 200

    @pytest.mark.parametrize(
        "form",
        [b"", b" ", b"%s", b"Bearer", b"Bearer ", b"Bearer%s", b"Bearer\t%s", b"Bearer %s x", b"Bearer %s,%s",
         b"Basic %s", b"Token %s", b"Bearer: %s", b'Bearer "%s"', b"Bearer token=%s",
         b"Bearer %s\xc3\xa9", b"Bearer \xff%s",
         b"Bearer\xc2\xa0%s", b"Bearer %s\xe2\x80\x8b", b"Bearer wn__", b"Bearer " + b"a" * 7000, b"B\xc4\xb1earer %s"],
    )  # fmt: skip
    def test_what_is_no_bearer_token_is_refused_and_not_repeated(self, api: ApiServer, form: bytes) -> None:
        token = api.tokens["admin"].encode()
        status, body = asked(api, [b"Authorization: " + form.replace(b"%s", token)])
        assert (status, b'"TOKEN_INVALID"' in body) == (401, True)
        assert token not in body

    def test_twice_it_is_refused_whichever_would_do(self, api: ApiServer) -> None:
        good = b"Authorization: Bearer " + api.tokens["admin"].encode()
        for both in ([good, good], [good, b"authorization: Basic abc"], [b"AUTHORIZATION:", good]):
            status, body = asked(api, both)
            assert (status, b'"TOKEN_INVALID"' in body) == (401, True)

    def test_a_longer_one_than_any_header_may_be_is_refused(self, api: ApiServer) -> None:
        status, _ = asked(api, [b"Authorization: Bearer " + b"a" * 9000])
        assert status in (400, 431)
        assert api.get("/v1/invoices") == {"data": [], "next_cursor": None, "unreadable": []}

    def test_a_token_elsewhere_is_none(self, api: ApiServer) -> None:
        token = api.tokens["admin"]
        assert api.ask("GET", f"/v1/invoices?token={token}", scope=None).status == 401
        assert api.ask("GET", f"/v1/invoices?access_token={token}", scope=None).status == 401
        for name in ("X-Api-Key", "Proxy-Authorization", "Cookie"):
            assert api.ask("GET", "/v1/invoices", scope=None, headers={name: f"Bearer {token}"}).status == 401


class TestOrder:
    """Without a token nobody learns what there is."""

    @pytest.mark.parametrize(
        ("method", "path"),
        [("GET", "/v1/nothing"), ("DELETE", "/v1/invoices"), ("GET", "/v1/invoices/%FF"),
         ("GET", "/v1/invoices?limit=x"),
         ("POST", "/v1/events"), ("GET", "/"), ("PATCH", "/v1/invoices/a/issue"), ("OPTIONS", "/v1/invoices")],
    )  # fmt: skip
    def test_the_token_is_asked_for_before_anything_else_is_said(self, api: ApiServer, method: str, path: str) -> None:
        assert code(api.ask(method, path, b"\xff{" if method == "POST" else None, scope=None)) == (401, "TOKEN_INVALID")

    def test_what_is_open_to_all_needs_none_for_a_wrong_method_either(self, api: ApiServer) -> None:
        answer = api.ask("POST", "/healthz", scope=None)
        assert (code(answer), answer.headers["allow"]) == ((405, "METHOD_NOT_ALLOWED"), "GET")

    def test_with_a_token_each_is_told_what_it_is(self, api: ApiServer) -> None:
        assert code(api.ask("GET", "/v1/nothing")) == (404, "NOT_FOUND")
        assert code(api.ask("DELETE", "/v1/events", scope="read")) == (405, "METHOD_NOT_ALLOWED")
        assert code(api.ask("GET", "/v1/invoices/%FF")) == (400, "VALIDATION_ERROR")

    @pytest.mark.parametrize("scope", [None, "read"])
    def test_of_who_may_not_no_body_is_waited_for(self, api: ApiServer, scope: str | None) -> None:
        token = [] if scope is None else [b"Authorization: Bearer " + api.tokens[scope].encode()]
        head = [*token, b"Content-Type: application/json", b"Content-Length: 200000"]
        status, _ = asked(api, head, method=b"POST", path=b"/v1/events")
        assert status == (401 if scope is None else 403)

    def test_the_rate_is_counted_before_a_body_is_read(self, api: ApiServer) -> None:
        token = api.token("slow", "ingest", rate=0.001)
        assert api.ask("POST", "/v1/events", EVENT, token=token).status == 202
        head = [
            b"Authorization: Bearer " + token.encode(),
            b"Content-Type: application/json",
            b"Content-Length: 200000",
        ]
        status, body = asked(api, head, method=b"POST", path=b"/v1/events")
        assert (status, b'"RATE_LIMITED"' in body) == (429, True)


class TestRates:
    def test_a_rate_is_of_one_token_and_says_when_to_come_again(self, api: ApiServer) -> None:
        slow, other = (api.token("slow", "read", rate=0.01) for _ in range(2))
        assert api.ask("GET", "/v1/invoices", token=slow).status == 200
        answer = api.ask("GET", "/v1/invoices", token=slow)
        assert code(answer) == (429, "RATE_LIMITED")
        assert 1 <= int(answer.headers["retry-after"]) <= 100
        assert api.ask("GET", "/v1/invoices", token=other).status == 200, "the names are the same, the tokens are not"

    def test_a_revoked_token_is_unknown_and_not_too_fast(self, api: ApiServer) -> None:
        token = api.token("slow", "read", rate=0.01)
        for _ in range(2):
            api.ask("GET", "/v1/invoices", token=token)
        api.ask("DELETE", f"/v1/tokens/{token.split('_')[1]}")
        assert code(api.ask("GET", "/v1/invoices", token=token)) == (401, "TOKEN_INVALID")


def test_that_a_use_cannot_be_written_keeps_nobody_from_reading(server: Callable[..., Server], tmp_path: Path) -> None:
    own = server()
    with api_server(own, tmp_path) as api:
        own.call("CONFIG", "SET", "maxmemory", "1")
        try:
            for _ in range(2):
                assert api.ask("GET", "/v1/invoices", scope="read").status == 200
        finally:
            own.call("CONFIG", "SET", "maxmemory", "0")
