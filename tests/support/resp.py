"""Proxies in front of a server, and one that answers chosen commands itself or changes the server's replies."""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import hiredis

_NOTHING = object()
Words = list[bytes]
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


class UnixProxy(ABC):
    """Listens on `path` while entered, in a thread of its own, so a test may block."""

    def __init__(self, server: Path, path: Path) -> None:
        self.url = f"unix://{path}"
        self._server, self._path = server, path
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
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

    @abstractmethod
    async def pass_on(self, reader: Reader, writer: Writer, upstream: Reader, out: Writer) -> None:
        """Serve one connection: `reader` and `writer` to the client, `upstream` and `out` to the server."""

    async def _run(self) -> None:
        listener = await asyncio.start_unix_server(self._accept, self._path)
        self._listening.set()
        await self._end.wait()
        listener.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _accept(self, reader: Reader, writer: Writer) -> None:
        talk = asyncio.ensure_future(self._talk(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, reader: Reader, writer: Writer) -> None:
        writers = [writer]
        try:
            upstream, out = await asyncio.open_unix_connection(self._server)
            writers.append(out)
            await self.pass_on(reader, writer, upstream, out)
        except OSError:
            pass  # the server is away: the client sees its connection end, as it would without us
        finally:
            for one in writers:
                one.transport.abort()


class Commands:
    """Reads commands out of what a client sends."""

    def __init__(self) -> None:
        self._parser = hiredis.Reader(notEnoughData=_NOTHING)

    def of(self, data: bytes) -> Iterator[Words]:
        self._parser.feed(data)
        while (words := self._parser.gets()) is not _NOTHING:
            yield words


def packed(words: Words) -> bytes:
    command: bytes = hiredis.pack_command(tuple(words))
    return command


class FakeServer(UnixProxy):
    """Both hooks may be changed at any time.

    `answer` returns a reply to send in place of the server's, None to ask the server; `change` gets the server's reply.
    """

    def __init__(self, server: Path, path: Path) -> None:
        super().__init__(server, path)
        self.answer: Callable[[Words], bytes | None] = lambda words: None
        self.change: Callable[[Words, bytes], bytes] = lambda words, reply: reply

    def drop(self) -> None:
        """End all connections."""
        self._loop.call_soon_threadsafe(lambda: [talk.cancel() for talk in self._talks])

    async def pass_on(self, reader: Reader, writer: Writer, upstream: Reader, out: Writer) -> None:
        commands = Commands()
        while data := await reader.read(65536):
            for words in commands.of(data):
                canned = self.answer(words)
                if canned is None:
                    out.write(packed(words))
                    if words[0].upper() == b"SUBSCRIBE":
                        while messages := await upstream.read(65536):
                            writer.write(messages)
                        return
                    canned = self.change(words, await _reply(upstream))
                writer.write(canned)


async def _reply(upstream: Reader) -> bytes:
    data = b""
    while (end := end_of_reply(data, 0)) is None:
        more = await upstream.read(65536)
        if not more:
            raise ConnectionError
        data += more
    assert end == len(data)
    return data


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
