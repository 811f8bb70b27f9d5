"""Lists outcomes by the indexes that each commit writes: status, customer and key prefix.

An outcome is in one set for its status and one for its customer. The score is the instant when it opened, which never
changes, so a cursor stays valid while outcomes change status. Other conditions are checked on the record.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final, TypeAlias

from msgspec import Struct

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.outcomes.outcome import STATUSES, Outcome
from witnd.domain.outcomes.recount import restore_outcome
from witnd.fold.history import HistoryItem, decode_history
from witnd.store.keys import Keys
from witnd.store.page import Page
from witnd.store.query.cursor import Cursor, newest, text_of_cursor
from witnd.store.query.merged import batches, earliest_due
from witnd.store.query.reads import PAGE, Command, Reads
from witnd.store.records.codec import OutcomeRecord, frozen_terms, outcome_record

# Sorts after every key with a prefix: UTF-8 never has this byte.
_BEYOND: Final = b"\xff"

Listed: TypeAlias = tuple[Cursor, Outcome]


class OutcomeFilter(Struct, frozen=True, kw_only=True):
    """A filter for outcomes; None matches any. With a prefix the list is sorted by key, else newest first."""

    statuses: frozenset[str] = frozenset(STATUSES)
    customer: str | None = None
    agent: str | None = None
    prefix: str | None = None

    def matches(self, outcome: Outcome) -> bool:
        return (
            outcome.status in self.statuses
            and self.customer in (None, outcome.customer_key)
            and self.agent in (None, outcome.contract.agent)
        )


async def list_outcomes(
    reads: Reads,
    partitions: Sequence[Keys],
    catalogue: Catalogue,
    filter_: OutcomeFilter,
    *,
    limit: int,
    looked_at_max: int,
    after: Cursor | None = None,
) -> Page[Listed]:
    """Return a page of up to `limit` outcomes. It ends early after `looked_at_max` were read."""
    data: list[Listed] = []
    looked_at, last = 0, after
    by_number = {keys.partition: keys for keys in partitions}
    cursors = _cursors(reads, partitions, filter_, after, limit + 1)
    async for batch in batches(cursors, limit + 1):
        for cursor, outcome in await _outcomes(reads, by_number, batch, catalogue):
            if looked_at == looked_at_max:
                return Page(data, text_of_cursor(last))
            if outcome is not None and filter_.matches(outcome):
                if len(data) == limit:
                    return Page(data, text_of_cursor(last))
                data.append((cursor, outcome))
            looked_at, last = looked_at + 1, cursor
    return Page(data, None)


async def list_due_outcomes(
    reads: Reads,
    partitions: Sequence[Keys],
    catalogue: Catalogue,
    filter_: OutcomeFilter,
    *,
    limit: int,
    looked_at_max: int,
    after: Cursor | None = None,
) -> Page[Listed]:
    """Return the same kind of page for open and pending outcomes, sorted by deadline."""
    data: list[Listed] = []
    looked_at, last = 0, after
    async for cursor, record in earliest_due(reads, partitions, after):
        outcome = restore_outcome(cursor.name, record, *frozen_terms(cursor.name, record, catalogue))
        if looked_at == looked_at_max or (filter_.matches(outcome) and len(data) == limit):
            return Page(data, text_of_cursor(last))
        if filter_.matches(outcome):
            data.append((cursor, outcome))
        looked_at, last = looked_at + 1, cursor
    return Page(data, None)


async def read_outcome(reads: Reads, keys: Keys, key: str, catalogue: Catalogue) -> Outcome | None:
    """Return the outcome of a key; None if it has none, only held events, or an unreadable record."""
    cursor = Cursor(0, keys.partition, key)
    return (await _outcomes(reads, {keys.partition: keys}, [cursor], catalogue))[0][1]


async def read_reversal(reads: Reads, keys: Keys, key: str) -> HistoryItem | None:
    """Return the event that reversed an outcome; None if none did, or its record is unreadable."""
    [raw] = await reads.pipeline(("GET", keys.outcome(key)))
    record = outcome_record(key, raw)
    return decode_history(record.reversal) if isinstance(record, OutcomeRecord) and record.reversal else None


def _cursors(
    reads: Reads, partitions: Sequence[Keys], filter_: OutcomeFilter, after: Cursor | None, first: int
) -> AsyncIterator[Cursor]:
    if filter_.prefix is not None:
        return _by_key(reads, partitions, filter_.prefix, None if after is None else after.name, first)
    if filter_.customer is not None:
        sets = [(keys, [keys.of_customer(filter_.customer)]) for keys in partitions]
    else:
        sets = [(keys, [keys.with_status(status) for status in sorted(filter_.statuses)]) for keys in partitions]
    return newest(reads, sets, after, first)


async def _by_key(
    reads: Reads, partitions: Sequence[Keys], prefix: str, after: str | None, count: int
) -> AsyncIterator[Cursor]:
    """Iterate over keys with a prefix, sorted by bytes. `edge` is the last key up to which all partitions are read."""
    low = b"[" + prefix.encode() if after is None else b"(" + after.encode()
    high = b"(" + prefix.encode() + _BEYOND
    while True:
        commands: list[Command] = [("ZRANGEBYLEX", keys.keys, low, high, "LIMIT", 0, count) for keys in partitions]
        found = await reads.pipeline(*commands)
        edge = min((part[-1] for part in found if len(part) == count), default=None)
        names = [(name, keys.partition) for keys, part in zip(partitions, found, strict=True) for name in part]
        for name, number in sorted(names):
            if edge is None or name <= edge:
                yield Cursor(0, number, name.decode())
        if edge is None:
            return
        low, count = b"(" + edge, min(2 * count, PAGE)


async def _outcomes(
    reads: Reads, by_number: dict[int, Keys], cursors: Sequence[Cursor], catalogue: Catalogue
) -> list[tuple[Cursor, Outcome | None]]:
    numbers = sorted({cursor.partition for cursor in cursors})
    by_partition = [[cursor for cursor in cursors if cursor.partition == number] for number in numbers]
    commands: list[Command] = [
        ("MGET", *(by_number[number].outcome(cursor.name) for cursor in mine))
        for number, mine in zip(numbers, by_partition, strict=True)
    ]
    found: dict[Cursor, Outcome | None] = {}
    for mine, records in zip(by_partition, await reads.pipeline(*commands), strict=True):
        for cursor, raw in zip(mine, records, strict=True):
            record = outcome_record(cursor.name, raw)
            if isinstance(record, OutcomeRecord):
                terms = frozen_terms(cursor.name, record, catalogue)
                found[cursor] = restore_outcome(cursor.name, record, *terms)
    return [(cursor, found.get(cursor)) for cursor in cursors]
