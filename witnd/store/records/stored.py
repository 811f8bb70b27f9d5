"""Combines and checks the stored data of one outcome key."""

from collections.abc import Container, Sequence
from typing import Any, Final, TypeAlias

from witnd.domain.outcomes.event import EntryId, Event
from witnd.domain.outcomes.outcome import STATUSES
from witnd.fold.hold import Damage
from witnd.store.errors import Unreadable
from witnd.store.keys import Keys
from witnd.store.records.codec import OutcomeRecord, outcome_record
from witnd.store.records.held_codec import decode_held
from witnd.store.records.score import score_to_int
from witnd.store.records.sealed import unseal_items
from witnd.store.server import wire

ANSWER_SECONDS: Final = 5.0

# The stored data of one outcome key: the key, its record or damage, the list part of its history, and its held events.
# A plain tuple, because one is created for every loaded outcome.
Stored: TypeAlias = tuple[str, OutcomeRecord | Damage | None, Sequence[bytes], Sequence[tuple[EntryId, Event]]]


def add_list(stored: Stored, items: Any) -> Stored:
    """Return the data with its list: the first part of the history, or the held events. Raises `Unreadable`."""
    key, record, _, _ = stored
    name = "history" if record is not None else "list of held events"
    if not isinstance(items, list):
        raise Unreadable(key, f"its {name} is not a list")
    history: list[bytes] = []
    try:
        if record is None:
            if not items:
                # The key has a record of held events. Without this error, the next event would open an outcome without
                # them.
                raise Unreadable(key, "it is missing")
            return key, None, (), [decode_held(key, item) for item in items]
        history = unseal_items(key, items)
    except Unreadable as wrong:
        raise Unreadable(key, f"its {name} is unreadable: {wrong.reason}") from None
    assert isinstance(record, OutcomeRecord), record
    count = len(history) + record.tailed
    if count != record.events:
        raise Unreadable(key, f"its history has {count} of {record.events} events")
    return key, record, history, ()


def read_records(
    keys: Keys, cold: Sequence[str], raw: Sequence[bytes | None], indexed: Container[str]
) -> tuple[list[Stored], dict[int, tuple[str, int]], dict[int, str]]:
    """Decode the records of cold keys. Return them, the lists still to be read (name and length, -1 if unknown), and
    the damage. Both dictionaries are by index of the key. `indexed` are the keys that must have a record."""
    stored: list[Stored] = []
    lists: dict[int, tuple[str, int]] = {}
    damaged: dict[int, str] = {}
    for index, (key, found) in enumerate(zip(cold, raw, strict=True)):
        record = outcome_record(key, found)
        if isinstance(record, Unreadable):
            damaged[index] = f"its record is unreadable: {record.reason}"
            record = None
        elif found is None:
            if key in indexed:
                damaged[index] = "its record is missing"
        elif record is None:
            lists[index] = keys.held_events(key), -1
        elif record.events > record.tailed:
            lists[index] = keys.history(key), record.events - record.tailed
        stored.append((key, record, (), ()))
    return stored, lists, damaged


async def damages(caller: wire.Wire, keys: Keys, damaged: Sequence[str], reasons: Sequence[str]) -> list[Damage]:
    """Return the damage of keys: the reason, with status and opening time from the indexes."""
    sets = [keys.with_status(status) for status in STATUSES]
    found = await caller.ask(*(("ZSCORE", zset, key) for key in damaged for zset in sets), seconds=ANSWER_SECONDS)
    answer = []
    for number, reason in enumerate(reasons):
        scores = found[number * len(STATUSES) : (number + 1) * len(STATUSES)]
        listed = [(s, score_to_int(score)) for s, score in zip(STATUSES, scores, strict=True) if score is not None]
        answer.append(Damage(reason, *(listed[-1] if listed else (None, None))))
    return answer
