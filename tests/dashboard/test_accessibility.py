"""Every page by the rules of WCAG 2.1 A and AA, in light and dark, wide and narrow, full and empty; and by keyboard."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.dashboard.browser import Tab
from tests.dashboard.sample import Sample, looked_at, same, sample
from tests.support.server import Server
from tests.web.api_server import api_server

axe_of = pytest.importorskip("axe_playwright_python.base", reason="pip install -e '.[browser]'")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
# What the colours and the width decide.
COLOURS = {
    "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block", "scrollable-region-focusable"]}
}
# One row of a table is as good as the other.
ALIKE = {"include": ["html"], "exclude": ["tbody tr:nth-child(n+9)"]}
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
EMPTY = [path for path in looked_at() if "{" not in path]


@pytest.fixture(scope="module", params=["full", "empty"])
def world(request: pytest.FixtureRequest) -> Iterator[Sample]:
    with TemporaryDirectory(prefix="witnd-") as directory, Server(Path(directory)) as server:
        if request.param == "full":
            with sample(server, Path(directory)) as full:
                yield full
        else:
            with api_server(server, Path(directory)) as api:
                yield Sample(api, same)


@pytest.fixture(scope="module")
def tab(world: Sample, browser: Any) -> Iterator[Tab]:
    """One tab for all pages: the colours and the width are changed in it."""
    opened = Tab(browser.new_context(viewport=WIDE), world.api)
    opened.sign_in(world.api.tokens["admin"])
    yield opened
    opened.page.context.close()


def violations(tab: Tab, rules: dict[str, Any]) -> list[str]:
    page = tab.page
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe_of.AXE_SCRIPT)
    options = {"resultTypes": ["violations"], **rules}
    found = page.evaluate("([context, options]) => axe.run(context, options)", [ALIKE, options])["violations"]
    return [f"{one['id']}: {node['html'][:200]} {node['failureSummary']}" for one in found for node in one["nodes"]]


def wrong_with(tab: Tab, views: Sequence[tuple[str, Any]]) -> dict[str, list[str]]:
    """What is wrong with the page that is shown, by how it is looked at: first by all rules, then by its colours."""
    page = tab.page
    found = {}
    for colours, width in views:
        page.set_viewport_size(width)
        page.emulate_media(color_scheme=colours)
        wrong = violations(tab, RULES if (colours, width) == views[0] else COLOURS)
        if page.evaluate("document.scrollingElement.scrollWidth > document.scrollingElement.clientWidth"):
            wrong.append("the page scrolls sideways")
        if wrong:
            found[f"{colours}, {width['width']}"] = wrong
    page.set_viewport_size(WIDE)
    page.emulate_media(color_scheme="light")
    return found


@pytest.mark.parametrize("world", ["full"], indirect=True)
@pytest.mark.parametrize("path", looked_at())
def test_a_page_can_be_used_by_everybody(tab: Tab, world: Sample, path: str) -> None:
    _look(tab, world.named(path), [("light", WIDE), ("light", NARROW), ("dark", NARROW), ("dark", WIDE)])


@pytest.mark.parametrize("world", ["empty"], indirect=True)
@pytest.mark.parametrize("path", EMPTY)
def test_a_page_with_nothing_on_it_can_be_used_by_everybody(tab: Tab, path: str) -> None:
    _look(tab, path, [("light", WIDE), ("dark", NARROW)])


def _look(tab: Tab, address: str, views: Sequence[tuple[str, Any]]) -> None:
    answer = tab.open(address)
    assert answer.status == 200
    tab.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert wrong_with(tab, views) == {}
    assert tab.page.locator("h1").count() == 1
    # Printed pages are in the language of the buyer.
    languages = ("en", "de", "fr") if address.endswith("/print") else ("en",)
    assert tab.page.locator("html").get_attribute("lang") in languages
    assert tab.page.title() not in ("", " · witnd")
    assert not tab.noise


# -- by keyboard ------------------------------------------------------------------------------------------------------

FOCUSED = """() => {
    const one = document.activeElement;
    if (one === document.body) return null;
    const style = getComputedStyle(one), box = one.getBoundingClientRect();
    return {
        name: (one.innerText || one.value || one.getAttribute("aria-label") || one.id).trim().split("\\n")[0],
        text: one.outerHTML.slice(0, 200),
        outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
        seen: box.width > 1 && box.height > 1 && box.bottom > 0 && box.top < innerHeight,
        hidden: one.closest("[aria-hidden=true]") !== null,
    };
}"""


def tabbed(tab: Tab) -> list[dict[str, Any]]:
    """Everything that the Tab key reaches, in its order."""
    found: list[dict[str, Any]] = []
    for _ in range(300):
        tab.page.keyboard.press("Tab")
        one = tab.page.evaluate(FOCUSED)
        # Behind the last one comes the browser's own, or the first one again.
        if one is None or (found and one["text"] == found[0]["text"]):
            return found
        found.append(one)
    raise AssertionError("it has no end")


@pytest.mark.parametrize("world", ["full"], indirect=True)
@pytest.mark.parametrize(
    ("path", "action"),
    [
        ("/dashboard", "See all"),
        ("/dashboard/outcomes", "Search"),
        ("/dashboard/outcomes/{key}", "Copy link"),
        ("/dashboard/agents/new", "Create agent"),
        ("/dashboard/rate-cards/new", "Create rate card"),
        ("/dashboard/customers/{key}", "Edit"),
        ("/dashboard/notifications/{name}", "Edit"),
        ("/dashboard/invoices/{id}", "Print or save as PDF"),
        ("/dashboard/problems", "Retry all"),
    ],
)
def test_the_keyboard_reaches_what_a_page_is_for_and_it_is_seen_where_one_is(
    tab: Tab, world: Sample, path: str, action: str
) -> None:
    tab.open(world.named(path))
    found = tabbed(tab)
    assert found[0]["name"] == "Skip to content"
    assert [one["text"] for one in found if not one["outlined"]] == [], "what is focused is not marked"
    assert [one["text"] for one in found if not one["seen"] or one["hidden"]] == [], "what is focused is not seen"
    assert any(one["name"].startswith(action) for one in found), [one["name"] for one in found]


@pytest.mark.parametrize("world", ["full"], indirect=True)
def test_the_way_over_the_menu_leads_into_the_page(tab: Tab) -> None:
    tab.open("/dashboard/customers")
    page = tab.page
    page.keyboard.press("Tab")
    assert page.get_by_role("link", name="Skip to content").bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")
