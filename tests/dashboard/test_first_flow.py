"""The way from an empty system to a printed invoice, in a browser: with scripts, and once more without."""

import io
import re
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from tests.dashboard.browser import Tab
from tests.dashboard.sample import answering
from tests.support.server import Server
from tests.web.api_server import ApiServer, api_server
from witnd.config import BillingConfig
from witnd.domain.values.period import Calendar

pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed: pip install -e '.[browser]'")


@pytest.fixture
def endpoint() -> Iterator[str]:
    """Where notifications go."""
    with answering("") as address:
        yield f"{address}/200"


@pytest.fixture
def empty(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
    """A daemon that knows of nothing, and leaves invoices to people."""
    local = (ip_network("127.0.0.0/8"),)
    billing = BillingConfig(issue="manual")
    with api_server(session_server, tmp_path, allow_networks=local, billing=billing) as opened:
        yield opened


@pytest.fixture
def somebody(empty: ApiServer, browser: Any, request: pytest.FixtureRequest) -> Iterator[Tab]:
    """An admin; `request.param` says whether the browser runs scripts."""
    context = browser.new_context(java_script_enabled=request.param)
    opened = Tab(context, empty)
    opened.watch(context)
    opened.sign_in(empty.tokens["admin"])
    yield opened
    context.close()
    assert not opened.noise


scripted = pytest.mark.parametrize("somebody", [True], indirect=True, ids=[""])
plain = pytest.mark.parametrize("somebody", [False], indirect=True, ids=[""])


@scripted
def test_from_nothing_to_a_printed_invoice(somebody: Tab, empty: ApiServer, endpoint: str) -> None:
    page = somebody.page
    create_agent(page, scripts=True)
    create_rate_card(somebody, scripts=True)
    create_customer(somebody)
    create_notification(somebody, endpoint)
    somebody.open("/dashboard")
    assert page.locator(".steps > .done").count() == 4

    # What was done last month, as a system that is connected now sends it afterwards.
    seconds, _ = empty.deployment.call("TIME")
    last_month = Calendar.of("month").period_at(int(seconds) * 1000).start - 86_400_000
    empty.deployment.event("ticket-0001", "replied", at=f"{last_month}-*")
    confirmed = page.locator("a.figure", has_text="Confirmed")
    confirmed.locator(".value", has_text=re.compile("^1$")).wait_for()

    follow_an_outcome(somebody, empty)
    bill_last_month(somebody)


@plain
def test_all_of_it_can_be_set_up_and_seen_without_scripts(somebody: Tab, empty: ApiServer, endpoint: str) -> None:
    page = somebody.page
    create_agent(page, scripts=False)
    create_rate_card(somebody, scripts=False)
    create_customer(somebody)
    create_notification(somebody, endpoint)
    send(empty, "ticket-4711", "replied")
    until_shown(somebody, "/dashboard/outcomes?status=confirmed", "ticket-4711")
    page.get_by_role("link", name="ticket-4711").click()
    assert "0.99" in page.locator("main").inner_text()
    until_shown(somebody, "/dashboard/invoices", "Acme GmbH")
    page.locator("[data-list=invoices] th a").first.click()
    assert "ticket-4711" in page.locator("[data-list=lines]").inner_text()


# -- what somebody does -----------------------------------------------------------------------------------------------


def create_agent(page: Any, *, scripts: bool) -> None:
    page.locator(".steps a[href='/dashboard/agents/new']").click()
    page.locator("[name=key]").fill("support")
    page.locator("[name=name]").fill("Support desk")
    page.locator("[name='c.0.fact']").fill("replied")
    page.locator("button[value='check:']").click()
    page.locator("[name='c.1.fact']").fill("reopened")
    page.locator("[name='c.1.choice']").select_option("not seen")
    page.locator("[name=period]").fill("12")
    page.locator("[name=unit]").select_option("seconds")
    if scripts:
        page.locator("#reading", has_text="reopened").wait_for()
    page.locator("[name='e.0.action']").fill("replied")
    page.locator("button[value=try]").click()
    page.locator("#trial [data-case=confirmed]").wait_for()
    assert page.locator("[name='c.1.fact']").input_value() == "reopened", "what was typed is still there"
    page.locator("button[value=save]").click()
    page.get_by_role("heading", name="Support desk").wait_for()
    assert "reopened" in page.locator("main").inner_text()


def create_rate_card(tab: Tab, *, scripts: bool) -> None:
    tab.open("/dashboard")
    page = tab.page
    page.locator(".steps a[href='/dashboard/rate-cards/new']").click()
    tab.field("key").fill("standard")
    tab.field("currency").select_option("EUR")
    tab.field("entries[0].agent").select_option("support")
    tab.field("entries[0].price_per_unit").fill("0.99")
    tab.field("outcomes").fill("10")
    if not scripts:
        page.locator("noscript button[value=show], #preview ~ button, .keep button[value=show]").first.click()
    page.locator("#preview-total", has_text="9.90").wait_for()
    tab.press("save")
    page.get_by_role("heading", name="standard", exact=True).wait_for()


def create_customer(tab: Tab) -> None:
    tab.open("/dashboard")
    page = tab.page
    page.locator(".steps a[href='/dashboard/customers/new']").click()
    tab.field("key").fill("acme")
    tab.field("name").fill("Acme GmbH")
    tab.field("rate_card").select_option("standard")
    page.locator("main form button.primary").click()
    page.get_by_role("heading", name="Acme GmbH").wait_for()


def create_notification(tab: Tab, endpoint: str) -> None:
    tab.open("/dashboard")
    page = tab.page
    page.locator(".steps a[href='/dashboard/notifications/new']").click()
    tab.field("name").fill("crm")
    tab.field("url").fill(endpoint)
    page.locator("main form button.primary").click()
    page.locator("#secret[data-case=created]").wait_for()
    assert re.search(r"whsec_[A-Za-z0-9+/=]{32,}", page.locator("main").inner_text())


def send(api: ApiServer, key: str, action: str) -> None:
    body = {"key": key, "customer_key": "acme", "agent_key": "support", "action": action}
    assert api.ask("POST", "/v1/events", body, scope="ingest").status == 202


def follow_an_outcome(tab: Tab, api: ApiServer) -> None:
    """It arrives in an open list, settles there, and says why it is billed; its draft has it."""
    page = tab.page
    tab.open("/dashboard/outcomes")
    page.get_by_role("link", name="ticket-0001").wait_for()
    page.evaluate("window.kept = true")
    send(api, "ticket-4711", "replied")
    row = page.get_by_role("row").filter(has_text="ticket-4711")
    row.locator("[data-state=pending]").wait_for()
    row.locator("[data-state=confirmed]").wait_for()
    assert page.evaluate("window.kept"), "the page was not loaded again"
    row.get_by_role("link", name="ticket-4711").click()
    page.get_by_role("heading", name="ticket-4711").wait_for()
    assert page.locator("#why code").first.inner_text() == "replied"
    assert "0.99\u00a0EUR" in page.locator("main").inner_text()
    page.locator("[data-case=delivery]").wait_for()
    page.locator("[data-fact=amount] a").click()
    page.locator("[data-list=lines]").get_by_role("link", name="ticket-4711", exact=True).wait_for()
    page.get_by_role("heading", name="Acme GmbH").wait_for()


def bill_last_month(tab: Tab) -> None:
    """The draft of last month is issued and printed."""
    page = tab.page
    page.locator("nav a[href='/dashboard/invoices']").first.click()
    tab.field("status").select_option("draft")
    page.locator("#search").click()
    rows = page.locator("[data-list=invoices]").get_by_role("row").filter(has_text="Acme GmbH")
    page.wait_for_url("**/dashboard/invoices?status=draft")
    assert rows.count() == 1, "the one of this month still collects"
    rows.get_by_role("rowheader").get_by_role("link").click()
    page.locator("[data-list=lines]").get_by_role("link", name="ticket-0001", exact=True).wait_for()
    page.locator("#do-issue summary").click()
    page.locator("#do-issue").get_by_role("checkbox").check()
    page.locator("#do-issue button.primary").click()
    page.get_by_role("heading", name="INV-000001").wait_for()
    with page.expect_popup() as opened:
        page.locator("a[href$='/print']").first.click()
    opened.value.wait_for_load_state()
    [sheet] = pypdf.PdfReader(io.BytesIO(opened.value.pdf(format="A4"))).pages
    text = re.sub(r"\s+", " ", sheet.extract_text())
    for word in ("INV-000001", "Acme GmbH", "ticket-0001", "0.99", "EUR"):
        assert word in text, text


def until_shown(tab: Tab, path: str, text: str) -> None:
    """Load a page again until it has the text, as people do without scripts."""
    for _ in range(100):
        tab.open(path)
        if text in tab.page.locator("main").inner_text():
            return
        time.sleep(0.1)
    raise AssertionError(f"{text} does not appear at {path}: {tab.page.locator('main').inner_text()}")
