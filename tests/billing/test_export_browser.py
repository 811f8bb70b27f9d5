"""Pages in a real browser: printed on A4 and Letter, and on a narrow screen. Skipped where there is none."""

import asyncio
import io
import os
import re
import shutil
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.billing.bills import (
    EXPORT,
    MANUAL,
    REDUCED,
    TIERS,
    Bill,
    all_of,
    bill,
    credit,
    manual,
    note,
    opened,
    price,
    samples,
    taxed,
    taxed_note,
    text,
)
from witnd.billing.export.page import invoice_page, note_page

INSTALL = "pip install -e '.[browser]'"
sync_api = pytest.importorskip("playwright.sync_api", reason=f"playwright is not installed: {INSTALL}")
pypdf = pytest.importorskip("pypdf", reason=f"pypdf is not installed: {INSTALL}")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium, or see .ci")
SIZES = ["A4", "Letter"]


@pytest.fixture(scope="module")
def chromium(pages: dict[str, str]) -> Iterator[Any]:
    # The sandbox needs what root in a container does not have; the pages are our own.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    # Before the browser starts, whose driver keeps an event loop of its own in this thread.
    return asyncio.run(_pages())


async def _pages() -> dict[str, str]:
    several = samples()["several"]
    rows = await all_of(several.rows())
    return {
        "several": await text(invoice_page(several)),
        "long": await text(invoice_page(long())),
        "open": await text(invoice_page(opened(several, rows))),
        "note": await text(note_page(note(several, rows[0], "-0.75"))),
        "taxed": await text(invoice_page(taxed_bill())),
        "taxed-note": await text(note_page(taxed_note(taxed_bill()))),
    }


def long() -> Bill:
    work = [
        ("ticket", price(price_per_unit="0.995"), ["1"] * 90),
        ("case-" + "x" * 240, price("fraud", kind="graduated", tiers=TIERS), ["4", "9"]),
    ]
    return bill(work, given=lambda rows: [credit(rows[0], "-0.50", "y" * 500, "acme")])


def taxed_bill() -> Bill:
    lines = [*MANUAL, manual(9, "x" * 200, "1234567890.12", tax="reduced")]
    return taxed(lines, reduced=REDUCED, export=EXPORT)


class Seen:
    """A page in the browser, and all that it did not do quietly."""

    def __init__(self, chromium: Any, directory: Path, page: str, width: int = 1000) -> None:
        file = directory / "page.html"
        file.write_text(page)
        self.address = file.as_uri()
        self.noise: list[str] = []
        self.page = chromium.new_page(viewport={"width": width, "height": 900})
        self.page.on("console", lambda message: self.noise.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.noise.append(f"error: {error}"))
        self.page.on("request", lambda request: self.noise.append(f"request: {request.url}"))
        self.page.goto(self.address)

    def printed(self, size: str) -> list[str]:
        """The text of each sheet of paper, without the ligatures that some fonts have."""
        document = pypdf.PdfReader(io.BytesIO(self.page.pdf(format=size)))
        texts = [unicodedata.normalize("NFKC", sheet.extract_text()) for sheet in document.pages]
        return [re.sub(r"\s+", " ", text) for text in texts]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["several", "long", "open", "note", "taxed", "taxed-note"])
def test_a_page_prints_without_a_sound_and_asks_for_nothing(
    chromium: Any, tmp_path: Path, pages: dict[str, str], name: str, size: str
) -> None:
    seen = Seen(chromium, tmp_path, pages[name])
    sheets = seen.printed(size)
    assert seen.noise == [f"request: {seen.address}"]
    widths = seen.page.evaluate("() => [...document.images].map(one => one.naturalWidth)")
    assert widths == ([2] if name.startswith("taxed") else []), "the logo is shown"
    for number, sheet in enumerate(sheets, 1):
        assert f"Page {number} of {len(sheets)}" in sheet


@pytest.mark.parametrize("size", SIZES)
def test_a_long_table_has_its_head_on_every_sheet_and_no_row_is_split(
    chromium: Any, tmp_path: Path, pages: dict[str, str], size: str
) -> None:
    sheets = Seen(chromium, tmp_path, pages["long"]).printed(size)
    assert len(sheets) > 3
    for sheet in sheets:
        if re.search(r"ticket-\d{4} \d", sheet):
            assert "Outcome Confirmed Quantity Unit price Amount" in sheet
    for number in range(1, 91):
        row = rf"ticket-{number:04} \d+ \w+ 20\d\d, \d\d:\d\d 1 0\.995 1\.00"
        assert sum(bool(re.search(row, sheet)) for sheet in sheets) == 1, number


@pytest.mark.parametrize("size", SIZES)
def test_the_sums_stay_together(chromium: Any, tmp_path: Path, pages: dict[str, str], size: str) -> None:
    for name in ("several", "long"):
        sums = re.compile(r"Subtotal [\d.]+ Credits −0\.50 .*(Total|Amount) due [\d.]+")
        assert sum(bool(sums.search(one)) for one in Seen(chromium, tmp_path, pages[name]).printed(size)) == 1


def test_a_draft_is_marked_on_every_sheet(chromium: Any, tmp_path: Path, pages: dict[str, str]) -> None:
    sheets = Seen(chromium, tmp_path, pages["open"]).printed("A4")
    assert len(sheets) > 1
    assert ["DRAFT" in sheet for sheet in sheets] == [True] * len(sheets)


@pytest.mark.parametrize("width", [360, 700, 1400])
@pytest.mark.parametrize("name", ["several", "long", "note", "taxed", "taxed-note"])
def test_nothing_sticks_out_on_a_screen(
    chromium: Any, tmp_path: Path, pages: dict[str, str], name: str, width: int
) -> None:
    seen = Seen(chromium, tmp_path, pages[name], width)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    stick_out = """() => [...document.querySelectorAll('.sheet td, .sheet th, .sheet p, .sheet dd')]
        .filter(one => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== 'none'
                       && !one.matches('.stamp'))
        .map(one => one.textContent)"""
    assert seen.page.evaluate(stick_out) == []


def test_amounts_are_under_each_other(chromium: Any, tmp_path: Path, pages: dict[str, str]) -> None:
    seen = Seen(chromium, tmp_path, pages["several"])
    last_columns = "[...document.querySelectorAll('.sheet td.number:last-child')]"
    edges = seen.page.evaluate(f"() => {last_columns}.map(one => one.getBoundingClientRect().right)")
    assert len(edges) > 20
    assert max(edges) - min(edges) < 1
