"""What is stored keeps its meaning when the table of currencies changes."""

import json
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.deployment import Deployment
from tests.support.processes import until
from tests.support.server import Server
from witnd.store.keys import BillingKeys, GlobalKeys

KEYS = BillingKeys("witn")
CATALOGUE = """
customers = [
  { key = "lund", rate_card = "krona" },
  { key = "paris", rate_card = "euro", entries = [{ agent = "tiered", price_per_unit = "0.125" }] },
  { key = "osaka", rate_card = "yen" },
]
agents = [
  { key = "support", settlement_period = 1, condition = [{ fact = "resolved", operator = "seen" }] },
  { key = "tiered", settlement_period = 1, condition = [{ fact = "resolved", operator = "seen" }] },
]
[[rate_cards]]
key = "krona"
currency = "SEK"
entries = [
  { agent = "support", price_per_unit = "1.005" },
  { agent = "tiered", kind = "graduated", tiers = [{ price_per_unit = "2.0049" }], period_minimum = "5.005" },
]
[[rate_cards]]
key = "euro"
currency = "EUR"
entries = [{ agent = "support", price_per_unit = "1.0055" }, { agent = "tiered", price_per_unit = "1" }]
[[rate_cards]]
key = "yen"
currency = "JPY"
entries = [{ agent = "support", price_per_unit = "10.5" }, { agent = "tiered", price_per_unit = "1" }]
"""
CUSTOMERS = ("lund", "paris", "osaka")


@pytest.fixture
def deployment(session_server: Server, redis_url: str, short_dir: Path) -> Deployment:
    """A server on which three customers got invoices and one a credit note, under the table of today."""
    deployment = Deployment(session_server, short_dir)
    deployment.apply(CATALOGUE)
    for number, customer in enumerate(CUSTOMERS):
        for agent in ("support", "tiered"):
            deployment.event(f"{customer}-{agent}-1", "resolved", 1000 * number, customer_key=customer, agent_key=agent)
    deployment.work(lambda client: client.zcard(KEYS.invoices) == 3 and not client.exists(KEYS.open, KEYS.to_issue))
    deployment.json("invoices", "credit", "lund-support-1", "--amount", "0.40", "--reason", "slow")
    return deployment


@pytest.fixture
def later(deployment: Deployment, daemon: Callable[..., Daemon]) -> Daemon:
    """The daemon of a later version and its commands, beside the changed table of currencies."""
    one = daemon(deployment.server, module="tests.support.other_currencies")
    one.says("daemon.ready")
    return one


COMMANDS = [
    ("audit", "--json"),
    ("export",),
    ("explain", "lund-support-1", "--json"),
    ("explain", "lund-tiered-1"),
    ("explain", "paris-tiered-1", "--json"),
    ("invoices", "list", "--json"),
    ("invoices", "show", "INV-000001"),
    ("invoices", "show", "INV-000003", "--json"),
    ("invoices", "notes"),
    ("invoices", "export", "--period", "2001-09", "--format", "csv"),
    ("invoices", "export", "--period", "2001-09", "--format", "jsonl"),
    ("invoices", "export", "INV-000001", "--format", "html", "--output", "-"),
    ("rate-cards", "krona"),
    ("rate-cards", "yen", "--json"),
    ("rate", "krona", "support", "3"),
    ("rate", "support", "3", "--customer", "osaka"),
]


def said(done: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    return done.returncode, done.stdout


def test_a_currency_that_is_gone_and_digits_that_changed_leave_all_that_is_stored_as_it_was(
    deployment: Deployment, later: Daemon
) -> None:
    before = {words: deployment.witnd(*words) for words in COMMANDS}
    assert {words: done.output for words, done in before.items() if done.exit_code} == {}
    for words, done in before.items():
        assert said(later.witnd(*words)) == (0, done.stdout), words


def test_outcomes_that_open_under_a_stored_price_are_billed_with_its_digits(
    deployment: Deployment, later: Daemon
) -> None:
    for customer in CUSTOMERS:
        deployment.event(f"{customer}-support-2", "resolved", customer_key=customer, at="*")
    until(lambda: deployment.call("ZCARD", KEYS.open) == 3, "a draft of each customer")
    amounts = {}
    for customer in CUSTOMERS:
        document = json.loads(later.witnd("explain", f"{customer}-support-2", "--json").stdout)
        amounts[customer] = document["line"]["amount"]
    assert amounts == {"lund": "1.01", "paris": "1.01", "osaka": "11"}
    audit = json.loads(later.witnd("audit", "--json").stdout)
    assert audit["clean"]
    assert {one["currency"]: one["amount"] for one in audit["billed"]} == {"SEK": "2.02", "EUR": "2.15", "JPY": "23"}


def test_a_card_in_a_currency_that_is_gone_can_be_changed_and_a_new_one_in_it_is_refused(
    deployment: Deployment, later: Daemon, tmp_path: Path
) -> None:

    def apply(text: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "later.toml"
        file.write_text(text)
        return later.witnd("apply", str(file))

    same = apply(CATALOGUE)
    assert (same.returncode, same.stdout.splitlines()[-1]) == (0, "no changes")
    assert said(apply(later.witnd("export").stdout))[0] == 0
    dearer = apply(CATALOGUE.replace('"1.005"', '"1.015"'))
    assert (dearer.returncode, "1 change written" in dearer.stdout) == (0, True), dearer.stderr
    new = apply(CATALOGUE + '[[rate_cards]]\nkey = "other"\ncurrency = "SEK"\n')
    assert new.returncode == 2
    assert "rate_cards[3].currency" in new.stderr
    assert "ISO 4217" in new.stderr
    fresh = apply(CATALOGUE + '[[rate_cards]]\nkey = "other"\ncurrency = "JPY"\n')
    assert fresh.returncode == 0
    kept: dict[str, Any] = {}
    for raw in deployment.call("LRANGE", GlobalKeys("witn").catalogue, 0, -1):
        entry = json.loads(raw)
        if entry["kind"] == "rate_card":
            kept.setdefault(entry["key"], []).append(entry["content"]["digits"])
    assert kept == {"krona": [2, 2, 2], "euro": [2], "yen": [0], "other": [2]}


def test_an_invoice_has_the_most_digits_of_its_lines(deployment: Deployment, later: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "finer.toml"
    file.write_text(
        '[[rate_cards]]\nkey = "finer"\ncurrency = "EUR"\n'
        'entries = [{ agent = "support", price_per_unit = "1.0055" }]\n'
    )
    assert later.witnd("apply", str(file)).returncode == 0
    deployment.event("paris-support-3", "resolved", customer_key="paris", at="*")
    until(lambda: deployment.call("ZCARD", KEYS.open) == 1, "the draft")
    file.write_text('customers = [{ key = "paris", rate_card = "finer" }]\n')
    assert later.witnd("apply", str(file)).returncode == 0
    deployment.event("paris-support-4", "resolved", customer_key="paris", at="*")

    def lines() -> int:
        [one] = json.loads(later.witnd("invoices", "list", "--status", "open", "--json").stdout)["data"]
        assert Decimal(one["subtotal"])
        return int(one["lines"])

    until(lambda: lines() == 2, "both lines in the draft", seconds=60)
    [draft] = json.loads(later.witnd("invoices", "list", "--status", "open", "--json").stdout)["data"]
    assert draft["subtotal"] == "2.016"
    assert json.loads(later.witnd("audit", "--json").stdout)["clean"]
