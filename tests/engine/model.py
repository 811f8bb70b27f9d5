"""The fold over a dictionary: real parsing, folding, encoding and recalling; only Redis is a model.

`drive` cuts a run up as asked (batch borders, settle limits, passivation, restarts) and answers the same `World` as the
oracle, read back from what was written. Nothing here decides anything about outcomes.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import msgspec

from tests.oracle.logs import Cuts
from tests.oracle.oracle import Change, Entry, OutcomeView, World
from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry
from witnd.domain.catalogue.contract import read_agent
from witnd.domain.catalogue.customer import read_customer
from witnd.domain.outcomes import attribution
from witnd.domain.pricing.ratecard import read_rate_card
from witnd.domain.values.instant import render
from witnd.fold.actor import Actor, Held
from witnd.fold.history import decode_history, items_of
from witnd.fold.partition import Partition
from witnd.store.deliveries.outbox import decode_row
from witnd.store.keys import Keys
from witnd.store.log.reader import entry_id
from witnd.store.partition.commit import Commit
from witnd.store.partition.hydrate import hydrate
from witnd.store.partition.writes import text_of, write
from witnd.store.records.codec import decode_fate, decode_outcome
from witnd.store.records.held_codec import decode_held
from witnd.store.records.sealed import unseal_items
from witnd.store.records.state_fields import NOT_COUNTERS

KEYS = Keys("witn", 0)


class Model:
    """The dozen commands that a commit uses, on dictionaries."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}

    def run(self, commands: list[list[Any]]) -> None:
        for name, *words in commands:
            getattr(self, name.lower())(*words)

    def mset(self, *pairs: Any) -> None:
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            self.data[key] = value

    set = mset

    def unlink(self, key: str) -> None:
        del self.data[key]

    def rpush(self, key: str, *items: bytes) -> None:
        assert items
        self.data.setdefault(key, []).extend(items)

    def zadd(self, key: str, *pairs: Any) -> None:
        zset = self.data.setdefault(key, {})
        for score, member in zip(pairs[::2], pairs[1::2], strict=True):
            zset[member] = score

    def zrem(self, key: str, *members: str) -> None:
        for member in members:
            self.data.get(key, {}).pop(member, None)

    def hset(self, key: str, *pairs: Any) -> None:
        self.data.setdefault(key, {}).update(zip(pairs[::2], pairs[1::2], strict=True))

    def hdel(self, key: str, *fields: str) -> None:
        for field in fields:
            self.data.get(key, {}).pop(field, None)

    def hincrby(self, key: str, field: str, count: int) -> None:
        fields = self.data.setdefault(key, {})
        fields[field] = b"%d" % (int(fields.get(field, 0)) + count)

    def sadd(self, key: str, *members: str) -> None:
        self.data.setdefault(key, set()).update(members)

    def xadd(self, key: str, entry: str, name: str, value: bytes) -> None:
        entries = self.data.setdefault(key, [])
        assert (entry, name) == (f"{len(entries) + 1}-0" if key == KEYS.lines else "*", "data")
        entries.append(value)

    def hydrate(self, key: str, catalogue: Catalogue) -> Actor | Held:
        get = self.data.get
        record = get(KEYS.outcome(key))
        return hydrate(
            key,
            None if record is None else decode_outcome(key, record),
            unseal_items(key, get(KEYS.history(key), [])),
            [decode_held(key, item) for item in get(KEYS.held_events(key), [])],
            catalogue,
        )

    def due(self) -> list[tuple[int, str]]:
        return [(score, key) for key, score in self.data.get(KEYS.due, {}).items()]


def catalogue_of(changes: Sequence[Change]) -> Catalogue:
    readers: dict[str, Callable[..., Any]] = {
        "agent": read_agent,
        "customer": read_customer,
        "rate_card": read_rate_card,
    }
    catalogue = Catalogue()
    for change in changes:
        content = change.content
        if change.kind in readers:
            content, mistakes = readers[change.kind](change.key, content, "")
            assert not mistakes, mistakes
        catalogue.add(
            CatalogueEntry(
                kind=change.kind,
                key=change.key,
                effective_from=change.effective_from,
                archived=change.archived,
                content=content,
            )
        )
    return catalogue


WHOLE = Cuts([], 1000, [], [])


class Drive:
    """One run over a log."""

    def __init__(self, changes: Sequence[Change], partition: int, partitions: int, held_max: int) -> None:
        self.model = Model()
        self.changes = changes
        self.catalogue = catalogue_of(changes)
        self.sequence = 0
        self.taken = 0
        self.shape = {"partition": partition, "partitions": partitions, "held_max": held_max}
        self.start((0, 0), 0, {})

    def start(self, cursor: tuple[int, int], read: int, counters: dict[str, int], lines: int = 0) -> None:
        self.partition = Partition(
            self.catalogue, cursor=cursor, read=read, lines=lines, counters=counters, **self.shape
        )
        self.partition.deadlines.horizon = -1

    def restart(self) -> None:
        state = self.model.data.get(KEYS.state, {})
        counters = {name: count for name, count in state.items() if name not in NOT_COUNTERS}
        # A new process placed nothing: it knows what was frozen by digest alone.
        self.catalogue = catalogue_of(self.changes)
        self.start(entry_id(state.get("cursor", "0-0")), state.get("read", 0), counters, state.get("lines", 0))

    def take(self, entries: Sequence[Entry], number: int, cuts: Cuts) -> None:
        partition, model = self.partition, self.model
        rows = [
            (b"%d-%d" % (ms, seq), [part for pair in fields.items() for part in pair]) for ms, seq, fields in entries
        ]
        batch, cold = partition.plan(rows, number)
        partition.cache.install([model.hydrate(key, self.catalogue) for key in cold], number)
        at = 0
        done = False
        while not done:
            step, reached = partition.fold(batch, at, cuts.settle_limit, number)
            commit = write(step, partition, KEYS, self.sequence)
            self.sequence += 1
            self.written(commit)
            if step.need == "horizon":
                # The nearest horizon that helps, so that there are many of them.
                horizon = batch[reached][0]
                for score, key in model.due():
                    if partition.deadlines.horizon < score <= horizon:
                        partition.deadlines.add_stored(score, key)
                partition.deadlines.horizon = horizon
            elif step.need is not None:
                partition.cache.install([model.hydrate(key, self.catalogue) for key in step.need], number)
            else:
                assert reached > at or step.settled or not batch
            done = reached == len(batch)
            assert not partition.orphaned_deadlines
            self.taken += reached - at
            at = reached

    def written(self, commit: Commit) -> None:
        self.model.run(commit.commands())

    def all(self, entries: Sequence[Entry], cuts: Cuts) -> None:
        """The whole log, cut up as asked."""
        borders = sorted({*cuts.batches, *cuts.passivate_after, *cuts.restart_after, 0, len(entries)})
        for number, (start, end) in enumerate(pairwise(borders), 1):
            if end > len(entries) or start == end:
                continue
            self.take(entries[start:end], number, cuts)
            if end in cuts.passivate_after:
                self.passivate(number, cuts)
            if end in cuts.restart_after:
                self.restart()

    def passivate(self, number: int, cuts: Cuts) -> None:
        """Forget everything. What must be mirrored again first is written by an empty step."""
        self.partition.cache.passivate(0, number, ())
        self.take((), number, cuts)
        self.partition.cache.passivate(0, number, ())
        assert not self.partition.known
        self.partition.deadlines.compact()


def drive(
    entries: Sequence[Entry],
    changes: Sequence[Change],
    cuts: Cuts = WHOLE,
    *,
    partition: int = 0,
    partitions: int = 1,
    held_limit: int = 1000,
) -> World:
    run = Drive(changes, partition, partitions, held_limit)
    run.all(entries, cuts)
    return world_of(run)


def world_of(run: Drive) -> World:
    data, world = run.model.data, World()
    json = msgspec.json.decode
    for entry, record in data.get(KEYS.fates, {}).items():
        fate = decode_fate(record)
        world.fates[entry] = (fate.fate, fate.reason)
    prefix = KEYS.outcome("")
    for name in list(data):
        if not name.startswith(prefix):
            continue
        key = name[len(prefix) :]
        actor = run.model.hydrate(key, run.catalogue)
        if isinstance(actor, Held):
            world.held[key] = [text_of(one.entry) for one in actor.waiting]
            continue
        items = [*unseal_items(key, data.get(KEYS.history(key), [])), *items_of(actor.tail, actor.tailed)]
        assert actor.events == len(items)
        history = [decode_history(item) for item in items]
        applied = [text_of(item.entry) for item in history]
        world.fates.update(dict.fromkeys(applied, ("applied", None)))
        world.outcomes[key] = view(actor, applied)
    world.resolutions = [versioned(one) for one in data.get(KEYS.resolutions, [])]
    world.lines = [versioned(one) for one in data.get(KEYS.lines, [])]
    for id_, row in data.get(KEYS.deliveries, {}).items():
        one = decode_row(id_, row)
        world.deliveries.append(
            {
                "id": id_,
                "rule_id": one.rule_id,
                "rule_name": one.rule_name,
                "type": one.type,
                "outcome_key": one.outcome_key,
                "created_at": render(one.created_ms),
                "body": json(one.body),
            }
        )
    check_indexes(run, world)
    return world


def versioned(record: bytes) -> dict[str, Any]:
    """A record without the number of its format."""
    assert record.startswith(b'{"v":1,')
    found: dict[str, Any] = msgspec.json.decode(record)
    del found["v"]
    return found


def check_indexes(run: Drive, world: World) -> None:
    """The mirror, the indexes and the counters say the same as the records."""
    assert run.taken == run.partition.read
    data = run.model.data
    live = {key: one for key, one in world.outcomes.items() if one.status in ("OPEN", "PENDING")}
    mirror = data.get(KEYS.due, {})
    assert set(live) == set(mirror)
    for key, one in live.items():
        record = decode_outcome(key, data[KEYS.outcome(key)])
        assert record is not None
        assert mirror[key] == record.indexed_deadline <= one.settles_at
    assert set(world.held) == set(data.get(KEYS.held, {}))
    counted = defaultdict(int)
    for fate, _ in world.fates.values():
        counted[fate] += 1
    for one in world.outcomes.values():
        counted[one.status] += 1
    counters = run.partition.counters
    assert counters == {name: counted.get(name, 0) for name in counters}
    for fate in ("duplicate", "conflict", "reversed", "late", "held", "rejected"):
        index = set(data.get(KEYS.fates_of(fate), {}))
        assert index == {entry for entry, (name, _) in world.fates.items() if name == fate}
    rows = {key for rule in data.get(KEYS.outbox_rules, ()) for key in data[KEYS.outbox(rule)]}
    assert rows == {one["id"] for one in world.deliveries}
    check_lookups(data, world)


def check_lookups(data: dict[str, Any], world: World) -> None:
    """Each outcome is in the set of its status and of its customer, and counted on its days."""
    sets: dict[str, dict[str, int]] = defaultdict(dict)
    days: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for key, one in world.outcomes.items():
        sets[KEYS.keys][key] = 0
        sets[KEYS.with_status(one.status)][key] = sets[KEYS.of_customer(one.customer_key)][key] = one.opened_at
        days[render(one.opened_at)[:10], "opened"] += 1
        if one.status in ("CONFIRMED", "FAILED"):
            days[render(one.settles_at)[:10], one.status] += 1
        if one.reversed_by is not None:
            days[render(int(one.reversed_by.partition("-")[0]))[:10], "reversed"] += 1
    for line in world.lines:
        if line["kind"] == "reversal":
            continue
        date, amount = line["resolved_at"][:10], line["amount"]
        if amount is None:
            days[date, "at_close"] += 1
        elif Decimal(amount):
            days[date, line["currency"]] += Decimal(amount.replace(".", ""))
    starts = (KEYS.with_status(""), KEYS.of_customer(""))
    found = {name: zset for name, zset in data.items() if zset and (name == KEYS.keys or name.startswith(starts))}
    assert found == sets
    counted: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for name, fields in data.items():
        for field, count in fields.items() if name.startswith(KEYS.day("")) else ():
            # Money is in fields `currency:digits:part`, counts are in fields of one word.
            what, *place = field.split(":")
            part = place[1] if place else 0
            assert int(count) > 0
            counted[name.removeprefix(KEYS.day("")), what] += int(count) * Decimal(10**9) ** int(part)
    assert counted == days


def view(actor: Actor, applied: list[str]) -> OutcomeView:
    rule = actor.contract.rule
    return OutcomeView(
        key=actor.key,
        status=actor.status,
        scheduled_resolution=actor.scheduled_resolution,
        customer_key=actor.customer_key,
        agent_key=actor.contract.agent,
        opened_at=actor.opened_at,
        settles_at=actor.settles_at,
        events_count=actor.events,
        applied_ids=applied,
        reversed_by=None if actor.reversed_by is None else text_of(actor.reversed_by),
        counts=dict(zip(rule.facts, actor.counts, strict=True)),
        values=dict(zip(rule.facts, actor.values, strict=True)),
        truth=list(rule.truth(actor.counts, actor.values)),
        unit=Fraction(Decimal(attribution.unit(actor.tally))),
        contract={},
        price={
            "currency": actor.price.currency,
            "entry": actor.price.entry,
            "customer": actor.price.customer,
        },
    )
