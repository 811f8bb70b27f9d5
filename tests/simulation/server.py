"""The store model as a server: sessions that run commands and answer in the Redis protocol.

It has its own clock. A blocking read waits in the session until an entry comes or the clock passes its end.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import hiredis

from tests.simulation.database import Database, Error, Words, read_id
from tests.simulation.loop import VirtualLoop
from tests.simulation.scripts import Scripts

# The true time at the start, in ms since 1970. The server's clock differs from true time by `offset_ms`.
START_MS = 1_789_000_000_000
# Between two commands of a message that is split: long enough for several steps of another client.
SPLIT_SECONDS = 0.004


class Server:
    """Data, clock, scripts and sessions. `on_script` is called after each run of a script."""

    def __init__(self, loop: VirtualLoop, on_script: Callable[[str, Words, Any], None]) -> None:
        self.loop = loop
        self.offset_ms = 0
        self.scripts = Scripts()
        self.db = Database(self.now_ms)
        self._on_script = on_script
        self._blocked: dict[str, dict[Session, None]] = {}  # by stream, in order of arrival

    def true_ms(self) -> int:
        """Return true time in ms since 1970."""
        return START_MS + int(self.loop.time() * 1000)

    def now_ms(self) -> int:
        return self.true_ms() + self.offset_ms

    def step_clock(self, offset_ms: int) -> None:
        """Set the clock. Blocking reads end when this clock passes their end, as in a real server."""
        self.offset_ms = offset_ms
        for sessions in list(self._blocked.values()):
            for session in list(sessions):
                session.arm()

    def append(self, stream: str, fields: dict[bytes, bytes]) -> bytes:
        """Append an entry, as a producer does."""
        words = [word for pair in fields.items() for word in pair]
        return self.run([b"XADD", stream.encode(), b"*", *words])

    def run(self, words: Words) -> Any:
        """Run a command. Return its reply, an `Error` too."""
        try:
            if words[0].upper() in (b"EVAL", b"EVALSHA"):
                name, reply = self.scripts.run(self.db, words)
                keys = int(words[2])
                self._on_script(name, words[3:], reply)
                if name == "append_control":
                    self._wake(words[3].decode())
                return reply if keys else None
            reply = self.db.run(words)
        except Error as error:
            return error
        if words[0] == b"XADD":
            self._wake(words[1].decode())
        return reply

    def block(self, stream: str, session: "Session") -> None:
        self._blocked.setdefault(stream, {})[session] = None

    def unblock(self, stream: str, session: "Session") -> None:
        self._blocked.get(stream, {}).pop(session, None)

    def _wake(self, stream: str) -> None:
        for session in list(self._blocked.get(stream, ())):
            session.check_stream()


class BlockedRead:
    """An XREAD that waits for entries."""

    def __init__(self, stream: bytes, after: bytes, most: int, until_ms: int) -> None:
        self.stream = stream
        self.after = read_id(after)
        self.most = most
        self.until_ms = until_ms  # by the server's clock
        self.timer: asyncio.TimerHandle | None = None


class Session:
    """One connection, at the server's side. `answer` gets the bytes of each reply."""

    def __init__(self, server: Server, answer: Callable[[bytes], None]) -> None:
        self.is_closed = False
        self._server = server
        self._answer = answer
        self._reader = hiredis.Reader()
        self._waiting: list[Words] = []  # commands after a blocked one
        self._queued: list[Words] | None = None  # between MULTI and EXEC
        self._read: BlockedRead | None = None
        self._replies: list[bytes] = []
        self._is_split = False

    def receive(self, data: bytes, *, is_split: bool = False) -> None:
        """Run the commands of a message: together, or each in a moment of its own."""
        self._is_split = is_split
        self._reader.feed(data)
        while (words := self._reader.gets()) is not False:
            self._waiting.append(words)
        self._work()

    def close(self) -> None:
        self.is_closed = True
        self._waiting.clear()
        self._end_read()

    def arm(self) -> None:
        """Set the timer that ends a blocked read."""
        read = self._read
        assert read is not None
        if read.timer is not None:
            read.timer.cancel()
        delay = max(0, read.until_ms - self._server.now_ms()) / 1000
        read.timer = self._server.loop.call_later(delay, self._expire, context=self._server.loop.world.context)

    def check_stream(self) -> None:
        """Answer a blocked read if its stream has entries now."""
        read = self._read
        assert read is not None
        rows = self._server.db.entries_after(read.stream, read.after, read.most)
        if rows:
            self._end_read()
            self._reply([[read.stream, rows]])
            self._work()

    def _expire(self) -> None:
        self._end_read()
        self._reply(None)
        self._work()

    def _end_read(self) -> None:
        read, self._read = self._read, None
        if read is not None:
            self._server.unblock(read.stream.decode(), self)
            if read.timer is not None:
                read.timer.cancel()

    def _work(self) -> None:
        """Run commands until one blocks, and send the replies together."""
        while self._waiting and self._read is None:
            self._run(self._waiting.pop(0))
            if self._is_split and self._waiting:
                loop = self._server.loop
                loop.call_later(SPLIT_SECONDS, self._work, context=loop.world.context)
                break
        replies, self._replies = self._replies, []
        if replies and not self.is_closed:
            self._answer(b"".join(replies))

    def _run(self, words: Words) -> None:
        name = words[0].upper()
        if name == b"MULTI":
            self._queued = []
            self._reply(b"OK")
        elif name == b"EXEC":
            queued, self._queued = self._queued or [], None
            self._reply([self._server.run(one) for one in queued])
        elif self._queued is not None:
            self._queued.append(words)
            self._reply(b"QUEUED")
        elif name == b"XREAD":
            self._start_read(words)
        else:
            self._reply(self._server.run(words))

    def _start_read(self, words: Words) -> None:
        options = dict(zip(words[1:-3:2], words[2:-3:2], strict=True))
        stream, after = words[-2:]
        block_ms = int(options.get(b"BLOCK", b"-1"))
        read = BlockedRead(stream, after, int(options[b"COUNT"]), self._server.now_ms() + block_ms)
        rows = self._server.db.entries_after(stream, read.after, read.most)
        if rows or block_ms < 0:
            self._reply([[stream, rows]] if rows else None)
            return
        self._read = read
        self._server.block(stream.decode(), self)
        self.arm()

    def _reply(self, reply: Any) -> None:
        self._replies.append(encode(reply))


def encode(reply: Any) -> bytes:
    """Return a reply in the Redis protocol."""
    if type(reply) is bytes:
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    if reply is None:
        return b"*-1\r\n"
    if type(reply) is int:
        return b":%d\r\n" % reply
    if isinstance(reply, Error):
        return b"-%b\r\n" % str(reply).encode()
    return b"*%d\r\n%b" % (len(reply), b"".join(map(encode, reply)))
