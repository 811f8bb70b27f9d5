"""What must be true before outcomes move to new partitions."""

from collections.abc import Sequence
from typing import Final

from witnd.config import ConfigError
from witnd.domain.outcomes.event import EntryId, Tick, read
from witnd.domain.values.mistake import Mistake
from witnd.settings import MOST_PARTITIONS
from witnd.store.errors import Unsafe
from witnd.store.keys import Keys
from witnd.store.meta import Meta
from witnd.store.query.reads import Reads
from witnd.store.records.log_snapshot import check_snapshot, text_of

_APPLY: Final = "stop the producers, let the daemon run until `witnd repartition N --dry-run` succeeds, then stop it"
# A stopped daemon leaves at most a few ticks that it has not read.
_TICKS_MAX: Final = 100


def check_count(meta: Meta, wanted: int) -> None:
    """Check the new number of partitions. Raises `ConfigError`."""
    problem = None
    if meta.repartitioning is not None and meta.repartitioning != wanted:
        problem = (
            f"must be {meta.repartitioning}: the repartition from {meta.partitions} to {meta.repartitioning} "
            f"is not finished; run `witnd repartition {meta.repartitioning}`"
        )
    elif wanted > MOST_PARTITIONS:
        problem = f"must be at most {MOST_PARTITIONS}, got {wanted}"
    elif wanted < meta.partitions or wanted % meta.partitions:
        problem = (
            f"must be a multiple of {meta.partitions}, the current number of partitions, got {wanted}; "
            f"for example {2 * meta.partitions}"
        )
    if problem is not None:
        raise ConfigError([Mistake("N", problem)])


async def check_logs(reads: Reads, partitions: Sequence[Keys]) -> None:
    """Check that every log is applied to its end, and that no repair or forwarding is unfinished. Raises `Unsafe`."""
    for keys in partitions:
        position = await reads.position(keys)
        snapshot, number = position.snapshot, keys.partition
        moving, forwards = await reads.pipeline(("EXISTS", keys.events_moving), ("LLEN", keys.forwards))
        if moving:
            raise Unsafe(f"`witnd repair ahead` of partition {number} is not finished", "run it again with --yes first")
        check_snapshot(snapshot, position.cursor, position.read)
        if snapshot.last > position.cursor and not await _only_ticks(reads, keys, position.cursor):
            raise Unsafe(
                f"the log of partition {number} is applied up to {text_of(position.cursor)}, but its last entry is "
                f"{text_of(snapshot.last)}",
                _APPLY,
            )
        if forwards:
            raise Unsafe(f"{forwards} events in {keys.forwards} still wait to be forwarded", _APPLY)


async def _only_ticks(reads: Reads, keys: Keys, cursor: EntryId) -> bool:
    """Return whether all unread entries are ticks, which only show that time has passed."""
    [rows] = await reads.pipeline(("XRANGE", keys.events, f"({text_of(cursor)}", "+", "COUNT", _TICKS_MAX + 1))
    return len(rows) <= _TICKS_MAX and all(isinstance(read(fields), Tick) for _, fields in rows)


async def check_unused(reads: Reads, partitions: Sequence[Keys]) -> None:
    """Check that the keys of the new partitions are unused. Raises `Unsafe`."""
    for keys in partitions:
        sequence, *exist = await reads.pipeline(
            ("HGET", keys.state, "seq"), *(("EXISTS", name) for name in (keys.keys, keys.lines, keys.resolutions))
        )
        if sequence is not None or any(exist):
            raise Unsafe(
                f"Redis already has data of a partition {keys.partition} ({keys.base}:…)",
                "find out what wrote it; if nothing needs these keys, delete them",
            )


def early_events(keys: Keys, first: str) -> Unsafe:
    """Return the error for events that are in a new log before those of the old log were applied."""
    return Unsafe(
        f"another program appended to {keys.events} before the repartition (its first entry is {first})",
        "append these events, with their idempotency keys, to the logs for the current number of partitions, "
        f"then delete {keys.events}, and let producers use the new number only after the repartition",
    )
