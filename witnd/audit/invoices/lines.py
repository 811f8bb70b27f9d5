"""The lines of all partitions for an audit: period by period, as far as the biller has read them.

A partition's lines are in the order in which its outcomes resolved, so those of one period lie together. Which invoice
they belong to is left to others.
"""

from collections.abc import AsyncIterator, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from witnd.audit.findings import OTHERS, Findings
from witnd.domain.invoices.invoice import Row
from witnd.domain.outcomes.event import EntryId
from witnd.domain.outcomes.resolution import Line
from witnd.domain.values import instant
from witnd.store.errors import Unsafe
from witnd.store.keys import Keys
from witnd.store.log.reader import entry_id
from witnd.store.query.reads import PAGE, Entry, Reads, text_of
from witnd.store.records.json_record import decode_record

# Of what is the same in a line and in its row; the last four only where the line came with an amount.
CONTENT: Final = (
    "outcome_key", "agent_key", "resolved_at", "unit", "rate_card", "price_hash", "contract_hash", "rated",
    "repaired_at", "price_per_unit", "amount", "amount_exact", "working",
)  # fmt: skip

Content: TypeAlias = tuple[Any, ...]
Positions: TypeAlias = dict[int, EntryId]

_UNPRICED: Final = (None, None, None, None)
_pack = msgspec.msgpack.Encoder().encode


class Told(NamedTuple):
    """A line, where it stands and the instant that decides about its period."""

    partition: int
    entry: EntryId
    at: int
    line: Line


def line_content(told: Told) -> Content:
    line = told.line
    priced = _UNPRICED if line.rated == "at_close" else _priced(line, line.working or None)
    return (
        line.outcome_key, line.agent_key, line.resolved_at, line.unit, line.rate_card, line.price_hash,
        line.contract_hash, line.rated, line.repaired_at or None, *priced,
    )  # fmt: skip


def row_content(row: Row) -> Content:
    priced = _UNPRICED if row.rated == "at_close" else _priced(row, row.working)
    return (
        row.outcome_key, row.agent_key, _instant(row.resolved_at), row.unit, row.rate_card, row.price_hash,
        row.contract_hash, row.rated, _instant(row.repaired_at), *priced,
    )  # fmt: skip


def _priced(one: Line | Row, working: object) -> Content:
    return one.price_per_unit, one.amount, one.amount_exact, working


def _instant(ms: int | None) -> str | None:
    return None if ms is None else instant.render(ms)


def mark(content: Content) -> int:
    """A number that stands for the content: equal sums of them are equal sets, in whatever order."""
    return int.from_bytes(blake2b(_pack(content), digest_size=16).digest())


class _Source:
    """One partition's stream: what is read of it and not taken yet, and behind which entry to read on."""

    __slots__ = ("after", "keys", "last_at", "page", "taken")

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.after: EntryId = (0, 0)
        self.taken: EntryId = (0, 0)
        self.page: list[Told] = []
        self.last_at = 0


class Streams:
    """Each line is answered once. `until` says how far to go, and may grow from call to call."""

    def __init__(self, reads: Reads, partitions: Sequence[Keys], findings: Findings) -> None:
        self._reads = reads
        self._findings = findings
        self._sources = [_Source(keys) for keys in partitions]

    @property
    def taken(self) -> Positions:
        """The last entries that were answered."""
        return {source.keys.partition: source.taken for source in self._sources}

    async def next_at(self, until: Positions) -> int | None:
        """When the first of the lines resolved that are not taken yet."""
        instants = [page[0].at for source in self._sources if (page := await self._page(source, until))]
        return min(instants, default=None)

    async def take(self, end: int, until: Positions) -> AsyncIterator[list[Told]]:
        """The lines that resolved before an instant, in pages."""
        for source in self._sources:
            while page := await self._page(source, until):
                ready = next((place for place, told in enumerate(page) if told.at >= end), len(page))
                if ready:
                    source.taken = page[ready - 1].entry
                    source.page = page[ready:]
                    yield page[:ready]
                if ready < len(page):
                    break

    async def again(self, begin: int, end: int, after: Positions, until: Positions) -> AsyncIterator[list[Told]]:
        """The lines of a stretch of time between two positions, once more."""
        for source in self._sources:
            number = source.keys.partition
            place, last = after[number], until.get(number, (0, 0))
            while place < last:
                entries = await self._entries(source.keys, place, last)
                place = entries[-1][0] if len(entries) == PAGE else last
                told = [one for entry in entries if isinstance(one := _read(number, entry), Told)]
                yield [one for one in told if begin <= one.at < end]

    async def _page(self, source: _Source, until: Positions) -> list[Told]:
        """What is read and not taken; empty only where there is no more."""
        last = until.get(source.keys.partition, (0, 0))
        while not source.page and source.after < last:
            entries = await self._entries(source.keys, source.after, last)
            source.after = entries[-1][0] if len(entries) == PAGE else last
            for entry in entries:
                told = _read(source.keys.partition, entry)
                if isinstance(told, str):
                    at = f"{source.keys.lines} {text_of(entry[0])}"
                    self._findings.differ(f"line at {at}", "one that witnd wrote", told, OTHERS)
                    continue
                if told.at < source.last_at:
                    self._misplaced(source, told)
                source.last_at = max(source.last_at, told.at)
                source.page.append(told)
        return source.page

    async def _entries(self, keys: Keys, after: EntryId, last: EntryId) -> list[Entry]:
        command = ("XRANGE", keys.lines, f"({text_of(after)}", text_of(last), "COUNT", PAGE)
        return [(entry_id(name), fields) for name, fields in (await self._reads.pipeline(command))[0]]

    def _misplaced(self, source: _Source, told: Told) -> None:
        self._findings.differ(
            f"place of line {text_of(told.entry)} in {source.keys.lines}",
            f"behind lines that resolved until {told.line.resolved_at}",
            f"behind one that resolved {instant.render(source.last_at)}",
            OTHERS,
            key=told.line.outcome_key,
        )


def _read(partition: int, entry: Entry) -> Told | str:
    """A line, or what is wrong with it."""
    id_, fields = entry
    try:
        line = decode_record(fields[1], Line, "it")
        return Told(partition, id_, line.billed_at, line)
    except Unsafe as wrong:
        return wrong.reason
    except ValueError:
        return "unreadable: its instant is invalid"
