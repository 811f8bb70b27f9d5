"""A thin Redis client for the hot path: it sends packed commands and parses replies over one connection.

A command costs less than half as much as with a full client, which the budget of one event requires. It does not
retry: a lost connection fails every waiting call with `StoreUnavailable`, and it is unknown whether they were executed.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import hiredis

from witnd.store.errors import StoreUnavailable, Unsafe
from witnd.store.server.connection import Endpoint, refusal, server_error
from witnd.store.server.login import credentials, login_refusal

CONNECT_SECONDS = 5.0
# Reasons to close a connection that do not mean that the server has failed.
CLOSED: Final = "closed"
CANCELLED: Final = "a call was cancelled"
_NOTHING = object()


class Wire(asyncio.Protocol):
    """A connection. `send` returns a future with the list of replies, in the order of the commands."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._waiting: deque[tuple[asyncio.Future[list[Any]], int, list[Any]]] = deque()
        self._transport: asyncio.Transport | None = None
        self._lost: Exception | None = None
        self.received_bytes = 0

    @property
    def open(self) -> bool:
        return self._lost is None and self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _NOTHING:
                self._take(reply)
        except hiredis.ProtocolError as broken:
            self.close(f"Redis sent an invalid reply ({broken}); if it uses TLS, write rediss:// in redis.url")

    def _take(self, reply: Any) -> None:
        if not self._waiting:
            self.close("Redis sent a reply without a command")
            return
        future, expected, replies = self._waiting[0]
        replies.append(reply)
        if len(replies) == expected:
            self._waiting.popleft()
            if not future.done():
                future.set_result(replies)

    def connection_lost(self, exc: Exception | None) -> None:
        self.close(f"the connection to Redis was lost: {exc}" if exc else "Redis closed the connection")

    def close(self, reason: str = CLOSED) -> None:
        """Close the connection and fail the waiting calls; their result is unknown."""
        if self._lost is None:
            self._lost = StoreUnavailable(reason)
        if self._transport is not None:
            self._transport.abort()
        while self._waiting:
            future, _, _ = self._waiting.popleft()
            if not future.done():
                future.set_exception(StoreUnavailable(reason))

    def send(self, commands: Sequence[Sequence[str | bytes | int]]) -> asyncio.Future[list[Any]]:
        """Send commands in one write. Error replies are returned in place, as `hiredis.ReplyError`."""
        return self.send_packed(b"".join(map(pack, commands)), len(commands))

    def send_packed(self, packed: bytes, replies: int) -> asyncio.Future[list[Any]]:
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        if self._lost is not None or self._transport is None:
            future.set_exception(StoreUnavailable(str(self._lost or "not connected")))
            return future
        self._waiting.append((future, replies, []))
        self._transport.write(packed)
        return future

    async def ask(self, *commands: Sequence[str | bytes | int], seconds: float) -> list[Any]:
        """Send commands and return their replies. Raises `StoreRefused` if any command is refused. After `seconds` the
        connection is closed, because later replies could not be assigned any more."""
        return check_replies(await self.wait(self.send(commands), seconds), commands)

    async def run(self, commands: Sequence[Sequence[str | bytes | int]], seconds: float) -> list[Any]:
        """Send commands and return their replies, with errors in place."""
        return await self.wait(self.send(commands), seconds)

    async def transaction(self, commands: Sequence[Sequence[str | bytes | int]], seconds: float) -> list[Any]:
        """Run commands in a transaction and return their replies, with errors in place. If the transaction is refused,
        its first error is in each place."""
        replies = await self.wait(self.send((("MULTI",), *commands, ("EXEC",))), seconds)
        refused = next((reply for reply in replies if isinstance(reply, hiredis.ReplyError)), None)
        found: list[Any] = replies[-1] if refused is None else [refused] * len(commands)
        return found

    async def wait(self, future: asyncio.Future[list[Any]], seconds: float) -> list[Any]:
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            reason = f"no answer from Redis within {seconds:g} s"
            self.close(reason)
            raise StoreUnavailable(reason) from None
        except asyncio.CancelledError:
            # It is unknown whether the commands are executed, so the connection cannot be used any more.
            self.close(CANCELLED)
            raise


class Connection:
    """A connection that is opened at its first use, and again after it was lost.

    Concurrent callers share it: a second one would never be closed.
    """

    def __init__(self, endpoint: Endpoint, name: str) -> None:
        self.endpoint = endpoint
        self._name = name
        self._wire: Wire | None = None
        self._connecting = asyncio.Lock()

    async def wire(self) -> Wire:
        if self._wire is not None and self._wire.open:
            return self._wire
        async with self._connecting:
            if self._wire is None or not self._wire.open:
                self._wire = await self._open()
            return self._wire

    async def _open(self) -> Wire:
        return await connect(self.endpoint, self._name)

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()


def pack(command: Sequence[str | bytes | int]) -> bytes:
    packed: bytes = hiredis.pack_command(tuple(command))  # type: ignore[arg-type]
    return packed


def check_replies(replies: list[Any], commands: Sequence[Sequence[str | bytes | int]] = ()) -> list[Any]:
    """Return the replies, or raise the first error among them: `StoreRefused` if nothing was done. `commands` are
    needed to name a damaged key."""
    for index, reply in enumerate(replies):
        if is_wrong_type(reply):
            raise wrong_type(commands[index] if index < len(commands) else ())
        if isinstance(reply, hiredis.ReplyError):
            raise refusal(str(reply)) or server_error(str(reply))
    return replies


async def connect(endpoint: Endpoint, name: str, create: Callable[[str], Wire] = Wire) -> Wire:
    """Connect to one server, log in and select the database."""
    login = [("AUTH", *found)] if (found := credentials(endpoint)) else []
    select = [("SELECT", str(endpoint.db))] if endpoint.db else []
    wire = await _open(endpoint, lambda: create(name))
    try:
        setname = ("CLIENT", "SETNAME", name)
        replies = await wire.wait(wire.send([*login, *select, setname]), CONNECT_SECONDS)
        for reply in replies[:-1]:  # a user without permission to set a name can still work
            if isinstance(reply, hiredis.ReplyError):
                raise login_refusal(endpoint, str(reply)) or refusal(str(reply)) or server_error(str(reply))
        if isinstance(replies[-1], hiredis.ReplyError):
            refused = login_refusal(endpoint, str(replies[-1])) or refusal(str(replies[-1]))
            if refused is not None and "NOPERM" not in str(replies[-1]):
                raise refused
    except BaseException:
        wire.close()
        raise
    return wire


async def _open(endpoint: Endpoint, create: Callable[[], Wire]) -> Wire:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            if endpoint.path is not None:
                _, wire = await loop.create_unix_connection(create, endpoint.path)
            else:
                _, wire = await loop.create_connection(
                    create, endpoint.host or "localhost", endpoint.port, ssl=endpoint.context()
                )
    except TimeoutError:
        raise StoreUnavailable(f"{endpoint}: no connection within {CONNECT_SECONDS:g} s{_hint(endpoint)}") from None
    except ssl.SSLCertVerificationError as failed:
        raise StoreUnavailable(
            f"{endpoint}: its certificate is not valid ({failed.verify_message}); name its CA as "
            "?ssl_ca_certs=/path in redis.url"
        ) from failed
    except OSError as failed:
        raise StoreUnavailable(f"{endpoint}: {failed}{_hint(endpoint)}") from failed
    return wire


def _hint(endpoint: Endpoint) -> str:
    if endpoint.is_sentinel and endpoint.tls:
        return "; if the Sentinels do not use TLS, set redis.sentinel_tls = false"
    return "; if the server does not use TLS, write redis:// in redis.url" if endpoint.tls else ""


def wrong_type(command: Sequence[str | bytes | int]) -> Unsafe:
    """Return the error for a command whose key has another type."""
    positions = {"XINFO": 2, "EVAL": 3, "EVALSHA": 3}
    index = positions.get(str(command[0]), 1) if command else 1
    key = f"the key {command[index]!s}" if index < len(command) else "a key of witnd"
    return Unsafe(
        f"{key} holds another type of data than witnd writes there",
        "another program changed it: restore it from a backup, or choose another redis.prefix",
    )


def is_wrong_type(reply: object) -> bool:
    """Return whether a reply says that the key has another type than the command needs."""
    return isinstance(reply, hiredis.ReplyError) and str(reply).startswith("WRONGTYPE")
