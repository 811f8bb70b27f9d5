"""Execute changing requests once for each `Idempotency-Key`, and repeat their responses for a day.

The same key is the same request only from the same token, with the same method, path and body. A refused request leaves
nothing behind: it may be corrected and sent again with the same key.

An answer may hold a secret that is shown once. It is stored sealed with a key derived from the token of the request,
which Redis does not have, so that nobody can read answers in Redis.
"""

import asyncio
import contextlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Final, TypeAlias

import msgspec
import structlog
from aiohttp import web
from msgspec import Struct

from witnd.app.errors import Refused
from witnd.domain.values import instant
from witnd.store.access.stored_answers import StoredAnswers
from witnd.store.errors import StoreRefused, StoreUnavailable
from witnd.web.errors import ApiError, status_of

REPLAYED: Final = "Idempotency-Replayed"
# A request that takes longer was cut off and will not be answered.
RUNNING_MS: Final = 60_000
# How long a duplicate waits for the answer of the request that runs.
WAIT_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.05
_SALT_BYTES: Final = 16
_TAG_BYTES: Final = 32

log = structlog.get_logger()


class Running(Struct, frozen=True, kw_only=True, tag="running", tag_field="state"):
    """A request that started and has no stored response. `ended`: it is certain that there will be none."""

    v: int = 1
    request: str  # digest of method, path and body
    began_at: int
    ended: bool = False


class FinishedRequest(Struct, frozen=True, kw_only=True, tag="answered", tag_field="state"):
    """`body` is sealed."""

    v: int = 1
    request: str
    status: int
    headers: dict[str, str]
    body: bytes


_Record: TypeAlias = Running | FinishedRequest
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Record).decode


class KeyedRequest(Struct, frozen=True, kw_only=True):
    """A request with a key. `secret`: the text of the token. `repeatable`: repeating it has no further effect."""

    key: str
    token_id: str
    secret: str
    method: str
    target: str
    data: bytes
    repeatable: bool

    @property
    def name(self) -> str:
        path = self.target.partition("?")[0]
        return sha256("\0".join((self.token_id, self.method, path, self.key)).encode(errors="replace")).hexdigest()

    @property
    def digest(self) -> str:
        return sha256(self.target.encode(errors="replace") + b"\0" + self.data).hexdigest()


async def run_once(
    asked: KeyedRequest, answers: StoredAnswers, now_ms: Callable[[], int], act: Callable[[], Awaitable[web.Response]]
) -> web.Response:
    """Return the response of `act`, or of the earlier request with the same key. Raise CONFLICT if the key was used for
    other content, that request is still running, or its result is unknown."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + WAIT_SECONDS
    marker = _encode(Running(request=asked.digest, began_at=now_ms()))
    while (raw := await answers.begin(asked.name, marker)) is not None:
        found = _decode(raw)
        if found.request != asked.digest:
            raise ApiError(
                "CONFLICT", f"Idempotency-Key {asked.key!r} was used for another request; choose another key"
            )
        if isinstance(found, FinishedRequest):
            return _replay(found, asked)
        if found.ended or now_ms() - found.began_at > RUNNING_MS:
            if asked.repeatable:
                break
            raise _unknown(found)
        if loop.time() > deadline:
            raise ApiError(
                "CONFLICT",
                "a request with this Idempotency-Key is still running; retry later",
                headers={"Retry-After": "5"},
            )
        await asyncio.sleep(_POLL_SECONDS)
    return await _act(asked, answers, act, msgspec.structs.replace(_running(marker), ended=True))


async def _act(
    asked: KeyedRequest, answers: StoredAnswers, act: Callable[[], Awaitable[web.Response]], lost: Running
) -> web.Response:
    try:
        response = await act()
    except (Refused, StoreRefused) as refused:
        if isinstance(refused, StoreRefused) or status_of(refused) < 500:
            await _note(answers.forget(asked.name))  # nothing was done
        else:
            await _note(answers.finish(asked.name, _encode(lost)))
        raise
    except Exception:
        await _note(answers.finish(asked.name, _encode(lost)))
        raise
    body = response.body if isinstance(response.body, bytes) else b""
    answer = FinishedRequest(
        request=lost.request,
        status=response.status,
        headers=dict(response.headers),
        body=seal(asked.secret, body),
    )
    await _note(answers.finish(asked.name, _encode(answer)))
    return response


async def _note(write: Awaitable[None]) -> None:
    # The marker stays then: the next request of this key is refused rather than carried out again.
    with contextlib.suppress(StoreUnavailable, StoreRefused):
        await write


def _running(marker: bytes) -> Running:
    found = _decode(marker)
    assert isinstance(found, Running)
    return found


def _replay(found: FinishedRequest, asked: KeyedRequest) -> web.Response:
    body = unseal(asked.secret, found.body)
    if body is None:
        raise ApiError("CONFLICT", "the stored response for this Idempotency-Key is damaged; use another key")
    headers: Mapping[str, str] = {**found.headers, REPLAYED: "true"}
    return web.Response(body=body, status=found.status, headers=headers)


def _unknown(found: Running) -> Refused:
    return ApiError(
        "CONFLICT",
        f"a request with this Idempotency-Key began at {instant.render(found.began_at)} and its response was lost; "
        "check whether it was executed, and if not, send it with another key",
    )


def seal(secret: str, text: bytes) -> bytes:
    """Salt, tag and text, encrypted with HMAC-SHA-256 as a stream cipher. The salt is used once."""
    salt = secrets.token_bytes(_SALT_BYTES)
    hidden = _mask(secret, salt, text)
    return salt + _tag(secret, salt, hidden) + hidden


def unseal(secret: str, sealed: bytes) -> bytes | None:
    """Return the text; None if the secret differs or the text was changed."""
    salt, tag, hidden = (
        sealed[:_SALT_BYTES],
        sealed[_SALT_BYTES : _SALT_BYTES + _TAG_BYTES],
        sealed[_SALT_BYTES + _TAG_BYTES :],
    )
    return _mask(secret, salt, hidden) if hmac.compare_digest(tag, _tag(secret, salt, hidden)) else None


def _mask(secret: str, salt: bytes, text: bytes) -> bytes:
    key = hmac.digest(secret.encode(), b"witnd answer mask" + salt, "sha256")
    blocks = range(-(-len(text) // 32))
    mask = b"".join(hmac.digest(key, number.to_bytes(8), "sha256") for number in blocks)[: len(text)]
    return (int.from_bytes(text) ^ int.from_bytes(mask)).to_bytes(len(text))


def _tag(secret: str, salt: bytes, hidden: bytes) -> bytes:
    key = hmac.digest(secret.encode(), b"witnd answer tag" + salt, "sha256")
    return hmac.digest(key, hidden, "sha256")
