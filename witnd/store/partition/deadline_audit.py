"""Compares the indexes of deadlines and of held keys with the records, some keys at a time."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from witnd.store.log.reader import Log
from witnd.store.records.codec import OutcomeRecord, held_record, outcome_record
from witnd.store.records.score import score_to_int
from witnd.store.server.scripts import Script

_CORRECT: Final = Script("partition/deadline_correct")


class DeadlineMismatch(NamedTuple):
    """A key whose stored deadline differs from its record. `expected` or `found` is None if there is none."""

    key: str
    record: bytes | None
    expected: int | None
    found: int | None


async def scan(store: Log, zset: str, cursor: str, many: int) -> tuple[str, list[str]]:
    """Return some members of a sorted set, and the cursor of the next ones, "0" at the end."""
    after, flat = (await store.ask(("ZSCAN", zset, cursor, "COUNT", many)))[0]
    return after.decode(), [name.decode(errors="replace") for name in flat[::2]]


async def compare(store: Log, names: Sequence[str]) -> tuple[list[DeadlineMismatch], list[str]]:
    """Return the wrong deadlines among these keys, and the keys whose record is missing or unreadable."""
    keys = store.keys
    if not names:
        return [], []
    *_, (records, scores) = await store.ask(
        ("MULTI",), ("MGET", *map(keys.outcome, names)), ("ZMSCORE", keys.due, *names), ("EXEC",)
    )
    wrong: list[DeadlineMismatch] = []
    damaged: list[str] = []
    for key, raw, score in zip(names, records, scores, strict=True):
        record = outcome_record(key, raw)
        found = None if score is None else score_to_int(score)
        if not isinstance(record, OutcomeRecord):
            damaged.append(key)
            continue
        expected = record.indexed_deadline if record.processed_at is None else None
        if found != expected:
            wrong.append(DeadlineMismatch(key, raw, expected, found))
    return wrong, damaged


async def lost_held(store: Log, names: Sequence[str]) -> list[tuple[str, str]]:
    """Return the held keys among these whose record or list of held events is missing, and which of them it is."""
    keys = store.keys
    if not names:
        return []
    lists = [("EXISTS", keys.held_events(key)) for key in names]
    *_, (scores, records, *exist) = await store.ask(
        ("MULTI",), ("ZMSCORE", keys.held, *names), ("MGET", *map(keys.outcome, names)), *lists, ("EXEC",)
    )
    lost: list[tuple[str, str]] = []
    for key, score, record, exists in zip(names, scores, records, exist, strict=True):
        if score is None:
            continue  # placed meanwhile
        if record is None:
            lost.append((key, "its record is missing"))
        elif record == held_record(key) and not exists:
            lost.append((key, "its list of held events is missing"))
    return lost


async def correct(store: Log, wrong: DeadlineMismatch) -> bool:
    """Correct a deadline. Return False if a commit changed the outcome meanwhile."""
    keys = store.keys
    score = "" if wrong.expected is None else wrong.expected
    call = ("EVAL", _CORRECT.text, 2, keys.due, keys.outcome(wrong.key), wrong.key, wrong.record or b"", score)
    return bool((await store.ask(call))[0])
