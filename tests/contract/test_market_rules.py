"""Published rules of the market for what counts as a result, as catalogues, events, and the bills that they lead to."""

import json
from typing import Any, NamedTuple

import pytest

from tests.contract.ledger import Ledger, ms
from tests.support.processes import until
from witnd.domain.outcomes.partitioning import partition_of

# The agent's answer must be the last word. A customer's confirmation ends the wait, and silence counts as one.
CONVERSATIONS = """
[[agents]]
key = "support"
settlement_period = %d
timers = { customer_confirmed = 1, customer_wrote = "keep", handed_over = 1 }
reversal = { window = 5184000, on = ["customer_returned", "handed_over"] }
grades = [
  { key = "confirmed", condition = [
    { fact = "customer_confirmed", operator = "seen" }, { fact = "handed_over", operator = "not seen" } ] },
  { key = "assumed", condition = [
    { fact = "last_word", operator = "match", value = "agent" }, { fact = "handed_over", operator = "not seen" } ] },
]

[[rate_cards]]
key = "card"
currency = "USD"
entries = [{ agent = "support", price_per_unit = "0.99" }]

[[customers]]
key = "acme"
rate_card = "card"
"""
DAY_OF_SILENCE = CONVERSATIONS % 86_400
THREE_DAYS_OF_SILENCE = CONVERSATIONS % 259_200

# A change counts once it is merged, and is paid back if it is reverted within 30 days.
CHANGES = """
[[agents]]
key = "coding"
settlement_period = 172800
reversal = { window = 2592000, on = ["reverted"] }
condition = [
  { fact = "suggestion_accepted", operator = "seen" },
  { fact = "merged", operator = "seen" },
  { fact = "reverted", operator = "not seen" },
]

[[rate_cards]]
key = "card"
currency = "USD"
entries = [{ agent = "coding", price_per_unit = "5" }]

[[customers]]
key = "acme"
rate_card = "card"
"""
# The same result, billed only when nobody can revert it any more.
CHANGES_AFTER_THE_WINDOW = CHANGES.replace(
    'settlement_period = 172800\nreversal = { window = 2592000, on = ["reverted"] }',
    'settlement_period = 172800\ntimers = { merged = 1209600, noted = "keep" }',
)


# Keys have at least eight characters.
PREFIX = "case-"


class Happened(NamedTuple):
    """An event of 2001. `last_word` is a value that conditions compare."""

    at: str
    key: str
    action: str
    last_word: str | None = None


class Market:
    """A deployment that issues invoices by schedule."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        ledger.set(issue="auto", grace="24h")

    def bills(self, catalogue: str, agent: str, *events: Happened) -> list["Bill"]:
        """Play the events until all is billed. Answers the invoices, the oldest first."""
        self.ledger.apply(catalogue)
        for one in sorted(events, key=lambda one: one.at):
            key = f"{PREFIX}{one.key}"
            event: dict[str, Any] = {
                "key": key,
                "action": one.action,
                "customer_key": "acme",
                "agent_key": agent,
                "idempotency_key": f"{one.at} {one.key} {one.action}",
            }
            if one.last_word is not None:
                event["properties"] = {"value": one.last_word}
            stream = f"witn:{{{partition_of(key, self.ledger.partitions)}}}:events"
            self.ledger.call("XADD", stream, f"{ms(f'2001-{one.at}+00:00')}-*", "data", json.dumps(event))
        for partition in range(self.ledger.partitions):
            self.ledger.tick(partition, "2002-06-01T00:00:00Z")
        with self.ledger.working():
            until(self._is_done, "all is billed")
        found = [Bill(self.ledger, head) for head in self.ledger.invoices()]
        self.ledger.audited()
        return found

    def _is_done(self) -> bool:
        waiting = ("open", "to_issue", "reversed")
        return self.ledger.is_closed(issued=False) and not any(
            self.ledger.call("ZCARD", f"witn:{{shared}}:billing:{name}") for name in waiting
        )


class Bill:
    """An invoice: its month, its lines as (key, grade, amount), and its credits within and after it."""

    def __init__(self, ledger: Ledger, head: dict[str, Any]) -> None:
        shown = ledger.json("invoices", "show", head["id"])
        self.month = head["period_start"][:7]
        self.total, self.due = head["total"], head["due"]
        rows = shown["lines"]
        self.lines = [(key_of(row), row["grade"], row["amount"]) for row in rows if row["kind"] == "outcome"]
        self.credits = [(key_of(row), row["amount"]) for row in rows if row["kind"] == "credit"]
        self.notes = [(note["amount"], [key_of(row) for row in note["lines"]]) for note in shown["credit_notes"]]


def key_of(row: dict[str, Any]) -> str:
    return str(row["outcome_key"]).removeprefix(PREFIX)


@pytest.fixture
def market(sharded: Ledger) -> Market:
    return Market(sharded)


def answered(at: str, key: str) -> Happened:
    return Happened(at, key, "last_word", "agent")


def asked(at: str, key: str) -> Happened:
    return Happened(at, key, "last_word", "customer")


@pytest.mark.parametrize(("catalogue", "hours"), [(DAY_OF_SILENCE, 24), (THREE_DAYS_OF_SILENCE, 72)])
def test_a_resolution_is_confirmed_by_the_customer_or_assumed_after_silence(
    market: Market, catalogue: str, hours: int
) -> None:
    # An answer on the last day of the month, at an hour at which the silence ends one second before or after it.
    last = "10-30T23:59:58" if hours == 24 else "10-28T23:59:58"
    next_ = "10-31T00:00:00" if hours == 24 else "10-29T00:00:00"
    [october, november] = market.bills(
        catalogue,
        "support",
        answered("10-02T09:00:00", "thanked"),
        Happened("10-02T09:05:00", "thanked", "customer_confirmed"),
        answered("10-03T09:00:00", "silent"),
        asked("10-04T09:00:00", "unanswered"),  # the customer has the last word
        answered("10-05T09:00:00", "asked-again"),
        asked("10-05T20:00:00", "asked-again"),
        answered("10-05T20:01:00", "asked-again"),
        answered(last, "silent-in-october"),
        answered(next_, "silent-in-november"),
    )
    assert october.lines == [
        ("thanked", "confirmed", "0.99"),
        ("silent", "assumed", "0.99"),
        ("asked-again", "assumed", "0.99"),
        ("silent-in-october", "assumed", "0.99"),
    ]
    assert (october.month, october.total, october.due) == ("2001-10", "3.96", "3.96")
    assert (november.month, november.lines) == ("2001-11", [("silent-in-november", "assumed", "0.99")])


def test_a_resolution_is_deducted_when_the_customer_returns_even_in_a_later_month(market: Market) -> None:
    october, november = market.bills(
        DAY_OF_SILENCE,
        "support",
        answered("10-02T09:00:00", "stays"),
        answered("10-02T10:00:00", "returns-in-october"),
        answered("10-02T11:00:00", "returns-during-review"),
        answered("10-02T12:00:00", "returns-in-november"),
        answered("10-02T13:00:00", "returns-too-late"),
        Happened("10-20T09:00:00", "returns-in-october", "customer_returned"),
        Happened("11-01T09:00:00", "returns-during-review", "customer_returned"),
        Happened("11-20T09:00:00", "returns-in-november", "customer_returned"),
        answered("11-20T10:00:00", "other"),
        Happened("12-03T09:00:00", "returns-too-late", "customer_returned"),  # its window is 60 days
        Happened("12-10T09:00:00", "returns-too-late", "customer_returned"),
    )
    assert len(october.lines) == 5
    assert october.credits == [("returns-in-october", "-0.99"), ("returns-during-review", "-0.99")]
    assert october.total == "2.97"
    assert october.notes == [("0.99", ["returns-in-november"])]
    assert (october.due, november.total) == ("1.98", "0.99")


def test_a_hand_over_to_a_person_never_counts(market: Market) -> None:
    [october] = market.bills(
        THREE_DAYS_OF_SILENCE,
        "support",
        answered("10-02T09:00:00", "by-the-agent"),
        answered("10-02T09:00:00", "handed-over-at-once"),
        Happened("10-02T09:01:00", "handed-over-at-once", "handed_over"),
        answered("10-02T10:00:00", "thanked-and-handed-over"),
        Happened("10-02T10:00:00.500", "thanked-and-handed-over", "customer_confirmed"),
        Happened("10-02T10:00:01", "thanked-and-handed-over", "handed_over"),
        answered("10-03T09:00:00", "handed-over-afterwards"),
        Happened("10-07T09:00:00", "handed-over-afterwards", "handed_over"),
    )
    assert october.lines == [("by-the-agent", "assumed", "0.99"), ("handed-over-afterwards", "assumed", "0.99")]
    assert october.credits == [("handed-over-afterwards", "-0.99")]
    assert (october.total, october.due) == ("0.99", "0.99")


def test_a_conversation_is_charged_at_most_once(market: Market) -> None:
    [october] = market.bills(
        DAY_OF_SILENCE,
        "support",
        *[answered(f"10-02T09:{minute:02}:00", "long") for minute in range(0, 50, 10)],
        answered("10-02T09:00:00", "confirmed-twice"),
        Happened("10-02T09:01:00", "confirmed-twice", "customer_confirmed"),
        Happened("10-02T09:02:00", "confirmed-twice", "customer_confirmed"),
        answered("10-03T09:00:00", "solved-again"),
        Happened("10-05T09:00:00", "solved-again", "customer_returned"),
        answered("10-05T09:01:00", "solved-again"),  # late: the conversation is final
        Happened("10-05T09:02:00", "solved-again", "customer_confirmed"),
        Happened("10-06T09:00:00", "solved-again", "customer_returned"),  # deducted once
    )
    assert [key for key, _, _ in october.lines] == ["confirmed-twice", "long", "solved-again"]
    assert october.credits == [("solved-again", "-0.99")]
    assert october.total == "1.98"


def test_a_change_counts_when_it_is_merged_and_is_paid_back_when_it_is_reverted(market: Market) -> None:
    october, november = market.bills(
        CHANGES,
        "coding",
        *[
            Happened("10-10T09:00:00", key, "suggestion_accepted")
            for key in ("stays", "not-merged", "reverted-at-once", "reverted-in-october", "reverted-in-november", "old")
        ],
        *[
            Happened("10-10T10:00:00", key, "merged")
            for key in ("stays", "reverted-at-once", "reverted-in-october", "reverted-in-november", "old")
        ],
        Happened("10-11T09:00:00", "reverted-at-once", "reverted"),
        Happened("10-20T09:00:00", "reverted-in-october", "reverted"),
        Happened("11-11T09:59:59.999", "reverted-in-november", "reverted"),
        Happened("11-11T10:00:00", "old", "reverted"),  # 30 days after it was billed
        Happened("11-12T09:00:00", "next", "suggestion_accepted"),
        Happened("11-12T10:00:00", "next", "merged"),
    )
    assert [key for key, _, _ in october.lines] == ["old", "reverted-in-november", "reverted-in-october", "stays"]
    assert october.credits == [("reverted-in-october", "-5.00")]
    assert october.notes == [("5.00", ["reverted-in-november"])]
    assert (october.total, october.due, november.total) == ("15.00", "10.00", "5.00")


def test_a_change_can_be_billed_only_after_the_time_in_which_it_can_be_reverted(market: Market) -> None:
    [november] = market.bills(
        CHANGES_AFTER_THE_WINDOW,
        "coding",
        *[Happened("10-25T09:00:00", key, "suggestion_accepted") for key in ("stays", "reverted", "reverted-late")],
        *[Happened("10-25T10:00:00", key, "merged") for key in ("stays", "reverted", "reverted-late")],
        Happened("11-08T09:59:59", "reverted", "reverted"),
        Happened("11-08T10:00:00", "reverted-late", "reverted"),  # the 14 days are over
    )
    assert november.month == "2001-11"
    assert [key for key, _, _ in november.lines] == ["reverted-late", "stays"]
    assert (november.total, november.credits, november.notes) == ("10.00", [], [])
