"""Rules of the tree that a machine can check. Each test prints the list of places that break its rule."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "witnd").rglob("*.py"))
MODULE_LINES_MAX = 300
# Longer ones whose subject cannot be divided, and how long they may be.
LONGER_MODULES = {
    "witnd/fold/partition.py": 330,  # the fold
    "witnd/store/keys.py": 355,  # the table of all keys
    "witnd/store/log/reader.py": 335,  # all reads of one log
}
FUNCTION_LINES_MAX = 70
PACKAGE_MODULES_MAX = 15
VAGUE_NAMES = {"utils", "util", "common", "helpers", "manager", "misc", "base"}


def name(module: Path) -> str:
    return str(module.relative_to(ROOT))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_every_module_is_short_enough_to_read() -> None:
    lengths = {name(module): len(module.read_text().splitlines()) for module in MODULES}

    too_long = [
        f"{module}: {length} lines"
        for module, length in lengths.items()
        if length > LONGER_MODULES.get(module, MODULE_LINES_MAX)
    ]

    assert too_long == []


def test_every_function_fits_on_a_screen() -> None:
    too_long = [
        f"{name(module)}: {one.name} has {length} lines"
        for module in MODULES
        for one in functions(ast.parse(module.read_text()))
        if (length := (one.end_lineno or 0) - one.lineno + 1) > FUNCTION_LINES_MAX
    ]

    assert too_long == []


def test_every_module_has_a_docstring_and_a_name_that_says_what_it_contains() -> None:
    assert [name(module) for module in MODULES if not ast.get_docstring(ast.parse(module.read_text()))] == []
    assert [name(module) for module in MODULES if module.stem in VAGUE_NAMES] == []


def test_every_package_is_small_enough_to_overlook_and_says_what_it_imports() -> None:
    packages = [module.parent for module in MODULES if module.name == "__init__.py"]
    counts = {name(package): len(list(package.glob("*.py"))) - 1 for package in packages}
    assert [f"{package}: {count} modules" for package, count in counts.items() if count > PACKAGE_MODULES_MAX] == []
    assert [name(package) for package in packages if package.name in VAGUE_NAMES] == []

    texts = {name(package): ast.get_docstring(ast.parse((package / "__init__.py").read_text())) for package in packages}
    without = [package for package, text in texts.items() if "mport" not in (text or "")]
    assert without == ["witnd"]


def test_no_module_leaves_work_for_later() -> None:
    assert [name(module) for module in MODULES if "TODO" in (text := module.read_text()) or "FIXME" in text] == []


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


SENTENCES = {"reason", "message", "problem", "remedy"}
PARSERS = {"startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition", "split", "replace"}
PARSERS |= {"find", "index", "match", "search", "fullmatch", "sub"}
# Replies of Redis, errors of msgspec, and the stored message of an invalid event, which has no code.
EXTERNAL_SENTENCES = ("witnd/store/", "witnd/web/errors.py", "witnd/web/dashboard/present/reasons.py")


def test_no_code_decides_by_the_words_of_a_sentence() -> None:
    found = []
    for module in MODULES:
        tree = ast.parse(module.read_text())
        caught = {node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)}
        for node in ast.walk(tree):
            read: list[ast.expr] = []
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
                read = node.comparators
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in PARSERS:
                read = [node.func.value, *node.args]
            if any(_is_sentence(one, caught) for one in read) and not name(module).startswith(EXTERNAL_SENTENCES):
                found.append(f"{name(module)}:{node.lineno}")
    assert found == []


def _is_sentence(node: ast.expr, caught: set[str | None]) -> bool:
    """Return whether this is the text of an error, by its name, or `str()` of a caught exception."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "str" and node.args:
        return isinstance(node.args[0], ast.Name) and node.args[0].id in caught
    return (node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")) in SENTENCES
