"""Rebuilding the sorted set of deadlines from the records, which are what counts."""

import structlog

from witnd.store.codec import decode_outcome
from witnd.store.log import Log

BATCH = 1000

log = structlog.get_logger()


async def mend(store: Log, open_outcomes: int) -> int:
    """Compare the number of stored deadlines with that of open outcomes; where they differ, rebuild them all.

    Answers how many deadlines were put right. Meant for the owner, before it begins to settle.
    """
    found = await store.due_count()
    if found == open_outcomes:
        return 0
    log.error(
        "deadlines.mending",
        found=found,
        expected=open_outcomes,
        reason="other hands changed the sorted set of deadlines",
    )
    keys, mended = store.keys, 0
    start, cursor = keys.outcome(""), "0"
    right: set[bytes] = set()
    while True:
        cursor_bytes, names = (await store.ask(("SCAN", cursor, "MATCH", f"{literal(start)}*", "COUNT", BATCH)))[0]
        if names:
            records = (await store.ask(("MGET", *names)))[0]
            for name, record in zip(names, records, strict=True):
                stored = None if record is None else decode_outcome(record)
                if stored is not None and stored.processed_at is None:
                    key = name[len(start.encode()) :]
                    right.add(key)
                    changed = (await store.ask(("ZADD", keys.due, "CH", stored.mirrored, key)))[0]
                    mended += changed
        cursor = cursor_bytes.decode()
        if cursor == "0":
            break
    for key in (await store.ask(("ZRANGE", keys.due, 0, -1)))[0]:
        if key not in right:
            mended += (await store.ask(("ZREM", keys.due, key)))[0]
    return mended


def literal(text: str) -> str:
    """The text as a pattern that matches only itself."""
    return "".join(f"\\{one}" if one in "*?[]\\^" else one for one in text)
