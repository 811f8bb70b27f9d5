"""Rebuilding the sets that outcomes are found by from the records, which are what counts.

For data of a version that did not keep them, and where other hands changed them. The counters of days are not rebuilt.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import structlog

from witnd.domain.outcome import STATUSES
from witnd.store.codec import OutcomeRecord, decode_outcome
from witnd.store.log import Log
from witnd.store.mirror import BATCH, literal
from witnd.store.reads import Command

log = structlog.get_logger()
_SETS: Final = ("", *STATUSES)


async def relist(store: Log, counters: Mapping[str, int]) -> bool:
    """Compare how many outcomes are listed with how many there are; where that differs, list them all anew.

    Answers whether it did. Meant for the owner, before it begins: nobody else may write meanwhile.
    """
    keys = store.keys
    expected = [sum(counters.get(status, 0) for status in STATUSES), *(counters.get(status, 0) for status in STATUSES)]
    zsets = [keys.keys, *map(keys.with_status, STATUSES)]
    found = await store.ask(*(("ZCARD", zset) for zset in zsets))
    if found == expected:
        return False
    log.warning(
        "outcomes.relisting",
        found=dict(zip(_SETS, found, strict=True)),
        expected=dict(zip(_SETS, expected, strict=True)),
        reason="an earlier version kept no lists, or other hands changed them",
    )
    await store.ask(("UNLINK", *zsets))
    start, cursor = keys.outcome(""), "0"
    while True:
        after, names = (await store.ask(("SCAN", cursor, "MATCH", f"{literal(start)}*", "COUNT", BATCH)))[0]
        if names:
            records = (await store.ask(("MGET", *names)))[0]
            decoded = [None if raw is None else decode_outcome(raw) for raw in records]
            behind = [name[len(start.encode()) :] for name in names]
            await _list(store, [(key, one) for key, one in zip(behind, decoded, strict=True) if one is not None])
        cursor = after.decode()
        if cursor == "0":
            return True


async def _list(store: Log, outcomes: Iterable[tuple[bytes, OutcomeRecord]]) -> None:
    """Add each to its sets. Of one whose customer's list has it already, that is put right."""
    keys = store.keys
    scored: dict[str, list[int | bytes]] = {}
    for key, record in outcomes:
        scored.setdefault(keys.keys, []).extend((0, key))
        for zset in (keys.with_status(record.status), keys.of(record.customer_key)):
            scored.setdefault(zset, []).extend((record.opened_at, key))
    commands: list[Command] = [("ZADD", zset, *pairs) for zset, pairs in scored.items()]
    if commands:
        await store.ask(*commands)
