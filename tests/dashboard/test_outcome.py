"""One outcome as a page: why it was billed or not, its timeline, its terms, and what is held for a key."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.dashboard.browser import Tab
from tests.dashboard.client import Dashboard, Page, figures, names, words
from tests.dashboard.reading import visible_text
from tests.support.deployment import CATALOGUE, LONG_AGO, Deployment
from tests.support.processes import until
from tests.support.server import Server
from tests.web.api_server import ApiServer, api_server
from tests.web.recorded_run import recorded_run
from witnd.app.outcomes import view as told_of
from witnd.domain.webhooks.delivery import Progress
from witnd.store.deliveries.outbox import encode_progress
from witnd.web.dashboard.pages import outcome as page_of
from witnd.web.dashboard.present.markup import sentence_html

ODD = 'odd/1?x=1&<script>alert(1)</script>#%"é漢字'
HOSTILE = "<script>alert('x')</script>"


def lives(deployment: Deployment) -> None:
    deployment.event(
        "ticket-0001", "replied", 0, timestamp="2001-09-09T01:40:00Z", properties={"attribution": 3, "by": "Eve"}
    )
    deployment.event("ticket-0003", "replied", 2)
    deployment.event("ticket-0003", "reopened", 3)
    deployment.event("ticket-0007", "replied", 4)
    deployment.event("ticket-0007", "noted", 5, properties={"settles_at": "2001-09-09T01:46:50.000Z"})
    deployment.event(ODD, "replied", 6, properties={"note": HOSTILE})
    deployment.event(ODD, HOSTILE, 7)
    deployment.event("ticket-0004", "rated", agent_key="patient", properties={"value": 5}, at="*")
    deployment.event("ticket-0005", "asked", agent_key="patient", at="*")
    deployment.event("ticket-0006", "asked", customer_key="penniless", at="*")
    deployment.event("ticket-0006", "replied", customer_key="globex", at="*")


@pytest.fixture
def api(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
    with recorded_run(session_server, tmp_path, lives) as opened:
        yield opened


def at(key: str, query: str = "") -> str:
    return f"/dashboard/outcomes/{quote(key, safe='')}{query}"


def steps(page: Page) -> list[str]:
    return [visible_text(one) for one in page.document.xpath("//ol[@class='timeline']/li")]


def instants(element: Any) -> list[str]:
    return [words(one) for one in element.xpath(".//time")]


def leaves(step: Any) -> dict[str, tuple[bool, bool]]:
    """The checks after an event: the action → whether it holds, and whether that is new."""
    found = step.xpath("./ul/li[@class='yes' or @class='no']")
    return {names(one)[0]: (one.get("class") == "yes", bool(one.xpath(".//@data-state"))) for one in found}


def issued(api: ApiServer) -> None:
    """Wait for the invoice of what is long past."""

    def done() -> bool:
        invoice = api.get("/v1/outcomes/ticket-0001")["invoice"]
        return invoice is not None and invoice["number"] is not None

    until(done, "the invoice is issued")


def test_a_confirmed_outcome_says_why_it_was_billed_and_how_much(admin: Dashboard, api: ApiServer) -> None:
    issued(api)
    page = admin.get(at("ticket-0001"))
    assert (page.status, page.state("standing")) == (200, "confirmed")
    why = page.find("//*[@id='why']")
    assert names(why) == ["replied", "replied"]
    assert [one.text for one in why.xpath(".//time")] == ["9 Sep 2001, 01:46 UTC"] * 2 + ["9 Sep 2001, 01:47 UTC"]
    assert page.fact("amount", visible_text).find("2.99 EUR") > 0
    assert "INV-" in page.fact("amount")
    assert figures(page.find("//*[@data-fact='quantity']")) == ["3", "1"]
    assert page.find("//*[@data-fact='settles']//time").text == "9 Sep 2001, 01:47 UTC"
    [opened, confirmed, line, delivery] = page.items("story")
    assert instants(opened)[:2] == ["9 Sep 2001, 01:40 UTC", "9 Sep 2001, 01:46 UTC"]
    assert confirmed.get("data-case") == "confirmed"
    assert instants(confirmed)[0] == "9 Sep 2001, 01:47 UTC"
    assert figures(line.xpath("./p")[0]) == ["3", "0.995", "2.985", "2.99"]
    assert "1 – 30 September 2001 (UTC)" in visible_text(line)
    assert delivery.xpath(".//@data-state") == ["pending"]
    assert figures(delivery.xpath("./p")[0])[0] == "1"


def test_its_links_lead_on(admin: Dashboard, api: ApiServer) -> None:
    issued(api)
    found = api.get("/v1/outcomes/ticket-0001")
    page = admin.get(at("ticket-0001"))
    links = page.links()
    assert links["acme"] == "/dashboard/customers/acme"
    assert links["Support"] == "/dashboard/agents/support"
    for path in (
        "rate-cards/standard",
        f"deliveries/{found['deliveries'][0]['id']}",
        f"invoices/{found['invoice']['id']}",
    ):
        assert f"/dashboard/{path}" in page.hrefs
    event = found["story"]["events"][0]["entry"]
    assert page.document.xpath("//*[@id='why']//a/@href") == [f"#e-{event}"] * 2
    assert page.find(f"//*[@id='e-{event}']") is not None
    assert f"/dashboard/events/0/{event}?key=ticket-0001" in page.hrefs
    copied = page.document.xpath("//*[@data-copy]/@data-copy")
    assert copied == ["ticket-0001", f"http://{api.address[0]}:{api.address[1]}/dashboard/outcomes/ticket-0001"]


def test_the_terms_it_froze_are_in_words(admin: Dashboard) -> None:
    page = admin.get(at("ticket-0001"))
    assert names(page.find("//*[@data-fact='condition']")) == ["replied", "reopened"]
    assert figures(page.find("//*[@data-fact='period']")) == ["1"]
    price = page.fact("price")
    assert price.startswith("0.995 ")
    assert "EUR" in price


def test_a_missed_outcome_says_which_event_turned_it(admin: Dashboard) -> None:
    page = admin.get(at("ticket-0003"))
    assert page.state("standing") == "missed"
    assert names(page.find("//*[@id='why']"))[0] == "reopened"
    assert instants(page.find("//*[@id='why']"))[0] == "9 Sep 2001, 01:46 UTC"
    assert "–" in page.fact("amount")
    [first, second, missed, _] = page.items("story")
    assert leaves(first) == {"replied": (True, True), "reopened": (True, False)}
    assert leaves(second) == {"replied": (True, False), "reopened": (False, True)}
    assert missed.get("data-case") == "missed"


def test_a_pinned_settlement_is_told_as_such(admin: Dashboard) -> None:
    [first, second, *_] = admin.get(at("ticket-0007")).items("story")
    assert instants(first.find(".//*[@data-case='due']")) == ["9 Sep 2001, 01:47 UTC"]
    assert instants(second.find(".//*[@data-case='pinned']")) == ["9 Sep 2001, 01:46 UTC"]


def test_what_an_event_carried_is_shown_as_it_was_sent(admin: Dashboard, api: ApiServer) -> None:
    page = admin.get(at("ticket-0001"))
    [sent] = page.document.xpath("//ol[@class='timeline']//pre")
    assert json.loads(sent.text_content())["properties"] == {"attribution": 3, "by": "Eve"}
    api.deployment.call("XTRIM", "witn:{0}:events", "MINID", f"{LONG_AGO + 1}-0")
    [opened, *_] = admin.get(at("ticket-0001")).items("story")
    assert "not-in-log" in opened.xpath(".//@data-case")
    assert [words(one) for one in opened.xpath(".//dl/dd")] == ["3"], "the attribution"


@pytest.mark.parametrize(
    ("key", "status", "turns"), [("ticket-0004", "pending", "confirmed"), ("ticket-0005", "open", "missed")]
)
def test_what_is_not_final_counts_down_and_stays_live(admin: Dashboard, key: str, status: str, turns: str) -> None:
    page = admin.get(at(key))
    assert page.state("standing") == status
    assert page.items("story")[-1].get("data-case") == f"turns-{turns}"
    assert page.document.xpath("//ul[@id='figures']//time[@data-until]")
    assert page.find("//main").get("data-live") == "/dashboard/live"


def test_what_is_final_stays_live_while_a_message_waits(admin: Dashboard, api: ApiServer) -> None:
    [id_] = [one["id"] for one in api.get("/v1/outcomes/ticket-0003")["deliveries"]]
    assert admin.get(at("ticket-0003")).find("//main").get("data-live") == "/dashboard/live"
    api.deployment.call("HSET", "witn:{0}:attempts", id_, encode_progress(Progress(standing="dead", reason="no")))
    page = admin.get(at("ticket-0003"))
    assert page.find("//main").get("data-live") is None
    delivery = page.items("story")[-1]
    assert delivery.xpath(".//@data-state") == ["dead"]
    assert words(delivery.xpath("./p")[0]).endswith(": no")


def test_held_events_say_what_they_wait_for(admin: Dashboard, reader: Dashboard) -> None:
    page = admin.get(at("ticket-0006"))
    assert page.cases[:3] == ["held", "no_rate_card", "unknown_customer"]
    assert figures(page.find("//*[@data-case='held']"))[0] == "2"
    assert names(page.find("//*[@data-case='no_rate_card']")) == ["penniless"]
    assert names(page.find("//*[@data-case='unknown_customer']")) == ["globex"]
    create = "/dashboard/customers/new?key=globex"
    assert {"/dashboard/customers/penniless", create} <= page.hrefs
    assert [row[0:1] + row[2:] for row in page.rows("held-events")] == [
        ["asked", "penniless", "support", "NO_RATE_CARD"],
        ["replied", "globex", "support", "UNKNOWN_CUSTOMER"],
    ]
    page = reader.get(at("ticket-0006"))
    assert "/dashboard/customers/penniless" in page.hrefs
    assert create not in page.hrefs, "who only reads cannot create it"
    assert not page.document.xpath("//main//form")


def test_of_many_held_events_the_first_are_shown(admin: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_of, "HELD_MOST", 1)
    page = admin.get(at("ticket-0006"))
    assert [row[0] for row in page.rows("held-events")] == ["asked"]
    assert figures(page.find("//*[@data-fact='held-left']")) == ["1"]
    assert "unknown_customer" in page.cases, "what the others wait for is told all the same"


def test_held_events_are_asked_for_again(admin: Dashboard, reader: Dashboard, api: ApiServer) -> None:
    page = admin.submit(admin.get(at("ticket-0006")), at("ticket-0006") + "/retry")
    assert (page.status, page.path) == (200, at("ticket-0006"))
    assert "ticket-0006" in page.message
    [[_, noted]] = api.deployment.call("XREVRANGE", "witn:{shared}:changes", "+", "-", "COUNT", 1)
    assert json.loads(noted[b"data"])["what"] == "outcome.retry"
    assert json.loads(noted[b"data"])["who"] == "token admin"
    length = api.deployment.call("XLEN", "witn:{0}:events")
    key = reader.get("/dashboard").document.xpath("//input[@name='form_key']/@value")[0]
    assert reader.send(at("ticket-0006") + "/retry", {"form_key": key}).status == 403
    assert api.deployment.call("XLEN", "witn:{0}:events") == length
    key = page.document.xpath("//input[@name='form_key']/@value")[0]
    page = admin.send(at("ticket-0001") + "/retry", {"form_key": key})
    assert "ticket-0001" in page.message
    assert api.deployment.call("XLEN", "witn:{0}:events") == length, "as nothing is held for it"


def test_a_key_that_nobody_used_gets_help(admin: Dashboard) -> None:
    page = admin.get(at("Ticket-0001"))
    assert page.status == 404
    assert page.cases == ["missing"]
    assert "/dashboard/outcomes?search=Tick" in page.hrefs
    page = admin.submit(page, "/dashboard/outcomes", search="ticket-0001")
    assert [row[0] for row in page.rows("outcomes")] == ["ticket-0001"]


def test_hostile_names_and_contents_stay_text(admin: Dashboard) -> None:
    page = admin.get(at(ODD))
    assert page.find("//h1").text_content() == ODD
    assert not page.document.xpath("//main//script")
    assert steps(page)[1].startswith(HOSTILE)
    assert HOSTILE in page.document.xpath("//ol//pre")[0].text_content()
    [itself, *_] = [href for href in page.hrefs if href.startswith("/dashboard/events/0/")]
    assert admin.get(itself).status == 200
    assert not admin.get(at("<script>alert(1)</script>")).document.xpath("//main//script")


def test_an_event_id_that_is_none_is_refused(admin: Dashboard) -> None:
    page = admin.get(at("ticket-0001", "?events_after=x"))
    assert page.status == 400
    assert page.is_refused


def test_long_histories_are_told_in_pages(
    session_server: Server, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_of, "EVENTS_MOST", 10)

    def prepare(deployment: Deployment) -> None:
        for n in range(35):
            deployment.event("ticket-0001", "replied" if n == 3 else f"noted-{n}", n)

    with recorded_run(session_server, tmp_path, prepare) as api:
        admin = Dashboard(api)
        page = admin.get(at("ticket-0001"))
        assert [one.split(" ")[0] for one in steps(page)[:10]] == [f"noted-{n}" for n in range(25, 35)]
        assert figures(page.items("story")[0].find(".//h3/../span"))[0] == "26"
        assert len(instants(page.find("//*[@id='why']"))) == 3
        assert len(page.document.xpath("//*[@id='why']//a")) == 1, "the other event is on an earlier page"
        page = admin.get(page.pages["first"].partition("#")[0])
        told_ = []
        while True:
            here = [one for one in steps(page) if one.startswith(("noted-", "replied"))]
            told_ += [one.split(" ")[0] for one in here]
            if "next" not in page.pages:
                break
            assert page.items("story")[-1].xpath(".//@data-page") == ["next"]
            page = admin.get(page.pages["next"].partition("#")[0])
        assert told_ == ["replied" if n == 3 else f"noted-{n}" for n in range(35)]
        assert page.items("story")[-1].get("data-case") == "delivery", "the end is told on the last page"
        assert admin.get(page.pages["last"].partition("#")[0]).status == 200
        monkeypatch.setattr(told_of, "COUNTED_MOST", 30)
        page = admin.get(at("ticket-0001"))
        assert (page.status, page.state("standing")) == (200, "confirmed")
        assert figures(page.find("//*[@data-case='too-many-events']")) == ["35"]
        assert "first" not in page.pages
        assert figures(page.find("//*[@data-fact='amount']"))[0] == "1.00"


def test_of_many_checks_those_are_told_that_turned(session_server: Server, redis_url: str, tmp_path: Path) -> None:
    checks = ", ".join(f'{{ fact = "step-{n}", operator = "seen" }}' for n in range(20))
    agent = f'\n[[agents]]\nkey = "long"\nsettlement_period = 60\ncondition = [{checks}]\n'
    priced = CATALOGUE.replace("entries = [", 'entries = [{ agent = "long", price_per_unit = "1" }, ')

    def prepare(deployment: Deployment) -> None:
        deployment.apply(priced + agent)
        deployment.event("ticket-0001", "step-3", 0, agent_key="long")
        deployment.event("ticket-0001", "step-4", 1, agent_key="long")

    with recorded_run(session_server, tmp_path, prepare) as api:
        first, last, *_ = Dashboard(api).get(at("ticket-0001")).items("story")
        assert leaves(first) == {"step-3": (True, True)}
        assert figures(first.find(".//*[@data-fact='unchanged-checks']")) == ["19"]
        assert not last.xpath(".//*[@data-fact='unchanged-checks']")
        assert sum(not holds for holds, _ in leaves(last).values()) == 18


def test_prices_that_are_no_product_show_their_working(session_server: Server, redis_url: str, tmp_path: Path) -> None:
    percentage = 'kind = "percentage", percent = "2.5", maximum = "25"'
    graduated = 'kind = "graduated", tiers = [{ up_to = "2", price_per_unit = "1" }, { price_per_unit = "0.5" }]'
    own = f'rate_card = "standard"\nentries = [{{ agent = "support", {percentage} }}]\n'
    priced = CATALOGUE.replace('rate_card = "standard"\n', own, 1)
    priced = priced.replace('agent = "patient", price_per_unit = "2"', f'agent = "patient", {graduated}')
    priced = priced.replace("settlement_period = 15552000", "settlement_period = 60")

    deployment = Deployment(session_server, tmp_path)
    deployment.apply(priced)
    deployment.event("ticket-0001", "replied", 0, properties={"attribution": 200.5})
    deployment.event("ticket-0002", "rated", 1, agent_key="patient", properties={"value": 5, "attribution": 3})
    with api_server(session_server, tmp_path) as api:

        def closed() -> bool:
            invoice = api.get("/v1/outcomes/ticket-0002")["invoice"]
            return invoice is not None and invoice["amount"] is not None

        until(closed, "the period is closed")
        admin = Dashboard(api)
        page = admin.get(at("ticket-0001"))
        assert figures(page.items("story")[2].xpath("./p")[0]) == ["5.01", "2.5", "200.5", "5.0125", "5.01"]
        assert figures(page.find("//*[@data-fact='price']")) == ["2.5", "25.00"]
        for name in ("EUR", "acme", "standard"):
            assert name in page.fact("price")
        page = admin.get(at("ticket-0002"))
        assert figures(page.items("story")[2].xpath("./p")[0]) == ["3", "2.50"]
        assert figures(page.find("//*[@data-fact='amount']"))[0] == "2.50"


def test_an_outcome_is_told_while_it_happens(tab: Tab, api: ApiServer) -> None:
    tab.open(at("ticket-0005"))
    tab.page.locator("[data-case=turns-missed]").wait_for()
    api.deployment.event("ticket-0005", "rated", agent_key="patient", properties={"value": 4}, at="*")
    tab.page.locator("[data-case=turns-confirmed]").wait_for()
    tab.page.locator("#standing [data-state=pending]").wait_for()


def test_held_events_become_an_outcome_before_ones_eyes(tab: Tab, api: ApiServer) -> None:
    tab.open(at("ticket-0006"))
    tab.page.locator("[data-case=held]").wait_for()
    api.deployment.apply(CATALOGUE.replace('key = "penniless"\n', 'key = "penniless"\nrate_card = "standard"\n'))
    tab.page.locator("form[action$='/retry'] button").click()
    tab.page.locator("#story").wait_for()


ENTRY = "1000000000003-0"


@pytest.mark.parametrize(
    ("text", "found", "then"),
    [
        ("plain & <b>", "plain &amp; &lt;b&gt;", ""),
        ("since event 1-1x", "since ", "<time"),
        ("`a` and `<b>`", "<code>a</code> and <code>&lt;b&gt;</code>", ""),
        ("a ` alone & event 5", "a ` alone &amp; event 5", ""),
        ("event 9999999999999999-0 is beyond", "event 9999999999999999-0 is beyond", ""),
        ("due at 2026-99-99T00:00:00.000Z", "due at 2026-99-99T00:00:00.000Z", ""),
        (f"since event {ENTRY}.", f'since <a href="#e-{ENTRY}">', "<time"),
        (f"`event {ENTRY}`", f"<code>event {ENTRY}</code>", ""),
    ],
)
def test_sentences_are_told_with_events_and_instants_as_people_read_them(text: str, found: str, then: str) -> None:
    said: Any = sentence_html(text, {ENTRY})
    assert str(said).startswith(found)
    assert then in str(said)
