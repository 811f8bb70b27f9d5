"""Builds the commit of a step, coalesced per outcome."""

from typing import cast

from witnd.domain.outcomes.event import EntryId
from witnd.fold.actor import Actor, Held
from witnd.fold.partition import Partition
from witnd.fold.step import Fate, Step
from witnd.store.deliveries.fan_out_codec import encode_message, encode_rules
from witnd.store.deliveries.outbox import encode_row
from witnd.store.keys import Keys
from witnd.store.log.forward import encode_forwarded
from witnd.store.partition.commit import Commit, Word
from witnd.store.partition.indexing import index
from witnd.store.records.codec import FateRecord, encode_fate, encode_outcome, held_record
from witnd.store.records.held_codec import encode_held
from witnd.store.records.hold import encode_hold
from witnd.store.records.json_record import encode_record
from witnd.store.records.sealed import sealed

# The indexed deadline of an outcome is early by at most this part of its settlement period (measured: with a sixth, a
# commit costs the server less than half). A deadline that is too early costs one load of the outcome.
LAG_PARTS = 6


def write(step: Step, partition: Partition, keys: Keys, expected: int) -> Commit:
    """Return the commit of a step and the position after it. Mark its changes as written, and number its lines."""
    commit = Commit(keys, expected)
    if step.new_holds or step.arrived or step.repaired:
        _on_hold(commit, step, keys)
    _outcomes(commit, step, keys)
    _resolutions(commit, step, partition, keys)
    if step.held or step.placed or step.rewritten:
        _held(commit, step, keys)
    commit.add_many(("HDEL", keys.removals), [text_of(entry) for entry in step.removals])
    if step.fates or step.unfated or step.released:
        _fates(commit, step, keys)
    commit.add_many(("RPUSH", keys.forwards), [encode_forwarded(event) for event in step.forwards])
    decided = str(partition.catalogue.chain.head)
    state: list[Word] = ["cursor", text_of(partition.cursor), "read", partition.read, "catalogue", decided]
    state += "lines", partition.lines
    for name, count in partition.counters.items():
        state += (name, count)
    settling = step.settling
    last = "" if settling is None else f"{text_of(settling.entry)} {settling.settles_at} {settling.key}"
    commit.add("HSET", keys.state, "settling", last, *state)
    return commit


def text_of(entry: EntryId) -> str:
    return f"{entry[0]}-{entry[1]}"


def _outcomes(commit: Commit, step: Step, keys: Keys) -> None:
    records: list[Word] = []
    due: list[Word] = []
    done: list[Word] = []
    moved: list[Actor] = []
    start = keys.outcome("")
    for actor in step.actors:
        key = actor.key
        actor.dirty = False
        if actor.status != actor.indexed:
            moved.append(actor)
        if actor.processed_at is not None:
            done.append(key)
        else:
            # The index may lag by a part of the period: writing it is the most expensive part of an event.
            lag = actor.settles_at - actor.indexed_deadline
            if lag and (lag < 0 or actor.is_stale or lag * LAG_PARTS >= actor.contract.settlement_ms):
                actor.indexed_deadline = actor.settles_at
                due += (actor.settles_at, key)
            actor.is_stale = False
        records += (
            start + key,
            encode_outcome(actor, actor.indexed_deadline, actor.tail, actor.tailed, actor.reversal),
        )
    for key, items in step.spilled.items():
        commit.add_many(("RPUSH", keys.history(key)), cast("list[Word]", sealed(key, items)))
    commit.add_many(("MSET",), records)
    commit.add_many(("ZADD", keys.due), due)
    commit.add_many(("ZREM", keys.due), done)
    if moved or step.settled:
        index(commit, moved, step.settled, keys)


def _resolutions(commit: Commit, step: Step, partition: Partition, keys: Keys) -> None:
    rows: list[Word] = []
    messages: list[Word] = []
    unqueued: list[Word] = []
    outbox: dict[str, list[Word]] = {}
    for settled in step.settled:
        commit.add("XADD", keys.resolutions, "*", "data", encode_record(settled.resolution))
        if settled.line is not None:
            partition.lines += 1
            commit.add("XADD", keys.lines, text_of((partition.lines, 0)), "data", encode_record(settled.line))
        fan_out = settled.deliveries
        if fan_out and fan_out.is_large:
            messages += (settled.actor.key, encode_message(fan_out.message))
            unqueued += (settled.actor.key, encode_rules(fan_out))
            continue
        for delivery in fan_out:
            rows += (delivery.id, encode_row(delivery))
            outbox.setdefault(delivery.rule_id, []).extend((delivery.created_ms, delivery.id))
    # Grouped, because each command costs the server more than its work.
    commit.add_many(("HSET", keys.deliveries), rows)
    commit.add_many(("HSET", keys.messages), messages)
    commit.add_many(("HSET", keys.unqueued), unqueued)
    for rule_id, due in outbox.items():
        commit.add_many(("ZADD", keys.outbox(rule_id)), due)
    commit.add_many(("SADD", keys.outbox_rules), list(outbox))


def _held(commit: Commit, step: Step, keys: Keys) -> None:
    placed = {held.key for held in step.placed}
    for held in step.rewritten:
        if held.key not in placed:
            _rewrite(commit, held, keys)
    for held in step.held:
        held.fresh = False
        if held.key in placed:
            continue
        new: list[Word] = [encode_held(*one) for one in held.waiting[held.stored :]]
        if new and not held.stored:
            commit.add("SET", keys.outcome(held.key), held_record(held.key))
            commit.add("ZADD", keys.held, held.waiting[0].entry[0], held.key)
        commit.add_many(("RPUSH", keys.held_events(held.key)), new)
        held.stored = len(held.waiting)
    for held in step.placed:
        if held.stored:
            commit.add("UNLINK", keys.held_events(held.key))
            commit.add("ZREM", keys.held, held.key)


def _on_hold(commit: Commit, step: Step, keys: Keys) -> None:
    """Write new and ended holds, and waiting events. It comes first: an outcome can go through all of it in one
    step."""
    for one in step.new_holds:
        commit.add("HSET", keys.on_hold, one.key, encode_hold(one.hold))
        commit.add("ZREM", keys.due, one.key)
        commit.add("ZREM", keys.keys, one.key)
        if one.hold.status is not None:
            commit.add("ZREM", keys.with_status(one.hold.status), one.key)
    for one in step.arrived:
        commit.add_many(("RPUSH", keys.waiting(one.key)), [encode_held(*waiting) for waiting in one.arrived])
        one.arrived = []
    for one in step.repaired:
        commit.add("HDEL", keys.on_hold, one.key)
        # Damaged keys may have any type. The step writes the data of the repaired outcome again.
        removed = (keys.outcome, keys.history, keys.held_events, keys.waiting, keys.repair)
        commit.add("UNLINK", *(name(one.key) for name in removed))
        commit.add("ZREM", keys.held, one.key)
        rebuilt, hold = one.rebuilt, one.hold
        if isinstance(rebuilt, Actor):
            commit.add_many(("RPUSH", keys.history(one.key)), list(one.history))
            if hold.status is not None and one.status is not None:
                commit.add("ZADD", keys.keys, 0, one.key)
                commit.add("ZADD", keys.of_customer(rebuilt.customer_key), rebuilt.opened_at, one.key)
                commit.add("ZADD", keys.with_status(one.status), rebuilt.opened_at, one.key)


def _rewrite(commit: Commit, held: Held, keys: Keys) -> None:
    """Write the remaining events of a key after a removal. If none is left, the key becomes unused."""
    if held.stored:
        commit.add("UNLINK", keys.held_events(held.key))
    if held.waiting:
        commit.add("SET", keys.outcome(held.key), held_record(held.key))
        commit.add("ZADD", keys.held, held.waiting[0].entry[0], held.key)
        commit.add_many(("RPUSH", keys.held_events(held.key)), [encode_held(*one) for one in held.waiting])
    elif held.stored:
        commit.add("UNLINK", keys.outcome(held.key))
        commit.add("ZREM", keys.held, held.key)
    held.stored = len(held.waiting)


def _fates(commit: Commit, step: Step, keys: Keys) -> None:
    released: list[Word] = [text_of(entry) for entry in step.released]
    commit.add_many(("HDEL", keys.fates), released)
    commit.add_many(("ZREM", keys.fates_of("waiting")), released)
    unwaiting = set(step.released)
    # A held entry that was placed: its new fate is in the history, or is a later one of this step.
    unheld = set(step.unfated)
    removed: list[Word] = [text_of(entry) for entry in step.unfated]
    commit.add_many(("HDEL", keys.fates), removed)
    commit.add_many(("ZREM", keys.fates_of("held")), removed)
    records: list[Word] = []
    index: dict[str, list[Word]] = {}
    for fate in step.fates:
        if (fate.fate == "held" and fate.entry in unheld) or (fate.fate == "waiting" and fate.entry in unwaiting):
            continue
        entry = text_of(fate.entry)
        records += (entry, encode_fate(_record(fate)))
        index.setdefault(fate.fate, []).extend((fate.entry[0], entry))
    commit.add_many(("HSET", keys.fates), records)
    for name, entries in index.items():
        commit.add_many(("ZADD", keys.fates_of(name)), entries)


def _record(fate: Fate) -> FateRecord:
    return FateRecord(fate.fate, fate.reason, fate.key, fate.message, fate.raw)
