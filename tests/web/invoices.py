"""Invoices put beside a daemon that runs: of a period so far ahead that it neither closes nor issues them itself."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec
from redis.asyncio import Redis

from tests.support.invoices import CALENDAR, close, draft, outcome_row, write
from tests.web.api_server import ApiServer
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.outcomes.outcome import STATUSES
from witnd.store.records.codec import FORMAT, OutcomeRecord
from witnd.store.records.sealed import seal
from witnd.store.server.connection import connect

T = TypeVar("T")
AHEAD = CALENDAR.period_at(4_000_000_000_000)  # October 2096
ROWS = [outcome_row("ticket-1", "6.00", AHEAD.start), outcome_row("ticket-2", "4.00", AHEAD.start + 1)]


def rows(count: int, amount: str = "1.00") -> list[Row]:
    """One ms apart."""
    return [outcome_row(f"ticket-{n:05}", amount, AHEAD.start + n) for n in range(count)]


def put(api: ApiServer, customer: str = "acme", lines: Sequence[Row] = ROWS, **how: Any) -> Invoice:
    how.setdefault("at", AHEAD.start)
    partitions = api.deployment.partitions

    async def both(client: Redis) -> Invoice:
        for row in lines:
            if row.outcome_key is not None:
                await client.set(
                    api.deployment.keys(row.outcome_key).outcome(row.outcome_key), confirmed(row, customer)
                )
        return await write(client, draft(customer, lines, **how), lines, partitions=partitions)

    return on_server(api, both)


def confirmed(row: Row, customer: str) -> bytes:
    """The record of the outcome that a row bills."""
    assert row.outcome_key is not None
    at = row.resolved_at or 0
    record = msgspec.msgpack.encode(
        OutcomeRecord(
            format=FORMAT,
            state=STATUSES.index("CONFIRMED"),
            holds=True,
            customer_key=customer,
            contract=bytes(32),
            prices=bytes(32),
            opened_at=at,
            settles_at=at,
            processed_at=at,
            events=1,
            counts=[],
            values=[],
            orders=[],
            total=None,
            lag=0,
            is_repaired=False,
            grade=None,
            reversal=b"",
            tailed=0,
            tail=b"",
        )
    )
    return seal(row.outcome_key, record)


def closed(api: ApiServer, invoice: Invoice, lines: Sequence[Row]) -> None:
    on_server(api, lambda client: close(client, invoice, lines, partitions=api.deployment.partitions))


def on_server(api: ApiServer, do: Callable[[Redis], Awaitable[T]]) -> T:
    async def main() -> T:
        async with connect(api.deployment.server.url) as client:
            return await do(client)

    # In a thread of its own: a browser's driver keeps an event loop in that of the test.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, main()).result()
