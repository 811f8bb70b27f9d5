"""A real endpoint on loopback for tests: it verifies every message, and behaves as it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import standardwebhooks
from aiohttp import web
from msgspec import Struct

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Received(Struct, frozen=True):
    path: str
    id: str
    headers: dict[str, str]
    body: bytes

    def verify(self, secret: str = SECRET) -> None:
        standardwebhooks.Webhook(secret).verify(self.body, self.headers)


Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Receiver:
    """`answers` maps a path to a status, or to a behaviour; every other path answers 200."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: dict[str, int | Behaviour] = {}
        self.port = 0
        self._more = asyncio.Event()

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path: str) -> list[Received]:
        return [message for message in self.received if message.path == path]

    async def until(self, count: int, path: str | None = None) -> list[Received]:
        """Wait for so many messages (at this path)."""
        async with asyncio.timeout(20):
            while len(found := self.received if path is None else self.at(path)) < count:
                self._more.clear()
                await self._more.wait()
        return found

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): text for name, text in request.headers.items()}
        self.received.append(Received(request.path, headers["webhook-id"], headers, body))
        self._more.set()
        answer = self.answers.get(request.path, 200)
        if isinstance(answer, int):
            return web.Response(status=answer, text="as told")
        return await answer(request)


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    endpoint = Receiver()
    # Handlers end with their connection, so that a hanging one does not hold up the test's end.
    server = web.Server(endpoint.handle, handler_cancellation=True)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        endpoint.port = runner.addresses[0][1]
        yield endpoint
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw_endpoint(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    **options: object,
) -> AsyncIterator[int]:
    """A server that reads one request, then talks as it likes; the port it listens on."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, **options)  # type: ignore[arg-type]
    async with server:
        yield server.sockets[0].getsockname()[1]
