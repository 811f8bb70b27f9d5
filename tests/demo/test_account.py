"""What the account says, word for word, of outcomes made by the real fold's own types."""

from decimal import Decimal
from typing import Any

import pytest

from tests.support.catalogues import agent, catalogue, customer, rate_card
from tests.support.conditions import leaf
from witnd.demo import account
from witnd.demo.receiver import Receipt
from witnd.domain.catalogue.routing import Terms, opening_terms
from witnd.domain.outcomes.event import Event
from witnd.domain.outcomes.explain import explanation
from witnd.domain.outcomes.outcome import Outcome
from witnd.domain.outcomes.resolution import resolve
from witnd.fold.history import HistoryItem
from witnd.store.records.codec import FateRecord

KEY = "support:ticket:1001"
CONDITION = [
    leaf("agent_replied", "seen"),
    leaf("reopened", "not seen"),
    leaf("csat", "not lte", 3),
    {"op": "OR", "conditions": [leaf("closed", "seen"), leaf("escalated", "not seen")]},
]


class Told:
    """An outcome that takes events, and the line of each."""

    def __init__(self, condition: list[Any] = CONDITION, price: dict[str, Any] | None = None, **changes: Any) -> None:
        card = rate_card() if price is None else rate_card(entries=[{"agent": "support"} | price])
        entries = agent(condition=condition, settlement_period=4, **changes), card, customer()
        found = opening_terms(catalogue(*entries), action="x", agent_key="support", customer_key="acme", at=0)
        assert isinstance(found, Terms)
        self.outcome = Outcome(KEY, "acme", found.contract, found.price, 0)
        self.history: list[HistoryItem] = []

    def take(self, ms: int, action: str, placed_at: int | None = None, **given: Any) -> str | None:
        value, attribution = given.get("value"), given.get("attribution")
        event = Event(KEY, action, "acme", None, None, value, attribution, None, None, None)
        self.outcome.apply(event, ms, ms if placed_at is None else placed_at)
        self.history.append(HistoryItem((ms, 0), action, None, value, attribution, None, placed_at, None, None))
        events = explanation(self.outcome, self.history).events
        return said(account.applied_line(KEY, events, len(events) - 1, self.outcome))

    def settle(self) -> str | None:
        self.outcome.settle(self.outcome.settles_at)
        return said(account.resolution_line(resolve(self.outcome)[0], self.outcome))


def said(line: account.Line | None) -> str | None:
    return None if line is None else f"{line.word}: {line.text}"


def test_an_outcome_opens_turns_billable_and_is_settled() -> None:
    told = Told()
    assert told.take(1_000, "ticket_opened") == "opened: for acme by `ticket_opened`"
    assert told.take(2_000, "agent_replied") == ("billable: `agent_replied` was seen; due at 00:00:06.0")
    assert told.take(3_000, "looked_at") is None
    assert told.settle() == "settled: billed 0.99 EUR to acme"


@pytest.mark.parametrize(
    ("price", "said"),
    [
        ({"price_per_unit": "0.5"}, "billed 1.50 EUR to acme (3 × 0.5)"),
        ({"kind": "percentage", "percent": "50"}, "billed 1.50 EUR to acme (3 × 0.5)"),
        ({"kind": "percentage", "percent": "50", "minimum": "9"}, "billed 9.00 EUR to acme"),
        ({"price_per_unit": "0.5", "period_cap": "9"}, "billed to acme when the period closes: 3 units"),
    ],
)
def test_the_end_says_what_is_billed_and_when(price: dict[str, Any], said: str) -> None:
    told = Told([], price=price)
    told.take(1_000, "agent_replied", attribution=Decimal(3))
    assert told.settle() == f"settled: {said}"


def test_the_first_event_may_make_it_billable() -> None:
    assert Told().take(1_250, "agent_replied") == (
        "opened: for acme by `agent_replied`; billable at once, due at 00:00:05.2"
    )


def test_a_reversal_says_what_turned_it_and_so_does_the_end() -> None:
    told = Told()
    told.take(1_000, "agent_replied")
    assert told.take(4_900, "reopened") == "reversed: `reopened` was seen; would be missed now"
    assert told.settle() == "missed: nothing is billed: `reopened` was seen"


def test_values_are_told_as_they_came() -> None:
    told = Told()
    told.take(1_000, "agent_replied")
    assert told.take(2_000, "csat", value=2.0) == "reversed: `csat` is 2; would be missed now"
    assert told.take(3_000, "csat", value=4.5) == "billable: again: `csat` is 4.5; due at 00:00:07.0"


def test_a_miss_names_only_parts_of_the_condition_that_do_not_hold() -> None:
    told = Told()
    told.take(1_000, "csat", value=1.0)
    assert told.settle() == "missed: nothing is billed: `agent_replied` never came and `csat` is 1"


def test_a_count_that_is_not_reached_is_told_in_words() -> None:
    told = Told([leaf("call", "count_gte", 2)])
    told.take(1_000, "call")
    assert told.settle() == ("missed: nothing is billed: it is not true that `call` was seen at least 2 times")


def test_units_are_counted_and_multiplied() -> None:
    told = Told(attribution_method="sum")
    assert told.take(1_000, "agent_replied", attribution=Decimal(12)) == (
        "opened: for acme by `agent_replied` with 12; billable at once, due at 00:00:05.0"
    )
    assert told.take(2_000, "seats_added", attribution=Decimal(5)) == (
        "counted: `seats_added` with 5; due at 00:00:06.0 now"
    )
    assert told.settle() == "settled: billed 16.83 EUR to acme (17 × 0.99)"


def test_placed_events_are_told_with_what_placed_them() -> None:
    told = Told()
    told.take(1_000, "ticket_opened", placed_at=9_000)
    told.take(2_000, "agent_replied", placed_at=9_000)
    events = explanation(told.outcome, told.history).events
    assert said(account.placement_line(KEY, events, 9_000, told.outcome)) == (
        "placed: 2 held events for acme can be counted now; billable, due at 00:00:13.0"
    )
    assert account.placement_line(KEY, events, 9_001, told.outcome) is None


@pytest.mark.parametrize(
    ("fate", "reason", "message", "line"),
    [
        (
            "duplicate",
            None,
            None,
            "duplicate: `reopened` came twice under one idempotency key: counted once",
        ),
        (
            "conflict",
            None,
            None,
            "conflict: `reopened` under a used idempotency key, with other content: the first stands",
        ),
        (
            "late",
            "OUTCOME_NOT_OPEN",
            None,
            "late: `reopened` came 1.5 s after it settled: nothing changes any more",
        ),
        (
            "held",
            "UNKNOWN_CUSTOMER",
            None,
            "held: `reopened` waits: the catalogue has no customer globex",
        ),
        (
            "rejected",
            "IDENTITY_MISMATCH",
            None,
            "rejected: `reopened` names globex, but this is acme's",
        ),
    ],
)
def test_what_is_not_counted_is_told_with_the_reason(
    fate: str, reason: str | None, message: str | None, line: str
) -> None:
    told = Told()
    told.take(1_000, "agent_replied")
    event = Event(KEY, "reopened", "globex", None, None, None, None, None, None, None)
    record = FateRecord(fate, reason, KEY, message, None)
    assert said(account.rejected_line(6_500, record, event, told.outcome)) == line


def test_an_entry_that_nobody_can_read_is_told_without_a_key() -> None:
    record = FateRecord("rejected", "INVALID_EVENT", None, "key: is missing", None)
    line = account.rejected_line(1_000, record, None, None)
    assert (line.key, said(line)) == (
        "(no usable key)",
        "rejected: INVALID_EVENT, never counted: key: is missing",
    )


def test_a_webhook_is_told_as_its_receiver_saw_it() -> None:
    def told(**changes: Any) -> str | None:
        receipt: dict[str, Any] = {
            "at_ms": 0,
            "rule": "crm",
            "id": "a",
            "outcome_key": KEY,
            "attempt": 1,
            "status": 200,
        }
        return said(account.webhook_line(Receipt(**receipt | changes)))

    assert told() == "webhook: crm verified the signature"
    assert told(attempt=2) == "webhook: crm verified the signature (attempt 2)"
    assert told(status=500) == "webhook: crm answers 500 on purpose; it is sent again"
    assert told(wrong="its signature does not match", status=401) == (
        "forged: crm: its signature does not match; refused"
    )
    assert told(again=True) == "webhook: crm got it again; known by its webhook-id"


def test_a_line_has_its_columns() -> None:
    line = account.Line(at_ms=3_661_250, key=KEY, word="late", text="why")
    assert "".join(text for text, _ in line.pieces()) == ("01:01:01.2  support:ticket:1001     late       why")
