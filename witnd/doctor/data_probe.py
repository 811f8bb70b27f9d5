"""Read the progress of each partition and of the invoices.

It makes a limited number of constant-time reads and writes nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from witnd.doctor.replies import ms, pairs, together
from witnd.domain.catalogue.chain import Head
from witnd.domain.outcomes.event import EntryId
from witnd.domain.webhooks.delivery import EndpointState
from witnd.store.access.tokens import Token
from witnd.store.catalogue.loader import decode_head
from witnd.store.deliveries.endpoint_codec import decode_endpoint
from witnd.store.errors import Unsafe
from witnd.store.keys import BillingKeys, GlobalKeys, Keys
from witnd.store.query.reads import Command
from witnd.store.records.codec import OutcomeRecord, outcome_record
from witnd.store.records.json_record import decode_record
from witnd.store.records.line_record import decode_line
from witnd.store.records.log_snapshot import LogSnapshot, check_snapshot, entry_id
from witnd.store.records.score import score_to_int
from witnd.store.records.state_fields import StateFields
from witnd.store.server.lease import Holder
from witnd.store.server.routing.wires import Wires

# A reply about a log contains its first and last entry, up to 256 KiB each.
PARTITIONS: Final = 16
# The set of deadlines has lower bounds. The first passed ones are compared with the records.
DEADLINES: Final = 20
# Outcomes on hold that are named.
ON_HOLD: Final = 10
DAY_MS: Final = 86_400_000
# Partitions whose first waiting line is read.
BEHIND: Final = 20
CURRENT_MS: Final = 30_000


class Part(Struct, frozen=True, kw_only=True):
    """A snapshot of one partition. Instants in ms, None if there is none."""

    number: int
    owner: Holder | None
    sequence: int
    cursor: EntryId
    read: int
    snapshot: LogSnapshot
    missing: Unsafe | None  # lost entries
    overdue: int | None  # the earliest deadline, if it has passed
    next_due: int | None  # the earliest lower bound of a deadline
    on_hold: Sequence[str]  # the first keys of outcomes on hold
    on_hold_count: int
    held: int
    held_since: int | None
    rejected: int  # within the last day
    dead: int
    unqueued: int  # outcomes whose deliveries are committed and not queued yet
    parked: Mapping[str, int]  # by rule
    lines: int  # invoice lines ever written: the number of the last one

    @property
    def lag(self) -> int:
        return max(0, self.snapshot.added - self.read)

    @property
    def is_current(self) -> bool:
        """Return whether outcomes settle on time. In a backlog, they settle long after their deadline."""
        return not self.lag or self.snapshot.now_ms - self.cursor[0] < CURRENT_MS


class BillingProgress(Struct, frozen=True, kw_only=True):
    """The progress of the invoices."""

    owner: Holder | None
    collected: Mapping[int, int]  # partition → the number of its last line that is in a draft
    first_end: int | None  # end of the first period that has open drafts
    to_issue: int
    past_grace: int
    first_past: int | None
    uncollected: Mapping[int, int]  # some partitions → instant (ms) of the first line without a draft
    # Of deliveries about billing events, as for a partition.
    dead: int = 0
    parked: Mapping[str, int] = {}


class Data(Struct, frozen=True, kw_only=True):
    now_ms: int
    catalogue: int  # versions
    tokens: Sequence[Token]
    unreadable_tokens: Sequence[str]  # ids
    endpoints: Mapping[str, EndpointState]  # by rule
    parts: Sequence[Part]
    books: BillingProgress


async def read_data(
    connection: Wires, prefix: str, partitions: int, rules: Sequence[str], grace_ms: int | None
) -> Data:
    """Read the data. `rules`: ids of all rules. `grace_ms` is None for manual issue. Raises `StoreUnavailable`,
    `StoreRefused` or `Unsafe`.
    """
    shared = GlobalKeys(prefix)
    time, length, tokens, endpoints = await together(
        connection, ("TIME",), ("LLEN", shared.catalogue), ("HGETALL", shared.tokens), ("HGETALL", shared.endpoints)
    )
    now_ms = ms(time)
    parts: list[Part] = []
    for first in range(0, partitions, PARTITIONS):
        keys = [Keys(prefix, number) for number in range(first, min(first + PARTITIONS, partitions))]
        parts += await _parts(connection, keys, shared, rules)
    return Data(
        now_ms=now_ms,
        catalogue=length,
        tokens=[token for name, raw in pairs(tokens) if name != b"revision" and (token := _token(raw)) is not None],
        unreadable_tokens=[
            name.decode(errors="backslashreplace")
            for name, raw in pairs(tokens)
            if name != b"revision" and _token(raw) is None
        ],
        endpoints={rule.decode(): decode_endpoint(record) for rule, record in pairs(endpoints)},
        parts=parts,
        books=await _books(connection, prefix, rules, parts, now_ms, grace_ms),
    )


def _token(raw: bytes) -> Token | None:
    """Return None if the token is damaged, or of a newer version."""
    try:
        return decode_record(raw, Token, "a token")
    except Unsafe:
        return None


async def _parts(connection: Wires, keys: Sequence[Keys], shared: GlobalKeys, rules: Sequence[str]) -> list[Part]:
    commands: list[Command] = [("TIME",), ("LLEN", shared.catalogue), ("GET", shared.catalogue_head)]
    each = 12 + len(rules)
    # Counting recent rejections requires the server's time.
    since = ms((await together(connection, ("TIME",)))[0]) - DAY_MS
    for one in keys:
        commands += [
            ("GET", one.owner),
            ("PTTL", one.owner),
            ("HGETALL", one.state),
            ("XINFO", "STREAM", one.events),
            ("ZRANGE", one.due, 0, DEADLINES - 1, "WITHSCORES"),
            ("HSCAN", one.on_hold, "0", "COUNT", ON_HOLD),
            ("HLEN", one.on_hold),
            ("ZCARD", one.held),
            ("ZRANGE", one.held, 0, 0, "WITHSCORES"),
            ("ZCOUNT", one.fates_of("rejected"), since, "+inf"),
            ("ZCARD", one.dead),
            ("HLEN", one.unqueued),
            *(("ZCARD", one.parked(rule)) for rule in rules),
        ]
    time, versions, head, *rest = await together(connection, *commands)
    now_ms = ms(time)
    found = []
    for place, one in enumerate(keys):
        answers = rest[place * each : (place + 1) * each]
        due = [(key.decode(), score_to_int(score)) for key, score in pairs(answers[4])]
        exact = await _deadlines(connection, one, [key for key, bound in due if bound <= now_ms])
        found.append(_part(one, now_ms, (decode_head(head), versions), answers, due, exact, rules))
    return found


def _part(
    keys: Keys,
    now_ms: int,
    catalogue: tuple[Head, int],
    answers: list[Any],
    due: list[tuple[str, int]],
    exact: list[int],
    rules: Sequence[str],
) -> Part:
    owner, left, state, log, _, on_hold, on_hold_count, held, first_held, rejected, dead, unqueued, *parked = answers
    fields = StateFields.of_partition(keys.state, state)
    cursor, read = fields.entry("cursor"), fields.number("read")
    fields.counters()
    info = dict(pairs(log))
    snapshot = LogSnapshot(
        now_ms,
        *catalogue,
        entry_id(info.get(b"last-generated-id", b"0-0")),
        entry_id(info.get(b"max-deleted-entry-id", b"0-0")),
        entry_id(info.get(b"recorded-first-entry-id", b"0-0")),
        info.get(b"length", 0),
        info.get(b"entries-added", 0),
    )
    missing = None
    try:
        check_snapshot(snapshot, cursor, read)
    except Unsafe as lost:
        missing = lost
    return Part(
        number=keys.partition,
        owner=_holder(owner, left),
        sequence=fields.number("seq"),
        cursor=cursor,
        read=read,
        snapshot=snapshot,
        missing=missing,
        overdue=min((instant for instant in exact if instant <= now_ms), default=None),
        next_due=due[0][1] if due else None,
        on_hold=[name.decode(errors="replace") for name in on_hold[1][::2]][:ON_HOLD],
        on_hold_count=on_hold_count,
        held=held,
        held_since=score_to_int(first_held[1]) if first_held else None,
        rejected=rejected,
        dead=dead,
        unqueued=unqueued,
        parked={rule: count for rule, count in zip(rules, parked, strict=True) if count},
        lines=fields.number("lines"),
    )


async def _deadlines(connection: Wires, keys: Keys, due: Sequence[str]) -> list[int]:
    """Return the deadlines in the records of these outcomes."""
    if not due:
        return []
    [records] = await together(connection, ("MGET", *map(keys.outcome, due)))
    decoded = [outcome_record(key, record) for key, record in zip(due, records, strict=True)]
    return [
        record.settles_at
        for record in decoded
        if isinstance(record, OutcomeRecord) and record.status in ("OPEN", "PENDING")
    ]


async def _books(
    connection: Wires, prefix: str, rules: Sequence[str], parts: Sequence[Part], now_ms: int, grace_ms: int | None
) -> BillingProgress:
    keys = BillingKeys(prefix)
    owner, left, state, first, to_issue, past, oldest, dead, *parked = await together(
        connection,
        ("GET", keys.owner),
        ("PTTL", keys.owner),
        ("HGETALL", keys.state),
        ("ZRANGE", keys.open, 0, 0, "WITHSCORES"),
        ("ZCARD", keys.to_issue),
        ("ZCOUNT", keys.to_issue, "-inf", "(0" if grace_ms is None else now_ms - grace_ms),
        ("ZRANGE", keys.to_issue, 0, 0, "WITHSCORES"),
        ("ZCARD", keys.dead),
        *(("ZCARD", keys.parked(rule)) for rule in rules),
    )
    positions = StateFields.from_hash(keys.state, state).positions()
    collected = {number: position.number for number, position in positions.items()}
    behind = [part for part in parts if part.lines > collected.get(part.number, 0) and part.is_current][:BEHIND]
    places = [(Keys(prefix, part.number).lines, f"({collected.get(part.number, 0)}-0") for part in behind]
    rows = await together(connection, *(("XRANGE", lines, after, "+", "COUNT", 1) for lines, after in places))
    return BillingProgress(
        owner=_holder(owner, left),
        collected=collected,
        first_end=score_to_int(first[1]) if first else None,
        to_issue=to_issue,
        past_grace=past,
        first_past=score_to_int(oldest[1]) if past else None,
        uncollected={part.number: _resolved_at(part, found) for part, found in zip(behind, rows, strict=True)},
        dead=dead,
        parked={rule: count for rule, count in zip(rules, parked, strict=True) if count},
    )


def _resolved_at(part: Part, found: Sequence[tuple[bytes, list[bytes]]]) -> int:
    """Return when the outcome of a line resolved; if the line is missing or damaged, the progress of its partition."""
    try:
        return decode_line(found[0][1][1], "").billed_at
    except (IndexError, Unsafe, ValueError):
        return part.cursor[0]


def _holder(owner: bytes | None, left_ms: int) -> Holder | None:
    return None if owner is None else Holder(owner.decode(errors="replace"), left_ms)
