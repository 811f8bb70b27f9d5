"""What needs a person: what is stuck, why, and asking again."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.dashboard.desk import Desk, Page
from tests.dashboard.reading import read
from tests.dashboard.window import Window
from tests.support.processes import until
from tests.support.server import Server
from tests.support.workshop import CATALOGUE, Workshop
from tests.web.lived import lived
from tests.web.office import Office
from witnd.app import problems
from witnd.domain.webhooks.delivery import EndpointState, Progress
from witnd.domain.webhooks.notification import rule_id
from witnd.store.deliveries.outbox import encode_endpoint, encode_progress
from witnd.web.dashboard.pages import problems as page_of

CRM = rule_id("crm")
PRICED = CATALOGUE.replace('key = "penniless"\n', 'key = "penniless"\nrate_card = "standard"\n')
HELD = "held/0/2026?<b>"
WAITING = (
    "Customer penniless has no rate card in force. Give it one.",
    "There is no customer globex. Create it, or correct the key in the sender. Its events wait meanwhile.",
    "There is no agent writer, or it is archived. Create it or bring it back, or correct the key in the sender.",
    "It names no agent, and not exactly one could be meant. Send agent_key with the events",
)
WRITER = """
[[agents]]
key = "writer"
settlement_period = 60
condition = [{ fact = "written", operator = "seen" }]
"""


def trouble(shop: Workshop) -> None:
    shop.event("ticket-0001", "replied", 0)
    shop.event("ticket-0001", "replied", 60_000)
    shop.event(HELD, "replied", at="*", customer_key="penniless")
    shop.event(HELD, "replied", at="*", customer_key="penniless")
    shop.event("held/1/2026", "replied", at="*", customer_key="globex")
    shop.event("held/2/2026", "asked", at="*", agent_key="writer")
    shop.event("held/3/2026", "asked", at="*", agent_key=None)
    shop.event("bad", "<script>", at="*")


@pytest.fixture
def api(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[Office]:
    with lived(session_server, tmp_path, trouble) as opened:
        yield opened


def cases(page: Page, label: str) -> list[str]:
    return [read(one) for one in page.document.xpath(f"//ul[@aria-label='{label}']/li")]


def test_held_keys_say_what_they_wait_for_and_where_to_go(desk: Desk) -> None:
    page = desk.get("/dashboard/problems")
    assert page.id("count") == "5 things"
    held = cases(page, "Held keys")
    assert held[0].startswith(f"{HELD} 2 events since")
    for one, says in zip(held, WAITING, strict=True):
        assert says in one
    links = page.links()
    assert links[HELD] == "/dashboard/outcomes/held%2F0%2F2026%3F%3Cb%3E"
    assert links["Create customer globex"] == "/dashboard/customers/new?key=globex"
    assert links["Create agent writer"] == "/dashboard/agents/new?key=writer"


def test_a_missing_price_names_the_rate_card(session_server: Server, redis_url: str, tmp_path: Path) -> None:
    def prepare(shop: Workshop) -> None:
        shop.apply(CATALOGUE + WRITER)
        shop.event("ticket-0001", "written", at="*", agent_key="writer")

    with lived(session_server, tmp_path, prepare) as api:
        page = Desk(api).get("/dashboard/problems")
        [one] = cases(page, "Held keys")
        assert "Rate card standard of customer acme has no price for agent writer. Add one." in one
        assert page.links()["Rate card standard"] == "/dashboard/rate-cards/standard"
        assert page.links()["Customer acme"] == "/dashboard/customers/acme"


def test_rejected_and_late_events_are_told(desk: Desk) -> None:
    page = desk.get("/dashboard/problems")
    [rejected] = cases(page, "Rejected events")
    assert "It cannot be read as an event – key: must have 8 to 255 characters, it has 3." in rejected
    assert "1 within a day, 1 ever." in page.id("rejected")
    [late] = cases(page, "Late events")
    assert late.startswith("ticket-0001 late The event of 9 Sep 2001, 01:47 UTC Its outcome was settled before it came")
    assert page.links()["All rejected events"] == "/dashboard/events?fate=rejected"


def test_messages_that_are_not_sent_and_endpoints_that_fail_are_told(desk: Desk, api: Office) -> None:
    shop = api.workshop
    [id_] = shop.call("HKEYS", "witn:{0}:deliveries")
    shop.call("HSET", "witn:{0}:attempts", id_, encode_progress(Progress(standing="dead", started=10, reason="<b>no")))
    shop.call("ZADD", "witn:{0}:dead", 1, id_)
    state = EndpointState(failing_since=1000, suspended_at=2000, reason="it answered 410 Gone")
    shop.call("HSET", "witn:{shared}:endpoints", CRM, encode_endpoint(state))
    page = desk.get("/dashboard/problems")
    assert cases(page, "Deliveries") == [
        "ticket-0001 given up 10 attempts To crm: <b>no Open the delivery of ticket-0001"
    ]
    assert page.links()["Open the delivery of ticket-0001"] == f"/dashboard/deliveries/{id_.decode()}"
    assert page.links()["1 given up"] == "/dashboard/deliveries?standing=dead"
    assert cases(page, "Endpoints") == ["crm suspended since 1 Jan 1970, 00:00 UTC it answered 410 Gone"]
    assert page.links()["crm"] == f"/dashboard/notifications/{CRM}"
    for link in ("crm", "1 given up", "Open the delivery of ticket-0001"):
        assert desk.get(page.links()[link]).status == 200


def test_drafts_and_troubles_are_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    real = problems.needs

    async def with_more(*known: object) -> object:
        found, waiting = await real(*known)  # type: ignore[arg-type]
        draft = problems.WaitingDraft(
            id="d" * 64, customer_key="acme/ü", currency="EUR",
            period_start="2026-10-01T00:00:00.000Z", period_end="2026-11-01T00:00:00.000Z", href="",
        )  # fmt: skip
        drafts = problems.WaitingDrafts(count=1, in_review=2, items=[draft], href="")
        return replace(found, drafts=drafts, troubles=["partition 0 <b> does not move"]), waiting

    monkeypatch.setattr(page_of, "needs", with_more)
    page = desk.get("/dashboard/problems")
    assert cases(page, "Drafts") == ["acme/ü 1 – 31 October 2026 (UTC), in EUR Open the draft for acme/ü"]
    assert "1 draft waits for somebody to issue it. 2 drafts will be issued after the time for review." in page.text
    assert page.links()["Open the draft for acme/ü"] == f"/dashboard/invoices/{'d' * 64}"
    assert page.links()["All drafts"] == "/dashboard/invoices?status=draft"
    assert "partition 0 <b> does not move" in page.id("troubles")


def test_who_only_reads_sees_no_actions(reader: Desk, desk: Desk, api: Office) -> None:
    page = reader.get("/dashboard/problems")
    assert not page.document.xpath("//main//form")
    assert "Create customer globex" not in page.links()
    length = api.workshop.call("XLEN", "witn:{0}:events")
    key = page.document.xpath("//input[@name='form_key']/@value")[0]
    assert reader.send("/dashboard/problems/retry-held", {"form_key": key}).status == 403
    assert desk.send("/dashboard/problems/retry-held", {"form_key": key}).status == 403, "the key of another session"
    assert api.workshop.call("XLEN", "witn:{0}:events") == length


def test_one_key_is_asked_for_again_from_here(desk: Desk) -> None:
    page = desk.get("/dashboard/problems")
    page = desk.submit(page, "/dashboard/outcomes/held%2F0%2F2026%3F%3Cb%3E/retry")
    assert (page.status, page.path) == (200, "/dashboard/problems#held")
    assert f"Events of {HELD} are tried again." in page.id("told")


def test_all_that_can_be_placed_is_asked_for_again(desk: Desk, api: Office) -> None:
    page = desk.submit(desk.get("/dashboard/problems"), "/dashboard/problems/retry-held")
    assert page.id("told") == (
        "4 keys with held events were looked at. None can be placed yet: see below what each waits for."
    )
    api.workshop.apply(PRICED)
    page = desk.submit(desk.get("/dashboard/problems"), "/dashboard/problems/retry-held")
    # The daemon asks by itself as soon as it notices the change, which may be before.
    if "1 can be placed now" in page.id("told"):
        [[_, noted]] = api.workshop.call("XREVRANGE", "witn:{shared}:changes", "+", "-", "COUNT", 1)
        assert json.loads(noted[b"data"])["after"] == {"keys": [HELD], "requested": True}
    until(lambda: api.get("/v1/problems")["held"]["count"] == 3, "it is placed")
    assert len(cases(desk.get("/dashboard/problems"), "Held keys")) == 3


def test_many_held_keys_take_several_presses(
    session_server: Server, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("witnd.app.outcomes.retry.KEYS_MOST", 10)

    def prepare(shop: Workshop) -> None:
        for n in range(25):
            shop.event(f"ticket-{n:04}", "replied", at="*", customer_key="penniless")

    with lived(session_server, tmp_path, prepare) as api:
        desk = Desk(api)
        page = desk.get("/dashboard/problems")
        assert len(cases(page, "Held keys")) == 20
        assert "5 other keys are in the list of all held events" in page.text
        page = desk.submit(page, "/dashboard/problems/retry-held", button="Try all that can be placed now")
        assert "There are more: press the button again." in page.id("told")
        page = desk.submit(page, "/dashboard/problems/retry-held", button="Try the next ones")
        assert page.id("told").startswith("10 keys")
        page = desk.submit(page, "/dashboard/problems/retry-held", button="Try the next ones")
        assert page.id("told").startswith("5 keys")
        assert "press the button again" not in page.id("told")
        assert page.path == "/dashboard/problems#held"
        assert desk.get("/dashboard/problems?after=zzz").status == 200


class TestNothing:
    @pytest.fixture
    def api(self, session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[Office]:
        with lived(session_server, tmp_path, lambda _: None) as opened:
            yield opened

    def test_nothing_is_the_matter(self, reader: Desk) -> None:
        page = reader.get("/dashboard/problems")
        assert page.id("count") == "all is well"
        assert "Nothing needs you" in page.text
        assert [one.get("id") for one in page.document.xpath("//main/div[@data-fresh][normalize-space()]")] == [
            "nothing"
        ]

    def test_what_gets_stuck_appears_and_goes_by_itself(self, window: Window, api: Office) -> None:
        window.open("/dashboard/problems")
        window.page.get_by_role("heading", name="Nothing needs you").wait_for()
        api.workshop.event("ticket-0001", "replied", at="*", customer_key="penniless")
        window.page.get_by_text("has no rate card in force").wait_for()
        assert not window.page.get_by_role("heading", name="Nothing needs you").is_visible()
        api.workshop.apply(PRICED)
        window.page.get_by_role("heading", name="Nothing needs you").wait_for()


def test_an_outcome_on_hold_is_listed_with_the_reason_and_its_page_says_what_to_do(desk: Desk, api: Office) -> None:
    shop = api.workshop
    shop.call("SET", shop.keys().outcome("damaged-0001"), "xxxx")
    shop.event("damaged-0001", "replied", at="*")
    until(lambda: shop.call("HEXISTS", shop.keys().on_hold, "damaged-0001"), "it is on hold")

    [case] = cases(desk.get("/dashboard/problems"), "Outcomes on hold")
    assert "damaged-0001" in case
    assert "checksum" in case
    assert "witnd repair outcome damaged-0001" in desk.get("/dashboard/outcomes/damaged-0001").text
    found = api.get("/v1/outcomes/damaged-0001")
    assert (found["outcome"], found["on_hold"]["waiting"]) == (None, 1)
    assert api.get("/v1/problems")["on_hold"]["count"] == 1
    assert any("damaged-0001" in alarm for alarm in api.get("/readyz")["alarms"])
    desk.get("/dashboard/events?fate=waiting")
