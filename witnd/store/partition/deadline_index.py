"""Rebuilds the index of deadlines, a sorted set, from the records."""

from collections.abc import Sequence

import structlog

from witnd.store.errors import Unreadable
from witnd.store.log.reader import Log
from witnd.store.partition.owned_write import is_owner, write_owned
from witnd.store.records.codec import OutcomeRecord, outcome_record

BATCH = 1000

log = structlog.get_logger()


async def rebuild_deadlines(store: Log, open_outcomes: int, fence: str) -> int:
    """Rebuild the index if its size differs from the number of open outcomes. Return how many deadlines were corrected.

    Only the owner of the partition may call it, before it starts to settle. If another daemon took the lease
    meanwhile, the number of open outcomes is old, and nothing is written.
    """
    found = await store.due_count()
    if found == open_outcomes or not await is_owner(store, fence):
        return 0
    log.error(
        "deadlines.rebuilding",
        found=found,
        expected=open_outcomes,
        reason="another program changed the sorted set of deadlines",
    )
    return await _add_missing(store, fence) + await _drop_orphans(store, fence)


async def _add_missing(store: Log, fence: str) -> int:
    """Write the deadline of every open outcome, a page of keys at a time."""
    keys, added = store.keys, 0
    start, cursor = keys.outcome(""), "0"
    while True:
        after, names = (await store.ask(("SCAN", cursor, "MATCH", f"{literal(start)}*", "COUNT", BATCH)))[0]
        due: list[int | bytes] = []
        found = [name[len(start.encode()) :] for name in names]
        for key, record in zip(found, await _records(store, found), strict=True):
            if isinstance(record, OutcomeRecord) and record.processed_at is None:
                due += (record.indexed_deadline, key)
        if due:
            added += await write_owned(store, fence, ("ZADD", keys.due, "CH", *due)) or 0
        cursor = after.decode()
        if cursor == "0":
            return added


async def _drop_orphans(store: Log, fence: str) -> int:
    """Remove the deadlines of keys without an open outcome, a page at a time."""
    keys, dropped, cursor = store.keys, 0, "0"
    while True:
        after, flat = (await store.ask(("ZSCAN", keys.due, cursor, "COUNT", BATCH)))[0]
        members: list[bytes] = flat[::2]
        records = await _records(store, members)
        orphaned_deadlines = [
            member
            for member, record in zip(members, records, strict=True)
            if record is None or (isinstance(record, OutcomeRecord) and record.processed_at is not None)
        ]
        if orphaned_deadlines:
            dropped += await write_owned(store, fence, ("ZREM", keys.due, *orphaned_deadlines)) or 0
        cursor = after.decode()
        if cursor == "0":
            return dropped


async def _records(store: Log, outcomes: Sequence[bytes]) -> list[OutcomeRecord | Unreadable | None]:
    """Return the records of these outcome keys."""
    if not outcomes:
        return []
    prefix = store.keys.outcome("").encode()
    found = (await store.ask(("MGET", *(prefix + key for key in outcomes))))[0]
    return [outcome_record(key.decode(errors="replace"), record) for key, record in zip(outcomes, found, strict=True)]


def literal(text: str) -> str:
    """Return a pattern that matches only this text."""
    return "".join(f"\\{char}" if char in "*?[]\\^" else char for char in text)
