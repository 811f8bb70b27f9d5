"""The parts of the documentation that are made from the code, and where they stand.

A page holds a block between two comments; `python -m tests.docs.generate` writes the blocks anew.
The words around them are written by hand.
"""

import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from tests.docs import client, exports, http_api, rate_cards
from tests.docs.log_events import MEANINGS
from witnd import settings
from witnd.cli.main import COMMANDS
from witnd.cli.main import main as program
from witnd.domain.catalogue.catalogue import HeldReason
from witnd.domain.catalogue.condition import OPERATORS
from witnd.domain.catalogue.condition import condition_text as condition_words
from witnd.domain.outcomes.outcome import NEXT, STATUSES
from witnd.store import keys

ROOT = Path(__file__).parents[2]
COMMAND = "python -m tests.docs.generate"
_BEGIN = "<!-- generated: {} -->"
_END = "<!-- end of generated -->"
_WIDTH = 100


# -- settings ---------------------------------------------------------------------------------------------------------


def settings_block() -> str:
    """Names from the readers, defaults and words from the example file."""
    path = ROOT / "config/witnd.example.toml"
    defaults, words = tomllib.loads(path.read_text()), _comments(path.read_text())
    parts = []
    for section, readers in settings.READERS.items():
        rows = [
            (
                f"`{name}`",
                f"`{_toml(defaults[section][name])}`",
                words[f"{section}.{name}"],
            )
            for name in readers
        ]
        parts.append(f"### `[{section}]`\n\n" + _table(("setting", "default", "meaning"), rows))
    return "\n\n".join(parts)


def _comments(text: str) -> dict[str, str]:
    """The comment above each setting of the example file."""
    found: dict[str, str] = {}
    section, above = "", []
    for line in text.splitlines():
        if line.startswith("["):
            section, above = line.strip("[]"), []
        elif line.startswith("#"):
            above.append(line.removeprefix("#").strip())
        elif " = " in line:
            found[f"{section}.{line.partition(' = ')[0]}"] = " ".join(above)
            above = []
        else:
            above = []
    return found


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value)


# -- keys -------------------------------------------------------------------------------------------------------------


def keys_block() -> str:
    """The table of the module that builds every key."""
    lines = (keys.__doc__ or "").splitlines()
    return "\n".join(line for line in lines if line.startswith("|"))


# -- commands ---------------------------------------------------------------------------------------------------------


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, groups before what is in them."""
    context = click.Context(program)
    for name in COMMANDS:
        command = program.get_command(context, name)
        if command is not None:
            yield from _with_inner(name, command)


def _with_inner(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for inner, one in command.commands.items():
            yield from _with_inner(f"{name} {inner}", one)


def cli_block() -> str:
    parts = ["```text\n" + _help("witnd", program) + "\n```"]
    for name, command in commands():
        mark = "##" if " " not in name else "###"
        parts.append(f"{mark} witnd {name}\n\n```text\n{_help(f'witnd {name}', command)}\n```")
    return "\n\n".join(parts)


def _help(name: str, command: click.Command) -> str:
    context = click.Context(
        command,
        info_name=name,
        max_content_width=_WIDTH,
        terminal_width=_WIDTH,
        help_option_names=["-h", "--help"],
    )
    return "\n".join(line.rstrip() for line in command.get_help(context).rstrip().splitlines())


# -- states -----------------------------------------------------------------------------------------------------------


def states_block() -> str:
    arrows = ["    [*] --> OPEN : first event, condition false", "    [*] --> PENDING : first event, condition true"]
    labels = {"PENDING": "condition true", "CONFIRMED": "settles, condition true", "FAILED": "settles, condition false"}
    for status, after in NEXT.items():
        arrows += [
            f"    {status} --> {one} : " + ("settles" if status == "OPEN" and one == "FAILED" else labels[one])
            for one in after
        ]
        if not after:
            arrows.append(f"    {status} --> [*]")
    rows = [
        (f"`{status}`", ", ".join(f"`{one}`" for one in NEXT[status]) or "nothing: it is final") for status in STATUSES
    ]
    picture = "```mermaid\nstateDiagram-v2\n" + "\n".join(arrows) + "\n```"
    return picture + "\n\n" + _table(("state", "may be followed by"), rows)


# -- conditions and reasons -------------------------------------------------------------------------------------------


def operators_block() -> str:
    """Each operator with an example and its reading in words, as `witnd explain` says it."""
    rows = []
    for operator in OPERATORS:
        leaf: dict[str, object] = {"fact": "a", "operator": operator}
        if operator not in ("seen", "not seen"):
            leaf["value"] = "x" if operator == "match" else 3
        written = ", ".join(f"{name} = {_toml(it)}" for name, it in leaf.items())
        rows.append((f"`{operator}`", f"`{{ {written} }}`", condition_words([leaf])))
    return _table(("operator", "example", "holds when"), rows)


def held_reasons_block() -> str:
    return "The reasons, in the order in which they are asked: " + ", ".join(f"`{one}`" for one in HeldReason) + "."


# -- rate cards -------------------------------------------------------------------------------------------------------


def kinds_block() -> str:
    """Each kind with what it is made of, and the page's entry of that kind in words."""
    return _table(("kind", "fields", "in the example", "is rated"), rate_cards.kinds_rows())


# -- exports ----------------------------------------------------------------------------------------------------------


def export_columns_block() -> str:
    return _table(("name", "of", "meaning"), exports.columns_rows())


# -- log events -------------------------------------------------------------------------------------------------------


def log_events() -> dict[str, tuple[set[str], set[str]]]:
    """Every event name in the source, with its levels and fields."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    topics = set()
    calls: list[tuple[str, set[str], set[str]]] = []
    for path in sorted((ROOT / "witnd").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            if isinstance(node.func, ast.Name) and node.func.id == "Backoff" and node.args:
                topics |= {node.args[0].value} if isinstance(node.args[0], ast.Constant) else set()
            elif (levels := _levels(node.func)) and node.args:
                calls.append((_name(node.args[0]), levels, _fields(node)))
    for name, levels, fields in calls:
        for one in [name.replace("*", topic) for topic in topics] if "*" in name else [name]:
            known = found.setdefault(one, (set(), set()))
            known[0].update(levels)
            known[1].update(fields)
    return found


def _levels(function: ast.expr) -> set[str]:
    if isinstance(function, ast.IfExp):
        return _levels(function.body) | _levels(function.orelse)
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "log":
        return {function.attr}
    return set()


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    assert isinstance(node, ast.JoinedStr), ast.dump(node)
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values)


def _fields(call: ast.Call) -> set[str]:
    named = {word.arg for word in call.keywords if word.arg is not None}
    for word in call.keywords:
        if word.arg is None and isinstance(word.value, ast.Dict):
            named |= {key.value for key in word.value.keys if isinstance(key, ast.Constant)}
    return named


def log_events_block() -> str:
    rows = [
        (
            f"`{name}`",
            ", ".join(sorted(levels)),
            ", ".join(f"`{field}`" for field in sorted(fields)) or "–",
            MEANINGS.get(name, "**not documented**"),
        )
        for name, (levels, fields) in sorted(log_events().items())
        if levels != {"debug"}
    ]
    return _table(("event", "level", "fields", "meaning"), rows)


# -- pages ------------------------------------------------------------------------------------------------------------


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


BLOCKS: dict[str, tuple[str, Callable[[], str]]] = {
    "settings": ("docs/reference/configuration.md", settings_block),
    "keys": ("docs/reference/keys.md", keys_block),
    "cli": ("docs/reference/cli.md", cli_block),
    "states": ("docs/reference/states.md", states_block),
    "operators": ("docs/reference/conditions.md", operators_block),
    "held reasons": ("docs/reference/fates.md", held_reasons_block),
    "kinds": ("docs/reference/rate-cards.md", kinds_block),
    "rate sales": ("docs/reference/rate-cards.md", rate_cards.told(*rate_cards.SALES)),
    "rate working": ("docs/reference/rate-cards.md", rate_cards.working_block),
    "rate calls": ("docs/reference/rate-cards.md", rate_cards.told("calls", "60,60,60")),
    "rate recovery": ("docs/reference/rate-cards.md", rate_cards.told("recovery", "12,512.34,9000")),
    "export columns": ("docs/reference/exports.md", export_columns_block),
    "export orders": ("docs/reference/exports.md", exports.orders_block),
    "export csv": ("docs/reference/exports.md", exports.csv_block),
    "export line": ("docs/reference/exports.md", exports.line_block),
    "export invoice": ("docs/reference/exports.md", exports.invoice_block),
    "export stripe": ("docs/reference/exports.md", exports.stripe_block),
    "client": ("docs/reference/client.md", client.block),
    "log events": ("docs/reference/log-events.md", log_events_block),
    "http calls": ("docs/reference/http-api.md", http_api.calls(_table)),
    "http errors": ("docs/reference/http-api.md", http_api.errors(_table)),
    "http objects": ("docs/reference/http-api.md", http_api.objects(_table)),
    "metrics": ("docs/reference/metrics.md", http_api.metrics(_table)),
}
# Files that are made as a whole.
FILES: dict[str, Callable[[], str]] = {"docs/reference/openapi.json": http_api.openapi_file}


def refreshed(name: str) -> tuple[Path, str]:
    """The page of a block, and its text with the block made anew."""
    place, make = BLOCKS[name]
    path = ROOT / place
    begin = _BEGIN.format(name)
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(_END), re.DOTALL)
    text, count = pattern.subn(lambda _: f"{begin}\n{make()}\n{_END}", path.read_text())
    assert count == 1, f"{place} must have one block between {begin} and {_END}"
    return path, text


def write() -> None:
    for place, make in FILES.items():
        (ROOT / place).write_text(make())
    for name in BLOCKS:
        path, text = refreshed(name)
        path.write_text(text)


if __name__ == "__main__":
    write()
