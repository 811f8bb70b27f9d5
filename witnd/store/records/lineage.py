"""How repartitions changed a partition: which logs have the entries of its outcomes.

A repartition from N to k·N partitions gives outcomes of partition P to P + N, P + 2·N …; the logs stay where they are.
So the entries of an outcome are first in the log of P, up to its cursor at that time, and then in the log of the new
partition. Entries of P after that cursor whose key moved are forwarded to the new log.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from witnd.domain.outcomes.event import EntryId
from witnd.domain.outcomes.partitioning import partition_of
from witnd.store.keys import Keys

_BORDER: Final = re.compile(r"(0|[1-9][0-9]{0,5}):([0-9]{1,20})-([0-9]{1,20})", re.ASCII)


class Border(NamedTuple):
    """A number, and the last entry for which it holds."""

    number: int
    last: EntryId


class Span(NamedTuple):
    """The entries of a log with ids in (`after`, `last`]. `last` is None for all after `after`."""

    log: int
    after: EntryId
    last: EntryId | None

    def __contains__(self, entry: object) -> bool:
        return isinstance(entry, tuple) and self.after < entry and (self.last is None or entry <= self.last)


class Lineage(NamedTuple):
    """The history of a partition. Both are empty before the first repartition, and oldest first.

    `origins`: other partitions whose logs have entries of its outcomes, each with the last such entry.
    `earlier`: earlier numbers of partitions, since it exists, each with the last entry that its log had then.
    """

    origins: tuple[Border, ...] = ()
    earlier: tuple[Border, ...] = ()

    @property
    def earlier_counts(self) -> tuple[int, ...]:
        return tuple(number for number, _ in self.earlier)

    def spans(self, partition: int) -> list[Span]:
        """Return the parts of logs that have the entries of this partition's outcomes, in order."""
        found, after = [], (0, 0)
        for number, last in self.origins:
            found.append(Span(number, after, last))
            after = last
        return [*found, Span(partition, after, None)]

    def log_of(self, partition: int, entry: EntryId) -> int:
        """Return the partition whose log has an entry of this partition's outcomes."""
        return next(span.log for span in self.spans(partition) if entry in span or span.last is None)

    def count_at(self, entry: EntryId, partitions: int) -> int:
        """Return the number of partitions when an entry of this log was read. `partitions` is the current number."""
        return next((number for number, last in self.earlier if entry <= last), partitions)

    def forwarded_to(self, partition: int, key: str, entry: EntryId, partitions: int) -> int | None:
        """Return the partition to which the event of an applied entry was forwarded, or None if it was not."""
        count = self.count_at(entry, partitions)
        home = partition_of(key, count)
        if home == partition:
            return None
        was_here = any(partition_of(key, number) == partition for number, _ in self.earlier if number < count)
        return home if was_here else None


def sibling(keys: Keys, partition: int) -> Keys:
    """Return the keys of another partition with the same prefix."""
    return Keys(keys.base.removesuffix(f":{{{keys.partition}}}"), partition)


def encode_borders(borders: Iterable[Border]) -> str:
    return " ".join(f"{number}:{ms}-{seq}" for number, (ms, seq) in borders)


def decode_borders(text: str) -> tuple[Border, ...] | None:
    """Return the borders that `encode_borders` wrote, or None for another text."""
    found = [_BORDER.fullmatch(word) for word in text.split()]
    borders = [Border(int(one[1]), (int(one[2]), int(one[3]))) for one in found if one is not None]
    return tuple(borders) if len(borders) == len(found) else None
