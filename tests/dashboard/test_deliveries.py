"""Deliveries: found by what they are about, each with what was answered, and sent again."""

from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup
from msgspec.structs import replace

from tests.dashboard.browser import Tab
from tests.dashboard.client import Dashboard, figures
from tests.notify.committed import CREATED, deliveries, delivery
from tests.notify.receiver import Receiver
from tests.support.processes import until
from tests.support.server import Server
from tests.web.api_server import ApiServer, api_server
from tests.web.catalogue import AGENT, CARD, CUSTOMER, RULE, changes, made
from tests.web.invoices import on_server
from tests.web.test_deliveries import REFUSED, dead, delivered, laid_up, put, row_of
from tests.web.test_notification_rules import listening
from witnd.app import deliveries as desk_of
from witnd.domain.webhooks.delivery import Attempt, EndpointState, Progress, finish_attempt, start_attempt
from witnd.domain.webhooks.notification import SCHEDULE, Delivery, rule_id
from witnd.store.deliveries.endpoint_codec import encode_endpoint
from witnd.store.keys import Keys
from witnd.web.dashboard.present.words import until as until_filter

LIST = "/dashboard/deliveries"
RESEND = f"{LIST}/resend"
HOSTILE = '<script>alert(1)</script> "a/b?c#d%e&amp; ☃'
DUE = 4_000_000_000_000


@pytest.fixture
def api(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
    with api_server(session_server, tmp_path, allow_networks=(ip_network("127.0.0.0/8"),)) as opened:
        for name in ("billing", "crm"):
            made(opened, "/v1/notification-rules", {**RULE, "name": name})
        yield opened


@pytest.fixture
def endpoint() -> Iterator[Receiver]:
    with listening() as opened:
        yield opened


def some(api: ApiServer) -> dict[str, Delivery]:
    """One of each standing; the pending one is tried again some day."""
    rows = {
        "delivered": delivery(4, created_ms=CREATED + 4),
        "dead": delivery(3, created_ms=CREATED + 3),
        "parked": delivery(2, name="crm", created_ms=CREATED + 2),
        "pending": delivery(1),
    }
    put(api, rows["delivered"], delivered)
    put(api, rows["dead"], dead)
    put(api, rows["parked"], laid_up)
    put(api, rows["pending"], lambda progress: finish_attempt(start_attempt(progress, CREATED), REFUSED, DUE, 0.5))
    return rows


def pages_of(admin: Dashboard, path: str) -> list[list[str]]:
    """The rows of a list, page after page."""
    page, rows = admin.get(path), list[list[str]]()
    while True:
        rows += page.rows("deliveries")
        if "next" not in page.pages:
            return rows
        page = admin.get(page.pages["next"])


# -- lists -------------------------------------------------------------------------------------------------------------


def test_a_list_tells_where_each_stands_and_what_was_answered(admin: Dashboard, api: ApiServer) -> None:
    rows = some(api)
    until_then = Markup(until_filter(DUE + SCHEDULE[0])).striptags()
    page = admin.get(LIST)
    found = dict(zip([state for [state] in page.states("deliveries")], page.rows("deliveries"), strict=True))
    assert found["delivered"][0] == rows["delivered"].id[:8]
    assert found["delivered"][2].startswith("ticket-0004 ")
    assert found["delivered"][3:6] == ["billing", "1", "200"]
    assert found["dead"][5] == "500"
    assert found["parked"][3:6] == ["crm", "0", "–"]
    assert found["pending"][1].endswith(until_then)
    assert found["pending"][4:6] == ["1", "500"]
    links = admin.get(LIST).links()
    assert links[rows["dead"].id[:8]] == f"{LIST}/{rows['dead'].id}"
    assert links["ticket-0003"] == "/dashboard/outcomes/ticket-0003"
    assert links["crm"] == "/dashboard/notifications/crm"


def test_filters_are_in_the_address_and_stay_filled_in(admin: Dashboard, api: ApiServer) -> None:
    some(api)
    page = admin.submit(admin.get(LIST), LIST, standing="dead", rule="billing", about="ticket-0003")
    assert page.path == f"{LIST}?standing=dead&rule=billing&about=ticket-0003"
    assert page.states("deliveries") == [["dead"]]
    form = page.find("//form[@role='search']")
    assert dict(form.form_values()) == {"standing": "dead", "rule": "billing", "about": "ticket-0003"}
    for query, many in (("rule=crm", 1), ("standing=delivered", 1), ("about=ticket-0001", 1), ("about=TICKET-0001", 0)):
        assert len(admin.get(f"{LIST}?{query}").rows("deliveries")) == many, query
    for standing in ("pending", "delivered", "parked", "dead"):
        page = admin.get(f"{LIST}?standing={standing}")
        assert page.states("deliveries") == [[standing]]
    page = admin.get(f"{LIST}?rule=crm&standing=dead")
    assert page.cases == ["no-match"]
    assert admin.get(f"{LIST}?standing=lost").status == 400
    assert admin.get(f"{LIST}?rule=nobody").status == 400


def test_the_words_parked_and_dead_are_explained_with_what_to_do(admin: Dashboard, api: ApiServer) -> None:
    some(api)
    assert "parked" in admin.get(f"{LIST}?standing=parked").cases
    page = admin.get(f"{LIST}?standing=dead&rule=billing")
    assert "dead" in page.cases
    [to] = page.document.xpath(f"//*[@data-case='dead']//a[starts-with(@href, '{RESEND}')]/@href")
    form = admin.get(to).find("//main//form")
    assert dict(form.form_values())["standing"] == "dead"
    assert dict(form.form_values())["rule"] == "billing"
    explained = admin.get(LIST).document.xpath("//*[@id='states']//@data-state")
    assert explained == ["pending", "delivered", "parked", "dead"]


def test_a_list_goes_on_page_by_page(admin: Dashboard, api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("witnd.web.dashboard.pages.webhooks.deliveries.LIMIT", 3)
    rows = deliveries(8)
    for row in rows:
        put(api, row, delivered)
    newest = [row.id[:8] for row in reversed(rows)]
    for query in ("", "?rule=billing", "?standing=delivered&rule=billing"):
        assert [row[0] for row in pages_of(admin, LIST + query)] == newest
    page = admin.get(admin.get(f"{LIST}?rule=billing").pages["next"])
    assert page.pages["first"] == f"{LIST}?rule=billing"
    assert admin.get(f"{LIST}?after=nonsense").status == 400


def test_a_message_is_found_by_the_id_that_its_receiver_has(admin: Dashboard, api: ApiServer) -> None:
    one = some(api)["parked"]
    assert admin.get(f"{LIST}?about={one.id}").path == f"{LIST}/{one.id}"
    assert admin.get(f"{LIST}?about={'ab' * 32}").cases == ["no-match"]


def test_an_empty_list_says_how_the_first_one_comes(admin: Dashboard, api: ApiServer) -> None:
    page = admin.get(LIST)
    assert page.cases == ["none-yet"]
    assert page.rows("deliveries") == []


def test_a_rare_one_is_looked_for_where_one_asks_and_not_on_the_page_of_its_notification(
    admin: Dashboard, api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [delivery(1, name="crm"), *deliveries(3)]
    for row in rows:
        put(api, row, delivered)
    path = "/dashboard/notifications/crm"
    assert [row[0] for row in admin.get(path).rows("deliveries")] == [rows[0].id[:8]]
    monkeypatch.setattr("witnd.web.dashboard.pages.webhooks.notifications.LOOKED_AT_MAX", 2)
    page = admin.get(path)
    assert page.case("deliveries") == "none-of-newest"
    assert f"{LIST}?rule=crm" in page.hrefs
    assert [row[0] for row in admin.get(f"{LIST}?rule=crm").rows("deliveries")] == [rows[0].id[:8]]


# -- one ---------------------------------------------------------------------------------------------------------------


def test_a_delivery_shows_its_message_and_every_attempt(admin: Dashboard, api: ApiServer) -> None:
    one = delivery(1)

    def tried(progress: Progress) -> Progress:
        gone = Attempt(reason="no connection within 10 s", duration_ms=10_000)
        said = Attempt(status=503, reason="responded 503", duration_ms=7, detail=HOSTILE)
        for attempt in (gone, said):
            progress = finish_attempt(start_attempt(progress, CREATED), attempt, CREATED, 0.5, (1,))
        return progress

    put(api, one, tried)
    page = admin.get(f"{LIST}/{one.id}")
    assert "billing" in page.find("//h1").text
    rows = page.rows("attempts")
    assert [row[0] for row in rows] == ["2", "1"]
    assert rows[0][2:5] == ["503", "7 ms", f"responded 503 {HOSTILE}"]
    assert rows[1][3:5] == ["10,000 ms", "no connection within 10 s"]
    assert page.item_cases("attempts") == [["scheduled"], ["scheduled"]]
    assert not page.document.xpath("//main//script")
    assert f"webhook-id: {one.id}" in page.text_of("message")
    assert page.find("//*[@id='exact']//pre").text == one.body.decode()
    assert any('"outcomeKey": "ticket-0001"' in one.text for one in page.document.xpath("//*[@id='message']/pre"))
    assert page.links()["ticket-0001"] == "/dashboard/outcomes/ticket-0001"
    assert page.links()["billing"] == "/dashboard/notifications/billing"


def test_an_outcome_with_a_hostile_key_stays_text(admin: Dashboard, api: ApiServer) -> None:
    one = replace(delivery(1), outcome_key=HOSTILE, body=b'{"subjectKey":"</pre><script>alert(1)</script>"}')
    put(api, one, delivered)
    for path in (LIST, f"{LIST}/{one.id}", f"{LIST}?about={'%3Cscript%3E'}"):
        assert not admin.get(path).document.xpath("//main//script")
    page = admin.get(f"{LIST}/{one.id}")
    assert HOSTILE in page.links()
    assert page.find("//*[@id='exact']//pre").text == one.body.decode()


def test_what_happens_next_is_told(admin: Dashboard, api: ApiServer) -> None:
    rows = some(api)
    for standing, case in (("delivered", "delivered"), ("dead", "dead"), ("parked", "parked"), ("pending", "retry")):
        page = admin.get(f"{LIST}/{rows[standing].id}")
        assert page.case("next") == case, standing
        assert ("500" in page.text_of("next")) is (standing in ("dead", "pending"))


def test_why_one_is_parked_is_told_with_what_to_do(admin: Dashboard, api: ApiServer) -> None:
    one = some(api)["parked"]
    path = f"{LIST}/{one.id}"
    gone = EndpointState(failing_since=1, suspended_at=2, reason="the endpoint responded 410 Gone")
    api.deployment.call("HSET", "witn:{shared}:endpoints", one.rule_id, encode_endpoint(gone))
    assert admin.get(path).case("next") == "suspended"
    assert "410 Gone" in admin.get(path).text_of("next")
    api.deployment.call("HDEL", "witn:{shared}:endpoints", one.rule_id)
    assert api.ask("PATCH", f"/v1/notification-rules/{rule_id('crm')}", {"enabled": False}).status == 200
    assert admin.get(path).case("next") == "disabled"
    assert not admin.get(path).document.xpath("//main//form"), "sent again, it would be given up at once"
    assert api.ask("DELETE", f"/v1/notification-rules/{rule_id('crm')}").status == 200
    assert admin.get(path).case("next") == "archived"


def test_one_that_is_not_there_or_lost_its_message(admin: Dashboard, api: ApiServer) -> None:
    assert admin.get(f"{LIST}/{'ab' * 32}").status == 404
    one = some(api)["dead"]

    async def lose(client: Any) -> None:
        await client.hdel(Keys("witn", 0).deliveries, one.id)

    on_server(api, lose)
    page = admin.get(f"{LIST}/{one.id}")
    assert page.case("next") == "gone"
    assert not page.document.xpath("//main//form")
    assert admin.get(f"{LIST}?standing=dead").item_cases("deliveries") == [["gone"]]


# -- sending again -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [delivered, dead, laid_up])
def test_one_is_sent_again_and_its_answer_shown(
    admin: Dashboard, api: ApiServer, endpoint: Receiver, step: Callable[[Progress], Progress]
) -> None:
    assert (
        api.ask("PATCH", f"/v1/notification-rules/{rule_id('billing')}", {"url": endpoint.url("/hook")}).status == 200
    )
    one = delivery(1)
    put(api, one, step)
    page = admin.submit(admin.get(f"{LIST}/{one.id}"), f"{LIST}/{one.id}/resend")
    assert page.path == f"{LIST}/{one.id}"
    assert page.message
    until(lambda: admin.get(page.path).state("standing") == "delivered" and bool(endpoint.received), "it is delivered")
    assert endpoint.received[0].id == one.id
    until(lambda: admin.get(page.path).rows("attempts")[0][2] == "200", "the answer is on record")
    assert admin.get(page.path).item_cases("attempts")[0] == ["manual"]
    noted = changes(api)[-1]
    assert (noted["what"], noted["key"], noted["who"]) == ("delivery.resend", one.id, "token admin")


def test_a_range_is_counted_and_sent_again_by_who_confirms_that(admin: Dashboard, api: ApiServer) -> None:
    rows = deliveries(6) + deliveries(2, name="crm")
    for place, row in enumerate(rows):
        put(api, row, (delivered, dead)[place % 2])
    typed: dict[str, Any] = {
        "from": "2026-01-01T00:00",
        "to": "2026-01-01T00:00:01",
        "rule": "billing",
        "standing": "dead",
    }
    page = admin.submit(admin.get(RESEND), RESEND, button="count", **typed)
    assert (page.case("count"), figures(page.find("//*[@id='count']"))) == ("some", ["4"])
    assert row_of(api, rows[1]).progress.resends == 0
    page = admin.submit(page, RESEND, button="send")
    assert page.status == 400
    assert page.is_refused
    assert {name: value for name, value in page.find("//main//form").form_values() if name in typed} == typed
    page = admin.submit(page, RESEND, button="send", confirmed="yes")
    assert page.path == LIST
    assert "3" in page.message
    noted = changes(api)[-1]
    assert noted["after"] == {"requested": True, "rule": "billing", "standings": ["dead"]}
    empty: dict[str, Any] = {**typed, "from": "2025-01-01T00:00", "to": "2025-01-02T00:00"}
    assert admin.submit(admin.get(RESEND), RESEND, button="count", **empty).case("count") == "none"
    page = admin.submit(admin.get(RESEND), RESEND, button="send", confirmed="yes", **empty)
    assert page.message


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ({"from": "", "to": ""}, "from"),
        ({"from": "2026-01-01T00:00", "to": ""}, "to"),
        ({"from": "2026-01-02T00:00", "to": "2026-01-01T00:00"}, "to"),
        ({"from": HOSTILE, "to": "2026-01-01T00:00"}, "from"),
        ({"from": "2026-01-01T00:00", "to": "2026-01-02T00:00", "rule": "nobody"}, "rule"),
    ],
)
def test_a_range_that_cannot_be_meant_is_refused_beside_what_was_typed(
    admin: Dashboard, api: ApiServer, typed: dict[str, Any], wrong: str
) -> None:
    for button in ("count", "send"):
        page = admin.submit(admin.get(RESEND), RESEND, button=button, confirmed="yes", **typed)
        assert page.status == 400
        assert page.invalid[0] == wrong
        given = dict(page.find("//main//form").form_values())
        assert (given["from"], given["to"]) == (typed["from"], typed["to"])
        assert not page.document.xpath("//main//script")


def test_a_range_that_holds_too_many_is_refused_whole(
    admin: Dashboard, api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_of, "RESENT_MAX", 2)
    rows = deliveries(3)
    for row in rows:
        put(api, row, dead)
    typed: dict[str, Any] = {"from": "2026-01-01T00:00", "to": "2026-01-02T00:00"}
    page = admin.submit(admin.get(RESEND), RESEND, button="count", **typed)
    assert (page.case("count"), figures(page.find("//*[@id='count']"))) == ("too-many", ["3", "2"])
    page = admin.submit(page, RESEND, button="send", confirmed="yes")
    assert page.status == 400
    assert page.is_refused
    assert [row_of(api, row).progress.resends for row in rows] == [0, 0, 0]


def test_readers_see_everything_and_send_nothing(reader: Dashboard, api: ApiServer) -> None:
    one = some(api)["dead"]
    page = reader.get(f"{LIST}/{one.id}")
    assert page.status == 200
    assert not page.document.xpath("//main//form")
    page = reader.get(f"{LIST}?standing=dead")
    assert not [href for href in page.hrefs if href.startswith(RESEND)]
    assert reader.get(RESEND).status == 403
    key = page.find("//form[contains(@action, 'sign-out')]//input[@name='form_key']").get("value")
    for path in (RESEND, f"{LIST}/{one.id}/resend"):
        assert reader.send(path, {"form_key": key, "confirmed": "yes", "do": "send"}).status == 403
    assert row_of(api, one).progress.resends == 0


def test_why_an_endpoint_is_suspended_stays_text(admin: Dashboard, api: ApiServer) -> None:
    one = some(api)["parked"]
    state = EndpointState(failing_since=1, suspended_at=2, reason=HOSTILE)
    api.deployment.call("HSET", "witn:{shared}:endpoints", one.rule_id, encode_endpoint(state))
    page = admin.get(f"{LIST}/{one.id}")
    assert HOSTILE in page.text_of("next")
    assert not page.document.xpath("//main//script")


# -- in a browser ------------------------------------------------------------------------------------------------------


def test_a_delivery_appears_in_the_list_while_one_looks(tab: Tab, api: ApiServer, endpoint: Receiver) -> None:
    made(api, "/v1/agents", {**AGENT, "settlement_period": 1})
    made(api, "/v1/rate-cards", CARD)
    made(api, "/v1/customers", CUSTOMER)
    made(api, "/v1/notification-rules", {**RULE, "name": "live", "url": endpoint.url("/hook")})
    tab.open(f"{LIST}?rule=live")
    tab.page.locator("[data-case=no-match]").wait_for()
    event = {"key": "ticket-4711", "action": "replied", "customer_key": "acme"}
    assert api.ask("POST", "/v1/events", event).status == 202
    row = tab.page.get_by_role("row").filter(has_text="ticket-4711")
    row.locator("[data-state=delivered]").wait_for()
    tab.field("standing").select_option("dead")
    tab.page.locator("#search").click()
    tab.page.locator("[data-case=no-match]").wait_for()
    assert tab.page.url.endswith(f"{LIST}?standing=dead&rule=live")


def test_a_range_is_counted_where_one_stands(tab: Tab, api: ApiServer) -> None:
    tab.open(RESEND)
    tab.field("from").fill("2026-01-01T00:00:00")
    tab.field("to").fill("2026-01-02T00:00:00")
    tab.press("count")
    tab.page.locator("#count[data-case=none]").wait_for()
    assert tab.field("from").input_value().startswith("2026-01-01T00:00")
