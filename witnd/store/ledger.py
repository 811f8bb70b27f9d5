"""What the biller reads and writes: lines of all partitions, drafts, and its own numbered, fenced state.

One connection that waits for new lines in the server, one for everything that answers at once. Every call may raise
`StoreUnavailable` or `StoreRefused`; the caller decides how long to insist.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from witnd.domain.catalogue import Catalogue
from witnd.domain.catalogue_chain import Head
from witnd.domain.event import EntryId
from witnd.domain.invoice import Invoice, Row
from witnd.domain.period import Calendar
from witnd.domain.resolution import Line
from witnd.store import commit, wire
from witnd.store.catalogue_loader import add_stored, check_head, decode_head
from witnd.store.commit import Commit
from witnd.store.connection import Endpoint
from witnd.store.errors import Unsafe
from witnd.store.invoice_codec import decode_invoice, decode_row
from witnd.store.keys import BillingKeys, GlobalKeys, Keys
from witnd.store.log import append_control, entry_id
from witnd.store.score import whole
from witnd.store.state_fields import StateFields

ANSWER_SECONDS = 5.0
COMMIT_SECONDS = 10.0

_line = msgspec.json.Decoder(Line).decode


def decode_calendar(fields: StateFields) -> Calendar | None:
    """The lengths of the periods, from the biller's state."""
    text = fields.text("calendar")
    try:
        return None if text is None else msgspec.json.decode(text, type=Calendar)
    except msgspec.MsgspecError as wrong:
        raise fields.damage("calendar", f"cannot be read ({wrong})") from wrong


class LedgerState(NamedTuple):
    """The committed position of the biller."""

    sequence: int
    read: dict[int, str]  # partition → id of the last entry of its lines that is in a draft
    calendar: Calendar | None
    closed_to: int  # every period that ends at or before this is closed
    closing: str | None  # the invoice whose rows are being written
    catalogue: Head | None  # the one that the last step was decided under


class Applied(NamedTuple):
    """How far the logs are, at one time."""

    now_ms: int
    cursors: list[int]  # per partition: everything up to this instant is settled
    logs: list[int]  # per partition: the instant of its log's last entry
    catalogue: Head


class NewLine(NamedTuple):
    """A line and where it stands."""

    partition: int
    entry: str
    line: Line


class Ledger:
    """Over the wire, because closing a period moves as much as applying events does."""

    def __init__(self, endpoint: Endpoint, prefix: str, partitions: int, name: str) -> None:
        self.keys = BillingKeys(prefix)
        self.partitions = [Keys(prefix, number) for number in range(partitions)]
        self._shared = GlobalKeys(prefix)
        self._waiter = wire.Connection(endpoint, f"{name}-lines")
        self._caller = wire.Connection(endpoint, name)

    def close(self) -> None:
        self._waiter.close()
        self._caller.close()

    async def ask(self, *commands: Sequence[str | bytes | int]) -> list[Any]:
        return await (await self._called()).ask(*commands, seconds=ANSWER_SECONDS)

    async def _called(self) -> wire.Wire:
        return await self._caller.wire()

    async def state(self) -> LedgerState:
        fields = StateFields.of(self.keys.state, (await self.ask(("HGETALL", self.keys.state)))[0])
        return LedgerState(
            sequence=fields.number("seq"),
            read=fields.by_partition("read:"),
            calendar=decode_calendar(fields),
            closed_to=fields.number("closed_to"),
            closing=fields.text("closing") or None,
            catalogue=fields.head("catalogue"),
        )

    async def new_lines(self, read: dict[int, str], most: int, block_ms: int) -> list[NewLine]:
        """Lines behind the given positions, at most `most` of each partition; waits for one up to `block_ms`."""
        waiter = await self._waiter.wire()
        streams = {keys.lines: keys.partition for keys in self.partitions}
        after = [read.get(keys.partition, "0-0") for keys in self.partitions]
        block = ("BLOCK", block_ms) if block_ms > 0 else ()
        command = ("XREAD", "COUNT", most, *block, "STREAMS", *streams, *after)
        answer = (await waiter.ask(command, seconds=ANSWER_SECONDS + block_ms / 1000))[0]
        found: list[NewLine] = []
        for stream, entries in answer or ():
            partition = streams[stream.decode()]
            found += [NewLine(partition, id_.decode(), _read_line(fields)) for id_, fields in entries]
        return found

    async def heads(self, ids: Iterable[str]) -> dict[str, Invoice]:
        """Those of the invoices that exist."""
        asked = list(ids)
        if not asked:
            return {}
        found = {}
        answers = await self.ask(*[("HGETALL", self.keys.invoice(id_)) for id_ in asked])
        for id_, flat in zip(asked, answers, strict=True):
            invoice = decode_invoice(id_, {flat[i]: flat[i + 1] for i in range(0, len(flat), 2)})
            if invoice is not None:
                found[id_] = invoice
        return found

    async def applied(self) -> Applied:
        commands: list[tuple[str, ...]] = [("TIME",), ("GET", self._shared.catalogue_head)]
        for keys in self.partitions:
            commands += [("HGET", keys.state, "cursor"), ("XREVRANGE", keys.events, "+", "-", "COUNT", "1")]
        time, head, *rest = await self.ask(*commands)
        return Applied(
            now_ms=int(time[0]) * 1000 + int(time[1]) // 1000,
            cursors=[
                StateFields.one(keys.state, "cursor", cursor).entry("cursor")[0]
                for keys, cursor in zip(self.partitions, rest[::2], strict=True)
            ],
            logs=[entry_id(last[0][0])[0] if last else 0 for last in rest[1::2]],
            catalogue=decode_head(head),
        )

    async def catalogue_head(self) -> Head:
        return decode_head((await self.ask(("GET", self._shared.catalogue_head)))[0])

    async def lines_end(self) -> dict[int, EntryId]:
        """The last entry of each partition's lines."""
        answers = await self.ask(*[("XREVRANGE", keys.lines, "+", "-", "COUNT", "1") for keys in self.partitions])
        return {
            keys.partition: entry_id(last[0][0]) if last else (0, 0)
            for keys, last in zip(self.partitions, answers, strict=True)
        }

    async def tick(self, partition: int, latest_ms: int) -> None:
        """Append a tick to a quiet log, unless the server's clock is past `latest_ms`. If its reply is lost it may
        come twice, which is harmless."""
        await self.ask(append_control(self.partitions[partition].events, latest_ms, "witnd", "tick"))

    async def first_end(self) -> int | None:
        """When the first open draft's period ends."""
        found = (await self.ask(("ZRANGE", self.keys.open, 0, 0, "WITHSCORES")))[0]
        return whole(found[1]) if found else None

    async def open_until(self, end: int, most: int) -> list[str]:
        """Ids of open drafts whose periods end at or before an instant."""
        command = ("ZRANGEBYSCORE", self.keys.open, "-inf", end, "LIMIT", 0, most)
        return [id_.decode() for id_ in (await self.ask(command))[0]]

    async def to_issue(self, start: int, most: int) -> list[tuple[str, int]]:
        """Closed drafts from a place on, oldest first, each with the end of its period."""
        flat = (await self.ask(("ZRANGE", self.keys.to_issue, start, start + most - 1, "WITHSCORES")))[0]
        return [(flat[i].decode(), whole(flat[i + 1])) for i in range(0, len(flat), 2)]

    async def draft_rows(self, id_: str, partition: int, start: int, most: int) -> list[tuple[Row, bytes]]:
        """A page of an open draft's rows from one partition, each as it is stored beside it."""
        found = (await self.ask(("LRANGE", self.keys.rows(id_, partition), start, start + most - 1)))[0]
        return [(decode_row(record), record) for record in found]

    async def learn(self, catalogue: Catalogue) -> None:
        """Add what is new in the catalogue. Others may add to it while this waits."""
        known = catalogue.chain.head
        raw, entries = await self.ask(
            ("GET", self._shared.catalogue_head), ("LRANGE", self._shared.catalogue, known.count, -1)
        )
        head = decode_head(raw)
        check_head(catalogue, known, head)
        add_stored(catalogue, known.count, head, entries)

    async def commit(self, step: Commit, fence: str) -> None:
        """Write a step. May be called again with the same step until it is known to be written."""
        packed = step.packed(fence)
        caller = await self._called()
        replies = await caller.wait(caller.send_packed(packed.by_digest(), 1), COMMIT_SECONDS)
        await commit.finish(caller, packed, replies, COMMIT_SECONDS)


def _read_line(fields: list[bytes]) -> Line:
    try:
        return _line(fields[1])
    except (msgspec.MsgspecError, IndexError) as wrong:
        raise Unsafe(
            f"an entry of the invoice lines cannot be read: {wrong}",
            "it was not written by this version of witnd: run the version that wrote it",
        ) from wrong
