"""Moves deliveries: their rows, progress and queues."""

from witnd.store.deliveries.fan_out_codec import rule_and_outcome
from witnd.store.errors import Unreadable
from witnd.store.partition.commit import Word
from witnd.store.repartition.mover import Batch, Command, Mover
from witnd.store.repartition.outcomes import pages


async def move_deliveries(mover: Mover) -> None:
    """Move the rows of outcomes that move, each with its progress and its places in queues. A delivery whose row is
    damaged stays: only the row names its outcome."""
    async for page in pages(mover, "HSCAN", mover.source.keys.deliveries):
        found: list[tuple[bytes, bytes, str, int]] = []
        for id_, row in page:
            try:
                rule, outcome = rule_and_outcome(row)
            except Unreadable:
                continue
            if (number := mover.target_of(outcome.encode())) is not None:
                found.append((id_, row, rule, number))
        if found:
            await _move(mover, found)
    await _drop_empty_rules(mover)


async def _move(mover: Mover, found: list[tuple[bytes, bytes, str, int]]) -> None:
    keys, batch = mover.source.keys, Batch()
    commands: list[Command] = [("HMGET", keys.attempts, *[id_ for id_, *_ in found])]
    for id_, _, rule, _ in found:
        queues = keys.outbox(rule), keys.parked(rule), keys.dead, keys.delivered
        commands += [("ZSCORE", queue, id_) for queue in queues]
    attempts, *scores = await mover.source.ask(*commands)
    for place, (id_, row, rule, number) in enumerate(found):
        there = mover.targets[number].keys
        batch.write(number, ("HSET", there.deliveries), [id_, row])
        if attempts[place] is not None:
            batch.write(number, ("HSET", there.attempts), [id_, attempts[place]])
        old = (keys.outbox(rule), keys.parked(rule), keys.dead, keys.delivered)
        new = (there.outbox(rule), there.parked(rule), there.dead, there.delivered)
        for before, after, score in zip(old, new, scores[4 * place : 4 * place + 4], strict=True):
            if score is not None:
                batch.write(number, ("ZADD", after), [score, id_])
                batch.remove(("ZREM", before), [id_])
        if scores[4 * place] is not None:
            batch.write(number, ("SADD", there.outbox_rules), [rule])
    ids: list[Word] = [id_ for id_, *_ in found]
    batch.remove(("HDEL", keys.attempts), ids)
    batch.remove(("HDEL", keys.deliveries), ids)
    await mover.apply(batch)


async def _drop_empty_rules(mover: Mover) -> None:
    """Remove rules without queued deliveries from the set of rules to send."""
    keys = mover.source.keys
    [rules] = await mover.source.ask(("SMEMBERS", keys.outbox_rules))
    counts = await mover.source.ask(*(("ZCARD", keys.outbox(rule.decode())) for rule in rules)) if rules else []
    empty: list[Word] = [rule for rule, count in zip(rules, counts, strict=True) if not count]
    if empty:
        await mover.source.write(("SREM", keys.outbox_rules, *empty))
