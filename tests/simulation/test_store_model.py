"""The store model answers as a real server does: the same random calls to both, and the same data afterwards."""

import random
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hiredis
import pytest

from tests.simulation.loop import VirtualLoop
from tests.simulation.scripts import NAMES
from tests.simulation.server import Server, Session
from tests.support.server import Server as RealServer
from witnd.store.daemons import registry
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.partition import commit
from witnd.store.server.scripts import Script

KEYS, SHARED = Keys("witn", 0), GlobalKeys("witn")
CALLS = 400
# Clocks of two servers differ by a moment, so ids and the rest of a lease are compared by their form only.
_ID = re.compile(rb"^\d{13}-\d+$")
_MS = range(1, 70_000)
LEASE, HEARTBEAT = Script("server/lease").text, Script("daemons/heartbeat").text
APPEND, CORRECT = Script("log/append_control").text, Script("partition/deadline_correct").text
OWNED = Script("partition/owned_write").text
VALUES = (b"a", b"b", b"c")


def flat(*words: Any) -> list[bytes]:
    return [word if isinstance(word, bytes) else str(word).encode() for word in words]


class Calls:
    """Random calls. `lease` and `sequence` follow what a server has, so that many calls succeed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lease = b""
        self.sequence = 0
        self.lines = 0

    def call(self) -> list[bytes]:
        return self.random.choice(
            [
                self.commit,
                self.commit,
                self.commit,
                self.take,
                self.keep,
                self.heartbeat,
                self.append,
                self.owned,
                self.read,
            ]
        )()

    def operation(self) -> list[Any]:
        pick = self.random.choice
        one, other, score = pick(VALUES), pick(VALUES), self.random.randrange(3)
        return pick(
            [
                ["HSET", KEYS.fates, one, other],
                ["HDEL", KEYS.fates, one],
                ["HINCRBY", KEYS.day("d"), one, score],
                ["RPUSH", KEYS.history("k"), one, other],
                ["ZADD", KEYS.due, score, one],
                ["ZREM", KEYS.due, one, other],
                ["SADD", KEYS.outbox_rules, one],
                ["MSET", KEYS.outcome("k"), one, KEYS.outcome("l"), other],
                ["UNLINK", pick([KEYS.history("k"), KEYS.due])],
                ["XADD", KEYS.resolutions, "*", "data", one],
                ["XADD", KEYS.lines, f"{max(1, self.lines + pick([1, 1, 1, 0]))}-0", "data", one],
                ["RPUSH", pick([KEYS.history("k"), KEYS.due]), one],
            ]
        )

    def operations(self) -> list[Any]:
        found: list[Any] = []
        for _ in range(self.random.randrange(4)):
            one = self.operation()
            if one[1] == KEYS.lines and KEYS.lines in found:
                continue
            found += [len(one), *one]
        return found

    def commit(self) -> list[bytes]:
        pick = self.random.choice
        fence = pick([self.lease, self.lease, self.lease, b"other"])
        expected = self.sequence + pick([0, 0, 0, 0, -1, 1])
        step = (fence, expected, expected + 1, pick([b"x", b"x", b"y"]))
        return flat("EVAL", commit.SOURCE, 2, KEYS.owner, KEYS.state, *step, *self.operations())

    def take(self) -> list[bytes]:
        now = int(time.time() * 1000) + self.random.choice([0, 0, 0, 120_000])
        replace = self.random.choice([b"", self.lease])
        return flat("EVAL", LEASE, 2, KEYS.owner, KEYS.state, "take", "nonce:a", 60_000, replace, now, 60_000)

    def keep(self) -> list[bytes]:
        verb = self.random.choice(["renew", "renew", "renew", "release"])
        value = self.random.choice([self.lease, self.lease, b"other"])
        return flat("EVAL", LEASE, 2, KEYS.owner, KEYS.state, verb, value, 60_000)

    def heartbeat(self) -> list[bytes]:
        pick = self.random.choice
        name, nonce = pick(VALUES), pick(VALUES)
        if pick([True, False, False]):
            return flat("EVAL", registry._LEAVE, 1, SHARED.daemons, name, nonce)
        gone = pick([(), (pick(VALUES), b"a {}")])
        return flat("EVAL", HEARTBEAT, 1, SHARED.daemons, name, nonce, nonce + b" {}", pick([b"", *VALUES]), *gone)

    def append(self) -> list[bytes]:
        latest = self.random.choice([0, 1 << 50])
        return flat("EVAL", APPEND, 1, KEYS.events, latest, "witnd", "tick")

    def owned(self) -> list[bytes]:
        pick = self.random.choice
        fence = pick([self.lease, b"other"])
        if pick([True, False]):
            one = pick([["ZADD", KEYS.due, "CH", 2, pick(VALUES)], ["ZREM", KEYS.due, pick(VALUES)]])
            return flat("EVAL", OWNED, 1, KEYS.owner, fence, len(one), *one)
        return flat("EVAL", CORRECT, 2, KEYS.due, KEYS.outcome("k"), pick(VALUES), pick(VALUES), pick([b"", b"2"]))

    def read(self) -> list[bytes]:
        one = self.random.choice(READS)
        return flat(*one)


READS: tuple[tuple[Any, ...], ...] = (
    ("HGETALL", KEYS.state), ("HMGET", KEYS.state, "seq", "none"), ("HGET", KEYS.fates, "a"), ("GET", KEYS.owner),
    ("MGET", KEYS.outcome("k"), KEYS.outcome("m")), ("LLEN", KEYS.history("k")), ("TYPE", KEYS.history("k")),
    ("LRANGE", KEYS.history("k"), 1, 3), ("ZMSCORE", KEYS.due, "a", "z"), ("ZCARD", KEYS.due), ("TYPE", KEYS.due),
    ("ZRANGEBYSCORE", KEYS.due, "(0", 2, "WITHSCORES", "LIMIT", 0, 2), ("EXISTS", KEYS.events, KEYS.events_moving),
    ("XINFO", "STREAM", KEYS.lines), ("XINFO", "STREAM", "none"), ("ZSCORE", KEYS.due, "a"), ("GET", KEYS.due),
    ("XREAD", "COUNT", 2, "STREAMS", KEYS.lines, "1-0"), ("XREAD", "COUNT", 1, "STREAMS", KEYS.events, "0-0"),
    ("EVALSHA", "0" * 40, 0), ("HGETALL", SHARED.daemons), ("LRANGE", KEYS.lines, 0, -1),
)  # fmt: skip
DUMP = tuple(
    one for one in READS if one[0] in ("HGETALL", "MGET", "ZMSCORE") or one == ("LRANGE", KEYS.history("k"), 1, 3)
)


@contextmanager
def real(server: RealServer) -> Iterator[Any]:
    """A function that runs a command on a real server."""
    reader = hiredis.Reader()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(server.socket))

        def ask(words: list[bytes]) -> Any:
            connection.sendall(hiredis.pack_command(tuple(words)))
            while (reply := reader.gets()) is False:
                reader.feed(connection.recv(65536))
            return reply

        yield ask


@contextmanager
def model() -> Iterator[Any]:
    """A function that runs a command on the model, whose clock is that of this host."""
    loop, reader = VirtualLoop(random.Random(0)), hiredis.Reader()
    server = Server(loop, lambda *_: None)
    server.db.now_ms = lambda: time.time_ns() // 1_000_000
    session = Session(server, reader.feed)

    def ask(words: list[bytes]) -> Any:
        session.receive(hiredis.pack_command(tuple(words)))
        return reader.gets()

    yield ask
    loop.close()


def form(reply: Any, words: list[bytes]) -> Any:
    """Return what both servers must agree about."""
    if isinstance(reply, Exception):
        return str(reply).split()[0]
    if isinstance(reply, bytes):
        return b"<id>" if _ID.match(reply) else reply
    if isinstance(reply, int):
        return "<ms>" if words[1:2] == [LEASE.encode()] and reply in _MS and reply > 100 else reply
    if isinstance(reply, list) and words[0] == b"XINFO":
        fields = dict(zip(reply[::2], reply[1::2], strict=True))
        wanted = (
            b"length",
            b"last-generated-id",
            b"max-deleted-entry-id",
            b"entries-added",
            b"recorded-first-entry-id",
        )
        return [form(fields.get(name), []) for name in wanted]
    if isinstance(reply, list) and words[0] == b"HGETALL":
        return dict(zip(reply[::2], reply[1::2], strict=True))
    if isinstance(reply, list) and reply[:1] == [1] and HEARTBEAT.encode() in words:
        return dict(zip(reply[1::2], reply[2::2], strict=True))
    if isinstance(reply, list) and len(reply) == 3 and reply[0] == -1:
        return [-1, round(int(reply[1]), -3), 0]
    return [form(one, words) for one in reply] if isinstance(reply, list) else reply


@pytest.mark.parametrize("seed", range(6))
def test_the_model_answers_as_a_real_server(session_server: RealServer, redis_url: str, seed: int) -> None:
    calls = Calls(seed)
    names = set()
    with real(session_server) as ask, model() as ask_model:
        for _ in range(CALLS):
            words = calls.call()
            expected, found = ask(words), ask_model(words)
            assert form(found, words) == form(expected, words), words
            if words[0] == b"EVAL":
                names.add(words[1])
            calls.lease = ask(flat("GET", KEYS.owner)) or b""
            ask_model(flat("GET", KEYS.owner))
            calls.sequence = int(ask(flat("HGET", KEYS.state, "seq")) or 0)
            ask_model(flat("HGET", KEYS.state, "seq"))
            calls.lines = int(ask(flat("XLEN", KEYS.lines)))
        for one in DUMP:
            assert form(ask_model(flat(*one)), flat(*one)) == form(ask(flat(*one)), flat(*one))
    assert len(names) == len(NAMES)
