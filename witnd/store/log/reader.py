"""Reads the log of one partition, its state, cold outcomes, deadlines and the server's clock.

One connection may block in the server while it waits for entries; the other is for calls that do not block. Every call
may raise `StoreUnavailable` or `StoreRefused`; the caller decides about retries.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from witnd.domain.catalogue.chain import Head
from witnd.domain.outcomes.event import EntryId, Event
from witnd.fold.hold import Damage, Hold, too_many
from witnd.store.catalogue.loader import decode_head
from witnd.store.errors import StoreUnavailable, Unreadable, Unsafe
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.log.catalogue_reader import CatalogueReader
from witnd.store.records.held_codec import decode_held
from witnd.store.records.hold import Repair, decode_repair, holds_of
from witnd.store.records.log_snapshot import LogSnapshot, entry_id, stream_positions, text_of
from witnd.store.records.score import score_to_int
from witnd.store.records.state_fields import StateFields
from witnd.store.records.stored import Stored, add_list, damages, read_records
from witnd.store.server import wire
from witnd.store.server.connection import Endpoint
from witnd.store.server.durability import Confirm, nothing_to_confirm
from witnd.store.server.portion import Portion, ranges
from witnd.store.server.routing.health import read_primary
from witnd.store.server.routing.wires import Connection
from witnd.store.server.safety import Health
from witnd.store.server.scripts import Script

__all__ = ["ANSWER_SECONDS", "Command", "Log", "Row", "State", "Stored", "entry_id"]

ANSWER_SECONDS = 5.0
# Parts of one answer, first and at most: entries of the log, records, and items of lists. The first number fits parts
# of the greatest size.
READ, RECORDS, ITEMS = (1, 1000), (100, 1000), (100, 10_000)
_APPEND = Script("log/append_control")
Row: TypeAlias = tuple[bytes, list[bytes]]
Command: TypeAlias = Sequence[str | bytes | int]


class State(NamedTuple):
    """The committed position of a partition."""

    sequence: int
    cursor: EntryId
    read: int  # entries up to the cursor, control entries included
    counters: dict[str, int]
    catalogue: Head | None  # the head that the last step used
    lines: int  # invoice lines ever written: the number of the last one
    earlier: tuple[int, ...]  # earlier numbers of partitions, since this one exists


class Log:
    """Reads one partition. `name` is for the server's client list. New versions of the catalogue are used once
    `confirm_catalogue` has confirmed them."""

    def __init__(
        self,
        endpoint: Endpoint,
        keys: Keys,
        shared: GlobalKeys,
        name: str,
        confirm_catalogue: Confirm = nothing_to_confirm,
    ) -> None:
        self.keys = keys
        self._confirm_catalogue = confirm_catalogue
        self._reader = Connection(endpoint, f"{name}-reader", keys.events)
        self._caller = Connection(endpoint, name, keys.events)
        # In a cluster, the catalogue is in another slot than the partition.
        self._is_apart = endpoint.mode == "cluster"
        self._other = Connection(endpoint, name, shared.catalogue) if self._is_apart else self._caller
        self._entries = Portion("entries", first=READ[0], most=READ[1])
        self._records = Portion("records", first=RECORDS[0], most=RECORDS[1])
        self._items = Portion("items", first=ITEMS[0], most=ITEMS[1])
        self._catalogue = CatalogueReader(self._other, shared, self._items)
        self._indexes = (keys.keys, keys.held, *map(keys.with_status, ("CONFIRMED", "FAILED")))

    async def caller(self) -> wire.Wire:
        """Return the connection for calls that do not block."""
        return await self._caller.wire()

    def close(self) -> None:
        self._reader.close()
        self._caller.close()
        self._other.close()

    async def ask(self, *commands: Sequence[str | bytes | int]) -> list[Any]:
        caller = await self.caller()
        return await caller.ask(*commands, seconds=ANSWER_SECONDS)

    async def health(self) -> Health:
        """Read the state of the partition's server."""
        return await read_primary(self._caller, ANSWER_SECONDS)

    # -- the log ---------------------------------------------------------------------------------------------------

    async def read(self, after: EntryId, most: int, block_ms: int | None) -> list[Row]:
        """Return up to `most` entries after an id. If there are none, wait up to `block_ms`."""
        reader = await self._reader.wire()
        most = min(most, self._entries.size)
        block = () if block_ms is None else ("BLOCK", max(1, block_ms))
        command = ("XREAD", "COUNT", most, *block, "STREAMS", self.keys.events, text_of(after))
        seconds = ANSWER_SECONDS + (block_ms or 0) / 1000
        [answer] = await self._ask_large(self._entries, reader, command, seconds=seconds)
        return [] if answer is None else answer[0][1]

    async def _ask_large(
        self,
        portion: Portion,
        connection: wire.Wire,
        *commands: Command,
        seconds: float = ANSWER_SECONDS,
        parts: int | None = None,
    ) -> list[Any]:
        """Run commands whose answers may be large, and adapt the portion to their size. `parts`: how many parts the
        answers have, if it is not the length of all together."""
        before = connection.received_bytes
        try:
            answers = await connection.ask(*commands, seconds=seconds)
        except StoreUnavailable as lost:
            portion.record_cut(str(lost))
            raise
        parts = sum(map(_parts, answers)) if parts is None else parts
        portion.record_success(parts, connection.received_bytes - before)
        return answers

    async def append(self, *entries: Sequence[str], latest_ms: int) -> bool:
        """Append control entries, unless the server's clock is past `latest_ms`. Return whether all were appended.
        After a lost reply they may be appended twice, which is harmless."""
        return all(await self.ask(*[append_control(self.keys.events, latest_ms, *fields) for fields in entries]))

    # -- state, outcomes, deadlines ----------------------------------------------------------------------------------

    async def snapshot(self, cold: Sequence[str] = ()) -> tuple[LogSnapshot, list[Stored]]:
        """Read the clock and the positions, and the data of the `cold` keys, in one round trip. In a cluster, the
        catalogue's head is read afterwards, so it is at least as new as the rest."""
        keys = self.keys
        catalogue = self._catalogue.head_commands
        commands: list[Command] = [("TIME",), ("XINFO", "STREAM", keys.events), *([] if self._is_apart else catalogue)]
        head = len(commands)
        first = cold[: self._records.size]
        if first:
            commands += self._record_commands(first)
        commands.append(("EXISTS", keys.events_moving))
        caller = await self.caller()
        before = caller.received_bytes
        try:
            replies = await caller.wait(caller.send(commands), ANSWER_SECONDS + len(first) / 1000)
        except StoreUnavailable as lost:
            if first:
                self._records.record_cut(str(lost))
            raise
        if isinstance(info := replies[1], Exception) and "no such key" in str(info):
            replies[1] = info = []
        wire.check_replies(replies, commands)
        length, raw_head = await self._catalogue.ask(*catalogue) if self._is_apart else replies[2:4]
        snapshot = LogSnapshot(
            int(replies[0][0]) * 1000 + int(replies[0][1]) // 1000,
            decode_head(raw_head),
            length,
            *stream_positions(info),
            moving=bool(replies[-1]),
        )
        if not first:
            return snapshot, []
        raw: list[bytes | None]
        raw, *scores = replies[head:-1]
        indexed = _indexed(first, scores)
        self._records.record_success(len(first), caller.received_bytes - before)
        while len(raw) < len(cold):
            more = cold[len(raw) : len(raw) + self._records.size]
            commands = self._record_commands(more)
            found, *scores = await self._ask_large(self._records, caller, *commands, parts=len(more))
            raw += found
            indexed |= _indexed(more, scores)
        return snapshot, await self._read_stored(cold, raw, indexed)

    def _record_commands(self, keys: Sequence[str]) -> list[Command]:
        """Return the commands that read the records of keys and whether an index has them.

        An indexed key without a record has lost it. It must not count as a new key, or an outcome that is already
        billed would be billed again. One round trip reads both: a second one, for keys without a record, would wait
        behind a commit, and halved the throughput of new outcomes.
        """
        start = self.keys.outcome("")
        return [("MGET", *[start + key for key in keys]), *[("ZMSCORE", zset, *keys) for zset in self._indexes]]

    async def _read_stored(self, cold: Sequence[str], raw: list[bytes | None], indexed: set[str]) -> list[Stored]:
        """Complete records with their lists. Most cold keys are new, or have everything in their record."""
        stored, named, damaged = read_records(self.keys, cold, raw, indexed)
        if named:
            lists = await self._complete_lists(dict(named.values()))
            for place, (name, _) in named.items():
                try:
                    stored[place] = add_list(stored[place], lists.get(name))
                except Unreadable as wrong:
                    damaged[place] = wrong.reason
        if damaged:
            caller = await self.caller()
            found = await damages(caller, self.keys, [cold[place] for place in damaged], list(damaged.values()))
            for place, damage in zip(damaged, found, strict=True):
                stored[place] = (cold[place], damage, (), ())
        return stored

    async def _complete_lists(self, lengths: dict[str, int]) -> dict[str, list[bytes]]:
        """Read complete lists, by name and length (-1: unknown). Leave out keys of other types."""
        try:
            return await self._read_lists(lengths)
        except Unsafe:
            types = await self.ask(*[("TYPE", name) for name in lengths])
            sound = {
                name: length
                for (name, length), kind in zip(lengths.items(), types, strict=True)
                if kind in (b"list", b"none", "list", "none")
            }
            if len(sound) == len(lengths):
                raise
            return await self._read_lists(sound)

    async def _read_lists(self, lengths: dict[str, int]) -> dict[str, list[bytes]]:
        caller = await self.caller()
        unknown = [name for name, length in lengths.items() if length < 0]
        if unknown:
            lengths = lengths | dict(zip(unknown, await self.ask(*[("LLEN", name) for name in unknown]), strict=True))
        found: dict[str, list[bytes]] = {name: [] for name in lengths}
        for part in ranges(lengths, self._items):
            commands = [("LRANGE", name, start, start + count - 1) for name, start, count in part]
            for (name, _, _), items in zip(part, await self._ask_large(self._items, caller, *commands), strict=True):
                found[name] += items
        return found

    async def held(self, keys: Sequence[str]) -> list[list[tuple[EntryId, Event]] | Unreadable]:
        """Return the held events of each key, or the damage; an empty list for a key that was placed meanwhile."""
        found = await self._complete_lists({self.keys.held_events(key): -1 for key in keys})
        answer: list[list[tuple[EntryId, Event]] | Unreadable] = []
        for key in keys:
            items = found.get(self.keys.held_events(key))
            try:
                answer.append([] if items == [] else list(add_list((key, None, (), ()), items)[3]))
            except Unreadable as wrong:
                answer.append(wrong)
        return answer

    async def damage(self, key: str, reason: str) -> Damage:
        """Return the damage of a key: the reason, with its status and opening time from the indexes."""
        return (await damages(await self.caller(), self.keys, [key], [reason]))[0]

    # -- outcomes on hold ------------------------------------------------------------------------------------------

    async def holds(self) -> list[tuple[str, Hold, int]]:
        """Return the outcomes on hold, each with its number of waiting events."""
        found = holds_of((await self.ask(("HGETALL", self.keys.on_hold)))[0])
        counts = await self._lengths([self.keys.waiting(key) for key in found])
        return [(key, hold, count) for (key, hold), count in zip(found.items(), counts, strict=True)]

    async def _lengths(self, names: Sequence[str]) -> list[int]:
        """Return the lengths of lists, 0 for keys of another type."""
        if not names:
            return []
        try:
            return await self.ask(*(("LLEN", name) for name in names))
        except Unsafe:
            types = await self.ask(*(("TYPE", name) for name in names))
            lists = [name for name, kind in zip(names, types, strict=True) if kind in (b"list", "list")]
            if len(lists) == len(names):
                raise
            found = dict(zip(lists, await self._lengths(lists), strict=True))
            return [found.get(name, 0) for name in names]

    async def repair(self, key: str) -> tuple[Repair | None, list[tuple[EntryId, Event]]]:
        """Return the prepared repair, if there is one, and the waiting events. Raises `Unreadable`."""
        waiting = self.keys.waiting(key)
        record = (await self.ask(("GET", self.keys.repair(key))))[0]
        if (reason := too_many((await self._lengths([waiting]))[0])) is not None:
            raise Unreadable(key, reason)
        items = (await self._complete_lists({waiting: -1})).get(waiting, [])
        return None if record is None else decode_repair(key, record), [decode_held(key, item) for item in items]

    async def scan_held(self, cursor: str, many: int) -> tuple[str, list[str]]:
        """Return some keys with held events, oldest first, and the cursor for the next call, "0" at the end."""
        after, flat = (await self.ask(("ZSCAN", self.keys.held, cursor, "COUNT", many)))[0]
        oldest = sorted(zip(map(float, flat[1::2]), flat[::2], strict=True))
        return after.decode(), [key.decode() for _, key in oldest]

    async def due(self, above: int, until: int, most: int) -> list[tuple[int, str]]:
        """Return up to `most` stored deadlines in (above, until], earliest first."""
        flat = (await self.ask(("ZRANGEBYSCORE", self.keys.due, f"({above}", until, "WITHSCORES", "LIMIT", 0, most)))[0]
        return [(score_to_int(flat[i + 1]), flat[i].decode()) for i in range(0, len(flat), 2)]

    async def due_count(self) -> int:
        return int((await self.ask(("ZCARD", self.keys.due)))[0])

    async def catalogue_after(self, count: int) -> tuple[Head, list[bytes]]:
        """Return the catalogue's head, and at least its entries from number `count` up to that head."""
        found = await self._catalogue.after(count)
        await self._confirm_catalogue()
        return found

    async def confirmed_step(self) -> int:
        """Return the last step that the owner has recorded as confirmed; 0 if there is none."""
        return int((await self.ask(("GET", self.keys.confirmed)))[0] or 0)

    async def state(self) -> State:
        fields = StateFields.of_partition(self.keys.state, (await self.ask(("HGETALL", self.keys.state)))[0])
        sequence, read, lines = (fields.number(name) for name in ("seq", "read", "lines"))
        cursor, catalogue, earlier = fields.entry("cursor"), fields.head("catalogue"), fields.lineage().earlier_counts
        return State(sequence, cursor, read, fields.counters(), catalogue, lines, earlier)


def append_control(events: str, latest_ms: int, *fields: str) -> tuple[str | bytes | int, ...]:
    """Return the command that appends a control entry unless the server's clock is past `latest_ms`."""
    return ("EVAL", _APPEND.text, 1, events, latest_ms, *fields)


def _indexed(keys: Sequence[str], scores: Sequence[list[bytes | None]]) -> set[str]:
    """Return the keys that have a score in one of the indexes."""
    return {key for key, *found in zip(keys, *scores, strict=True) if any(score is not None for score in found)}


def _parts(answer: Any) -> int:
    """Count the entries, records or items in an answer."""
    if answer is None:
        return 0
    # A stream is a pair of its name and its entries.
    return len(answer[0][1]) if answer and type(answer[0]) is list else len(answer)
