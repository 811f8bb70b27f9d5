"""Reads and writes of the biller: lines of all partitions, drafts, and its numbered, fenced state.

One connection may block in the server while it waits for lines; the other is for calls that do not block. Every call
may raise `StoreUnavailable` or `StoreRefused`; the caller decides about retries.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.chain import Head
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.values.period import Calendar
from witnd.settings import Durability
from witnd.store.catalogue.loader import add_stored, check_head, decode_head
from witnd.store.errors import Unsafe
from witnd.store.invoices.codec import decode_invoice, decode_row
from witnd.store.invoices.partition_reads import PartitionReads
from witnd.store.keys import BillingKeys, GlobalKeys, Keys
from witnd.store.log.reader import append_control, entry_id
from witnd.store.partition import commit
from witnd.store.partition.commit import Commit
from witnd.store.records import calendar
from witnd.store.records.line_position import (
    REMEDY,
    START,
    LinePosition,
    check_line,
    missing_lines,
    next_number,
    removal,
)
from witnd.store.records.line_record import LineEntry, decode_line
from witnd.store.records.log_snapshot import text_of
from witnd.store.records.score import score_to_int
from witnd.store.records.state_fields import StateFields
from witnd.store.server import wire
from witnd.store.server.connection import Endpoint
from witnd.store.server.durability import Confirmations
from witnd.store.server.routing.health import read_primary
from witnd.store.server.routing.wires import Connection
from witnd.store.server.safety import Health

ANSWER_SECONDS = 5.0
COMMIT_SECONDS = 10.0


def stored_calendar(fields: StateFields) -> Calendar | None:
    """Return the calendar of periods from the biller's state."""
    text = fields.text(calendar.FIELD)
    try:
        return None if text is None else calendar.decode_calendar(text.encode())
    except msgspec.MsgspecError as wrong:
        raise fields.damage(calendar.FIELD, f"cannot be read ({wrong})") from wrong


class LedgerState(NamedTuple):
    """The committed position of the biller."""

    sequence: int
    read: dict[int, LinePosition]  # partition → its last collected line
    calendar: Calendar | None
    closed_to: int  # every period that ends at or before this is closed
    charged_to: int  # up to here, all drafts for fees exist
    closing: str | None  # the invoice whose rows are being written
    catalogue: Head | None  # the head that the last step used


class Positions(NamedTuple):
    """The positions of all partitions, read in one round trip."""

    now_ms: int
    cursors: list[int]  # per partition: the instant up to which all is settled
    logs: list[int]  # per partition: the instant of its log's last entry
    lines: list[int]  # per partition: the number of its lines
    catalogue: Head


class NewLine(NamedTuple):
    """A line with its number in its partition, and its stored form."""

    partition: int
    number: int
    line: LineEntry
    stored: bytes


class Ledger:
    """The biller's store. It uses `Wire`, because closing a period writes as much as applying events."""

    def __init__(self, endpoint: Endpoint, prefix: str, partitions: int, name: str, durability: Durability) -> None:
        self.keys = BillingKeys(prefix)
        self.partitions = [Keys(prefix, number) for number in range(partitions)]
        self._shared = GlobalKeys(prefix)
        self._caller = Connection(endpoint, name, self.keys.state)
        self._reads = PartitionReads(endpoint, self.partitions, durability, name)
        self._confirm_catalogue = Confirmations(endpoint, self._shared.confirmed, durability, name)

    def close(self) -> None:
        self._caller.close()
        self._reads.close()
        self._confirm_catalogue.close()

    async def ask(self, *commands: Sequence[str | bytes | int]) -> list[Any]:
        if self._reads.is_cluster:
            return await self._reads.ask(*commands)
        return await (await self._connection()).ask(*commands, seconds=ANSWER_SECONDS)

    async def health(self) -> Health:
        """Read the state of the invoices' server."""
        return await read_primary(self._caller, ANSWER_SECONDS)

    async def _connection(self) -> wire.Wire:
        return await self._caller.wire()

    async def state(self) -> LedgerState:
        """Return the position. Raises `Unsafe` after a repartition: lines of new partitions would be left out."""
        flat, recorded = await self.ask(("HGETALL", self.keys.state), ("HGET", self._shared.meta, "partitions"))
        if recorded is not None and int(recorded) != len(self.partitions):
            raise Unsafe(
                f"the deployment has {int(recorded)} partitions now, and this daemon makes invoices of "
                f"{len(self.partitions)}",
                f"set redis.partitions to {int(recorded)} and start it again",
            )
        fields = StateFields.from_hash(self.keys.state, flat)
        return LedgerState(
            sequence=fields.number("seq"),
            read=fields.positions(),
            calendar=stored_calendar(fields),
            closed_to=fields.number("closed_to"),
            charged_to=fields.number("charged_to"),
            closing=fields.text("closing") or None,
            catalogue=fields.head("catalogue"),
        )

    async def check_positions(self, read: Mapping[int, LinePosition]) -> None:
        """Compare the last collected lines with the stored ones. Raises `Unsafe`."""
        positions = [(keys.lines, read[keys.partition]) for keys in self.partitions if keys.partition in read]
        if not positions:
            return
        entries = [text_of(position.entry) for _, position in positions]
        answers = await self.ask(
            *[("XRANGE", stream, at, at) for (stream, _), at in zip(positions, entries, strict=True)]
        )
        for (stream, position), found in zip(positions, answers, strict=True):
            check_line(stream, position, found[0][1][1] if found else None)

    async def new_lines(
        self, read: Mapping[int, LinePosition], most: int, block_ms: int, counts: Sequence[int] = ()
    ) -> list[NewLine]:
        """Return up to `most` lines of each partition after the given positions. Wait for one up to `block_ms`.

        `counts`: the number of lines of each partition before this call. Raises `Unsafe` if a line is missing.
        """
        streams = {keys.lines: keys.partition for keys in self.partitions}
        last = {keys.partition: read.get(keys.partition, START).number for keys in self.partitions}
        after = {name: text_of((last[number], 0)) for name, number in streams.items()}
        found: list[NewLine] = []
        for stream, entries in await self._reads.new_entries(after, most, block_ms):
            name = stream.decode()
            partition = streams[name]
            for id_, fields in entries:
                number = last[partition] = next_number(name, last[partition], id_)
                line = decode_line(fields[1], f"line {number} of {name}", _line_remedy(name, number))
                found.append(NewLine(partition, number, line, fields[1]))
        partitions = {line.partition for line in found}
        for keys, count in zip(self.partitions, counts, strict=False):
            if keys.partition not in partitions and count > last[keys.partition]:
                raise missing_lines(keys.lines, last[keys.partition] + 1, count)
        if found:
            await self._reads.confirm("lines", {number: last[number] for number in partitions})
        return found

    async def known_rows(self, ids: Mapping[str, Sequence[str]]) -> set[tuple[str, str]]:
        """Return (invoice, row id) for each row that its open draft already has."""
        if not ids:
            return set()
        commands: list[Sequence[str | bytes | int]] = [
            ("SMISMEMBER", self.keys.row_ids(id_), *map(row_mark, rows)) for id_, rows in ids.items()
        ]
        answers = await self.ask(*commands)
        return {
            (id_, row)
            for (id_, rows), found in zip(ids.items(), answers, strict=True)
            for row, is_member in zip(rows, found, strict=True)
            if is_member
        }

    async def find_invoices(self, ids: Iterable[str]) -> dict[str, Invoice]:
        """Return the existing invoices by id."""
        if not (ids := list(ids)):
            return {}
        found = {}
        answers = await self.ask(*[("HGETALL", self.keys.invoice(id_)) for id_ in ids])
        for id_, flat in zip(ids, answers, strict=True):
            invoice = decode_invoice(id_, {flat[i]: flat[i + 1] for i in range(0, len(flat), 2)})
            if invoice is not None:
                found[id_] = invoice
        return found

    async def positions(self) -> Positions:
        commands: list[tuple[str, ...]] = [("TIME",), ("GET", self._shared.catalogue_head)]
        for keys in self.partitions:
            commands += [
                ("HMGET", keys.state, "cursor", "lines", "seq"),
                ("XREVRANGE", keys.events, "+", "-", "COUNT", "1"),
            ]
        time, head, *rest = await self.ask(*commands)
        await self._reads.confirm("seq", dict(enumerate(self._counts([steps for *_, steps in rest[::2]], "seq"))))
        return Positions(
            now_ms=int(time[0]) * 1000 + int(time[1]) // 1000,
            cursors=[
                StateFields.from_value(keys.state, "cursor", cursor).entry("cursor")[0]
                for keys, (cursor, *_) in zip(self.partitions, rest[::2], strict=True)
            ],
            logs=[entry_id(last[0][0])[0] if last else 0 for last in rest[1::2]],
            lines=self._counts([count for _, count, _ in rest[::2]]),
            catalogue=decode_head(head),
        )

    async def catalogue_head(self) -> Head:
        return decode_head((await self.ask(("GET", self._shared.catalogue_head)))[0])

    async def line_counts(self) -> list[int]:
        """Return the number of lines of each partition."""
        answers = await self.ask(*[("HGET", keys.state, "lines") for keys in self.partitions])
        return self._counts(answers)

    def _counts(self, answers: Sequence[bytes | None], field: str = "lines") -> list[int]:
        states = zip(self.partitions, answers, strict=True)
        return [StateFields.from_value(keys.state, field, count).number(field) for keys, count in states]

    async def tick(self, partition: int, latest_ms: int) -> None:
        """Append a tick to a quiet log, unless the server's clock is past `latest_ms`. After a lost reply it may be
        appended twice, which is harmless."""
        await self.ask(append_control(self.partitions[partition].events, latest_ms, "witnd", "tick"))

    async def first_end(self) -> int | None:
        """Return the earliest end of an open draft's period (ms), or None."""
        found = (await self.ask(("ZRANGE", self.keys.open, 0, 0, "WITHSCORES")))[0]
        return score_to_int(found[1]) if found else None

    async def open_until(self, end: int, most: int) -> list[str]:
        """Return ids of open drafts whose periods end at or before an instant."""
        command = ("ZRANGEBYSCORE", self.keys.open, "-inf", end, "LIMIT", 0, most)
        return [id_.decode() for id_ in (await self.ask(command))[0]]

    async def to_issue(self, start: int, most: int) -> list[tuple[str, int]]:
        """Return a page of closed drafts, oldest first, each with the end of its period."""
        flat = (await self.ask(("ZRANGE", self.keys.to_issue, start, start + most - 1, "WITHSCORES")))[0]
        return [(flat[i].decode(), score_to_int(flat[i + 1])) for i in range(0, len(flat), 2)]

    async def to_adjust(self, until: int, start: int, most: int) -> list[str]:
        """Return a page of the drafts with manual lines whose period ends by an instant (ms)."""
        limit = ("LIMIT", start, most)
        return [id_.decode() for id_ in (await self.ask(("ZRANGEBYSCORE", self.keys.to_adjust, 0, until, *limit)))[0]]

    async def past_due(self, day: int, start: int, most: int) -> list[str]:
        """Return a page of the unpaid invoices whose due date is before a day, and that were never overdue."""
        command = ("ZRANGEBYSCORE", self.keys.not_overdue, "-inf", f"({day}", "LIMIT", start, most)
        return [id_.decode() for id_ in (await self.ask(command))[0]]

    async def draft_rows(self, id_: str, partition: int, start: int, most: int) -> list[tuple[Row, bytes]]:
        """Return a page of an open draft's rows from one partition, each with its stored form."""
        found = (await self.ask(("LRANGE", self.keys.rows(id_, partition), start, start + most - 1)))[0]
        return [(decode_row(record), record) for record in found]

    async def load_catalogue(self, catalogue: Catalogue) -> None:
        """Load new versions into the catalogue. Another task may add versions during the await."""
        known = catalogue.chain.head
        raw, entries = await self.ask(
            ("GET", self._shared.catalogue_head), ("LRANGE", self._shared.catalogue, known.count, -1)
        )
        head = decode_head(raw)
        check_head(catalogue, known, head)
        if entries:
            await self._confirm_catalogue.confirm()
        add_stored(catalogue, known.count, head, entries)

    async def commit(self, step: Commit, fence: str) -> None:
        """Write a step. After `StoreUnavailable`, repeat the call with the same step until it succeeds."""
        packed = step.packed(fence)
        caller = await self._connection()
        replies = await caller.wait(caller.send_packed(packed.by_digest(), 1), COMMIT_SECONDS)
        await commit.finish(caller, packed, replies, COMMIT_SECONDS)


def row_mark(id_: str) -> bytes:
    """Return the short digest of a row id for the set of a draft's rows: ids are long, and a draft has many rows."""
    return blake2b(id_.encode(), digest_size=16).digest()


def _line_remedy(stream: str, number: int) -> str:
    """Return the remedy for an unreadable line."""
    return f"if another program wrote it, {removal(stream, f'{number}-0')}; if witnd wrote it, {REMEDY}"
