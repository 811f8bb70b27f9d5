"""Moves what is stored about outcome keys: records, lists, indexes, and the fates of events that still wait.

Other fates stay in the partition whose log has their entries. Counters of days stay too: they are only ever added up
over all partitions, and adding a part of them elsewhere could not be repeated safely.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from witnd.domain.outcomes.outcome import STATUSES
from witnd.store.errors import Unreadable
from witnd.store.partition.commit import Word
from witnd.store.records.codec import decode_fate
from witnd.store.repartition.mover import BATCH, Batch, Mover

# Items of a list in one read.
ITEMS: Final = 1000
# Fates that the fold removes when the event is placed, so they move with the key.
WAITING_FATES: Final = ("held", "waiting")


async def pages(mover: Mover, command: str, name: str) -> AsyncIterator[list[tuple[bytes, bytes]]]:
    """Iterate over pairs of a sorted set (ZSCAN) or hash (HSCAN). What is removed meanwhile may be missing."""
    cursor = "0"
    while True:
        [(after, flat)] = await mover.source.ask((command, name, cursor, "COUNT", BATCH))
        pairs = list(zip(flat[::2], flat[1::2], strict=True))
        for start in range(0, len(pairs), BATCH):
            yield pairs[start : start + BATCH]
        cursor = after.decode()
        if cursor == "0":
            return


async def move_indexes(mover: Mover) -> None:
    """Move the members of the sorted sets with a fixed name, and the fields of hashes, that are outcome keys."""
    keys = mover.source.keys
    for name in (keys.keys, keys.held, keys.due, *map(keys.with_status, STATUSES)):
        await move_members(mover, name)
    for name in (keys.on_hold, keys.messages, keys.unqueued):
        await _move_fields(mover, name)
    await _move_removals(mover)


async def move_members(mover: Mover, name: str) -> None:
    """Move the members of a sorted set. Members are outcome keys."""
    async for page in pages(mover, "ZSCAN", name):
        batch = Batch()
        scored: dict[int, list[Word]] = {}
        gone: list[Word] = []
        for member, score in page:
            if (number := mover.target_of(member)) is not None:
                scored.setdefault(number, []).extend((score, member))
                gone.append(member)
        for number, words in scored.items():
            batch.write(number, ("ZADD", _renamed(mover, name, number)), words)
        batch.remove(("ZREM", name), gone)
        await mover.apply(batch)


async def _move_fields(mover: Mover, name: str) -> None:
    """Move the fields of a hash. Fields are outcome keys."""
    async for page in pages(mover, "HSCAN", name):
        await mover.apply(_fields(mover, name, [(key, key, value) for key, value in page]))


async def _move_removals(mover: Mover) -> None:
    name = mover.source.keys.removals
    async for page in pages(mover, "HSCAN", name):
        await mover.apply(_fields(mover, name, [(key, entry, key) for entry, key in page]))


def _fields(mover: Mover, name: str, found: Sequence[tuple[bytes, bytes, bytes]]) -> Batch:
    """Return the batch that moves (outcome key, field, value) of a hash."""
    batch = Batch()
    pairs: dict[int, list[Word]] = {}
    gone: list[Word] = []
    for key, field, value in found:
        if (number := mover.target_of(key)) is not None:
            pairs.setdefault(number, []).extend((field, value))
            gone.append(field)
    for number, words in pairs.items():
        batch.write(number, ("HSET", _renamed(mover, name, number)), words)
    batch.remove(("HDEL", name), gone)
    return batch


def _renamed(mover: Mover, name: str, number: int) -> str:
    """Return the name of the same collection in a new partition."""
    return mover.targets[number].keys.base + name.removeprefix(mover.source.keys.base)


async def move_waiting_fates(mover: Mover) -> None:
    """Move the fates of held and waiting events."""
    keys = mover.source.keys
    for fate in WAITING_FATES:
        async for page in pages(mover, "ZSCAN", keys.fates_of(fate)):
            [records] = await mover.source.ask(("HMGET", keys.fates, *[entry for entry, _ in page]))
            batch = Batch()
            gone: list[Word] = []
            for (entry, score), record in zip(page, records, strict=True):
                number = None if record is None else _target_of_fate(mover, record)
                if record is None or number is None:
                    continue
                there = mover.targets[number].keys
                batch.write(number, ("HSET", there.fates), [entry, record])
                batch.write(number, ("ZADD", there.fates_of(fate)), [score, entry])
                gone.append(entry)
            batch.remove(("HDEL", keys.fates), gone)
            batch.remove(("ZREM", keys.fates_of(fate)), gone)
            await mover.apply(batch)


def _target_of_fate(mover: Mover, record: bytes) -> int | None:
    """Return the new partition of the event's key. A damaged fate stays: nothing else shows its key."""
    try:
        key = decode_fate(record).key
    except Unreadable:
        return None
    return None if key is None else mover.target_of(key.encode())


# -- keys of Redis -----------------------------------------------------------------------------------------------------


def key_starts(mover: Mover) -> tuple[bytes, ...]:
    """Return the starts of Redis keys that hold the data of one outcome."""
    keys = mover.source.keys
    names = (keys.outcome, keys.history, keys.held_events, keys.waiting, keys.repair)
    return tuple(name("").encode() for name in names)


async def move_keys(mover: Mover, names: Sequence[tuple[bytes, int]]) -> list[str]:
    """Move Redis keys, each to a partition. Return those that stay because witnd does not write their type: the outcome
    is damaged, and `witnd repair outcome` does not need them."""
    source, batch, damaged = mover.source, Batch(), []
    kinds = await source.ask(*(("TYPE", name) for name, _ in names)) if names else []
    commands: list[Sequence[Word]] = []
    found: list[tuple[bytes, int, bool]] = []
    for (name, number), kind in zip(names, kinds, strict=True):
        if (text := kind if isinstance(kind, str) else kind.decode()) in ("string", "list"):
            commands.append(("GET", name) if text == "string" else ("LRANGE", name, 0, ITEMS - 1))
            found.append((name, number, text == "list"))
        elif text != "none":  # a scan may return a key twice
            damaged.append(name.decode(errors="backslashreplace"))
    values: list[Any] = await source.ask(*commands) if commands else []
    for (name, number, is_list), value in zip(found, values, strict=True):
        new = mover.targets[number].keys.base.encode() + name.removeprefix(source.keys.base.encode())
        batch.write(number, ("UNLINK",), [new])
        if is_list:
            batch.write(number, ("RPUSH", new), value if len(value) < ITEMS else await _whole_list(mover, name, value))
        else:
            batch.write(number, ("SET", new), [value])
        batch.remove(("UNLINK",), [name])
    await mover.apply(batch)
    return damaged


async def _whole_list(mover: Mover, name: bytes, items: list[Word]) -> list[Word]:
    """Return all items of a long list. `items` are its first ones."""
    while True:
        [more] = await mover.source.ask(("LRANGE", name, len(items), len(items) + ITEMS - 1))
        if not more:
            return items
        items = items + more
