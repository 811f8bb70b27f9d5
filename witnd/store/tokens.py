"""API tokens: named, scoped, stored as digests, checked in memory, revoked at once.

A token is `wn_<id>_<secret>`. The secret has 256 random bits, so a plain SHA-256 of it is as good as a slow hash.
Every change moves a revision in the same hash; who checks tokens compares it before trusting what it remembers.
"""

import hmac
import secrets
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final, cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from redis.asyncio import Redis

from witnd.store.connection import mapped
from witnd.store.keys import GlobalKeys

SCOPES: Final = ("ingest", "read", "admin")
# What a scope may do besides its own: whoever administrates may do everything.
_IMPLIED: Final = {"ingest": ("ingest",), "read": ("read",), "admin": SCOPES}
_REVISION: Final = b"revision"
# How long what is remembered is trusted without asking: the most a revocation elsewhere takes to be noticed.
FRESH_SECONDS: Final = 0.05
# How long the uses of tokens are collected before they are written.
USED_SECONDS: Final = 10.0


class Token(Struct, frozen=True, kw_only=True):
    """What is kept of a token. `digest`: SHA-256 of its secret in hex. Instants in ms; `rate` in requests a second."""

    id: str
    name: str
    scopes: tuple[str, ...]
    digest: str
    created_at: int
    revoked_at: int | None = None
    rate: float | None = None

    def may(self, scope: str) -> bool:
        return any(scope in _IMPLIED[own] for own in self.scopes)


class Tokens:
    """`monotonic` in seconds."""

    def __init__(self, client: Redis, keys: GlobalKeys, monotonic: Callable[[], float]) -> None:
        self._client = client
        self._keys = keys
        self._monotonic = monotonic
        self._known: dict[str, Token] = {}
        self._revision = b""
        self._asked = float("-inf")
        self._used: dict[str, int] = {}
        self._written = monotonic()

    async def check(self, text: str) -> Token | None:
        """The token of this text; None for one that is unknown, wrong or revoked."""
        start, _, rest = text.partition("_")
        id_, _, secret = rest.partition("_")
        if start != "wn" or not secret or not text.isascii():
            return None
        if self._monotonic() - self._asked > FRESH_SECONDS:
            await self.refresh()
        token = self._known.get(id_)
        digest = sha256(secret.encode()).hexdigest()
        # Compared in any case, so that the time it takes tells nothing about which ids there are.
        right = hmac.compare_digest(digest, token.digest if token is not None else "0" * 64)
        return token if right and token is not None and token.revoked_at is None else None

    async def refresh(self) -> None:
        """Learn of changes that others made."""
        asked = self._monotonic()
        with mapped():
            revision = cast("bytes | None", await self._client.hget(self._keys.tokens, "revision")) or b""
            if revision != self._revision:
                self._known = {token.id: token for token in await self.listed()}
                self._revision = revision
        self._asked = asked

    async def listed(self) -> list[Token]:
        """All tokens, revoked ones too, oldest first."""
        with mapped():
            fields = cast("dict[bytes, bytes]", await self._client.hgetall(self._keys.tokens))
        found = [msgspec.json.decode(raw, type=Token) for name, raw in fields.items() if name != _REVISION]
        return sorted(found, key=lambda token: (token.created_at, token.id))

    async def create(
        self, name: str, scopes: Sequence[str], now_ms: int, *, rate: float | None = None
    ) -> tuple[Token, str]:
        """A new token and its text, which cannot be had again."""
        id_, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        digest = sha256(secret.encode()).hexdigest()
        token = Token(id=id_, name=name, scopes=tuple(scopes), digest=digest, created_at=now_ms, rate=rate)
        await self._write(token)
        return token, f"wn_{id_}_{secret}"

    async def revoke(self, id_: str, now_ms: int) -> Token | None:
        """Make a token worth nothing, at once; None where there is none."""
        found = next((token for token in await self.listed() if token.id == id_), None)
        if found is None or found.revoked_at is not None:
            return found
        revoked = replace(found, revoked_at=now_ms)
        await self._write(revoked)
        return revoked

    async def _write(self, token: Token) -> None:
        with mapped():
            async with self._client.pipeline(transaction=True) as writes:
                writes.hset(self._keys.tokens, token.id, msgspec.json.encode(token))
                writes.hincrby(self._keys.tokens, "revision", 1)
                await writes.execute()
        self._asked = float("-inf")

    # -- when they were used ----------------------------------------------------------------------------------------

    def note(self, token: Token, now_ms: int) -> bool:
        """Remember that a token was used. Whether it is time to write that down."""
        self._used[token.id] = now_ms
        return self._monotonic() - self._written > USED_SECONDS

    async def write_used(self) -> None:
        used, self._used = self._used, {}
        self._written = self._monotonic()
        if used:
            with mapped():
                await self._client.hset(self._keys.tokens_used, mapping={id_: str(ms) for id_, ms in used.items()})

    async def used(self) -> dict[str, int]:
        """Token id → ms when it was last used, a few seconds behind."""
        with mapped():
            raw = cast("dict[bytes, bytes]", await self._client.hgetall(self._keys.tokens_used))
        return {id_.decode(): int(ms) for id_, ms in raw.items()} | self._used
