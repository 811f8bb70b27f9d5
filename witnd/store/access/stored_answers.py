"""Stores answers to requests with an `Idempotency-Key` for a day, so that the requests can be repeated.

A marker is written before a request is executed, and replaced by its answer afterwards. A marker that stays shows that
the daemon ended in between: it is then unknown whether the request was executed.
"""

from typing import Final, cast

from redis.asyncio import Redis

from witnd.store.keys import GlobalKeys
from witnd.store.server.connection import redis_errors

# As long as hosted payment services store theirs, and longer than any sensible retry.
KEPT_SECONDS: Final = 24 * 3600


class StoredAnswers:
    """Stored answers. `name` is a digest of the token, the request and its key."""

    def __init__(self, client: Redis, keys: GlobalKeys) -> None:
        self._client = client
        self._keys = keys

    async def begin(self, name: str, marker: bytes) -> bytes | None:
        """Write the marker. Return None, or the record that already exists."""
        key = self._keys.answer(name)
        with redis_errors():
            while True:
                if await self._client.set(key, marker, nx=True, ex=KEPT_SECONDS):
                    return None
                # A record that expires between the two calls no longer counts.
                if (record := cast("bytes | None", await self._client.get(key))) is not None:
                    return record

    async def finish(self, name: str, answer: bytes) -> None:
        """Replace the marker with the answer."""
        with redis_errors():
            await self._client.set(self._keys.answer(name), answer, ex=KEPT_SECONDS)

    async def forget(self, name: str) -> None:
        """Remove the marker of a refused request, which changed nothing."""
        with redis_errors():
            await self._client.delete(self._keys.answer(name))
