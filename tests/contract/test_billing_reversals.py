"""Reversals (11.3) on invoices: by log time, each stage with the bill that the contract promises."""

import hashlib
from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from typing import Any
from zlib import crc32

import pytest
from lxml import html

from tests.contract.ledger import Ledger
from tests.support.processes import until

AGENT = """
[[agents]]
key = "support"
settlement_period = 1
attribution_method = "sum"
condition = [{ fact = "done", operator = "seen" }]
reversal = { window = 5184000, on = ["reopened", "reverted"] }
"""
CUSTOMER = '[[customers]]\nkey = "acme"\nrate_card = "card"\n'
FLAT = '{ agent = "support", price_per_unit = "10" }'
TIERS = """{ agent = "support", kind = "graduated", period_minimum = "%s", \
tiers = [{ up_to = "2", price_per_unit = "10" }, { price_per_unit = "1" }] }"""


def catalogue(entry: str = FLAT, more: str = "", agent: str = AGENT) -> str:
    return f'{agent}\n[[rate_cards]]\nkey = "card"\ncurrency = "EUR"\nentries = [{entry}]\n{more}\n{CUSTOMER}'


@pytest.fixture
def automatic(sharded: Ledger) -> Iterator[Ledger]:
    sharded.set(issue="auto", grace="24h", zero_invoices="true")
    return sharded


def confirm(ledger: Ledger, *outcomes: tuple[str, str], unit: float = 1) -> None:
    for key, day in outcomes:
        ledger.confirm(key, f"2001-{day}T12:00:00Z", unit)


def reverse(ledger: Ledger, key: str, at: str, action: str = "reopened") -> None:
    ledger.confirm(key, f"2001-{at}Z", accepted_before=0, action=action)


def october(ledger: Ledger) -> dict[str, Any]:
    [head] = [one for one in ledger.invoices() if one["period_start"].startswith("2001-10") and not one["revises"]]
    return head


def lines(ledger: Ledger, id_: str) -> list[tuple[str, str, str | None]]:
    return [(row["kind"], row["outcome_key"], row["amount"]) for row in ledger.rows(id_)]


def notes(ledger: Ledger, head: dict[str, Any]) -> list[dict[str, Any]]:
    return ledger.json("invoices", "show", head["id"])["credit_notes"]


def finish(ledger: Ledger, *, issued: bool = False) -> None:
    """Let a tick pass the end of all periods, and work until all is closed."""
    for partition in range(ledger.partitions):
        ledger.tick(partition, "2002-03-01T00:00:00Z")
    with ledger.working():
        until(lambda: ledger.is_closed(issued=issued) and not pending(ledger), "all reversals are credited")


def pending(ledger: Ledger) -> int:
    return ledger.call("ZCARD", "witn:{shared}:billing:reversed")


def test_within_the_period_a_line_is_credited_at_once_and_nothing_is_due(automatic: Ledger) -> None:
    automatic.apply(catalogue())
    confirm(automatic, ("outcome-1", "10-02"), ("outcome-2", "10-03"))
    reverse(automatic, "outcome-1", "10-20T00:00:00")
    reverse(automatic, "outcome-1", "10-21T00:00:00")  # late: at most once
    finish(automatic, issued=True)
    head = october(automatic)
    assert lines(automatic, head["id"]) == [
        ("outcome", "outcome-1", "10.00"),
        ("outcome", "outcome-2", "10.00"),
        ("credit", "outcome-1", "-10.00"),
    ]
    first = automatic.rows(head["id"])[0]
    assert (first["unit"], first["counted_unit"], first["reversed_at"]) == ("1", "0", "2001-10-20T00:00:00.000Z")
    assert (head["subtotal"], head["credited"], head["total"]) == ("20.00", "10.00", "10.00")
    assert notes(automatic, head) == []
    automatic.audited()


def test_within_the_period_a_line_rated_at_close_counts_nothing_and_a_minimum_stays_due(automatic: Ledger) -> None:
    automatic.apply(catalogue(TIERS % "25"))
    confirm(automatic, ("outcome-1", "10-02"), ("outcome-2", "10-03"), ("outcome-3", "10-04"))
    reverse(automatic, "outcome-2", "10-31T23:59:59.999")
    finish(automatic, issued=True)
    head = october(automatic)
    assert lines(automatic, head["id"]) == [
        ("outcome", "outcome-1", "10.00"),
        ("outcome", "outcome-2", "0.00"),
        ("outcome", "outcome-3", "10.00"),  # the second unit, not the third
        ("minimum", None, "5.00"),
    ]
    row = automatic.rows(head["id"])[1]
    assert (row["unit"], row["counted_unit"], row["working"]["kind"]) == ("1", "0", "reversed")
    automatic.audited()


def test_a_group_of_reversed_lines_still_owes_its_minimum(automatic: Ledger) -> None:
    automatic.apply(catalogue(TIERS % "25"))
    confirm(automatic, ("outcome-1", "10-02"))
    reverse(automatic, "outcome-1", "10-05T00:00:00")
    finish(automatic, issued=True)
    head = october(automatic)
    assert lines(automatic, head["id"]) == [("outcome", "outcome-1", "0.00"), ("minimum", None, "25.00")]
    automatic.audited()


def test_lines_rated_at_settlement_and_reversed_count_for_no_commitment_and_no_cap(automatic: Ledger) -> None:
    automatic.apply(catalogue(more='commitment = { period_minimum = "50", starts = 2001-10-01 }'))
    confirm(automatic, ("outcome-1", "10-02"), ("outcome-2", "10-03"))
    reverse(automatic, "outcome-1", "10-20T00:00:00")
    finish(automatic)
    head = october(automatic)
    assert lines(automatic, head["id"]) == [
        ("outcome", "outcome-1", "10.00"),
        ("outcome", "outcome-2", "10.00"),
        ("commitment", None, "40.00"),
        ("credit", "outcome-1", "-10.00"),
    ]
    assert (head["subtotal"], head["credited"]) == ("60.00", "10.00")
    automatic.audited()


def test_until_the_end_of_the_grace_a_line_is_credited_on_the_draft(automatic: Ledger) -> None:
    automatic.apply(catalogue(TIERS % "0"))
    confirm(automatic, ("outcome-1", "10-02"), ("outcome-2", "10-03"), ("outcome-3", "10-04"))
    reverse(automatic, "outcome-1", "11-01T00:00:00.000")
    reverse(automatic, "outcome-3", "11-01T23:59:59.999", action="reverted")
    finish(automatic, issued=True)
    head = october(automatic)
    assert lines(automatic, head["id"]) == [
        ("outcome", "outcome-1", "10.00"),
        ("outcome", "outcome-2", "10.00"),
        ("outcome", "outcome-3", "1.00"),
        ("credit", "outcome-1", "-10.00"),
        ("credit", "outcome-3", "-1.00"),
    ]
    assert (head["total"], notes(automatic, head)) == ("10.00", [])
    assert [row["counted_unit"] for row in automatic.rows(head["id"])[:3]] == ["1", "1", "1"]
    automatic.audited()


def test_after_the_grace_one_credit_note_per_period_of_acceptance_is_issued_when_it_closes(automatic: Ledger) -> None:
    automatic.apply(catalogue())
    confirm(automatic, *((f"outcome-{number}", "10-02") for number in range(1, 5)))
    reverse(automatic, "outcome-1", "11-02T00:00:00.000")
    reverse(automatic, "outcome-2", "11-10T00:00:00")
    confirm(automatic, ("outcome-9", "11-20"))
    reverse(automatic, "outcome-3", "11-29T00:00:00")
    finish(automatic, issued=True)
    head = october(automatic)
    assert (head["total"], head["noted"], head["due"]) == ("40.00", "30.00", "10.00")
    [note] = notes(automatic, head)
    parts = ("credit_note", head["id"], "reversal", "2001-11-01T00:00:00.000Z")
    assert note["id"] == hashlib.sha256("\0".join(parts).encode()).hexdigest()
    assert [line["outcome_key"] for line in note["lines"]] == ["outcome-1", "outcome-2", "outcome-3"]
    assert note["issued_at"] < next(
        one["issued_at"] for one in automatic.invoices() if one["period_start"].startswith("2001-11")
    )
    automatic.audited()


def test_reversals_of_two_periods_make_two_notes_of_one_invoice(automatic: Ledger) -> None:
    automatic.apply(catalogue())
    confirm(automatic, ("outcome-1", "10-30"), ("outcome-2", "10-31"))
    reverse(automatic, "outcome-1", "11-20T00:00:00")
    reverse(automatic, "outcome-2", "12-20T00:00:00")
    finish(automatic, issued=True)
    head = october(automatic)
    found = notes(automatic, head)
    assert sorted((note["amount"], note["lines"][0]["outcome_key"]) for note in found) == [
        ("10.00", "outcome-1"),
        ("10.00", "outcome-2"),
    ]
    assert (head["status"], head["due"]) == ("paid", "0.00")
    automatic.audited()


def test_issued_by_hand_reversals_that_the_logs_had_reached_are_on_the_invoice(sharded: Ledger) -> None:
    sharded.apply(catalogue())
    confirm(sharded, *((f"outcome-{number}", "10-02") for number in range(1, 4)))
    reverse(sharded, "outcome-1", "11-28T00:00:00")  # far after any grace
    reverse(sharded, "outcome-2", "11-29T00:00:00")
    finish(sharded)
    draft = october(sharded)
    assert lines(sharded, draft["id"])[-1] == ("credit", "outcome-2", "-10.00")
    sharded.done("issue", draft["id"])
    head = october(sharded)
    assert (head["total"], notes(sharded, head)) == ("10.00", [])
    sharded.audited()


def test_a_missed_outcome_is_not_reversed_and_another_action_is_late(automatic: Ledger) -> None:
    automatic.apply(catalogue())
    automatic.confirm("outcome-1", "2001-10-02T12:00:00Z", action="other")
    confirm(automatic, ("outcome-2", "10-03"))
    reverse(automatic, "outcome-1", "10-05T00:00:00")
    reverse(automatic, "outcome-2", "10-06T00:00:00", action="done")
    reverse(automatic, "outcome-2", "12-02T12:00:00")  # the window ends at that instant
    finish(automatic, issued=True)
    assert Decimal(october(automatic)["total"]) == 10
    automatic.audited()


def test_an_explanation_shows_where_the_credit_is(automatic: Ledger) -> None:
    automatic.apply(catalogue())
    confirm(automatic, *((f"outcome-{number}", "10-02") for number in range(1, 5)))
    reverse(automatic, "outcome-1", "10-20T00:00:00")
    reverse(automatic, "outcome-2", "11-01T12:00:00")
    reverse(automatic, "outcome-3", "11-20T00:00:00")
    finish(automatic, issued=True)
    head = october(automatic)
    [note] = notes(automatic, head)
    found = [automatic.json("explain", f"outcome-{number}")["reversal"] for number in range(1, 5)]
    assert found[3] is None
    assert [one["bill"] for one in found[:3]] == [
        "A credit of 10.00 EUR on invoice INV-000001 offsets its line.",
        "A credit of 10.00 EUR on invoice INV-000001 offsets its line.",
        f"Credit note {note['number']} gives back 10.00 EUR.",
    ]
    credits_ = [one["credit"] for one in found[:3]]
    rows = [row["id"] for row in automatic.rows(head["id"]) if row["kind"] == "credit"]
    assert [one["credit_row"] for one in credits_] == [*rows, None]
    assert [one["note"] for one in credits_] == [None, None, note["id"]]
    assert {(one["invoice"], one["is_pending"]) for one in credits_} == {(head["id"], False)}


def test_an_explanation_shows_that_a_credit_note_follows(automatic: Ledger) -> None:
    automatic.apply(catalogue())
    confirm(automatic, ("outcome-1", "10-02"))
    reverse(automatic, "outcome-1", "11-20T00:00:00")
    for partition in range(automatic.partitions):
        automatic.tick(partition, "2001-11-21T00:00:00Z")
    automatic.close(issued=True)
    reversal = automatic.json("explain", "outcome-1")["reversal"]
    assert (reversal["credit"]["is_pending"], reversal["credit"]["amount"]) == (True, None)
    assert "with a credit note when the period of the reversal closes" in reversal["bill"]


def test_a_printed_sum_has_the_quantity_that_its_amount_is_for(automatic: Ledger) -> None:
    other = AGENT.replace('key = "support"', 'key = "flat"')
    entries = (
        '{ agent = "support", price_per_unit = "5", period_minimum = "1" }, { agent = "flat", price_per_unit = "7" }'
    )
    automatic.apply(catalogue(entries, agent=AGENT + other))
    work = [("outcome-1", "support"), ("outcome-2", "support"), ("outcome-3", "flat"), ("outcome-4", "flat")]
    for key, agent in work:
        automatic.confirm(key, "2001-10-02T12:00:00Z", 3, agent_key=agent)
    for key, agent in work[::2]:
        automatic.confirm(key, "2001-10-05T00:00:00Z", accepted_before=0, action="reopened", agent_key=agent)
    finish(automatic, issued=True)
    number = october(automatic)["number"]
    page = automatic.witnd("invoices", "export", number, "--format", "html", "--detail", "summary")
    shown = [row.text_content().split() for row in html.fromstring(page.stdout).xpath("//table[1]//tbody/tr")]
    # The line of `flat` that is rated at settlement keeps its amount, and a credit offsets it.
    assert [row[-3:] for row in shown if "outcomes" in row] == [["6", "7.00", "42.00"], ["3", "5.00", "15.00"]]


def test_a_reversal_is_on_a_draft_soon_though_the_logs_are_idle(sharded: Ledger) -> None:
    sharded.apply(catalogue())
    confirm(sharded, ("outcome-1", "10-02"), ("outcome-2", "10-02"))
    reverse(sharded, "outcome-1", "11-28T00:00:00")  # the last entry of its log
    with sharded.working():
        until(lambda: sharded.is_closed(issued=False) and not pending(sharded), "the reversal is credited")
        draft = october(sharded)
        sharded.done("issue", draft["id"])
    head = october(sharded)
    assert (head["total"], notes(sharded, head)) == ("10.00", [])
    assert lines(sharded, head["id"])[-1] == ("credit", "outcome-1", "-10.00")
    sharded.audited()


BILLER = "witn:{shared}:billing:owner"


def same_partition(key: str, partitions: int) -> str:
    """Another key of the same partition."""
    partition = crc32(key.encode()) % partitions
    return next(other for number in count(100) if crc32((other := f"held-{number}").encode()) % partitions == partition)


def on_hold(ledger: Ledger, key: str) -> None:
    """Damage the stored outcome, which the daemon notices at its next event."""
    ledger.call("SET", f"witn:{{{crc32(key.encode()) % ledger.partitions}}}:outcome:{key}", "xxxx")


def repair(ledger: Ledger, key: str) -> None:
    with ledger.working():
        assert ledger.json("repair", "outcome", key)["state"] == "repaired"


@pytest.mark.parametrize("entry", [FLAT, TIERS % "25"])
def test_a_reversal_that_waited_for_a_repair_until_its_period_closed_counts_at_the_repair(
    automatic: Ledger, entry: str
) -> None:
    automatic.apply(catalogue(entry))
    confirm(automatic, ("outcome-1", "10-02"))
    # Held, so that it has no deadline and the log stays in October; without its biller, the daemon appends no tick.
    automatic.confirm(same_partition("outcome-1", automatic.partitions), "2001-10-03T12:00:00Z", customer_key="unknown")
    automatic.call("SET", BILLER, "1:x:other", "PX", 600_000)
    automatic.work()
    automatic.call("DEL", BILLER)
    on_hold(automatic, "outcome-1")
    reverse(automatic, "outcome-1", "10-20T00:00:00")
    finish(automatic, issued=True)
    assert lines(automatic, october(automatic)["id"])[0] == ("outcome", "outcome-1", "10.00")
    repair(automatic, "outcome-1")
    explained = automatic.json("explain", "outcome-1")
    assert explained["reversal"]["accepted_at"] == "2001-10-20T00:00:00.000Z"
    assert explained["outcome"]["reversed_at"] > "2002"
    assert "so the reversal counts from the repair at 20" in explained["reversal"]["words"]
    assert explained["reversal"]["credit"]["is_pending"]
    automatic.audited()


def test_a_reversal_that_waited_with_its_outcome_counts_at_the_repair(automatic: Ledger) -> None:
    automatic.apply(catalogue())
    on_hold(automatic, "outcome-1")
    confirm(automatic, ("outcome-1", "10-02"), ("outcome-2", "10-03"))
    reverse(automatic, "outcome-1", "10-20T00:00:00")
    finish(automatic, issued=True)
    repair(automatic, "outcome-1")
    with automatic.working():
        until(lambda: len(automatic.invoices()) == 2 and not pending(automatic), "the line is credited")
    [head] = [one for one in automatic.invoices() if one["id"] != october(automatic)["id"]]
    assert lines(automatic, head["id"]) == [("outcome", "outcome-1", "10.00"), ("credit", "outcome-1", "-10.00")]
    automatic.audited()
