"""Follow what the daemon writes, and print a line for each change: applied log entries, fates, resolutions and
catalogue versions.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from witnd.demo import account
from witnd.demo.account import Line
from witnd.demo.receiver import Receipt
from witnd.domain.catalogue.catalogue import KINDS, Catalogue
from witnd.domain.outcomes.event import EntryId, Event, Retry, read
from witnd.domain.outcomes.explain import ExplainedEvent, explanation
from witnd.domain.outcomes.outcome import Outcome
from witnd.domain.outcomes.recount import restore_outcome
from witnd.domain.outcomes.resolution import Resolution
from witnd.store.catalogue.versions import CatalogueStore
from witnd.store.keys import Keys
from witnd.store.log.reader import entry_id
from witnd.store.query.reads import Reads, text_of

POLL_SECONDS: Final = 0.1
PAGE: Final = 500


class Watch:
    """Prints changes: `run()` until `until` is set and everything written before is printed."""

    def __init__(self, reads: Reads, keys: Keys, store: CatalogueStore, tell: Callable[[Line], None]) -> None:
        self._reads = reads
        self._keys = keys
        self._store = store
        self._tell = tell
        self._catalogue = Catalogue()
        self._known_to = 0
        self._receipts: list[Receipt] = []
        self._log: EntryId = (0, 0)
        self._resolutions: EntryId = (0, 0)

    async def run(self, until: asyncio.Event) -> None:
        last = False
        while not last:
            last = until.is_set()
            await self.poll()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(until.wait(), POLL_SECONDS)

    def add_receipt(self, receipt: Receipt) -> None:
        """Add a received webhook. It is printed after its resolution, which the next poll reads."""
        self._receipts.append(receipt)

    async def poll(self) -> None:
        """Print new changes in the order of their instants."""
        receipts, self._receipts = self._receipts, []
        lines = [*map(account.webhook_line, receipts), *await self._catalogue_lines()]
        cursor = await self._reads.cursor(self._keys)
        for entry, fields in await self._rows(self._keys.events, self._log, cursor):
            self._log = entry
            lines += await self._entry_lines(entry, fields)
        for entry, fields in await self._rows(self._keys.resolutions, self._resolutions, None):
            self._resolutions = entry
            lines.append(await self._resolution_line(fields))
        for line in sorted(lines, key=lambda one: one.at_ms):
            self._tell(line)

    async def _rows(self, stream: str, after: EntryId, until: EntryId | None) -> list[tuple[EntryId, list[bytes]]]:
        end = "+" if until is None else text_of(until)
        found: list[tuple[EntryId, list[bytes]]] = []
        if until is not None and until <= after:
            return found
        rows = (await self._reads.pipeline(("XRANGE", stream, f"({text_of(after)}", end, "COUNT", PAGE)))[0]
        return [(entry_id(name), fields) for name, fields in rows if fields is not None]

    async def _catalogue_lines(self) -> list[Line]:
        """Return the lines of new versions; the sample catalogue takes effect at 0."""
        if not await self._store.load(self._catalogue):
            return []
        entries = [
            entry
            for kind in KINDS
            for key in self._catalogue.keys(kind)
            for entry in self._catalogue.versions(kind, key)
            if entry.effective_from > self._known_to
        ]
        self._known_to = max([self._known_to, *(entry.effective_from for entry in entries)])
        return [account.catalogue_line(entry) for entry in entries]

    async def _entry_lines(self, entry: EntryId, fields: Sequence[bytes]) -> list[Line]:
        item = read(fields)
        event = item if isinstance(item, Event) else None
        if isinstance(item, Retry):
            return await self._placement_lines(item.key, entry[0])
        fate = (await self._reads.fates_of(self._keys, [text_of(entry)]))[0]
        if fate is not None:
            outcome = None if event is None else await self._outcome(event.key)
            return [account.rejected_line(entry[0], fate, event, outcome)]
        if event is None:
            return []  # a tick
        outcome, events = await self._story(event.key)
        place = next((i for i, one in enumerate(events) if one.entry == text_of(entry)), None)
        if outcome is None or place is None:
            return []
        if events[place].placed_at is not None:
            # Its line is printed with its placement.
            return []
        lines = await self._placement_lines(event.key, entry[0])
        one = account.applied_line(event.key, events, place, outcome)
        return lines if one is None else [*lines, one]

    async def _placement_lines(self, key: str, at_ms: int) -> list[Line]:
        outcome, events = await self._story(key)
        line = None if outcome is None else account.placement_line(key, events, at_ms, outcome)
        return [] if line is None else [line]

    async def _resolution_line(self, fields: Sequence[bytes]) -> Line:
        resolution = msgspec.json.decode(fields[1], type=Resolution)
        outcome = await self._outcome(resolution.outcome_key)
        assert outcome is not None, resolution
        return account.resolution_line(resolution, outcome)

    async def _outcome(self, key: str) -> Outcome | None:
        record = (await self._reads.outcome(self._keys, key))[0]
        if record is None:
            return None
        contract = self._catalogue.contract(record.contract_hash)
        return restore_outcome(key, record, contract, self._catalogue.price_by_hash(record.price_hash))

    async def _story(self, key: str) -> tuple[Outcome | None, Sequence[ExplainedEvent]]:
        outcome = await self._outcome(key)
        if outcome is None:
            return None, ()
        items = [item async for page in self._reads.history(self._keys, key) for item in page]
        return outcome, explanation(outcome, items).events
