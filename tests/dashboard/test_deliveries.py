"""Deliveries: found by what they are about, each with what was answered, and sent again."""

from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup
from msgspec.structs import replace

from tests.dashboard.desk import Desk
from tests.dashboard.window import Window
from tests.notify.committed import CREATED, deliveries, delivery
from tests.notify.receiver import Receiver
from tests.support.processes import until
from tests.support.server import Server
from tests.web.catalogue import AGENT, CARD, CUSTOMER, RULE, changes, made
from tests.web.office import Office, office
from tests.web.papers import on_server
from tests.web.test_deliveries import REFUSED, dead, delivered, laid_up, put, row_of
from tests.web.test_notification_rules import listening
from witnd.app import deliveries as desk_of
from witnd.domain.webhooks.delivery import Attempt, EndpointState, Progress, finish_attempt, start_attempt
from witnd.domain.webhooks.notification import SCHEDULE, Delivery, rule_id
from witnd.store.deliveries.outbox import encode_endpoint
from witnd.store.keys import Keys
from witnd.web.dashboard.present.words import until as until_filter

LIST = "/dashboard/deliveries"
RESEND = f"{LIST}/resend"
HOSTILE = '<script>alert(1)</script> "a/b?c#d%e&amp; ☃'
DUE = 4_000_000_000_000


@pytest.fixture
def api(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[Office]:
    with office(session_server, tmp_path, allow_networks=(ip_network("127.0.0.0/8"),)) as opened:
        for name in ("billing", "crm"):
            made(opened, "/v1/notification-rules", {**RULE, "name": name})
        yield opened


@pytest.fixture
def endpoint() -> Iterator[Receiver]:
    with listening() as opened:
        yield opened


def some(api: Office) -> dict[str, Delivery]:
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


def pages_of(desk: Desk, path: str) -> list[list[str]]:
    """The rows of a list, page after page."""
    page, rows = desk.get(path), list[list[str]]()
    while True:
        rows += page.table("Deliveries")
        if "Next page" not in page.links():
            return rows
        page = desk.get(page.links()["Next page"])


# -- lists -------------------------------------------------------------------------------------------------------------


def test_a_list_tells_where_each_stands_and_what_was_answered(desk: Desk, api: Office) -> None:
    rows = some(api)
    until_then = Markup(until_filter(DUE + SCHEDULE[0])).striptags()
    found = {row[1].split()[0]: row for row in desk.get(LIST).table("Deliveries")}
    assert found["delivered"][:6] == [
        rows["delivered"].id[:8],
        "delivered",
        "ticket-0004 confirmed",
        "billing",
        "1",
        "200",
    ]
    assert found["given"][5] == "500"
    assert found["parked"][3:6] == ["crm", "0", "–"]
    assert (found["pending"][1], found["pending"][4:6]) == (f"pending next {until_then}", ["1", "500"])
    links = desk.get(LIST).links()
    assert links[rows["dead"].id[:8]] == f"{LIST}/{rows['dead'].id}"
    assert links["ticket-0003"] == "/dashboard/outcomes/ticket-0003"
    assert links["crm"] == "/dashboard/notifications/crm"


def test_filters_are_in_the_address_and_stay_filled_in(desk: Desk, api: Office) -> None:
    some(api)
    page = desk.submit(desk.get(LIST), LIST, standing="dead", rule="billing", about="ticket-0003")
    assert page.path == f"{LIST}?standing=dead&rule=billing&about=ticket-0003"
    assert [row[1] for row in page.table("Deliveries")] == ["given up"]
    form = page.find("//form[@role='search']")
    assert dict(form.form_values()) == {"standing": "dead", "rule": "billing", "about": "ticket-0003"}
    for query, many in (("rule=crm", 1), ("standing=delivered", 1), ("about=ticket-0001", 1), ("about=TICKET-0001", 0)):
        assert len(desk.get(f"{LIST}?{query}").table("Deliveries")) == many, query
    for standing in ("pending", "delivered", "parked", "dead"):
        page = desk.get(f"{LIST}?standing={standing}")
        called = "given" if standing == "dead" else standing
        assert [row[1].split()[0] for row in page.table("Deliveries")] == [called]
    page = desk.get(f"{LIST}?rule=crm&standing=dead")
    assert "No delivery is like that" in page.text
    assert desk.get(f"{LIST}?standing=lost").status == 400
    assert desk.get(f"{LIST}?rule=nobody").status == 400


def test_the_words_parked_and_dead_are_explained_with_what_to_do(desk: Desk, api: Office) -> None:
    some(api)
    assert "press Resume on the page of the notification" in desk.get(f"{LIST}?standing=parked").id("list")
    page = desk.get(f"{LIST}?standing=dead&rule=billing")
    assert "Once the endpoint works, send them again" in page.id("list")
    form = desk.get(page.links()["a range of them"]).find("//main//form")
    assert dict(form.form_values())["standing"] == "dead"
    assert dict(form.form_values())["rule"] == "billing"
    assert "Every attempt failed and no more are made." in desk.get(LIST).id("states")


def test_a_list_goes_on_page_by_page(desk: Desk, api: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("witnd.web.dashboard.pages.webhooks.deliveries.LIMIT", 3)
    rows = deliveries(8)
    for row in rows:
        put(api, row, delivered)
    newest = [row.id[:8] for row in reversed(rows)]
    for query in ("", "?rule=billing", "?standing=delivered&rule=billing"):
        assert [row[0] for row in pages_of(desk, LIST + query)] == newest
    page = desk.get(desk.get(f"{LIST}?rule=billing").links()["Next page"])
    assert page.links()["First page"] == f"{LIST}?rule=billing"
    assert desk.get(f"{LIST}?after=nonsense").status == 400


def test_a_message_is_found_by_the_id_that_its_receiver_has(desk: Desk, api: Office) -> None:
    one = some(api)["parked"]
    assert desk.get(f"{LIST}?about={one.id}").path == f"{LIST}/{one.id}"
    assert "No delivery is like that" in desk.get(f"{LIST}?about={'ab' * 32}").text


def test_an_empty_list_says_how_the_first_one_comes(desk: Desk, api: Office) -> None:
    page = desk.get(LIST)
    assert "Each outcome that is confirmed or missed makes one delivery" in page.text
    assert page.table("Deliveries") == []


def test_a_rare_one_is_looked_for_where_one_asks_and_not_on_the_page_of_its_notification(
    desk: Desk, api: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [delivery(1, name="crm"), *deliveries(3)]
    for row in rows:
        put(api, row, delivered)
    path = "/dashboard/notifications/crm"
    assert [row[0] for row in desk.get(path).table("Deliveries")] == [rows[0].id[:8]]
    monkeypatch.setattr("witnd.web.dashboard.pages.webhooks.notifications.LOOKED_AT_MAX", 2)
    page = desk.get(path)
    assert "None among the newest of all notifications." in page.id("deliveries")
    assert [row[0] for row in desk.get(page.links()["See all"]).table("Deliveries")] == [rows[0].id[:8]]


# -- one ---------------------------------------------------------------------------------------------------------------


def test_a_delivery_shows_its_message_and_every_attempt(desk: Desk, api: Office) -> None:
    one = delivery(1)

    def tried(progress: Progress) -> Progress:
        gone = Attempt(reason="no connection within 10 s", duration_ms=10_000)
        said = Attempt(status=503, reason="answered 503", duration_ms=7, detail=HOSTILE)
        for attempt in (gone, said):
            progress = finish_attempt(start_attempt(progress, CREATED), attempt, CREATED, 0.5, (1,))
        return progress

    put(api, one, tried)
    page = desk.get(f"{LIST}/{one.id}")
    assert page.find("//h1").text == "Delivery to billing"
    rows = page.table("Attempts")
    assert [row[0] for row in rows] == ["2", "1"]
    assert rows[0][2:] == ["503", "7 ms", f"answered 503 {HOSTILE}", "the schedule"]
    assert rows[1][2:5] == ["none", "10,000 ms", "no connection within 10 s"]
    assert not page.document.xpath("//main//script")
    assert f"webhook-id: {one.id}" in page.id("message")
    assert page.find("//*[@id='exact']//pre").text == one.body.decode()
    assert '"outcomeKey": "ticket-0001"' in page.find("//pre[@aria-label='Body']").text
    assert page.links()["ticket-0001"] == "/dashboard/outcomes/ticket-0001"
    assert page.links()["billing"] == "/dashboard/notifications/billing"


def test_an_outcome_with_a_hostile_key_stays_text(desk: Desk, api: Office) -> None:
    one = replace(delivery(1), outcome_key=HOSTILE, body=b'{"subjectKey":"</pre><script>alert(1)</script>"}')
    put(api, one, delivered)
    for path in (LIST, f"{LIST}/{one.id}", f"{LIST}?about={'%3Cscript%3E'}"):
        assert not desk.get(path).document.xpath("//main//script")
    page = desk.get(f"{LIST}/{one.id}")
    assert HOSTILE in page.links()
    assert page.find("//*[@id='exact']//pre").text == one.body.decode()


def test_what_happens_next_is_told(desk: Desk, api: Office) -> None:
    rows = some(api)
    for standing, told in (
        ("delivered", "Nothing more: the endpoint took it."),
        ("dead", "it was given up, because the schedule is exhausted; last: answered 500. Once the endpoint works"),
        ("parked", "its notification disabled. That is over: press Resume"),
        ("pending", "The last attempt failed: answered 500. It is tried again"),
    ):
        assert told in desk.get(f"{LIST}/{rows[standing].id}").id("next"), standing


def test_why_one_is_parked_is_told_with_what_to_do(desk: Desk, api: Office) -> None:
    one = some(api)["parked"]
    path = f"{LIST}/{one.id}"
    gone = EndpointState(failing_since=1, suspended_at=2, reason="it answered 410 Gone")
    api.workshop.call("HSET", "witn:{shared}:endpoints", one.rule_id, encode_endpoint(gone))
    assert "the endpoint is suspended because it answered 410 Gone" in desk.get(path).id("next")
    api.workshop.call("HDEL", "witn:{shared}:endpoints", one.rule_id)
    assert api.ask("PATCH", f"/v1/notification-rules/{rule_id('crm')}", {"enabled": False}).status == 200
    assert "crm is disabled. Enable it on its page, then press Resume there." in desk.get(path).id("next")
    assert "Send again" not in desk.get(path).text, "it would be given up at once"
    assert api.ask("DELETE", f"/v1/notification-rules/{rule_id('crm')}").status == 200
    assert "crm is archived. Restore it on its page" in desk.get(path).id("next")


def test_one_that_is_not_there_or_lost_its_message(desk: Desk, api: Office) -> None:
    assert desk.get(f"{LIST}/{'ab' * 32}").status == 404
    one = some(api)["dead"]

    async def lose(client: Any) -> None:
        await client.hdel(Keys("witn", 0).deliveries, one.id)

    on_server(api, lose)
    page = desk.get(f"{LIST}/{one.id}")
    assert "the message itself is gone" in page.id("next")
    assert "Send again" not in page.text
    assert "the message is gone" in desk.get(f"{LIST}?standing=dead").id("list")


# -- sending again -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [delivered, dead, laid_up])
def test_one_is_sent_again_and_its_answer_shown(
    desk: Desk, api: Office, endpoint: Receiver, step: Callable[[Progress], Progress]
) -> None:
    assert (
        api.ask("PATCH", f"/v1/notification-rules/{rule_id('billing')}", {"url": endpoint.url("/hook")}).status == 200
    )
    one = delivery(1)
    put(api, one, step)
    page = desk.submit(desk.get(f"{LIST}/{one.id}"), f"{LIST}/{one.id}/resend")
    assert page.path == f"{LIST}/{one.id}"
    assert page.id("told").startswith("It is sent again now, under the same id.")
    until(lambda: desk.get(page.path).id("standing") == "delivered" and bool(endpoint.received), "it is delivered")
    assert endpoint.received[0].id == one.id
    until(lambda: desk.get(page.path).table("Attempts")[0][2] == "200", "the answer is on record")
    assert desk.get(page.path).table("Attempts")[0][-1] == "somebody"
    noted = changes(api)[-1]
    assert (noted["what"], noted["key"], noted["who"]) == ("delivery.resend", one.id, "token admin")


def test_a_range_is_counted_and_sent_again_by_who_confirms_that(desk: Desk, api: Office) -> None:
    rows = deliveries(6) + deliveries(2, name="crm")
    for place, row in enumerate(rows):
        put(api, row, (delivered, dead)[place % 2])
    typed: dict[str, Any] = {
        "from": "2026-01-01T00:00",
        "to": "2026-01-01T00:00:01",
        "rule": "billing",
        "standing": "dead",
    }
    page = desk.submit(desk.get(RESEND), RESEND, button="Count them", **typed)
    assert page.id("count") == "Up to 4 deliveries will be sent again."
    assert row_of(api, rows[1]).progress.resends == 0
    page = desk.submit(page, RESEND, button="Send again")
    assert page.status == 400
    assert "tick the box" in page.text
    assert {name: value for name, value in page.find("//main//form").form_values() if name in typed} == typed
    page = desk.submit(page, RESEND, button="Send again", confirmed="yes")
    assert (page.path, page.id("told")) == (LIST, "3 deliveries are queued to be sent again.")
    noted = changes(api)[-1]
    assert noted["after"] == {"requested": True, "rule": "billing", "standings": ["dead"]}
    empty: dict[str, Any] = {**typed, "from": "2025-01-01T00:00", "to": "2025-01-02T00:00"}
    assert desk.submit(desk.get(RESEND), RESEND, button="Count them", **empty).id("count") == (
        "Nothing lies in this range."
    )
    page = desk.submit(desk.get(RESEND), RESEND, button="Send again", confirmed="yes", **empty)
    assert page.id("told") == "Nothing lies in that range, so nothing is sent."


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"from": "", "to": ""}, "from: is missing"),
        ({"from": "2026-01-01T00:00", "to": ""}, "to: is missing"),
        ({"from": "2026-01-02T00:00", "to": "2026-01-01T00:00"}, "to: must come after from"),
        ({"from": HOSTILE, "to": "2026-01-01T00:00"}, "must look like"),
        ({"from": "2026-01-01T00:00", "to": "2026-01-02T00:00", "rule": "nobody"}, "rule: there is no rule 'nobody'"),
    ],
)
def test_a_range_that_cannot_be_meant_is_refused_beside_what_was_typed(
    desk: Desk, api: Office, typed: dict[str, Any], told: str
) -> None:
    for button in ("Count them", "Send again"):
        page = desk.submit(desk.get(RESEND), RESEND, button=button, confirmed="yes", **typed)
        assert page.status == 400
        assert told in page.text
        given = dict(page.find("//main//form").form_values())
        assert (given["from"], given["to"]) == (typed["from"], typed["to"])
        assert not page.document.xpath("//main//script")


def test_a_range_that_holds_too_many_is_refused_whole(desk: Desk, api: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_of, "RESENT_MAX", 2)
    rows = deliveries(3)
    for row in rows:
        put(api, row, dead)
    typed: dict[str, Any] = {"from": "2026-01-01T00:00", "to": "2026-01-02T00:00"}
    page = desk.submit(desk.get(RESEND), RESEND, button="Count them", **typed)
    assert "Up to 3 lie in this range, and at most 2 are sent at a time" in page.id("count")
    page = desk.submit(page, RESEND, button="Send again", confirmed="yes")
    assert page.status == 400
    assert "up to 3 deliveries lie in the range" in page.text
    assert [row_of(api, row).progress.resends for row in rows] == [0, 0, 0]


def test_readers_see_everything_and_send_nothing(reader: Desk, api: Office) -> None:
    one = some(api)["dead"]
    page = reader.get(f"{LIST}/{one.id}")
    assert page.status == 200
    assert not page.document.xpath("//main//form")
    page = reader.get(f"{LIST}?standing=dead")
    assert not {"Send a range again", "a range of them"} & page.links().keys()
    assert reader.get(RESEND).status == 403
    key = page.find("//form[contains(@action, 'sign-out')]//input[@name='form_key']").get("value")
    for path in (RESEND, f"{LIST}/{one.id}/resend"):
        assert reader.send(path, {"form_key": key, "confirmed": "yes", "do": "send"}).status == 403
    assert row_of(api, one).progress.resends == 0


def test_why_an_endpoint_is_suspended_stays_text(desk: Desk, api: Office) -> None:
    one = some(api)["parked"]
    state = EndpointState(failing_since=1, suspended_at=2, reason=HOSTILE)
    api.workshop.call("HSET", "witn:{shared}:endpoints", one.rule_id, encode_endpoint(state))
    page = desk.get(f"{LIST}/{one.id}")
    assert HOSTILE in page.id("next")
    assert not page.document.xpath("//main//script")


# -- in a browser ------------------------------------------------------------------------------------------------------


def test_a_delivery_appears_in_the_list_while_one_looks(window: Window, api: Office, endpoint: Receiver) -> None:
    made(api, "/v1/agents", {**AGENT, "settlement_period": 1})
    made(api, "/v1/rate-cards", CARD)
    made(api, "/v1/customers", CUSTOMER)
    made(api, "/v1/notification-rules", {**RULE, "name": "live", "url": endpoint.url("/hook")})
    window.open(f"{LIST}?rule=live")
    window.page.get_by_text("No delivery is like that").wait_for()
    event = {"key": "ticket-4711", "action": "replied", "customer_key": "acme"}
    assert api.ask("POST", "/v1/events", event).status == 202
    row = window.page.get_by_role("row").filter(has_text="ticket-4711")
    row.get_by_text("delivered").wait_for()
    window.page.get_by_label("State").select_option("dead")
    window.page.get_by_role("button", name="Search").click()
    window.page.get_by_text("No delivery is like that").wait_for()
    assert window.page.url.endswith(f"{LIST}?standing=dead&rule=live")


def test_a_range_is_counted_where_one_stands(window: Window, api: Office) -> None:
    window.open(RESEND)
    window.page.get_by_label("Resolved from").fill("2026-01-01T00:00:00")
    window.page.get_by_label("Until before").fill("2026-01-02T00:00:00")
    window.page.get_by_role("button", name="Count them").click()
    window.page.get_by_text("Nothing lies in this range.").wait_for()
    assert window.page.get_by_label("Resolved from").input_value().startswith("2026-01-01T00:00")
