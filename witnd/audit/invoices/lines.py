"""Read the lines of all partitions period by period, up to the biller's positions.

A partition's lines are in the order of resolution, so the lines of a period are contiguous.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from witnd.audit.findings import FOREIGN_WRITE, RESTORE, Findings
from witnd.domain.invoices.invoice import Row
from witnd.domain.outcomes.event import EntryId
from witnd.domain.outcomes.resolution import Line
from witnd.domain.outcomes.reversal import ReversalLine
from witnd.domain.values import instant
from witnd.store.errors import Unsafe
from witnd.store.keys import Keys
from witnd.store.log.reader import entry_id
from witnd.store.query.reads import PAGE, Entry, Reads, text_of
from witnd.store.records.line_position import LinePosition, line_digest
from witnd.store.records.line_record import decode_line

# Fields that a line and its row share. The last four only if the line has an amount.
CONTENT: Final = (
    "outcome_key", "agent_key", "resolved_at", "unit", "rate_card", "price_hash", "contract_hash", "rated",
    "repaired_at", "grade", "price_per_unit", "amount", "amount_exact", "working",
)  # fmt: skip

Content: TypeAlias = tuple[Any, ...]
Positions: TypeAlias = dict[int, EntryId]

_UNPRICED: Final = (None, None, None, None)
_pack = msgspec.msgpack.Encoder().encode


class StreamLine(NamedTuple):
    """A line with its stream position and the instant (ms) that determines its period."""

    partition: int
    entry: EntryId
    at: int
    line: Line


def line_content(item: StreamLine) -> Content:
    line = item.line
    priced = _UNPRICED if line.rated == "at_close" else _price_content(line, line.working or None)
    return (
        line.outcome_key, line.agent_key, line.resolved_at, line.unit, line.rate_card, line.price_hash,
        line.contract_hash, line.rated, line.repaired_at or None, line.grade, *priced,
    )  # fmt: skip


def row_content(row: Row) -> Content:
    priced = _UNPRICED if row.rated == "at_close" else _price_content(row, row.working)
    return (
        row.outcome_key, row.agent_key, _instant(row.resolved_at), row.unit, row.rate_card, row.price_hash,
        row.contract_hash, row.rated, _instant(row.repaired_at), row.grade, *priced,
    )  # fmt: skip


def _price_content(one: Line | Row, working: object) -> Content:
    return one.price_per_unit, one.amount, one.amount_exact, working


def _instant(ms: int | None) -> str | None:
    return None if ms is None else instant.render(ms)


def mark(content: Content) -> int:
    """Return a digest as an integer. Equal sums of marks mean equal sets, in any order."""
    return int.from_bytes(blake2b(_pack(content), digest_size=16).digest())


class StreamReversal(NamedTuple):
    """A reversal entry with its stream position."""

    partition: int
    place: EntryId
    line: ReversalLine


class _Source:
    """The stream of one partition: its buffer and the last entry read."""

    __slots__ = ("after", "keys", "last_at", "page", "positions")

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.after: EntryId = (0, 0)
        self.positions: EntryId = (0, 0)
        self.page: list[StreamLine] = []
        self.last_at = 0


class LineStreams:
    """Yields each line once. `until` limits the positions and may grow between calls. `reversals` are the reversal
    entries that were read so far and not taken away."""

    def __init__(self, reads: Reads, partitions: Sequence[Keys], findings: Findings) -> None:
        self.reversals: list[StreamReversal] = []
        self._reads = reads
        self._findings = findings
        self._sources = [_Source(keys) for keys in partitions]

    @property
    def positions(self) -> Positions:
        """The last entries that were yielded."""
        return {source.keys.partition: source.positions for source in self._sources}

    async def next_instant(self, until: Positions) -> int | None:
        """Return the instant (ms) of the next line, or None."""
        instants = [page[0].at for source in self._sources if (page := await self._page(source, until))]
        return min(instants, default=None)

    async def lines_before(self, end: int, until: Positions) -> AsyncIterator[list[StreamLine]]:
        """Yield the lines before an instant, in pages."""
        for source in self._sources:
            while page := await self._page(source, until):
                ready = next((place for place, item in enumerate(page) if item.at >= end), len(page))
                if ready:
                    source.positions = page[ready - 1].entry
                    source.page = page[ready:]
                    yield page[:ready]
                if ready < len(page):
                    break

    async def lines_between(
        self, begin: int, end: int, after: Positions, until: Positions
    ) -> AsyncIterator[list[StreamLine]]:
        """Yield the lines of an interval between two positions again."""
        for source in self._sources:
            number = source.keys.partition
            place, last = after[number], until.get(number, (0, 0))
            while place < last:
                entries = await self._entries(source.keys, place, last)
                place = entries[-1][0] if len(entries) == PAGE else last
                item = [one for entry in entries if isinstance(one := _read(number, entry), StreamLine)]
                yield [one for one in item if begin <= one.at < end]

    async def _page(self, source: _Source, until: Positions) -> list[StreamLine]:
        """Return the buffered lines; empty only at the end."""
        last = until.get(source.keys.partition, (0, 0))
        while not source.page and source.after < last:
            entries = await self._entries(source.keys, source.after, last)
            source.after = entries[-1][0] if len(entries) == PAGE else last
            for entry in entries:
                item = _read(source.keys.partition, entry)
                if isinstance(item, StreamReversal):
                    self.reversals.append(item)
                    continue
                if isinstance(item, str):
                    at = f"{source.keys.lines} {text_of(entry[0])}"
                    self._findings.differ(f"line at {at}", "one that witnd wrote", item, FOREIGN_WRITE)
                    continue
                if item.at < source.last_at:
                    self._check_order(source, item)
                source.last_at = max(source.last_at, item.at)
                source.page.append(item)
        return source.page

    async def _entries(self, keys: Keys, after: EntryId, last: EntryId) -> list[Entry]:
        command = ("XRANGE", keys.lines, f"({text_of(after)}", text_of(last), "COUNT", PAGE)
        return [(entry_id(name), fields) for name, fields in (await self._reads.pipeline(command))[0]]

    def _check_order(self, source: _Source, item: StreamLine) -> None:
        self._findings.differ(
            f"place of line {text_of(item.entry)} in {source.keys.lines}",
            f"behind lines that resolved until {item.line.resolved_at}",
            f"behind one that resolved {instant.render(source.last_at)}",
            FOREIGN_WRITE,
            key=item.line.outcome_key,
        )


def _read(partition: int, entry: Entry) -> StreamLine | StreamReversal | str:
    """Return a line or a reversal, or why it is unreadable."""
    id_, fields = entry
    try:
        line = decode_line(fields[1], "it")
        if isinstance(line, ReversalLine):
            return StreamReversal(partition, id_, line) if line.at >= line.billed_at else "before its line"
        return StreamLine(partition, id_, line.billed_at, line)
    except Unsafe as wrong:
        return wrong.reason
    except ValueError:
        return "unreadable: its instant is invalid"


async def check_positions(
    reads: Reads, partitions: Sequence[Keys], positions: Mapping[int, LinePosition], findings: Findings
) -> None:
    """Check that the biller's last lines were not trimmed or replaced."""
    for keys in partitions:
        position = positions.get(keys.partition)
        if position is None:
            continue
        place = text_of(position.entry)
        found = (await reads.pipeline(("XRANGE", keys.lines, place, place)))[0]
        what = f"line {position.number} of {keys.lines}"
        if not found:
            findings.differ(what, "there: the biller has read up to it", "none", RESTORE)
        elif line_digest(found[0][1][1]) != position.digest:
            findings.differ(what, "the one that the biller has read", "another", RESTORE)
