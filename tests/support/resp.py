"""A proxy in front of a server that answers chosen commands itself, or changes the server's replies."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

import hiredis

from tests.crash.proxy import end_of_reply

_NOTHING = object()
Words = list[bytes]


class FakeServer:
    """Listens on `path` while entered, in a thread of its own. Both hooks may be changed at any time.

    `answer` returns a reply to send in place of the server's, None to ask the server; `change` gets the server's reply.
    """

    def __init__(self, server: Path, path: Path) -> None:
        self.url = f"unix://{path}"
        self.answer: Callable[[Words], bytes | None] = lambda words: None
        self.change: Callable[[Words, bytes], bytes] = lambda words, reply: reply
        self._server, self._path = server, path
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._talks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        self._loop.close()

    def drop(self) -> None:
        """End all connections."""
        self._loop.call_soon_threadsafe(lambda: [talk.cancel() for talk in self._talks])

    async def _run(self) -> None:
        listener = await asyncio.start_unix_server(self._accept, self._path)
        self._ready.set()
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
            upstream, out = await asyncio.open_unix_connection(self._server)
            writers.append(out)
            parser = hiredis.Reader(notEnoughData=_NOTHING)
            while data := await reader.read(65536):
                parser.feed(data)
                while (words := parser.gets()) is not _NOTHING:
                    canned = self.answer(words)
                    if canned is None:
                        out.write(hiredis.pack_command(tuple(words)))
                        if words[0].upper() == b"SUBSCRIBE":
                            await _pass(upstream, writer)
                            return
                        canned = self.change(words, await _reply(upstream))
                    writer.write(canned)
        except OSError:
            pass  # the server is away: the client sees its connection end
        finally:
            for one in writers:
                one.transport.abort()


async def _reply(upstream: asyncio.StreamReader) -> bytes:
    data = b""
    while (end := end_of_reply(data, 0)) is None:
        more = await upstream.read(65536)
        if not more:
            raise ConnectionError
        data += more
    assert end == len(data)
    return data


async def _pass(upstream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await upstream.read(65536):
        writer.write(data)


def error(text: str) -> bytes:
    return f"-{text}\r\n".encode()


def bulk(text: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text), text)


def with_info(**fields: str) -> Callable[[Words, bytes], bytes]:
    """A `change` under which INFO has these values."""

    def change(words: Words, reply: bytes) -> bytes:
        if words[0].upper() != b"INFO":
            return reply
        body = reply.partition(b"\r\n")[2][:-2]
        lines = [line for line in body.split(b"\r\n") if line.partition(b":")[0].decode() not in fields]
        return bulk(b"\r\n".join([*lines, *(f"{name}:{value}".encode() for name, value in fields.items()), b""]))

    return change
