"""Send a delivery once, and return the result as a value.

All failures of an endpoint (timeouts, redirects, broken connections, invalid responses) are an `Attempt` with a
reason, never an exception. The status line decides: after 2xx the endpoint has the delivery, even if the rest of the
response is broken.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC
from email.utils import parsedate_to_datetime
from time import monotonic_ns
from typing import Final, Self

import aiohttp
from aiohttp import ClientResponse, ClientSession, ClientTimeout
from aiohttp.abc import AbstractResolver

from witnd import __version__
from witnd.domain.webhooks.delivery import Attempt
from witnd.domain.webhooks.message import Delivery
from witnd.notify import signature
from witnd.notify.guard import BlockedAddress, Guard, Network
from witnd.notify.resolver import Resolver
from witnd.notify.status_line import RecordingConnector, record

ATTEMPT_SECONDS: Final = 20.0
# Leaves time for the second address of a name if the first one does not respond.
CONNECT_SECONDS: Final = 10.0
# Shorter than the idle limits of common servers, because a connection that the server closes would cost an attempt.
KEEP_ALIVE_SECONDS: Final = 4.0
MAX_RESPONSE_BYTES: Final = 16 * 1024
MAX_DETAIL_BYTES: Final = 1024
_MAX_REASON: Final = 500

_SECONDS_FORM: Final = re.compile(r"([0-9]{1,12})(?:\.[0-9]{1,9})?", re.ASCII)


class Sender:
    """Sends deliveries. Create it with `open`. `send` may be called concurrently."""

    def __init__(self, session: ClientSession, now_ms: Callable[[], int], seconds: float) -> None:
        self._session = session
        self._now_ms = now_ms
        self._seconds = seconds

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        *,
        now_ms: Callable[[], int],
        allow_networks: Iterable[str | Network] = (),
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | bool = True,
        seconds: float = ATTEMPT_SECONDS,
    ) -> AsyncIterator[Self]:
        """Open a sender. Leaving the context closes all connections."""
        connector = RecordingConnector(
            limit=0,  # the relay limits concurrent attempts
            resolver=resolver or Resolver(),
            socket_factory=Guard(allow_networks).open_socket,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            ssl=tls,
        )
        async with ClientSession(
            connector=connector,
            timeout=ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"user-agent": f"witnd/{__version__}", "content-type": "application/json"},
            skip_auto_headers=("accept-encoding",),
            auto_decompress=False,
            trust_env=False,
        ) as session:
            yield cls(session, now_ms, seconds)

    async def send(self, url: str, secrets: Sequence[str], delivery: Delivery) -> Attempt:
        """Sign and send a delivery once."""
        began = monotonic_ns()
        seen = _PartialResponse()
        line = record()
        reason: str | None
        blocked = False
        try:
            headers = signature.headers(secrets, delivery.id, self._now_ms() // 1000, delivery.body)
            async with (
                asyncio.timeout(self._seconds),
                self._session.post(url, data=delivery.body, headers=headers, allow_redirects=False) as response,
            ):
                seen.status = response.status
                seen.retry_after = response.headers.get("retry-after")
                seen.body = await _read(response)
            reason = None
        except aiohttp.ConnectionTimeoutError:
            reason = f"no connection within {CONNECT_SECONDS:g} s"
        except TimeoutError:
            reason = f"no response within {self._seconds:g} s"
        except Exception as error:  # noqa: BLE001 - all failures must become an Attempt
            reason, blocked = _reason(error)
        if seen.status is None:
            seen.status = line.status
        if seen.status is not None:
            reason = _status_problem(seen.status)
        return Attempt(
            status=seen.status,
            reason=reason,
            retry_after_ms=retry_after_ms(seen.retry_after, self._now_ms()),
            duration_ms=(monotonic_ns() - began) // 1_000_000,
            detail=seen.detail(),
            gone=seen.status == 410,
            blocked=blocked,
        )


class _PartialResponse:
    """The received part of a response."""

    __slots__ = ("body", "retry_after", "status")

    def __init__(self) -> None:
        self.status: int | None = None
        self.retry_after: str | None = None
        self.body = b""

    def detail(self) -> str | None:
        return self.body[:MAX_DETAIL_BYTES].decode(errors="replace") or None


async def _read(response: ClientResponse) -> bytes:
    """Read the start of the body. A longer body is dropped with its connection."""
    body = b""
    while len(body) < MAX_RESPONSE_BYTES:
        part = await response.content.read(MAX_RESPONSE_BYTES - len(body))
        if not part:
            return body
        body += part
    response.close()
    return body


def _status_problem(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"responded {status}; redirects are not followed, write the final URL into the rule"
    if status == 410:
        return "responded 410 Gone: the endpoint does not accept deliveries any more"
    return f"responded {status}"


def _reason(error: Exception) -> tuple[str, bool]:
    """Return why there was no response, and whether the guard blocked it."""
    cause = getattr(error, "os_error", error)
    if isinstance(cause, BlockedAddress):
        return str(cause), True
    match error:
        case aiohttp.ClientConnectorDNSError():
            text = f"the host name was not found: {cause}"
        case aiohttp.ClientConnectorCertificateError():
            text = f"its certificate is not valid: {error.certificate_error}"
        case aiohttp.ClientConnectorSSLError():
            text = f"no TLS connection: {cause}"
        case aiohttp.ClientConnectorError():
            text = f"no connection: {cause}"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            text = f"the connection was lost: {error}"
        case aiohttp.ClientPayloadError():
            text = "the response is incomplete"
        case aiohttp.InvalidURL():
            text = f"not a valid URL: {error}"
        case _:
            text = f"{type(error).__name__}: {error}"
    return text[:_MAX_REASON], False


def retry_after_ms(text: str | None, now_ms: int) -> int | None:
    """Return the delay (ms) of a `Retry-After` header, seconds or a date; None if invalid or in the past."""
    if text is None:
        return None
    text = text.strip()
    if (form := _SECONDS_FORM.fullmatch(text)) is not None:
        return int(form[1]) * 1000
    try:
        date = parsedate_to_datetime(text)
        ms = int(date.replace(tzinfo=date.tzinfo or UTC).timestamp() * 1000) - now_ms
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return ms if ms > 0 else None
