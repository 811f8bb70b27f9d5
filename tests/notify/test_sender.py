"""One attempt against endpoints that behave, and endpoints that do not."""

import asyncio
import contextlib
import socket
import ssl
import struct
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path
from shutil import which

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.notify.receiver import SECRET, raw_endpoint, receiver
from witnd import __version__
from witnd.config import WebhooksConfig
from witnd.domain.webhooks.delivery import Attempt
from witnd.domain.webhooks.notification import Delivery
from witnd.notify.resolver import LOOKUPS_MAX, Resolver
from witnd.notify.sender import MAX_RESPONSE_BYTES, Sender, retry_after_ms

LOOPBACK = ["127.0.0.0/8"]
EVERY_LOOPBACK = [*LOOPBACK, "::1/128"]
DELIVERY = Delivery("ab" * 32, "r", "billing", "ticket-1", "outcome_succeed", 1000, b'{"id":"1"}')


def now_ms() -> int:
    return int(time.time() * 1000)


async def send(url: str, **options: object) -> Attempt:
    arguments: dict = {"now_ms": now_ms, "allow_networks": LOOPBACK, **options}
    async with Sender.open(**arguments) as sender:
        return await sender.send(url, [SECRET], DELIVERY)


class TestGoodEndpoint:
    async def test_it_gets_the_frozen_body_signed_by_a_known_user_agent(self) -> None:
        async with receiver() as endpoint:
            attempt = await send(endpoint.url("/hook?a=b"))

        (got,) = endpoint.received
        got.verify()
        assert (got.path, got.id, got.body) == ("/hook", DELIVERY.id, DELIVERY.body)
        assert got.headers["content-type"] == "application/json"
        assert got.headers["user-agent"] == f"witnd/{__version__}"
        assert "accept-encoding" not in got.headers
        assert (attempt.succeeded, attempt.status, attempt.detail) == (True, 200, "as told")

    async def test_each_attempt_is_signed_for_its_own_moment(self) -> None:
        clock = iter([now_ms() - 60_000] * 2 + [now_ms()] * 2)

        async with (
            receiver() as endpoint,
            Sender.open(now_ms=lambda: next(clock), allow_networks=LOOPBACK) as sender,
        ):
            await sender.send(endpoint.url(), [SECRET], DELIVERY)
            await sender.send(endpoint.url(), [SECRET], DELIVERY)

        first, second = endpoint.received
        assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
        assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
        assert first.id == second.id

    @pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
    async def test_any_2xx_is_success(self, status: int) -> None:
        async with receiver() as endpoint:
            endpoint.answers["/"] = status
            assert (await send(endpoint.url())).succeeded

    async def test_proxies_of_the_environment_are_not_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

        async with receiver() as endpoint:
            assert (await send(endpoint.url())).succeeded


class TestRefusals:
    @pytest.mark.parametrize("status", [400, 401, 404, 409, 429, 500, 502, 503, 504])
    async def test_any_other_status_is_a_failure(self, status: int) -> None:
        async with receiver() as endpoint:
            endpoint.answers["/"] = status
            attempt = await send(endpoint.url())

        assert (attempt.status, attempt.reason) == (status, f"responded {status}")
        assert not attempt.gone

    async def test_410_says_that_the_endpoint_is_gone(self) -> None:
        async with receiver() as endpoint:
            endpoint.answers["/"] = 410
            assert (await send(endpoint.url())).gone

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_a_redirect_is_a_failure_and_is_not_followed(self, status: int) -> None:
        async def redirect(_: web.Request) -> web.Response:
            return web.Response(status=status, headers={"location": "/elsewhere"})

        async with receiver() as endpoint:
            endpoint.answers["/"] = redirect
            attempt = await send(endpoint.url())

        assert [got.path for got in endpoint.received] == ["/"]
        assert "redirects are not followed" in (attempt.reason or "")

    async def test_a_redirect_to_the_metadata_service_is_not_followed(self) -> None:
        async def redirect(_: web.Request) -> web.Response:
            return web.Response(status=302, headers={"location": "http://169.254.169.254/latest"})

        async with receiver() as endpoint:
            endpoint.answers["/"] = redirect
            attempt = await send(endpoint.url())

        assert (attempt.status, attempt.succeeded, attempt.blocked) == (302, False, False)

    async def test_what_it_asks_for_by_retry_after_is_told(self) -> None:
        async def busy(_: web.Request) -> web.Response:
            return web.Response(status=429, headers={"retry-after": "120"})

        async with receiver() as endpoint:
            endpoint.answers["/"] = busy
            assert (await send(endpoint.url())).retry_after_ms == 120_000


class TestHostileAnswers:
    async def test_an_endpoint_that_says_nothing_is_left_after_the_limit(self) -> None:
        async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.read()

        async with raw_endpoint(hang) as port:
            attempt = await send(f"http://127.0.0.1:{port}/", seconds=0.2)

        assert (attempt.status, attempt.reason) == (None, "no response within 0.2 s")

    @pytest.mark.parametrize(("status", "succeeded"), [(200, True), (500, False)])
    async def test_an_answer_that_drips_for_ever_is_left_after_the_limit(self, status: int, succeeded: bool) -> None:
        """It was decided by its status line."""

        async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 %d So\r\ncontent-length: 100000\r\n\r\n" % status)
            while True:
                writer.write(b".")
                await writer.drain()
                await asyncio.sleep(0.01)

        async with raw_endpoint(drip) as port:
            attempt = await send(f"http://127.0.0.1:{port}/", seconds=0.3)

        assert (attempt.status, attempt.succeeded) == (status, succeeded)

    @pytest.mark.parametrize("status", [b"200 OK", b"204 No Content", b"202", b"410 Gone", b"503 No"])
    @pytest.mark.parametrize(
        "rest",
        [
            b"Content-Length: 2\r\n\r\nokSURPLUS",
            b"Content-Length: 2\r\n\r\nok\r\nHTTP/1.1 500 No\r\n\r\n",
            b"\r\nSURPLUS",
            b"Content-Length: 50\r\n\r\nhalf",
            b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello",
            b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
            b"Content-Length: two\r\n\r\nok",
            b"no header\r\n\r\n",
            b"x: " + b"a" * 100_000 + b"\r\n\r\n",
            b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok",
            b"Content-Len",
            b"",
        ],
    )
    @pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
    async def test_the_status_line_decides_whatever_comes_after_it(
        self, status: bytes, rest: bytes, interim: bytes
    ) -> None:
        async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(interim + b"HTTP/1.1 " + status + b"\r\n" + rest)
            await writer.drain()

        async with raw_endpoint(talk) as port:
            attempt = await send(f"http://127.0.0.1:{port}/", seconds=5)

        assert attempt.status == int(status[:3])
        assert attempt.succeeded is (status[:1] == b"2")
        assert attempt.gone is (status[:3] == b"410")

    async def test_a_connection_that_is_reset_in_the_body_of_a_2xx_delivered(self) -> None:
        async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf")
            await writer.drain()
            taken = writer.get_extra_info("socket")
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

        async with raw_endpoint(talk) as port:
            assert (await send(f"http://127.0.0.1:{port}/", seconds=5)).status == 200

    async def test_a_status_line_belongs_to_its_own_attempt_on_a_connection_that_is_used_again(self) -> None:
        answers = iter([b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"garbage\r\n\r\n"])

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    await reader.readuntil(DELIVERY.body)
                    writer.write(next(answers))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server, Sender.open(now_ms=now_ms, allow_networks=LOOPBACK) as sender:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            first = await sender.send(url, [SECRET], DELIVERY)
            second = await sender.send(url, [SECRET], DELIVERY)
        assert (first.status, first.succeeded, second.status, second.succeeded) == (200, True, None, False)

    async def test_of_an_endless_body_only_the_beginning_is_read(self) -> None:
        sent = 0
        closed = asyncio.Event()

        async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            writer.write(b"HTTP/1.1 500 No\r\ncontent-length: 1000000000000\r\n\r\n")
            try:
                while True:
                    writer.write(b"x" * 65536)
                    await writer.drain()
                    sent += 65536
            finally:
                closed.set()

        async with raw_endpoint(flood) as port:
            attempt = await send(f"http://127.0.0.1:{port}/")
            await asyncio.wait_for(closed.wait(), 10)

        assert (attempt.status, attempt.detail) == (500, "x" * 1024)
        assert sent < 100 * MAX_RESPONSE_BYTES + 50_000_000  # what fits the buffers of the sockets

    async def test_a_compressed_body_is_not_inflated(self) -> None:
        async def bomb(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc")
            await writer.drain()

        async with raw_endpoint(bomb) as port:
            attempt = await send(f"http://127.0.0.1:{port}/")

        assert (attempt.succeeded, attempt.detail) == (True, "abc")

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"HTTP/1.1 200",
            b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
            b"HTTP/2 200 OK\r\n\r\n",
            b" HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 999999 OK\r\n\r\n",
            b"\x00" * 1000,
        ],
    )
    async def test_nonsense_and_broken_answers_are_failures_with_a_reason(self, answer: bytes) -> None:
        async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(answer)
            await writer.drain()

        async with raw_endpoint(talk) as port:
            attempt = await send(f"http://127.0.0.1:{port}/", seconds=5)

        assert attempt.reason

    async def test_a_reset_connection_is_a_failure(self) -> None:
        async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.abort()

        async with raw_endpoint(reset) as port:
            attempt = await send(f"http://127.0.0.1:{port}/")

        assert "connection was lost" in (attempt.reason or "")

    async def test_a_closed_port_is_a_failure(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            attempt = await send(f"http://127.0.0.1:{taken.getsockname()[1]}/")

        assert "no connection" in (attempt.reason or "")


class TestBlockedAddresses:
    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1",
            "[::1]",
            "[::ffff:169.254.169.254]",
            "169.254.169.254",
            "10.0.0.1",
            "100.64.0.1",
            "0.0.0.0",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:7f00:1::]",
            "0x7f000001",
            "localhost",
        ],
    )
    async def test_they_are_refused_as_literals_in_old_notations_and_as_names(self, host: str) -> None:
        attempt = await send(f"http://{host}:9/", allow_networks=[])

        assert attempt.blocked
        assert "webhooks.allow_networks" in (attempt.reason or "")

    @pytest.mark.parametrize("host", ["2130706433", "127.1", "017700000001"])
    async def test_notations_that_the_client_refuses_never_connect(self, host: str) -> None:
        async with receiver() as endpoint:
            attempt = await send(f"http://{host}:{endpoint.port}/", allow_networks=[])

        assert not attempt.succeeded
        assert endpoint.received == []

    @pytest.mark.parametrize(
        "answers",
        [
            ["169.254.169.254"],
            ["10.0.0.1", "10.0.0.2", "192.168.0.1"],
            ["fe80::1"],
            ["64:ff9b::a9fe:a9fe", "::1"],
        ],
    )
    async def test_names_that_lead_to_them_are_refused(self, answers: list[str]) -> None:
        def lookup(*_: object) -> list[tuple]:
            return [(socket.AF_INET6 if ":" in host else socket.AF_INET, 1, 6, "", (host, 80)) for host in answers]

        attempt = await send("http://rebound.example/", allow_networks=[], resolver=Resolver(lookup))

        assert attempt.blocked

    async def test_a_name_is_judged_by_what_it_leads_to_at_the_time_of_the_connection(
        self,
    ) -> None:
        asked = iter([["127.0.0.1"], ["169.254.169.254"]])

        def lookup(*_: object) -> list[tuple]:
            return [(socket.AF_INET, 1, 6, "", (host, 80)) for host in next(asked)]

        async with receiver() as endpoint:
            options = {"now_ms": now_ms, "allow_networks": LOOPBACK}
            resolver = Resolver(lookup)
            for name, blocked in (("a.example", False), ("b.example", True)):
                async with Sender.open(resolver=resolver, **options) as sender:
                    url = f"http://{name}:{endpoint.port}/"
                    assert (await sender.send(url, [SECRET], DELIVERY)).blocked is blocked


class TestNames:
    async def test_they_are_looked_up_outside_of_the_loops_own_threads(self) -> None:
        with ThreadPoolExecutor() as closed:
            pass
        asyncio.get_running_loop().set_default_executor(closed)

        async with receiver() as endpoint:
            attempt = await send(f"http://localhost:{endpoint.port}/", allow_networks=EVERY_LOOPBACK)

        assert attempt.succeeded

    async def test_an_unknown_name_is_a_failure(self) -> None:
        def lookup(*_: object) -> list[tuple]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        attempt = await send("http://nowhere.example/", resolver=Resolver(lookup))

        assert "host name was not found" in (attempt.reason or "")
        assert "not known" in (attempt.reason or "")

    async def test_a_name_server_that_hangs_does_not_delay_other_names(self) -> None:
        answer = threading.Event()

        def lookup(host: str, port: int, *_: object) -> list[tuple]:
            if host == "slow.example":
                answer.wait(20)
            return [(socket.AF_INET, 1, 6, "", ("127.0.0.1", port))]

        options = {"now_ms": now_ms, "allow_networks": LOOPBACK, "seconds": 0.3}
        async with (
            receiver() as endpoint,
            Sender.open(resolver=Resolver(lookup), **options) as sender,
        ):
            slow = [
                sender.send(f"http://slow.example:{endpoint.port}/", [SECRET], DELIVERY) for _ in range(2 * LOOKUPS_MAX)
            ]
            good = sender.send(f"http://good.example:{endpoint.port}/", [SECRET], DELIVERY)
            *failed, succeeded = await asyncio.gather(*slow, good)
            answer.set()

        assert {attempt.reason for attempt in failed} == {"no response within 0.3 s"}
        assert succeeded.succeeded

    @pytest.mark.parametrize("url", ["http://", "http://a..b/", "http://" + "a" * 300 + ".example/", "http://\ud800/"])
    async def test_an_unusable_address_is_a_failure_not_an_exception(self, url: str) -> None:
        assert (await send(url)).reason


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that is its own authority."""
    if which("openssl") is None:
        pytest.skip("needs the openssl command to make a certificate")
    path = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"),
            *("ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(path / "key.pem"), "-out", str(path / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    return path


@pytest.fixture(scope="module")
def expired(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same key, and a certificate that ended long ago."""
    path = tmp_path_factory.mktemp("expired")
    (path / "index").touch()
    (path / "conf").write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={path}/index\nnew_certs_dir={path}\nrand_serial=yes\ndefault_md=sha256\n"
        "policy=p\nx509_extensions=e\n[p]\ncommonName=supplied\n[e]\nsubjectAltName=DNS:localhost\n"
    )
    (path / "key.pem").write_bytes((certificate / "key.pem").read_bytes())
    request = ("openssl", "req", "-new", "-key", str(path / "key.pem"), "-subj", "/CN=localhost")
    subprocess.run([*request, "-out", str(path / "csr")], check=True, capture_output=True)
    sign = ("openssl", "ca", "-batch", "-selfsign", "-notext", "-config", str(path / "conf"), "-in", str(path / "csr"))
    dates = ("-startdate", "20200101000000Z", "-enddate", "20200201000000Z")
    files = ("-keyfile", str(path / "key.pem"), "-out", str(path / "cert.pem"))
    subprocess.run([*sign, *dates, *files], check=True, capture_output=True)
    return path


class TestTls:
    async def test_an_expired_certificate_is_a_failure(self, expired: Path) -> None:
        attempt = await self.attempt(expired, "localhost", trusted=True)

        assert "expired" in (attempt.reason or "")

    async def test_authorities_of_the_configuration_are_trusted_besides_those_of_the_system(
        self, certificate: Path
    ) -> None:
        plain, own = WebhooksConfig().tls(), WebhooksConfig(ca_file=str(certificate / "cert.pem")).tls()
        assert own.cert_store_stats()["x509"] == plain.cert_store_stats()["x509"] + 1
        assert not (await self.attempt(certificate, "localhost", trusted=False, trust=plain)).succeeded
        assert (await self.attempt(certificate, "localhost", trusted=False, trust=own)).succeeded
        assert not (await self.attempt(certificate, "127.0.0.1", trusted=False, trust=own)).succeeded

    @pytest.mark.parametrize("handshake", [True, False])
    async def test_a_connection_that_is_reset_before_the_answer_is_a_failure(
        self, certificate: Path, handshake: bool
    ) -> None:
        served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        served.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        trust = ssl.create_default_context(cafile=str(certificate / "cert.pem"))

        async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.transport.abort()

        server = await asyncio.start_server(reset, "127.0.0.1", 0, ssl=served if handshake else None)
        async with server:
            port = server.sockets[0].getsockname()[1]
            attempt = await send(f"https://localhost:{port}/", tls=trust, seconds=5)

        assert attempt.status is None
        assert attempt.reason

    async def attempt(
        self, certificate: Path, host: str, *, trusted: bool, trust: ssl.SSLContext | None = None
    ) -> Attempt:
        served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        served.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        trust = trust or ssl.create_default_context()
        if trusted:
            trust.load_verify_locations(certificate / "cert.pem")

        async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()

        async with raw_endpoint(talk, ssl=served) as port:
            return await send(f"https://{host}:{port}/", tls=trust)

    async def test_a_valid_certificate_is_accepted(self, certificate: Path) -> None:
        assert (await self.attempt(certificate, "localhost", trusted=True)).succeeded

    async def test_an_unknown_authority_is_a_failure(self, certificate: Path) -> None:
        attempt = await self.attempt(certificate, "localhost", trusted=False)

        assert "certificate is not valid" in (attempt.reason or "")

    async def test_a_certificate_of_another_host_is_a_failure(self, certificate: Path) -> None:
        attempt = await self.attempt(certificate, "127.0.0.1", trusted=True)

        assert "certificate is not valid" in (attempt.reason or "")

    async def test_a_handshake_that_hangs_ends_with_the_attempt(self) -> None:
        async def never(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.read()

        async with raw_endpoint(never) as port:
            attempt = await send(f"https://127.0.0.1:{port}/", seconds=0.2)

        assert attempt.reason == "no response within 0.2 s"


class TestRetryAfter:
    NOW = 1_767_225_600_000

    @pytest.mark.parametrize(
        ("text", "ms"),
        [
            ("120", 120_000),
            (" 7 ", 7000),
            ("1.5", 1000),
            ("0", 0),
            ("315360000", 315_360_000_000),
            (formatdate(NOW / 1000 + 90, usegmt=True), 90_000),
            (formatdate(NOW / 1000 - 90, usegmt=True), None),
            ("Thu, 01 Jan 2026 01:00:00 +0000", 3_600_000),
            ("-5", None),
            ("soon", None),
            ("", None),
            ("9" * 5000, None),
            ("1e9", None),
            ("٣", None),
            (None, None),
        ],
    )
    def test_seconds_and_dates_count_and_nonsense_does_not(self, text: str | None, ms: int | None) -> None:
        assert retry_after_ms(text, self.NOW) == ms

    @given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ [\d:+ -]*"))
    def test_no_text_breaks_it(self, text: str) -> None:
        asked = retry_after_ms(text, self.NOW)

        assert asked is None or asked >= 0
