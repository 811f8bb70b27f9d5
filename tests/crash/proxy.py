"""A proxy between a client and the server that cuts the connection at chosen commands, or cuts their replies short.

It reads whole commands, asks `rule` about each, and forwards it. A cut ends both sides of that one connection, as a
network does; the client may connect again at once. Its own thread runs it, so a test may block.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, Self, TypeAlias

import hiredis

# before: not forwarded. after: executed, the reply is lost. truncate: executed, the reply breaks off.
Cut: TypeAlias = Literal["before", "after", "truncate"]
MODES: tuple[Cut, ...] = ("before", "after", "truncate")
_NOTHING = object()


class Command(NamedTuple):
    """A command as it came, and how many came before it over all connections."""

    words: tuple[bytes, ...]
    number: int

    @property
    def name(self) -> str:
        return self.words[0].decode().upper()


Rule = Callable[[Command], Cut | None]


class Proxy:
    """Listens on `path` while entered. `rule` may be changed at any time, and runs in the proxy's thread."""

    def __init__(self, server: Path, path: Path) -> None:
        self.url = f"unix://{path}"
        self.rule: Rule = lambda command: None
        self.seen: list[Command] = []
        self.cuts: list[tuple[Cut, Command]] = []
        self.trouble: list[BaseException] = []
        # For rules that hold everything up until the test has done something.
        self.gate = threading.Event()
        self._server = server
        self._path = path
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._listening = threading.Event()
        self._end = asyncio.Event()
        self._talks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._loop.close()
        assert not self.trouble, self.trouble

    async def _run(self) -> None:
        listener = await asyncio.start_unix_server(self._accept, self._path)
        self._listening.set()
        await self._end.wait()
        listener.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.ensure_future(self._talk(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            upstream = await asyncio.open_unix_connection(self._server)
            writers.append(upstream[1])
            connection = _Connection(self, writer, upstream[1])
            ways = [
                asyncio.ensure_future(connection.commands(reader)),
                asyncio.ensure_future(connection.replies(upstream[0])),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                for answer in await asyncio.gather(*ways, return_exceptions=True):
                    if isinstance(answer, AssertionError):
                        self.trouble.append(answer)
        except OSError:
            pass  # the server is away: the client sees its connection end, as it would without us
        finally:
            for one in writers:
                one.transport.abort()

    def judge(self, words: list[bytes]) -> Cut | None:
        command = Command(tuple(words), len(self.seen))
        self.seen.append(command)
        try:
            cut = self.rule(command)
        except BaseException as error:
            self.trouble.append(error)
            return None
        if cut is not None:
            self.cuts.append((cut, command))
        return cut


class _Connection:
    """One connection through the proxy: replies are matched with the commands that wait for them."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._waiting: deque[Cut | None] = deque()
        self._listens = False  # subscribed: what comes are messages, and not one per command

    async def commands(self, reader: asyncio.StreamReader) -> None:
        parser = hiredis.Reader(notEnoughData=_NOTHING)
        while data := await reader.read(65536):
            parser.feed(data)
            while (words := parser.gets()) is not _NOTHING:
                cut = self._proxy.judge(words)
                if cut == "before":
                    return
                if words[0].upper() == b"SUBSCRIBE":
                    self._listens = True
                self._waiting.append(cut)
                self._server.write(hiredis.pack_command(tuple(words)))

    async def replies(self, reader: asyncio.StreamReader) -> None:
        data = b""
        while more := await reader.read(65536):
            data += more
            while data:
                end = len(data) if self._listens else end_of_reply(data, 0)
                if end is None:
                    break
                reply, data = data[:end], data[end:]
                cut = self._waiting.popleft() if self._waiting else None
                if cut == "after":
                    return
                if cut == "truncate":
                    # Another place each time, so that over a run they are cut everywhere.
                    self._client.write(reply[: len(self._proxy.cuts) * 7919 % len(reply)])
                    await self._client.drain()
                    # An abort would take back what is not yet sent.
                    self._client.write_eof()
                    return
                self._client.write(reply)


def end_of_reply(data: bytes, at: int) -> int | None:
    """Where the RESP2 reply that begins at `at` ends; None where it is not all there."""
    line = data.find(b"\r\n", at)
    if line < 0:
        return None
    kind, number, end = data[at : at + 1], data[at + 1 : line], line + 2
    if kind in b"+-:":
        return end
    size = int(number)
    if kind == b"$":
        end += size + 2 if size >= 0 else 0
        return end if end <= len(data) else None
    assert kind == b"*", data[at : at + 80]
    for _ in range(size):
        inner = end_of_reply(data, end)
        if inner is None:
            return None
        end = inner
    return end
