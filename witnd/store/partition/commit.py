"""Writes a step of a partition: atomic, fenced and numbered (`commit.lua`).

A step is a list of Redis commands on keys of its partition. After a lost reply the same step is sent again; its
sequence number and digest show whether it is already written.
"""

from collections.abc import Sequence
from hashlib import sha1
from importlib import resources
from typing import Any, TypeAlias
from zlib import crc32

import hiredis

from witnd.store.errors import Fenced, LostData, LostSteps, StoreRefused, Unsafe, WrongType
from witnd.store.keys import OwnedKeys
from witnd.store.records.line_position import removal
from witnd.store.server.connection import refusal
from witnd.store.server.wire import Wire, pack

Word: TypeAlias = str | bytes | int

SOURCE = resources.files("witnd.store").joinpath("partition/commit.lua").read_bytes()
SHA = sha1(SOURCE, usedforsecurity=False).hexdigest()
# Lua can unpack about 8000 words onto its stack; longer commands are split.
WORDS_MAX = 4000


class Commit:
    """The commands of one step, in order."""

    __slots__ = ("_keys", "_words", "expected", "sequence")

    def __init__(self, keys: OwnedKeys, expected: int) -> None:
        self._keys = keys
        self._words: list[Word] = []
        self.expected = expected
        self.sequence = expected + 1

    def add(self, *command: Word) -> None:
        self._words.append(len(command))
        self._words += command

    def add_many(self, head: Sequence[Word], words: list[Word]) -> None:
        """Add a command with many arguments, split if it is too long for one call."""
        for start in range(0, len(words), WORDS_MAX):
            part = words[start : start + WORDS_MAX]
            self._words.append(len(head) + len(part))
            self._words += head
            self._words += part

    def commands(self) -> list[list[Word]]:
        """Return the commands of the step."""
        found: list[list[Word]] = []
        start, words = 0, self._words
        while start < len(words):
            count = int(words[start])
            found.append(words[start + 1 : start + 1 + count])
            start += count + 1
        return found

    def packed(self, fence: str) -> "PackedCommit":
        keys, words = self._keys, self._words
        # The words are packed once; both forms of the call add their start.
        _, _, body = pack(words).partition(b"\r\n") if words else (b"", b"", b"")
        # Distinguishes this step from another one with the same owner and number, which only a bug could create.
        digest = f"{crc32(body):08x}"
        step = (2, keys.owner, keys.state, fence, self.expected, self.sequence, digest)
        return PackedCommit(step, body, len(words), self.sequence)


class PackedCommit:
    """A step in wire format, which can be sent repeatedly."""

    __slots__ = ("_body", "_step", "_words", "sequence")

    def __init__(self, step: tuple[Word, ...], body: bytes, words: int, sequence: int) -> None:
        self._step = step
        self._body = body
        self._words = words
        self.sequence = sequence

    def by_digest(self) -> bytes:
        return self._call("EVALSHA", SHA)

    def with_source(self) -> bytes:
        """Return the call with the script's text, for a server that does not have it in its cache."""
        return self._call("EVAL", SOURCE)

    def _call(self, *script: Word) -> bytes:
        head = (*script, *self._step)
        _, _, packed = pack(head).partition(b"\r\n")
        return b"*%d\r\n%b%b" % (len(head) + self._words, packed, self._body)


async def finish(wire: Wire, packed: PackedCommit, replies: list[Any], seconds: float) -> bool:
    """Read the reply to a step. Return True if it was written now, False if it was already written.

    Raises `WrongType` or `StoreRefused` if nothing was written, `Fenced` for another owner, `LostSteps` or
    `LostData` for an unexpected sequence number, and `Unsafe` for a numbered entry whose number the stream has passed.
    """
    reply = replies[0]
    if isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT"):
        replies = await wire.wait(wire.send_packed(packed.with_source(), 1), seconds)
        reply = replies[0]
    if isinstance(reply, hiredis.ReplyError):
        text = str(reply)
        refused = refusal(text.removeprefix("ERR "))
        if refused is None and "OOM" in text:
            refused = StoreRefused("Redis is at its memory limit", "raise maxmemory or free memory")
        if refused is not None:
            raise refused
        raise LostData(
            f"Redis failed inside step {packed.sequence}: {text}",
            "run `witnd audit`; a key of witnd was changed by another program",
        )
    code, found = reply[0], reply[1]
    if code == b"FENCED":
        raise Fenced(found.decode())
    if code == b"SEQUENCE":
        at, expected = found.decode(errors="replace"), packed.sequence - 1
        if at.isdecimal() and int(at) < expected:
            raise LostSteps("it is", int(at), expected)
        raise LostData(
            f"Redis is at step {at} where step {expected} was expected: another program wrote to it",
            "run `witnd audit`, and see docs/how-to/redis-lost-data.md",
        )
    if code == b"WRONGTYPE":
        raise WrongType(found.decode(errors="replace"), reply[2].decode())
    if code == b"TAKEN":
        stream, entry, last = (part.decode(errors="replace") for part in reply[1:])
        raise Unsafe(
            f"the next entry of {stream} is {entry}, and the stream is at {last} already: another program wrote to it",
            removal(stream, entry),
        )
    return bool(code == b"OK")
