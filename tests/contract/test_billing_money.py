"""From draft to paid, void and credited: numbers, balances and sums over several periods. Amounts by hand."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.contract.ledger import ANYBODY, Ledger, ms
from tests.support.processes import until


@pytest.fixture
def three(ledger: Ledger) -> list[str]:
    """Closed drafts of three days, over 30.00 (10.00 and 20.00), 5.00 and 30.00; answers their ids."""
    ledger.set(period="day")
    ledger.apply(ANYBODY)
    ledger.confirm("outcome-1", "2001-09-10T12:00:00Z", 10)
    ledger.confirm("outcome-2", "2001-09-10T12:00:00Z", 20)
    ledger.confirm("outcome-3", "2001-09-11T12:00:00Z", 5)
    ledger.confirm("outcome-4", "2001-09-12T12:00:00Z", 30)
    found = ledger.close()
    assert [one["subtotal"] for one in found] == ["30.00", "5.00", "30.00"]
    return [one["id"] for one in found]


def sums(one: dict[str, Any]) -> tuple[str, ...]:
    return tuple(one[name] for name in ("subtotal", "credited", "balance_used", "total", "noted", "due"))


def head(ledger: Ledger, id_: str) -> dict[str, Any]:
    return ledger.json("invoices", "show", id_)["invoice"]


def issued(ledger: Ledger, id_: str) -> dict[str, Any]:
    [acted] = ledger.done("issue", id_)["data"]
    assert acted["result"] == "done"
    return acted["invoice"]


def test_credit_after_payment_is_carried_over_until_it_is_used_up(ledger: Ledger, three: list[str]) -> None:
    first, second, third = three
    assert issued(ledger, first)["number"] == "INV-000001"
    assert ledger.done("pay", "INV-000001")["result"] == "done"
    ledger.audited()
    note = ledger.done("credit", "outcome-1", "--reason", "did not hold")
    assert (note["credit_note"]["number"], note["credit_note"]["amount"], note["balance"]) == (
        "CN-000001", "10.00", "10.00",
    )  # fmt: skip
    assert (note["line"]["amount"], note["line"]["corrects"]) == ("-10.00", ledger.rows(first)[0]["id"])
    assert ledger.done("credit", "outcome-2", "--amount", "2.50", "--reason", "late")["balance"] == "12.50"
    assert sums(head(ledger, first)) == ("30.00", "0.00", "0.00", "30.00", "12.50", "0.00")
    ledger.audited()
    # 5.00 of it pays the second one, 7.50 the third one.
    assert sums(issued(ledger, second)) == ("5.00", "0.00", "5.00", "5.00", "0.00", "0.00")
    assert ledger.balance(second) == "7.50"
    assert sums(issued(ledger, third)) == ("30.00", "0.00", "7.50", "30.00", "0.00", "22.50")
    assert ledger.balance(third) == "0.00"
    ledger.audited()
    # Voiding gives back what credit paid, and a note over an invoice that credit paid is credit again.
    assert ledger.done("void", third, "--reason", "wrong company", "--yes")["result"] == "done"
    assert ledger.balance(third) == "7.50"
    assert ledger.done("credit", "outcome-3", "--reason", "too")["balance"] == "12.50"
    assert ledger.done("pay", second)["invoice"]["status"] == "paid"
    ledger.audited()
    assert [one["status"] for one in ledger.invoices()] == ["paid", "paid", "void"]


def test_a_credited_draft_asks_for_less_and_carries_nothing(ledger: Ledger, three: list[str]) -> None:
    first, second, _ = three
    ledger.done("credit", "outcome-2", "--amount", "19.99", "--reason", "half")
    ledger.done("credit", "outcome-2", "--reason", "and the rest")
    assert [amount for kind, amount in ledger.amounts(first) if kind == "credit"] == ["-19.99", "-0.01"]
    ledger.done("credit", "outcome-3", "--reason", "all of it")
    ledger.audited()
    assert sums(issued(ledger, first)) == ("30.00", "20.00", "0.00", "10.00", "0.00", "10.00")
    assert sums(issued(ledger, second)) == ("5.00", "5.00", "0.00", "0.00", "0.00", "0.00")
    assert "nothing of" in ledger.refused("invoices", "credit", "outcome-2", "--reason", "again")
    note = ledger.done("credit", "outcome-1", "--reason", "too")
    assert (note["balance"], note["invoice"]["status"], note["credit_note"]["applied"]) == ("0.00", "paid", "10.00")
    assert "nothing of" in ledger.refused("invoices", "credit", "outcome-1", "--reason", "again")
    ledger.audited()


def test_numbers_have_no_gaps_whatever_is_refused_voided_or_done_at_once(ledger: Ledger, three: list[str]) -> None:
    first, second, third = three
    ledger.refused("invoices", "issue", "f" * 64)
    ledger.refused("invoices", "void", first, "--yes", "--reason", "it is a draft")
    command = [sys.executable, "-c", "from witnd.cli.main import main; main()", "invoices", "issue", "--all-closed"]
    running = [
        subprocess.Popen([*command, "--json"], env=os.environ | ledger.environ, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    results = [json.loads(one.communicate(timeout=50)[0])["data"] for one in running]
    assert [one.returncode for one in running] == [0, 0, 0]
    assert sum(one["result"] == "done" for acted in results for one in acted) == 3
    assert [one["number"] for one in ledger.invoices()] == ["INV-000001", "INV-000002", "INV-000003"]
    assert [one["id"] for one in ledger.invoices()] == [first, second, third]
    ledger.audited()


def test_every_command_given_twice_does_it_once(ledger: Ledger, three: list[str]) -> None:
    first, second, third = three

    def everything() -> list[dict[str, Any]]:
        return [ledger.json("invoices", "show", id_) for id_ in three]

    def twice(*arguments: str) -> None:
        ledger.done(*arguments)
        before = everything()
        ledger.done(*arguments)
        assert everything() == before, arguments

    twice("issue", first)
    twice("issue", second, third)
    twice("credit", "outcome-1", "--amount", "1.00", "--reason", "r", "--id", "refund-1")
    twice("credit", "outcome-1", "--amount", "1.00", "--reason", "r", "--id", "refund-2")
    twice("credit", "outcome-2", "--reason", "r", "--id", "refund-1")
    twice("pay", first)
    twice("void", second, "--reason", "r", "--yes")
    before = everything()
    assert ledger.done("issue", "--all-closed") == {"data": []}
    ledger.close(issued=True)
    assert everything() == before
    assert [one["number"] for one in ledger.json("invoices", "notes")["data"]] == [
        "CN-000003",
        "CN-000002",
        "CN-000001",
    ]
    ledger.audited()


def test_the_schedule_issues_what_was_not_issued_by_hand_and_by_the_same_numbers(
    ledger: Ledger, three: list[str]
) -> None:
    issued(ledger, three[1])
    ledger.set(issue="auto")
    found = ledger.close(issued=True)
    assert [one["number"] for one in found] == ["INV-000002", "INV-000001", "INV-000003"]
    ledger.audited()


@pytest.mark.parametrize(("zero", "statuses"), [("true", ["paid", "issued"]), ("false", ["draft", "issued"])])
def test_invoices_over_nothing_are_issued_by_schedule_where_that_is_wanted(
    ledger: Ledger, zero: str, statuses: list[str]
) -> None:
    ledger.set(period="day", issue="auto", zero_invoices=zero)
    ledger.apply(ANYBODY)
    ledger.confirm("outcome-1", "2001-09-10T12:00:00Z", 0)
    ledger.confirm("outcome-2", "2001-09-11T12:00:00Z", 1)

    def over() -> bool:
        return [one["status"] for one in ledger.invoices()] == statuses

    with ledger.working():
        until(over, "what is wanted is issued")
    ledger.audited()
    # By hand it is issued in any case.
    acted = ledger.done("issue", ledger.invoices()[0]["id"])["data"][0]
    assert (acted["invoice"]["status"], acted["invoice"]["total"]) == ("paid", "0.00")
    assert ledger.done("pay", acted["invoice"]["id"])["invoice"]["status"] == "paid"
    ledger.audited()


def test_credit_is_kept_apart_by_customer_and_currency(ledger: Ledger) -> None:
    ledger.set(period="day")
    text = ANYBODY + '\n[[customers]]\nkey = "Zoë:€ {x}"\nrate_card = "yen"\n'
    text += (
        '\n[[rate_cards]]\nkey = "yen"\ncurrency = "JPY"\nentries = [{ agent = "support", price_per_unit = "10" }]\n'
    )
    ledger.apply(text)
    for day in (10, 11):
        ledger.confirm(f"outcome-e{day}", f"2001-09-{day}T12:00:00Z", 3)
        ledger.confirm(f"outcome-y{day}", f"2001-09-{day}T12:00:00Z", 7, customer_key="Zoë:€ {x}")
    ledger.close()
    assert len(ledger.done("issue", "--all-closed")["data"]) == 4
    assert "digits" in ledger.refused("invoices", "credit", "outcome-y10", "--amount", "1.5", "--reason", "r")
    [mine] = ledger.invoices("--customer", "Zoë:€ {x}", "--period", "2001-09-10")
    ledger.done("pay", mine["id"])
    assert ledger.done("credit", "outcome-y10", "--amount", "15", "--reason", "Grüße – 謝罪")["balance"] == "15"
    assert {one["balance_used"] for one in ledger.invoices()} == {"0", "0.00"}
    assert ledger.done("balance", "Zoë:€ {x}") == {"data": [{"currency": "JPY", "balance": "15"}]}
    assert ledger.done("balance", "acme") == {"data": []}
    [mine] = ledger.invoices("--customer", "Zoë:€ {x}", "--period", "2001-09-10")
    assert (mine["noted"], mine["total"]) == ("15", "70")
    assert ledger.json("invoices", "notes", "--customer", "Zoë:€ {x}")["data"][0]["reason"] == "Grüße – 謝罪"
    ledger.audited()


def test_periods_can_be_named_by_year_month_day_and_instant(ledger: Ledger, three: list[str]) -> None:
    for period, found in (("2001", 3), ("2001-09", 3), ("2001-09-11", 1), ("2001-09-11T23:59:59.999Z", 1),
                          ("2001-09-13T00:00:00Z", 0), ("2001-09-09T23:59:59.999Z", 0), ("2002", 0)):  # fmt: skip
        assert len(ledger.invoices("--period", period)) == found, period
    assert ms(ledger.invoices()[0]["period_end"]) == ms("2001-09-11T00:00:00Z")
    assert three == [one["id"] for one in ledger.invoices("--status", "draft", "--currency", "EUR")]
