"""Every recipe of the page leads to the bill that the page shows, with a real daemon."""

import json
import shlex
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from tests.contract.ledger import Ledger, ms
from tests.docs.recipes import PAGE, Bill, Recipe, bill_rows, recipes
from tests.support.processes import until
from tests.support.server import Server

RECIPES = recipes()


@pytest.fixture
def ledger(redis_url: str, session_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Two partitions, whose invoices are issued by hand."""
    monkeypatch.chdir(tmp_path)
    made = Ledger(session_server, tmp_path, 2)
    made.set(issue="manual")
    return made


def test_the_page_has_ten_recipes() -> None:
    titles = [line for line in PAGE.read_text().splitlines() if line.startswith("## ")]
    assert len(titles) == 10
    assert len(RECIPES) == 11  # one has two ways
    assert [recipe.title for recipe in RECIPES if not recipe.events or not recipe.bills] == []


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.title)
def test_a_recipe_leads_to_its_bill(recipe: Recipe, ledger: Ledger) -> None:
    ledger.apply(recipe.catalogues[0])
    before, after = applying(recipe), [command for command in recipe.commands if " apply " not in command]
    for command, text in zip(before, recipe.catalogues[1:], strict=True):
        (ledger.directory / shlex.split(command)[2]).write_text(text)
        run(ledger, command)
    for at, event in recipe.events:
        stream = f"witn:{{{crc32(event['key'].encode()) % ledger.partitions}}}:events"
        ledger.call("XADD", stream, f"{ms(at)}-*", "data", json.dumps(event))
    with ledger.working():
        until(lambda: ledger.is_closed(issued=False) and is_billed(ledger, recipe), "all periods are closed")
    for command in after:
        run(ledger, command.replace("5f0c3a", invoice_of(ledger, recipe.bills[-1])["id"]))
    for bill in recipe.bills:
        ledger.done("issue", invoice_of(ledger, bill)["id"])
        issued = invoice_of(ledger, bill)
        assert bill_rows(issued, ledger.rows(issued["id"])) == bill.rows
    check_outcomes(ledger, recipe)
    ledger.audited()


def applying(recipe: Recipe) -> list[str]:
    return [command for command in recipe.commands if " apply " in command]


def run(ledger: Ledger, command: str) -> None:
    done = ledger.witnd(*shlex.split(command)[1:])
    assert done.exit_code == 0, done.output


def is_billed(ledger: Ledger, recipe: Recipe) -> bool:
    """Return whether every bill is a closed draft, even if it has only a fee."""
    found = {(one["customer_key"], one["period_start"][:7]) for one in ledger.invoices() if one["closed"]}
    return found >= {(bill.customer, bill.month) for bill in recipe.bills}


def invoice_of(ledger: Ledger, bill: Bill) -> dict[str, Any]:
    [one] = ledger.invoices("--customer", bill.customer, "--period", bill.month)
    return one


def check_outcomes(ledger: Ledger, recipe: Recipe) -> None:
    """Every event opened or reached an outcome; those that are on no bill are missed (FAILED in the API)."""
    billed = {row[0].partition(" ")[0] for bill in recipe.bills for row in bill.rows}
    expected = {event["key"]: "CONFIRMED" if event["key"] in billed else "FAILED" for _, event in recipe.events}
    found = ledger.json("outcomes", "--limit", "100")["data"]
    assert {one["key"]: one["status"] for one in found} == expected
