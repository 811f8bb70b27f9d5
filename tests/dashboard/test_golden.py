"""Every page says what was last accepted; `python -m tests.dashboard.golden` accepts what the pages say now."""

import re
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.dashboard.golden import FOLDER, TEMPLATES, taken
from tests.support.server import Server


def files_below(folder: Path, ending: str) -> dict[str, str]:
    """The texts of files by their path below the folder, without the ending."""
    return {
        str(file.relative_to(folder).with_suffix("")): file.read_text(encoding="utf-8")
        for file in sorted(folder.rglob(f"*{ending}"))
    }


TEXTS = files_below(FOLDER, ".txt")


@pytest.fixture(scope="module")
def pages() -> Iterator[dict[str, str]]:
    with TemporaryDirectory(prefix="witnd-") as directory, Server(Path(directory)) as server:
        yield taken(server, Path(directory))


def test_every_page_says_what_was_accepted(pages: dict[str, str]) -> None:
    found = {name.removesuffix(".txt"): text for name, text in pages.items()}
    both = {name: (TEXTS.get(name, "").split("\n"), found.get(name, "").split("\n")) for name in sorted(TEXTS | found)}
    lines = [line for name, (old, new) in both.items() for line in unified_diff(old, new, name, name, lineterm="")]
    if lines:
        pytest.fail("\n".join(["`python -m tests.dashboard.golden` accepts this:", *lines]), pytrace=False)


def test_every_template_has_a_golden_page_or_is_a_part_of_others() -> None:
    templates = files_below(TEMPLATES, ".html")
    used = {
        name
        for text in templates.values()
        for name in re.findall(r'(?:extends|import|from|include) "([\w/]+)\.html"', text)
    }
    assert templates.keys() - used - TEXTS.keys() == set(), "add a visit to golden_scenario.py"
    assert TEXTS.keys() - templates.keys() == set(), "the golden page of a template that is gone"
