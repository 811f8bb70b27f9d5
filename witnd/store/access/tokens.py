"""API tokens: named, scoped, stored as digests, checked in memory, revoked at once.

A token is `wn_<id>_<secret>`. The secret has 256 random bits, so a plain SHA-256 of it is as good as a slow hash.
Every change increments a revision in the same hash. The cache of tokens is used only while the revision is the same.
"""

import asyncio
import hmac
import math
import secrets
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from hashlib import sha256
from shlex import quote
from typing import Final, cast

import structlog
from msgspec import Struct
from msgspec.structs import replace
from redis.asyncio import Redis

from witnd.domain.values.mistake import Mistake
from witnd.store.access.change_log import Change, encode_change
from witnd.store.errors import Unsafe
from witnd.store.keys import GlobalKeys
from witnd.store.records.json_record import decode_record, encode_record
from witnd.store.server.connection import redis_errors

log = structlog.get_logger()

SCOPES: Final = ("ingest", "read", "billing", "admin")
# The scopes that a scope includes.
_IMPLIED: Final = {"ingest": ("ingest",), "read": ("read",), "billing": ("billing", "read"), "admin": SCOPES}
_REVISION: Final = b"revision"
# How long the cache is used without checking the revision: the longest delay of a revocation by another process.
FRESH_SECONDS: Final = 0.05
# How often the last use of a token is stored.
USED_SECONDS: Final = 10.0
NAME_MAX: Final = 100
# More requests per second than a daemon answers.
RATE_MAX: Final = 1_000_000.0


class Token(Struct, frozen=True, kw_only=True):
    """A stored token. `digest`: SHA-256 of its secret in hex. Instants in ms; `rate` in requests per second."""

    id: str
    name: str
    scopes: tuple[str, ...]
    digest: str
    created_at: int
    revoked_at: int | None = None
    rate: float | None = None

    def has_scope(self, scope: str) -> bool:
        return any(scope in _IMPLIED.get(own, ()) for own in self.scopes)


class DamagedToken(Struct, frozen=True, kw_only=True):
    """A stored token that cannot be read. The API refuses it. `name`: its id in stored form."""

    id: str
    reason: str
    name: bytes

    @property
    def remedy(self) -> str:
        return f"remove it with `witnd tokens revoke {quote(self.id)}`, and create another with `witnd tokens create`"


def mistakes(name: str, scopes: Sequence[str], rate: float | None) -> list[Mistake]:
    """Return all mistakes in a request for a new token."""
    return list(_mistakes(name, scopes, rate))


def _mistakes(name: str, scopes: Sequence[str], rate: float | None) -> Iterator[Mistake]:
    if not name.strip():
        yield Mistake("name", "is empty; say who will use the token")
    elif len(name) > NAME_MAX:
        yield Mistake("name", f"has {len(name)} characters; shorten it to {NAME_MAX}")
    elif not name.isprintable():
        yield Mistake("name", "has characters that cannot be printed; write it on one line, as plain text")
    known = ", ".join(SCOPES)
    if not scopes:
        yield Mistake("scopes", f"is empty; give at least one of {known}")
    for index, scope in enumerate(scopes):
        if scope not in SCOPES:
            yield Mistake(f"scopes[{index}]", f"must be one of {known}, got {scope!r}")
        elif scope in scopes[:index]:
            yield Mistake(f"scopes[{index}]", f"{scope!r} must not be repeated")
    if rate is not None and not (math.isfinite(rate) and 0 < rate <= RATE_MAX):
        yield Mistake("rate", f"must be above 0 and at most {RATE_MAX:.0f} requests per second; omit it for no limit")


class Tokens:
    """The tokens of a deployment, with a cache. `monotonic` returns seconds."""

    def __init__(self, client: Redis, keys: GlobalKeys, monotonic: Callable[[], float]) -> None:
        self._client = client
        self._keys = keys
        self._monotonic = monotonic
        self._known: dict[str, Token] = {}
        self._revision = b""
        self._checked_at = float("-inf")
        self._refreshing: asyncio.Task[None] | None = None
        self._changes = 0  # number of changes by this process
        self._used: dict[str, int] = {}
        self._written: dict[str, float] = {}

    async def check(self, text: str) -> Token | None:
        """Return the token for its text; None if it is unknown, wrong or revoked."""
        start, _, rest = text.partition("_")
        id_, _, secret = rest.partition("_")
        if start != "wn" or not secret or not text.isascii():
            return None
        token = await self.by_id(id_)
        digest = sha256(secret.encode()).hexdigest()
        # Compare in any case, so that the time does not reveal which ids exist.
        is_right = hmac.compare_digest(digest, token.digest if token is not None else "0" * 64)
        return token if is_right else None

    async def by_id(self, id_: str) -> Token | None:
        """Return a token by id, for a caller that has already shown its text; None if it is unknown or revoked."""
        if self._monotonic() - self._checked_at > FRESH_SECONDS:
            await self.refresh()
        token = self._known.get(id_)
        return token if token is not None and token.revoked_at is None else None

    async def refresh(self) -> None:
        """Update the cache. Concurrent callers wait for the same read."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
            self._refreshing.add_done_callback(self._end_refresh)
        # Shielded: a cancelled request must not cancel the read for the others.
        await asyncio.shield(self._refreshing)

    def _end_refresh(self, task: asyncio.Task[None]) -> None:
        if self._refreshing is task:
            self._refreshing = None
        if not task.cancelled():
            task.exception()  # retrieved here, because there may be no waiting caller left

    async def _refresh(self) -> None:
        while True:
            started, changes = self._monotonic(), self._changes
            with redis_errors():
                revision = cast("bytes | None", await self._client.hget(self._keys.tokens, "revision")) or b""
            if revision != self._revision:
                sound, damaged = await self.all()
                for token in damaged:
                    _log_damage(token)
                known = {one.id: one for one in sound}
                if changes == self._changes:
                    self._known, self._revision = known, revision
            # If this process changed tokens meanwhile, the read may be older: read again.
            if changes == self._changes:
                self._checked_at = started
                return

    async def readable(self) -> list[Token]:
        """Return all readable tokens, including revoked ones, oldest first."""
        return (await self.all())[0]

    async def all(self) -> tuple[list[Token], list[DamagedToken]]:
        """Return all readable tokens, including revoked ones, oldest first; and the damaged ones."""
        with redis_errors():
            fields = cast("dict[bytes, bytes]", await self._client.hgetall(self._keys.tokens))
        found: list[Token] = []
        damaged: list[DamagedToken] = []
        for name, raw in fields.items():
            if name == _REVISION:
                continue
            id_ = name.decode(errors="backslashreplace")
            try:
                found.append(decode_record(raw, Token, f"token {id_}"))
            except Unsafe as wrong:
                damaged.append(DamagedToken(id=id_, reason=wrong.reason, name=name))
        return sorted(found, key=lambda token: (token.created_at, token.id)), sorted(damaged, key=lambda one: one.id)

    async def create(
        self,
        name: str,
        scopes: Sequence[str],
        now_ms: int,
        *,
        rate: float | None = None,
        logged: Callable[[Token], Change] | None = None,
    ) -> tuple[Token, str]:
        """Create a token. Return it and its text, which is not stored. `logged` makes its entry of the change log."""
        id_, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        digest = sha256(secret.encode()).hexdigest()
        token = Token(id=id_, name=name, scopes=tuple(scopes), digest=digest, created_at=now_ms, rate=rate)
        await self._write(token, logged)
        return token, f"wn_{id_}_{secret}"

    async def revoke(self, id_: str, now_ms: int, *, logged: Callable[[Token], Change] | None = None) -> Token | None:
        """Revoke a token, at once. Return it, or None if it does not exist."""
        found = next((token for token in await self.readable() if token.id == id_), None)
        if found is None or found.revoked_at is not None:
            return found
        revoked = replace(found, revoked_at=now_ms)
        await self._write(revoked, logged)
        return revoked

    async def remove_damaged(self, damaged: DamagedToken, change: Change) -> None:
        """Remove a damaged token, and append the entry to the change log."""
        with redis_errors():
            async with self._client.pipeline(transaction=True) as writes:
                writes.hdel(self._keys.tokens, damaged.name)
                writes.hincrby(self._keys.tokens, "revision", 1)
                writes.xadd(self._keys.changes, {"data": encode_change(change)})
                await writes.execute()

    async def _write(self, token: Token, logged: Callable[[Token], Change] | None) -> None:
        try:
            with redis_errors():
                async with self._client.pipeline(transaction=True) as writes:
                    writes.hset(self._keys.tokens, token.id, encode_record(token))
                    writes.hincrby(self._keys.tokens, "revision", 1)
                    if logged is not None:
                        writes.xadd(self._keys.changes, {"data": encode_change(logged(token))})
                    await writes.execute()
        finally:
            # Without an answer it may still be written.
            self._changes += 1
            self._checked_at = float("-inf")

    # -- last uses ----------------------------------------------------------------------------------------

    def note_use(self, token: Token, now_ms: int) -> bool:
        """Record a use of a token in memory. Return whether it is time to store it."""
        self._used[token.id] = now_ms
        return self._monotonic() - self._written.get(token.id, float("-inf")) > USED_SECONDS

    async def write_last_uses(self) -> None:
        """Store the recorded uses. If that fails, they are kept for the next call."""
        used, now = self._used, self._monotonic()
        if not used:
            return
        self._used = {}
        self._written |= dict.fromkeys(used, now)
        try:
            with redis_errors():
                await self._client.hset(self._keys.tokens_used, mapping={id_: str(ms) for id_, ms in used.items()})
        except BaseException:
            self._used = used | self._used
            raise

    async def last_uses(self) -> dict[str, int]:
        """Return token id → ms of its last use, which may be some seconds old."""
        with redis_errors():
            raw = cast("dict[bytes, bytes]", await self._client.hgetall(self._keys.tokens_used))
        known = {id_.decode(errors="replace"): int(ms) for id_, ms in raw.items() if ms.isdigit()}
        return known | self._used


@cache  # log each once: tokens are read again every few seconds
def _log_damage(damaged: DamagedToken) -> None:
    log.error("token.unreadable", token=damaged.id, reason=damaged.reason, remedy=damaged.remedy)
