"""How far the invoices have collected the reversals of outcomes."""

import asyncio
from typing import Final

from witnd.app.services import Services
from witnd.store.keys import BillingKeys
from witnd.store.query.reads import Command, Reads, open_reads
from witnd.store.records.log_snapshot import entry_id
from witnd.store.records.state_fields import StateFields

# How long to wait for the daemon to collect the existing lines: 2 s. It reads them within 0.3 s.
POLLS: Final = 40
POLL_SECONDS: Final = 0.05


async def collected_through(services: Services) -> int | None:
    """Return the instant (ms) up to which all logs are applied, once the invoices have everything before it. Return
    None if no daemon collects it in time."""
    async with open_reads(services.server) as reads:
        positions: list[Command] = [("HMGET", keys.state, "cursor", "lines") for keys in services.partitions]
        found = await reads.pipeline(*positions)
        through, lines = None, {}
        for keys, (cursor, count) in zip(services.partitions, found, strict=True):
            applied = (0, 0) if cursor is None else entry_id(cursor)
            through = applied[0] if through is None else min(through, applied[0])
            lines[keys.partition] = StateFields.from_value(keys.state, "lines", count).number("lines")
        for _ in range(POLLS):
            if await _is_collected(services, reads, lines):
                return through
            await asyncio.sleep(POLL_SECONDS)
    return None


async def _is_collected(services: Services, reads: Reads, lines: dict[int, int]) -> bool:
    """Return whether the invoices have this many lines of each partition."""
    state = BillingKeys(services.config.redis.prefix).state
    [flat] = await reads.pipeline(("HGETALL", state))
    read = StateFields.from_hash(state, flat).positions()
    return all(count == 0 or (number in read and read[number].number >= count) for number, count in lines.items())
