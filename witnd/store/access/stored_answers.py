"""Stored answers to requests with an `Idempotency-Key`, for a day, so that they can be repeated.

A marker is written before a request is carried out and replaced by its answer afterwards. A marker that stays shows
that the daemon ended between the two: whether the request was carried out is then unknown, and must not be guessed.
"""

from typing import Final, cast

from redis.asyncio import Redis

from witnd.store.keys import GlobalKeys
from witnd.store.server.connection import redis_errors

# As long as the hosted payment services repeat theirs: longer than any sensible retry.
KEPT_SECONDS: Final = 24 * 3600


class StoredAnswers:
    """`name` is a digest of who asks for what by which key."""

    def __init__(self, client: Redis, keys: GlobalKeys) -> None:
        self._client = client
        self._keys = keys

    async def begin(self, name: str, marker: bytes) -> bytes | None:
        """Write the marker. Answers None if that was done, else the record that is there already."""
        key = self._keys.answer(name)
        with redis_errors():
            while True:
                if await self._client.set(key, marker, nx=True, ex=KEPT_SECONDS):
                    return None
                # One that expires between the two calls is no record any more.
                if (record := cast("bytes | None", await self._client.get(key))) is not None:
                    return record

    async def finish(self, name: str, answer: bytes) -> None:
        """Put the answer, or what is known of it, in the place of the marker."""
        with redis_errors():
            await self._client.set(self._keys.answer(name), answer, ex=KEPT_SECONDS)

    async def forget(self, name: str) -> None:
        """Remove the marker of a request that was refused: nothing was done."""
        with redis_errors():
            await self._client.delete(self._keys.answer(name))
