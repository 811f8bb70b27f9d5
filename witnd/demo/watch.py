"""Follow what the daemon writes, and print a line for each processed event and each final outcome."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import msgspec

from witnd.app.outcomes import fates
from witnd.app.outcomes.list import one
from witnd.app.services import Services
from witnd.demo import account
from witnd.demo.account import Line
from witnd.domain.outcomes.event import EntryId
from witnd.domain.outcomes.explain import ExplainedEvent
from witnd.domain.values import instant
from witnd.domain.webhooks.sources import REVERSED
from witnd.store.log.reader import entry_id
from witnd.store.query.fates import APPLIED, CONTROL
from witnd.store.query.reads import Reads, text_of

POLL_SECONDS: Final = 0.1
PAGE: Final = 500


class _Resolution(msgspec.Struct):
    """The start of a resolution or reversal."""

    type: str
    outcome_key: str


class Watch:
    """Prints changes: `run()` until `until` is set and everything written before is printed. `first_final` is the key
    of the first final outcome."""

    def __init__(self, services: Services, reads: Reads, show: Callable[[Line], None]) -> None:
        self.first_final: str | None = None
        self._services = services
        self._reads = reads
        (self._keys,) = services.partitions
        self._show = show
        self._lines: list[Line] = []
        self._log: EntryId = (0, 0)
        self._resolutions: EntryId = (0, 0)

    async def skip(self) -> None:
        """Leave out all that is processed already."""
        self._log = await self._reads.cursor(self._keys)
        [last] = (await self._reads.pipeline(("XREVRANGE", self._keys.resolutions, "+", "-", "COUNT", 1)))[0]
        self._resolutions = entry_id(last[0])

    async def run(self, until: asyncio.Event) -> None:
        last = False
        while not last:
            last = until.is_set()
            await self._poll()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(until.wait(), POLL_SECONDS)

    def add(self, line: Line) -> None:
        """Add a line of another part. The next poll prints it, after the changes that caused it."""
        self._lines.append(line)

    async def _poll(self) -> None:
        """Print new changes in the order of their instants."""
        lines, self._lines = self._lines, []
        cursor = await self._reads.cursor(self._keys)
        for entry, _ in await self._rows(self._keys.events, self._log, text_of(cursor)):
            self._log = entry
            lines += await self._entry_lines(entry)
        for entry, fields in await self._rows(self._keys.resolutions, self._resolutions, "+"):
            self._resolutions = entry
            resolution = msgspec.json.decode(fields[1], type=_Resolution)
            if resolution.type == REVERSED:
                continue  # the line of the event shows it
            found = await one(self._services, resolution.outcome_key)
            assert found is not None, fields
            self.first_final = self.first_final or found.key
            lines.append(account.resolution_line(found))
        for line in sorted(lines, key=lambda one: one.at_ms):
            self._show(line)

    async def _rows(self, stream: str, after: EntryId, until: str) -> list[tuple[EntryId, list[bytes]]]:
        rows = (await self._reads.pipeline(("XRANGE", stream, f"({text_of(after)}", until, "COUNT", PAGE)))[0]
        return [(entry_id(name), fields) for name, fields in rows]

    async def _entry_lines(self, entry: EntryId) -> list[Line]:
        fate = await fates.one(self._services, text_of(entry))
        if fate.fate not in (APPLIED, CONTROL):
            return [account.fate_line(fate)]
        # A tick has no key.
        found = None if fate.key is None else await one(self._services, fate.key)
        events = () if found is None or found.story is None else found.story.events
        return [account.event_line(found.key, event) for event in events if found and _is_cause(entry, event)]


def _is_cause(entry: EntryId, event: ExplainedEvent) -> bool:
    """Return whether the daemon applied the event when it read the entry."""
    if event.placed_at is None:
        return event.entry == text_of(entry)
    return event.placed_at == instant.render(entry[0])
