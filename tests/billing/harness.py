"""A biller on a real server, fed with lines by hand, that can be interrupted at any of its commits."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import redis

from tests.support.catalogues import append_entry
from witnd.billing.biller import Biller, BillingTerms
from witnd.billing.reversals import ReversalCredits
from witnd.clock import Clock
from witnd.domain.catalogue.catalogue import Catalogue, CatalogueEntry
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.operations import Refusal, Series
from witnd.domain.outcomes.resolution import Line, derived_id
from witnd.domain.pricing.ratecard import Price
from witnd.domain.pricing.rating import rate_at_settlement
from witnd.domain.values import instant, money
from witnd.endpoint import endpoint
from witnd.settings import Durability
from witnd.store.clock.guard import ClockGuard, Reading
from witnd.store.errors import DamagedInvoice
from witnd.store.invoices.codec import decode_invoice, decode_row
from witnd.store.invoices.ledger import Ledger, Positions
from witnd.store.invoices.reads import Invoices
from witnd.store.keys import BillingKeys, Keys
from witnd.store.partition.commit import Commit
from witnd.store.records.json_record import encode_record
from witnd.store.server.connection import connect
from witnd.store.server.lease import Lease
from witnd.store.server.retry import Retry

DAY = 86_400_000
KEYS = BillingKeys("witn")

CARDS: dict[str, list[dict[str, Any]]] = {
    "EUR": [
        {"agent": "flat", "kind": "flat", "price_per_unit": "0.995"},
        {
            "agent": "tiers",
            "kind": "graduated",
            "tiers": [{"up_to": "3", "price_per_unit": "1.005", "flat_fee": "2"}, {"price_per_unit": "0.333"}],
        },
        {
            "agent": "volume",
            "kind": "volume",
            "tiers": [{"up_to": "4", "price_per_unit": "2"}, {"price_per_unit": "1"}],
        },
        {"agent": "capped", "kind": "flat", "price_per_unit": "5", "period_cap": "12", "period_minimum": "7"},
    ],
    "JPY": [{"agent": "flat", "kind": "flat", "price_per_unit": "10.5"}],
}


DIGITS = {"EUR": 2, "JPY": 0}


class Confirmed(NamedTuple):
    """What a line is made of. `unit` is a decimal string."""

    partition: int
    at: int
    key: str
    agent: str = "flat"
    customer: str = "acme"
    currency: str = "EUR"
    unit: str = "1"


def price(currency: str, agent: str) -> Price:
    [entry] = [one for one in CARDS[currency] if one["agent"] == agent]
    return Price.from_entry(f"card-{currency.lower()}", currency, DIGITS[currency], entry)


def line(one: Confirmed) -> Line:
    """What the engine writes for a confirmed outcome."""
    asked = price(one.currency, one.agent)
    rated = None if asked.is_rated_at_close else rate_at_settlement(asked, Decimal(one.unit))
    each = None if rated is None or rated.price_per_unit is None else money.plain(rated.price_per_unit)
    return Line(
        id=derived_id("line", one.key),
        outcome_key=one.key,
        customer_key=one.customer,
        agent_key=one.agent,
        resolved_at=instant.render(one.at),
        unit=one.unit,
        price_per_unit=each,
        amount=None if rated is None else money.minor_text(rated.amount, asked.exponent),
        amount_exact=None if rated is None else money.plain(rated.exact),
        currency=one.currency,
        digits=asked.exponent,
        rate_card=asked.rate_card,
        price_hash=asked.hash,
        contract_hash="cd" * 32,
        rated="at_close" if asked.is_rated_at_close else "at_settlement",
    )


class Interrupted(Exception):  # noqa: N818
    """The process is gone."""


class BillingHarness:
    """The billing keys of one emptied server."""

    def __init__(self, url: str, partitions: int = 2) -> None:
        self.url = url
        self.partitions = partitions
        self.redis = redis.Redis.from_url(url)
        self.issued: list[str] = []
        self.damaged: set[str] = set()  # invoices that cannot be read when they are due
        self.flow: list[Confirmed] = []  # lines that come one by one, whenever it is looked for some
        self.clock: Iterator[int] | None = None  # what the server's clock says, look by look
        for currency, entries in CARDS.items():
            entry = CatalogueEntry(
                kind="rate_card",
                key=f"card-{currency.lower()}",
                effective_from=0,
                content={"currency": currency, "digits": DIGITS[currency], "entries": entries},
            )
            append_entry(self.redis, msgspec.json.encode(entry))

    def close(self) -> None:
        self.redis.close()

    def confirm(self, lines: Iterable[Confirmed]) -> None:
        for one in lines:
            self.write(one.partition, encode_record(line(one)))

    def write(self, partition: int, stored: bytes) -> int:
        """Write the next line of a partition as a step does. Answers its number."""
        keys = Keys("witn", partition)
        number = int(self.redis.hincrby(keys.state, "lines", 1))
        self.redis.xadd(keys.lines, {"data": stored}, id=f"{number}-0")
        return number

    def applied(self, ms: int, partition: int | None = None) -> None:
        """Say that the log was applied up to an instant."""
        for number in range(self.partitions) if partition is None else (partition,):
            self.redis.hset(Keys("witn", number).state, "cursor", f"{ms}-0")

    def work(self, *, cut: int | None = None, executed: bool = True, **how: Any) -> int:
        """Let a biller run until it waits; it dies at the `cut`-th commit. Answers how many there were."""
        return asyncio.run(self._work(cut, executed, **how))

    async def _work(
        self,
        cut: int | None,
        executed: bool,
        *,
        period: str = "day",
        zone: str = "UTC",
        grace_ms: int = 0,
        automatic: bool = True,
        zero: bool = True,
        turns: int = 1,
        enough: Callable[[], bool] = lambda: False,
    ) -> int:
        """`turns`: how often it has to wait for lines before it is stopped; `enough` stops it at once."""
        commits = 0
        harness = self
        rest = asyncio.Event()

        class Cut(Ledger):
            async def commit(self, step: Commit, fence: str) -> None:
                nonlocal commits
                commits += 1
                if commits == cut and not executed:
                    raise Interrupted
                await super().commit(step, fence)
                if commits == cut:
                    raise Interrupted

            async def new_lines(self, read: Any, most: int, block_ms: int, counts: Sequence[int] = ()) -> Any:
                nonlocal turns
                if harness.flow:
                    harness.confirm([harness.flow.pop(0)])
                found = await super().new_lines(read, most, 0, counts)
                if (block_ms > 0 and not found) or enough():
                    turns -= 1
                    if turns == 0 or enough():
                        rest.set()
                        await asyncio.Event().wait()
                return found

            async def positions(self) -> Positions:
                before = host_ms()
                found = await super().positions()
                if harness.clock is not None:
                    found = found._replace(now_ms=next(harness.clock))
                guard.observe(Reading(found.now_ms, before, host_ms()))
                return found

            async def tick(self, partition: int, latest_ms: int) -> None:
                await super().tick(partition, 2**53)

        async def nothing() -> None:
            return None

        async def safe() -> bool:
            return True

        def host_ms() -> int:
            return int(asyncio.get_running_loop().time() * 1000)

        guard = ClockGuard(host_ms)
        ledger = Cut(endpoint(self.url), "witn", self.partitions, "till", Durability("server"))
        async with connect(self.url) as client:
            self.redis.delete(KEYS.owner)
            lease = Lease(client, KEYS, "till", 60_000, Clock().now_ms)
            await lease.take()

            class Operations:
                async def issue(self, id_: str) -> Refusal | None:
                    if id_ in harness.damaged:
                        raise DamagedInvoice(f"the head of invoice {id_} is unreadable", "restore it")
                    harness.issued.append(id_)
                    return None if await client.zrem(KEYS.to_issue, id_) else Refusal("it does not wait", "wait")

                async def adjust(self, id_: str) -> bool:
                    return bool(await client.zrem(KEYS.to_adjust, id_))

                async def mark_overdue(self, id_: str) -> bool:
                    return bool(await client.zrem(KEYS.not_overdue, id_))

            catalogue = Catalogue()
            invoices = Invoices(client, KEYS, self.partitions)
            retry = Retry(nothing, asyncio.get_running_loop().time)
            terms = BillingTerms(
                period=period, time_zone=zone, grace_ms=grace_ms, automatic=automatic, zero_invoices=zero
            )
            biller = Biller(
                ledger,
                catalogue,
                retry,
                fence=lease.value,
                terms=terms,
                operations=Operations(),
                credits_=ReversalCredits(invoices, catalogue, Series(name="CN")),
                safe=safe,
                guard=guard,
            )
            running = asyncio.create_task(biller.run())
            resting = asyncio.create_task(rest.wait())
            done, _ = await asyncio.wait({running, resting}, return_when=asyncio.FIRST_COMPLETED, timeout=30)
            assert done, "the biller neither rests nor ends"
            resting.cancel()
            try:
                if running in done:
                    try:
                        running.result()
                    except Interrupted:
                        return commits
                running.cancel()
                await asyncio.wait({running})
            finally:
                ledger.close()
        return commits

    # -- what it left --------------------------------------------------------------------------------------------------

    def invoices(self) -> dict[tuple[str, str, int], Invoice]:
        """All of them, by customer, currency and start."""
        found = {}
        for id_ in self.redis.zrange(KEYS.invoices, 0, -1):
            head = decode_invoice(id_.decode(), self.redis.hgetall(KEYS.invoice(id_.decode())))
            assert head is not None
            found[head.customer_key, head.currency, head.start] = head
        return found

    def rows(self, head: Invoice) -> list[Row]:
        if head.closed:
            return [decode_row(one) for one in self.redis.lrange(KEYS.lines(head.id), 0, -1)]
        return [
            decode_row(one)
            for number in range(self.partitions)
            for one in self.redis.lrange(KEYS.rows(head.id, number), 0, -1)
        ]

    def everything(self) -> dict[str, Any]:
        """All billing keys, but for what says how the work was cut into steps."""
        found: dict[str, Any] = {}
        for name in sorted(self.redis.scan_iter("witn:{shared}:billing:*", count=1000)):
            kind = self.redis.type(name)
            key = name.decode()
            if key == KEYS.owner:
                continue
            if kind == b"hash":
                found[key] = self.redis.hgetall(name)
            elif kind == b"list":
                found[key] = self.redis.lrange(name, 0, -1)
            elif kind == b"set":
                found[key] = self.redis.smembers(name)
            elif kind == b"stream":
                found[key] = [fields for _, fields in self.redis.xrange(name)]
            else:
                found[key] = self.redis.zrange(name, 0, -1, withscores=True)
        for name in (b"seq", b"digest", b"epoch"):
            found[KEYS.state].pop(name, None)
        return found
