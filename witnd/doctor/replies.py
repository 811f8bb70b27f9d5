"""Read several replies of Redis at once, and check them."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import hiredis

from witnd.store.errors import StoreRefused
from witnd.store.query.reads import Command
from witnd.store.server import wire
from witnd.store.server.connection import refusal
from witnd.store.server.routing.wires import Wires

ANSWER_SECONDS: Final = 5.0


async def together(connection: Wires, *commands: Command) -> list[Any]:
    """Return the replies of one transaction in each slot. A stream that does not exist yet has no information."""
    replies = await connection.transaction(commands, ANSWER_SECONDS)
    answers = [[] if _absent(answer) else answer for answer in replies]
    _raise_errors(answers, commands)
    return answers


def _absent(answer: object) -> bool:
    return isinstance(answer, hiredis.ReplyError) and "no such key" in str(answer)


def _raise_errors(answers: Iterable[object], commands: Sequence[Command] = ()) -> None:
    for place, answer in enumerate(answers):
        if isinstance(answer, hiredis.ReplyError):
            text = str(answer)
            if text.startswith("WRONGTYPE"):
                raise wire.wrong_type(commands[place] if place < len(commands) else ())
            raise refusal(text) or StoreRefused(f"Redis refused a read: {text}", "see its log")


def pairs(flat: Sequence[Any]) -> list[tuple[Any, Any]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def ms(time: Sequence[bytes]) -> int:
    return int(time[0]) * 1000 + int(time[1]) // 1000
