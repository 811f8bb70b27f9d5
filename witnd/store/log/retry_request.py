"""Appends `retry` entries to a log, which make the owner of the partition check a key again.

The id of an entry is the server's time. If the owner reports that the server's clock jumped ahead, or this host's clock
is more than a minute behind it, nothing is appended, because a wrong time would get into the log.
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
    """Appends requests. `host_ms` is this host's clock. Raises `StoreRefused`, with nothing appended, while the
    server's clock is ahead. After `StoreUnavailable` a request may be repeated."""

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
        """Append a request in one transaction with the write it depends on. Return the id of the entry."""
        await self.check_clock([keys])
        with redis_errors():
            async with self._client.pipeline(transaction=True) as writes:
                writes.execute_command(*command)
                writes.execute_command(*self._command(keys, key))
                *_, answer = await writes.execute()
        return self._id(answer)

    async def check_clock(self, partitions: Sequence[Keys]) -> None:
        """Raise `StoreRefused` while the server's clock is ahead of this host's, or of what an owner expects."""
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
        # An ended daemon may have left its jump, so only current owners count.
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
            "correct the wrong clock, then retry",
        )
