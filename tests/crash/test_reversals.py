"""The daemon is killed while reversed outcomes are credited; the invoices are as if it never was."""

from itertools import count
from typing import Any

import pytest
from msgspec import structs

from tests.crash.harness import FULL, CrashHarness
from tests.crash.points import OF_REVERSALS, Plan
from tests.crash.scenarios import BASE, SECOND, Entry, Scenario, entry
from tests.crash.stored_state import BILLING, KEYS, Reader, differences
from tests.support import catalogues
from tests.support.conditions import leaf
from witnd.domain.invoices.operations import note_ids
from witnd.store.invoices.codec import decode_invoice, decode_row
from witnd.store.invoices.note_codec import decode_note

# From reading the reversals to their credits, and what comes before and after.
POINTS = (
    "written", "lines.read", "collect.before", "collect.after", "ledger.before", "ledger.half", "ledger.executed",
    "close.before", "close.after", "issue.before", "issue.after", *OF_REVERSALS,
)  # fmt: skip
GRACE_SECONDS = 3600
REVERSAL = {"window": 864_000, "on": ["returned"]}


def scenario() -> Scenario:
    """Reversals at every stage. A day ends 6400 s after the base, and its grace 10 000 s after it."""
    calls = {
        "agent": "calls",
        "kind": "graduated",
        "tiers": [{"up_to": "2", "price_per_unit": "3.335"}, {"price_per_unit": "2"}],
    }
    catalogue = [
        catalogues.agent("resolve", settlement_period=60, condition=[leaf("resolved", "seen")], reversal=REVERSAL),
        catalogues.agent("calls", settlement_period=60, condition=[leaf("called", "seen")], reversal=REVERSAL),
        catalogues.rate_card("standard", entries=[{"agent": "resolve", "price_per_unit": "0.99"}, calls]),
        catalogues.customer("acme", name="Acme", rate_card="standard"),
    ]
    tickets = [f"ticket-{number}" for number in range(1, 7)]
    log = [
        *[entry(number, key, "resolved", agent="resolve") for number, key in enumerate(tickets)],
        *[entry(10 + number, f"call-000{number}", "called", agent="calls") for number in range(1, 5)],
        _returned(200, "ticket-1"),
        _returned(201, "ticket-1"),  # late: once
        _returned(202, "call-0002", "calls"),
        _returned(7_000, "ticket-2"),
        _returned(9_999, "call-0001", "calls"),
        _returned(10_000, "ticket-3"),
        _returned(20_000, "call-0003", "calls"),
        entry(30_000, "next-day-1", "resolved", agent="resolve"),
        entry(30_001, "next-day-2", "resolved", agent="resolve"),
        _returned(30_000 + 61, "ticket-4"),
        _returned(93_000, "next-day-1"),
        _returned(100_000, "ticket-5"),
    ]
    return Scenario(catalogue, log, outcomes=12, held=0)


def _returned(second: float, key: str, agent: str = "resolve") -> Entry:
    return entry(second, key, "returned", agent=agent)


def documents(reader: Reader) -> dict[str, Any]:
    """All invoices and credit notes, without instants of the wall clock and without how many steps they took."""
    found: dict[str, Any] = {"numbers": (reader.hash(BILLING.numbers), reader.hash(BILLING.series))}
    for name in reader.ask("ZRANGE", BILLING.invoices, 0, -1):
        id_ = name.decode()
        head = decode_invoice(id_, reader.hash(BILLING.invoice(id_)))
        assert head is not None
        rows = [*reader.ask("LRANGE", BILLING.lines(id_), 0, -1)]
        credits_ = [decode_row(one) for one in reader.ask("LRANGE", BILLING.credits(id_), 0, -1)]
        notes = [decode_note(one, reader.hash(BILLING.note(one))) for one in note_ids(head)]
        found[id_] = (
            structs.replace(head, issued_at=None, paid_at=None, revision=0),
            [decode_row(one) for one in rows],
            [structs.replace(one, resolved_at=None) for one in credits_],
            [
                structs.replace(
                    one, issued_at=None, rows=tuple(structs.replace(row, resolved_at=None) for row in one.rows)
                )
                for one in notes
                if one is not None
            ],
            reader.hash(BILLING.reversals(id_)),
            reader.hash(BILLING.credited(id_)),
        )
    return found


@pytest.fixture
def reversing(harness: CrashHarness) -> CrashHarness:
    harness.grace = GRACE_SECONDS
    return harness


def test_reversals_are_credited_once_whenever_the_daemon_is_killed(reversing: CrashHarness) -> None:
    harness = reversing
    harness.play(scenario())
    harness.complete()
    expected = documents(harness.reader)
    [first, second] = [one for id_, one in expected.items() if id_ != "numbers"][:2]
    assert (first[0].start, second[0].start) == (BASE - 80_000 * SECOND, BASE + 6_400 * SECOND)
    assert [(one.outcome_key, one.amount) for one in first[2]] == [
        ("ticket-1", "-0.99"),
        ("ticket-2", "-0.99"),
        ("call-0001", "-3.34"),
    ]
    assert [[row.outcome_key for row in note.rows] for note in first[3]] == [
        ["ticket-3", "call-0003", "ticket-4"],
        ["ticket-5"],
    ]
    assert ([one.outcome_key for one in second[2]], second[3]) == (["next-day-1"], [])
    assert first[0].due == first[0].total - first[0].noted
    for point in POINTS:
        _killed_at(harness, point, expected)


def _killed_at(harness: CrashHarness, point: str, expected: dict[str, Any]) -> None:
    """Kill at the first occurrences of a step, and compare what the last life leaves."""
    harness.play(scenario())
    before = len(harness.lives)
    for number in count(1) if FULL else (1, 2, 3):
        life = harness.start(Plan(at={point: (number, "kill")}))
        if harness.run_on(life):
            break
        assert life.killed, life.log
    assert harness.lives[before].killed, f"{point} was not reached:\n{harness.lives[before].log}"
    life.destroy()
    harness.complete()
    assert harness.reader.ask("ZCARD", BILLING.reversed) == 0
    assert harness.reader.hash(KEYS.state)[b"reversed"] == b"9"
    assert differences(expected, documents(harness.reader)) == [], point
