"""One attempt to send a delivery, as a value.

Whatever an endpoint does (hangs, drips, redirects, breaks off, answers nonsense) is an `Attempt`
with a reason, never an exception. What follows from it is decided elsewhere. The status line decides:
once it says 2xx, the endpoint has the delivery, however the rest of the answer goes wrong.
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
# Leaves time for the next address of a name whose first one does not answer.
CONNECT_SECONDS: Final = 10.0
# Shorter than the idle limits of common servers: a connection that the other side is just closing
# would cost an attempt.
KEEP_ALIVE_SECONDS: Final = 4.0
ANSWER_BYTES_MAX: Final = 16 * 1024
DETAIL_BYTES_MAX: Final = 1024
_REASON_MAX: Final = 500

_SECONDS_FORM: Final = re.compile(r"([0-9]{1,12})(?:\.[0-9]{1,9})?", re.ASCII)


class Sender:
    """Made by `open`; inside, `send` may be called any number of times at once."""

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
        """A sender for as long as the context lasts; leaving it closes all connections."""
        connector = RecordingConnector(
            limit=0,  # how many attempts there are at once is the relay's business
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
        """Send it once, signed for this moment."""
        began = monotonic_ns()
        seen = _Answer()
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
            reason = f"no answer within {self._seconds:g} s"
        except Exception as error:  # noqa: BLE001 - a client fails in as many ways as endpoints do
            reason, blocked = _reason(error)
        if seen.status is None:
            seen.status = line.status
        if seen.status is not None:
            reason = _verdict(seen.status)
        return Attempt(
            status=seen.status,
            reason=reason,
            retry_after_ms=retry_after_ms(seen.retry_after, self._now_ms()),
            duration_ms=(monotonic_ns() - began) // 1_000_000,
            detail=seen.detail(),
            gone=seen.status == 410,
            blocked=blocked,
        )


class _Answer:
    """What has arrived so far, for when the rest does not."""

    __slots__ = ("body", "retry_after", "status")

    def __init__(self) -> None:
        self.status: int | None = None
        self.retry_after: str | None = None
        self.body = b""

    def detail(self) -> str | None:
        return self.body[:DETAIL_BYTES_MAX].decode(errors="replace") or None


async def _read(response: ClientResponse) -> bytes:
    """The beginning of the body. A longer one is cut off together with its connection."""
    body = b""
    while len(body) < ANSWER_BYTES_MAX:
        part = await response.content.read(ANSWER_BYTES_MAX - len(body))
        if not part:
            return body
        body += part
    response.close()
    return body


def _verdict(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"answered {status}; redirects are not followed, give the final address in the rule"
    if status == 410:
        return "answered 410 Gone: it wants no more deliveries"
    return f"answered {status}"


def _reason(error: Exception) -> tuple[str, bool]:
    """Why there was no answer, and whether the guard is why."""
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
            text = f"the connection broke off: {error}"
        case aiohttp.ClientPayloadError():
            text = "the answer broke off"
        case aiohttp.InvalidURL():
            text = f"not a usable address: {error}"
        case _:
            text = f"{type(error).__name__}: {error}"
    return text[:_REASON_MAX], False


def retry_after_ms(text: str | None, now_ms: int) -> int | None:
    """How long the endpoint asks us to wait: seconds or a date. None for nonsense and the past."""
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
