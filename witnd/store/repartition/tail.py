"""Forwards the events that producers appended to the old logs during the repartition.

They are written to the new logs with their ids, before any other entry. So they count as accepted when Redis accepted
them, and an outcome whose settlement period ended meanwhile still receives them in time.
"""

from collections.abc import Mapping
from typing import Final

from redis.asyncio import Redis

from witnd.domain.outcomes.event import Event, read
from witnd.domain.outcomes.partitioning import partition_of
from witnd.fold.step import FORWARD_WORDS_MAX, Forwarded
from witnd.store.log.ahead import AHEAD_MAX_MS
from witnd.store.log.forward import MOST, forward
from witnd.store.records.log_snapshot import entry_id, text_of
from witnd.store.repartition.slot import Slot

PAGE: Final = 500


async def forward_tail(
    client: Redis, source: Slot, targets: Mapping[int, Slot], partitions: int, earlier: int, now_ms: int
) -> int:
    """Forward the unread events of moved keys. Return how many. Events ahead of the server's clock are left to the
    daemon. `earlier` is the old number of partitions, `now_ms` this host's clock."""
    after, count = source.cursor, 0
    while True:
        command = ("XRANGE", source.keys.events, f"({text_of(after)}", "+", "COUNT", PAGE)
        rows: list[tuple[bytes, list[bytes] | None]] = (await source.ask(command))[0]
        events: dict[int, list[Forwarded]] = {}
        for name, fields in rows:
            after = entry_id(name)
            number = None if fields is None else _target(fields, source.number, partitions, earlier)
            if fields is not None and number is not None:
                events.setdefault(number, []).append(Forwarded(after, number, fields))
        for number, found in events.items():
            for start in range(0, len(found), MOST):
                part = found[start : start + MOST]
                done = await forward(client, source.number, targets[number].keys, part, now_ms + AHEAD_MAX_MS)
                count += done
                if done < len(part):
                    return count
        if len(rows) < PAGE:
            return count


def _target(fields: list[bytes], source: int, partitions: int, earlier: int) -> int | None:
    """Return the partition to which an entry is forwarded, or None if it stays."""
    item = read(fields)
    if not isinstance(item, Event) or len(fields) > FORWARD_WORDS_MAX or partition_of(item.key, earlier) != source:
        return None
    number = partition_of(item.key, partitions)
    return None if number == source else number
