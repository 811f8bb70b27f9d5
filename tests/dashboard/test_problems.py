"""What needs a person: what is stuck, why, and asking again."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.dashboard.browser import Tab
from tests.dashboard.client import Dashboard, figures, names, words
from tests.support.deployment import CATALOGUE, Deployment
from tests.support.processes import until
from tests.support.server import Server
from tests.web.api_server import ApiServer
from tests.web.recorded_run import recorded_run
from witnd.app import problems
from witnd.domain.webhooks.delivery import EndpointState, Progress
from witnd.domain.webhooks.notification import rule_id
from witnd.store.deliveries.endpoint_codec import encode_endpoint
from witnd.store.deliveries.outbox import encode_progress
from witnd.web.dashboard.pages import problems as page_of

CRM = rule_id("crm")
PRICED = CATALOGUE.replace('key = "penniless"\n', 'key = "penniless"\nrate_card = "standard"\n')
HELD = "held/0/2026?<b>"
WAITING = [["no_rate_card"], ["unknown_customer"], ["unknown_agent"], ["agent_ambiguous"]]
WRITER = """
[[agents]]
key = "writer"
settlement_period = 60
condition = [{ fact = "written", operator = "seen" }]
"""


def trouble(deployment: Deployment) -> None:
    deployment.event("ticket-0001", "replied", 0)
    deployment.event("ticket-0001", "replied", 60_000)
    deployment.event(HELD, "replied", at="*", customer_key="penniless")
    deployment.event(HELD, "replied", at="*", customer_key="penniless")
    deployment.event("held/1/2026", "replied", at="*", customer_key="globex")
    deployment.event("held/2/2026", "asked", at="*", agent_key="writer")
    deployment.event("held/3/2026", "asked", at="*", agent_key=None)
    deployment.event("bad", "<script>", at="*")


@pytest.fixture
def api(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
    with recorded_run(session_server, tmp_path, trouble) as opened:
        yield opened


def test_held_keys_say_what_they_wait_for_and_where_to_go(admin: Dashboard) -> None:
    page = admin.get("/dashboard/problems")
    assert page.state("count") == "held"
    assert figures(page.find("//*[@id='count']")) == ["5"]
    held = page.items("held-keys")
    assert words(held[0].find(".//strong")) == HELD
    assert figures(held[0].find(".//strong/../span"))[0] == "2"
    assert page.item_cases("held-keys") == WAITING
    assert [names(one)[:1] for one in held] == [["penniless"], ["globex"], ["writer"], ["agent_key"]]
    links = page.links()
    assert links[HELD] == "/dashboard/outcomes/held%2F0%2F2026%3F%3Cb%3E"
    assert {"/dashboard/customers/new?key=globex", "/dashboard/agents/new?key=writer"} <= page.hrefs


def test_a_missing_price_names_the_rate_card(session_server: Server, redis_url: str, tmp_path: Path) -> None:
    def prepare(deployment: Deployment) -> None:
        deployment.apply(CATALOGUE + WRITER)
        deployment.event("ticket-0001", "written", at="*", agent_key="writer")

    with recorded_run(session_server, tmp_path, prepare) as api:
        page = Dashboard(api).get("/dashboard/problems")
        [one] = page.items("held-keys")
        assert page.item_cases("held-keys") == [["no_price"]]
        assert names(one) == ["standard", "acme", "writer"]
        assert {"/dashboard/rate-cards/standard", "/dashboard/customers/acme"} <= page.hrefs


def test_rejected_and_late_events_are_told(admin: Dashboard) -> None:
    page = admin.get("/dashboard/problems")
    rejected, late = page.items("events")
    assert page.states("events") == [["rejected"], ["late"]]
    assert page.item_cases("events") == [["invalid_event"], ["late"]]
    assert "key: " in words(rejected), "what is wrong with it"
    assert figures(page.find("//p[@data-fact='rejected']")) == ["1", "1"]
    assert words(late.find(".//strong")) == "ticket-0001"
    assert late.find(".//time").text == "9 Sep 2001, 01:47 UTC"
    assert "/dashboard/events?fate=rejected" in page.hrefs


def test_messages_that_are_not_sent_and_endpoints_that_fail_are_told(admin: Dashboard, api: ApiServer) -> None:
    deployment = api.deployment
    [id_] = deployment.call("HKEYS", "witn:{0}:deliveries")
    deployment.call(
        "HSET", "witn:{0}:attempts", id_, encode_progress(Progress(standing="dead", started=10, reason="<b>no"))
    )
    deployment.call("ZADD", "witn:{0}:dead", 1, id_)
    state = EndpointState(failing_since=1000, suspended_at=2000, reason="the endpoint responded 410 Gone")
    deployment.call("HSET", "witn:{shared}:endpoints", CRM, encode_endpoint(state))
    page = admin.get("/dashboard/problems")
    [delivery] = page.items("deliveries")
    assert page.states("deliveries") == [["dead"]]
    assert words(delivery.find(".//strong")) == "ticket-0001"
    assert figures(delivery.find(".//span[@class='quiet']")) == ["10"]
    assert words(delivery.find(".//p")).endswith("crm: <b>no")
    [given_up] = page.document.xpath("//a[@href='/dashboard/deliveries?standing=dead']")
    assert figures(given_up) == ["1"]
    [failing] = page.items("endpoints")
    assert page.states("endpoints") == [["suspended"]]
    assert failing.find(".//time").text == "1 Jan 1970, 00:00 UTC"
    assert words(failing.find(".//p")) == "the endpoint responded 410 Gone"
    assert page.links()["crm"] == f"/dashboard/notifications/{CRM}"
    for href in (page.links()["crm"], "/dashboard/deliveries?standing=dead", f"/dashboard/deliveries/{id_.decode()}"):
        assert href in page.hrefs
        assert admin.get(href).status == 200


def test_drafts_and_troubles_are_told(admin: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    real = problems.needs

    async def with_more(*known: object) -> object:
        found, waiting = await real(*known)  # type: ignore[arg-type]
        draft = problems.WaitingDraft(
            id="d" * 64, customer_key="acme/ü", currency="EUR",
            period_start="2026-10-01T00:00:00.000Z", period_end="2026-11-01T00:00:00.000Z", href="",
                period="month", time_zone="UTC", first_day="2026-10-01", last_day="2026-10-31",
        )  # fmt: skip
        drafts = problems.WaitingDrafts(count=1, in_review=2, items=[draft], href="")
        return replace(found, drafts=drafts, troubles=["partition 0 <b> does not move"]), waiting

    monkeypatch.setattr(page_of, "needs", with_more)
    page = admin.get("/dashboard/problems")
    [draft] = page.items("drafts")
    assert words(draft.find(".//strong")) == "acme/ü"
    assert words(draft.find(".//p")).startswith("1 – 31 October 2026 (UTC)")
    assert figures(page.find("//*[@data-fact='drafts']")) == ["1", "2"]
    assert {f"/dashboard/invoices/{'d' * 64}", "/dashboard/invoices?status=draft"} <= page.hrefs
    assert "partition 0 <b> does not move" in page.text_of("troubles")


def test_who_only_reads_sees_no_actions(reader: Dashboard, admin: Dashboard, api: ApiServer) -> None:
    page = reader.get("/dashboard/problems")
    assert not page.document.xpath("//main//form")
    assert not [href for href in page.hrefs if "/new" in href]
    length = api.deployment.call("XLEN", "witn:{0}:events")
    key = page.document.xpath("//input[@name='form_key']/@value")[0]
    assert reader.send("/dashboard/problems/retry-held", {"form_key": key}).status == 403
    assert admin.send("/dashboard/problems/retry-held", {"form_key": key}).status == 403, "the key of another session"
    assert api.deployment.call("XLEN", "witn:{0}:events") == length


def test_one_key_is_asked_for_again_from_here(admin: Dashboard) -> None:
    page = admin.get("/dashboard/problems")
    page = admin.submit(page, "/dashboard/outcomes/held%2F0%2F2026%3F%3Cb%3E/retry")
    assert (page.status, page.path) == (200, "/dashboard/problems#held")
    assert HELD in page.message


def test_all_that_can_be_placed_is_asked_for_again(admin: Dashboard, api: ApiServer) -> None:
    page = admin.submit(admin.get("/dashboard/problems"), "/dashboard/problems/retry-held")
    assert re.findall(r"\d+", page.message) == ["4"]
    api.deployment.apply(PRICED)
    page = admin.submit(admin.get("/dashboard/problems"), "/dashboard/problems/retry-held")
    # The daemon asks by itself as soon as it notices the change, which may be before.
    if len(re.findall(r"\d+", page.message)) > 1:
        [[_, noted]] = api.deployment.call("XREVRANGE", "witn:{shared}:changes", "+", "-", "COUNT", 1)
        assert json.loads(noted[b"data"])["after"] == {"keys": [HELD], "requested": True}
    until(lambda: api.get("/v1/problems")["held"]["count"] == 3, "it is placed")
    assert len(admin.get("/dashboard/problems").items("held-keys")) == 3


def test_many_held_keys_take_several_presses(
    session_server: Server, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("witnd.app.outcomes.retry.KEYS_MOST", 10)

    def prepare(deployment: Deployment) -> None:
        for n in range(25):
            deployment.event(f"ticket-{n:04}", "replied", at="*", customer_key="penniless")

    with recorded_run(session_server, tmp_path, prepare) as api:
        admin = Dashboard(api)
        page = admin.get("/dashboard/problems")
        assert len(page.items("held-keys")) == 20
        assert figures(page.find("//*[@data-fact='held-left']")) == ["5"]
        page = admin.submit(page, "/dashboard/problems/retry-held")
        assert re.findall(r"\d+", page.message) == ["10"]
        assert "after=" in page.path, "there are more"
        page = admin.submit(page, "/dashboard/problems/retry-held")
        assert re.findall(r"\d+", page.message) == ["10"]
        page = admin.submit(page, "/dashboard/problems/retry-held")
        assert re.findall(r"\d+", page.message) == ["5"]
        assert page.path == "/dashboard/problems#held"
        assert admin.get("/dashboard/problems?after=zzz").status == 200


class TestNothing:
    @pytest.fixture
    def api(self, session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
        with recorded_run(session_server, tmp_path, lambda _: None) as opened:
            yield opened

    def test_nothing_is_the_matter(self, reader: Dashboard) -> None:
        page = reader.get("/dashboard/problems")
        assert page.state("count") == "healthy"
        assert page.cases == ["nothing"]
        assert [one.get("id") for one in page.document.xpath("//main/div[@data-fresh][normalize-space()]")] == [
            "nothing"
        ]

    def test_what_gets_stuck_appears_and_goes_by_itself(self, tab: Tab, api: ApiServer) -> None:
        tab.open("/dashboard/problems")
        tab.page.locator("[data-case=nothing]").wait_for()
        api.deployment.event("ticket-0001", "replied", at="*", customer_key="penniless")
        tab.page.locator("[data-case=no_rate_card]").wait_for()
        assert not tab.page.locator("[data-case=nothing]").is_visible()
        api.deployment.apply(PRICED)
        tab.page.locator("[data-case=nothing]").wait_for()


def test_an_outcome_on_hold_is_listed_with_the_reason_and_its_page_says_what_to_do(
    admin: Dashboard, api: ApiServer
) -> None:
    deployment = api.deployment
    deployment.call("SET", deployment.keys().outcome("damaged-0001"), "xxxx")
    deployment.event("damaged-0001", "replied", at="*")
    until(lambda: deployment.call("HEXISTS", deployment.keys().on_hold, "damaged-0001"), "it is on hold")

    [case] = admin.get("/dashboard/problems").items("on-hold")
    assert words(case.find(".//strong")) == "damaged-0001"
    assert words(case.find(".//p")), "the reason"
    assert "witnd repair outcome damaged-0001" in admin.get("/dashboard/outcomes/damaged-0001").text
    found = api.get("/v1/outcomes/damaged-0001")
    assert (found["outcome"], found["on_hold"]["waiting"]) == (None, 1)
    assert api.get("/v1/problems")["on_hold"]["count"] == 1
    assert any("damaged-0001" in alarm for alarm in api.get("/readyz")["alarms"])
    admin.get("/dashboard/events?fate=waiting")
