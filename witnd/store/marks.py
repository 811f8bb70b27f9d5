"""The progress of Redis outside the partitions: the biller's steps, and the numbers issued."""

from collections.abc import Mapping
from typing import cast

from msgspec import Struct
from redis.asyncio import Redis

from witnd.store.connection import mapped
from witnd.store.keys import BillingKeys, GlobalKeys


class Marks(Struct, frozen=True, kw_only=True):
    """All read at one moment."""

    billing: int  # number of the biller's last step
    series: Mapping[str, int]  # series → the last number given in it, of invoices and of credit notes


async def read_marks(client: Redis, shared: GlobalKeys) -> Marks:
    billing = BillingKeys(shared.prefix)
    with mapped():
        async with client.pipeline(transaction=True) as asked:
            asked.hget(billing.state, "seq")
            asked.hgetall(billing.series)
            sequence, series = await asked.execute()
    return Marks(
        billing=int(sequence or 0),
        series={name.decode(): int(number) for name, number in cast("dict[bytes, bytes]", series).items()},
    )
