"""The text of every page: `python -m tests.dashboard.golden` writes it to `golden/` anew.

A scenario at fixed instants, and one file for each template with what its cases show: text and links, no markup.
What differs from run to run is replaced: ids, digests, and instants of the run. `test_golden.py` compares them; no
other test knows a sentence.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from tests.dashboard.client import Page
from tests.dashboard.golden_scenario import empty, prepared, visits, visits_of_nothing
from tests.support.server import Server
from witnd import __version__
from witnd.web.dashboard import view

# Visits that show the frame of all pages too, of an admin and of a reader.
_WHOLE = ("nothing at /", "a reader at /")
FOLDER = Path(__file__).with_name("golden")
TEMPLATES = Path(view.__file__).parent.parent / "templates" / "dashboard"
# What has lines of its own, and what is one line whatever is in it.
_BLOCK = " or ".join(
    f"self::{tag}"
    for tag in ("div", "section", "form", "p", "ul", "ol", "dl", "table", "h1", "h2", "h3", "li", "dt", "dd", "details",
                "fieldset", "pre", "tr", "main", "header", "nav", "label", "button")
)  # fmt: skip
_LEAVES = frozenset(("p", "h1", "h2", "h3", "dt", "dd", "pre", "label", "button", "summary", "select", "a"))
_INLINE = frozenset(("b", "code", "em", "strong", "time", "a"))
# Lists of all currencies and the like are left out.
_MOST_OPTIONS = 20
_INSTANT = r"\d{1,2} [A-Z][a-z]{2} 20(?:2[6-9]|[3-8]\d), \d\d:\d\d UTC"
_CHANGING = (
    (re.compile(_INSTANT), "<now>"),
    (re.compile(r"20(?:2[6-9]|[3-8]\d)-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"), "<now>"),
    (re.compile(r"20(?:2[6-9]|[3-8]\d)-\d\d-\d\d"), "<day>"),
    (re.compile(r"\b(?:0[1-9]|1[0-2])-[0-3]\d\b"), "<day>"),
    (re.compile(r"127\.0\.0\.1:\d+"), "<address>"),
    (re.compile(r"unix://\S+|redis://\S+"), "<redis>"),
    (re.compile(r"whsec_[A-Za-z0-9+/=]+"), "<secret>"),
    (re.compile(r"wn_[0-9a-f]{12}_[\w-]+"), "<token>"),
    (re.compile(r"test_[0-9a-f]{8,}"), "<id>"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{64}\b"), "<digest>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{32}\b"), "<id>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8}\b"), "<id>"),
    (re.compile(r"/tmp/[\w.-]+(?:/[\w.-]+)*"), "<directory>"),
    (re.compile(r"\b1[6-9]\d{11}-\d+\b"), "<entry>"),
    (re.compile(r"\b\d+ ms\b"), "<ms>"),
    (re.compile(r"\b(?:Redis|Valkey) \d+\.[\w.]+"), "<server>"),
    (re.compile(r"\d+(?:\.\d+)? MiB\b"), "<size>"),
    (re.compile(r"^0 \| \d+ \| (?=\d+ \| \d+$)", re.MULTILINE), "0 | <entries> | "),
    # How far the biller had read when the invoice was issued.
    (re.compile(r"(?<=issued_through )\S+"), "<instant>"),
    (re.compile(r"(?<=Uptime\n).*"), "<span>"),
    (re.compile(rf"version {re.escape(__version__)}\b"), "version <version>"),
)


def text_of(page: Page, *, whole: bool = False) -> str:
    """A page as lines of text, with the address of each link and the name of each field. `whole`: with the frame that
    all pages have."""
    body = page.document.body
    frame = "" if whole else " | .//header[@class='side'] | .//a[@class='skip']"
    for one in body.xpath(f".//svg | .//script{frame}"):
        one.drop_tree()
    lines: list[str] = []
    _lines(body, lines)
    return _stable("\n".join(line for line in lines if line))


def _lines(element: Any, lines: list[str]) -> None:
    """A line for each row of a table and each block with nothing but text in it."""
    if element.tag == "tr":
        lines.append(" | ".join(_line(cell) for cell in element))
    elif element.get("data-list") == "tokens":
        # Their order is that of their ids.
        lines += sorted(_stable(" | ".join(_line(cell) for cell in row)) for row in element.xpath(".//tr"))
    elif element.xpath(f"./descendant-or-self::*[{_BLOCK}]") and element.tag not in _LEAVES:
        lines.append(_words(element.text))
        for child in element:
            if isinstance(child.tag, str):
                _lines(child, lines)
            lines.append(_words(child.tail))
    else:
        lines.append(_line(element))


def _line(element: Any) -> str:
    """The text of an element on one line."""
    return _words("".join(_parts(element)))


def _parts(element: Any) -> Iterator[str]:
    if element.tag in ("input", "select", "textarea"):
        if element.get("type") != "hidden":
            label, hint = element.get("aria-label"), element.get("placeholder")
            yield f" [{element.get('name')}{f': {label}' if label else ''}{f' ({hint})' if hint else ''}] "
        options = element.xpath("./option | ./optgroup/option") if element.tag == "select" else []
        if len(options) <= _MOST_OPTIONS:
            yield " / ".join(_words(one.text_content()) for one in options)
        return
    space = "" if element.tag in _INLINE or element.get("class") in ("money", "currency", "quiet") else " "
    yield space + (element.text or "")
    for child in element:
        yield from _parts(child)
        yield child.tail or ""
    yield f" → {element.get('href')} " if element.tag == "a" else space


def _words(text: str | None) -> str:
    return " ".join((text or "").split())


def _stable(text: str) -> str:
    for changing, name in _CHANGING:
        text = changing.sub(name, text)
    return text


@contextmanager
def rendered() -> Iterator[list[str]]:
    """Notes which templates become pages."""
    seen: list[str] = []
    real = view.rendered

    def noted(template: str, values: Any) -> str:
        seen.append(template)
        return real(template, values)

    with patch.object(view, "rendered", noted):
        yield seen


def taken(server: Server, directory: Path) -> dict[str, str]:
    """The text of each template's page: the name of its file → the text of its cases."""
    found: dict[str, list[str]] = {}

    def take(visited: Iterator[tuple[str, Page]]) -> None:
        for name, page in visited:
            heading = _stable(f"== {name} ({page.status}) ==")
            found.setdefault(seen[-1], []).append(f"{heading}\n{text_of(page, whole=name in _WHOLE)}\n")

    with rendered() as seen:
        with empty(server, directory) as api:
            take(visits_of_nothing(api))
        server.call("FLUSHALL")
        with prepared(server, directory) as scenario:
            take(visits(scenario))
    return {f"{template.removesuffix('.html')}.txt": "\n".join(texts) for template, texts in sorted(found.items())}


def write() -> None:
    """Write all golden pages anew."""
    with TemporaryDirectory(prefix="witnd-") as directory, Server(Path(directory)) as server:
        texts = taken(server, Path(directory))
    for old in FOLDER.rglob("*.txt"):
        old.unlink()
    for name, text in texts.items():
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"{len(texts)} golden pages in {FOLDER}")


if __name__ == "__main__":
    sys.exit(write())
