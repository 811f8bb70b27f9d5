"""The biller on a real server: what it collects, closes and issues, whenever it dies."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import chain, repeat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.billing.harness import DAY, KEYS, BillingHarness, Confirmed
from tests.support.searches import examples
from witnd.billing import biller, closer, closing
from witnd.domain.invoices.invoice import invoice_id
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values.period import Calendar
from witnd.store.errors import Unsafe

START = 20_000 * DAY


@pytest.fixture
def harness(redis_url: str) -> Iterator[BillingHarness]:
    made = BillingHarness(redis_url)
    yield made
    made.close()


def test_lines_are_collected_into_one_draft_per_customer_currency_and_period(harness: BillingHarness) -> None:
    harness.confirm(
        [
            Confirmed(0, START + 1, "outcome-1"),
            Confirmed(1, START + 2, "outcome-2", unit="2"),
            Confirmed(0, START + 3, "outcome-3", customer="globex"),
            Confirmed(0, START + 4, "outcome-4", currency="JPY"),
            Confirmed(0, START + DAY, "outcome-5"),
            Confirmed(0, START + DAY + 1, "outcome-6", agent="tiers"),
        ]
    )
    harness.work()
    heads = harness.invoices()
    assert {place: (head.lines, head.unrated, str(head.subtotal)) for place, head in heads.items()} == {
        ("acme", "EUR", START): (2, 0, "2.99"),
        ("globex", "EUR", START): (1, 0, "1"),
        ("acme", "JPY", START): (1, 0, "11"),
        ("acme", "EUR", START + DAY): (2, 1, "1"),
    }
    first = heads["acme", "EUR", START]
    assert first.id == invoice_id("acme", "EUR", Calendar.of("day").period_at(START))
    assert (first.closed, first.stage, first.end) == (False, "open", START + DAY)
    assert [row.id for row in harness.rows(first)] == [derived_id("line", f"outcome-{n}") for n in (1, 2)]


def test_a_period_closes_only_when_every_log_is_applied_past_it(harness: BillingHarness) -> None:
    harness.confirm([Confirmed(0, START + 1, "outcome-1"), Confirmed(1, START + DAY + 5, "outcome-2")])
    harness.applied(START + DAY + 10)
    harness.applied(START + DAY - 1, partition=1)
    harness.work()
    assert not any(head.closed for head in harness.invoices().values())
    harness.applied(START + DAY, partition=1)
    harness.work(automatic=False)
    heads = harness.invoices()
    assert heads["acme", "EUR", START].stage == "draft"
    assert heads["acme", "EUR", START + DAY].stage == "open"
    assert harness.redis.zrange(KEYS.to_issue, 0, -1) == [heads["acme", "EUR", START].id.encode()]


def test_a_quiet_log_gets_a_tick_when_a_period_has_ended_and_a_busy_one_does_not(harness: BillingHarness) -> None:
    harness.confirm([Confirmed(0, START + 1, "outcome-1")])
    harness.redis.xadd("witn:{0}:events", {"data": "{}"}, id=f"{START + 5}-0")
    harness.redis.xadd("witn:{1}:events", {"data": "{}"}, id=f"{START + DAY + 5}-0")
    harness.work()
    assert [fields for _, fields in harness.redis.xrange("witn:{0}:events")][1:] == [{b"witnd": b"tick"}]
    assert harness.redis.xlen("witn:{1}:events") == 1


def test_rows_of_a_closed_invoice_have_their_amounts_and_the_groups_add_theirs(harness: BillingHarness) -> None:
    harness.confirm(
        [
            Confirmed(0, START + 5, "outcome-b", agent="tiers", unit="2"),
            Confirmed(1, START + 5, "outcome-a", agent="tiers", unit="2"),
            Confirmed(1, START + 6, "outcome-c", agent="capped"),
            Confirmed(1, START + 7, "outcome-d", agent="volume", unit="3"),
            Confirmed(0, START + 8, "outcome-e", agent="volume", unit="3"),
            Confirmed(0, START + 9, "outcome-f"),
        ]
    )
    harness.applied(START + 2 * DAY)
    harness.work(automatic=False)
    [head] = harness.invoices().values()
    rows = [(row.kind, (row.outcome_key or row.agent_key)[-1:], row.amount) for row in harness.rows(head)]
    assert rows == [
        ("outcome", "a", "2.01"),
        ("outcome", "b", "1.34"),  # 1 × 1.005 + 1 × 0.333: the exact sum is 3.348
        ("outcome", "c", "5.00"),
        ("outcome", "d", "3.00"),
        ("outcome", "e", "3.00"),
        ("outcome", "f", "1.00"),
        ("minimum", "d", "2.00"),
        ("fee", "s", "2.00"),
    ]
    assert head.subtotal == Decimal("19.35")
    assert (head.unrated, head.closed) == (0, True)
    assert not harness.redis.exists(KEYS.rows(head.id, 0), KEYS.rows(head.id, 1))


def test_closed_drafts_are_issued_when_their_grace_is_over_oldest_first(harness: BillingHarness) -> None:
    harness.confirm([Confirmed(0, START + n * DAY, f"outcome-{n}") for n in range(3)])
    harness.applied(START + 10 * DAY)
    harness.work()
    assert harness.issued == [head.id for _, head in sorted(harness.invoices().items())]
    assert not harness.redis.exists(KEYS.to_issue)


def test_a_damaged_draft_is_left_and_the_others_are_issued(harness: BillingHarness) -> None:
    harness.confirm([Confirmed(0, START + n * DAY, f"outcome-{n}") for n in range(3)])
    harness.applied(START + 10 * DAY)
    harness.work(automatic=False)
    heads = [head.id for _, head in sorted(harness.invoices().items())]
    harness.damaged = {heads[0]}
    harness.work()
    assert harness.issued == heads[1:]
    assert [id_.decode() for id_ in harness.redis.zrange(KEYS.to_issue, 0, -1)] == heads[:1]


def test_nothing_is_issued_before_its_grace_is_over_or_by_hand_only(harness: BillingHarness) -> None:
    harness.confirm([Confirmed(0, START, "outcome-1")])
    harness.applied(START + 10 * DAY)
    harness.work(grace_ms=100_000 * DAY)
    harness.work(automatic=False)
    assert harness.issued == []
    assert harness.redis.zcard(KEYS.to_issue) == 1


@pytest.mark.parametrize("zero", [True, False])
def test_invoices_over_nothing_are_issued_only_where_that_is_wanted(harness: BillingHarness, zero: bool) -> None:
    harness.confirm([Confirmed(0, START, "outcome-1", unit="0")])
    harness.applied(START + 10 * DAY)
    harness.work(zero=zero)
    [head] = harness.invoices().values()
    assert harness.issued == ([head.id] if zero else [])
    assert head.closed


def test_lines_that_never_cease_to_come_keep_no_period_open(
    harness: BillingHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the biller waits for a line there is always one more."""
    monkeypatch.setattr(biller, "MAX_CONSECUTIVE_STEPS", 3)
    harness.confirm([Confirmed(0, START, "outcome-first")])
    harness.applied(START + DAY)
    harness.flow = [Confirmed(0, START + DAY + n, f"outcome-{n:04}") for n in range(40)]
    harness.work(enough=lambda: bool(harness.issued))
    assert harness.flow, "the flow ended before the period was closed"
    assert harness.issued == [harness.invoices()["acme", "EUR", START].id]


def test_a_server_whose_clock_jumps_gets_no_tick_and_nothing_is_issued(harness: BillingHarness) -> None:
    harness.confirm([Confirmed(0, START - DAY, "outcome-0"), Confirmed(0, START, "outcome-1")])
    harness.redis.xadd("witn:{0}:events", {"data": "{}"}, id=f"{START + 5}-0")
    harness.applied(START + 5)
    noon, next_noon = START + DAY // 2, START + DAY + DAY // 2
    harness.clock = chain([noon, noon], repeat(next_noon))
    harness.work(turns=2, grace_ms=DAY)
    assert harness.redis.xlen("witn:{0}:events") == 1
    assert harness.issued == []
    # The same instants without a jump, in a life of its own: a tick, and when it is applied, what has waited long
    # enough is issued.
    harness.clock = repeat(next_noon)
    harness.work(turns=2, grace_ms=DAY)
    assert harness.redis.xlen("witn:{0}:events") > 1
    assert harness.issued == []
    harness.applied(START + DAY)
    harness.work(turns=2, grace_ms=DAY)
    assert len(harness.issued) == 1


def test_a_step_is_no_larger_where_there_are_more_partitions(
    harness: BillingHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("witnd.billing.biller.STEP_LINES", 10)
    monkeypatch.setattr("witnd.billing.biller.MIN_LINES", 1)
    harness.confirm([Confirmed(number % 2, START + number, f"outcome-{number}") for number in range(40)])
    steps = harness.work(period="month")
    assert steps == 1 + 4  # one to begin with
    assert [head.lines for head in harness.invoices().values()] == [40]


def test_a_line_of_a_closed_period_stops_the_billing(harness: BillingHarness) -> None:
    harness.confirm([Confirmed(0, START, "outcome-1")])
    harness.applied(START + 10 * DAY)
    harness.work()
    harness.confirm([Confirmed(0, START + 1, "outcome-2", customer="globex")])
    with pytest.raises(Unsafe, match="closed already"):
        harness.work()


def test_a_change_of_the_period_takes_effect_when_the_running_one_ends(harness: BillingHarness) -> None:
    now = int(harness.redis.time()[0]) * 1000
    end = Calendar.of("month").period_at(now).end
    harness.confirm([Confirmed(0, now, "outcome-1")])
    harness.work(period="month")
    harness.work(period="day")
    harness.confirm([Confirmed(0, now + 1, "outcome-2"), Confirmed(0, end, "outcome-3")])
    harness.work(period="day")
    assert {(head.start, head.period) for head in harness.invoices().values()} == {
        (Calendar.of("month").period_at(now).start, "month"),
        (end, "day"),
    }


def test_a_clock_that_was_set_back_does_not_end_a_period_early_that_the_logs_have_reached(
    harness: BillingHarness,
) -> None:
    reached = START + 10 * DAY
    month = Calendar.of("month").period_at(reached)
    harness.confirm([Confirmed(0, reached, "outcome-1")])
    harness.applied(reached)
    harness.clock = repeat(reached)
    harness.work(period="month")
    harness.clock = repeat(month.start - 10 * DAY)
    harness.work(period="day")
    harness.confirm([Confirmed(0, reached + 1, "outcome-2")])
    harness.work(period="day")
    assert [(head.start, head.end, head.lines) for head in harness.invoices().values()] == [(month.start, month.end, 2)]


confirmed = st.lists(
    st.builds(
        Confirmed,
        st.integers(0, 1),
        st.integers(0, 40).map(lambda n: START + n * DAY // 16),
        st.just(""),
        st.sampled_from(["flat", "tiers", "volume", "capped"]),
        st.sampled_from(["acme", "globex"]),
        st.just("EUR"),
        st.sampled_from(["1", "0", "2.5", "3", "0.001"]),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=confirmed, data=st.data())
def test_interrupted_at_any_commit_before_or_after_it_is_written_the_invoices_are_the_same(
    session_server: object, redis_url: str, lines: list[Confirmed], data: st.DataObject
) -> None:
    ordered = [one._replace(key=f"outcome-{place:04}") for place, one in enumerate(sorted(lines, key=lambda x: x.at))]
    with pytest.MonkeyPatch.context() as patched:
        # So small that drafts are closed in several steps too.
        patched.setattr(biller, "STEP_LINES", 3)
        patched.setattr(closer, "STEP_ROWS", 3)
        patched.setattr(closer, "MAX_BUFFERED_ROWS", 4)
        patched.setattr(closing, "PAGE", 2)

        def begin() -> BillingHarness:
            harness = BillingHarness(redis_url)
            harness.redis.flushall()
            harness.close()
            harness = BillingHarness(redis_url)
            harness.confirm(ordered)
            harness.applied(START + 2 * DAY)
            return harness

        harness = begin()
        commits = harness.work()
        undisturbed, issued = harness.everything(), harness.issued
        harness.close()
        harness = begin()
        for _ in range(data.draw(st.integers(1, 3), "lives")):
            harness.work(cut=data.draw(st.integers(1, commits), "cut"), executed=data.draw(st.booleans(), "executed"))
        harness.work()
        assert harness.everything() == undisturbed
        assert harness.issued == issued
        heads = harness.invoices().values()
        assert sum(head.lines for head in heads) == len(ordered)
        for head in heads:
            rows = harness.rows(head)
            assert sum(Decimal(row.amount) for row in rows if row.amount is not None) == head.subtotal
            assert head.lines == sum(row.kind == "outcome" for row in rows)
        harness.close()
