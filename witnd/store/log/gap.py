"""`witnd repair gap`: accepts a log with missing entries.

Missing entries are counted as read and recorded in the state of the partition (`gaps`, `lost`), which explains them
from then on. The plan takes several reads; one script writes the result, if nothing has changed meanwhile.
"""

from typing import Any, Final, cast

from msgspec import Struct
from msgspec.structs import replace
from redis.asyncio import Redis

from witnd.domain.catalogue.chain import EMPTY
from witnd.domain.outcomes.event import EntryId
from witnd.store.errors import StoreRefused, Unsafe
from witnd.store.keys import Keys
from witnd.store.records.log_snapshot import LogSnapshot, check_snapshot, entry_id, stream_positions, text_of
from witnd.store.records.state_fields import StateFields
from witnd.store.server.connection import redis_errors
from witnd.store.server.scripts import Script

# Entries that the server scans in one call, of up to 256 KiB each: a short call.
PAGE: Final = 100
ATTEMPTS: Final = 5

_COUNT: Final = Script("log/log_count")
_GAP: Final = Script("log/repair_gap")


class Gap(Struct, frozen=True, kw_only=True):
    """A gap in a log. `deleted` is the greatest id of a deleted entry. `lost` is the number of missing entries, None if
    unknown because the log was recreated."""

    needed: bool
    done: bool
    cursor: str
    deleted: str
    lost: int | None = 0
    reason: str | None = None


class _LogState(Struct, frozen=True, kw_only=True):
    cursor: str
    read: int
    snapshot: LogSnapshot
    exists: bool

    @property
    def at(self) -> EntryId:
        return entry_id(self.cursor)


async def repair_gap(client: Redis, keys: Keys, *, do: bool) -> Gap:
    """Show the gap, or accept it (`do`). Raises `Unsafe`, with nothing written, if the log cannot be accepted."""
    for _ in range(ATTEMPTS):
        found = await _read_state(client, keys)
        try:
            check_snapshot(found.snapshot, found.at, found.read)
        except Unsafe as problem:
            gap, read = await _plan(client, keys, found, problem)
        else:
            return Gap(needed=False, done=False, cursor=found.cursor, deleted=text_of(found.snapshot.deleted))
        if not do:
            return gap
        if await _accept(client, keys, found, gap, read):
            return replace(gap, done=True)
    raise StoreRefused(
        f"the log of partition {keys.partition} kept changing", "stop the program that deletes from it, and retry"
    )


async def _read_state(client: Redis, keys: Keys) -> _LogState:
    with redis_errors():
        async with client.pipeline(transaction=True) as reads:
            reads.hmget(keys.state, ["cursor", "read"])
            reads.execute_command("EVAL", _INFO, 1, keys.events)
            (cursor, read), info = cast("tuple[list[bytes | None], list[Any]]", tuple(await reads.execute()))
    return _LogState(
        cursor=text_of(StateFields.from_value(keys.state, "cursor", cursor).entry("cursor")),
        read=StateFields.from_value(keys.state, "read", read).number("read"),
        snapshot=LogSnapshot(0, EMPTY, 0, *stream_positions(info)),
        exists=bool(info),
    )


# In a script, because redis-py changes the shape of the reply to XINFO.
_INFO: Final = """#!lua flags=no-writes
return redis.call('EXISTS', KEYS[1]) == 1 and redis.call('XINFO', 'STREAM', KEYS[1]) or {}"""


async def _plan(client: Redis, keys: Keys, found: _LogState, problem: Unsafe) -> tuple[Gap, int]:
    """Return the gap, and the number of read entries once it is accepted."""
    snapshot = found.snapshot
    if snapshot.last < found.at:
        if snapshot.length:
            raise Unsafe(
                f"the log of partition {keys.partition} ends at {text_of(snapshot.last)}, before entry {found.cursor} "
                "that was read from it: this is lost data, not a gap",
                "restore the data of the Redis server; otherwise delete this log, run `witnd repair gap` "
                "again, and send the lost events again",
            )
        read, lost = found.read, None
    else:
        read = snapshot.added - await _count(client, keys, found)
        lost = read - found.read if read >= found.read else None
    deleted = text_of(snapshot.deleted)
    return Gap(needed=True, done=False, cursor=found.cursor, deleted=deleted, lost=lost, reason=problem.reason), read


async def _count(client: Redis, keys: Keys, found: _LogState) -> int:
    """Count the entries after the cursor, up to the end of the log when it was read."""
    snapshot = found.snapshot
    if not snapshot.length or snapshot.last == found.at:
        return 0
    if snapshot.first > found.at:
        return snapshot.length
    count, after, last = 0, found.cursor, text_of(snapshot.last)
    while True:
        with redis_errors():
            counted, reached = cast("list[Any]", await _COUNT.run(client, [keys.events], [after, last, PAGE]))
        if not counted:
            return count
        count, after = count + counted, reached.decode()


async def _accept(client: Redis, keys: Keys, found: _LogState, gap: Gap, read: int) -> bool:
    """Write the acceptance. Return False if something changed since it was read."""
    snapshot = found.snapshot
    args: list[str | int] = [
        found.cursor,
        found.read,
        text_of(snapshot.deleted) if found.exists else "",
        read,
        gap.lost or 0,
        "1" if snapshot.last < found.at else "",
    ]
    with redis_errors():
        answer = await _GAP.run(client, [keys.events, keys.state, keys.owner], args)
    code, *words = [word.decode() for word in cast("list[bytes]", answer)]
    if code == "OWNED":
        raise Unsafe(
            f"a daemon works on partition {keys.partition} ({words[0].rpartition(':')[2]})",
            "stop it first; if it has crashed, its lease expires within seconds",
        )
    if code == "FIRST":
        raise Unsafe(
            f"the log of partition {keys.partition} starts with entry {words[0]}, which was not read",
            "import the history again with later ids",
        )
    return code == "DONE"
