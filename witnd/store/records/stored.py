"""What Redis has of one outcome key, read whole and checked."""

from collections.abc import Container, Sequence
from typing import Any, Final, TypeAlias

from witnd.domain.outcomes.event import EntryId, Event
from witnd.domain.outcomes.outcome import STATUSES
from witnd.fold.hold import Damage
from witnd.store.errors import Unreadable
from witnd.store.keys import Keys
from witnd.store.records.codec import OutcomeRecord, outcome_record
from witnd.store.records.held_codec import decode_held
from witnd.store.records.score import whole
from witnd.store.records.sealed import unseal_items
from witnd.store.server import wire

ANSWER_SECONDS: Final = 5.0

# What Redis has of one outcome key: the key, its record or what is wrong with it, its history but for the part that
# the record carries, and its held events. A plain tuple, because one is made for every outcome that is loaded.
Stored: TypeAlias = tuple[str, OutcomeRecord | Damage | None, Sequence[bytes], Sequence[tuple[EntryId, Event]]]


def add_list(stored: Stored, items: Any) -> Stored:
    """The same with the list part of its history, or with its held events. Raises `Unreadable`."""
    key, record, _, _ = stored
    name = "history" if record is not None else "list of held events"
    if not isinstance(items, list):
        raise Unreadable(key, f"its {name} is not a list")
    history: list[bytes] = []
    try:
        if record is None:
            if not items:
                # The key is marked: without this, the next event would open an outcome without those that were held.
                raise Unreadable(key, "it is missing")
            return key, None, (), [decode_held(key, item) for item in items]
        history = unseal_items(key, items)
    except Unreadable as wrong:
        raise Unreadable(key, f"its {name} is unreadable: {wrong.reason}") from None
    assert isinstance(record, OutcomeRecord), record
    there = len(history) + record.tailed
    if there != record.events:
        raise Unreadable(key, f"its history has {there} of {record.events} events")
    return key, record, history, ()


def read_records(
    keys: Keys, cold: Sequence[str], raw: Sequence[bytes | None], listed: Container[str]
) -> tuple[list[Stored], dict[int, tuple[str, int]], dict[int, str]]:
    """The records of cold keys; the list that a record does not carry, with its length where that is known; and what is
    wrong. Both by the place of the key. `listed` are the keys that must have a record."""
    stored: list[Stored] = []
    named: dict[int, tuple[str, int]] = {}
    damaged: dict[int, str] = {}
    for place, (key, found) in enumerate(zip(cold, raw, strict=True)):
        record = outcome_record(key, found)
        if isinstance(record, Unreadable):
            damaged[place] = f"its record is unreadable: {record.reason}"
            record = None
        elif found is None:
            if key in listed:
                damaged[place] = "its record is missing"
        elif record is None:
            named[place] = keys.held_events(key), -1
        elif record.events > record.tailed:
            named[place] = keys.history(key), record.events - record.tailed
        stored.append((key, record, (), ()))
    return stored, named, damaged


async def damages(caller: wire.Wire, keys: Keys, damaged: Sequence[str], reasons: Sequence[str]) -> list[Damage]:
    """What is wrong with these keys, with what the lists say about their outcomes."""
    sets = [keys.with_status(status) for status in STATUSES]
    found = await caller.ask(*(("ZSCORE", zset, key) for key in damaged for zset in sets), seconds=ANSWER_SECONDS)
    answer = []
    for number, reason in enumerate(reasons):
        scores = found[number * len(STATUSES) : (number + 1) * len(STATUSES)]
        listed = [(s, whole(score)) for s, score in zip(STATUSES, scores, strict=True) if score is not None]
        answer.append(Damage(reason, *(listed[-1] if listed else (None, None))))
    return answer
