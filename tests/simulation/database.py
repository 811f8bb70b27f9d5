"""The data of the store model: the Redis commands that a daemon uses, on dictionaries.

Keys are text. Values, members and fields are bytes, as a server has them.
"""

from collections.abc import Callable
from typing import Any

Id = tuple[int, int]
Words = list[bytes]


class Error(Exception):
    """An error reply."""


class Stream:
    """A stream: its entries, the last id ever used, and how many entries it ever had."""

    def __init__(self) -> None:
        self.entries: list[tuple[Id, Words]] = []
        self.last: Id = (0, 0)
        self.added = 0


def read_id(text: bytes) -> Id:
    ms, _, seq = text.partition(b"-")
    return int(ms), int(seq or 0)


def write_id(entry: Id) -> bytes:
    return b"%d-%d" % entry


class Database:
    """All keys. `now_ms` is the server's clock, which sets the ids of entries and the end of keys that expire."""

    TYPES = {bytes: b"string", list: b"list", dict: b"hash", set: b"set", Stream: b"stream"}

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self.data: dict[str, Any] = {}
        self.zsets: dict[str, dict[bytes, int]] = {}
        self.expires: dict[str, int] = {}

    def run(self, words: Words) -> Any:
        """Run a command and return its reply. Raises `Error`."""
        command = getattr(self, words[0].decode().lower(), None)
        if command is None:
            raise Error(f"ERR unknown command '{words[0].decode()}'")
        return command(*words[1:])

    def _get(self, key: bytes, kind: type, default: Any = None) -> Any:
        name = key.decode()
        if self.expires and self.expires.get(name, 1 << 62) <= self.now_ms():
            self.data.pop(name, None)
            del self.expires[name]
        found = self.data.get(name, default)
        if (found is not default and type(found) is not kind) or name in self.zsets:
            raise Error("WRONGTYPE Operation against a key holding the wrong kind of value")
        return found

    def _make(self, key: bytes, kind: type) -> Any:
        found = self._get(key, kind)
        if found is None:
            found = self.data[key.decode()] = kind()
        return found

    # -- any key -----------------------------------------------------------------------------------------------------

    def type(self, key: bytes) -> bytes:
        name = key.decode()
        if name in self.zsets:
            return b"zset"
        if self.expires.get(name, 1 << 62) <= self.now_ms():
            return b"none"
        found = self.data.get(name)
        return b"none" if found is None else self.TYPES[type(found)]

    def exists(self, *keys: bytes) -> int:
        return sum(self.type(key) != b"none" for key in keys)

    def unlink(self, *keys: bytes) -> int:
        existing = self.exists(*keys)
        for key in keys:
            name = key.decode()
            self.data.pop(name, None)
            self.zsets.pop(name, None)
            self.expires.pop(name, None)
        return existing

    delete = unlink

    def time(self) -> Words:
        now = self.now_ms()
        return [b"%d" % (now // 1000), b"%d" % (now % 1000 * 1000)]

    def ping(self) -> bytes:
        return b"PONG"

    def client(self, *_: bytes) -> bytes:
        return b"OK"

    def info(self) -> bytes:
        return b"redis_version:7.2.4\r\nredis_mode:standalone\r\nrole:master\r\nloading:0\r\naof_enabled:1\r\n"

    def config(self, _: bytes, name: bytes) -> Words:
        return [name, b"no"]

    # -- strings -----------------------------------------------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        return self._get(key, bytes)

    def set(self, key: bytes, value: bytes, *options: bytes) -> bytes:
        name = key.decode()
        self.unlink(key)
        self.data[name] = value
        if options:
            self.expires[name] = self.now_ms() + int(options[1])
        return b"OK"

    def mget(self, *keys: bytes) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def mset(self, *pairs: bytes) -> bytes:
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            self.set(key, value)
        return b"OK"

    def pttl(self, key: bytes) -> int:
        if self.get(key) is None:
            return -2
        return self.expires[name] - self.now_ms() if (name := key.decode()) in self.expires else -1

    def pexpire(self, key: bytes, ms: bytes) -> int:
        self.expires[key.decode()] = self.now_ms() + int(ms)
        return 1

    # -- lists, sets and hashes --------------------------------------------------------------------------------------

    def rpush(self, key: bytes, *items: bytes) -> int:
        found = self._make(key, list)
        found.extend(items)
        return len(found)

    def llen(self, key: bytes) -> int:
        return len(self._get(key, list, ()))

    def lrange(self, key: bytes, start: bytes, stop: bytes) -> Words:
        items = list(self._get(key, list, ()))
        first, last = (int(end) + (len(items) if int(end) < 0 else 0) for end in (start, stop))
        return items[first : last + 1]

    def sadd(self, key: bytes, *members: bytes) -> int:
        found = self._make(key, set)
        before = len(found)
        found.update(members)
        return len(found) - before

    def hset(self, key: bytes, *pairs: bytes) -> int:
        found = self._make(key, dict)
        before = len(found)
        found.update(zip(pairs[::2], pairs[1::2], strict=True))
        return len(found) - before

    def hdel(self, key: bytes, *fields: bytes) -> int:
        found = self._get(key, dict, {})
        removed = sum(found.pop(field, None) is not None for field in fields)
        if not found:
            self.data.pop(key.decode(), None)
        return removed

    def hget(self, key: bytes, field: bytes) -> bytes | None:
        return self._get(key, dict, {}).get(field)

    def hmget(self, key: bytes, *fields: bytes) -> list[bytes | None]:
        found = self._get(key, dict, {})
        return [found.get(field) for field in fields]

    def hgetall(self, key: bytes) -> Words:
        return [word for pair in self._get(key, dict, {}).items() for word in pair]

    def hincrby(self, key: bytes, field: bytes, count: bytes) -> int:
        found = self._make(key, dict)
        found[field] = b"%d" % (int(found.get(field, 0)) + int(count))
        return int(found[field])

    # -- sorted sets -------------------------------------------------------------------------------------------------

    def _zset(self, key: bytes) -> dict[bytes, int]:
        if key.decode() in self.data:
            raise Error("WRONGTYPE Operation against a key holding the wrong kind of value")
        return self.zsets.get(key.decode(), {})

    def zadd(self, key: bytes, *words: bytes) -> int:
        changes = words[0] == b"CH"
        pairs = words[1:] if changes else words
        self._zset(key)
        found = self.zsets.setdefault(key.decode(), {})
        count = 0
        for score, member in zip(pairs[::2], pairs[1::2], strict=True):
            count += (found.get(member) != int(score)) if changes else (member not in found)
            found[member] = int(score)
        return count

    def zrem(self, key: bytes, *members: bytes) -> int:
        found = self._zset(key)
        removed = sum(found.pop(member, None) is not None for member in members)
        if not found:
            self.zsets.pop(key.decode(), None)
        return removed

    def zcard(self, key: bytes) -> int:
        return len(self._zset(key))

    def zscore(self, key: bytes, member: bytes) -> bytes | None:
        score = self._zset(key).get(member)
        return None if score is None else b"%d" % score

    def zmscore(self, key: bytes, *members: bytes) -> list[bytes | None]:
        return [self.zscore(key, member) for member in members]

    def zscan(self, key: bytes, *_: bytes) -> list[Any]:
        return [b"0", [word for member, score in self._zset(key).items() for word in (member, b"%d" % score)]]

    def zrangebyscore(self, key: bytes, above: bytes, until: bytes, *options: bytes) -> Words:
        assert above.startswith(b"(")
        low, high, most = int(above[1:]), int(until), int(options[-1])
        found = sorted((score, member) for member, score in self._zset(key).items() if low < score <= high)
        return [word for score, member in found[:most] for word in (member, b"%d" % score)]

    # -- streams -----------------------------------------------------------------------------------------------------

    def xadd(self, key: bytes, entry: bytes, *fields: bytes) -> bytes:
        stream: Stream = self._get(key, Stream) or Stream()
        last = stream.last
        if entry == b"*":
            id_ = max((self.now_ms(), 0), (last[0], last[1] + 1))
        else:
            id_ = read_id(entry)
            if id_ <= last:
                raise Error("ERR The ID specified in XADD is equal or smaller than the target stream top item")
        self.data[key.decode()] = stream
        stream.entries.append((id_, list(fields)))
        stream.last, stream.added = id_, stream.added + 1
        return write_id(id_)

    def xinfo(self, _: bytes, key: bytes) -> list[Any]:
        stream = self._get(key, Stream)
        if stream is None:
            raise Error("ERR no such key")
        first = stream.entries[0][0] if stream.entries else (0, 0)
        return [
            *(b"length", len(stream.entries), b"last-generated-id", write_id(stream.last)),
            *(b"max-deleted-entry-id", b"0-0", b"entries-added", stream.added),
            *(b"recorded-first-entry-id", write_id(first)),
        ]

    def entries_after(self, key: bytes, after: Id, most: int) -> list[list[Any]]:
        stream: Stream | None = self._get(key, Stream)
        if stream is None or stream.last <= after:
            return []
        return [[write_id(id_), fields] for id_, fields in stream.entries if id_ > after][:most]
