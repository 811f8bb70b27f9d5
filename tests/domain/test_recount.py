"""Counting an outcome again agrees with how it was counted, and notices what cannot have been."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.conditions import conditions, leaf
from witnd.domain.catalogue.contract import Contract
from witnd.domain.outcomes.event import EntryId, Event, Value
from witnd.domain.outcomes.outcome import Outcome, Status
from witnd.domain.outcomes.recount import AppliedEvent, Recount, restore_outcome
from witnd.domain.outcomes.resolution import resolve
from witnd.domain.pricing.ratecard import Price

PRICE = Price(rate_card="standard", currency="EUR", exponent=2, agent="support", price_per_unit=Decimal("0.5"))


def recount(contract: Contract, history: Iterable[AppliedEvent]) -> Recount:
    counted = Recount(contract)
    for item in history:
        counted.add(item)
    return counted


class Item(NamedTuple):
    """An event of a history, as the store has it."""

    entry: EntryId
    action: str = "replied"
    timestamp: int | None = None
    value: Value | None = None
    attribution: Decimal | None = None
    pin: int | None = None
    placed_at: int | None = None


class Record(NamedTuple):
    """What is stored of an outcome."""

    status: Status
    holds: bool
    customer_key: str
    opened_at: int
    settles_at: int
    processed_at: int | None
    events: int
    counts: list[int]
    values: list[Value | None]
    tally: tuple[int, Decimal] | None
    is_repaired: bool = False
    grade: int | None = None
    reversed_by: EntryId | None = None
    reversed_at: int | None = None


def contract(condition: list[dict[str, Any]] | None = None, **changes: Any) -> Contract:
    made = {"agent": "support", "name": "Support", "settlement_period": 10} | changes
    return Contract(condition=[leaf("replied", "seen")] if condition is None else condition, **made)


def stored(outcome: Outcome) -> Record:
    return Record(
        outcome.status,
        outcome.holds,
        outcome.customer_key,
        outcome.opened_at,
        outcome.settles_at,
        outcome.processed_at,
        outcome.events,
        list(outcome.counts),
        list(outcome.values),
        outcome.tally,
    )


def recorded_run(terms: Contract, history: list[Item], *, settled: bool) -> Outcome:
    """The outcome as the domain makes it of these events."""
    first = history[0]
    opened_at = first.entry[0] if first.placed_at is None else first.placed_at
    outcome = Outcome("ticket-4711", "acme", terms, PRICE, opened_at)
    for item in history:
        event = Event(
            outcome.key, item.action, "acme", None, item.timestamp, item.value,
            item.attribution, item.pin, None, None,
        )  # fmt: skip
        begins = item.entry[0] if item.placed_at is None else item.placed_at
        outcome.apply(event, item.entry[0], begins)
    if settled:
        outcome.settle(outcome.settles_at + 3)
    return outcome


def differences(terms: Contract, history: list[Item], record: Record) -> dict[str, tuple[str, str]]:
    found = recount(terms, history).differences(record)
    return {one.what: (one.expected, one.found) for one in found}


_values = st.one_of(st.none(), st.booleans(), st.sampled_from(["a", "b"]), st.sampled_from([1.0, 2.5, 5.0]))
_quantities = st.one_of(st.none(), st.sampled_from(["-1", "0", "2.5", "0.1", "1000000000000000"]).map(Decimal))


@st.composite
def histories(draw: st.DrawFn) -> tuple[Contract, list[Item]]:
    terms = contract(
        draw(conditions),
        settlement_period=10,
        attribution_method=draw(st.sampled_from(["first", "last", "min", "max", "sum"])),
    )
    actions = st.sampled_from([*terms.rule.facts, "other"])
    held = draw(st.integers(0, 3))
    at, items = 1000, []
    for number in range(draw(st.integers(1, 12))):
        at += draw(st.integers(0, 4))
        items.append(
            Item(
                (at, number),
                draw(actions),
                draw(st.one_of(st.none(), st.integers(990, 1010))),
                draw(_values),
                draw(_quantities),
                None,
                None,
            )
        )
    placed = items[min(held, len(items) - 1)].entry[0]
    items = [item._replace(placed_at=placed) if n < min(held, len(items) - 1) else item for n, item in enumerate(items)]
    pin = draw(st.one_of(st.none(), st.integers(900, 1200)))
    return terms, [*items[:-1], items[-1]._replace(pin=pin)]


@given(made=histories(), settled=st.booleans())
def test_what_was_counted_right_has_no_difference(made: tuple[Contract, list[Item]], settled: bool) -> None:
    terms, history = made
    outcome = recorded_run(terms, history, settled=settled)
    assert differences(terms, history, stored(outcome)) == {}


@given(made=histories())
def test_a_stored_outcome_resolves_as_the_one_it_was_stored_from(
    made: tuple[Contract, list[Item]],
) -> None:
    terms, history = made
    outcome = recorded_run(terms, history, settled=True)
    again = restore_outcome(outcome.key, stored(outcome), terms, (PRICE,))
    assert resolve(again) == resolve(outcome)


HISTORY = [
    Item((1000, 0), value=3.0, attribution=Decimal("2")),
    Item((2000, 0), "noted", attribution=Decimal("5")),
    Item((3000, 0), value=1.0, timestamp=500),
]


@pytest.mark.parametrize(
    ("change", "what", "expected", "found"),
    [
        ({"events": 2}, "events", "3", "2"),
        ({"status": "FAILED"}, "status", "CONFIRMED", "FAILED"),
        ({"status": "PENDING", "processed_at": None}, None, "", ""),
        ({"status": "OPEN", "processed_at": None}, "status", "PENDING", "OPEN"),
        ({"holds": False}, "condition", "true", "false"),
        ({"opened_at": 5}, "opened_at", "1970-01-01T00:00:01.000Z", "1970-01-01T00:00:00.005Z"),
        ({"settles_at": 5}, "settles_at", "1970-01-01T00:00:13.000Z", "1970-01-01T00:00:00.005Z"),
        ({"counts": [3]}, "count of replied", "2", "3"),
        ({"counts": []}, "count of replied", "2", "missing"),
        ({"values": [1.0]}, "value of replied", "3.0", "1.0"),
        ({"values": [True]}, "value of replied", "3.0", "True"),
        ({"tally": None}, "unit", "7", "1 (no attribution)"),
        ({"processed_at": 12_999}, "processed_at", "1970-01-01T00:00:13.000Z or later",
         "1970-01-01T00:00:12.999Z"),
    ],
)  # fmt: skip
def test_every_member_is_compared(change: dict[str, Any], what: str | None, expected: str, found: str) -> None:
    terms = contract([leaf("replied", "gte", 2)], attribution_method="sum")
    record = stored(recorded_run(terms, HISTORY, settled=True))
    wrong = differences(terms, HISTORY, record._replace(**change))
    assert wrong == ({} if what is None else {what: (expected, found)})


def test_an_event_that_came_when_the_outcome_was_due_was_late() -> None:
    terms = contract()
    history = [Item((1000, 0)), Item((11_000, 0))]
    wrong = recount(terms, history).history_differences
    assert [(one.what, one.found) for one in wrong] == [("event 11000-0", "applied")]
    assert recount(terms, [Item((1000, 0)), Item((10_999, 9))]).history_differences == []


def test_a_placement_looks_at_no_deadline() -> None:
    """Contract 4.3: the held event's pin has passed, and the placing event is applied all the same."""
    held = Item((1000, 0), pin=500, placed_at=50_000)
    assert recount(contract(), [held, Item((50_000, 0))]).history_differences == []
    assert recount(contract(), [held, Item((50_001, 0))]).history_differences != []


def test_a_history_is_in_the_order_of_the_log() -> None:
    wrong = recount(contract(), [Item((1000, 1)), Item((1000, 1)), Item((1000, 0))]).history_differences
    assert [one.what for one in wrong] == [f"event 1000-{n}: place in the history" for n in (1, 0)]


def test_an_empty_history_is_no_outcome() -> None:
    record = stored(recorded_run(contract(), HISTORY[:1], settled=False))
    assert "events" in {one.what for one in Recount(contract()).differences(record)}
