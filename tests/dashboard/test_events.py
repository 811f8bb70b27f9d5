"""Events that were not applied: found by what became of them, and one by itself with what was sent."""

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
from tests.support.workshop import LONG_AGO, Workshop
from tests.web.lived import lived, settle
from tests.web.office import Office
from witnd.domain.catalogue.catalogue import HeldReason
from witnd.store.query.fates import Fate
from witnd.web.dashboard.present.reasons import why

IDS: dict[str, str] = {}
HOSTILE = "<script>alert('x')</script>"


def every_fate(shop: Workshop) -> None:
    def event(name: str, key: str, action: str, after: int, **members: Any) -> None:
        IDS[name] = shop.event(key, action, after, **members)

    event("applied", "ticket-0001", "replied", 0, idempotency_key="a", properties={"by": HOSTILE})
    event("duplicate", "ticket-0001", "replied", 1, idempotency_key="a", properties={"by": HOSTILE})
    event("conflict", "ticket-0001", "reopened", 2, idempotency_key="a")
    event("identity", "ticket-0001", "replied", 3, customer_key="penniless")
    event("agent", "ticket-0001", "replied", 4, agent_key="patient")
    event("late", "ticket-0001", "replied", 60_000)
    event("held", "ticket-0002", HOSTILE, 60_001, customer_key="nobody/?#%", timestamp="2001-09-09T01:40:00Z")
    event("unpriced", "ticket-0002", "asked", 60_002, customer_key="penniless")
    raw = shop.call("XADD", "witn:{0}:events", f"{LONG_AGO + 60_003}-*", "data", b"\xff" + HOSTILE.encode())
    IDS["rejected"] = raw.decode()


@pytest.fixture
def api(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[Office]:
    with lived(session_server, tmp_path, every_fate) as opened:
        yield opened


def cases(page: Page, label: str = "Events") -> list[str]:
    return [read(one) for one in page.document.xpath(f"//ul[@aria-label='{label}']/li")]


def test_the_list_tells_why_with_the_newest_first(desk: Desk) -> None:
    page = desk.get("/dashboard/events")
    told = cases(page)
    assert len(told) == 8
    rejected, unpriced, held, late, _, identity, conflict, duplicate = told
    assert rejected.startswith("no key known rejected The event of 9 Sep 2001, 01:47 UTC It cannot be read as an event")
    assert "Customer penniless has no rate card in force. Give it one. Customer penniless" in unpriced
    assert "There is no customer nobody/?#%. Create it, or correct the key in the sender." in held
    assert late.startswith("ticket-0001 late The event of 9 Sep 2001, 01:47 UTC Its outcome was settled before it came")
    assert "names another customer or agent than the outcome" in identity
    assert "The first one stands." in conflict
    assert "counted once" in duplicate
    assert page.links()["ticket-0002"] == "/dashboard/outcomes/ticket-0002"
    assert page.links()["Create customer nobody/?#%"] == "/dashboard/customers/new?key=nobody%2F%3F%23%25"
    assert not page.document.xpath("//main//script")


@pytest.mark.parametrize(("fate", "many"), [("held", 2), ("rejected", 3), ("late", 1), ("duplicate", 1), ("", 8)])
def test_it_is_filtered_by_fate(desk: Desk, fate: str, many: int) -> None:
    page = desk.submit(desk.get("/dashboard/events"), "/dashboard/events", fate=fate)
    assert len(cases(page)) == many
    assert page.find("//select[@name='fate']").value == fate
    assert fate == "" or all(f" {fate} The event of" in one for one in cases(page))


def test_it_is_filtered_by_the_outcome(desk: Desk) -> None:
    page = desk.submit(desk.get("/dashboard/events"), "/dashboard/events", key="ticket-0002", fate="held")
    assert len(cases(page)) == 2
    page = desk.submit(page, "/dashboard/events", key="Ticket-0002")
    assert "No event is like that" in page.text
    assert page.find("//input[@name='key']").value == "Ticket-0002"


def test_an_event_is_found_by_its_id(desk: Desk) -> None:
    page = desk.submit(desk.get("/dashboard/events"), "/dashboard/events", id=IDS["late"])
    assert (page.status, page.path) == (200, f"/dashboard/events/0/{IDS['late']}")
    page = desk.submit(desk.get("/dashboard/events"), "/dashboard/events", id="42-0")
    assert "No event is like that" in page.text
    page = desk.submit(page, "/dashboard/events", id='"><b>')
    assert "must be the id of an entry, like 1789000000000-0" in page.text
    assert page.find("//input[@name='id']").value == '"><b>'
    assert page.find("//input[@name='id']").get("aria-invalid") == "true"


def test_what_no_list_has_is_refused(desk: Desk) -> None:
    assert desk.get("/dashboard/events?fate=applied").status == 400
    assert desk.get("/dashboard/events?after=zzz").status == 400


@pytest.mark.parametrize(
    ("name", "fate", "says"),
    [
        ("applied", "applied", "It is counted in its outcome."),
        ("duplicate", "duplicate", "counted once"),
        ("conflict", "conflict", "The first one stands. If it was meant to count"),
        (
            "identity",
            "rejected",
            "It names customer penniless, and the outcome with its key is of customer acme.",
        ),
        ("agent", "rejected", "It names agent patient, and the outcome with its key is of agent support."),
        ("late", "late", "Nothing changes any more."),
        ("unpriced", "held", "Customer penniless has no rate card in force."),
        ("rejected", "rejected", "It cannot be read as an event – "),
    ],
)
def test_one_event_says_what_became_of_it(reader: Desk, name: str, fate: str, says: str) -> None:
    page = reader.get(f"/dashboard/events/0/{IDS[name]}")
    assert (page.status, page.id("fate")) == (200, fate)
    assert says in page.id("why")
    assert IDS[name] in page.text


def test_one_event_shows_what_was_sent(desk: Desk) -> None:
    page = desk.get(f"/dashboard/events/0/{IDS['held']}")
    assert page.find("//h1").text_content() == HOSTILE
    facts = read(page.find("//section[@id='facts']"))
    assert "Outcome ticket-0002 Customer nobody/?#% Agent support Accepted" in facts
    assert "Happened 9 Sep 2001, 01:40 UTC Reason UNKNOWN_CUSTOMER Id" in facts
    assert json.loads(page.find("//main//pre").text_content())["action"] == HOSTILE
    page = desk.get(f"/dashboard/events/0/{IDS['rejected']}")
    assert page.find("//main//pre").text_content() == f"\\xff{HOSTILE}"
    assert not page.document.xpath("//main//script")


def test_one_event_is_told_without_the_log(desk: Desk, api: Office) -> None:
    api.workshop.call("XTRIM", "witn:{0}:events", "MINID", f"{LONG_AGO + 60_003}-0")
    held = desk.get(f"/dashboard/events/0/{IDS['held']}")
    assert "There is no customer nobody/?#%." in held.id("why")
    assert "The log does not have it any more." in held.text
    assert len(cases(desk.get("/dashboard/events"))) == 8
    gone = desk.get(f"/dashboard/events/0/{IDS['applied']}")
    assert gone.status == 404
    assert gone.links()["look in all of them"] == f"/dashboard/events?id={IDS['applied']}"
    known = desk.get(f"/dashboard/events/0/{IDS['applied']}?key=ticket-0001")
    assert (known.status, known.id("fate")) == (200, "applied")
    wrong = desk.get(f"/dashboard/events/0/{IDS['applied']}?key=ticket-0002")
    assert (wrong.status, wrong.links()["ticket-0002"]) == (404, "/dashboard/outcomes/ticket-0002")


@pytest.mark.parametrize("path", ["0/x", "0/1-1", "9/1000000000000-0", "x/1000000000000-0", "0/%3Cb%3E"])
def test_events_that_are_not_there_are_told_so(desk: Desk, path: str) -> None:
    page = desk.get(f"/dashboard/events/{path}")
    assert page.status == 404
    assert "There is no such event" in page.text


def test_what_is_not_read_yet_waits_and_entries_of_the_daemon_are_no_events(desk: Desk, api: Office) -> None:
    tick = api.workshop.call("XADD", "witn:{0}:events", "*", "witnd", "tick").decode()
    settle(api)
    assert "It is an entry of the daemon's own" in desk.get(f"/dashboard/events/0/{tick}").id("why")
    ahead = int(tick.partition("-")[0]) + 50_000
    api.workshop.event("ticket-0003", "replied", at=f"{ahead}-0")
    page = desk.get(f"/dashboard/events/0/{ahead}-0")
    assert "It is accepted, and will be read in a moment." in page.id("why")
    assert page.find("//main").get("data-live") == "/dashboard/live"


def test_a_held_event_is_asked_for_again_by_admins_alone(desk: Desk, reader: Desk) -> None:
    path = f"/dashboard/events/0/{IDS['held']}"
    page = desk.submit(desk.get(path), "/dashboard/outcomes/ticket-0002/retry")
    assert (page.status, page.path) == (200, "/dashboard/outcomes/ticket-0002")
    assert not reader.get(path).document.xpath("//main//form")
    assert not desk.get(f"/dashboard/events/0/{IDS['late']}").document.xpath("//main//form")


def test_lists_page_to_the_end(session_server: Server, redis_url: str, tmp_path: Path) -> None:
    keys = [f"odd/{n:03}?#%" for n in range(120)]

    def prepare(shop: Workshop) -> None:
        for n, key in enumerate(keys):
            shop.event(key, "replied", n, customer_key="nobody")

    with lived(session_server, tmp_path, prepare, partitions=2) as api:
        desk = Desk(api)
        page = desk.get("/dashboard/events?fate=held")
        assert page.find("//main").get("data-live") == "/dashboard/live"
        found = cases(page)
        while "Next page" in page.links():
            page = desk.get(page.links()["Next page"])
            found += cases(page)
            assert page.links()["First page"] == "/dashboard/events?fate=held"
            assert page.find("//main").get("data-live") is None, "a page in the middle stays as it is"
        assert [one.split()[0] for one in found] == keys[::-1]
        assert desk.get(f"/dashboard/outcomes/{quote(keys[0], safe='')}").status == 200


def test_long_contents_are_cut_off(session_server: Server, redis_url: str, tmp_path: Path) -> None:
    def prepare(shop: Workshop) -> None:
        raw = shop.call("XADD", "witn:{0}:events", f"{LONG_AGO}-*", "data", "x" * 100_000)
        IDS["long"] = raw.decode()

    with lived(session_server, tmp_path, prepare) as api:
        page = Desk(api).get(f"/dashboard/events/0/{IDS['long']}")
        assert len(page.source) < 30_000
        assert page.find("//main//pre").text_content() == "x" * 20_000 + "…"
        assert len(Desk(api).get("/dashboard/events").source) < 30_000


@pytest.mark.parametrize(
    ("fate", "reason"),
    [
        *(("held", reason) for reason in HeldReason),
        *(("rejected", why_not) for why_not in ("INVALID_EVENT", "WRONG_PARTITION", "IDENTITY_MISMATCH", "HELD_LIMIT")),
        *((fate, None) for fate in ("late", "conflict", "unknown")),
    ],
)
def test_every_reason_has_a_sentence_and_a_remedy(fate: str, reason: str | None) -> None:
    told = why(Fate(id="1-0", partition=0, accepted_at="2026-01-01T00:00:00.000Z", fate=fate, reason=reason))
    assert told.remedy
    assert told.says not in ("It cannot be placed yet.", "It was refused and is never counted.", fate)


class TestNothing:
    @pytest.fixture
    def api(self, session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[Office]:
        with lived(session_server, tmp_path, lambda _: None) as opened:
            yield opened

    def test_an_empty_list_shows_how_to_send_one(self, desk: Desk, api: Office) -> None:
        page = desk.get("/dashboard/events")
        assert "Every event has found its place" in page.text
        [curl, xadd] = page.document.xpath("//main//*[@data-copy]/@data-copy")
        assert curl.startswith(f"curl -X POST http://{api.address[0]}:{api.address[1]}/v1/events")
        assert xadd.startswith("redis-cli XADD 'witn:{0}:events' '*' key ticket-4711")

    def test_a_held_event_appears_by_itself(self, window: Window, api: Office) -> None:
        window.open("/dashboard/events")
        window.page.get_by_role("heading", name="Every event has found its place").wait_for()
        api.workshop.event("ticket-0001", HOSTILE, at="*", customer_key="globex")
        window.page.get_by_text("There is no customer globex.").wait_for()
        window.page.get_by_role("link", name="ticket-0001").click()
        window.page.get_by_text("No outcome yet").wait_for()
        assert HOSTILE in window.page.locator("table").inner_text()


def test_a_held_event_is_removed_by_admins_after_a_tick(desk: Desk, reader: Desk) -> None:
    page = desk.get(f"/dashboard/events/0/{IDS['held']}")
    assert "Remove the event" not in reader.get(page.path).text
    path = f"{page.path}/remove"
    assert desk.submit(page, path).status == 400
    assert desk.submit(page, path, confirmed="yes").id("told") == "The event will be rejected in a moment."
    until(lambda: "Somebody removed it while it was held." in desk.get(page.path).text, "the event is rejected")
    assert "requested to remove an event of outcome" in desk.get("/dashboard/changes").text
