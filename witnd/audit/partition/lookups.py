"""Audit the lookups of outcomes: sets by status, customer and key, and daily counters."""

from collections.abc import Sequence
from decimal import Decimal

from witnd.audit.scope import Scope
from witnd.domain.values import money
from witnd.store.partition.days import AT_CLOSE, OPENED, REVERSED, day_of
from witnd.store.query.reads import Command
from witnd.store.records.codec import OutcomeRecord
from witnd.store.records.score import score_to_int

STATUSES = ("OPEN", "PENDING", "CONFIRMED", "FAILED")


async def check_lookups(scope: Scope) -> None:
    """Check the members of the sets by status and of all keys, and count them."""
    keys, totals = scope.keys, scope.totals
    sets = {"": keys.keys} | {status: keys.with_status(status) for status in STATUSES}
    counts = await scope.reads.transaction(*(("ZCARD", zset) for zset in sets.values()))
    totals.found_by.update(dict(zip(sets, counts, strict=True)))
    if scope.quick:
        return
    for status, zset in sets.items():
        what = f"in the list of {status} outcomes" if status else "in the list of all keys"
        async for page in scope.reads.scan_scores(zset):
            for key, score, record in await _records(scope, zset, [key for key, _ in page]):
                if key in scope.damaged:
                    continue
                if record is None:
                    scope.differ(key, what, "no: no outcome has this key", "yes")
                elif status and record.status != status:
                    scope.differ(key, what, f"no: it is {record.status}", "yes")
                else:
                    scope.compare(key, f"its place {what}", record.opened_at if status else 0, score)


async def check_customers(scope: Scope, customers: Sequence[str]) -> None:
    """Check the lists of these customers, and count their members."""
    for customer in customers:
        zset = scope.keys.of_customer(customer)
        [count] = await scope.reads.pipeline(("ZCARD", zset))
        scope.totals.found_by_customer += count
        if scope.quick:
            continue
        async for page in scope.reads.scan_scores(zset):
            for key, score, record in await _records(scope, zset, [key for key, _ in page]):
                what = f"in the list of customer {customer}"
                if key in scope.damaged:
                    continue
                if record is None or record.customer_key != customer:
                    expected = "no outcome has this key" if record is None else f"it is of {record.customer_key}"
                    scope.differ(key, what, f"no: {expected}", "yes")
                else:
                    scope.compare(key, f"its place {what}", record.opened_at, score)


async def check_days(scope: Scope, dates: Sequence[str]) -> None:
    """Add the counters of these days."""
    if not dates:
        return
    totals = scope.totals
    for date, flat in zip(
        dates, await scope.reads.pipeline(*(("HGETALL", scope.keys.day(one)) for one in dates)), strict=True
    ):
        day = day_of(date, [flat])
        for name, count in (
            (OPENED, day.opened),
            ("CONFIRMED", day.confirmed),
            ("FAILED", day.missed),
            (AT_CLOSE, day.unrated),
            (REVERSED, day.reversed),
        ):
            totals.days[name] += count
        for currency, amount in day.amounts.items():
            totals.day_money[currency] = money.plus(totals.day_money.get(currency, Decimal(0)), amount)


def compare_lookups(scope: Scope) -> None:
    """Compare the counts, which are equal if the partition did not change meanwhile."""
    totals = scope.totals
    readable = sum(totals.statuses[status] for status in STATUSES)
    every = readable + scope.damaged_count("", also_on_hold=True)
    listed = readable + scope.damaged_count("", also_on_hold=False)
    scope.compare("", "outcomes in the list of all keys", listed, totals.found_by[""])
    for status in STATUSES:
        expected = totals.statuses[status] + scope.damaged_count(status, also_on_hold=False)
        scope.compare("", f"outcomes in the list of {status} ones", expected, totals.found_by[status])
    scope.compare("", "outcomes in the lists of customers", every, totals.found_by_customer)
    scope.compare("", "outcomes opened, by day", every, totals.days[OPENED])
    for status in ("CONFIRMED", "FAILED"):
        resolved = totals.statuses[status] + scope.damaged_count(status, also_on_hold=True)
        scope.compare("", f"{status} outcomes by day", resolved, totals.days[status])
    scope.compare("", "outcomes rated at close, by day", totals.unrated, totals.days[AT_CLOSE])
    compare_reversals(scope, "reversed outcomes by day", totals.days[REVERSED])
    for currency in sorted(totals.sums.keys() | totals.day_money.keys()):
        known = totals.sums.get(currency)
        amount = "0" if known is None else money.plain(known.amount)
        found = money.plain(totals.day_money.get(currency, Decimal(0)))
        scope.compare("", f"confirmed {currency} by day", amount, found)


def compare_reversals(scope: Scope, what: str, found: int) -> None:
    """Compare a count with that of the reversed outcomes. Each unreadable one may be reversed too."""
    least = scope.totals.reversals
    most = least + scope.damaged_count("CONFIRMED", also_on_hold=True)
    if not least <= found <= most:
        scope.differ("", what, least if least == most else f"{least} to {most}", found)


async def _records(scope: Scope, zset: str, names: Sequence[str]) -> list[tuple[str, int, OutcomeRecord | None]]:
    """Return current members with scores and records, read in one transaction."""
    scores: list[Command] = [("ZSCORE", zset, key) for key in names]
    records, *found = await scope.reads.transaction(("MGET", *map(scope.keys.outcome, names)), *scores)
    return [
        (key, score_to_int(score), scope.record(key, raw))
        for key, raw, score in zip(names, records, found, strict=True)
        if score is not None
    ]
