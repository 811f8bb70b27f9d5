"""What the script adds to pages: searches in place, forms that are not lost, instants in one zone."""

import pytest

from tests.dashboard.browser import Tab
from tests.web.api_server import ApiServer
from tests.web.catalogue import stocked

pytestmark = pytest.mark.slow


def test_clear_appears_after_a_search_that_a_script_made(tab: Tab, api: ApiServer) -> None:
    stocked(api)
    tab.open("/dashboard/customers")
    page = tab.page
    assert page.get_by_role("link", name="Clear").count() == 0
    page.locator("[name=search]").fill("  acme ")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Clear").wait_for()
    assert page.get_by_role("link", name="Acme").count() + page.get_by_text("acme").count() > 0


def test_instants_stay_in_the_zone_of_billing(tab: Tab, api: ApiServer) -> None:
    stocked(api)
    tab.open("/dashboard/changes")
    times = tab.page.locator("time").all_text_contents()
    assert times
    assert all(text.endswith("UTC") or text.startswith("in ") for text in times)


def test_leaving_an_edited_form_asks_first(tab: Tab, api: ApiServer) -> None:
    tab.open("/dashboard/customers/new")
    page = tab.page
    asked: list[str] = []

    def accept(dialog: object) -> None:
        asked.append(dialog.type)  # type: ignore[attr-defined]
        dialog.accept()  # type: ignore[attr-defined]

    page.on("dialog", accept)
    page.locator("[name=key]").press_sequentially("acme")
    page.goto(f"{page.url.partition('/dashboard')[0]}/dashboard/agents")
    assert asked == ["beforeunload"]
