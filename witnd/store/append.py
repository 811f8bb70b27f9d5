"""Appending entries to the logs, and knowing afterwards whether they are there.

Whoever appends has checked the event with `witnd.domain.event.read`: what stands in a log stays.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import hiredis

from witnd.settings import Durability
from witnd.store.connection import refusal
from witnd.store.errors import StoreRefused, StoreUnavailable, Unsafe
from witnd.store.wire import Wire

ANSWER_SECONDS: Final = 10.0
# A disk that needs longer for one sync, or a replica for one entry, has a problem of its own.
CONFIRM_MS: Final = 5_000


class Appended(NamedTuple):
    """What became of one entry: its id, or why it is certainly not in the log."""

    id: str | None
    refused: StoreRefused | None


async def append(
    connection: Wire,
    entries: Sequence[tuple[str, Sequence[str | bytes]]],
    durability: Durability = Durability("server"),  # noqa: B008 - an immutable value
) -> list[Appended]:
    """Append (stream, fields) in order and wait until that is as safe as `durability` asks.

    Raises `StoreUnavailable` where it is unknown which of them were written: each may be repeated
    with the idempotency key it has.
    """
    commands: list[Sequence[str | bytes | int]] = [("XADD", stream, "*", *fields) for stream, fields in entries]
    confirm = await _confirmation(connection, durability)
    replies = await connection.wait(connection.send([*commands, *([confirm] if confirm else [])]), ANSWER_SECONDS)
    answers = [_appended(reply) for reply in replies[: len(entries)]]
    if confirm and any(answer.id for answer in answers):
        _confirmed(replies[-1], durability)
    return answers


async def _confirmation(connection: Wire, durability: Durability) -> tuple[str | int, ...] | None:
    if durability.mode == "replica":
        return ("WAIT", durability.replicas, CONFIRM_MS)
    if durability.mode != "fsync":
        return None
    asked = connection.send([("CONFIG", "GET", "appendfsync")])
    setting = (await connection.wait(asked, ANSWER_SECONDS))[0]
    if isinstance(setting, list) and setting[1:] == [b"always"]:
        return None
    return ("WAITAOF", 1, 0, CONFIRM_MS)


def _confirmed(reply: Any, durability: Durability) -> None:
    if isinstance(reply, hiredis.ReplyError):
        raise Unsafe(
            f'redis.durability is "{durability}", and this server cannot promise it ({reply})',
            "set `appendfsync always` on the server, use a newer one, or choose another durability",
        )
    if durability.mode == "fsync" and reply[0] < 1:
        raise StoreUnavailable(f"written, but not on disk within {CONFIRM_MS // 1000} s")
    if durability.mode == "replica" and reply < durability.replicas:
        raise StoreUnavailable(
            f"written, but only {reply} of {durability.replicas} replicas have it after {CONFIRM_MS // 1000} s"
        )


def _appended(reply: Any) -> Appended:
    if not isinstance(reply, hiredis.ReplyError):
        return Appended(reply.decode(), None)
    text = str(reply)
    other = StoreRefused(f"Redis refused the entry: {text}", "look at its log and memory")
    return Appended(None, refusal(text) or other)
