"""Counts over all partitions, and what is stuck.

They are read from counters and sizes of sets, so the cost does not grow with the data.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct
from redis.asyncio import Redis

from witnd.domain.webhooks.delivery import EndpointState
from witnd.store.deliveries.endpoint_codec import decode_endpoint
from witnd.store.keys import BillingKeys, GlobalKeys, Keys
from witnd.store.query.reads import Command, Reads
from witnd.store.records.state_fields import StateFields
from witnd.store.server.connection import redis_errors

DAY_MS: Final = 86_400_000


class StuckCounts(Struct, frozen=True, kw_only=True):
    """Counts of work that waits. `parked` is by rule id; `endpoints` has the failing ones, by rule id."""

    now_ms: int
    on_hold: int  # outcomes that wait for a repair
    held: int  # keys with held events
    rejected: int  # all time
    rejected_lately: int  # within the last day
    dead: int
    parked: Mapping[str, int]
    endpoints: Mapping[str, EndpointState]
    drafts: int  # closed and not issued
    drafts_due: int  # those past their review time


async def stuck_counts(
    reads: Reads, partitions: Sequence[Keys], shared: GlobalKeys, rules: Sequence[str], grace_ms: int | None
) -> StuckCounts:
    """Return the counts. `rules` are the ids of all rules that ever existed. `grace_ms` None: drafts are issued
    manually."""
    [time] = await reads.pipeline(("TIME",))
    now_ms = int(time[0]) * 1000 + int(time[1]) // 1000
    billing = BillingKeys(shared.prefix)
    commands: list[Command] = [
        ("HGETALL", shared.endpoints),
        ("ZCARD", billing.to_issue),
        ("ZCOUNT", billing.to_issue, "-inf", "+inf" if grace_ms is None else now_ms - grace_ms),
        ("ZCARD", billing.dead),
        *(("ZCARD", billing.parked(rule)) for rule in rules),
    ]
    for keys in partitions:
        rejected = keys.fates_of("rejected")
        commands += [
            ("HLEN", keys.on_hold),
            ("ZCARD", keys.held),
            ("ZCARD", rejected),
            ("ZCOUNT", rejected, now_ms - DAY_MS, "+inf"),
            ("ZCARD", keys.dead),
            *(("ZCARD", keys.parked(rule)) for rule in rules),
        ]
    flat, drafts, due, dead_events, *counts = await reads.pipeline(*commands)
    parked_events, counts = counts[: len(rules)], counts[len(rules) :]
    size = 5 + len(rules)
    rows = [counts[start : start + size] for start in range(0, len(counts), size)]
    on_hold, held, rejected_, lately, dead, *parked = map(sum, zip(*rows, strict=True))
    states = {flat[i].decode(): decode_endpoint(flat[i + 1]) for i in range(0, len(flat), 2)}
    return StuckCounts(
        now_ms=now_ms,
        on_hold=on_hold,
        held=held,
        rejected=rejected_,
        rejected_lately=lately,
        dead=dead + dead_events,
        parked={rule: sum(many) for rule, *many in zip(rules, parked, parked_events, strict=True) if any(many)},
        endpoints={rule: state for rule, state in states.items() if state.failing_since is not None or state.suspended},
        drafts=drafts,
        drafts_due=due,
    )


async def counters(reads: Reads, partitions: Sequence[Keys]) -> dict[str, int]:
    """Return the counters of events by fate and outcomes by status."""
    total: dict[str, int] = {}
    answers = await reads.pipeline(*(("HGETALL", keys.state) for keys in partitions))
    for keys, flat in zip(partitions, answers, strict=True):
        for name, count in StateFields.of_partition(keys.state, flat).counters().items():
            total[name] = total.get(name, 0) + count
    return total


async def revision(client: Redis, shared: GlobalKeys, partitions: Sequence[Keys]) -> bytes:
    """Return a value that changes with every change of an outcome, delivery, invoice or the catalogue."""
    billing = BillingKeys(shared.prefix)
    with redis_errors():
        async with client.pipeline(transaction=False) as reads:
            reads.hget(billing.state, "seq")
            reads.zcard(billing.delivered)
            reads.zcard(billing.dead)
            reads.xrevrange(shared.changes, count=1)
            reads.hgetall(shared.endpoints)
            for keys in partitions:
                reads.hget(keys.state, "seq")
                reads.zcard(keys.delivered)
                reads.zcard(keys.dead)
            return repr(await reads.execute()).encode()
