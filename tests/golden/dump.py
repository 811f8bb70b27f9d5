"""A whole database as plain commands, which any server of any version can be filled from."""

from typing import Any

import redis

Commands = list[list[str]]


def text(raw: bytes) -> str:
    return raw.decode("latin-1")


def dump(client: redis.Redis) -> Commands:
    """Every key but leases and sessions, which end with the processes that hold them."""
    names = [name for name in sorted(client.keys("*")) if not name.endswith(b":owner") and b":session:" not in name]
    return [command for name in names for command in _key(client, name)]


def load(client: redis.Redis, commands: Commands) -> None:
    for command in commands:
        client.execute_command(*[word.encode("latin-1") for word in command])


def _key(client: Any, name: bytes) -> Commands:
    key = text(name)
    match client.type(name):
        case b"string":
            return [["SET", key, text(client.get(name))]]
        case b"list":
            return [["RPUSH", key, *map(text, client.lrange(name, 0, -1))]]
        case b"set":
            return [["SADD", key, *map(text, sorted(client.smembers(name)))]]
        case b"hash":
            return [["HSET", key, *[text(word) for pair in sorted(client.hgetall(name).items()) for word in pair]]]
        case b"zset":
            members = client.zrange(name, 0, -1, withscores=True)
            return [["ZADD", key, *[word for member, score in members for word in (f"{score:.0f}", text(member))]]]
        case b"stream":
            found = [
                ["XADD", key, text(id_), *[text(word) for pair in fields.items() for word in pair]]
                for id_, fields in client.xrange(name)
            ]
            info = client.xinfo_stream(name)
            last, added = text(info["last-generated-id"]), str(info["entries-added"])
            return [
                *found,
                ["XSETID", key, last, "ENTRIESADDED", added, "MAXDELETEDID", text(info["max-deleted-entry-id"])],
            ]
        case other:
            raise AssertionError(f"{key} is a {other!r}, which has no form here")
