"""Estimates of open invoices: what the close would make of the rows so far, however they arrive."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support.catalogues import agent, catalogue, customer, rate_card
from tests.support.invoices import CALENDAR, NOVEMBER, draft, outcome_row
from tests.support.pricing import entries, quantities
from witnd.billing import closing
from witnd.billing.closing import DraftRating
from witnd.billing.estimating import estimates, runs
from witnd.billing.estimating.estimates import FRESH_MS, Estimate, Estimates
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.period_terms import period_charges, period_terms
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.sums import group_total
from witnd.domain.invoices.tax import ManualLine
from witnd.domain.pricing.ratecard import Price
from witnd.domain.pricing.rating import rate_at_settlement
from witnd.domain.values.money import plain
from witnd.store.invoices.reversal_codec import StoredReversal
from witnd.store.invoices.rows import ClosedMeanwhile, row_order

AGENTS = ("support", "sales")


class Lists:
    """The rows of the partitions of one draft, each in order of its instants."""

    def __init__(self, partitions: int) -> None:
        self.lists: list[list[Row]] = [[] for _ in range(partitions)]
        self.reversed: dict[str, StoredReversal] = {}
        self.reads = 0
        self.is_closed = False

    async def rows(self, invoice: Invoice, partition: int, start: int, most: int) -> list[Row]:
        if self.is_closed:
            raise ClosedMeanwhile(invoice.id, "retry")
        found = self.lists[partition][start : start + most]
        self.reads += len(found)
        return found

    async def reversals(self, invoice: Invoice) -> dict[str, StoredReversal]:
        return dict(self.reversed)

    async def rows_of(self, invoice: Invoice, places: Mapping[str, int]) -> dict[str, Row]:
        return {row.outcome_key or "": row for row in self.all if row.outcome_key in places}

    @property
    def all(self) -> list[Row]:
        return [row for rows in self.lists for row in rows]

    @property
    def head(self) -> Invoice:
        one = draft("acme", self.all, closed=False, currency="EUR")
        return replace(one, reversed=len(self.reversed))


def known(prices: Sequence[Mapping[str, Any]], **terms: Any) -> tuple[Catalogue, list[Price]]:
    """A catalogue whose card has had these entries one after another, and the prices."""
    cards = [
        rate_card("standard", at, entries=[{"agent": name, **entry} for name in AGENTS], **terms)
        for at, entry in enumerate(prices, 1)
    ]
    found = catalogue(*[agent(name, 1) for name in AGENTS], *cards, customer("acme", 1, rate_card="standard"))
    made: list[Price] = []
    for at in range(1, len(prices) + 1):
        card = found.rate_card("standard", at)
        assert card is not None
        made += card.prices
    return found, made


def priced_row(number: int, price: Price, unit: str, at: int) -> Row:
    settled = None if price.is_rated_at_close else rate_at_settlement(price, Decimal(unit))
    return outcome_row(
        f"outcome-{number:05}",
        None if settled is None else format(settled.amount, "f"),
        at,
        agent_key=price.agent,
        price_hash=price.hash,
        amount_exact=None if settled is None else plain(settled.exact),
        unit=unit,
    )


def closed(lists: Lists, of: Catalogue) -> DraftRating:
    """What the closer does with these rows."""
    head = lists.head
    gone = lists.reversed
    rows = sorted(lists.all, key=row_order)
    rows = [
        replace(row, reversed_at=gone[row.outcome_key or ""].reversed_at) if row.outcome_key in gone else row
        for row in rows
    ]
    terms_of = partial(period_terms, of, "acme", "EUR", end=head.end)
    due = period_charges(of, "acme", head.billed_period, CALENDAR).get("EUR")
    rating = DraftRating(head, of.price_by_hash, terms_of, due)
    if head.unrated:
        rating.accumulate(rows)
    for row in rows:
        rating.rate(row)
    rating.close()
    return rating


def estimated(of: Estimates, head: Invoice, catalogue_: Catalogue, now: int) -> Estimate | None:
    return asyncio.run(of.of(head, catalogue_, CALENDAR, now))


@contextmanager
def small(kept: int = 3, page: int = 2) -> Iterator[None]:
    """Few rows are kept one by one, and pages are short."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runs, "MAX_KEPT", kept)
        patched.setattr(runs, "KEPT_MS", 2)
        patched.setattr(closing, "PAGE", page)
        patched.setattr(estimates, "PAGE", page)
        yield


outcomes = st.tuples(st.integers(0, 9), quantities.map(lambda unit: plain(Decimal(unit))), st.integers(0, 6))
# Of each partition: its outcomes of one step.
arrivals = st.lists(st.lists(st.lists(outcomes, max_size=5), min_size=2, max_size=2), min_size=1, max_size=4)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(entries(), min_size=1, max_size=3),
    arrivals,
    st.sampled_from(({}, {"fees": [{"key": "base", "amount": "9.50", "starts": "2020-01-01"}]})),
    st.lists(st.lists(st.integers(0, 99), max_size=2), min_size=4, max_size=4),
)
def test_an_estimate_equals_the_closed_invoice(
    prices: list[dict[str, Any]],
    steps: list[list[list[tuple[int, str, int]]]],
    terms: dict[str, Any],
    undone: list[list[int]],
) -> None:
    of, all_prices = known(prices, **terms)
    lists = Lists(2)
    number = 0
    with small():
        found = Estimates(lists, 2)
        for step, partitions in enumerate(steps):
            for rows, new in zip(lists.lists, partitions, strict=True):
                at = rows[-1].billed_at if rows else NOVEMBER.start
                for which, unit, later in new:
                    at += later
                    number += 1
                    rows.append(priced_row(number, all_prices[which % len(all_prices)], unit, at))
            for which in undone[step]:
                if lists.all:
                    row = lists.all[which % len(lists.all)]
                    lists.reversed[row.outcome_key or ""] = StoredReversal(
                        f"{NOVEMBER.end - 1}-0", row.billed_at, NOVEMBER.end - 1
                    )
            head = lists.head
            expected = closed(lists, of)
            made = estimated(found, head, of, NOVEMBER.start + step * (FRESH_MS + 1))
            assert made is not None
            assert made.invoice.subtotal == made.invoice.net == expected.subtotal
            assert [(one.agent, one.grade, group_total([one])) for one in made.groups] == [
                (one.agent, one.grade, group_total([one])) for one in expected.sums.groups
            ]


FLAT = {"kind": "flat", "price_per_unit": "1.50", "free_quota": "1"}


def test_an_estimate_is_returned_again_for_some_seconds_unless_something_changed() -> None:
    of, [price, _] = known([FLAT])
    lists = Lists(1)
    lists.lists[0].append(priced_row(1, price, "3", NOVEMBER.start))
    found = Estimates(lists, 1)
    head = lists.head
    first = estimated(found, head, of, 1000)
    assert first is not None
    assert (first.invoice.net, first.at) == (3, 1000)
    lists.lists[0].append(priced_row(2, price, "1", NOVEMBER.start + 1))
    assert estimated(found, lists.head, of, 1000 + FRESH_MS) == first
    lines = (
        ManualLine(
            id="ab" * 32,
            description="Setup",
            quantity=Decimal(1),
            unit_price=Decimal(5),
            tax="",
            amount=Decimal(5),
            applied=Decimal(5),
            added_at=1,
        ),
    )
    changed = estimated(found, replace(lists.head, revision=1, manual=lines), of, 1000 + FRESH_MS)
    assert changed is not None
    assert changed.invoice.net == Decimal("9.50")
    after = estimated(found, lists.head, of, 1001 + FRESH_MS)
    assert after is not None
    assert after.invoice.net == Decimal("4.50")


def test_each_outcome_is_read_once() -> None:
    of, [price, _] = known([FLAT])
    lists = Lists(2)
    found = Estimates(lists, 2)
    for step in range(1, 6):
        for partition, rows in enumerate(lists.lists):
            at = NOVEMBER.start + step * 100_000
            rows.extend(priced_row(step * 1000 + partition * 500 + n, price, "1", at + n) for n in range(100))
        assert estimated(found, lists.head, of, step * (FRESH_MS + 1)) is not None
        assert lists.reads == step * 200


def test_a_large_draft_is_read_by_several_calls() -> None:
    of, [price, _] = known([FLAT])
    lists = Lists(1)
    lists.lists[0] = [priced_row(n, price, "1", NOVEMBER.start + n) for n in range(2500)]
    found = Estimates(lists, 1, rows_per_request=1000)
    made = [estimated(found, lists.head, of, n) for n in range(4)]
    assert made[:2] == [None, None]
    last = made[-1]
    assert last is not None
    assert last.invoice.net == Decimal("1.50") * 2499
    assert lists.reads < 2500 + 2 * 1000


def test_a_draft_with_too_many_alternations_has_no_estimate() -> None:
    of, made = known([FLAT, {**FLAT, "price_per_unit": "2"}])
    old, new = (next(one for one in made if one.agent == "sales" and one.price_per_unit == p) for p in (
        Decimal("1.5"), Decimal(2),
    ))  # fmt: skip
    lists = Lists(1)
    lists.lists[0] = [priced_row(n, (old, new)[n % 2], "1", NOVEMBER.start + n) for n in range(100)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runs, "MAX_RUNS", 90)
        assert estimated(Estimates(lists, 1), lists.head, of, 0) is None


def test_only_an_open_invoice_has_an_estimate() -> None:
    of, [price, _] = known([FLAT])
    lists = Lists(1)
    lists.lists[0].append(priced_row(1, price, "3", NOVEMBER.start))
    assert estimated(Estimates(lists, 1), draft("acme"), of, 0) is None
    lists.is_closed = True
    assert estimated(Estimates(lists, 1), lists.head, of, 0) is None


def test_a_draft_with_an_unknown_price_has_no_estimate() -> None:
    of, [price, _] = known([FLAT])
    lists = Lists(1)
    lists.lists[0].append(replace(priced_row(1, price, "3", NOVEMBER.start), price_hash="ab" * 32))
    assert estimated(Estimates(lists, 1), lists.head, of, 0) is None


def test_only_a_bounded_number_of_drafts_is_kept() -> None:
    of, _ = known([FLAT])
    found = Estimates(Lists(1), 1)
    for number in range(estimates.MAX_DRAFTS + 20):
        asyncio.run(found.of(draft(f"c{number}", closed=False), of, CALENDAR, 0))
    assert len(found._drafts) == estimates.MAX_DRAFTS
