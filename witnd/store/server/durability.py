"""The durability of writes: what a server promises, and waiting for it.

`WAIT` and `WAITAOF` wait for the writes of their own connection. Replication and the append-only file keep the order of
all writes, so a mark that is written last covers everything before it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import hiredis

from witnd.settings import Durability
from witnd.store.errors import StoreRefused, StoreUnavailable
from witnd.store.server.connection import Endpoint, refusal
from witnd.store.server.routing.wires import Connection
from witnd.store.server.safety import OTHER_DURABILITY
from witnd.store.server.wire import Wire, check_replies

ANSWER_SECONDS: Final = 10.0
# A disk or replica that needs longer for one write is faulty.
CONFIRM_MS: Final = 5_000
# Replicas in sync answer at once.
PROBE_MS: Final = 1_000


class Promise(NamedTuple):
    """A durability that the server provides. `confirm` is the command that waits for it, or None if none is needed.

    `lasts`: whether each confirmation would show that the server no longer provides it; then it is not checked again.
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


def check_confirmation(reply: Any, durability: Durability) -> None:
    """Raise `StoreUnavailable` if a reply to WAIT or WAITAOF does not confirm the durability."""
    if isinstance(reply, hiredis.ReplyError):
        raise StoreUnavailable(f"written but not confirmed: {_refusal(reply, durability)}")
    if durability.mode == "fsync" and reply[0] < 1:
        raise StoreUnavailable(f"written, but not on disk within {CONFIRM_MS // 1000} s")
    if durability.mode == "replica" and reply < durability.replicas:
        raise StoreUnavailable(
            f"written, but only {reply} of {durability.replicas} replicas have it after {CONFIRM_MS // 1000} s"
        )


Confirm: TypeAlias = Callable[[], Awaitable[None]]


# Hash and field → the least number that it must have.
Least: TypeAlias = Mapping[tuple[str, str], int]
_NOTHING: Final[Least] = {}


class Confirmations:
    """Confirms writes of one slot. `mark` is a key in that slot."""

    def __init__(self, server: Endpoint, mark: str, durability: Durability, name: str) -> None:
        self._connection = Connection(server, name, mark)
        self._mark = mark
        self._durability = durability
        self._kept: tuple[Wire, Promise] | None = None
        self._calls = asyncio.Lock()  # the waits of one connection would wait for each other
        self._next: asyncio.Future[None] | None = None  # the confirmation that has not begun

    @property
    def is_needed(self) -> bool:
        """Return whether a reply to a write is not enough."""
        return self._durability.mode != "server"

    async def confirm(self, text: str = "", *, least: Least = _NOTHING) -> None:
        """Write the mark with a text, and wait until it and all earlier writes are safe.

        `least`: numbers in the same slot that show that the server has what is to be confirmed. A new primary, or a
        server that lost data in a restart, would also confirm without it.

        Raises `StoreRefused` if the server does not provide the durability now or a number is lower, and
        `StoreUnavailable` if it does not confirm in time.
        """
        if not self.is_needed:
            return
        if text or least:
            async with self._calls:
                await self._confirm(text, least)
            return
        # Callers that wait at the same time share one confirmation, so none waits for more than two.
        if self._next is None:
            self._next = asyncio.ensure_future(self._confirm_next())
            self._next.add_done_callback(lambda one: one.cancelled() or one.exception())
        await asyncio.shield(self._next)

    async def _confirm_next(self) -> None:
        async with self._calls:
            self._next = None  # what is written from now on needs a later confirmation
            await self._confirm("", _NOTHING)

    async def _confirm(self, text: str, least: Least) -> None:
        connection = await self._connection.wire()
        if self._kept is None or self._kept[0] is not connection or not self._kept[1].lasts:
            self._kept = None
            self._kept = connection, await promise(connection, self._durability)
        confirm = self._kept[1].confirm
        # Over one connection, so the server that confirms is the one that has the numbers.
        reads = [("HGET", *place) for place in least]
        commands = [("SET", self._mark, text), *reads, *([] if confirm is None else [confirm])]
        replies = await connection.wait(connection.send(commands), ANSWER_SECONDS)
        _, *found = check_replies(replies[: 1 + len(reads)], commands)
        for (key, field), number, must in zip(least, found, least.values(), strict=True):
            if not _reaches(number, must):
                raise StoreRefused(f"field {field} of {key} is below {must}", "wait: a failover has undone it")
        if confirm is not None:
            check_confirmation(replies[-1], self._durability)

    def close(self) -> None:
        self._connection.close()


def _reaches(stored: bytes | None, least: int) -> bool:
    """Return whether a stored text is a whole number from `least` on."""
    text = stored or b"0"
    return len(text) < 20 and text.isdigit() and int(text) >= least


async def confirm_once(server: Endpoint, mark: str, durability: Durability, name: str) -> None:
    """Confirm earlier writes over a separate connection."""
    one = Confirmations(server, mark, durability, name)
    try:
        await one.confirm()
    finally:
        one.close()


async def nothing_to_confirm() -> None:
    """Confirm nothing: the reply to a write is enough."""
