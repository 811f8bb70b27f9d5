"""The glossary gives one word for each concept. No text uses the words that it excludes."""

import re
from collections.abc import Callable, Iterator

import pytest

from tests.docs.generate import ROOT, cli_block
from tests.docs.pages import PAGES, name_of, prose

GLOSSARY = ROOT / "docs/reference/glossary.md"
ROW = re.compile(r"^\| (?P<term>[^|]+) \| (?P<meaning>[^|]+) \| (?P<excluded>\*[^|]+\*|–) \|$", re.MULTILINE)
# Phrases that read like a translation, or that make software a person.
STYLE = (
    "whoever", "who has", "such as it is", "of its own", "by itself", "put into force", "mend", "mended", "mending",
    "judge", "judges", "judged", "so long as", "troubles", "anew", "tells", "told", "asks", "asked", "says", "said",
    "speaks", "hears", "heard", "knows", "wants",
)  # fmt: skip

GENERATED = re.compile(r"<!-- generated: .*?<!-- end of generated -->", re.DOTALL)
SPAN = re.compile(r"`[^`]+`")
JSON_TEXT = re.compile(r'"[\w ]+"')  # names and values of JSON: code, as in a span
LINK_TARGET = re.compile(r"\]\([^)]+\)")
INVISIBLE = re.compile(r"<(code|pre|script|style)\b.*?</\1>|{%.*?%}|{{.*?}}|{#.*?#}|<[^>]*>", re.DOTALL)


def documentation() -> Iterator[tuple[str, str]]:
    """The hand-written prose of each page, without code."""
    for page in PAGES:
        if page != GLOSSARY:
            yield name_of(page), LINK_TARGET.sub("] ", SPAN.sub(" ", GENERATED.sub(" ", prose(page))))


def command_help() -> Iterator[tuple[str, str]]:
    yield "witnd --help", JSON_TEXT.sub(" ", cli_block())


def templates() -> Iterator[tuple[str, str]]:
    """The visible text of each template."""
    for template in sorted((ROOT / "witnd").rglob("*.html")):
        yield name_of(template), INVISIBLE.sub(" ", template.read_text())


PLACES = [
    pytest.param(documentation, id="documentation"),
    pytest.param(command_help, id="command help"),
    pytest.param(templates, id="templates"),
]


def rows() -> list[tuple[str, list[str]]]:
    return [(row["term"], re.findall(r"\*([^*]+)\*", row["excluded"])) for row in ROW.finditer(GLOSSARY.read_text())]


def uses(text: str, words: str) -> bool:
    spaced = r"\s+".join(map(re.escape, words.split()))
    return re.search(rf"\b{spaced}\b", text, re.IGNORECASE) is not None


@pytest.mark.parametrize("texts", PLACES)
def test_no_text_uses_a_word_that_the_glossary_excludes(texts: Callable[[], Iterator[tuple[str, str]]]) -> None:
    excluded = {words: f"write {term!r}" for term, several in rows() for words in several}
    excluded |= dict.fromkeys(STYLE, "rephrase")
    found = [
        f"{place}: {words!r}: {remedy}"
        for place, text in texts()
        for words, remedy in excluded.items()
        if uses(text, words)
    ]
    assert not found, "\n".join(found)


def test_every_row_of_the_glossary_can_be_read() -> None:
    lines = [line for line in GLOSSARY.read_text().splitlines() if line.startswith("| ")]
    assert len(rows()) == len(lines) - 2


def test_terms_are_sorted_and_no_term_is_excluded_by_another() -> None:
    terms = [term for term, _ in rows()]
    assert terms == sorted(terms)
    assert set(terms).isdisjoint(words for _, several in rows() for words in several)
