"""Rebuilds the indexes of outcomes from the records.

It is needed for data of a version without indexes, and after another program changed them. The counters of days are not
rebuilt.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Final

import structlog

from witnd.domain.outcomes.outcome import STATUSES
from witnd.store.errors import Unreadable
from witnd.store.log.reader import Log
from witnd.store.partition.deadline_index import BATCH, literal
from witnd.store.partition.owned_write import is_owner, write_owned
from witnd.store.query.reads import Command
from witnd.store.records.codec import OutcomeRecord, outcome_record

log = structlog.get_logger()
_SETS: Final = ("", *STATUSES)


async def rebuild_indexes(store: Log, counters: Mapping[str, int], fence: str) -> bool:
    """Rebuild the indexes if their sizes differ from the counters. Return whether they were rebuilt.

    Only the owner of the partition may call it, before it starts: nothing else may write meanwhile. If another daemon
    took the lease, the counters are old, and nothing is written.
    """
    keys = store.keys
    expected = [sum(counters.get(status, 0) for status in STATUSES), *(counters.get(status, 0) for status in STATUSES)]
    zsets = [keys.keys, *map(keys.with_status, STATUSES)]
    found = await store.ask(*(("ZCARD", zset) for zset in zsets))
    if found == expected or not await is_owner(store, fence):
        return False
    log.warning(
        "outcomes.reindexing",
        found=dict(zip(_SETS, found, strict=True)),
        expected=dict(zip(_SETS, expected, strict=True)),
        reason="an earlier version kept no lists, or another program changed them",
    )
    kept = await _without_record(store, zsets)
    await write_owned(store, fence, ("UNLINK", *zsets))
    async for outcomes in _records(store):
        await _list(store, fence, [(key, record) for key, record in outcomes if isinstance(record, OutcomeRecord)])
    for zset, score, key in kept:
        await write_owned(store, fence, ("ZADD", zset, score, key))
    return True


async def _without_record(store: Log, zsets: Sequence[str]) -> list[tuple[str, bytes, bytes]]:
    """Return the index entries of keys whose record is missing or damaged: (set, score, key). Nothing else shows that
    these keys were used, so without the entry the next event would open such an outcome a second time."""
    start, found = store.keys.outcome("").encode(), []
    for zset in zsets:
        cursor = "0"
        while True:
            after, flat = (await store.ask(("ZSCAN", zset, cursor, "COUNT", BATCH)))[0]
            members: list[bytes] = flat[::2]
            records = (await store.ask(("MGET", *(start + key for key in members))))[0] if members else []
            for key, score, raw in zip(members, flat[1::2], records, strict=True):
                if raw is None or isinstance(outcome_record(key.decode(errors="replace"), raw), Unreadable):
                    found.append((zset, score, key))
            cursor = after.decode()
            if cursor == "0":
                break
    return found


async def _records(store: Log) -> AsyncIterator[list[tuple[bytes, OutcomeRecord | Unreadable | None]]]:
    """Iterate over pages of all records. A key may appear twice."""
    start, cursor = store.keys.outcome(""), "0"
    while True:
        after, names = (await store.ask(("SCAN", cursor, "MATCH", f"{literal(start)}*", "COUNT", BATCH)))[0]
        if names:
            records = (await store.ask(("MGET", *names)))[0]
            keys = [name[len(start.encode()) :] for name in names]
            yield [
                (key, outcome_record(key.decode(errors="replace"), raw)) for key, raw in zip(keys, records, strict=True)
            ]
        cursor = after.decode()
        if cursor == "0":
            return


async def _list(store: Log, fence: str, outcomes: Iterable[tuple[bytes, OutcomeRecord]]) -> None:
    """Add outcomes to their sets. Correct an existing entry in the set of the customer."""
    keys = store.keys
    scored: dict[str, list[int | bytes]] = {}
    for key, record in outcomes:
        scored.setdefault(keys.keys, []).extend((0, key))
        for zset in (keys.with_status(record.status), keys.of_customer(record.customer_key)):
            scored.setdefault(zset, []).extend((record.opened_at, key))
    commands: list[Command] = [("ZADD", zset, *pairs) for zset, pairs in scored.items()]
    if commands:
        await write_owned(store, fence, *commands)
