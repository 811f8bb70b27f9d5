"""The tutorial about invoices, step by step, as a newcomer follows it: in a demo, with the ids of that demo."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.test_demo import CLEAN, Demo
from tests.docs.generate import ROOT
from tests.docs.pages import blocks

PAGE = ROOT / "docs/tutorial/first-invoice.md"
DRAFT, TICKET, NUMBER = "bb2777", "support:ticket:1", "INV-000005"  # of the page
_CHANGING = re.compile(r"\S*\d\S*")  # numbers, dates, ids and amounts


@pytest.fixture
def demo() -> Iterator[Demo]:
    one = Demo()
    yield one
    one.close()


class Terminal:
    """The second terminal. It replaces the ids of the page by those of the demo."""

    def __init__(self, demo: Demo, folder: Path) -> None:
        setting = demo.see("export ").strip().removeprefix("export ")
        variables = dict(pair.split("=", 1) for pair in setting.split())
        demo.see("Times are UTC")
        self._environ = {name: text for name, text in os.environ.items() if name[:5] != "WITND"} | variables
        self._environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._folder = folder
        self._names = {DRAFT: DRAFT, TICKET: TICKET, NUMBER: NUMBER}

    def type(self, command: str) -> str:
        for name, real in self._names.items():
            command = re.sub(rf"{name}(?!\d)", real, command)
        done = subprocess.run(
            ["bash", "-c", command], env=self._environ, cwd=self._folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def look(self) -> None:
        """Take the ids from what the commands show."""
        [draft] = json.loads(self.type("witnd invoices list --status draft --json"))["data"]
        lines = json.loads(self.type(f"witnd invoices show {draft['id']} --json"))["lines"]
        ticket = next(line["outcome_key"] for line in lines if line["agent_key"] == "support")
        invoices = json.loads(self.type("witnd invoices list --json"))["data"]
        number = sum(invoice["number"] is not None for invoice in invoices) + 1
        self._names = {DRAFT: draft["id"][:6], TICKET: ticket, NUMBER: f"INV-{number:06}"}


@pytest.mark.slow
def test_every_step_leads_to_what_the_page_shows(demo: Demo, tmp_path: Path) -> None:
    install, *steps = blocks(PAGE, "sh", "text")
    assert install.text.splitlines()[1:] == [".venv/bin/witnd demo"]
    terminal = Terminal(demo, tmp_path)
    terminal.look()
    shown = ""
    for step in steps:
        if step.language == "sh":
            lines = [line for line in step.text.splitlines() if not line.startswith("export ")]
            shown = "".join(terminal.type(line) for line in lines)
        else:
            assert [line for line in step.text.splitlines() if shape(line) not in map(shape, shown.splitlines())] == []
    assert re.search(r"^INV-\d+: paid$", shown, re.MULTILINE)
    for file in ("invoice.html", "credit-note.html"):
        assert "Acme GmbH" in (tmp_path / file).read_text()
    demo.tell(signal.SIGINT)
    assert demo.end() == 0
    assert CLEAN in demo.text


def shape(line: str) -> str:
    """The line without what differs from day to day."""
    return " ".join(_CHANGING.sub("#", line).split())
