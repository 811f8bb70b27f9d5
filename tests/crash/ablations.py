"""Daemons without one of their safeguards, for proving that the suite would notice.

Each is applied by the launcher inside the child process and replaces the safeguard by what somebody might have
written instead.
"""

import re
import time
from collections.abc import Callable
from hashlib import sha1
from typing import Any


def fencing() -> None:
    """A step is written whoever owns the partition."""
    _without(rb"if owner ~= ARGV\[1\] then\n.*?\nend\n")


def sequence() -> None:
    """A step is written wherever the partition stands, so as often as it is sent."""
    _without(rb"if seq ~= ARGV\[2\] then\n.*?\n  return [^\n]*\nend\n")


def sequence_and_line_numbers() -> None:
    """As `sequence`, and the server numbers the invoice lines, so no number is taken already."""
    from witnd.store.partition.commit import Commit

    sequence()
    add = Commit.add

    def numbered_by_server(commit: Commit, *command: Any) -> None:
        if command[0] == "XADD" and command[1].endswith(":lines"):
            command = (*command[:2], "*", *command[3:])
        add(commit, *command)

    Commit.add = numbered_by_server


def _without(check: bytes) -> None:
    from witnd.store.partition import commit

    shorter, found = re.subn(check, b"", commit.SOURCE, flags=re.DOTALL)
    assert found == 1, "commit.lua has changed: adapt the ablation"
    commit.SOURCE = shorter
    commit.SHA = sha1(shorter, usedforsecurity=False).hexdigest()


def tick_rule() -> None:
    """What is due by the clock settles at once, without proof that everything accepted until then was read."""
    from witnd.domain.outcomes.event import Tick
    from witnd.fold.partition import Partition

    plan = Partition.plan

    def impatient(partition: Partition, rows: Any, batch: int) -> Any:
        entries, cold = plan(partition, rows, batch)
        now = time.time_ns() // 1_000_000
        return [(now, 0, Tick(), [], None), *entries], cold

    settle = Partition._settle_due

    def out_of_order(partition: Partition, step: Any, ms: int, seq: int, most: int, last_ms: int) -> bool:
        return settle(partition, step, ms, seq, most, max(ms, last_ms))  # the tick comes before what is older

    Partition.plan = impatient
    Partition._settle_due = out_of_order


def dedup() -> None:
    """No event is recognised as one that came before."""
    from witnd.fold.actor import Actor, Held

    Actor.find = Held.find = lambda *_: None


def outbox_in_commit() -> None:
    """Deliveries are written by a call of their own, after the commit that they follow from."""
    from witnd.engine.pipeline import Pipeline
    from witnd.store.deliveries.outbox import encode_row
    from witnd.store.partition import writes

    later: dict[int, list[tuple[Any, ...]]] = {}
    resolutions, written = writes._resolutions, Pipeline._wait_for_commit

    def without_deliveries(commit: Any, step: Any, partition: Any, keys: Any) -> None:
        commands = later.setdefault(commit.sequence, [])
        for settled in step.settled:
            for one in settled.deliveries:
                commands.append(("HSET", keys.deliveries, one.id, encode_row(one)))
                commands.append(("ZADD", keys.outbox(one.rule_id), one.created_ms, one.id))
                commands.append(("SADD", keys.outbox_rules, one.rule_id))
        kept, step.settled = step.settled, [one._replace(deliveries=()) for one in step.settled]
        resolutions(commit, step, partition, keys)
        step.settled = kept

    async def deliveries_afterwards(pipeline: Any) -> None:
        sent, told = pipeline._in_flight, pipeline._on_queued
        pipeline._on_queued = lambda rules: None
        await written(pipeline)
        pipeline._on_queued = told
        commands = later.pop(sent.sequence, []) if sent is not None else []
        if commands:
            store, retry = pipeline._memory.store, pipeline._memory.retry
            await retry.call("writing deliveries", lambda: store.ask(*commands))
            told(sent.rules)

    writes._resolutions = without_deliveries
    Pipeline._wait_for_commit = deliveries_afterwards


def retry_off() -> None:
    """What got no answer is sent again by itself, as redis-py does where it is not told otherwise."""
    from witnd.store.errors import StoreUnavailable
    from witnd.store.log import append
    from witnd.store.server import wire
    from witnd.store.server.connection import endpoint

    once = append.append

    async def blindly(connection: Any, entries: Any) -> Any:
        path = connection._transport.get_extra_info("peername")
        while True:
            try:
                return await once(connection, entries)
            except StoreUnavailable:
                connection = await wire.connect(endpoint(f"unix://{path}"), "again")

    append.append = blindly


ABLATIONS: dict[str, Callable[[], None]] = {
    "fencing": fencing,
    "sequence": sequence,
    "sequence-and-line-numbers": sequence_and_line_numbers,
    "tick-rule": tick_rule,
    "dedup": dedup,
    "outbox-in-commit": outbox_in_commit,
    "retry-off": retry_off,
}
