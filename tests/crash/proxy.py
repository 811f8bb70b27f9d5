"""A proxy between a client and the server that cuts the connection at chosen commands, or cuts their replies short.

It reads whole commands, asks `rule` about each, and forwards it. A cut ends both sides of that one connection, as a
network does; the client may connect again at once.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from tests.support.resp import Commands, Reader, UnixProxy, Words, Writer, end_of_reply, packed

# before: not forwarded. after: executed, the reply is lost. truncate: executed, the reply breaks off.
Cut: TypeAlias = Literal["before", "after", "truncate"]
MODES: tuple[Cut, ...] = ("before", "after", "truncate")


class Command(NamedTuple):
    """A command as it came, and how many came before it over all connections."""

    words: tuple[bytes, ...]
    number: int

    @property
    def name(self) -> str:
        return self.words[0].decode().upper()


Rule = Callable[[Command], Cut | None]


class Proxy(UnixProxy):
    """`rule` may be changed at any time, and runs in the proxy's thread."""

    def __init__(self, server: Path, path: Path) -> None:
        super().__init__(server, path)
        self.rule: Rule = lambda command: None
        self.seen: list[Command] = []
        self.cuts: list[tuple[Cut, Command]] = []
        self.trouble: list[BaseException] = []
        # For rules that hold everything up until the test has done something.
        self.gate = threading.Event()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        assert not self.trouble, self.trouble

    async def pass_on(self, reader: Reader, writer: Writer, upstream: Reader, out: Writer) -> None:
        connection = _Connection(self, writer, out)
        ways = [
            asyncio.ensure_future(connection.commands(reader)),
            asyncio.ensure_future(connection.replies(upstream)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for answer in await asyncio.gather(*ways, return_exceptions=True):
                if isinstance(answer, AssertionError):
                    self.trouble.append(answer)

    def judge(self, words: Words) -> Cut | None:
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

    def __init__(self, proxy: Proxy, client: Writer, server: Writer) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._waiting: deque[Cut | None] = deque()
        self._listens = False  # subscribed: what comes are messages, and not one per command

    async def commands(self, reader: Reader) -> None:
        commands = Commands()
        while data := await reader.read(65536):
            for words in commands.of(data):
                cut = self._proxy.judge(words)
                if cut == "before":
                    return
                if words[0].upper() == b"SUBSCRIBE":
                    self._listens = True
                self._waiting.append(cut)
                self._server.write(packed(words))

    async def replies(self, reader: Reader) -> None:
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
