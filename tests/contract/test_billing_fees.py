"""Recurring fees and commitments (10.2): the worked examples, through commands and the daemon."""

import json
from typing import Any

from msgspec.structs import replace

from tests.contract.ledger import Ledger, toml
from witnd.store.invoices.codec import decode_row, encode_row
from witnd.store.keys import BillingKeys

GONE = "2001-12-01T00:00:00Z"


def catalogue(card: str = "", customer: str = "") -> str:
    """One customer on one card, with more fields of each."""
    text = toml(["a"], {"card": ("EUR", ['{ agent = "a", price_per_unit = "1" }'])}, {})
    return f'{text}{card}\n[[customers]]\nkey = "acme"\nrate_card = "card"\n{customer}'


def begin(ledger: Ledger, first: str, **later: str) -> None:
    """Apply catalogues, each from a day of 2001 on, such as `d1116`. In December there are no fees."""
    ledger.apply(first)
    for day, text in later.items():
        ledger.apply_at(text, f"2001-{day[1:3]}-{day[3:5]}T12:00:00Z")
    ledger.apply_at(catalogue(), GONE)


def closed(ledger: Ledger, *, charged: bool = True) -> dict[str, list[tuple[str, str, str]]]:
    """Name, amount and kind of the rows of each month, after everything is closed and audited."""
    found = {}
    for head in ledger.close(charged=charged):
        rows = ledger.rows(head["id"])
        found[head["period_start"][:7]] = [(row["kind"], row["amount"], words(row)) for row in rows]
    ledger.audited()
    return found


def words(row: dict[str, Any]) -> str:
    return (row["working"] or {}).get("name") or row["outcome_key"] or ""


def test_a_minimum_commitment_without_usage_makes_an_invoice(sharded: Ledger) -> None:
    begin(sharded, catalogue('commitment = { period_minimum = "500", starts = "2001-10-10" }'))
    assert closed(sharded) == {
        "2001-10": [("commitment", "500.00", "")],
        "2001-11": [("commitment", "500.00", "")],
    }
    # Another daemon continues after the last period.
    before = sharded.invoices()
    assert sharded.close(charged=True) == before


def test_a_customers_fee_replaces_that_of_the_card(sharded: Ledger) -> None:
    fees = 'fees = [{ key = "base", name = "Platform", amount = "%s", starts = "2001-11-01" }%s]'
    other = ', { key = "seat", amount = "7.5", starts = "2001-11-30" }'
    begin(sharded, catalogue(fees % ("100", other), fees.replace("Platform", "Own") % ("80", "")))
    sharded.confirm("outcome-1", "2001-11-15T12:00:00Z", agent_key="a")
    assert closed(sharded) == {
        "2001-11": [("outcome", "1.00", "outcome-1"), ("recurring", "80.00", "Own"), ("recurring", "7.50", "seat")]
    }


def test_a_prorated_fee_that_changes_in_the_middle_of_a_month(sharded: Ledger) -> None:
    fee = 'fees = [{ key = "base", amount = "%s", starts = "2001-11-06", prorate = true }]'
    begin(sharded, catalogue(fee % "100"), d1116=catalogue(fee % "200"))
    sharded.confirm("outcome-1", "2001-10-15T12:00:00Z", agent_key="a")
    # 10 of 30 days at 100 and 15 at 200.
    assert closed(sharded) == {
        "2001-10": [("outcome", "1.00", "outcome-1")],
        "2001-11": [("recurring", "133.33", "base")],
    }


def test_a_cap_reduces_the_outcomes_and_not_the_fees(sharded: Ledger) -> None:
    fee = 'fees = [{ key = "base", amount = "10", starts = "2001-11-01" }]'
    begin(sharded, catalogue(f'{fee}\ncommitment = {{ period_cap = "1.5", starts = "2001-11-01" }}'))
    for number in range(2):
        sharded.confirm(f"outcome-{number}", f"2001-11-15T12:00:0{number}Z", agent_key="a")
    assert closed(sharded)["2001-11"] == [
        ("outcome", "1.00", "outcome-0"),
        ("outcome", "1.00", "outcome-1"),
        ("recurring", "10.00", "base"),
        ("commitment_cap", "-0.50", ""),
    ]


def test_terms_without_a_start_charge_nothing_for_the_days_before_they_were_written(sharded: Ledger) -> None:
    begin(sharded, catalogue('fees = [{ key = "base", amount = "10" }]\ncommitment = { period_minimum = "5" }'))
    sharded.confirm("outcome-1", "2001-11-15T12:00:00Z", agent_key="a")
    assert closed(sharded, charged=False) == {"2001-11": [("outcome", "1.00", "outcome-1")]}


def test_an_archived_customer_pays_no_fee(sharded: Ledger) -> None:
    fee = 'fees = [{ key = "base", amount = "10", starts = "2001-10-01" }]'
    begin(sharded, catalogue(fee), d1130=catalogue(fee, "archived = true"))
    assert closed(sharded) == {"2001-10": [("recurring", "10.00", "base")]}


def test_all_mistakes_of_fees_and_commitments_are_reported_at_once(ledger: Ledger) -> None:
    fees = """fees = [
    { key = "base", amount = "-1" },
    { key = "base", amount = "1.001", starts = "2026-02-30" },
    { amount = "1", prorate = "yes" },
    { key = "late", amount = 5, starts = "soon" },
]
commitment = { period_minimum = "10", period_cap = "9.999" }"""
    (ledger.directory / "wrong.toml").write_text(catalogue(fees))
    result = ledger.witnd("check", "wrong.toml")
    assert result.exit_code == 2
    for mistake in (
        'fees[0].amount: "-1" must not be negative; write 0 for something free',
        'fees[1].key: must not be repeated, got "base" again; keep one fee per key',
        "fees[1].amount: has 3 digits after the point, and the currency has 2; write an amount that can be billed",
        'fees[1].starts: is "2026-02-30", which is not a date; write one such as "2026-11-30"',
        "fees[2].key: is missing; write text of 1 to 255 characters",
        'fees[2].prorate: is "yes"; write true or false without quotes',
        'fees[3].amount: is 5; write it as a string, such as "49.00"',
        'fees[3].starts: is "soon", which is not a date; write one such as "2026-11-30"',
        "commitment.period_cap: must be at least 10, the value of period_minimum",
    ):
        assert f"rate_cards[0].{mistake}" in result.output


BASE = """fees = [{ key = "base", amount = "10", starts = "2001-11-01" }]
commitment = { period_minimum = "5", starts = "2001-11-01" }"""


def differences(ledger: Ledger) -> str:
    report = ledger.witnd("audit", "--json")
    assert report.exit_code != 0, report.output
    return json.dumps(json.loads(report.stdout)["differences"])


def test_the_audit_finds_a_changed_row_a_missing_one_and_a_missing_invoice(ledger: Ledger) -> None:
    begin(ledger, catalogue(BASE))
    assert closed(ledger) == {"2001-11": [("recurring", "10.00", "base"), ("commitment", "5.00", "")]}
    [head] = ledger.invoices()
    keys = BillingKeys("witn")
    stored = keys.lines(head["id"])
    with ledger.server.sync() as client:
        fee, commitment = client.lrange(stored, 0, -1)
        client.lset(stored, 0, encode_row(replace(decode_row(fee), amount="11.00")))
        assert "recurring of 11.00" in differences(ledger)
        client.lset(stored, 0, fee)
        client.rpop(stored)
        assert "commitment of 5.00" in differences(ledger)
        client.rpush(stored, commitment)
        ledger.audited()
        client.delete(keys.invoice(head["id"]))
        client.zrem(keys.invoices, head["id"])
        client.delete(stored)
    assert "one: a fee or commitment is due" in differences(ledger)


def test_a_fee_can_be_credited_and_exported(ledger: Ledger) -> None:
    begin(ledger, catalogue(BASE))
    closed(ledger)
    [head] = ledger.invoices()
    row = ledger.rows(head["id"])[0]
    assert (row["agent_key"], row["price_hash"], row["rate_card"]) == (None, None, "card")
    assert row["working"] == {"kind": "recurring", "fee": "base", "name": "base", "exact": "10", "rounded": "10.00"}
    shown = ledger.witnd("invoices", "show", head["id"]).output
    assert "10 for the period" in shown
    assert "0.00 is less than 5: 5.00" in shown or "0 is less than 5: 5.00" in shown
    ledger.done(
        "credit", "--invoice", head["id"], "--row", row["id"], "--amount", "2", "--reason", "a day without service"
    )
    assert ledger.amounts(head["id"])[-1] == ("credit", "-2.00")
    for shape, text in {"csv": "recurring", "jsonl": '"kind":"commitment"', "html": "Fees and commitment"}.items():
        assert text in ledger.witnd("invoices", "export", head["id"], "--format", shape).output, shape
    ledger.audited()


def test_a_fee_reaches_stripe_by_its_name(ledger: Ledger) -> None:
    begin(ledger, catalogue(BASE.replace('"base"', '"base", name = "Platform"')))
    closed(ledger)
    [head] = ledger.invoices()
    ledger.done("issue", head["id"])
    (ledger.directory / "customers.csv").write_text("acme,cus_Q4rT8vXkLm2N\n")
    given = ("--format", "stripe", "--stripe-customers", "customers.csv")
    items = [
        json.loads(line)["invoice_item"]
        for line in ledger.witnd("invoices", "export", head["id"], *given).stdout.splitlines()
    ]
    assert [(item["description"], item["amount"]) for item in items] == [("Platform", 1000), ("Commitment", 500)]


def test_own_amounts_are_in_the_currency_of_the_card(ledger: Ledger) -> None:
    ledger.apply(catalogue())
    own = 'fees = [{ key = "base", amount = "1.005" }]\ncommitment = { period_minimum = "0.0001" }'
    (ledger.directory / "finer.toml").write_text(catalogue(customer=own))
    refused = ledger.refused("apply", "finer.toml")
    for path, digits in (("fees[base].amount", 3), ("commitment.period_minimum", 4)):
        assert f"customers[0].{path}: has {digits} digits after the point, and EUR has 2" in refused
    ledger.apply(catalogue(customer='fees = [{ key = "base", amount = "1" }]'))
    (ledger.directory / "moved.toml").write_text(
        catalogue(customer='fees = [{ key = "base", amount = "1" }]').replace("EUR", "JPY")
    )
    assert 'own prices for fee "base" are in EUR' in ledger.refused("apply", "moved.toml")
    (ledger.directory / "alone.toml").write_text(
        '[[customers]]\nkey = "new"\nfees = [{ key = "base", amount = "1" }]\n'
    )
    assert "rate_card: is missing" in ledger.refused("check", "alone.toml")


def test_the_exported_file_is_the_applied_one(ledger: Ledger) -> None:
    ledger.apply(
        catalogue('fees = [{ key = "base", amount = "10.50" }]\ncommitment = { period_cap = "5", prorate = true }')
    )
    (ledger.directory / "again.toml").write_text(ledger.witnd("export").output)
    assert "starts" not in (ledger.directory / "again.toml").read_text()
    assert "unchanged" in ledger.witnd("apply", "again.toml").output
