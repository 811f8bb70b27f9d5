"""Deliveries of an outcome with many rules: one stored message, rows that refer to it, queued by the relay."""

import pytest
from redis.asyncio import Redis

from tests.notify.committed import CREATED, rule
from witnd.domain.webhooks.delivery import Attempt, finish_attempt, new_progress, start_attempt
from witnd.domain.webhooks.fan_out import FanOut
from witnd.domain.webhooks.notification import message, new_deliveries
from witnd.store.deliveries.fan_out_codec import decode_unqueued, encode_message, encode_rules
from witnd.store.deliveries.outbox import Outbox, decode_row
from witnd.store.deliveries.reads import Deliveries
from witnd.store.errors import Fenced, Unreadable
from witnd.store.keys import GlobalKeys, Keys

KEYS = Keys("witn", 0)
FENCE = "1:nonce:here"
OUTCOME = 'a "quoted" ticket'
ABOUT = {
    "outcome_key": OUTCOME,
    "customer_key": "acme",
    "agent_key": "support",
    "agent_name": "Support",
    "status": "CONFIRMED",
    "resolved_at": CREATED,
    "outcome_facts": {"unit": "1", "amount": "10.00", "currency": "EUR", "line_id": "ab" * 32},
}
RULES = tuple(rule(f"Regel {number} mit „Zeichen“") for number in range(20))
FAN_OUT = FanOut(message(**ABOUT), RULES)  # type: ignore[arg-type]
DELIVERIES = list(new_deliveries(RULES, **ABOUT))  # type: ignore[arg-type]


async def commit(client: Redis) -> None:
    await client.set(KEYS.owner, FENCE)
    await client.hset(KEYS.messages, OUTCOME, encode_message(FAN_OUT.message))
    await client.hset(KEYS.unqueued, OUTCOME, encode_rules(FAN_OUT))


@pytest.fixture
async def outbox(client: Redis) -> Outbox:
    await commit(client)
    return Outbox(client, KEYS, GlobalKeys("witn"), FENCE)


async def queue_all(outbox: Outbox) -> None:
    waiting = await outbox.unqueued.deliveries(OUTCOME)
    assert waiting is not None
    await outbox.unqueued.queue(OUTCOME, waiting.created_ms, waiting.rows, is_last=True)


def test_a_fan_out_makes_the_deliveries_of_its_rules() -> None:
    assert list(FAN_OUT) == DELIVERIES
    assert len(FAN_OUT) == 20


def test_the_stored_records_make_the_deliveries_byte_for_byte() -> None:
    waiting = decode_unqueued(OUTCOME, encode_rules(FAN_OUT), encode_message(FAN_OUT.message))

    assert [decode_row(one.id, one.row, waiting.message) for one in waiting.rows] == DELIVERIES
    assert [one.rule_id for one in waiting.rows] == [one.id for one in RULES]


def test_a_damaged_record_is_not_a_delivery() -> None:
    rules, shared = encode_rules(FAN_OUT), encode_message(FAN_OUT.message)
    first = decode_unqueued(OUTCOME, rules, shared).rows[0]

    with pytest.raises(Unreadable, match="missing"):
        decode_row(first.id, first.row)
    with pytest.raises(Unreadable):
        decode_row(first.id, first.row, b"\x95\x01\xff")
    with pytest.raises(Unreadable, match="missing"):
        decode_unqueued(OUTCOME, rules, None)
    with pytest.raises(Unreadable):
        decode_unqueued(OUTCOME, b"\x92\x01\x91\xa3abc", shared)


async def test_a_delivery_is_found_by_its_outcome_before_it_is_queued(client: Redis, outbox: Outbox) -> None:
    desk = Deliveries(client, [KEYS], GlobalKeys("witn"), [one.id for one in RULES])

    found = await desk.of_outcome(OUTCOME)

    assert [(one.row.delivery, one.row.progress.standing) for one in found] == [(one, "pending") for one in DELIVERIES]
    await queue_all(outbox)
    assert len(await desk.of_outcome(OUTCOME)) == 20


async def test_each_delivery_is_queued_for_its_rule(client: Redis, outbox: Outbox) -> None:
    await queue_all(outbox)

    for rule_, delivery in zip(RULES, DELIVERIES, strict=True):
        (row,) = await outbox.next_rows(rule_.id, 5)
        assert (row.delivery, row.progress) == (delivery, new_progress(CREATED))
    assert await outbox.rules() == sorted(rule_.id for rule_ in RULES)
    assert not await client.exists(KEYS.unqueued)
    assert await outbox.unqueued.deliveries(OUTCOME) is None
    assert await outbox.unqueued.outcomes(9) == []


async def test_a_part_that_is_queued_leaves_the_rest_to_be_queued(outbox: Outbox) -> None:
    waiting = await outbox.unqueued.deliveries(OUTCOME)
    assert waiting is not None

    await outbox.unqueued.queue(OUTCOME, CREATED, waiting.rows[:7], is_last=False)

    assert len(await outbox.rules()) == 7
    assert await outbox.unqueued.outcomes(9) == [OUTCOME]
    await queue_all(outbox)
    assert len(await outbox.rules()) == 20


async def test_what_was_sent_is_not_queued_again(outbox: Outbox) -> None:
    waiting = await outbox.unqueued.deliveries(OUTCOME)
    assert waiting is not None
    await queue_all(outbox)
    (row,) = await outbox.next_rows(RULES[0].id, 1)
    done = finish_attempt(start_attempt(row.progress, CREATED), Attempt(status=200), CREATED, 0.5)
    await outbox.write(RULES[0].id, [(row, done)])

    await outbox.unqueued.queue(OUTCOME, CREATED, waiting.rows, is_last=True)

    assert await outbox.next_rows(RULES[0].id, 1) == []
    assert len(await outbox.rules()) == 19


async def test_nothing_is_queued_for_a_lease_that_is_lost(client: Redis, outbox: Outbox) -> None:
    await client.set(KEYS.owner, "2:other:there")

    with pytest.raises(Fenced, match="other"):
        await queue_all(outbox)
    assert await outbox.rules() == []
