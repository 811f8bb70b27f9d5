"""Requests to the owner of a partition to look at a key again: control entries of the log from outside the daemon.

The id of an entry is the server's time. While the owner sees that the server's clock jumped ahead, or this host's clock
is more than a minute behind it, nothing is appended: a wrong time would get into the log.
"""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from witnd.store.clock.record import JUMP, decode_jump
from witnd.store.clock.watch import clock_jump
from witnd.store.errors import StoreRefused
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.log.ahead import AHEAD_MAX_MS
from witnd.store.log.reader import append_control
from witnd.store.server.connection import redis_errors


class RetryRequests:
    """`host_ms`: this host's clock. Raises `StoreRefused` with nothing appended while the server's clock is ahead. A
    request may be repeated while it is unknown whether it was appended."""

    def __init__(self, client: Redis, shared: GlobalKeys, host_ms: int) -> None:
        self._client = client
        self._shared = shared
        self._latest_ms = host_ms + AHEAD_MAX_MS

    async def append(self, requests: Sequence[tuple[Keys, str]]) -> list[str]:
        """Append a request for each key, and return the ids of the entries."""
        await self.check_clock([keys for keys, _ in requests])
        with redis_errors():
            async with self._client.pipeline(transaction=False) as writes:
                for keys, key in requests:
                    writes.execute_command(*self._command(keys, key))
                return [self._id(answer) for answer in await writes.execute()]

    async def append_with(self, keys: Keys, key: str, *command: Any) -> str:
        """Append a request together with a write that it is about, and return the id of the entry."""
        await self.check_clock([keys])
        with redis_errors():
            async with self._client.pipeline(transaction=True) as writes:
                writes.execute_command(*command)
                writes.execute_command(*self._command(keys, key))
                *_, answer = await writes.execute()
        return self._id(answer)

    async def check_clock(self, partitions: Sequence[Keys]) -> None:
        """Raise `StoreRefused` while the server's clock is ahead, as far as this host or an owner can tell."""
        owners = sorted({keys.owner for keys in partitions})
        with redis_errors():
            async with self._client.pipeline(transaction=False) as reads:
                reads.time()
                reads.hgetall(self._shared.clock)
                for key in owners:
                    reads.get(key)
                time, jumps, *holders = await reads.execute()
        if time[0] * 1000 + time[1] // 1000 > self._latest_ms:
            raise self._refusal()
        # A daemon that ended may have left its jump behind, so only those count that own a partition now.
        instances = {holder.rpartition(b":")[2] for holder in holders if holder is not None}
        for instance in instances:
            name = JUMP.encode() + instance
            jump_ms = decode_jump(self._shared, name, jumps.get(name, b"0"))
            if jump_ms > 0:
                problem = clock_jump(jump_ms)
                raise StoreRefused(problem.reason, problem.remedy)

    def _command(self, keys: Keys, key: str) -> tuple[str | bytes | int, ...]:
        return append_control(keys.events, self._latest_ms, "witnd", "retry", "key", key)

    def _id(self, answer: bytes) -> str:
        if not answer:
            raise self._refusal()
        return answer.decode()

    def _refusal(self) -> StoreRefused:
        return StoreRefused(
            f"the clock of the Redis server is more than {AHEAD_MAX_MS // 1000} s ahead of this host's",
            "correct the clock that is wrong, then repeat the request",
        )
