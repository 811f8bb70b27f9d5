"""Every fault that was found has a line in `docs/explanation/faults.md`, and every line names tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "explanation" / "faults.md"
FOUND = [
    *(f"P{n}" for n in range(1, 11)),
    *(f"A{n}" for n in range(1, 22)),
    *(f"B{n}" for n in range(1, 12)),
    *(f"C{n}" for n in (1, *range(4, 13), 18, 19, 20)),
    *(f"R{n}" for n in range(1, 68)),
]
TEST = re.compile(r"`(tests/[\w/]+\.py)((?:::\w+)*)`")
NO_TEST = "No test: "


def rows() -> dict[str, str]:
    """The table's lines by the id of their fault."""
    lines = (line for line in PAGE.read_text().splitlines() if re.match(r"\| [A-Z]\d+ \|", line))
    return {line.split("|")[1].strip(): line for line in lines}


@cache
def names_in(module: str) -> set[str]:
    tree = ast.parse((ROOT / module).read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def test_every_fault_has_a_line() -> None:
    assert [fault for fault in FOUND if fault not in rows()] == []


def test_every_line_names_a_test_or_gives_the_reason_why_there_is_none() -> None:
    assert [fault for fault, line in rows().items() if not TEST.search(line) and NO_TEST not in line] == []


def test_every_test_that_a_line_names_exists() -> None:
    missing = [
        f"{fault}: {module}{names}"
        for fault, line in rows().items()
        for module, names in TEST.findall(line)
        if not (ROOT / module).exists() or not set(filter(None, names.split("::"))) <= names_in(module)
    ]

    assert missing == []
