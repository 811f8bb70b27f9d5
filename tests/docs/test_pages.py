"""Links lead somewhere, commands exist, examples are accepted and do what is said of them."""

import ast
import json
import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from tests.docs.generate import ROOT
from tests.docs.log_events import MEANINGS
from tests.docs.pages import PAGES, anchors, blocks, links, name_of, shell_lines, spans
from witnd.cli.main import main as program
from witnd.config import load
from witnd.domain.catalogue import file as catalogue_file
from witnd.domain.catalogue.condition import mistakes
from witnd.domain.outcomes.event import Event, read
from witnd.domain.outcomes.partitioning import partition_of
from witnd.domain.outcomes.resolution import Line, Resolution, derived_id
from witnd.domain.outcomes.reversal import Reversal, ReversalLine
from witnd.domain.webhooks.notification import delivery_id, rule_id
from witnd.notify import signature
from witnd.settings import READERS
from witnd.store.keys import Keys
from witnd.store.records.json_record import FORMAT

each_page = pytest.mark.parametrize("page", PAGES, ids=name_of)
DOCS = ROOT / "docs"


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for link in links(page):
        if "://" in link:
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        waiting += [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if "://" not in link]
    assert set(PAGES) - reached == set()


@each_page
def test_every_command_that_is_shown_exists(page: Path) -> None:
    wrong = [f"{line}: {problem}" for line in shell_lines(page) for problem in _problems(line)]
    assert wrong == []


def _problems(line: str) -> Iterator[str]:
    for words in _calls(line):
        context, command = click.Context(program), program
        known = _options(command)
        while isinstance(command, click.Group):
            inner = command.get_command(context, words[0]) if words else None
            if inner is not None:
                words.pop(0)
            elif command is not program:
                inner = command.get_command(context, "list") or command.get_command(context, "show")
                if inner is None:
                    break
            elif not words or words[0].startswith(("-", "[", "<")):
                break
            else:
                yield f"there is no command {words[0]}"
                break
            command = inner
            known |= _options(command)
        yield from [f"it has no option {word}" for word in words if word.startswith("--") and word not in known]


def _options(command: click.Command) -> set[str]:
    return {"--help", "-h"} | {name for one in command.params for name in one.opts}


def _calls(line: str) -> Iterator[list[str]]:
    """The words behind each `witnd` that stands where a command does."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        words = line.split()
    call: list[str] | None = None
    begins = True
    for word in words:
        if begins and (word == "witnd" or word.endswith("/bin/witnd")):
            call, begins = [], False
        elif word in ("&&", "||", ";", "|", ">", "<"):
            if call is not None:
                yield call
            call, begins = None, word in ("&&", "||", ";", "|")
        elif call is not None:
            call.append(word.rstrip(";"))
        else:
            begins = begins and bool(re.match("[A-Z_]+=", word))
    if call is not None:
        yield call


@each_page
def test_every_toml_block_is_a_sound_catalogue_or_configuration(page: Path, tmp_path: Path) -> None:
    for block in blocks(page, "toml"):
        if block.text.startswith("condition"):
            assert mistakes(msgspec.toml.decode(block.text)["condition"]) == []
        elif re.match(r"\[(redis|webhooks|daemon)\]", block.text):
            (tmp_path / "witnd.toml").write_text(block.text)
            load(tmp_path / "witnd.toml", {})
        else:
            secret = "whsec_" + "A" * 40
            file = catalogue_file.parse(block.text.replace("whsec_…", secret))
            assert file.mistakes == ()


@each_page
def test_every_event_that_is_shown_is_usable(page: Path) -> None:
    text = page.read_text()
    for fields in re.findall(r"XADD witn:\{0\}:events \* ([^\n`]+)", text):
        assert isinstance(read([word.encode() for word in shlex.split(fields)]), Event), fields
    for block in blocks(page, "json"):
        document = json.loads(block.text)
        if "specversion" in document:
            assert isinstance(read([b"data", block.text.encode()]), Event)


def test_the_shown_entries_of_streams_have_the_members_of_the_real_ones() -> None:
    shown: set[type[msgspec.Struct]] = set()
    for page in (ROOT / "README.md", DOCS / "reference/webhooks.md"):
        for document in [json.loads(block.text) for block in blocks(page, "json")]:
            if (version := document.pop("v", None)) is None:
                continue
            assert version == FORMAT
            kinds = {"line": Line, "reversal": ReversalLine, None: Resolution}
            kind = Reversal if document.get("type") == "outcome_reversed" else kinds[document.get("kind")]
            assert msgspec.json.decode(msgspec.json.encode(msgspec.convert(document, kind))) == document
            shown.add(kind)
    assert shown == {Line, ReversalLine, Resolution, Reversal}


def _run(page: Path, **given: Any) -> dict[str, Any]:
    """All Python of a page, in one module."""
    code = "\n".join(block.text for block in blocks(page, "python"))
    names = dict(given)
    exec(compile(ast.parse(code), str(page), "exec"), names)  # our own documentation
    return names


def test_the_receivers_of_the_guide_accept_what_witnd_signs_and_nothing_else() -> None:
    guide = _run(DOCS / "how-to/verify-webhooks.md")
    secret, other = ("whsec_" + letter * 40 for letter in "AB")
    body = b'{"id": "x"}'
    headers = signature.headers([other, secret], "x", int(time.time()), body)

    assert guide["is_signed"](secret, headers, body)
    assert guide["verify_with_library"](secret, headers, body) == {"id": "x"}
    assert guide["verify_with_client"]([secret], headers, body) == {"id": "x"}

    assert not guide["is_signed"]("whsec_" + "C" * 40, headers, body)
    assert not guide["is_signed"](secret, headers, body + b" ")
    old = signature.headers([secret], "x", int(time.time()) - 3600, body)
    assert not guide["is_signed"](secret, old, body)


def test_the_formulas_of_ids_give_the_ids_of_witnd() -> None:
    shown = _run(DOCS / "reference/ids.md")

    assert shown["rule"] == rule_id("crm")
    assert shown["resolution"] == derived_id("resolution", "ticket-4711")
    assert shown["line"] == derived_id("line", "ticket-4711")
    assert shown["delivery"] == delivery_id(rule_id("crm"), "ticket-4711", "outcome_succeed")


def test_the_formula_of_the_partition_gives_the_partition_of_witnd() -> None:
    log_of = _run(DOCS / "reference/keys.md")["log_of"]

    for key in ("ticket-4711", "tïcket-4711", "k" * 255):
        assert log_of(key) == Keys("witn", 0).events
        assert log_of(key, 7) == Keys("witn", partition_of(key, 7)).events


def test_the_readme_has_the_two_commands_that_a_newcomer_copies() -> None:
    text = (ROOT / "README.md").read_text()
    install = "python3 -m venv .venv && .venv/bin/pip install -q -e"
    assert f"{install} . && .venv/bin/witnd demo\n" in text
    assert f"{install} '.[test]' && .venv/bin/python -m pytest\n" in text


def test_the_code_map_names_every_package_and_every_script() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    packages = [f"witnd/{package.parent.name}/" for package in (ROOT / "witnd").glob("*/__init__.py")]
    scripts = [f"`{script.stem}`" for script in (ROOT / "witnd/store").rglob("*.lua")]
    assert [name for name in (*packages, *scripts) if name not in text] == []


def test_the_dependencies_of_the_architecture_are_those_of_the_package() -> None:
    project = msgspec.toml.decode((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split("[^a-z0-9-]", line)[0] for line in project["dependencies"]}
    text = (ROOT / "ARCHITECTURE.md").read_text().partition("## Dependencies")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| ([a-z0-9-]+) \|", text, re.MULTILINE)) - {"package", "---"} == declared


@each_page
def test_every_log_event_setting_and_metric_that_is_named_exists(page: Path) -> None:
    settings = {f"{section}.{name}" for section, readers in READERS.items() for name in readers}
    nouns = {name.partition(".")[0] for name in (*MEANINGS, *settings)}
    metrics = set(re.findall(r"\bwitnd_\w+", (DOCS / "reference/metrics.md").read_text().partition("<!-- gen")[2]))
    dotted = [span for span in spans(page) if re.fullmatch(r"[a-z]+\.[a-z_]+", span)]
    unknown = [name for name in dotted if name.partition(".")[0] in nouns and name not in {*MEANINGS, *settings}]
    unknown += [name for span in spans(page) for name in re.findall(r"\bwitnd_\w+", span) if name not in metrics]
    assert [name for name in unknown if not re.search(r"\.(py|html|lua|md|toml|crt)$", name)] == []
