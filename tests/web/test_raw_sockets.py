"""Bytes that no honest client sends: the server answers 4xx or closes, says so in one line, and serves the next one."""

import asyncio
import json
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from tests.support.processes import until
from tests.support.server import Server as Redis
from tests.web.api_server import ApiServer, api_server
from witnd.store.access.tokens import Token
from witnd.web.connections import protocol
from witnd.web.http import server
from witnd.web.http.server import LINE_MAX, Server
from witnd.web.routes import HTML_ERRORS, ROUTES

EVENT = json.dumps({"key": "ticket-4711", "action": "resolved", "customer_key": "acme"}).encode()
TOKEN = "wn_000000000000_stub"
CLOSED = None  # no answer: the connection ends
SHORT = 0.3


class Heard(logging.Handler):
    """What both kinds of logs say, over all threads."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append({"event": record.getMessage(), "log_level": "error", "library": record.name})

    def __getattr__(self, level: str) -> Any:
        if level not in ("info", "warning", "error", "exception"):
            raise AttributeError(level)
        return lambda event, **fields: self.lines.append({"event": event, "log_level": level} | fields)

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["log_level"] != "info"]


@pytest.fixture(autouse=True)
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    listening = Heard()
    monkeypatch.setattr(server, "log", listening)
    monkeypatch.setattr(protocol, "log", listening)
    logging.getLogger().addHandler(listening)
    yield listening
    logging.getLogger().removeHandler(listening)
    assert listening.errors == [], "what strangers send is no error of ours"


@pytest.fixture(scope="module")
def opened(session_server: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    session_server.call("FLUSHALL")
    with api_server(session_server, tmp_path_factory.mktemp("office")) as one:
        yield one


class Raw(NamedTuple):
    status: int
    head: bytes
    body: bytes


class Line:
    """A connection that sends bytes and reads answers."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=10)
        self._left = b""

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_for(self, seconds: float, piece: bytes) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.send(piece)

    def answer(self, *, head: bool = False) -> Raw | None:
        """The next answer; None where the connection ends instead."""
        try:
            while b"\r\n\r\n" not in self._left:
                if not (more := self.socket.recv(65536)):
                    return None
                self._left += more
            start, _, self._left = self._left.partition(b"\r\n\r\n")
            status = int(start.split(b" ", 2)[1])
            names = dict(line.split(b": ", 1) for line in start.lower().split(b"\r\n")[1:])
            size = 0 if head or status == 100 else int(names.get(b"content-length", 0))
            while len(self._left) < size:
                if not (more := self.socket.recv(65536)):
                    return None
                self._left += more
            body, self._left = self._left[:size], self._left[size:]
            return Raw(status, start, body)
        except ConnectionResetError:
            return None

    def closed(self) -> bool:
        """Whether the other side ends the connection, within the timeout."""
        try:
            return self._left == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


def request(
    api: ApiServer, *lines: bytes, line: bytes = b"POST /v1/events HTTP/1.1", body: bytes = b"", host: bytes = b"h"
) -> bytes:
    token = api.tokens["admin"].encode()
    head = [line, *([b"Host: " + host] if host else []), b"Authorization: Bearer " + token, *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def events(api: ApiServer) -> int:
    entries = api.deployment.call("XRANGE", "witn:{0}:events", "-", "+")
    return sum(b"data" in fields for _, fields in entries)


def works(api: ApiServer) -> None:
    assert api.ask("GET", "/healthz", scope=None).status == 200


SIZE = b"Content-Length: %d" % len(EVENT)
CHUNK = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"

BROKEN = {
    "length and chunks": ([SIZE, b"Transfer-Encoding: chunked"], CHUNK + b"0\r\n\r\n"),
    "chunks and length": ([b"Transfer-Encoding: chunked", b"Content-Length: 3"], b"0\r\n\r\n" + SMUGGLED),
    "two lengths that differ": ([SIZE, b"Content-Length: 3"], EVENT),
    "two lengths that agree": ([SIZE, SIZE], EVENT),
    "a list of lengths": ([b"Content-Length: 3, 3"], b"{}}"),
    "a signed length": ([b"Content-Length: +%d" % len(EVENT)], EVENT),
    "a negative length": ([b"Content-Length: -1"], EVENT),
    "a hexadecimal length": ([b"Content-Length: 0x10"], EVENT),
    "a length with a space": ([b"Content-Length: 1 0"], EVENT),
    "an endless length": ([b"Content-Length: " + b"9" * 40], EVENT),
    "two codings": ([b"Transfer-Encoding: chunked, identity"], CHUNK + b"0\r\n\r\n"),
    "chunks twice": ([b"Transfer-Encoding: chunked, chunked"], CHUNK + b"0\r\n\r\n"),
    "an unknown coding": ([b"Transfer-Encoding: xchunked"], CHUNK + b"0\r\n\r\n"),
    "a coding behind a tab": ([b"Transfer-Encoding:\x0bchunked"], CHUNK + b"0\r\n\r\n"),
    "a space before the colon": ([b"Transfer-Encoding : chunked"], CHUNK + b"0\r\n\r\n"),
    "a chunk size that is none": ([b"Transfer-Encoding: chunked"], b"zz\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    "a chunk size with a sign": ([b"Transfer-Encoding: chunked"], b"-5\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    "a chunk size with 0x": ([b"Transfer-Encoding: chunked"], b"0x5\r\nhello\r\n0\r\n\r\n"),
    "a chunk size too great": ([b"Transfer-Encoding: chunked"], b"f" * 17 + b"\r\n" + EVENT),
    "a chunk longer than said": ([b"Transfer-Encoding: chunked"], b"5\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    "chunks with bare line feeds": ([b"Transfer-Encoding: chunked"], CHUNK.replace(b"\r\n", b"\n") + b"0\n\n"),
    "a folded header": ([b"X-One: a", b" b", SIZE], EVENT),
    "a NUL in a header": ([b"X-One: a\0b", SIZE], EVENT),
    "a NUL in the name of a header": ([b"X\0One: a", SIZE], EVENT),
    "a header without a colon": ([b"nothing", SIZE], EVENT),
    "a header without a name": ([b": nothing", SIZE], EVENT),
    "a bare line feed in a header": ([b"X-One: a\nX-Two: b", SIZE], EVENT),
    "a bare carriage return in a header": ([b"X-One: a\rX-Two: b", SIZE], EVENT),
    "a huge header": ([b"X-One: " + b"a" * (LINE_MAX + 1), SIZE], EVENT),
    "very many headers": ([b"X-%d: a" % number for number in range(40_000)], EVENT),
    "no host": ([SIZE], EVENT),
    "two hosts": ([b"Host: h", b"Host: other", SIZE], EVENT),
}


@pytest.mark.parametrize("shape", BROKEN)
def test_a_request_that_two_readers_could_read_in_two_ways_is_refused_and_the_connection_ends(
    opened: ApiServer, shape: str, heard: Heard
) -> None:
    lines, body = BROKEN[shape]
    before = events(opened)
    with Line(opened.address) as line:
        try:
            line.send(request(opened, *lines, body=body, host=b"" if "host" in shape else b"h"))
        except (BrokenPipeError, ConnectionResetError):
            answer = CLOSED
        else:
            answer = line.answer()
        if answer is not None:
            assert answer.status in (400, 413, 415), answer
            assert json.loads(answer.body)["error"]["status"] == answer.status
            assert line.closed(), "nothing that follows may be taken for a request"
    assert events(opened) == before
    works(opened)


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the beginning of TLS
        b"GET /healthz\r\n\r\n",
        b"GET\r\n\r\n",
        b"get /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /healthz HTTP/1.1\nHost: h\n\n",
        b"GET /healthz HTTP/2.0\r\nHost: h\r\n\r\n",
        b"GET /healthz HTTP/0.9\r\nHost: h\r\n\r\n",
        b"GET /health\0z HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /" + b"a" * 2 * LINE_MAX + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n",
    ],
)
def test_what_is_no_http_at_all_is_refused(opened: ApiServer, data: bytes) -> None:
    with Line(opened.address) as line:
        line.send(data)
        answer = line.answer()
        assert answer is None or 400 <= answer.status < 500
        assert line.closed()
    works(opened)


def test_the_refusal_of_broken_bytes_has_the_form_of_every_other(opened: ApiServer, heard: Heard) -> None:
    def is_logged() -> bool:
        with Line(opened.address) as line:
            line.send(b"nonsense\r\n\r\n")
            answer = line.answer()
        assert answer is not None
        assert answer.status == 400
        error = json.loads(answer.body)["error"]
        assert (error["code"], error["type"]) == ("VALIDATION_ERROR", "invalid_request_error")
        assert f"X-Request-Id: {error['request_id']}".encode() in answer.head
        assert b"Server: witnd\r\n" in answer.head, "nobody learns which versions run here"
        ids = [one["request_id"] for one in heard.lines if one["event"] == "http.malformed"]
        return error["request_id"] in ids

    # Other tests sent such bytes within the last second, perhaps, and each second has one line.
    until(is_logged, "a line of the log with the id of the request")


@pytest.mark.parametrize(
    "target",
    [
        b"/%", b"/%zz", b"/%00", b"/%ff", b"/\xff", b"/\xed\xa0\x80", b"/v1/../healthz", b"/v1/%2e%2e/healthz",
        b"//healthz", b"/healthz/", b"/healthz%2f", b"/%68ealthz", b"/v1/events/0/%ff", b"/v1/events/%00/%00",
        b"/v1/events/0/%ED%A0%80", b"/v1/events/0/" + b"%25" * 2000, b"/healthz#fragment", b"/v1/nothing?%ff=%ff",
        b"http://other/nothing", b"*", b"/v1/events/..%2f..%2fhealthz/1", b"/v1/nothing;a=b",
    ],
)  # fmt: skip
def test_no_path_is_understood_in_another_way_than_it_is_written(opened: ApiServer, target: bytes) -> None:
    with Line(opened.address) as line:
        line.send(request(opened, b"Connection: close", line=b"GET " + target + b" HTTP/1.1"))
        answer = line.answer()
    if target in (b"/%68ealthz", b"/healthz#fragment"):
        assert answer is None or answer.status in (200, 400, 404)
    else:
        assert answer is None or answer.status in (400, 404, 405), answer
    works(opened)


@pytest.mark.parametrize(
    "query", [b"limit=%ff", b"limit=\xff", b"limit=1&limit=2", b"&&&", b"=", b"%00=1", b"a" * 7000]
)
def test_no_query_is_a_fault_of_ours(opened: ApiServer, query: bytes) -> None:
    lists = [one.path for one in ROUTES if one.query is not None and not one.names]
    for path in lists:
        with Line(opened.address) as line:
            line.send(request(opened, b"Connection: close", line=b"GET %s?%s HTTP/1.1" % (path.encode(), query)))
            answer = line.answer()
        assert answer is None or 400 <= answer.status < 500, (path, answer)


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Type: \xff\xfe", b"Content-Type: application/json; charset=\xff", b"Authorization: Bearer \xff",
        b"Content-Type: text/plain", b"Content-Encoding: gzip", b"Content-Encoding: br, gzip",
        b"Content-Encoding: \xff",
    ],
)  # fmt: skip
def test_a_header_that_is_not_understood_is_a_mistake_of_the_client(opened: ApiServer, header: bytes) -> None:
    before = events(opened)
    with Line(opened.address) as line:
        line.send(request(opened, header, SIZE, b"Connection: close", body=EVENT))
        answer = line.answer()
    if b"charset" not in header:  # JSON has one encoding, whatever is said of it
        assert answer is None or answer.status in (400, 401, 415), answer
        assert events(opened) == before
    else:
        assert answer is None or answer.status in (202, 400)
    works(opened)


@pytest.mark.parametrize("method", [b"TRACE", b"OPTIONS", b"CONNECT", b"PATCH", b"PURGE", b"HEAD"])
def test_a_method_that_a_path_has_not_is_refused(opened: ApiServer, method: bytes) -> None:
    with Line(opened.address) as line:
        line.send(request(opened, b"Connection: close", line=method + b" /v1/events/batch HTTP/1.1"))
        answer = line.answer(head=method == b"HEAD")
    assert answer is None or answer.status in (400, 404, 405), answer
    works(opened)


def test_head_answers_what_get_would_without_the_body(opened: ApiServer) -> None:
    with Line(opened.address) as line:
        line.send(request(opened, line=b"HEAD /healthz HTTP/1.1"))
        first = line.answer(head=True)
        line.send(request(opened, line=b"GET /healthz HTTP/1.1"))
        second = line.answer()
    assert first is not None
    assert second is not None
    assert (first.status, second.status) == (200, 200)
    assert b"Content-Length: %d" % len(second.body) in first.head


def test_http_1_0_is_answered_and_closed(opened: ApiServer) -> None:
    with Line(opened.address) as line:
        line.send(b"GET /healthz HTTP/1.0\r\n\r\n")
        answer = line.answer()
        assert answer is not None
        assert answer.status == 200
        assert line.closed()


def test_pipelined_requests_are_answered_in_their_order(opened: ApiServer) -> None:
    before = events(opened)
    with Line(opened.address) as line:
        for number in range(100):
            body = EVENT.replace(b"4711", b"%04d" % number)
            line.send(request(opened, b"Content-Length: %d" % len(body), body=body))
        answers = [line.answer() for _ in range(100)]
    assert [one.status for one in answers if one is not None] == [202] * 100
    ids = [json.loads(one.body)["id"] for one in answers if one is not None]
    assert sorted(ids, key=lambda id_: tuple(map(int, id_.split("-")))) == ids
    assert events(opened) == before + 100


def test_of_pipelined_requests_none_is_served_behind_a_broken_one(opened: ApiServer) -> None:
    before = events(opened)
    good = request(opened, SIZE, body=EVENT)
    with Line(opened.address) as line:
        line.send(good + b"nonsense\r\n\r\n" + good)
        answers = [line.answer(), line.answer(), line.answer()]
    # What came in the same packet before the broken one may be refused together with it: never more than is told.
    assert [one and one.status for one in answers] in ([202, 400, None], [400, None, None])
    assert events(opened) == before + sum(one is not None and one.status == 202 for one in answers)


def test_a_body_that_nobody_read_is_not_taken_for_the_next_request(opened: ApiServer) -> None:
    """Refused before its body was looked at; what stands in that is no request of its own."""
    before = events(opened)
    inner = request(opened, SIZE, body=EVENT)
    refused = b"POST /v1/events HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s" % (len(inner), inner)
    unknown = request(opened, b"Content-Length: %d" % len(inner), line=b"POST /v1/nothing HTTP/1.1", body=inner)
    with Line(opened.address) as line:
        line.send(refused + unknown + request(opened, SIZE, b"Connection: close", body=EVENT))
        answers = [line.answer() for _ in range(4)]
    assert [one and one.status for one in answers] == [401, 404, 202, None]
    assert events(opened) == before + 1


def test_who_asks_first_is_told_to_go_on_or_why_not(opened: ApiServer) -> None:
    with Line(opened.address) as line:
        line.send(request(opened, SIZE, b"Expect: 100-continue"))
        first = line.answer()
        assert first is not None
        assert first.status == 100
        line.send(EVENT)
        second = line.answer()
        assert second is not None
        assert second.status == 202
    for headers, status in (([b"Content-Length: 9999999"], 413), ([SIZE, b"Authorization: Bearer no"], 401)):
        with Line(opened.address) as line:
            line.send(request(opened, *headers, b"Expect: 100-continue"))
            answer = line.answer()
            assert answer is not None
            assert answer.status == status


def test_a_body_too_large_is_refused_while_it_comes(opened: ApiServer) -> None:
    with Line(opened.address) as line:
        line.send(request(opened, b"Transfer-Encoding: chunked"))
        piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            line.send_for(10, piece)
    with Line(opened.address) as line:
        line.send(request(opened, b"Transfer-Encoding: chunked", body=piece * 5))
        answer = line.answer()
        assert answer is None or answer.status == 413
    works(opened)


def test_a_body_that_breaks_off_is_no_event(opened: ApiServer) -> None:
    before = events(opened)
    for lines, body in (([SIZE], EVENT[:-1]), ([b"Transfer-Encoding: chunked"], CHUNK)):
        with Line(opened.address) as line:
            line.send(request(opened, *lines, body=body))
            line.socket.shutdown(socket.SHUT_WR)
            answer = line.answer()
            assert answer is None or answer.status == 400
    works(opened)
    assert events(opened) == before


# -- slow ones, at a server that waits less ----------------------------------------------------------------------------


class Known:
    """Tokens of which there is one."""

    async def check(self, text: str) -> Token | None:
        return Token(id="0" * 12, name="stub", scopes=("admin",), digest="", created_at=0) if text == TOKEN else None

    def note_use(self, *_: object) -> bool:
        return False


@contextmanager
def impatient(**limits: float) -> Iterator[tuple[str, int]]:
    services: Any = SimpleNamespace(tokens=Known(), now_ms=lambda: 0)
    loop = asyncio.new_event_loop()
    found: list[tuple[str, int]] = []
    end = asyncio.Event()

    async def run() -> None:
        runner = web.ServerRunner(Server(services, ROUTES, HTML_ERRORS, **limits).listener(), shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        found.append(runner.addresses[0][:2])
        await end.wait()
        await runner.cleanup()

    thread = Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        deadline = time.monotonic() + 10
        while not found and time.monotonic() < deadline:
            time.sleep(0.005)
        yield found[0]
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
        loop.close()


HEAD = b"POST /v1/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n" % TOKEN.encode()


@pytest.mark.parametrize("drips", [False, True])
def test_a_body_slower_than_the_limit_ends_the_connection(*, drips: bool) -> None:
    with impatient(body_seconds=SHORT) as address, Line(address) as line:
        line.send(HEAD + b"Content-Length: 1000\r\n\r\n{")
        began = time.monotonic()
        line.socket.settimeout(0.02 if drips else 10)
        answer = None
        while answer is None and time.monotonic() - began < 10:
            try:
                answer = line.answer()
                break
            except TimeoutError:
                line.send(b" ")
        assert answer is not None
        assert answer.status == 408
        assert time.monotonic() - began < 5
        line.socket.settimeout(10)
        assert line.closed()


@pytest.mark.parametrize("start", [b"", b"GET", b"GET /healthz HTTP/1.1\r\nHost: h\r\nX-One: a"])
@pytest.mark.parametrize("drips", [False, True])
def test_a_header_that_is_never_finished_ends_the_connection(start: bytes, *, drips: bool) -> None:
    with impatient(idle_seconds=SHORT) as address, Line(address) as line:
        began = time.monotonic()
        line.send(start)
        line.socket.settimeout(0.02 if drips and start else 10)
        closed = False
        while not closed and time.monotonic() - began < 10:
            try:
                closed = line.closed()
            except TimeoutError:
                try:
                    line.send(b"a")
                except (BrokenPipeError, ConnectionResetError):
                    closed = True
        assert closed
        assert time.monotonic() - began < 5


def test_a_connection_that_is_silent_after_an_answer_ends() -> None:
    with impatient(idle_seconds=SHORT) as address, Line(address) as line:
        line.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        answer = line.answer()
        assert answer is not None
        assert answer.status == 200
        assert line.closed()


def test_a_silent_connection_holds_up_nobody() -> None:
    with impatient() as address:
        silent = [Line(address) for _ in range(200)]
        for one in silent:
            one.send(HEAD + b"Content-Length: 1000\r\n\r\n{")
        with Line(address) as line:
            line.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
            answer = line.answer()
            assert answer is not None
            assert answer.status == 200
        for one in silent:
            one.socket.close()
