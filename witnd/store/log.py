"""The log of one partition and what is read beside it: state, cold outcomes, deadlines, the server's clock.

Two connections: one that may block in the server while it waits for entries, one for everything that answers at once.
Every call may raise `StoreUnavailable` or `StoreRefused`; the caller decides how long to insist.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from witnd.domain.catalogue_chain import Head
from witnd.domain.event import EntryId
from witnd.store import wire
from witnd.store.catalogue_loader import decided_head, decode_head
from witnd.store.codec import OutcomeRecord, decode_outcome
from witnd.store.connection import Endpoint
from witnd.store.errors import Unsafe
from witnd.store.keys import GlobalKeys, Keys

ANSWER_SECONDS = 5.0
# Entries are read in smaller numbers where a read brought more than this: up to 500 of 256 KiB would be a lot.
READ_BYTES_MAX = 8 * 1024 * 1024
GAP_REMEDY: Final = "see what was lost and send it again, then accept the gap with `witnd repair gap`"
# Fields of the state that are no counters of events or outcomes.
NOT_COUNTERS: Final = frozenset(
    ("cursor", "read", "seq", "epoch", "digest", "settling", "format", "gaps", "lost", "catalogue")
)
Row: TypeAlias = tuple[bytes, list[bytes]]


# What Redis has of one outcome key: the key, its record, its history but for the part that the record carries, and its
# held events. A plain tuple, because one is made for every outcome that is loaded.
Stored: TypeAlias = tuple[str, OutcomeRecord | None, Sequence[bytes], Sequence[bytes]]


class Moment(NamedTuple):
    """The server's clock, and how far log and catalogue were at that time."""

    now_ms: int
    catalogue: Head
    versions: int  # entries of the catalogue's list, read before its head
    last: EntryId  # last id ever given to an entry
    deleted: EntryId  # greatest id of an entry that was deleted by name; trimming does not count
    first: EntryId  # id of the first entry there is, (0, 0) for an empty log
    length: int  # entries there are
    added: int  # entries there ever were


class State(NamedTuple):
    """The committed position of a partition."""

    sequence: int
    cursor: EntryId
    read: int  # entries up to the cursor, control entries included
    counters: dict[str, int]
    catalogue: Head | None  # the one that the last step was decided under


class Log:
    """Reads of one partition. `names` says who asks, for the server's client list."""

    def __init__(self, endpoint: Endpoint, keys: Keys, shared: GlobalKeys, name: str) -> None:
        self.keys = keys
        self._endpoint = endpoint
        self._shared = shared
        self._name = name
        self._reader: wire.Wire | None = None
        self._caller: wire.Wire | None = None
        self._most = 1  # entries per read: grows while they are small

    async def caller(self) -> wire.Wire:
        """The connection for calls that answer at once."""
        if self._caller is None or not self._caller.open:
            self._caller = await wire.connect(self._endpoint, self._name)
        return self._caller

    def close(self) -> None:
        for one in (self._reader, self._caller):
            if one is not None:
                one.close()

    async def ask(self, *commands: Sequence[str | bytes | int]) -> list[Any]:
        caller = await self.caller()
        return await caller.ask(*commands, seconds=ANSWER_SECONDS)

    # -- the log ---------------------------------------------------------------------------------------------------

    async def read(self, after: EntryId, most: int, block_ms: int | None) -> list[Row]:
        """Entries behind `after`, at most `most`; waits up to `block_ms` where there are none."""
        if self._reader is None or not self._reader.open:
            self._reader = await wire.connect(self._endpoint, f"{self._name}-reader")
        most = self._most = min(most, 2 * self._most)
        before = self._reader.received_bytes
        block = () if block_ms is None else ("BLOCK", max(1, block_ms))
        command = ("XREAD", "COUNT", most, *block, "STREAMS", self.keys.events, _text(after))
        seconds = ANSWER_SECONDS + (block_ms or 0) / 1000
        answer = (await self._reader.ask(command, seconds=seconds))[0]
        if self._reader.received_bytes - before > READ_BYTES_MAX:
            self._most = max(1, most // 4)
        return [] if answer is None else answer[0][1]

    async def append(self, *fields: str) -> None:
        """Append a control entry. If its reply is lost it may come twice, which is harmless."""
        await self.ask(("XADD", self.keys.events, "*", *fields))

    # -- beside the log --------------------------------------------------------------------------------------------

    async def moment(self, cold: Sequence[str] = ()) -> tuple[Moment, list[Stored]]:
        """In one round trip: the clock and the positions; and what Redis has of the `cold` keys."""
        keys = self.keys
        commands: list[tuple[str | bytes | int, ...]] = [
            ("TIME",),
            ("LLEN", self._shared.catalogue),
            ("GET", self._shared.catalogue_head),
            ("XINFO", "STREAM", keys.events),
        ]
        if cold:
            start = keys.outcome("")
            commands.append(("MGET", *[start + key for key in cold]))
        caller = await self.caller()
        replies = await caller.wait(caller.send(commands), ANSWER_SECONDS + len(cold) / 1000)
        info = replies[3]
        if isinstance(info, Exception) and "no such key" in str(info):
            replies[3] = info = []
        wire.checked(replies)
        moment = Moment(
            int(replies[0][0]) * 1000 + int(replies[0][1]) // 1000, decode_head(replies[2]), replies[1], *ends(info)
        )
        return moment, await self._stored(cold, replies[4]) if cold else []

    async def _stored(self, cold: Sequence[str], raw: list[bytes | None]) -> list[Stored]:
        """The records with what belongs to them; most cold keys are new, or have all in their record."""
        keys = self.keys
        stored: list[Stored] = []
        asked: list[str] = []
        for key, found in zip(cold, raw, strict=True):
            record = None if found is None else decode_outcome(found)
            stored.append((key, record, (), ()))
            if found is not None and record is None:
                asked.append(keys.held_events(key))
            elif record is not None and record.events > record.tailed:
                asked.append(keys.history(key))
        if asked:
            lists = dict(zip(asked, await self.ask(*[("LRANGE", one, 0, -1) for one in asked]), strict=True))
            stored = [
                (key, record, lists.get(keys.history(key), ()), lists.get(keys.held_events(key), ()))
                for key, record, _, _ in stored
            ]
        return stored

    async def held(self, key: str) -> list[bytes]:
        """The held events of a key."""
        found: list[bytes] = (await self.ask(("LRANGE", self.keys.held_events(key), 0, -1)))[0]
        return found

    async def held_keys(self) -> list[str]:
        """Every key with held events, oldest first."""
        return [key.decode() for key in (await self.ask(("ZRANGE", self.keys.held, 0, -1)))[0]]

    async def due(self, above: int, until: int, most: int) -> list[tuple[int, str]]:
        """Stored deadlines in (above, until], earliest first, at most `most`."""
        flat = (await self.ask(("ZRANGEBYSCORE", self.keys.due, f"({above}", until, "WITHSCORES", "LIMIT", 0, most)))[0]
        return [(int(float(flat[i + 1])), flat[i].decode()) for i in range(0, len(flat), 2)]

    async def due_count(self) -> int:
        return int((await self.ask(("ZCARD", self.keys.due)))[0])

    async def catalogue_after(self, count: int) -> tuple[Head, list[bytes]]:
        """The catalogue's head, and its entries after the first `count` up to that head or beyond it."""
        shared = self._shared
        head, entries = await self.ask(("GET", shared.catalogue_head), ("LRANGE", shared.catalogue, count, -1))
        return decode_head(head), entries

    async def state(self) -> State:
        flat = (await self.ask(("HGETALL", self.keys.state)))[0]
        fields = {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}
        cursor = entry_id(fields.get("cursor", "0-0"))
        sequence, read = int(fields.get("seq", "0")), int(fields.get("read", "0"))
        counters = {name: int(count) for name, count in fields.items() if name not in NOT_COUNTERS and count.isdigit()}
        return State(sequence, cursor, read, counters, decided_head(fields.get("catalogue")))


def entry_id(text: str | bytes) -> EntryId:
    """`ms-seq` as a pair of numbers."""
    ms, _, seq = (text if isinstance(text, str) else text.decode()).partition("-")
    return int(ms), int(seq)


def _text(entry: EntryId) -> str:
    return f"{entry[0]}-{entry[1]}"


def ends(info: Sequence[Any]) -> tuple[EntryId, EntryId, EntryId, int, int]:
    fields = {info[i]: info[i + 1] for i in range(0, len(info), 2)}
    return (
        entry_id(fields.get(b"last-generated-id", b"0-0")),
        entry_id(fields.get(b"max-deleted-entry-id", b"0-0")),
        entry_id(fields.get(b"recorded-first-entry-id", b"0-0")),
        fields.get(b"length", 0),
        fields.get(b"entries-added", 0),
    )


def check_moment(moment: Moment, read_to: EntryId, read: int, entries: Sequence[tuple[Any, ...]] = ()) -> None:
    """Raise `Unsafe` unless every entry that the log ever had is read or still to be read.

    `read` counts the entries up to `read_to`. `entries` are those that follow and were read before `moment` was taken;
    of each only the first two members, its id, are looked at.
    """
    end: EntryId = entries[-1][:2] if entries else read_to
    if moment.last < end:
        raise Unsafe(
            f"the log ends at {_text(moment.last)}, before entry {_text(end)} that was read from it: "
            "Redis lost acknowledged data, or other hands deleted the log",
            "stop the daemons and restore the lost data; if the log was deleted on purpose, accept that with "
            "`witnd repair gap`",
        )
    if moment.deleted > read_to:
        raise Unsafe(
            f"entries up to {_text(moment.deleted)} were deleted, and only those up to {_text(read_to)} "
            "had been read: events are missing",
            GAP_REMEDY,
        )
    fewest, most = _behind(moment, read_to, entries)
    unexplained = moment.added - read - len(entries)
    if unexplained > most:
        raise Unsafe(
            f"{unexplained - most} entries behind {_text(read_to)} were trimmed before they were read: "
            "events are missing",
            GAP_REMEDY,
        )
    if unexplained < fewest:
        raise Unsafe(
            f"the log had {moment.added} entries so far, fewer than the {read + len(entries) + fewest} that must have "
            "been in it: it was deleted and begun again, or replaced by another; events may be missing",
            GAP_REMEDY,
        )


def check_drained(moment: Moment, read_to: EntryId, read: int) -> None:
    """The same where a read after `moment` found no entry behind `read_to`."""
    check_moment(moment._replace(length=0, first=(0, 0)), read_to, read)


def _behind(moment: Moment, read_to: EntryId, entries: Sequence[tuple[Any, ...]]) -> tuple[int, int]:
    """The fewest and the most entries that may be behind the last one read.

    Trimming takes the oldest entries. So where an entry up to `read_to` is left, no later one was trimmed, and an
    inequality is enough until the end of the log is read. Elsewhere the number is known.
    """
    end: EntryId = entries[-1][:2] if entries else read_to
    if not moment.length or moment.last == end:
        return 0, 0
    if moment.first > read_to:
        left = len(entries) - bisect_left(entries, moment.first, key=lambda entry: entry[:2])
        return moment.length - left, moment.length - left
    # Other hands may have set the last id forward: then there may be none.
    return 0, moment.length - len(entries) - 1
