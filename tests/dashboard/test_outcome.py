"""One outcome as a page: why it was billed or not, its timeline, its terms, and what is held for a key."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.dashboard.desk import Desk, Page
from tests.dashboard.reading import read
from tests.dashboard.window import Window
from tests.support.processes import until
from tests.support.server import Server
from tests.support.workshop import CATALOGUE, LONG_AGO, Workshop
from tests.web.lived import lived
from tests.web.office import Office, office
from witnd.app.outcomes import view as told_of
from witnd.domain.webhooks.delivery import Progress
from witnd.store.deliveries.outbox import encode_progress
from witnd.web.dashboard.pages import outcome as page_of
from witnd.web.dashboard.present.markup import sentence_html

ODD = 'odd/1?x=1&<script>alert(1)</script>#%"é漢字'
HOSTILE = "<script>alert('x')</script>"


def lives(shop: Workshop) -> None:
    shop.event(
        "ticket-0001", "replied", 0, timestamp="2001-09-09T01:40:00Z", properties={"attribution": 3, "by": "Eve"}
    )
    shop.event("ticket-0003", "replied", 2)
    shop.event("ticket-0003", "reopened", 3)
    shop.event("ticket-0007", "replied", 4)
    shop.event("ticket-0007", "noted", 5, properties={"settles_at": "2001-09-09T01:46:50.000Z"})
    shop.event(ODD, "replied", 6, properties={"note": HOSTILE})
    shop.event(ODD, HOSTILE, 7)
    shop.event("ticket-0004", "rated", agent_key="patient", properties={"value": 5}, at="*")
    shop.event("ticket-0005", "asked", agent_key="patient", at="*")
    shop.event("ticket-0006", "asked", customer_key="penniless", at="*")
    shop.event("ticket-0006", "replied", customer_key="globex", at="*")


@pytest.fixture
def api(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[Office]:
    with lived(session_server, tmp_path, lives) as opened:
        yield opened


def at(key: str, query: str = "") -> str:
    return f"/dashboard/outcomes/{quote(key, safe='')}{query}"


def steps(page: Page) -> list[str]:
    return [read(one) for one in page.document.xpath("//ol[@class='timeline']/li")]


def figures(page: Page) -> dict[str, str]:
    found = page.document.xpath("//ul[@aria-label='How it stands']/li")
    return {read(one[0]): " | ".join(read(part) for part in one[1:]) for one in found}


def issued(api: Office) -> None:
    """Wait for the invoice of what is long past."""

    def done() -> bool:
        invoice = api.get("/v1/outcomes/ticket-0001")["invoice"]
        return invoice is not None and invoice["number"] is not None

    until(done, "the invoice is issued")


def test_a_confirmed_outcome_says_why_it_was_billed_and_how_much(desk: Desk, api: Office) -> None:
    issued(api)
    page = desk.get(at("ticket-0001"))
    assert (page.status, page.id("standing")) == (200, "confirmed")
    assert page.id("why") == (
        "Confirmed, because the condition held since the event of 9 Sep 2001, 01:46 UTC (replied; now true: replied was"
        " seen) and after the event of 9 Sep 2001, 01:46 UTC nothing came until it was due at 9 Sep 2001, 01:47 UTC."
    )
    told_ = figures(page)
    assert told_["Amount"].startswith("2.99 EUR | on invoice INV-")
    assert told_["Quantity"] == "3 | the sum attribution of 1 event"
    assert told_["Settled"].startswith("9 Sep 2001, 01:47 UTC")
    [opened, confirmed, line, delivery] = steps(page)
    assert opened.startswith("replied event 1, happened 9 Sep 2001, 01:40 UTC, accepted 9 Sep 2001, 01:46 UTC")
    assert confirmed.startswith("Confirmed settled 9 Sep 2001, 01:47 UTC")
    assert "3 × 0.995 = 2.985, rounded 2.99 EUR" in line
    assert "of 1 – 30 September 2001 (UTC)" in line
    assert delivery.startswith("Notification crm pending Delivery 1 attempt")


def test_its_links_lead_on(desk: Desk, api: Office) -> None:
    issued(api)
    found = api.get("/v1/outcomes/ticket-0001")
    page = desk.get(at("ticket-0001"))
    links = page.links()
    assert links["acme"] == "/dashboard/customers/acme"
    assert links["Support"] == "/dashboard/agents/support"
    assert links["rate card standard"] == "/dashboard/rate-cards/standard"
    assert links["Delivery"] == f"/dashboard/deliveries/{found['deliveries'][0]['id']}"
    assert f"/dashboard/invoices/{found['invoice']['id']}" in links.values()
    event = found["story"]["events"][0]["entry"]
    assert links["the event of 9 Sep 2001, 01:46 UTC"] == f"#e-{event}"
    assert page.find(f"//*[@id='e-{event}']") is not None
    assert links["This event by itself"] == f"/dashboard/events/0/{event}?key=ticket-0001"
    copied = page.document.xpath("//*[@data-copy]/@data-copy")
    assert copied == ["ticket-0001", f"http://{api.address[0]}:{api.address[1]}/dashboard/outcomes/ticket-0001"]


def test_the_terms_it_froze_are_in_words(desk: Desk) -> None:
    text = read(desk.get(at("ticket-0001")).document)
    assert "Billed if replied was seen and reopened was not seen" in text
    assert "Settles 1 minute after the last event" in text
    assert "Quantity all that events carried, added up; 1 if none did" in text
    assert "Price 0.995 per unit in EUR, rate card standard" in text


def test_a_missed_outcome_says_which_event_turned_it(desk: Desk) -> None:
    page = desk.get(at("ticket-0003"))
    assert page.id("standing") == "missed"
    assert page.id("why").startswith(
        "Missed, because the event of 9 Sep 2001, 01:46 UTC ended the condition (reopened;"
    )
    assert figures(page)["Amount"] == "– | nothing is billed"
    [first, second, missed, _] = steps(page)
    assert "True: replied was seen now true True: reopened was not seen The condition holds" in first
    assert "True: replied was seen Not true: reopened was not seen no longer true The condition does not" in second
    assert "Nothing is billed." in missed


def test_a_pinned_settlement_is_told_as_such(desk: Desk) -> None:
    [first, second, *_] = steps(desk.get(at("ticket-0007")))
    assert "due 9 Sep 2001, 01:47 UTC" in first
    assert "Due at the instant the event pinned." in second
    assert "pinned to 9 Sep 2001, 01:46 UTC" in second


def test_what_an_event_carried_is_shown_as_it_was_sent(desk: Desk, api: Office) -> None:
    page = desk.get(at("ticket-0001"))
    [sent] = page.document.xpath("//ol[@class='timeline']//pre")
    assert json.loads(sent.text_content())["properties"] == {"attribution": 3, "by": "Eve"}
    api.workshop.call("XTRIM", "witn:{0}:events", "MINID", f"{LONG_AGO + 1}-0")
    [opened, *_] = steps(desk.get(at("ticket-0001")))
    assert "Attribution 3 The log does not have the event any more." in opened


@pytest.mark.parametrize(
    ("key", "status", "turns"), [("ticket-0004", "pending", "confirmed"), ("ticket-0005", "open", "missed")]
)
def test_what_is_not_final_counts_down_and_stays_live(desk: Desk, key: str, status: str, turns: str) -> None:
    page = desk.get(at(key))
    assert page.id("standing") == status
    assert f"and is {turns} then" in figures(page)["Settles"]
    assert steps(page)[-1].startswith(f"Now {status} Without another event it is {turns}:")
    assert page.document.xpath("//ul[@id='figures']//time[@data-until]")
    assert page.find("//main").get("data-live") == "/dashboard/live"


def test_what_is_final_stays_live_while_a_message_waits(desk: Desk, api: Office) -> None:
    [id_] = [one["id"] for one in api.get("/v1/outcomes/ticket-0003")["deliveries"]]
    assert desk.get(at("ticket-0003")).find("//main").get("data-live") == "/dashboard/live"
    api.workshop.call("HSET", "witn:{0}:attempts", id_, encode_progress(Progress(standing="dead", reason="no")))
    page = desk.get(at("ticket-0003"))
    assert page.find("//main").get("data-live") is None
    assert steps(page)[-1] == "Notification crm given up Delivery 0 attempts: no"


def test_held_events_say_what_they_wait_for(desk: Desk, reader: Desk) -> None:
    page = desk.get(at("ticket-0006"))
    assert "No outcome yet: 2 events cannot be placed." in page.text
    assert "Customer penniless has no rate card in force. Give it one." in page.text
    assert "There is no customer globex. Create it, or correct the key in the sender." in page.text
    assert page.links()["Customer penniless"] == "/dashboard/customers/penniless"
    assert page.links()["Create customer globex"] == "/dashboard/customers/new?key=globex"
    assert [row[0:1] + row[2:] for row in page.table("Held events")] == [
        ["asked", "penniless", "support", "NO_RATE_CARD"],
        ["replied", "globex", "support", "UNKNOWN_CUSTOMER"],
    ]
    page = reader.get(at("ticket-0006"))
    assert "Customer penniless" in page.links()
    assert "Create customer globex" not in page.links(), "who only reads cannot create it"
    assert not page.document.xpath("//main//form")


def test_of_many_held_events_the_first_are_shown(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_of, "HELD_MOST", 1)
    page = desk.get(at("ticket-0006"))
    assert [row[0] for row in page.table("Held events")] == ["asked"]
    assert "And 1 event more." in page.text
    assert "There is no customer globex." in page.text, "what the others wait for is told all the same"


def test_held_events_are_asked_for_again(desk: Desk, reader: Desk, api: Office) -> None:
    page = desk.submit(desk.get(at("ticket-0006")), at("ticket-0006") + "/retry", button="Try again now")
    assert (page.status, page.path) == (200, at("ticket-0006"))
    assert "Events of ticket-0006 are tried again." in page.id("told")
    [[_, noted]] = api.workshop.call("XREVRANGE", "witn:{shared}:changes", "+", "-", "COUNT", 1)
    assert json.loads(noted[b"data"])["what"] == "outcome.retry"
    assert json.loads(noted[b"data"])["who"] == "token admin"
    length = api.workshop.call("XLEN", "witn:{0}:events")
    key = reader.get("/dashboard").document.xpath("//input[@name='form_key']/@value")[0]
    assert reader.send(at("ticket-0006") + "/retry", {"form_key": key}).status == 403
    assert api.workshop.call("XLEN", "witn:{0}:events") == length
    key = page.document.xpath("//input[@name='form_key']/@value")[0]
    page = desk.send(at("ticket-0001") + "/retry", {"form_key": key})
    assert "Nothing is held for ticket-0001 any more." in page.id("told")


def test_a_key_that_nobody_used_gets_help(desk: Desk) -> None:
    page = desk.get(at("Ticket-0001"))
    assert page.status == 404
    assert "No outcome has this key" in page.text
    assert "upper and lower case" in page.text
    assert page.links()["keys that begin with Tick"] == "/dashboard/outcomes?search=Tick"
    page = desk.submit(page, "/dashboard/outcomes", search="ticket-0001")
    assert [row[0] for row in page.table("Outcomes")] == ["ticket-0001"]


def test_hostile_names_and_contents_stay_text(desk: Desk) -> None:
    page = desk.get(at(ODD))
    assert page.find("//h1").text_content() == ODD
    assert not page.document.xpath("//main//script")
    assert steps(page)[1].startswith(HOSTILE)
    assert HOSTILE in page.document.xpath("//ol//pre")[0].text_content()
    assert desk.get(page.links()["This event by itself"]).status == 200
    assert not desk.get(at("<script>alert(1)</script>")).document.xpath("//main//script")


def test_an_event_id_that_is_none_is_refused(desk: Desk) -> None:
    page = desk.get(at("ticket-0001", "?events_after=x"))
    assert page.status == 400
    assert "must be the id of an entry" in page.text


def test_long_histories_are_told_in_pages(
    session_server: Server, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_of, "EVENTS_MOST", 10)

    def prepare(shop: Workshop) -> None:
        for n in range(35):
            shop.event("ticket-0001", "replied" if n == 3 else f"noted-{n}", n)

    with lived(session_server, tmp_path, prepare) as api:
        desk = Desk(api)
        page = desk.get(at("ticket-0001"))
        assert [one.split(" ")[0] for one in steps(page)[:10]] == [f"noted-{n}" for n in range(25, 35)]
        assert "event 26," in steps(page)[0]
        assert "the event of 9 Sep 2001, 01:46 UTC (replied;" in page.id("why"), "which is on an earlier page"
        page = desk.get(page.links()["Begin with the first event"].partition("#")[0])
        told_ = []
        while True:
            here = [one for one in steps(page) if one.startswith(("noted-", "replied"))]
            told_ += [one.split(" ")[0] for one in here]
            if "Next events" not in page.links():
                break
            assert steps(page)[-1] == "Next events"
            page = desk.get(page.links()["Next events"].partition("#")[0])
        assert told_ == ["replied" if n == 3 else f"noted-{n}" for n in range(35)]
        assert steps(page)[-1].startswith("Notification"), "the end is told on the last page"
        assert desk.get(page.links()["To the last events"].partition("#")[0]).status == 200
        monkeypatch.setattr(told_of, "COUNTED_MOST", 30)
        page = desk.get(at("ticket-0001"))
        assert (page.status, page.id("standing")) == (200, "confirmed")
        assert "This outcome has 35 events: too many" in page.id("why")
        assert "Begin with the first event" not in page.links()
        assert figures(page)["Amount"].startswith("1.00 EUR")


def test_of_many_checks_those_are_told_that_turned(session_server: Server, redis_url: str, tmp_path: Path) -> None:
    checks = ", ".join(f'{{ fact = "step-{n}", operator = "seen" }}' for n in range(20))
    agent = f'\n[[agents]]\nkey = "long"\nsettlement_period = 60\ncondition = [{checks}]\n'
    priced = CATALOGUE.replace("entries = [", 'entries = [{ agent = "long", price_per_unit = "1" }, ')

    def prepare(shop: Workshop) -> None:
        shop.apply(priced + agent)
        shop.event("ticket-0001", "step-3", 0, agent_key="long")
        shop.event("ticket-0001", "step-4", 1, agent_key="long")

    with lived(session_server, tmp_path, prepare) as api:
        first, last, *_ = steps(Desk(api).get(at("ticket-0001")))
        assert "True: step-3 was seen now true 19 checks as before" in first
        assert "as before" not in last
        assert last.count("Not true:") == 18


def test_prices_that_are_no_product_show_their_working(session_server: Server, redis_url: str, tmp_path: Path) -> None:
    percentage = 'kind = "percentage", percent = "2.5", maximum = "25"'
    graduated = 'kind = "graduated", tiers = [{ up_to = "2", price_per_unit = "1" }, { price_per_unit = "0.5" }]'
    own = f'rate_card = "standard"\nentries = [{{ agent = "support", {percentage} }}]\n'
    priced = CATALOGUE.replace('rate_card = "standard"\n', own, 1)
    priced = priced.replace('agent = "patient", price_per_unit = "2"', f'agent = "patient", {graduated}')
    priced = priced.replace("settlement_period = 15552000", "settlement_period = 60")

    shop = Workshop(session_server, tmp_path)
    shop.apply(priced)
    shop.event("ticket-0001", "replied", 0, properties={"attribution": 200.5})
    shop.event("ticket-0002", "rated", 1, agent_key="patient", properties={"value": 5, "attribution": 3})
    with office(session_server, tmp_path) as api:

        def closed() -> bool:
            invoice = api.get("/v1/outcomes/ticket-0002")["invoice"]
            return invoice is not None and invoice["amount"] is not None

        until(closed, "the period is closed")
        desk = Desk(api)
        assert "5.01 EUR: 2.5 % of 200.5 = 5.0125, rounded 5.01" in steps(desk.get(at("ticket-0001")))[2]
        assert (
            "2.5 % of each quantity, at most 25.00 per outcome in EUR, agreed with acme on top of rate card standard"
            in read(desk.get(at("ticket-0001")).document)
        )
        page = desk.get(at("ticket-0002"))
        assert "3 units, 2.50 EUR by what the period came to" in steps(page)[2]
        assert figures(page)["Amount"].startswith("2.50 EUR")


def test_an_outcome_is_told_while_it_happens(window: Window, api: Office) -> None:
    window.open(at("ticket-0005"))
    window.page.get_by_role("heading", name="Now open").wait_for()
    api.workshop.event("ticket-0005", "rated", agent_key="patient", properties={"value": 4}, at="*")
    window.page.get_by_role("heading", name="Now pending").wait_for()
    assert window.page.locator("#standing").inner_text() == "pending"
    assert "would be confirmed" in window.page.locator("#story").inner_text()


def test_held_events_become_an_outcome_before_ones_eyes(window: Window, api: Office) -> None:
    window.open(at("ticket-0006"))
    window.page.get_by_text("No outcome yet").wait_for()
    api.workshop.apply(CATALOGUE.replace('key = "penniless"\n', 'key = "penniless"\nrate_card = "standard"\n'))
    window.page.get_by_role("button", name="Try again now").click()
    window.page.get_by_role("heading", name="What happened").wait_for()
    assert "Had been held" in window.page.locator("#story").inner_text()


ENTRY = "1000000000003-0"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("plain & <b>", "plain &amp; &lt;b&gt;"),
        ("since event 1-1x", "since the event of <time"),
        ("`a` and `<b>`", "<code>a</code> and <code>&lt;b&gt;</code>"),
        ("a ` alone & event 5", "a ` alone &amp; event 5"),
        ("event 9999999999999999-0 is beyond", "event 9999999999999999-0 is beyond"),
        ("due at 2026-99-99T00:00:00.000Z", "due at 2026-99-99T00:00:00.000Z"),
        (f"since event {ENTRY}.", f'since <a href="#e-{ENTRY}">the event of <time'),
        (f"`event {ENTRY}`", f"<code>event {ENTRY}</code>"),
    ],
)
def test_sentences_are_told_with_events_and_instants_as_people_read_them(text: str, found: str) -> None:
    said: Any = sentence_html(text, {ENTRY})
    assert str(said).startswith(found)
