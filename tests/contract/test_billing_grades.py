"""Grades and timers (11.1, 11.2) on invoices: events through the daemon, with the bill that the contract promises."""

from tests.contract.ledger import Ledger

GRADES = """
[[agents]]
key = "support"
settlement_period = 1
attribution_method = "sum"
grades = [
  { key = "confirmed", name = "Confirmed by the customer", condition = [{ fact = "thanked", operator = "seen" }] },
  { key = "assumed", condition = [
    { fact = "done", operator = "seen" }, { fact = "handed_over", operator = "not seen" },
  ] },
  { key = "partial", condition = [{ fact = "answered", operator = "seen" }, { fact = "done", operator = "not seen" }] },
]
"""
CUSTOMER = '[[customers]]\nkey = "acme"\nrate_card = "card"\n'


def catalogue(*entries: str, agent: str = GRADES) -> str:
    card = f'[[rate_cards]]\nkey = "card"\ncurrency = "EUR"\nentries = [{", ".join(entries)}]\n'
    return f"{agent}\n{card}\n{CUSTOMER}"


def send(ledger: Ledger, key: str, day: str, *actions: str) -> None:
    """The events of one outcome, within its settlement period."""
    for place, action in enumerate(actions):
        ledger.confirm(key, f"2001-{day}T12:00:00Z", accepted_before=1000 - place, action=action)


def rows(ledger: Ledger) -> list[tuple[str, str | None, str]]:
    """Kind, grade and amount of all rows, after everything is closed and audited."""
    found = [row for head in ledger.close() for row in ledger.rows(head["id"])]
    ledger.audited()
    return sorted((row["kind"], row["grade"], row["amount"]) for row in found)


def test_a_resolution_that_the_customer_confirmed_costs_more_than_one_that_is_assumed(sharded: Ledger) -> None:
    sharded.apply(
        catalogue(
            '{ agent = "support", grade = "confirmed", price_per_unit = "0.99" }',
            '{ agent = "support", price_per_unit = "0.50" }',
        )
    )
    send(sharded, "ticket-1", "10-02", "done", "thanked")
    send(sharded, "ticket-2", "10-03", "done")
    send(sharded, "ticket-3", "10-04", "done", "handed_over")  # no grade is true: missed
    send(sharded, "ticket-4", "10-05", "answered")
    assert rows(sharded) == [
        ("outcome", "assumed", "0.50"),
        ("outcome", "confirmed", "0.99"),
        ("outcome", "partial", "0.50"),
    ]


def test_one_entry_without_a_grade_has_one_minimum_for_all_grades(sharded: Ledger) -> None:
    """The worked example (c) of section 10.1."""
    sharded.apply(catalogue('{ agent = "support", price_per_unit = "1", period_minimum = "500" }'))
    send(sharded, "ticket-1", "10-02", "done", "thanked")
    send(sharded, "ticket-2", "10-03", "done")
    send(sharded, "ticket-4", "10-05", "answered")
    found = rows(sharded)
    assert [row for row in found if row[0] == "minimum"] == [("minimum", None, "497.00")]
    assert len(found) == 4
    assert [head["subtotal"] for head in sharded.invoices()] == ["500.00"]


def test_an_entry_with_a_grade_is_a_group_of_its_own(sharded: Ledger) -> None:
    sharded.apply(
        catalogue(
            '{ agent = "support", grade = "confirmed", price_per_unit = "1", period_minimum = "10" }',
            '{ agent = "support", price_per_unit = "1", period_cap = "1" }',
        )
    )
    send(sharded, "ticket-1", "10-02", "done", "thanked")
    send(sharded, "ticket-2", "10-03", "done")
    send(sharded, "ticket-4", "10-05", "answered")
    assert [row for row in rows(sharded) if row[0] != "outcome"] == [("cap", None, "-1.00"), ("minimum", None, "9.00")]
    assert [head["subtotal"] for head in sharded.invoices()] == ["11.00"]


def test_open_outcomes_keep_a_grade_that_a_later_version_drops(sharded: Ledger) -> None:
    slow = GRADES.replace("settlement_period = 1\n", "settlement_period = 259200\n")
    sharded.apply(catalogue('{ agent = "support", price_per_unit = "2" }', agent=slow))
    only = '[[agents]]\nkey = "support"\ncondition = [{ fact = "never", operator = "seen" }]\n'
    sharded.apply_at(catalogue('{ agent = "support", price_per_unit = "3" }', agent=only), "2001-10-03T00:00:00Z")
    send(sharded, "ticket-1", "10-02", "done", "thanked")
    assert rows(sharded) == [("outcome", "confirmed", "2.00")]


def test_a_timer_decides_in_which_period_an_outcome_is_billed(sharded: Ledger) -> None:
    timed = '[[agents]]\nkey = "support"\nsettlement_period = 259200\ntimers = { replied = 86400, noted = "keep" }\n'
    timed += 'condition = [{ fact = "done", operator = "seen" }]\n'
    sharded.apply(catalogue('{ agent = "support", price_per_unit = "1" }', agent=timed))
    sharded.confirm("ticket-2", "2001-10-30T12:00:00Z")
    for place, action in enumerate(("done", "replied", "noted")):
        sharded.confirm("ticket-1", "2001-10-30T12:00:00Z", accepted_before=-place, action=action)
    found = {head["period_start"][:7]: head["lines"] for head in sharded.close()}
    sharded.audited()
    assert found == {"2001-10": 1, "2001-11": 1}
