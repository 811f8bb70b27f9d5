"""Taste that a machine can check is not discussed in review."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "witnd").rglob("*.py"))
MODULE_LINES_MAX = 300
FUNCTION_LINES_MAX = 70
DRAWERS = {"utils", "util", "common", "helpers", "manager", "misc", "base"}


def name(module: Path) -> str:
    return str(module.relative_to(ROOT))


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_a_module_is_short_says_what_it_is_and_is_no_drawer(module: Path) -> None:
    text = module.read_text()

    assert module.stem not in DRAWERS
    assert ast.get_docstring(ast.parse(text)), "it needs a docstring: what it is, and what it leaves to others"
    assert len(text.splitlines()) <= MODULE_LINES_MAX
    assert "TODO" not in text
    assert "FIXME" not in text


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_a_function_fits_on_a_screen(module: Path) -> None:
    too_long = [
        f"{one.name}: {length} lines"
        for one in functions(ast.parse(module.read_text()))
        if (length := (one.end_lineno or 0) - one.lineno + 1) > FUNCTION_LINES_MAX
    ]

    assert too_long == []


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_every_lua_script_refuses_a_full_server_before_its_first_write() -> None:
    scripts = sorted((ROOT / "witnd").rglob("*.lua"))

    assert scripts
    assert [name(one) for one in scripts if not one.read_text().startswith("#!lua")] == []


def test_the_tree_has_only_the_agreed_entries_at_its_top() -> None:
    agreed = {
        "pyproject.toml", "constraints.txt", "README.md", "ARCHITECTURE.md", "CHANGELOG.md",
        "witnd", "tests", "config", "systemd", "docs", "bench",
    }  # fmt: skip
    found = {one.name for one in ROOT.iterdir() if not one.name.startswith(".")}

    assert found - agreed - {"build", "dist"} == set()
