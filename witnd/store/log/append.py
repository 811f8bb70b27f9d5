"""Appends entries to the logs and confirms their durability.

Check an event with `witnd.domain.outcomes.event.read` before you append it: an entry cannot be removed from a log.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import hiredis

from witnd.settings import Durability
from witnd.store.errors import StoreRefused, StoreUnavailable
from witnd.store.server.connection import refusal
from witnd.store.server.safety import OTHER_DURABILITY
from witnd.store.server.wire import Wire, check_replies

ANSWER_SECONDS: Final = 10.0
# A disk or replica that needs longer for one write has a problem.
CONFIRM_MS: Final = 5_000
# Replicas in sync answer at once.
PROBE_MS: Final = 1_000


class AppendResult(NamedTuple):
    """The id of an appended entry, or why it is certainly not in the log."""

    id: str | None
    refused: StoreRefused | None


class Promise(NamedTuple):
    """A durability that the server provides. `confirm` is the command that waits for it, None if none is needed.

    `lasts`: each confirmation shows if the server stops providing it, so it need not be checked again.
    """

    durability: Durability
    confirm: tuple[str | int, ...] | None = None
    lasts: bool = True


# The reply to the write is enough.
SERVER: Final = Promise(Durability("server"))


async def promise(connection: Wire, durability: Durability) -> Promise:
    """Check that the server provides `durability` now. Raises `StoreRefused` with the reason if it does not."""
    if durability.mode == "replica":
        confirm = ("WAIT", durability.replicas, CONFIRM_MS)
        found = await connection.wait(connection.send([("WAIT", durability.replicas, PROBE_MS)]), ANSWER_SECONDS)
        (count,) = check_replies(found)
        if count < durability.replicas:
            raise StoreRefused(
                f'redis.durability is "{durability}", but Redis has {count} of {durability.replicas} replicas in sync',
                f"restore its replicas, or {OTHER_DURABILITY}",
            )
        return Promise(durability, confirm)
    if durability.mode == "fsync":
        return await _fsync_promise(connection, durability)
    return SERVER


async def _fsync_promise(connection: Wire, durability: Durability) -> Promise:
    confirm = ("WAITAOF", 1, 0, CONFIRM_MS)
    commands = [confirm, ("CONFIG", "GET", "appendfsync")]
    reply, syncs = await connection.wait(connection.send(commands), ANSWER_SECONDS)
    if isinstance(syncs, list) and syncs[1:] == [b"no"]:
        raise StoreRefused(
            f'redis.durability is "{durability}", but Redis leaves syncing to the system (appendfsync no)',
            f"set `appendfsync everysec` or `always` on the server, or {OTHER_DURABILITY}",
        )
    if isinstance(reply, hiredis.ReplyError) and "unknown command" in str(reply):
        appends = check_replies(
            await connection.wait(connection.send([("CONFIG", "GET", "appendonly")]), ANSWER_SECONDS)
        )
        if [setting[1:] for setting in (*appends, *check_replies([syncs]))] == [[b"yes"], [b"always"]]:
            return Promise(durability, None, lasts=False)
        raise StoreRefused(
            f'redis.durability is "{durability}", but this server has neither WAITAOF nor `appendfsync always`',
            f"set `appendonly yes` and `appendfsync always` on the server, or {OTHER_DURABILITY}",
        )
    if isinstance(reply, hiredis.ReplyError):
        raise _refusal(reply, durability)
    if reply[0] < 1:
        raise StoreRefused(
            f"Redis did not sync its append-only file within {CONFIRM_MS // 1000} s", "check the disk of the server"
        )
    return Promise(durability, confirm)


def _refusal(reply: hiredis.ReplyError, durability: Durability) -> StoreRefused:
    text = str(reply)
    if "appendonly is disabled" in text:
        return StoreRefused(
            f'redis.durability is "{durability}", but Redis has no append-only file (appendonly no)',
            f"set `appendonly yes` on the server, or {OTHER_DURABILITY}",
        )
    return refusal(text) or StoreRefused(
        f'redis.durability is "{durability}", but this server cannot confirm it ({text})', OTHER_DURABILITY
    )


async def append(
    connection: Wire, entries: Sequence[tuple[str, Sequence[str | bytes]]], kept: Promise = SERVER
) -> list[AppendResult]:
    """Append (stream, fields) in order and wait for the promised durability.

    Raises `StoreUnavailable` if it is unknown which entries were written, or if they are not confirmed. A retry with
    the same idempotency keys is safe.
    """
    commands: list[Sequence[str | bytes | int]] = [("XADD", stream, "*", *fields) for stream, fields in entries]
    confirm = [] if kept.confirm is None else [kept.confirm]
    replies = await connection.wait(connection.send([*commands, *confirm]), ANSWER_SECONDS)
    answers = [_append_result(reply) for reply in replies[: len(entries)]]
    if confirm and any(answer.id for answer in answers):
        check_confirmation(replies[-1], kept.durability)
    return answers


def check_confirmation(reply: Any, durability: Durability) -> None:
    """Raise `StoreUnavailable` unless the reply confirms that all writes before it are durable."""
    if isinstance(reply, hiredis.ReplyError):
        raise StoreUnavailable(f"written and not confirmed: {_refusal(reply, durability)}")
    if durability.mode == "fsync" and reply[0] < 1:
        raise StoreUnavailable(f"written, but not on disk within {CONFIRM_MS // 1000} s")
    if durability.mode == "replica" and reply < durability.replicas:
        raise StoreUnavailable(
            f"written, but only {reply} of {durability.replicas} replicas have it after {CONFIRM_MS // 1000} s"
        )


def _append_result(reply: Any) -> AppendResult:
    if not isinstance(reply, hiredis.ReplyError):
        return AppendResult(reply.decode(), None)
    text = str(reply)
    other = StoreRefused(f"Redis refused the entry: {text}", "check the server's log and memory")
    return AppendResult(None, refusal(text) or other)
