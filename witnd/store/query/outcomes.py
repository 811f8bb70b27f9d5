"""Finding outcomes by the sets that each commit keeps of them: by status, by customer, by the beginning of their key.

Each is in one set of its status and one of its customer, both scored by when it opened, which never changes: so a list
can be taken up again behind any place while outcomes change their status. What matches no set is asked of the record.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final, TypeAlias

from msgspec import Struct

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.outcomes.outcome import STATUSES, Outcome
from witnd.domain.outcomes.recount import restore_outcome
from witnd.store.keys import Keys
from witnd.store.page import Page
from witnd.store.query.cursor import Cursor, newest, text_of_cursor
from witnd.store.query.merged import batches, earliest_due
from witnd.store.query.reads import PAGE, Command, Reads
from witnd.store.records.codec import OutcomeRecord, outcome_record, terms_of

# Behind every key that begins with a text: no UTF-8 has this byte.
_BEYOND: Final = b"\xff"

Listed: TypeAlias = tuple[Cursor, Outcome]


class OutcomeFilter(Struct, frozen=True, kw_only=True):
    """Which outcomes a list is to have; None and nothing mean any. With a prefix they come in the order of their keys,
    else the newest first."""

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
    wanted: OutcomeFilter,
    *,
    limit: int,
    look: int,
    behind: Cursor | None = None,
) -> Page[Listed]:
    """At most `limit` outcomes. After `look` of them were looked at the page ends, however short it is."""
    data: list[Listed] = []
    looked_at, last = 0, behind
    by_number = {keys.partition: keys for keys in partitions}
    places = _places(reads, partitions, wanted, behind, limit + 1)
    async for batch in batches(places, limit + 1):
        for place, outcome in await _outcomes(reads, by_number, batch, catalogue):
            if looked_at == look:
                return Page(data, text_of_cursor(last))
            if outcome is not None and wanted.matches(outcome):
                if len(data) == limit:
                    return Page(data, text_of_cursor(last))
                data.append((place, outcome))
            looked_at, last = looked_at + 1, place
    return Page(data, None)


async def list_due_outcomes(
    reads: Reads,
    partitions: Sequence[Keys],
    catalogue: Catalogue,
    wanted: OutcomeFilter,
    *,
    limit: int,
    look: int,
    behind: Cursor | None = None,
) -> Page[Listed]:
    """The same of open and pending outcomes, in the order in which they are due."""
    data: list[Listed] = []
    looked_at, last = 0, behind
    async for place, record in earliest_due(reads, partitions, behind):
        outcome = restore_outcome(place.name, record, *terms_of(place.name, record, catalogue))
        if looked_at == look or (wanted.matches(outcome) and len(data) == limit):
            return Page(data, text_of_cursor(last))
        if wanted.matches(outcome):
            data.append((place, outcome))
        looked_at, last = looked_at + 1, place
    return Page(data, None)


async def read_outcome(reads: Reads, keys: Keys, key: str, catalogue: Catalogue) -> Outcome | None:
    """The outcome with a key; None for one that has held events only, or nothing, or cannot be read."""
    place = Cursor(0, keys.partition, key)
    return (await _outcomes(reads, {keys.partition: keys}, [place], catalogue))[0][1]


def _places(
    reads: Reads, partitions: Sequence[Keys], wanted: OutcomeFilter, behind: Cursor | None, first: int
) -> AsyncIterator[Cursor]:
    if wanted.prefix is not None:
        return _by_key(reads, partitions, wanted.prefix, None if behind is None else behind.name, first)
    if wanted.customer is not None:
        sets = [(keys, [keys.of_customer(wanted.customer)]) for keys in partitions]
    else:
        sets = [(keys, [keys.with_status(status) for status in sorted(wanted.statuses)]) for keys in partitions]
    return newest(reads, sets, behind, first)


async def _by_key(
    reads: Reads, partitions: Sequence[Keys], prefix: str, after: str | None, count: int
) -> AsyncIterator[Cursor]:
    """Keys that begin so, in the order of their bytes. What is read of one partition says how far all are known."""
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
    reads: Reads, by_number: dict[int, Keys], places: Sequence[Cursor], catalogue: Catalogue
) -> list[tuple[Cursor, Outcome | None]]:
    numbers = sorted({place.partition for place in places})
    asked = [[place for place in places if place.partition == number] for number in numbers]
    commands: list[Command] = [
        ("MGET", *(by_number[number].outcome(place.name) for place in mine))
        for number, mine in zip(numbers, asked, strict=True)
    ]
    found: dict[Cursor, Outcome | None] = {}
    for mine, records in zip(asked, await reads.pipeline(*commands), strict=True):
        for place, raw in zip(mine, records, strict=True):
            record = outcome_record(place.name, raw)
            if isinstance(record, OutcomeRecord):
                terms = terms_of(place.name, record, catalogue)
                found[place] = restore_outcome(place.name, record, *terms)
    return [(place, found.get(place)) for place in places]
