"""Splits the counters of a partition after its outcomes moved.

The counters of a new partition are calculated from its records. The old partition keeps the rest, so that the sums do
not change: its counters also include what no record shows, such as the applied events of an unreadable outcome.
"""

from typing import Final

from witnd.domain.outcomes.outcome import STATUSES
from witnd.store.records.codec import OutcomeRecord, outcome_record
from witnd.store.records.lineage import Border, encode_borders
from witnd.store.repartition.mover import BATCH, Mover
from witnd.store.repartition.outcomes import WAITING_FATES
from witnd.store.repartition.slot import Slot

# Counters of what moves with outcome keys. The others count entries of the log, which stays.
MOVED: Final = (*STATUSES, *WAITING_FATES, "applied")


async def split_counters(mover: Mover, partitions: int) -> None:
    """Write the counters of the new partitions, then those of the old one, with its last entry under the old number
    `partitions`. That entry shows that the counters are split, so a repeated run leaves them."""
    source = mover.source
    rest = {name: source.counters.get(name, 0) for name in MOVED}
    for target in mover.targets.values():
        found = await _counted(target)
        await target.write(("HSET", target.keys.state, *[word for pair in found.items() for word in pair]))
        rest = {name: count - found[name] for name, count in rest.items()}
    earlier = encode_borders((*source.lineage.earlier, Border(partitions, source.cursor)))
    counts = [word for name, count in rest.items() for word in (name, max(0, count))]
    await source.write(("HSET", source.keys.state, *counts, "earlier", earlier))


async def _counted(slot: Slot) -> dict[str, int]:
    """Return the counters of a new partition, from its records."""
    keys = slot.keys
    names = [*map(keys.with_status, STATUSES), *map(keys.fates_of, WAITING_FATES)]
    counts = await slot.ask(*(("ZCARD", name) for name in names))
    return dict(zip((*STATUSES, *WAITING_FATES), counts, strict=True)) | {"applied": await _applied(slot)}


async def _applied(slot: Slot) -> int:
    """Count the applied events of all readable outcomes. Nothing else writes, so pages by index are complete."""
    keys, total, start = slot.keys, 0, 0
    prefix = keys.outcome("").encode()
    while True:
        [names] = await slot.ask(("ZRANGE", keys.keys, start, start + BATCH - 1))
        if not names:
            return total
        [records] = await slot.ask(("MGET", *[prefix + name for name in names]))
        for name, raw in zip(names, records, strict=True):
            record = outcome_record(name.decode(errors="replace"), raw)
            total += record.events if isinstance(record, OutcomeRecord) else 0
        start += BATCH
