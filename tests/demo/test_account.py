"""The lines of the demo, which have the product's own explanations."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support.catalogues import agent, catalogue, customer, rate_card
from tests.support.conditions import leaf
from witnd.app.outcomes.view import listed, without_outcome
from witnd.demo import account
from witnd.demo.receiver import Receipt
from witnd.domain.catalogue.routing import Terms, opening_terms
from witnd.domain.outcomes.event import Event
from witnd.domain.outcomes.explain import explanation
from witnd.domain.outcomes.outcome import Outcome
from witnd.domain.outcomes.resolution import resolve
from witnd.domain.values import instant
from witnd.fold.history import HistoryItem
from witnd.store.keys import Keys
from witnd.store.query.fates import Fate

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

    def take(self, ms: int, action: str, placed_at: int | None = None, **given: Any) -> str:
        value, attribution = given.get("value"), given.get("attribution")
        event = Event(KEY, action, "acme", None, None, value, attribution, None, None, None)
        self.outcome.apply(event, ms, ms if placed_at is None else placed_at)
        self.history.append(HistoryItem((ms, 0), action, None, value, attribution, None, placed_at, None, None))
        return said(account.event_line(KEY, explanation(self.outcome, self.history).events[-1]))

    def settle(self) -> str:
        self.outcome.settle(self.outcome.settles_at)
        story, line = explanation(self.outcome, self.history), resolve(self.outcome)[1]
        found = without_outcome(Keys("witn", 0), KEY)
        return said(account.resolution_line(replace(found, outcome=listed(0, self.outcome), story=story, line=line)))


def said(line: account.Line) -> str:
    return f"{line.word}: {line.text}"


def test_an_event_has_the_words_of_its_explanation() -> None:
    told = Told()
    assert told.take(1_000, "ticket_opened") == (
        "open: ticket_opened: Opened the outcome. Nothing in the condition changed. Due 4 s later."
    )
    assert told.take(2_000, "agent_replied") == (
        "pending: agent_replied: Now true: `agent_replied` was seen. "
        "The condition holds: pending, it would be confirmed. Due 4 s later."
    )
    assert told.take(3_000, "csat", value=2.0).startswith("pending: csat (value 2.0): No longer true: ")


def test_a_placed_event_has_the_time_of_its_placement() -> None:
    told = Told()
    assert told.take(1_000, "ticket_opened", placed_at=9_000).startswith("placed: ticket_opened: Was held, and placed ")
    line = account.event_line(KEY, explanation(told.outcome, told.history).events[0])
    assert line.at_ms == 9_000


@pytest.mark.parametrize(
    ("price", "said"),
    [
        ({"price_per_unit": "0.5"}, "3 × 0.5 = 1.50 EUR for acme"),
        ({"price_per_unit": "0.5", "period_cap": "9"}, "3 units, amount calculated when the period closes for acme"),
    ],
)
def test_a_confirmed_outcome_has_the_calculation_of_its_amount(price: dict[str, Any], said: str) -> None:
    told = Told([], price=price)
    told.take(1_000, "agent_replied", attribution=Decimal(3))
    assert told.settle() == f"confirmed: {said}"


def test_a_missed_outcome_has_the_checks_that_failed() -> None:
    told = Told()
    told.take(1_000, "agent_replied")
    told.take(4_900, "reopened")
    assert told.settle() == "missed: nothing is billed to acme: ✗ `reopened` was not seen, ✗ `closed` was seen"


@pytest.mark.parametrize(
    ("fate", "reason", "line"),
    [
        ("late", "OUTCOME_NOT_OPEN", "late: reopened: This event arrived after its outcome settled."),
        ("held", "UNKNOWN_CUSTOMER", "held: reopened: Customer `globex` does not exist."),
        ("rejected", "IDENTITY_MISMATCH", "rejected: reopened: Its customer or agent differs from that of"),
    ],
)
def test_an_event_that_is_not_applied_has_the_dashboards_reason(fate: str, reason: str, line: str) -> None:
    found = Fate(
        id="6500-0", partition=0, accepted_at=instant.render(6_500), fate=fate, key=KEY, reason=reason,
        action="reopened", customer_key="globex",
    )  # fmt: skip
    shown = account.fate_line(found)
    assert (shown.at_ms, shown.key) == (6_500, KEY)
    assert said(shown).startswith(line)


def test_an_unreadable_entry_has_no_key() -> None:
    found = Fate(
        id="1000-0", partition=0, accepted_at=instant.render(1_000), fate="rejected", reason="INVALID_EVENT",
        message="key: must be a string",
    )  # fmt: skip
    line = account.fate_line(found)
    assert (line.key, said(line)) == ("(no key)", "rejected: This event is invalid: key: must be a string.")


def test_a_webhook_is_told_as_its_receiver_saw_it() -> None:
    def told(**changes: Any) -> str:
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
