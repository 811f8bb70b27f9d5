"""Invoices as the biller leaves them in Redis, for tests of what comes after it."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace
from redis.asyncio import Redis

from witnd.domain.invoices.invoice import Invoice, Row, invoice_id
from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.invoices.issue_terms import IssueTerms
from witnd.domain.invoices.sums import GroupSums, Sum, Sums, add_to
from witnd.domain.outcomes.partitioning import partition_of
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values.money import exact_sum, minor_digits
from witnd.domain.values.period import Calendar
from witnd.store.invoices.codec import billed_fields, encode_row, sums_fields
from witnd.store.keys import BillingKeys, GlobalKeys
from witnd.store.meta import open_meta

CALENDAR = Calendar.of("month")
DAY_MS = 86_400_000
NOVEMBER = CALENDAR.period_at(1_794_000_000_000)  # of 2026
# An invoice is issued with these where no tax is configured.
TERMS = IssueTerms(data=IssueData(customer_name="Acme"))


def outcome_row(key: str, amount: str | None = "1.00", at: int = NOVEMBER.start, **fields: Any) -> Row:
    known: dict[str, Any] = {
        "id": derived_id("line", key),
        "kind": "outcome",
        "agent_key": "support",
        "rate_card": "standard",
        "price_hash": None,  # the catalogue has no such price, so the row has the customer's tax
        "amount": amount,
        "amount_exact": amount,
        "rated": "at_close" if amount is None else "at_settlement",
        "price_per_unit": amount,
        "outcome_key": key,
        "resolved_at": at,
        "contract_hash": "cd" * 32,
        "unit": "1",
    }
    return Row(**(known | fields))


def draft(
    customer: str = "acme",
    rows: Sequence[Row] = (),
    *,
    at: int = NOVEMBER.start,
    currency: str = "EUR",
    digits: int | None = None,
    closed: bool = True,
    calendar: Calendar = CALENDAR,
) -> Invoice:
    """The head of a draft with these rows."""
    period = calendar.period_at(at)
    return Invoice(
        id=invoice_id(customer, currency, period),
        customer_key=customer,
        currency=currency,
        digits=(minor_digits(currency) or 0) if digits is None else digits,
        start=period.start,
        end=period.end,
        period=period.kind,
        zone=period.zone,
        first_day=period.first_day,
        last_day=period.last_day,
        lines=sum(1 for row in rows if row.kind == "outcome"),
        unrated=sum(1 for row in rows if row.amount is None),
        subtotal=exact_sum(Decimal(row.amount) for row in rows if row.amount is not None),
        closed=closed,
        sums=sums_of(rows) if closed else None,
    )


def sums_of(rows: Sequence[Row]) -> Sums:
    """The sums of rows by their own tax key, as the close records them. Amounts that are missing count as 0."""
    groups: dict[str, dict[str, Sum]] = {}
    caps: dict[str, Decimal] = {}
    fees: dict[str, Sum] = {}
    commitment, commitment_tax = Decimal(0), ""
    for row in rows:
        amount, agent = Decimal(row.amount or 0), row.agent_key or ""
        if row.kind == "recurring":
            add_to(fees, row.tax or "", amount)
        elif row.kind in ("commitment", "commitment_cap"):
            commitment, commitment_tax = amount, row.tax or ""
        elif row.kind == "cap":
            caps[agent] = amount
        else:
            add_to(groups.setdefault(agent, {}), row.tax or "", amount)
    all_groups = [GroupSums(agent, None, one, caps.get(agent, Decimal(0))) for agent, one in sorted(groups.items())]
    return Sums(tuple(all_groups), fees, commitment, commitment_tax)


async def write(
    client: Redis, invoice: Invoice, rows: Sequence[Row] = (), *, partitions: int = 1, calendar: Calendar = CALENDAR
) -> Invoice:
    """Put a draft where the biller puts it: rows of an open one in the order in which they are given."""
    keys = BillingKeys("witn")
    await open_meta(client, GlobalKeys("witn"), partitions)
    await client.hset(keys.state, "calendar", msgspec.json.encode(calendar))
    items = billed_fields(invoice) + (sums_fields(invoice) if invoice.closed else [])
    await client.hset(keys.invoice(invoice.id), items=items)
    await client.zadd(keys.invoices, {invoice.id: invoice.start})
    await client.zadd(keys.customer(invoice.customer_key), {invoice.id: invoice.start})
    await client.zadd(keys.to_issue if invoice.closed else keys.open, {invoice.id: invoice.end})
    for row in rows:
        number = 0 if row.outcome_key is None else partition_of(row.outcome_key, partitions)
        name = keys.lines(invoice.id) if invoice.closed else keys.rows(invoice.id, number)
        await client.rpush(name, encode_row(row))
    return invoice


async def close(client: Redis, invoice: Invoice, rows: Sequence[Row], *, partitions: int = 1) -> None:
    """Close an open draft, as the biller's last step of it does."""
    keys = BillingKeys("witn")
    await client.rpush(keys.lines(invoice.id), *[encode_row(row) for row in rows])
    items = ["closed", 1, *sums_fields(replace(invoice, sums=sums_of(rows)))]
    await client.hset(keys.invoice(invoice.id), items=items)
    await client.delete(*[keys.rows(invoice.id, number) for number in range(partitions)])
    await client.zrem(keys.open, invoice.id)
    await client.zadd(keys.to_issue, {invoice.id: invoice.end})


async def stored_data(client: Redis, pattern: str) -> dict[bytes, Any]:
    """All keys with their content, to see that nothing has changed. The fields of a hash have no order."""
    found: dict[bytes, Any] = {}
    for name in await client.keys(pattern):
        found[name] = await (client.hgetall(name) if await client.type(name) == b"hash" else client.dump(name))
    return found
