"""Putting the rows of a draft in order and rating them."""

import asyncio
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from witnd.billing import closing
from witnd.billing.closing import DraftRating, merged_rows
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.pricing.ratecard import Price
from witnd.store.errors import Unsafe

GRADUATED = Price.from_entry(
    "standard",
    "EUR",
    2,
    {
        "agent": "support",
        "kind": "graduated",
        "tiers": [{"up_to": "2", "price_per_unit": "1.005"}, {"price_per_unit": "0.5"}],
        "period_minimum": "100",
    },
)
FLAT = Price.from_entry("standard", "EUR", 2, {"agent": "support", "kind": "flat", "price_per_unit": "0.99"})
PRICES = {GRADUATED.hash: GRADUATED, FLAT.hash: FLAT}


def row(key: str, at: int, price: Price = FLAT, unit: str = "1") -> Row:
    settled = not price.is_rated_at_close
    return Row(
        id=derived_id("line", key),
        kind="outcome",
        agent_key="support",
        rate_card="standard",
        price_hash=price.hash,
        amount="0.99" if settled else None,
        amount_exact="0.99" if settled else None,
        rated="at_settlement" if settled else "at_close",
        outcome_key=key,
        resolved_at=at,
        unit=unit,
    )


def head(lines: int, subtotal: str, unrated: int = 0) -> Invoice:
    return Invoice(
        id="ab" * 32,
        customer_key="acme",
        currency="EUR",
        digits=2,
        start=0,
        end=10_000,
        period="month",
        zone="UTC",
        first_day="1970-01-01",
        last_day="1970-01-01",
        lines=lines,
        unrated=unrated,
        subtotal=Decimal(subtotal),
        closed=False,
    )


def ordered(partitions: list[list[Row]]) -> list[Row]:
    async def page(partition: int, start: int) -> list[tuple[Row, bytes]]:
        return [(one, b"") for one in partitions[partition][start : start + closing.PAGE]]

    async def collect() -> list[Row]:
        return [one for stretch in [s async for s in merged_rows(len(partitions), page)] for one, _ in stretch]

    return asyncio.run(collect())


@given(
    logs=st.lists(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 50)), max_size=14), min_size=1, max_size=3),
    page=st.integers(1, 4),
)
def test_rows_of_all_partitions_come_by_instant_and_key_each_once(logs: list[list[tuple[int, int]]], page: int) -> None:
    partitions = [
        [row(f"outcome-{number}-{key}-{place}", at) for place, (at, key) in enumerate(sorted(log, key=lambda x: x[0]))]
        for number, log in enumerate(logs)
    ]
    everything = [one for rows in partitions for one in rows]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(closing, "PAGE", page)
        found = ordered(partitions)
    assert found == sorted(everything, key=lambda one: (one.resolved_at, (one.outcome_key or "").encode()))


def test_rows_of_one_instant_come_in_pages_too_and_others_get_their_turn() -> None:
    rows = [row(f"outcome-{number:03}", 1) for number in reversed(range(20))]
    turns = 0

    async def page(_partition: int, start: int) -> list[tuple[Row, bytes]]:
        return [(one, b"") for one in rows[start : start + closing.PAGE]]

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def collect() -> list[list[Row]]:
        beside = asyncio.create_task(others())
        found = [[one for one, _ in stretch] async for stretch in merged_rows(1, page)]
        beside.cancel()
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(closing, "PAGE", 4)
        found = asyncio.run(collect())
    assert [len(stretch) for stretch in found if stretch] == [4] * 5
    assert [one for stretch in found for one in stretch] == rows[::-1]
    assert turns >= 5


def test_a_group_is_rated_in_its_order_and_adds_its_minimum() -> None:
    rows = [row("outcome-1", 1, GRADUATED, "1"), row("outcome-2", 2), row("outcome-3", 3, GRADUATED, "2")]
    rating = DraftRating(head(3, "0.99", 2), PRICES.__getitem__, lambda _: None)
    rating.accumulate(rows)
    rated = [rating.rate(one) for one in rows]
    # The second one was rated at settlement and fills the first tier: 1 × 1.005 → 1.01; then 2 × 0.5 → 2.01.
    assert [one.amount for one in rated] == ["1.01", "0.99", "1.00"]
    assert [one.amount_exact for one in rated] == ["1.005", "0.99", "1"]
    assert rated[1] is rows[1]
    # No entry is in effect at the end of the period, so the last outcome's price decides.
    [minimum] = rating.close()
    assert (minimum.kind, minimum.amount, minimum.agent_key) == ("minimum", "97.00", "support")
    assert rating.subtotal == Decimal("100.00")


@pytest.mark.parametrize(
    ("terms", "minimum"),
    [(FLAT, []), (GRADUATED, ["98.01"]), (None, [])],
    ids=["without", "with", "none: the last outcome's price has no minimum"],
)
def test_the_price_in_effect_at_the_end_decides_on_the_minimum(terms: Price | None, minimum: list[str]) -> None:
    rows = [row("outcome-1", 1), row("outcome-2", 2), row("outcome-3", 3, FLAT, "0.01")]
    rating = DraftRating(head(3, "1.99"), PRICES.__getitem__, lambda _: terms)
    rows[2] = replace(rows[2], amount="0.01", amount_exact="0.0099")
    assert [rating.rate(one) for one in rows] == rows
    found = rating.close()
    assert [one.amount for one in found] == minimum
    # The exact amounts add up to the minimum too.
    assert [one.amount_exact for one in found] == ["98.0101" for _ in minimum]
    assert {one.price_hash for one in found} <= {GRADUATED.hash}


@pytest.mark.parametrize("told", [head(2, "0.99"), head(1, "0.98"), head(1, "0.99", 1)])
def test_rows_that_are_not_what_the_head_says_are_never_billed(told: Invoice) -> None:
    rating = DraftRating(told, PRICES.__getitem__, lambda _: None)
    rating.rate(row("outcome-1", 1))
    with pytest.raises(Unsafe, match="another program changed it"):
        rating.close()


def test_a_price_that_the_catalogue_lost_stops_the_closing() -> None:
    rating = DraftRating(head(1, "0", 1), {}.__getitem__, lambda _: None)
    rows = [row("outcome-1", 1, GRADUATED)]
    with pytest.raises(Unsafe, match="does not have"):
        rating.accumulate(rows)
    with pytest.raises(Unsafe, match="does not have"):
        rating.rate(rows[0])
