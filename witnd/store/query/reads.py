"""Reads positions, fates, records and streams of a partition, for commands and pages.

It uses raw connections, because redis-py turns the fields of an entry into a dictionary and loses repeated names.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, TypeAlias

import hiredis

from witnd.domain.catalogue.chain import EMPTY, Head
from witnd.domain.outcomes.event import EntryId
from witnd.fold.history import HistoryItem, decode_history
from witnd.store.errors import StoreRefused, Unreadable
from witnd.store.keys import Keys
from witnd.store.records.codec import FateRecord, OutcomeRecord, decode_fate, decode_outcome
from witnd.store.records.lineage import Lineage
from witnd.store.records.log_snapshot import LogSnapshot, entry_id, stream_positions
from witnd.store.records.score import score_to_int
from witnd.store.records.sealed import unseal_items
from witnd.store.records.state_fields import StateFields
from witnd.store.server import wire
from witnd.store.server.connection import Endpoint, refusal
from witnd.store.server.routing.wires import Wires

FATES: Final = ("held", "rejected", "reversed", "late", "duplicate", "conflict", "waiting")
ANSWER_SECONDS: Final = 10.0
PAGE: Final = 500  # entries or keys per read: some 100 KiB usually
ITEMS: Final = 1000  # history items per read
# A search for rare entries must still end; the cursor leads to the rest.
LOOKED_AT_MAX: Final = 100_000

Command: TypeAlias = Sequence[str | bytes | int]
Entry: TypeAlias = tuple[EntryId, list[bytes]]


class Position(NamedTuple):
    """The position of a partition, read in one transaction."""

    sequence: int
    cursor: EntryId
    read: int  # entries up to the cursor
    gaps: int  # how often `witnd repair gap` accepted that entries are missing
    lost: int  # how many entries those were, as far as known
    lines: int  # invoice lines ever written: the number of the last one
    catalogue: Head | None  # the head that the last step used
    counters: dict[str, int]
    snapshot: LogSnapshot
    lineage: Lineage


class EntryStatus(NamedTuple):
    """The stored data about one entry, read in one transaction."""

    fate: FateRecord | None
    entry: list[bytes] | None
    cursor: EntryId


class Reads:
    """Reads over one connection, or over one to each primary of a cluster.

    In a cluster, a transaction over several partitions is one transaction for each.

    Raises `StoreUnavailable`, `StoreRefused`, or `Unsafe` for a key that another program changed.
    """

    def __init__(self, connection: Wires) -> None:
        self.connection = connection

    async def pipeline(self, *commands: Command) -> list[Any]:
        """Run independent commands in one round trip."""
        return _check_answers(await self.connection.run(commands, ANSWER_SECONDS), commands)

    async def transaction_with_errors(self, *commands: Command) -> list[Any]:
        """Run a transaction, and return an error in place of the answer for each key of another type."""
        found = await self._executed(*commands)
        _check_answers([answer for answer in found if not wire.is_wrong_type(answer)])
        return found

    async def transaction(self, *commands: Command) -> list[Any]:
        """Run commands in a transaction (MULTI, EXEC)."""
        return _check_answers(await self._executed(*commands), commands)

    async def _executed(self, *commands: Command) -> list[Any]:
        return await self.connection.transaction(commands, ANSWER_SECONDS)

    # -- positions and single entries ----------------------------------------------------------

    async def position(self, keys: Keys) -> Position:
        commands = (("TIME",), ("HGETALL", keys.state), ("XINFO", "STREAM", keys.events))
        answers = await self._executed(*commands)
        if isinstance(answers[2], hiredis.ReplyError) and "no such key" in str(answers[2]):
            answers[2] = []
        time, state, flat = _check_answers(
            answers, (("TIME",), ("HGETALL", keys.state), ("XINFO", "STREAM", keys.events))
        )
        fields = StateFields.of_partition(keys.state, state)
        return Position(
            sequence=fields.number("seq"),
            cursor=fields.entry("cursor"),
            read=fields.number("read"),
            gaps=fields.number("gaps"),
            lost=fields.number("lost"),
            lines=fields.number("lines"),
            catalogue=fields.head("catalogue"),
            counters=fields.counters(),
            snapshot=LogSnapshot(int(time[0]) * 1000 + int(time[1]) // 1000, EMPTY, 0, *stream_positions(flat)),
            lineage=fields.lineage(),
        )

    async def entry_counts(self, stream: str) -> tuple[int, int]:
        """Return how many entries were ever added to a stream, and how many it has."""
        [flat] = await self._executed(("XINFO", "STREAM", stream))
        if isinstance(flat, hiredis.ReplyError) and "no such key" in str(flat):
            return 0, 0
        _check_answers([flat])
        info = {flat[i]: flat[i + 1] for i in range(0, len(flat), 2)}
        return info[b"entries-added"], info[b"length"]

    async def cursor(self, keys: Keys) -> EntryId:
        answer = (await self.pipeline(("HGET", keys.state, "cursor")))[0]
        return StateFields.from_value(keys.state, "cursor", answer).entry("cursor")

    async def lineages(self, partitions: Sequence[Keys]) -> list[Lineage]:
        """Return how repartitions changed these partitions."""
        answers = await self.pipeline(*(("HMGET", keys.state, "origins", "earlier") for keys in partitions))
        return [
            StateFields.from_values(keys.state, {"origins": origins, "earlier": earlier}).lineage()
            for keys, (origins, earlier) in zip(partitions, answers, strict=True)
        ]

    async def entry_status(self, keys: Keys, entry: EntryId) -> EntryStatus:
        """Return the stored fate of an entry, its fields if the log has it, and the partition's cursor."""
        name = text_of(entry)
        record, rows, cursor = await self.transaction(
            ("HGET", keys.fates, name),
            ("XRANGE", keys.events, name, name),
            ("HGET", keys.state, "cursor"),
        )
        return EntryStatus(
            _fate(name, record) if record is not None else None,
            _entries(rows)[0][1] if rows else None,
            StateFields.from_value(keys.state, "cursor", cursor).entry("cursor"),
        )

    async def applied_item(self, keys: Keys, key: str, entry: EntryId) -> HistoryItem | None:
        """Return the history item of an entry, or None. A history is in the order of the log."""
        async for items in self.history(keys, key):
            if items[-1].entry < entry:
                continue
            return next((item for item in items if item.entry == entry), None)
        return None

    # -- one outcome ---------------------------------------------------------------------------

    async def outcome(self, keys: Keys, key: str) -> tuple[OutcomeRecord | None, list[bytes]]:
        """Return the record, or None, and the held items of a key. Raises `Unreadable`."""
        record, held = await self.transaction(("GET", keys.outcome(key)), ("LRANGE", keys.held_events(key), 0, -1))
        return (None if record is None else decode_outcome(key, record)), held

    async def history(
        self, keys: Keys, key: str, most: int | None = None, skip: int = 0
    ) -> AsyncIterator[list[HistoryItem]]:
        """Iterate over pages of a history, up to item number `most`. A history only grows, so pages fit together.

        Raises `Unreadable` if it is damaged.
        """
        at = skip
        while most is None or at < most:
            # The end of a history is in the record, the rest in the list: only a transaction reads both consistently.
            raw, items = await self.transaction(
                ("GET", keys.outcome(key)), ("LRANGE", keys.history(key), at, at + ITEMS - 1)
            )
            items = unseal_items(key, items)
            if len(items) < ITEMS:
                record = None if raw is None else decode_outcome(key, raw)
                items += [] if record is None else record.items
                most = at + len(items) if most is None else min(most, at + len(items))
            page = items if most is None else items[: most - at]
            if page:
                yield [decode_history(item) for item in page]
            at += len(items)

    async def fates_of(self, keys: Keys, entries: Sequence[str]) -> list[FateRecord | None]:
        if not entries:
            return []
        records = (await self.pipeline(("HMGET", keys.fates, *entries)))[0]
        return [
            None if record is None else _fate(entry, record) for entry, record in zip(entries, records, strict=True)
        ]

    # -- in pages ------------------------------------------------------------------------------

    async def entries(self, stream: str, until: EntryId | None = None) -> AsyncIterator[list[Entry]]:
        """Iterate over pages of a stream, from its beginning."""
        start, end = "-", "+" if until is None else text_of(until)
        while True:
            rows = (await self.pipeline(("XRANGE", stream, start, end, "COUNT", PAGE)))[0]
            page = _entries(rows)
            if page:
                yield page
            if len(page) < PAGE:
                return
            start = f"({text_of(page[-1][0])}"

    async def scan(self, start: str, cursor: str = "0", count: int = PAGE) -> AsyncIterator[tuple[str, list[bytes]]]:
        """Iterate over pages of keys with a prefix, each with the cursor after it. A key may appear twice."""
        while True:
            after, names = (await self.pipeline(("SCAN", cursor, "MATCH", f"{start}*", "COUNT", count)))[0]
            cursor = after.decode()
            yield cursor, names
            if cursor == "0":
                return

    async def scan_scores(self, zset: str) -> AsyncIterator[list[tuple[str, int]]]:
        """Iterate over pages of members and scores of a sorted set, unordered. A member may appear more than once."""
        cursor = "0"
        while True:
            after, flat = (await self.pipeline(("ZSCAN", zset, cursor, "COUNT", PAGE)))[0]
            if flat:
                yield [(flat[i].decode(), score_to_int(flat[i + 1])) for i in range(0, len(flat), 2)]
            cursor = after.decode()
            if cursor == "0":
                return

    async def score_range(self, zset: str, low: str, high: str, skip: int, count: int = PAGE) -> list[tuple[str, int]]:
        """Return a page of members with scores between two bounds, in order."""
        bounds = (low, high, "WITHSCORES", "LIMIT", skip, count)
        flat = (await self.pipeline(("ZRANGEBYSCORE", zset, *bounds)))[0]
        return [(flat[i].decode(errors="backslashreplace"), score_to_int(flat[i + 1])) for i in range(0, len(flat), 2)]


@asynccontextmanager
async def open_reads(server: Endpoint) -> AsyncIterator[Reads]:
    """Open a connection for the duration of the context."""
    connection = Wires(server, "witnd-command")
    try:
        await connection.wire()
        yield Reads(connection)
    finally:
        connection.close()


def _check_answers(answers: list[Any], commands: Sequence[Command] = ()) -> list[Any]:
    """Return the answers, or raise the first error. `commands` are needed to name a damaged key."""
    for index, answer in enumerate(answers):
        if not isinstance(answer, hiredis.ReplyError):
            continue
        text = str(answer)
        refused = refusal(text)
        if refused is not None:
            raise refused
        if text.startswith("WRONGTYPE"):
            raise wire.wrong_type(commands[index] if index < len(commands) else ())
        raise StoreRefused(f"Redis refused a read: {text}", "see the server's log")
    return answers


def _fate(entry: str, record: bytes) -> FateRecord:
    """Decode a fate. Show a damaged one as unknown: it decides nothing, and its entry is in the log."""
    try:
        return decode_fate(record)
    except Unreadable as damaged:
        return FateRecord("unknown", None, None, f"the stored fate of {entry} is unreadable: {damaged.reason}", None)


def _entries(rows: list[Any]) -> list[Entry]:
    # An entry without fields was deleted during the read.
    return [(entry_id(name), fields) for name, fields in rows if fields is not None]


def text_of(entry: EntryId) -> str:
    return f"{entry[0]}-{entry[1]}"
