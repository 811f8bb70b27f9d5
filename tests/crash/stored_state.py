"""What a run left behind, in a form in which two runs can be compared byte for byte.

Left out: ids of streams of results, control entries, `processed_at`, and what only says how the work was cut into
steps (sequence, digest, epoch, position, the deadlines' lower bounds, attempts). A key that the daemon's own retry
placed has its instant replaced by a word, because that one is of the wall clock.
"""

import json
import re
import time
from collections.abc import Iterable
from typing import Any, TypeAlias, cast

import msgspec
from msgspec import structs

from tests.crash.receiver import Message
from tests.oracle import oracle
from tests.support.server import Server
from witnd.domain.catalogue.catalogue import CatalogueEntry
from witnd.domain.values import instant
from witnd.fold.history import decode_history
from witnd.store.deliveries.outbox import decode_progress
from witnd.store.deliveries.outbox import decode_row as decode_delivery
from witnd.store.invoices.codec import decode_invoice, decode_row
from witnd.store.keys import BillingKeys, GlobalKeys, Keys
from witnd.store.records.codec import decode_outcome
from witnd.store.records.sealed import unseal_items

StoredState: TypeAlias = dict[str, Any]
KEYS, SHARED, BILLING = Keys("witn", 0), GlobalKeys("witn"), BillingKeys("witn")
COUNTED = (
    "applied", "duplicate", "conflict", "reversed", "late", "held", "rejected",
    "OPEN", "PENDING", "CONFIRMED", "FAILED",
)  # fmt: skip
# Everything else under the prefix is compared, or must not be there.
_LOOKUPS = (KEYS.with_status(""), KEYS.of_customer(""))
POSITIONS = {KEYS.owner, SHARED.meta, SHARED.endpoints, KEYS.outbox_rules}


class Reader:
    """Reads one server; a connection of its own."""

    def __init__(self, server: Server) -> None:
        self._redis = server.sync()

    def close(self) -> None:
        self._redis.close()

    def ask(self, *words: str | bytes | int) -> Any:
        return self._redis.execute_command(*words)

    def raw(self, *words: str | bytes | int) -> Any:
        """The reply as it is: redis-py would make a dictionary of an entry's fields."""
        return self._redis.execute_command(*words, NEVER_DECODE=True)

    def stream(self, key: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
        return cast(Any, self._redis.xrange(key))

    def hash(self, key: str) -> dict[bytes, bytes]:
        return cast(Any, self._redis.hgetall(key))

    def scored(self, key: str) -> dict[bytes, int]:
        flat = self.raw("ZRANGE", key, 0, -1, "WITHSCORES")
        return {flat[i]: int(flat[i + 1]) for i in range(0, len(flat), 2)}

    def names(self) -> list[str]:
        return sorted(name.decode() for name in self._redis.scan_iter("witn:*", count=1000))

    def finished(self, outcomes: int) -> bool:
        """All final, nothing left to send, the log read to its end."""
        redis = self._redis
        with redis.pipeline(transaction=True) as asked:
            asked.xrevrange(KEYS.events, count=1)
            asked.hget(KEYS.state, "cursor")
            asked.zcard(KEYS.due)
            asked.xlen(KEYS.resolutions)
            asked.scard(KEYS.outbox_rules)
            asked.hget(KEYS.state, "lines")
            asked.hget(BILLING.state, "read:0")
            asked.hget(BILLING.state, "closing")
            asked.zrangebyscore(BILLING.open, "-inf", time.time() * 1000)
            asked.zcard(BILLING.to_issue)
            asked.zcard(BILLING.to_adjust)
            asked.scard(BILLING.outbox_rules)
            asked.xrevrange(BILLING.events, count=1)
            asked.get(BILLING.events_queued)
            asked.zcard(BILLING.reversed)
            last, cursor, due, resolved, sending, line, read, *unfinished, event, queued, reversed_ = asked.execute()
        collected = not int(line or 0) or (read or b"").startswith(b"%d " % int(line))
        done = last and last[0][0] == cursor and not due and not sending and resolved >= outcomes
        return bool(
            done and collected and not any(unfinished) and not reversed_ and (not event or event[0][0] == queued)
        )


def is_control(fields: dict[bytes, bytes]) -> bool:
    return b"witnd" in fields


def read_state(reader: Reader) -> StoredState:
    """The world as the server has it."""
    names = reader.names()
    outcomes, placed = _outcomes(reader, names)
    state = reader.hash(KEYS.state)
    attempts = reader.hash(KEYS.attempts)
    stored_state: StoredState = {
        "log": [(id_, fields) for id_, fields in reader.stream(KEYS.events) if not is_control(fields)],
        "outcomes": outcomes,
        "histories": {
            key: [tuple(decode_history(item)) for item in _history(reader, key)]
            for key in _behind(names, KEYS.outcome(""))
        },
        "held": {
            key: reader.ask("LRANGE", KEYS.held_events(key), 0, -1) for key in _behind(names, KEYS.held_events(""))
        },
        "waiting": reader.ask("ZRANGE", KEYS.held, 0, -1, "WITHSCORES"),
        "due": reader.ask("ZRANGE", KEYS.due, 0, -1),
        "fates": reader.hash(KEYS.fates),
        "fates by kind": {
            name: reader.ask("ZRANGE", KEYS.fates_of(name), 0, -1, "WITHSCORES")
            for name in COUNTED
            if KEYS.fates_of(name) in names
        },
        "resolutions": [_result(fields) for _, fields in reader.stream(KEYS.resolutions)],
        "lines": [_result(fields) for _, fields in reader.stream(KEYS.lines)],
        "deliveries": reader.hash(KEYS.deliveries),
        "standings": {id_: decode_progress(record).standing for id_, record in attempts.items()},
        "delivered": sorted(reader.ask("ZRANGE", KEYS.delivered, 0, -1)),
        "keys": reader.scored(KEYS.keys),
        "found by": {name: reader.scored(name) for name in names if name.startswith(_LOOKUPS)},
        "days": _days(reader, names),
        "counters": {name: int(state.get(name.encode(), b"0")) for name in COUNTED},
        "settling": state.get(b"settling"),
    }
    stored_state["invoices"] = _invoices(reader)
    events = [_without_instant(fields[b"data"]) for _, fields in reader.stream(BILLING.events)]
    stored_state["billing events"] = sorted(events)  # of several invoices, in any order
    stored_state["billing deliveries"] = {
        id_.decode(): _billing_delivery(id_.decode(), row) for id_, row in reader.hash(BILLING.deliveries).items()
    }
    stored_state["standings"] |= {
        id_: decode_progress(record).standing for id_, record in reader.hash(BILLING.attempts).items()
    }
    stored_state["billing delivered"] = sorted(reader.ask("ZRANGE", BILLING.delivered, 0, -1))
    stored_state["numbers"] = reader.hash(BILLING.numbers), reader.hash(BILLING.series)
    stored_state["other keys"] = _others(names)
    return cast(StoredState, _without(stored_state, placed))


def _billing_delivery(id_: str, row: bytes) -> tuple[Any, ...]:
    found = decode_delivery(id_, row)
    return found.rule_id, found.outcome_key, found.type, _without_instant(found.body)


def _without_instant(body: bytes) -> bytes:
    """The wall clock is in `createdAt`, and nowhere else."""
    return re.sub(rb'"createdAt":"[^"]*"', b"", body)


def _days(reader: Reader, names: list[str]) -> dict[str, int]:
    """What the days add up to. The day itself is today's for what the daemon placed."""
    total: dict[str, int] = {}
    for name in names:
        for field, count in reader.hash(name).items() if name.startswith(KEYS.day("")) else ():
            total[field.decode()] = total.get(field.decode(), 0) + int(count)
    return total


def _invoices(reader: Reader) -> list[Any]:
    """Issued invoices whole; of those that are still open what is in them, since their period is that of today."""
    found = []
    for name in reader.ask("ZRANGE", BILLING.invoices, 0, -1):
        id_ = name.decode()
        head = decode_invoice(id_, reader.hash(BILLING.invoice(id_)))
        assert head is not None, id_
        drafted = reader.ask("LRANGE", BILLING.rows(id_, 0), 0, -1)
        rows = [repr(decode_row(row)) for row in reader.ask("LRANGE", BILLING.lines(id_), 0, -1)]
        if head.closed:
            assert not drafted, id_
            found.append((structs.replace(head, issued_at=None, paid_at=None), rows))
        else:
            assert not rows, id_
            head = structs.replace(head, id="", start=0, end=0)
            rows = sorted(repr(structs.replace(decode_row(row), resolved_at=None)) for row in drafted)
            found.append((head, rows))
    return sorted(map(repr, found))


def _history(reader: Reader, key: str) -> list[bytes]:
    """How much of it is in the record depends on batches; the whole does not."""
    stored = decode_outcome(key, reader.ask("GET", KEYS.outcome(key)))
    return [*unseal_items(key, reader.ask("LRANGE", KEYS.history(key), 0, -1)), *(stored.items if stored else [])]


def _behind(names: Iterable[str], start: str) -> list[str]:
    return [name.removeprefix(start) for name in names if name.startswith(start)]


def _result(fields: dict[bytes, bytes]) -> dict[str, Any]:
    assert list(fields) == [b"data"], fields
    found = json.loads(fields[b"data"])
    assert found.pop("v") == 1
    found.pop("processed_at", None)
    return cast("dict[str, Any]", found)


def _outcomes(reader: Reader, names: list[str]) -> tuple[dict[str, Any], dict[int, str]]:
    """The records; and the instants at which the daemon placed keys, each with a word for it."""
    found: dict[str, Any] = {}
    placed: dict[int, str] = {}
    for key in _behind(names, KEYS.outcome("")):
        stored = decode_outcome(key, reader.ask("GET", KEYS.outcome(key)))
        if stored is None:
            found[key] = "held"
            continue
        found[key] = structs.astuple(structs.replace(stored, processed_at=None, lag=0, tail=b"", tailed=0))
        if key.startswith("placed-"):
            placed[stored.opened_at] = "<when it was placed>"
    return found, placed


def _others(names: list[str]) -> list[str]:
    known = (
        KEYS.outcome(""), KEYS.history(""), KEYS.held_events(""), KEYS.fates_of(""), *_LOOKUPS, KEYS.day(""),
    )  # fmt: skip
    single = {
        KEYS.events, KEYS.state, KEYS.keys, KEYS.due, KEYS.held, KEYS.fates, KEYS.resolutions, KEYS.lines,
        KEYS.deliveries, KEYS.attempts, KEYS.delivered, SHARED.catalogue,
        SHARED.catalogue_head,
    }  # fmt: skip
    invoices = f"{BILLING.base}:"
    return [name for name in names if name not in single | POSITIONS and not name.startswith((*known, invoices))]


def _without(value: Any, placed: dict[int, str]) -> Any:
    """The value with instants of the wall clock replaced."""
    match value:
        case dict():
            return {_without(name, placed): _without(inner, placed) for name, inner in value.items()}
        case list() | tuple():
            return [_without(inner, placed) for inner in value]
        case bool():
            return value
        case int():
            return placed.get(value, value)
        case str() | bytes():
            for ms, word in placed.items():
                text = instant.render(ms)
                if isinstance(value, str):
                    value = value.replace(text, word)
                else:
                    value = value.replace(text.encode(), word.encode())
                    # A delivery's row has the instant as a number as well.
                    value = value.replace(msgspec.msgpack.encode(ms), word.encode())
            return value
    return value


def differences(expected: StoredState, found: StoredState) -> list[str]:
    """What differs between two worlds, in words; nothing where they are equal."""
    told = []
    for part in expected.keys() | found.keys():
        one, other = expected.get(part), found.get(part)
        if one != other:
            told.append(f"{part}:\n    expected {_only(one, other)}\n    found    {_only(other, one)}")
    return sorted(told)


def _only(one: Any, other: Any) -> Any:
    """What the one has and the other has not, so that the report stays readable."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: value for key, value in one.items() if key not in other or other[key] != value}
    if isinstance(one, list) and isinstance(other, list):
        return (len(one), [item for item in one if item not in other])
    return one


def undelivered(stored_state: StoredState, messages: Iterable[Message], placed: Iterable[str] = ()) -> list[str]:
    """What is wrong with what the receiver got: every delivery at least once, always the same, signed."""
    told = []
    bodies: dict[str, bytes] = {}
    accepted: set[str] = set()
    for one in messages:
        if not one.genuine:
            told.append(f"{one.id} has no valid signature")
        if bodies.setdefault(one.id, one.body) != one.body:
            told.append(f"{one.id} came with two bodies")
        if one.status == 200:
            accepted.add(one.id)
    wanted = {id_.decode() for id_ in stored_state["deliveries"]} | stored_state["billing deliveries"].keys()
    told += [f"{id_} never arrived" for id_ in sorted(wanted - accepted)]
    told += [f"{id_} arrived and is no delivery" for id_ in sorted(set(bodies) - wanted)]
    told += [
        f"{id_.decode()} is {standing}"
        for id_, standing in stored_state["standings"].items()
        if standing != "delivered"
    ]
    return told


def against_oracle(reader: Reader, catalogue: Iterable[CatalogueEntry]) -> list[str]:
    """How results differ from what the naive reading of the contract makes of this log, control entries and all."""
    log = []
    for id_, fields in reader.stream(KEYS.events):
        ms, _, seq = id_.partition(b"-")
        log.append((int(ms), int(seq), fields))
    changes = [oracle.Change(one.kind, one.key, one.effective_from, one.archived, one.content) for one in catalogue]
    right = oracle.run(log, changes)
    told = []
    resolutions = [json.loads(fields[b"data"]) for _, fields in reader.stream(KEYS.resolutions)]
    for found in resolutions:
        found.pop("contract_hash", None)  # a reversal has none
        assert found.pop("v") == 1
    if resolutions != right.resolutions:
        told.append(f"resolutions: expected {right.resolutions}\n    found {resolutions}")
    fates = {
        id_.decode(): tuple(msgspec.msgpack.decode(record)[1:3]) for id_, record in reader.hash(KEYS.fates).items()
    }
    wanted = {id_: fate for id_, fate in right.fates.items() if fate[0] != "applied"}
    if fates != wanted:
        told.append(f"fates: expected {wanted}\n    found {fates}")
    ids = {id_.decode() for id_ in reader.hash(KEYS.deliveries)}
    if ids != {one["id"] for one in right.deliveries}:
        told.append("deliveries are others than the log leads to")
    return told
