"""Estimating an open draft with many outcomes over a real server: the first estimate, and one after new outcomes."""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from redis.asyncio import Redis

from tests.billing.test_estimates import known, priced_row
from tests.support.invoices import CALENDAR, NOVEMBER, draft, write
from tests.support.server import Server
from witnd.billing.estimating.estimates import FRESH_MS, Estimates, StoredDrafts
from witnd.domain.invoices.invoice import Row
from witnd.store.invoices.codec import encode_row
from witnd.store.invoices.reads import Invoices
from witnd.store.keys import BillingKeys

KEYS = BillingKeys("witn")
ENTRY = {
    "kind": "graduated",
    "tiers": [{"up_to": "100", "price_per_unit": "1"}, {"price_per_unit": "0.5"}],
    "period_minimum": "10",
}
NEW = 1000
CHUNK = 1000


async def measure(url: str, outcomes: int) -> None:
    catalogue, prices = known([ENTRY])
    price = next(one for one in prices if one.agent == "support")
    client = Redis.from_url(url)

    async def append(rows: list[Row]) -> None:
        for start in range(0, len(rows), CHUNK):
            await client.rpush(KEYS.rows(invoice.id, 0), *map(encode_row, rows[start : start + CHUNK]))

    rows = [priced_row(number, price, "1.5", NOVEMBER.start + 2 * number) for number in range(outcomes + NEW)]
    invoice = await write(client, draft("acme", rows[:outcomes], closed=False))
    await append(rows[:outcomes])
    estimates = Estimates(StoredDrafts(Invoices(client, KEYS, 1)), 1, rows_per_request=sys.maxsize)
    for name in ("first", f"after {NEW} more"):
        begins = time.perf_counter()
        found = await estimates.of(invoice, catalogue, CALENDAR, 0 if name == "first" else FRESH_MS + 1)
        took = time.perf_counter() - begins
        assert found is not None
        print(f"{outcomes} outcomes, {name}: {took * 1000:.0f} ms, {found.invoice.net} EUR")
        await append(rows[outcomes:])
    await client.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outcomes", type=int, default=100_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, Server(Path(directory)) as server:
        asyncio.run(measure(server.url, given.outcomes))


if __name__ == "__main__":
    main()
