"""The Lua scripts of a daemon's hot path, line by line in Python over the store model.

`test_store_model.py` runs the same calls on a real server and compares replies and data.
"""

import re
from collections.abc import Callable
from hashlib import sha1
from typing import Any

from tests.simulation.database import Database, Error, Stream, Words, read_id, write_id
from witnd.store.daemons import registry
from witnd.store.partition import commit as commits
from witnd.store.server.scripts import Script

Port = Callable[[Database, Words, Words], Any]
WRITTEN_TYPES = {
    b"HDEL": b"hash", b"HINCRBY": b"hash", b"HSET": b"hash", b"RPUSH": b"list", b"SADD": b"set", b"XADD": b"stream",
    b"ZADD": b"zset", b"ZREM": b"zset",
}  # fmt: skip


def commit(db: Database, keys: Words, args: Words) -> Any:
    """`partition/commit.lua`."""
    return fenced_reply(db, keys, args) or sequence_reply(db, keys, args) or write_step(db, keys, args)


def fenced_reply(db: Database, keys: Words, args: Words) -> Any:
    owner = db.get(keys[0])
    return None if owner == args[0] else [b"FENCED", owner or b""]


def sequence_reply(db: Database, keys: Words, args: Words) -> Any:
    sequence, digest = db.hmget(keys[1], b"seq", b"digest")
    sequence = sequence or b"0"
    if sequence == args[1]:
        return None
    if sequence == args[2] and digest == args[3]:
        return [b"DONE", sequence]
    return [b"SEQUENCE", sequence]


def write_step(db: Database, keys: Words, args: Words) -> Any:
    """Check the types of all keys and the numbers of entries, then write everything."""
    commands, at = [], 4
    while at < len(args):
        words = int(args[at])
        commands.append(args[at + 1 : at + 1 + words])
        at += words + 1
    removed: set[bytes] = set()
    numbered: set[bytes] = set()
    for name, key, *rest in commands:
        expected = WRITTEN_TYPES.get(name)
        if name == b"UNLINK":
            removed.update((key, *rest))
        elif expected and key not in removed:
            found = db.type(key)
            if found not in (expected, b"none"):
                return [b"WRONGTYPE", key, found]
            if found == b"stream" and name == b"XADD" and rest[0] != b"*" and key not in numbered:
                numbered.add(key)
                stream: Stream = db.data[key.decode()]
                if stream.last[0] >= read_id(rest[0])[0]:
                    return [b"TAKEN", key, rest[0], write_id(stream.last)]
    for command in commands:
        db.run(command)
    db.hset(keys[1], b"seq", args[2], b"digest", args[3])
    return [b"OK", args[2]]


def lease(db: Database, keys: Words, args: Words) -> Any:
    """`server/lease.lua`."""
    for place, expected in enumerate((b"string", b"hash"), 1):
        kind = db.type(keys[place - 1])
        if kind not in (expected, b"none"):
            return [-2, kind, place]
    found = db.get(keys[0])
    if args[0] == b"take":
        off = db.now_ms() - int(args[4])
        if abs(off) > int(args[5]):
            return [-1, b"%d" % off, 0]
        if found is not None and found != args[3]:
            return [0, found, db.pttl(keys[0])]
        last = db.hget(keys[1], b"epoch") or b"0"
        if not re.fullmatch(rb"\d{1,15}", last):
            return [-3, last, 2]
        value = b"%d:%b" % (db.hincrby(keys[1], b"epoch", b"1"), args[1])
        db.set(keys[0], value, b"PX", args[2])
        return [1, value, int(args[2])]
    if found != args[1]:
        return [0, found or b"", 0]
    if args[0] == b"renew":
        db.pexpire(keys[0], args[2])
    else:
        db.unlink(keys[0])
    return [1, found, 0]


def heartbeat(db: Database, keys: Words, args: Words) -> Any:
    """`daemons/heartbeat.lua`."""
    found = db.hget(keys[0], args[0])
    if found is not None:
        name = re.match(rb"(\S+) ", found)
        holder = name[1] if name else b""
        if holder not in (args[1], args[3], b""):
            return [0, found]
    db.hset(keys[0], args[0], args[2])
    for instance, record in zip(args[4::2], args[5::2], strict=True):
        if db.hget(keys[0], instance) == record:
            db.hdel(keys[0], instance)
    return [1, *db.hgetall(keys[0])]


def leave(db: Database, keys: Words, args: Words) -> Any:
    """The script of `Registry.leave`."""
    found = db.hget(keys[0], args[0])
    if found is not None and found.split(b" ")[0] == args[1]:
        return db.hdel(keys[0], args[0])
    return 0


def append_control(db: Database, keys: Words, args: Words) -> Any:
    """`log/append_control.lua`."""
    if db.now_ms() > int(args[0]):
        return b""
    return db.xadd(keys[0], b"*", *args[1:])


def correct_deadline(db: Database, keys: Words, args: Words) -> Any:
    """`partition/deadline_correct.lua`."""
    if (db.get(keys[1]) or b"") != args[1]:
        return 0
    if args[2] == b"":
        return db.zrem(keys[0], args[0])
    return db.zadd(keys[0], b"CH", args[2], args[0])


def owned_write(db: Database, keys: Words, args: Words) -> Any:
    """`partition/owned_write.lua`."""
    if (db.get(keys[0]) or b"") != args[0]:
        return [0, 0]
    at, total = 1, 0
    while at < len(args):
        words = int(args[at])
        reply = db.run(args[at + 1 : at + 1 + words])
        total += reply if isinstance(reply, int) else 0
        at += words + 1
    return [1, total]


def _sha(text: str | bytes) -> str:
    return sha1(text if isinstance(text, bytes) else text.encode(), usedforsecurity=False).hexdigest()


# By SHA-1 of the text.
NAMES: dict[str, str] = {
    commits.SHA: "commit",
    Script("server/lease").sha: "lease",
    Script("daemons/heartbeat").sha: "heartbeat",
    _sha(registry._LEAVE): "leave",
    Script("log/append_control").sha: "append_control",
    Script("partition/deadline_correct").sha: "correct_deadline",
    Script("partition/owned_write").sha: "owned_write",
}


class Scripts:
    """The script cache of a server."""

    def __init__(self) -> None:
        self._loaded: set[str] = set()
        self._shas: dict[bytes, str] = {}

    def flush(self) -> None:
        self._loaded.clear()

    def run(self, db: Database, words: Words) -> tuple[str, Any]:
        """Run EVAL or EVALSHA. Return the script's name and its reply."""
        if words[0].upper() == b"EVAL":
            sha = self._shas.get(words[1]) or self._shas.setdefault(words[1], _sha(words[1]))
            self._loaded.add(sha)
        else:
            sha = words[1].decode()
            if sha not in self._loaded:
                raise Error("NOSCRIPT No matching script.")
        name = NAMES[sha]
        keys = int(words[2])
        port: Port = globals()[name]
        return name, port(db, words[3 : 3 + keys], words[3 + keys :])
