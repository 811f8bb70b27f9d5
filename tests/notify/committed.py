"""Deliveries in the outbox, as the commit of a partition leaves them."""

from redis.asyncio import Redis

from tests.notify.receiver import SECRET
from witnd.domain.webhooks.notification import Delivery, NotificationRule, new_delivery
from witnd.store.deliveries.outbox import encode_row
from witnd.store.keys import Keys

CREATED = 1_767_225_600_000


def rule(name: str = "billing") -> NotificationRule:
    content = {"source": "both", "url": "http://127.0.0.1:1/", "secret": SECRET}
    return NotificationRule.from_content(name, content)


def delivery(number: int = 1, *, name: str = "billing", created_ms: int = CREATED) -> Delivery:
    return new_delivery(
        rule(name),
        outcome_key=f"ticket-{number:04}",
        customer_key="acme",
        agent_key="support",
        agent_name="Support",
        status="CONFIRMED",
        resolved_at=created_ms,
        outcome_facts={"unit": "1", "amount": "10.00", "currency": "EUR", "line_id": "ab" * 32},
    )


def deliveries(count: int, *, name: str = "billing") -> list[Delivery]:
    """One millisecond apart, the oldest first."""
    return [delivery(n, name=name, created_ms=CREATED + n) for n in range(1, count + 1)]


async def commit(client: Redis, keys: Keys, *committed: Delivery) -> None:
    async with client.pipeline(transaction=True) as step:
        for row in committed:
            step.hset(keys.deliveries, row.id, encode_row(row))
            step.zadd(keys.outbox(row.rule_id), {row.id: row.created_ms})
            step.sadd(keys.outbox_rules, row.rule_id)
        await step.execute()
