"""Events that were not applied: found by what became of them, and one by itself with what was sent."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import pytest

from tests.dashboard.browser import Tab
from tests.dashboard.client import Dashboard, names, words
from tests.support.deployment import LONG_AGO, Deployment
from tests.support.processes import until
from tests.support.server import Server
from tests.web.api_server import ApiServer
from tests.web.recorded_run import recorded_run, settle
from witnd.domain.catalogue.catalogue import HeldReason
from witnd.store.query.fates import Fate
from witnd.web.dashboard.present.reasons import why

IDS: dict[str, str] = {}
HOSTILE = "<script>alert('x')</script>"


def every_fate(deployment: Deployment) -> None:
    def event(name: str, key: str, action: str, after: int, **members: Any) -> None:
        IDS[name] = deployment.event(key, action, after, **members)

    event("applied", "ticket-0001", "replied", 0, idempotency_key="a", properties={"by": HOSTILE})
    event("duplicate", "ticket-0001", "replied", 1, idempotency_key="a", properties={"by": HOSTILE})
    event("conflict", "ticket-0001", "reopened", 2, idempotency_key="a")
    event("identity", "ticket-0001", "replied", 3, customer_key="penniless")
    event("agent", "ticket-0001", "replied", 4, agent_key="patient")
    event("late", "ticket-0001", "replied", 60_000)
    event("held", "ticket-0002", HOSTILE, 60_001, customer_key="nobody/?#%", timestamp="2001-09-09T01:40:00Z")
    event("unpriced", "ticket-0002", "asked", 60_002, customer_key="penniless")
    raw = deployment.call("XADD", "witn:{0}:events", f"{LONG_AGO + 60_003}-*", "data", b"\xff" + HOSTILE.encode())
    IDS["rejected"] = raw.decode()


@pytest.fixture(scope="module")
def api() -> Iterator[ApiServer]:
    """One daemon for all tests that only read."""
    with (
        TemporaryDirectory(prefix="witnd-") as directory,
        Server(Path(directory)) as server,
        recorded_run(server, Path(directory), every_fate) as opened,
    ):
        yield opened


def test_the_list_tells_why_with_the_newest_first(admin: Dashboard) -> None:
    page = admin.get("/dashboard/events")
    assert list(zip(page.states("events"), page.item_cases("events"), strict=True)) == [
        (["rejected"], ["invalid_event"]),
        (["held"], ["no_rate_card"]),
        (["held"], ["unknown_customer"]),
        (["late"], ["late"]),
        (["rejected"], ["identity_mismatch"]),
        (["rejected"], ["identity_mismatch"]),
        (["conflict"], ["conflict"]),
        (["duplicate"], ["duplicate"]),
    ]
    events = page.items("events")
    assert [events[place].find(".//time").text for place in (0, 3)] == ["9 Sep 2001, 01:47 UTC"] * 2
    assert [names(events[place])[0] for place in (1, 2)] == ["penniless", "nobody/?#%"]
    assert "/dashboard/customers/penniless" in events[1].xpath(".//@href")
    assert page.links()["ticket-0002"] == "/dashboard/outcomes/ticket-0002"
    assert "/dashboard/customers/new?key=nobody%2F%3F%23%25" in page.hrefs
    assert not page.document.xpath("//main//script")


@pytest.mark.parametrize(("fate", "many"), [("held", 2), ("rejected", 3), ("late", 1), ("duplicate", 1), ("", 8)])
def test_it_is_filtered_by_fate(admin: Dashboard, fate: str, many: int) -> None:
    page = admin.submit(admin.get("/dashboard/events"), "/dashboard/events", fate=fate)
    assert len(page.items("events")) == many
    assert page.find("//select[@name='fate']").value == fate
    assert fate == "" or page.states("events") == [[fate]] * many


def test_it_is_filtered_by_the_outcome(admin: Dashboard) -> None:
    page = admin.submit(admin.get("/dashboard/events"), "/dashboard/events", key="ticket-0002", fate="held")
    assert len(page.items("events")) == 2
    page = admin.submit(page, "/dashboard/events", key="Ticket-0002")
    assert page.cases == ["no-match"]
    assert page.find("//input[@name='key']").value == "Ticket-0002"


def test_an_event_is_found_by_its_id(admin: Dashboard) -> None:
    page = admin.submit(admin.get("/dashboard/events"), "/dashboard/events", id=IDS["late"])
    assert (page.status, page.path) == (200, f"/dashboard/events/0/{IDS['late']}")
    page = admin.submit(admin.get("/dashboard/events"), "/dashboard/events", id="42-0")
    assert page.cases == ["no-match"]
    page = admin.submit(page, "/dashboard/events", id='"><b>')
    assert page.cases == ["no-id"]
    assert page.invalid == ["id"]
    assert page.find("//input[@name='id']").value == '"><b>'


def test_what_no_list_has_is_refused(admin: Dashboard) -> None:
    assert admin.get("/dashboard/events?fate=applied").status == 400
    assert admin.get("/dashboard/events?after=zzz").status == 400


@pytest.mark.parametrize(
    ("name", "fate", "reason"),
    [
        ("applied", "applied", ["applied"]),
        ("duplicate", "duplicate", ["duplicate"]),
        ("conflict", "conflict", ["conflict"]),
        ("identity", "rejected", ["other_customer", "penniless", "acme"]),
        ("agent", "rejected", ["other_agent", "patient", "support"]),
        ("late", "late", ["late"]),
        ("unpriced", "held", ["no_rate_card", "penniless"]),
        ("rejected", "rejected", ["invalid_event"]),
    ],
)
def test_one_event_says_what_became_of_it(reader: Dashboard, name: str, fate: str, reason: list[str]) -> None:
    page = reader.get(f"/dashboard/events/0/{IDS[name]}")
    assert (page.status, page.state("fate")) == (200, fate)
    assert [page.case("why"), *names(page.find("//*[@id='why']"))] == reason
    assert IDS[name] in page.text


def test_one_event_shows_what_was_sent(admin: Dashboard) -> None:
    page = admin.get(f"/dashboard/events/0/{IDS['held']}")
    assert page.find("//h1").text_content() == HOSTILE
    linked = page.document.xpath("//section[@id='facts']//dd/a")
    assert [words(one) for one in linked] == ["ticket-0002", "nobody/?#%", "support"]
    assert page.fact("happened") == "9 Sep 2001, 01:40 UTC"
    assert page.fact("reason") == "UNKNOWN_CUSTOMER"
    assert json.loads(page.find("//main//pre").text_content())["action"] == HOSTILE
    page = admin.get(f"/dashboard/events/0/{IDS['rejected']}")
    assert page.find("//main//pre").text_content() == f"\\xff{HOSTILE}"
    assert not page.document.xpath("//main//script")


@pytest.mark.parametrize("path", ["0/x", "0/1-1", "9/1000000000000-0", "x/1000000000000-0", "0/%3Cb%3E"])
def test_events_that_are_not_there_are_told_so(admin: Dashboard, path: str) -> None:
    page = admin.get(f"/dashboard/events/{path}")
    assert page.status == 404
    assert page.cases[0] in ("missing", "not_found")


def test_lists_page_to_the_end(session_server: Server, redis_url: str, tmp_path: Path) -> None:
    keys = [f"odd/{n:03}?#%" for n in range(120)]

    def prepare(deployment: Deployment) -> None:
        for n, key in enumerate(keys):
            deployment.event(key, "replied", n, customer_key="nobody")

    with recorded_run(session_server, tmp_path, prepare, partitions=2) as api:
        admin = Dashboard(api)
        page = admin.get("/dashboard/events?fate=held")
        assert page.find("//main").get("data-live") == "/dashboard/live"
        found = page.items("events")
        while "next" in page.pages:
            page = admin.get(page.pages["next"])
            found += page.items("events")
            assert page.pages["first"] == "/dashboard/events?fate=held"
            assert page.find("//main").get("data-live") is None, "a page in the middle stays as it is"
        assert [words(one.find(".//strong")) for one in found] == keys[::-1]
        assert admin.get(f"/dashboard/outcomes/{quote(keys[0], safe='')}").status == 200


def test_long_contents_are_cut_off(session_server: Server, redis_url: str, tmp_path: Path) -> None:
    def prepare(deployment: Deployment) -> None:
        raw = deployment.call("XADD", "witn:{0}:events", f"{LONG_AGO}-*", "data", "x" * 100_000)
        IDS["long"] = raw.decode()

    with recorded_run(session_server, tmp_path, prepare) as api:
        page = Dashboard(api).get(f"/dashboard/events/0/{IDS['long']}")
        assert len(page.source) < 30_000
        assert page.find("//main//pre").text_content() == "x" * 20_000 + "…"
        assert len(Dashboard(api).get("/dashboard/events").source) < 30_000


@pytest.mark.parametrize(
    ("fate", "reason"),
    [
        *(("held", reason) for reason in HeldReason),
        *(("rejected", why_not) for why_not in ("INVALID_EVENT", "WRONG_PARTITION", "IDENTITY_MISMATCH", "HELD_LIMIT")),
        *((fate, None) for fate in ("late", "conflict", "unknown")),
    ],
)
def test_every_reason_has_a_sentence_and_a_remedy(fate: str, reason: str | None) -> None:
    told_at = "2026-01-01T00:00:00.000Z"
    told = why(Fate(id="1-0", partition=0, accepted_at=told_at, fate=fate, reason=reason))
    assert told.remedy
    general = why(Fate(id="1-0", partition=0, accepted_at=told_at, fate=fate, reason="OTHER" if reason else None))
    assert told.text != fate
    assert (told.text != general.text) is (reason is not None), "a sentence of its own"


class TestNothing:
    @pytest.fixture
    def api(self, session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
        with recorded_run(session_server, tmp_path, lambda _: None) as opened:
            yield opened

    def test_an_empty_list_shows_how_to_send_one(self, admin: Dashboard, api: ApiServer) -> None:
        page = admin.get("/dashboard/events")
        assert page.cases == ["none-yet"]
        [curl, xadd] = page.document.xpath("//main//*[@data-copy]/@data-copy")
        assert curl.startswith(f"curl -X POST http://{api.address[0]}:{api.address[1]}/v1/events")
        assert xadd.startswith("redis-cli XADD 'witn:{0}:events' '*' key ticket-4711")

    def test_a_held_event_appears_by_itself(self, tab: Tab, api: ApiServer) -> None:
        tab.open("/dashboard/events")
        tab.page.locator("[data-case=none-yet]").wait_for()
        api.deployment.event("ticket-0001", HOSTILE, at="*", customer_key="globex")
        tab.page.locator("[data-case=unknown_customer]", has_text="globex").wait_for()
        tab.page.get_by_role("link", name="ticket-0001").click()
        tab.page.locator("[data-case=held]").wait_for()
        assert HOSTILE in tab.page.locator("table").inner_text()


class TestChanging:
    @pytest.fixture
    def api(self, session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
        with recorded_run(session_server, tmp_path, every_fate) as opened:
            yield opened

    def test_one_event_is_told_without_the_log(self, admin: Dashboard, api: ApiServer) -> None:
        api.deployment.call("XTRIM", "witn:{0}:events", "MINID", f"{LONG_AGO + 60_003}-0")
        held = admin.get(f"/dashboard/events/0/{IDS['held']}")
        assert held.case("why") == "unknown_customer"
        assert names(held.find("//*[@id='why']")) == ["nobody/?#%"]
        assert "not-in-log" in held.cases
        assert len(admin.get("/dashboard/events").items("events")) == 8
        gone = admin.get(f"/dashboard/events/0/{IDS['applied']}")
        assert gone.status == 404
        assert f"/dashboard/events?id={IDS['applied']}" in gone.hrefs
        known = admin.get(f"/dashboard/events/0/{IDS['applied']}?key=ticket-0001")
        assert (known.status, known.state("fate")) == (200, "applied")
        wrong = admin.get(f"/dashboard/events/0/{IDS['applied']}?key=ticket-0002")
        assert (wrong.status, wrong.links()["ticket-0002"]) == (404, "/dashboard/outcomes/ticket-0002")

    def test_what_is_not_read_yet_waits_and_entries_of_the_daemon_are_no_events(
        self, admin: Dashboard, api: ApiServer
    ) -> None:
        tick = api.deployment.call("XADD", "witn:{0}:events", "*", "witnd", "tick").decode()
        settle(api)
        assert admin.get(f"/dashboard/events/0/{tick}").case("why") == "control"
        ahead = int(tick.partition("-")[0]) + 50_000
        api.deployment.event("ticket-0003", "replied", at=f"{ahead}-0")
        page = admin.get(f"/dashboard/events/0/{ahead}-0")
        assert page.case("why") == "waiting"
        assert page.find("//main").get("data-live") == "/dashboard/live"

    def test_a_held_event_is_asked_for_again_by_admins_alone(self, admin: Dashboard, reader: Dashboard) -> None:
        path = f"/dashboard/events/0/{IDS['held']}"
        page = admin.submit(admin.get(path), "/dashboard/outcomes/ticket-0002/retry")
        assert (page.status, page.path) == (200, "/dashboard/outcomes/ticket-0002")
        assert not reader.get(path).document.xpath("//main//form")
        assert not admin.get(f"/dashboard/events/0/{IDS['late']}").document.xpath("//main//form")

    def test_a_held_event_is_removed_by_admins_after_a_tick(self, admin: Dashboard, reader: Dashboard) -> None:
        page = admin.get(f"/dashboard/events/0/{IDS['held']}")
        path = f"{page.path}/remove"
        assert path in [form.action for form in page.document.forms]
        assert path not in [form.action for form in reader.get(page.path).document.forms]
        assert admin.submit(page, path).status == 400
        assert admin.submit(page, path, confirmed="yes").message
        until(lambda: admin.get(page.path).case("why") == "removed", "the event is rejected")
        assert "event.remove" in admin.get("/dashboard/changes").cases
