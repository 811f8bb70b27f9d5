"""What must be true at the end of a run, and after each commit."""

from types import SimpleNamespace
from typing import Any

import msgspec
from msgspec import Struct

from tests.engine.model import KEYS, Model, catalogue_of, world_of
from tests.engine.test_fold_and_oracle import plain
from tests.oracle import oracle
from tests.oracle.oracle import Change
from tests.simulation.database import Database, Stream, Words, read_id
from witnd.domain.values import instant
from witnd.store.keys import Keys
from witnd.store.records.state_fields import NOT_COUNTERS

# How early a settlement may be by true time. The guard allows a drift of 0.5 ms per second, and the time of its best
# reading; see `witnd/store/clock/guard.py`.
EARLY_MS = 50
FIRST_OPERATION = 6  # in the words of a commit: its two keys and four arguments come before


class Written(Struct, frozen=True, kw_only=True):
    """A step that the server wrote."""

    partition: int
    sequence: int
    digest: str
    lease: str
    settled: tuple[tuple[str, int], ...]  # outcome key and deadline
    reversed: tuple[str, ...]  # outcome keys


def read_commit(words: Words) -> Written:
    """Return the step in the words of a commit, after EVALSHA, digest and number of keys."""
    partition = int(words[0].partition(b"{")[2].partition(b"}")[0])
    resolutions = Keys("witn", partition).resolutions.encode()
    settled, reversals, at = [], [], FIRST_OPERATION
    while at < len(words):
        count = int(words[at])
        if words[at + 1] == b"XADD" and words[at + 2] == resolutions:
            one = msgspec.json.decode(words[at + 5])
            if one["type"] == "outcome_reversed":
                reversals.append(one["outcome_key"])
            else:
                settled.append((one["outcome_key"], instant.parse(one["settles_at"])))
        at += count + 1
    return Written(
        partition=partition,
        sequence=int(words[4]),
        digest=words[5].decode(),
        lease=words[2].decode(),
        settled=tuple(settled),
        reversed=tuple(reversals),
    )


def early(written: Written, true_ms: int) -> list[str]:
    """Return the outcomes of a step that were settled before their deadline."""
    return [
        f"{key} was settled {deadline - true_ms} ms before its deadline"
        for key, deadline in written.settled
        if deadline - true_ms > EARLY_MS
    ]


def wrong_steps(written: list[Written], partitions: int) -> list[str]:
    """Return the steps whose number does not follow the one before."""
    found = []
    for partition in range(partitions):
        numbers = [one.sequence for one in written if one.partition == partition]
        if numbers != list(range(1, len(numbers) + 1)):
            found.append(f"the steps of partition {partition} are numbered {numbers}")
    return found


def settled_twice(written: list[Written]) -> list[str]:
    return _repeated("settled", [key for one in written for key, _ in one.settled])


def reversed_twice(written: list[Written]) -> list[str]:
    return _repeated("reversed", [key for one in written for key in one.reversed])


def _repeated(what: str, keys: list[str]) -> list[str]:
    return [f"{key} was {what} {keys.count(key)} times" for key in sorted(set(keys)) if keys.count(key) > 1]


def log_of(db: Database, partition: int) -> Stream:
    return db.data.get(Keys("witn", partition).events) or Stream()


def is_applied(db: Database, partition: int) -> bool:
    """Return whether a partition has applied its whole log."""
    state, log = db.data.get(Keys("witn", partition).state, {}), log_of(db, partition)
    return int(state.get(b"read", 0)) == log.added and read_id(state.get(b"cursor", b"0-0")) >= log.last


def differences(db: Database, partition: int, partitions: int, changes: list[Change]) -> list[str]:
    """Compare what a partition wrote with what the oracle makes of its log."""
    entries = [
        (ms, seq, dict(zip(fields[::2], fields[1::2], strict=True)))
        for (ms, seq), fields in log_of(db, partition).entries
    ]
    expected = plain(oracle.run(entries, changes, partition=partition, partitions=partitions))
    try:
        found = plain(world_of(written_run(db, partition, changes)))
    except AssertionError as wrong:
        return [f"partition {partition}: its records and its indexes or counters differ: {wrong}"]
    return [
        f"partition {partition}: {name} differ: {difference(expected[name], found[name])}"
        for name in expected
        if expected[name] != found[name]
    ]


def difference(expected: Any, found: Any) -> str:
    """Return the first difference of two lists or dictionaries."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in {**expected, **found}:
            if expected.get(key) != found.get(key):
                return f"{key}: expected {expected.get(key)}, found {found.get(key)}"
    for one, other in zip(expected, found, strict=False):
        if one != other:
            return f"expected {one}, found {other}"
    return f"expected {len(expected)}, found {len(found)}"


def written_run(db: Database, partition: int, changes: list[Change]) -> Any:
    """Return the data of a partition in the form of `tests.engine.model`, as its partition 0."""
    base, data = Keys("witn", partition).base, {}
    for name, value in {**db.data, **db.zsets}.items():
        if name.startswith(base):
            data[KEYS.base + name.removeprefix(base)] = plain_value(value)
    model = Model()
    model.data = data
    state = data.get(KEYS.state, {})
    counters = {name: int(count) for name, count in state.items() if name not in NOT_COUNTERS}
    read = int(state.get("read", 0))
    shape = SimpleNamespace(read=read, counters=counters)
    return SimpleNamespace(model=model, catalogue=catalogue_of(changes), taken=read, partition=shape)


def plain_value(value: Any) -> Any:
    if isinstance(value, Stream):
        return [fields[1] for _, fields in value.entries]
    if isinstance(value, dict):
        return {key.decode(): one for key, one in value.items()}
    if isinstance(value, set):
        return {one.decode() for one in value}
    return value
