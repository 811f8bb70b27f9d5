"""The progress of Redis outside the partitions: the biller's steps, and the numbers issued."""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from redis.asyncio import Redis

from witnd.store.keys import BillingKeys, GlobalKeys
from witnd.store.records.state_fields import StateFields
from witnd.store.server.connection import redis_errors


class Marks(Struct, frozen=True, kw_only=True):
    """All read at one moment."""

    billing: int  # number of the biller's last step
    series: Mapping[str, int]  # series → the last number given in it, of invoices and of credit notes


def series_numbers(billing: BillingKeys, flat: Sequence[bytes]) -> dict[str, int]:
    """The last number given in each series, from the answer to HGETALL."""
    remedy = f"set the field to the last number that an invoice has in this series: HSET {billing.series} SERIES NUMBER"
    return StateFields.from_hash(billing.series, flat, remedy).numbers()


async def read_marks(client: Redis, shared: GlobalKeys) -> Marks:
    billing = BillingKeys(shared.prefix)
    with redis_errors():
        async with client.pipeline(transaction=True) as asked:
            asked.hget(billing.state, "seq")
            asked.hgetall(billing.series)
            sequence, series = await asked.execute()
    return Marks(
        billing=StateFields.from_value(billing.state, "seq", sequence).number("seq"),
        series=series_numbers(billing, [word for pair in series.items() for word in pair]),
    )
