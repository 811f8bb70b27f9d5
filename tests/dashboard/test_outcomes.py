"""The list of outcomes: searched, filtered, in pages."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import pytest

from tests.dashboard.browser import Tab
from tests.dashboard.client import Dashboard, Page
from tests.support.deployment import Deployment
from tests.support.processes import until
from tests.support.server import Server
from tests.web.api_server import ApiServer
from tests.web.recorded_run import recorded_run

ODD = "odd/1?x=1&<script>alert(1)</script>#%\"'é漢字"


def some(deployment: Deployment) -> None:
    deployment.event("ticket-0001", "replied", 0, properties={"attribution": 3})
    deployment.event("ticket-0002", "replied", 1)
    deployment.event("ticket-0003", "replied", 2)
    deployment.event("ticket-0003", "reopened", 3)
    deployment.event(ODD, "replied", 4)
    deployment.event("ticket-0004", "rated", agent_key="patient", properties={"value": 5}, at="*")
    deployment.event("ticket-0005", "asked", agent_key="patient", at="*")


@pytest.fixture(scope="module")
def api() -> Iterator[ApiServer]:
    """One daemon for all tests that only read."""
    with (
        TemporaryDirectory(prefix="witnd-") as directory,
        Server(Path(directory)) as server,
        recorded_run(server, Path(directory), some) as opened,
    ):
        yield opened


def keys(page: Page) -> list[str]:
    return [row[0] for row in page.rows("outcomes")]


def test_the_list_has_the_newest_first_with_what_each_is(reader: Dashboard) -> None:
    page = reader.get("/dashboard/outcomes")
    assert keys(page) == ["ticket-0005", "ticket-0004", ODD, "ticket-0003", "ticket-0002", "ticket-0001"]
    last = page.rows("outcomes")[-1]
    assert last[0:1] + last[2:5] == ["ticket-0001", "acme", "support", "1"]
    assert last[5:] == ["9 Sep 2001, 01:46 UTC", "9 Sep 2001, 01:47 UTC", "2.99 EUR"]
    assert page.states("outcomes") == [["open"], ["pending"], ["confirmed"], ["missed"], ["confirmed"], ["confirmed"]]
    assert page.links()["ticket-0001"] == "/dashboard/outcomes/ticket-0001"
    assert page.find("//main").get("data-live") == "/dashboard/live"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"search": "ticket-000"}, [1, 2, 3, 4, 5]),
        ({"search": "ticket-0003"}, [3]),
        ({"search": "ticket-000", "match": "exact"}, []),
        ({"search": "ticket-0003", "match": "exact"}, [3]),
        ({"search": "Ticket"}, []),
        ({"status": "missed"}, [3]),
        ({"status": "open,pending"}, [5, 4]),
        ({"agent": "patient"}, [5, 4]),
        ({"customer": "acme", "status": "pending"}, [4]),
        ({"customer": "nobody"}, []),
    ],
)
def test_it_is_searched_and_keeps_what_was_asked_for(admin: Dashboard, asked: dict[str, Any], found: list[int]) -> None:
    page = admin.submit(admin.get("/dashboard/outcomes"), "/dashboard/outcomes", **asked)
    assert keys(page) == [f"ticket-000{n}" for n in found]
    for name, value in asked.items():
        assert page.find(f"//form[@role='search']//*[@name='{name}']").value == value
    assert ("no-match" in page.cases) is not bool(found)
    assert page.document.xpath("//*[@id='search-actions']//a/@href") == ["/dashboard/outcomes"]
    assert keys(admin.get("/dashboard/outcomes"))


def test_hostile_keys_stay_text_and_their_links_lead_to_them(admin: Dashboard) -> None:
    page = admin.get(f"/dashboard/outcomes?search={quote(ODD[:8])}")
    assert keys(page) == [ODD]
    assert not page.document.xpath("//main//script")
    assert admin.get(page.links()[ODD]).find("//h1").text_content() == ODD
    page = admin.get('/dashboard/outcomes?search="><script>alert(1)</script>'.replace(" ", "%20"))
    assert not page.document.xpath("//main//script")


def test_what_no_list_has_is_refused(admin: Dashboard) -> None:
    page = admin.get("/dashboard/outcomes?status=settled")
    assert page.status == 400
    assert page.is_refused
    assert admin.get("/dashboard/outcomes?after=zzz").status == 400


def test_pages_fit_together_with_their_filters(session_server: Server, redis_url: str, tmp_path: Path) -> None:
    def prepare(deployment: Deployment) -> None:
        for n in range(120):
            deployment.event(f"ticket-{n:04}", "replied" if n % 2 else "reopened", n // 40)

    with recorded_run(session_server, tmp_path, prepare, partitions=2) as api:
        admin = Dashboard(api)
        page = admin.get("/dashboard/outcomes?status=missed&search=ticket-0")
        found = keys(page)
        assert "first" not in page.pages
        while "next" in page.pages:
            page = admin.get(page.pages["next"])
            found += keys(page)
            assert page.pages["first"] == "/dashboard/outcomes?search=ticket-0&status=missed"
        assert found == [f"ticket-{n:04}" for n in range(0, 120, 2)]


def test_a_list_that_looked_at_enough_leads_on(admin: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("witnd.app.outcomes.list.LOOKED_AT_MAX", 2)
    page = admin.get("/dashboard/outcomes?agent=support")
    assert keys(page) == []
    assert keys(admin.get(page.pages["further"])) == [ODD, "ticket-0003"]


def test_an_empty_list_shows_how_to_send_an_event(session_server: Server, redis_url: str, tmp_path: Path) -> None:
    with recorded_run(session_server, tmp_path, lambda _: None) as api:
        page = Dashboard(api).get("/dashboard/outcomes")
        assert page.cases == ["none-yet"]
        [curl, xadd] = page.document.xpath("//main//*[@data-copy]/@data-copy")
        assert curl.startswith(f"curl -X POST http://{api.address[0]}:{api.address[1]}/v1/events")
        assert xadd.startswith("redis-cli XADD 'witn:{0}:events' '*' key ticket-4711")


class TestChanging:
    @pytest.fixture
    def api(self, session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
        with recorded_run(session_server, tmp_path, some) as opened:
            yield opened

    def test_it_is_searched_without_loading_the_page_again(self, tab: Tab, api: ApiServer) -> None:
        tab.open("/dashboard/outcomes")
        tab.page.evaluate("window.mark = 1")
        tab.field("search").fill("ticket-0003")
        tab.page.locator("#search").click()
        rows = tab.page.locator("tbody tr")
        until(lambda: rows.count() == 1, "the list is filtered")
        assert tab.page.url.endswith("/dashboard/outcomes?search=ticket-0003")
        assert tab.page.evaluate("window.mark") == 1
        tab.page.go_back()
        until(lambda: rows.count() == 6, "going back shows all")
        api.deployment.event("ticket-0009", "asked", agent_key="patient", at="*")
        tab.page.get_by_role("link", name="ticket-0009").wait_for()
