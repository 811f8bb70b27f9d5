"""Reversals at a terminal: check, apply, export, the views of agents, lists and explanations."""

from pathlib import Path

import pytest

from tests.cli.test_agent_terms import checked
from tests.cli.test_apply import Terminal
from tests.cli.test_audit_reversals import REVERSIBLE
from tests.support.deployment import LONG_AGO, Deployment

FILE = """
[[agents]]
key = "support"
condition = []
reversal = { window = 604800, on = ["refunded", "note \\"added\\""] }

[[customers]]
key = "acme"

[[customers.agents]]
agent = "support"
reversal = {}
"""
ENTRY = f"{LONG_AGO + 100_000}-0"


@pytest.fixture
def terminal(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.chdir(tmp_path)
    return Terminal(redis_url, tmp_path)


def test_an_export_is_applied_without_a_change(terminal: Terminal) -> None:
    assert terminal.apply(FILE).exit_code == 0
    exported = terminal.witnd("export").stdout
    assert "[agents.reversal]\nwindow = 604800\n" in exported
    assert "\n[customers.agents.reversal]\n" in exported
    assert terminal.apply(exported).stdout.endswith("no changes\n")


def test_check_and_apply_report_all_mistakes(terminal: Terminal) -> None:
    wrong = FILE.replace("604800", "0").replace('["refunded", ', '["refunded", "refunded", ')
    for refused in (checked(terminal.directory, wrong), terminal.apply(wrong)):
        assert refused.exit_code == 2
        assert "agents[0].reversal.window: is 0; write whole seconds from 1 to 15552000 (180 days)" in refused.stderr
        assert 'agents[0].reversal.on[1]: must not be repeated, got "refunded" again' in refused.stderr


def test_agents_show_the_reversal_and_its_changes(terminal: Terminal) -> None:
    terminal.apply(FILE)
    shown = terminal.witnd("agents", "support", "--version", "1").stdout.splitlines()
    assert 'reversed within 7 d by refunded, note "added"' in shown
    assert "reversed within" not in terminal.witnd("agents", "support", "--customer", "acme").stdout
    assert "~ reversal.window: 604800 → 60" in terminal.apply(FILE.replace("604800", "60")).stdout
    assert "reversal.window: 604800 → 60" in terminal.witnd("agents", "support", "--compare", "1", "2").stdout


@pytest.fixture
def lived(deployment: Deployment) -> Deployment:
    deployment.apply(REVERSIBLE)
    deployment.event("ticket-0001", "replied")
    deployment.event("ticket-0002", "replied", 1)
    deployment.event("ticket-0001", "refunded", 100_000, properties={"value": 5})
    deployment.event("ticket-0001", "withdrawn", 100_001)
    deployment.work()
    return deployment


def test_an_explanation_ends_with_the_event_that_reversed(lived: Deployment) -> None:
    text = lived.witnd("explain", "ticket-0001").stdout
    assert text.startswith("ticket-0001: confirmed\nConfirmed, because ")
    assert f"\nReversed at 2001-09-09T01:48:20.000Z by `refunded` (event {ENTRY}), before the window ended at " in text
    assert "a credit of 1.00 EUR offsets the line on the same invoice." in text
    assert "reversal   within 10 min by refunded, withdrawn" in text
    story, event = text.index("1. 2001-09-09"), text.index("2001-09-09T01:48:20.000Z  refunded  (value 5")
    assert story < event < text.index("line       ")
    assert f"   entry {ENTRY}, reversed; " in text
    assert "credits " in text
    assert "Reversed" not in lived.witnd("explain", "ticket-0002").stdout


def test_the_machine_form_has_the_reversal(lived: Deployment) -> None:
    told = lived.json("explain", "ticket-0001")
    assert (told["reversal"]["entry"], told["reversal"]["fate"]) == (ENTRY, "reversed")
    assert lived.json("explain", "ticket-0002")["reversal"] is None


def test_lists_show_it(lived: Deployment) -> None:
    found = {one["key"]: one["reversed_at"] for one in lived.json("outcomes")["data"]}
    assert found == {"ticket-0001": "2001-09-09T01:48:20.000Z", "ticket-0002": None}
    rows = [line for line in lived.witnd("outcomes").stdout.splitlines() if "confirmed" in line]
    assert ["(reversed)" in row for row in rows] == ["ticket-0001" in row for row in rows]
    [fate] = lived.json("events", "--fate", "reversed")["data"]
    assert fate["id"] == ENTRY
    assert lived.json("events", ENTRY)["fate"] == "reversed"
