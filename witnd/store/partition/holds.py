"""Reads outcomes on hold for commands and pages, and requests a repair."""

from collections.abc import Sequence

from witnd.domain.outcomes.event import EntryId
from witnd.domain.outcomes.outcome import STATUSES
from witnd.fold.history import decode_history
from witnd.fold.hold import Hold
from witnd.store.errors import Unreadable
from witnd.store.keys import Keys
from witnd.store.log.retry_request import RetryRequests
from witnd.store.query.reads import Reads
from witnd.store.records.codec import OutcomeRecord, outcome_record
from witnd.store.records.held_codec import decode_held
from witnd.store.records.hold import Repair, decode_hold, encode_repair, holds_of
from witnd.store.records.log_snapshot import text_of
from witnd.store.records.score import score_to_int
from witnd.store.records.sealed import unseal_items
from witnd.store.records.state_fields import StateFields


async def holds(reads: Reads, partitions: Sequence[Keys]) -> dict[str, Hold]:
    """Return all outcomes on hold, by key."""
    found: dict[str, Hold] = {}
    for flat in await reads.pipeline(*(("HGETALL", keys.on_hold) for keys in partitions)):
        found |= holds_of(flat)
    return found


async def hold_of(reads: Reads, keys: Keys, key: str) -> Hold | None:
    [record] = await reads.pipeline(("HGET", keys.on_hold, key))
    return None if record is None else decode_hold(key, record)


async def stored_repair(reads: Reads, keys: Keys, key: str) -> Repair | Unreadable | None:
    """Return the stored data of a key in the form of a repair, its damage, or None if it has none."""
    answers = await reads.transaction_with_errors(
        ("GET", keys.outcome(key)),
        ("LRANGE", keys.history(key), 0, -1),
        ("LRANGE", keys.held_events(key), 0, -1),
        ("ZSCORE", keys.keys, key),
        ("ZSCORE", keys.held, key),
    )
    raw, history, held, listed, held_since = answers
    names = ("record", "history", "list of held events")
    for name, answer in zip(names, answers, strict=False):
        if isinstance(answer, Exception):
            return Unreadable(key, f"its {name} is another type of key")
    if raw is None:
        missing = listed is not None or held_since is not None
        return Unreadable(key, "its record is missing") if missing else None
    record = outcome_record(key, raw)
    if isinstance(record, Unreadable):
        return Unreadable(key, f"its record is unreadable: {record.reason}")
    try:
        if record is None:
            if not held:
                return Unreadable(key, "its list of held events is missing")
            for item in held:
                decode_held(key, item)
            return Repair(1, None, [], held)
        items = [*unseal_items(key, history), *record.items]
        if len(items) != record.events:
            return Unreadable(key, f"its history has {len(items)} of {record.events} events")
        return Repair(1, raw, history, [])
    except Unreadable as wrong:
        return wrong


async def undetected_hold(reads: Reads, keys: Keys, key: str) -> Hold | None:
    """Return the hold that the daemon will create for a damaged key once it reads it; None for a sound key."""
    stored = await stored_repair(reads, keys, key)
    if not isinstance(stored, Unreadable):
        return None
    cursor, *scores = await reads.pipeline(
        ("HGET", keys.state, "cursor"), *(("ZSCORE", keys.with_status(status), key) for status in STATUSES)
    )
    listed = [(s, score_to_int(score)) for s, score in zip(STATUSES, scores, strict=True) if score is not None]
    status, opened_at = listed[-1] if listed else (None, None)
    position = StateFields.from_value(keys.state, "cursor", cursor).entry("cursor")
    return Hold(
        reason=stored.reason,
        since=position[0],
        cursor=text_of(position),
        status=status,
        opened_at=opened_at,
    )


def applied_entries(key: str, stored: Repair) -> set[EntryId]:
    """Return the entries that a repaired state has applied. Raises `Unreadable`."""
    record = None if stored.record is None else outcome_record(key, stored.record)
    if not isinstance(record, OutcomeRecord):
        return set()
    return {decode_history(item).entry for item in (*unseal_items(key, stored.history), *record.items)}


async def prepare(requests: RetryRequests, keys: Keys, key: str, repair: Repair) -> str:
    """Store a repaired state and request that the owner of the partition installs it. Return the id of the request's
    entry."""
    return await requests.append_with(keys, key, "SET", keys.repair(key), encode_repair(key, repair))
