"""The daemons of a deployment: each records its heartbeat and its partitions in one hash of the shared slot.

Only the lease decides who owns a partition. The registry decides who should take it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, cast

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from witnd.store.keys import GlobalKeys
from witnd.store.server.connection import redis_errors
from witnd.store.server.lease import process_nonce
from witnd.store.server.scripts import Script

_HEARTBEAT: Final = Script("daemons/heartbeat")
_LEAVE: Final = """
local found = redis.call('HGET', KEYS[1], ARGV[1])
if found and string.match(found, '^(%S+) ') == ARGV[2] then
  return redis.call('HDEL', KEYS[1], ARGV[1])
end
return 0
"""
_RECORD: Final = re.compile(rb"(\S+) (.*)", re.DOTALL)


class Daemon(Struct, frozen=True, kw_only=True):
    """A daemon. `beat` grows with each heartbeat, `partitions` are those whose lease it has, and `leaving` means that
    it is about to release them."""

    v: int = 1
    beat: int
    partitions: dict[int, int]  # → epoch of its lease
    leaving: bool = False
    nonce: str = ""  # of the process; stored in front of the JSON


class Registry:
    """The record of this process among all daemons."""

    def __init__(self, client: Redis, keys: GlobalKeys, instance: str) -> None:
        self.instance = instance
        self.nonce = process_nonce()
        self._client = client
        self._keys = keys
        self._beat = 0
        self._raw: Mapping[str, bytes] = {}

    async def heartbeat(
        self, partitions: Mapping[int, int], *, leaving: bool = False, replace: str = "", ended: Iterable[str] = ()
    ) -> dict[str, Daemon] | Daemon:
        """Record a heartbeat and return all daemons by instance, or only the other process that has this instance name.

        `replace`: nonce of a process with this name that has ended. `ended`: instances whose daemons have ended; each
        is removed if its record is the one that the last call returned.
        """
        self._beat += 1
        mine = Daemon(beat=self._beat, partitions=dict(partitions), leaving=leaving)
        record = self.nonce.encode() + b" " + msgspec.json.encode(mine)
        words: list[str | bytes | int] = [self.instance, self.nonce, record, replace]
        for name in ended:
            if name in self._raw:
                words += [name, self._raw[name]]
        with redis_errors():
            answer = await _HEARTBEAT.run(self._client, [self._keys.daemons], words)
        is_written, *rest = cast("tuple[int, *tuple[bytes, ...]]", answer)
        if not is_written:
            return _decode(rest[0]) or Daemon(beat=0, partitions={})
        self._raw = {name.decode(errors="replace"): raw for name, raw in zip(rest[::2], rest[1::2], strict=True)}
        found = {name: _decode(raw) for name, raw in self._raw.items()}
        return {name: daemon for name, daemon in found.items() if daemon is not None}

    async def leave(self) -> None:
        """Remove the record of this process."""
        with redis_errors():
            await cast("object", self._client.eval(_LEAVE, 1, self._keys.daemons, self.instance, self.nonce))  # type: ignore[misc]


def _decode(raw: bytes) -> Daemon | None:
    """Return the daemon in a record, or None if another program wrote it."""
    found = _RECORD.fullmatch(raw)
    try:
        return (
            None
            if found is None
            else msgspec.structs.replace(msgspec.json.decode(found[2], type=Daemon), nonce=found[1].decode())
        )
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
