"""Electronic invoices of what the daemon bills (10.7): caps and commitments over several taxes, reversals, editions."""

import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.contract.ledger import Ledger
from tests.support.einvoice_rules import problems
from tests.support.processes import until
from witnd.store.keys import BillingKeys

CATALOGUE = """
[seller]
name = "Kontor GmbH"
city = "Hamburg"
country = "DE"
tax_id = "DE136695976"
iban = "DE89370400440532013000"

[[taxes]]
key = "vat"
rate = "19"
category = "S"

[[taxes]]
key = "reduced"
rate = "7"
category = "S"

[[taxes]]
key = "exempt"
rate = "0"
category = "E"
note = "Article 132"

[[customers]]
key = "acme"
rate_card = "card"
billing = { country = "FR", city = "Paris", tax = "vat", locale = "fr" }

[[agents]]
key = "a"
settlement_period = 1
attribution_method = "sum"
grades = [
  { key = "gold", condition = [{ fact = "done", operator = "seen" }, { fact = "gold", operator = "seen" }] },
  { key = "plain", condition = [{ fact = "done", operator = "seen" }] },
]
reversal = { window = 8640000, on = ["refunded"] }

[[agents]]
key = "b"
settlement_period = 1
attribution_method = "sum"
condition = [{ fact = "done", operator = "seen" }]

[[rate_cards]]
key = "card"
currency = "EUR"
fees = [{ key = "base", name = "Plateforme", amount = "10", tax = "exempt", starts = "2001-10-01" }]
commitment = { COMMITMENT, starts = "2001-10-01" }
entries = [
  { agent = "a", price_per_unit = "3.335", free_quota = "1", period_cap = "9.99", tax = "reduced" },
  { agent = "b", price_per_unit = "0.125", period_minimum = "40" },
]
"""


def export(ledger: Ledger, name: str, form: str) -> bytes:
    file = Path(ledger.directory) / f"file.{form}"
    done = ledger.witnd("invoices", "export", name, "--format", form, "--output", str(file))
    assert done.exit_code == 0, done.output
    return file.read_bytes()


def amounts(xml: bytes, name: str) -> list[Decimal]:
    return [Decimal(text) for text in re.findall(rf"<ram:{name}[^>]*>([^<]+)<", xml.decode())]


def checked(ledger: Ledger, name: str) -> bytes:
    """The CII of a document, after the rules accept both files of it."""
    found = {kind: export(ledger, name, form) for kind, form in (("cii", "xml"), ("ubl", "ubl"))}
    for kind, document in found.items():
        assert problems(kind, document) == [], name
    *lines, last = amounts(found["cii"], "LineTotalAmount")
    assert sum(lines) == last
    return found["cii"]


@pytest.mark.parametrize(
    ("commitment", "kind"),
    [('period_cap = "30.01"', "commitment_cap"), ('period_minimum = "100"', "commitment")],
)
def test_what_the_daemon_bills_passes_the_rules(ledger: Ledger, commitment: str, kind: str) -> None:
    ledger.apply(CATALOGUE.replace("COMMITMENT", commitment))
    # From November on, nothing recurring is due.
    ledger.apply_at(re.sub(r"^(fees|commitment) = .*\n", "", CATALOGUE, flags=re.MULTILINE), "2001-11-01T00:00:00Z")
    for number in range(5):
        ledger.confirm(f"outcome-a{number}", f"2001-10-1{number}T12:00:00Z", agent_key="a")
        ledger.confirm(f"outcome-b{number}", f"2001-10-1{number}T13:00:00Z", agent_key="b")
    heads = [one for one in ledger.close(charged=True) if one["period_start"].startswith("2001-10")]
    [head] = heads
    rows: Sequence[dict[str, Any]] = ledger.rows(head["id"])
    assert {"cap", "minimum", "recurring", kind} <= {row["kind"] for row in rows}
    minimum = next(row for row in rows if row["kind"] == "minimum")
    ledger.done("credit", "--invoice", head["id"], "--row", f"{minimum['id']}=5.55", "--reason", "late")
    if kind == "commitment":
        committed = next(row for row in rows if row["kind"] == kind)
        ledger.done("credit", "--invoice", head["id"], "--row", f"{committed['id']}=7.77", "--reason", "agreed")
    ledger.done("issue", head["id"])
    issued = ledger.json("invoices", "show", head["id"])["invoice"]
    xml = checked(ledger, issued["number"])
    assert amounts(xml, "GrandTotalAmount") == [Decimal(issued["total"])]
    assert amounts(xml, "TaxTotalAmount") == [Decimal(issued["tax"])]
    assert {"19", "7", "0"} == {format(rate, "f") for rate in amounts(xml, "RateApplicablePercent")}

    # The next edition has the same rows, and the note that cancels the first one has its taxes.
    ledger.done("revise", issued["number"], "--reason", "wrong address")
    note = ledger.json("invoices", "notes")["data"][0]
    assert amounts(checked(ledger, note["number"]), "GrandTotalAmount") == [Decimal(issued["total"])]
    [draft] = [one for one in ledger.invoices() if one["revises"] == head["id"]]
    ledger.done("issue", draft["id"])
    second = ledger.json("invoices", "show", draft["id"])["invoice"]
    assert amounts(checked(ledger, second["number"]), "GrandTotalAmount") == [Decimal(issued["total"])]
    assert b"Remplace la facture" in export(ledger, second["number"], "xml")

    # A part of a commitment, after issue.
    if kind == "commitment":
        ledger.done("credit", "--invoice", draft["id"], "--row", f"{committed['id']}=3.33", "--reason", "agreed")
        note = ledger.json("invoices", "notes")["data"][0]
        assert amounts(checked(ledger, note["number"]), "GrandTotalAmount") == [Decimal(note["total"])]
    ledger.audited()


def test_the_daemon_stores_the_documents_of_what_it_issues(ledger: Ledger) -> None:
    ledger.set(issue="auto", grace="0")
    ledger.apply(re.sub(r"^(fees|commitment) = .*\n", "", CATALOGUE, flags=re.MULTILINE))
    ledger.confirm("outcome-b1", "2001-10-11T12:00:00Z", agent_key="b")

    def stored() -> list[bytes]:
        with ledger.server.sync() as client:
            return sorted(kind for key in client.keys(BillingKeys("witn").documents("*")) for kind in client.hkeys(key))

    with ledger.working():
        until(lambda: stored() == [b"cii", b"json", b"ubl"], "the documents are stored")
    [head] = ledger.invoices()
    assert amounts(checked(ledger, head["number"]), "GrandTotalAmount") == [Decimal(head["total"])]
