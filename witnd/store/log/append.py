"""Appends entries to the logs and confirms their durability.

Check an event with `witnd.domain.outcomes.event.read` before you append it: an entry cannot be removed from a log.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import hiredis

from witnd.store.errors import StoreRefused
from witnd.store.server.connection import refusal
from witnd.store.server.durability import ANSWER_SECONDS, SERVER, Promise, check_confirmation
from witnd.store.server.wire import Wire


class AppendResult(NamedTuple):
    """The id of an appended entry, or why it is certainly not in the log."""

    id: str | None
    refused: StoreRefused | None


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


def _append_result(reply: Any) -> AppendResult:
    if not isinstance(reply, hiredis.ReplyError):
        return AppendResult(reply.decode(), None)
    text = str(reply)
    other = StoreRefused(f"Redis refused the entry: {text}", "check the server's log and memory")
    return AppendResult(None, refusal(text) or other)
