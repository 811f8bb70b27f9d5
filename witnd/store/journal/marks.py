"""The progress of Redis outside the partitions: the biller's steps, and the numbers issued."""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from redis.asyncio import Redis

from witnd.store.keys import BillingKeys, GlobalKeys
from witnd.store.records.state_fields import StateFields
from witnd.store.server.connection import redis_errors


class Marks(Struct, frozen=True, kw_only=True):
    """Billing progress, read in one transaction."""

    billing: int  # number of the biller's last step
    series: Mapping[str, int]  # series → the last number of an invoice or credit note in it


def series_numbers(billing: BillingKeys, flat: Sequence[bytes]) -> dict[str, int]:
    """Return the last number of each series, from the reply to HGETALL."""
    remedy = f"set the field to the last number that an invoice has in this series: HSET {billing.series} SERIES NUMBER"
    return StateFields.from_hash(billing.series, flat, remedy).numbers()


async def read_marks(client: Redis, shared: GlobalKeys) -> Marks:
    billing = BillingKeys(shared.prefix)
    with redis_errors():
        async with client.pipeline(transaction=True) as reads:
            reads.hget(billing.state, "seq")
            reads.hgetall(billing.series)
            sequence, series = await reads.execute()
    return Marks(
        billing=StateFields.from_value(billing.state, "seq", sequence).number("seq"),
        series=series_numbers(billing, [word for pair in series.items() for word in pair]),
    )
