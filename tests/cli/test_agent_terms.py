"""Grades and timers at a terminal: check, apply, export and the views of agents."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given

from tests.cli.test_apply import Terminal
from tests.support.catalogues import catalogue, documents
from witnd.cli.console.toml import written
from witnd.cli.main import main
from witnd.domain.catalogue.catalogue import CatalogueEntry
from witnd.domain.catalogue.file import parse, read, to_document
from witnd.domain.catalogue.plan import plan

FILE = """
[[agents]]
key = "support"
grades = [
    { key = "solved", name = "Solved", condition = [{ fact = "solved", operator = "seen" }] },
    { key = "tried", condition = [{ fact = "replied", operator = "seen" }] },
]

[agents.timers]
"note \\"added\\"" = "keep"
"é 1" = 60
replied = 3600

[[rate_cards]]
key = "standard"
currency = "EUR"
entries = [
    { agent = "support", grade = "solved", price_per_unit = "2" },
    { agent = "support", price_per_unit = "1" },
]

[[customers]]
key = "acme"
rate_card = "standard"

[[customers.agents]]
agent = "support"
name = "Help"
timers = {}
"""
UNKNOWN = FILE.replace('grade = "solved"', 'grade = "solve"')
PART = FILE.replace('    { agent = "support", price_per_unit = "1" },\n', "")


@pytest.fixture
def terminal(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.chdir(tmp_path)
    return Terminal(redis_url, tmp_path)


def checked(directory: Path, text: str) -> Result:
    file = directory / "catalogue.toml"
    file.write_text(text)
    return CliRunner().invoke(main, ["check", str(file)])


@given(documents())
def test_any_catalogue_is_written_as_toml_that_reads_back_as_it(document: dict[str, Any]) -> None:
    changes = plan(catalogue(), read(document).items, seed=b"").changes
    known = catalogue(
        *[
            CatalogueEntry(
                kind=one.kind, key=one.key, effective_from=0, archived=one.archived, content=one.content
            )
            for one in changes
        ]
    )  # fmt: skip
    text = "\n".join(written(to_document(known, secrets=True)))
    again = parse(text, known)
    assert again.mistakes == ()
    assert plan(known, again.items, seed=b"").changes == ()


def test_an_export_is_applied_without_a_change(terminal: Terminal) -> None:
    assert terminal.apply(FILE).exit_code == 0
    exported = terminal.witnd("export").stdout
    assert '[agents.timers]\n"note \\"added\\"" = "keep"\nreplied = 3600\n"é 1" = 60\n' in exported
    assert "\n[customers.agents.timers]\n" in exported
    assert terminal.apply(exported).stdout.endswith("no changes\n")


def test_an_unknown_grade_is_refused_by_check_and_by_apply(terminal: Terminal) -> None:
    mistake = 'rate_cards[0].entries[0].grade: agent "support" has no grade "solve"; did you mean "solved"?'
    for refused in (checked(terminal.directory, UNKNOWN), terminal.apply(UNKNOWN)):
        assert refused.exit_code == 2
        assert mistake in refused.stderr


def test_a_grade_without_a_price_is_a_warning(terminal: Terminal) -> None:
    warning = 'warning: rate_cards[0].entries: agent "support" has no price for grade "tried"'
    for done in (checked(terminal.directory, PART), terminal.apply(PART)):
        assert done.exit_code == 0
        assert warning in done.stderr
    fewer = FILE[: FILE.index("[[rate_cards]]")].replace('{ key = "solved", name = "Solved"', '{ key = "done"')
    left = terminal.apply(fewer)
    assert left.exit_code == 0
    assert 'agents[0].grades: rate card "standard": agent "support" has no grade "solved"' in left.stderr


def test_agents_show_grades_and_timers(terminal: Terminal) -> None:
    terminal.apply(FILE)
    shown = terminal.witnd("agents", "support", "--version", "1").stdout.splitlines()
    assert "billable when `solved` was seen or `replied` was seen" in shown
    assert "grade Solved: `solved` was seen" in shown
    assert "grade tried: `replied` was seen" in shown
    assert "after replied: settles 1 h later" in shown
    assert 'after note "added": keeps the deadline' in shown
    own = terminal.witnd("agents", "support", "--customer", "acme").stdout
    assert "grade Solved" in own
    assert "keeps the deadline" not in own
