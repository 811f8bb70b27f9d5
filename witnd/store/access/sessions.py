"""Sessions of the dashboard: one for each signed-in browser, with its token.

The browser has a random id; Redis has only its digest. A session ends after a time, at sign-out, and with its token.
"""

import secrets
from hashlib import sha256
from typing import Final, cast

from msgspec import Struct
from redis.asyncio import Redis

from witnd.store.errors import Unsafe
from witnd.store.keys import GlobalKeys
from witnd.store.records.json_record import decode_record, encode_record
from witnd.store.server.connection import redis_errors

# A working day: people sign in again the next morning.
LENGTH_SECONDS: Final = 12 * 3600


class Session(Struct, frozen=True, kw_only=True):
    """A session. Each of its forms contains `form_key`, which a page of another site cannot know."""

    token_id: str
    form_key: str


class Sessions:
    def __init__(self, client: Redis, keys: GlobalKeys) -> None:
        self._client = client
        self._keys = keys

    async def begin(self, token_id: str) -> tuple[str, Session]:
        """Create a session. Return the id for the browser, and the session."""
        id_ = secrets.token_urlsafe(32)
        session = Session(token_id=token_id, form_key=secrets.token_urlsafe(16))
        with redis_errors():
            await self._client.set(self._name(id_), encode_record(session), ex=LENGTH_SECONDS)
        return id_, session

    async def find(self, id_: str) -> Session | None:
        with redis_errors():
            raw = cast("bytes | None", await self._client.get(self._name(id_)))
        if raw is None:
            return None
        try:
            return decode_record(raw, Session, "a session of the dashboard")
        except Unsafe:
            # From a newer version, or damaged: the user must sign in again.
            return None

    async def end(self, id_: str) -> None:
        with redis_errors():
            await self._client.delete(self._name(id_))

    def _name(self, id_: str) -> str:
        return self._keys.session(sha256(id_.encode()).hexdigest())
