"""Notifications: from the first one to its secret, a test of its endpoint, and resuming that after it was suspended."""

import json
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from markupsafe import Markup

from tests.dashboard.desk import Desk, Page
from tests.dashboard.window import Window
from tests.notify.receiver import SECRET, Receiver
from tests.support.processes import until
from tests.support.server import Server
from tests.web.catalogue import AGENT, CARD, CUSTOMER, RULE, changes, made
from tests.web.office import Office, office
from tests.web.test_notification_rules import AT_CRM, CRM, listening, parked, suspend
from witnd.domain.webhooks.delivery import EndpointState
from witnd.store.deliveries.outbox import encode_endpoint
from witnd.web.dashboard.present.words import when

LIST = "/dashboard/notifications"
AT = f"{LIST}/crm"
LONG_AGO = Markup(when(1_000)).striptags()
LATER = Markup(when("2096-01-01T00:00:00Z")).striptags()
HOSTILE = '<script>alert(1)</script> "a/b?c#d%e&amp; ☃'


@pytest.fixture
def api(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[Office]:
    """A daemon that may send to this machine."""
    with office(session_server, tmp_path, allow_networks=(ip_network("127.0.0.0/8"),)) as opened:
        yield opened


@pytest.fixture
def endpoint() -> Iterator[Receiver]:
    with listening() as opened:
        yield opened


@pytest.fixture
def crm(api: Office, endpoint: Receiver) -> Any:
    """A notification whose endpoint answers, with its secret."""
    return made(api, "/v1/notification-rules", {**RULE, "url": endpoint.url("/hook")})


def fields(page: Page) -> dict[str, str]:
    """What the form of the page is filled in with."""
    form = page.find("//main//form[.//button[contains(@class, 'primary')]]")
    return {name: value for name, value in form.form_values() if name != "form_key"}


def facts(page: Page, section: str) -> dict[str, str]:
    """What a section says, by its terms."""
    terms = page.document.xpath(f"//*[@id='{section}']//dt")
    return {term.text_content(): " ".join(term.getnext().text_content().split()) for term in terms}


# -- creating and changing ---------------------------------------------------------------------------------------------


def test_the_first_one_is_created_and_its_secret_shown_once(desk: Desk, api: Office, endpoint: Receiver) -> None:
    page = desk.get(LIST)
    assert "Nobody is told yet" in page.text
    assert "verify_webhook" in page.text
    assert '"type": "outcome_succeed"' in page.text
    page = desk.submit(desk.get(page.links()["New notification"]), name="crm", url=endpoint.url("/hook"))
    assert page.status == 200
    assert "This is the only time it is shown." in page.text
    secret = page.find("//*[@id='secret']//code").text
    assert page.find(f"//button[@data-copy='{secret}']") is not None
    page = desk.get(page.links()["I have copied it"])
    assert page.path == AT
    assert facts(page, "secret") == {"Fingerprint": api.get(AT_CRM)["secret_fingerprint"]}
    for path in (LIST, AT, f"{AT}/edit"):
        assert secret not in desk.get(path).source
    desk.submit(page, f"{AT}/test")
    [message] = endpoint.at("/hook")
    message.verify(secret)
    [noted] = changes(api)
    assert (noted["what"], noted["who"], noted["key"]) == ("notification_rule.create", "token admin", "crm")


def test_a_secret_of_ones_own_is_not_shown_at_all(desk: Desk) -> None:
    form = desk.get(f"{LIST}/new")
    page = desk.submit(form, name="crm", url="https://example.com/hook", secret=SECRET, source="outcome_missed")
    assert page.path == AT
    assert page.id("told") == "Notification crm is created. Send a test next."
    assert SECRET not in page.source
    assert facts(page, "about")["Tells of"] == "missed outcomes of all agents"


def test_what_is_wrong_is_told_beside_what_was_typed(desk: Desk, api: Office) -> None:
    made(api, "/v1/agents", AGENT)
    form = desk.get(f"{LIST}/new")
    typed: dict[str, Any] = {
        "name": HOSTILE,
        "url": "ftp://x",
        "secret": "abc",
        "source": "outcome_missed",
        "agent": "support",
    }
    page = desk.submit(form, **typed, enabled=None, effective_from="2027-13-01T00:00")
    assert page.status == 400
    for told in ("url: must be absolute", "secret: must start with whsec_", "effective_from: has an impossible date"):
        assert told in page.text
    assert fields(page) == {**typed, "effective_from": "2027-13-01T00:00"}
    assert [one.get("name") for one in page.document.xpath("//*[@aria-invalid]")] == ["url", "secret", "effective_from"]
    assert api.get("/v1/notification-rules")["data"] == []
    page = desk.submit(page, url="https://example.com/", secret=SECRET, effective_from="", agent="nobody")
    assert (page.status, fields(page)["agent"]) == (400, "nobody")


def test_a_name_that_is_taken_is_refused(desk: Desk, crm: Any) -> None:
    page = desk.submit(desk.get(f"{LIST}/new"), name="crm", url="https://example.com/")
    assert page.status == 409
    assert 'there is a notification rule "crm" already' in page.text
    assert fields(page)["name"] == "crm"


def test_a_change_makes_a_version_and_keeps_the_secret(desk: Desk, api: Office, crm: Any) -> None:
    made(api, "/v1/agents", AGENT)
    form = desk.get(desk.get(AT).links()["Edit"])
    filled = {"url": crm["url"], "source": "both", "agent": "", "enabled": "yes", "effective_from": ""}
    assert fields(form) == {"seen": "1", **filled}
    page = desk.submit(form, source="outcome_confirmed", agent="support", enabled=None)
    assert (page.path, page.id("told")) == (AT, "Saved.")
    assert page.id("standing") == "disabled"
    assert facts(page, "about")["Tells of"] == "confirmed outcomes of the agent support"
    newest, first = page.table("Versions")
    assert newest[0] == "2"
    assert 'source "both" → "outcome_confirmed"' in newest[-1]
    assert first[-1] == "the first version"
    assert api.get(AT_CRM)["secret_fingerprint"] == crm["secret_fingerprint"]
    assert changes(api)[-1]["what"] == "notification_rule.update"
    assert desk.submit(desk.get(f"{AT}/edit")).id("told") == "Nothing was changed: it was so already."


def test_what_somebody_else_saved_meanwhile_is_not_overwritten_unseen(desk: Desk, api: Office, crm: Any) -> None:
    page = desk.get(f"{AT}/edit")
    assert api.ask("PATCH", AT_CRM, {"enabled": False}).status == 200
    page = desk.submit(page, source="outcome_missed")
    assert (page.status, fields(page)["source"]) == (409, "outcome_missed")
    assert "another version was saved since this form was opened" in page.text
    assert api.get(AT_CRM)["enabled"] is False
    assert desk.submit(page).id("told") == "Saved."


def test_a_change_of_later_is_told_of_and_not_in_force_yet(desk: Desk, crm: Any) -> None:
    form = desk.get(f"{AT}/edit")
    page = desk.submit(form, url="https://example.com/later", effective_from="2096-01-01T00:00")
    assert page.id("told") == f"Saved, from {LATER} on."
    assert f"Another version takes effect on {LATER}" in page.text
    assert facts(page, "about")["Address"].startswith(crm["url"])
    assert "It stays as it is: what you save here holds until then." in desk.get(f"{AT}/edit").text
    page = desk.submit(form, url="https://example.com/x", effective_from="2096-01-01T00:00")
    assert page.status == 409
    assert fields(page)["url"] == "https://example.com/x"


def test_it_is_disabled_and_enabled(desk: Desk, api: Office, crm: Any) -> None:
    page = desk.submit(desk.get(AT), f"{AT}/disable")
    assert page.id("told").startswith("crm is disabled")
    assert desk.get(LIST).table("Notifications")[0][1] == "disabled"
    assert desk.submit(page, f"{AT}/enable").id("standing") == "healthy"
    assert [one["after"]["enabled"] for one in changes(api)] == [True, False, True]


def test_it_is_archived_by_who_confirms_that_and_restored(desk: Desk, api: Office, crm: Any) -> None:
    page = desk.submit(desk.get(AT), f"{AT}/archive")
    assert page.status == 400
    assert "tick the box" in page.text
    page = desk.submit(desk.get(AT), f"{AT}/archive", confirmed="yes")
    assert page.id("standing") == "archived"
    assert not page.document.xpath("//form[contains(@action, '/test') or contains(@action, '/rotate')]")
    page = desk.get(LIST)
    assert page.table("Notifications") == []
    page = desk.get(page.links()["Show archived ones too"])
    assert page.table("Notifications")[0][:2] == ["crm", "archived"]
    assert desk.submit(desk.get(AT), f"{AT}/restore").id("standing") == "healthy"
    assert [one["what"].partition(".")[2] for one in changes(api)] == ["create", "archive", "restore"]
    page = desk.submit(desk.get(AT), f"{AT}/archive", confirmed="yes", effective_from="2096-01-01T00:00")
    assert page.id("told") == f"crm is archived: nothing is sent by it any more, from {LATER} on."
    assert page.id("standing") == "healthy"


def test_two_versions_are_compared_and_old_ones_are_behind_the_newest(
    desk: Desk, api: Office, crm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("witnd.web.dashboard.forms.versions.LIMIT", 2)
    for enabled in (False, True, False, True):
        assert api.ask("PATCH", AT_CRM, {"enabled": enabled}).status == 200
    page = desk.get(AT)
    assert [row[0] for row in page.table("Versions")] == ["5", "4"]
    page = desk.get(page.links()["Earlier"])
    assert [row[0] for row in page.table("Versions")] == ["3", "2"]
    assert desk.get(page.links()["Newest"]).table("Versions")[0][0] == "5"
    form = page.find("//*[@id='comparison']//form")
    assert dict(form.form_values()) == {"from": "4", "to": "5"}
    page = desk.get(f"{AT}?from=2&to=3")
    assert page.table("Version 2 beside version 3") == [["enabled", "false", "true"]]
    assert "say the same" in desk.get(f"{AT}?from=1&to=5").id("comparison")
    assert desk.get(f"{AT}?from=9&to=1").status == 404
    assert desk.get(f"{AT}?from=x").status == 400


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_both_secrets_sign_for_as_long_as_was_chosen(desk: Desk, api: Office, endpoint: Receiver, crm: Any) -> None:
    page = desk.submit(desk.get(AT), f"{AT}/rotate", overlap="2", unit="3600")
    assert page.status == 200
    assert "crm has a new secret" in page.text
    assert "goes on signing" in page.text
    secret = page.find("//*[@id='secret']//code").text
    page = desk.get(AT)
    assert secret not in page.source
    assert facts(page, "secret")["The one before"].startswith("signs too until")
    assert api.get("/v1/changes")["data"][0]["after"]["secret_overlap"] == 7200
    desk.submit(page, f"{AT}/test")
    for one in (secret, crm["secret"]):
        endpoint.received[-1].verify(one)
    page = desk.submit(page, f"{AT}/rotate", overlap="0", secret=SECRET)
    assert (page.path, page.id("told")) == (AT, "Your secret signs from now on.")
    assert "The one before" not in facts(page, "secret")
    desk.submit(page, f"{AT}/test")
    endpoint.received[-1].verify(SECRET)
    with pytest.raises(Exception, match="signature"):
        endpoint.received[-1].verify(secret)


def test_a_secret_that_is_changed_twice_by_one_form_is_changed_once(desk: Desk, api: Office, crm: Any) -> None:
    """Twice would end the overlap of the secret that receivers have."""
    page = desk.get(AT)
    assert desk.submit(page, f"{AT}/rotate").status == 200
    again = desk.submit(page, f"{AT}/rotate", overlap="3")
    assert again.status == 409
    assert "perhaps by this very form" in again.text
    assert api.get(AT_CRM)["versions"] == 2
    assert desk.submit(again, f"{AT}/rotate").status == 200
    assert api.get(AT_CRM)["versions"] == 3


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"secret": "abc", "overlap": "3", "unit": "60"}, "secret: must start with whsec_"),
        ({"secret": "", "overlap": "soon", "unit": "60"}, "overlap_seconds: must be a whole number"),
        ({"secret": "", "overlap": "31", "unit": "86400"}, "overlap_seconds: must be whole seconds"),
        ({"secret": SECRET, "overlap": "1", "unit": "86400"}, "secret: is the one that the rule has"),
    ],
)
def test_what_is_no_rotation_is_refused_beside_what_was_typed(
    desk: Desk, api: Office, typed: dict[str, Any], told: str
) -> None:
    made(api, "/v1/notification-rules", {**RULE, "secret": SECRET})
    page = desk.submit(desk.get(AT), f"{AT}/rotate", **typed)
    assert page.status == 400
    assert told in page.text
    form = page.find("//details[@open]//form")
    assert {name: value for name, value in form.form_values() if name in typed} == typed
    assert api.get(AT_CRM)["versions"] == 1


# -- a test of the endpoint --------------------------------------------------------------------------------------------


def test_what_the_endpoint_answers_to_a_test_is_shown_as_text(desk: Desk, endpoint: Receiver, crm: Any) -> None:
    async def hostile(_: web.Request) -> web.Response:
        return web.Response(status=401, text=HOSTILE)

    page = desk.submit(desk.get(AT), f"{AT}/test")
    assert "The endpoint answered 200, after" in page.id("test")
    assert page.find("//*[@id='test']//pre").text == "as told"
    endpoint.answers["/hook"] = hostile
    page = desk.submit(page, f"{AT}/test", button="Send another test")
    assert page.status == 200
    assert "The endpoint refused it: answered 401" in page.id("test")
    assert "with the secret of this notification" in page.id("test")
    assert page.find("//*[@id='test']//pre").text == HOSTILE
    assert not page.document.xpath("//main//script")
    assert len(endpoint.at("/hook")) == 2
    assert json.loads(endpoint.received[-1].body)["type"] == "test"


def test_why_no_answer_came_is_told(desk: Desk, api: Office, crm: Any) -> None:
    api.ask("PATCH", AT_CRM, {"url": "http://127.0.0.1:1/"})
    assert "No answer: no connection" in desk.submit(desk.get(AT), f"{AT}/test").id("test")
    api.ask("PATCH", AT_CRM, {"url": "http://10.1.2.3/"})
    page = desk.submit(desk.get(AT), f"{AT}/test")
    assert "This address is refused by witnd" in page.id("test")
    assert "webhooks.allow_networks" in page.id("test")


# -- an endpoint that fails --------------------------------------------------------------------------------------------


def test_a_suspended_endpoint_is_resumed_with_what_is_parked(
    desk: Desk, api: Office, endpoint: Receiver, crm: Any
) -> None:
    made(api, "/v1/agents", {**AGENT, "settlement_period": 1})
    made(api, "/v1/rate-cards", CARD)
    made(api, "/v1/customers", CUSTOMER)
    suspend(api)
    page = desk.get(AT)
    assert f"The endpoint is suspended since {LONG_AGO}: it answered 410 Gone." in page.id("trouble")
    for number in range(3):
        event = {"key": f"ticket-{number}", "action": "replied", "customer_key": "acme"}
        assert api.ask("POST", "/v1/events", event).status == 202
    until(lambda: parked(api) == 3, "all are parked")
    [row] = desk.get(LIST).table("Notifications")
    assert row[1] == f"suspended since {LONG_AGO}"
    assert row[-2:] == ["0", "3"]
    page = desk.get(AT)
    assert page.links()["3 deliveries are parked"] == "/dashboard/deliveries?rule=crm&standing=parked"
    assert [row[1] for row in page.table("Deliveries")] == ["parked"] * 3
    page = desk.submit(page, f"{AT}/resume", button="Resume and send 3 deliveries")
    assert page.id("told") == "Resumed. 3 parked deliveries queued to be sent, the oldest first."
    until(lambda: len(endpoint.received) == 3, "all are sent")
    assert desk.get(AT).id("standing") == "healthy"
    assert desk.get(AT).id("trouble") == ""
    noted = changes(api)[-1]
    assert (noted["what"], noted["who"]) == ("notification_rule.resume", "token admin")
    assert noted["after"] == {"requested": True}


def test_a_failing_endpoint_is_told_of_with_the_time(desk: Desk, api: Office, crm: Any) -> None:
    api.workshop.call("HSET", "witn:{shared}:endpoints", CRM, encode_endpoint(EndpointState(failing_since=1_000)))
    assert desk.get(LIST).table("Notifications")[0][1] == f"failing since {LONG_AGO}"
    assert f"nothing but failures since {LONG_AGO}" in desk.get(AT).id("about")


# -- who may, and what is in a name ------------------------------------------------------------------------------------


def test_readers_see_everything_and_change_nothing(desk: Desk, reader: Desk, api: Office, crm: Any) -> None:
    suspend(api)
    page = reader.get(AT)
    assert page.status == 200
    assert not page.document.xpath("//main//form")
    assert "Edit" not in page.links()
    assert "New notification" not in reader.get(LIST).links()
    for path in (f"{LIST}/new", f"{AT}/edit"):
        assert reader.get(path).status == 403
    key = page.find("//form[contains(@action, 'sign-out')]//input[@name='form_key']").get("value")
    steps = ("edit", "test", "resume", "enable", "disable", "archive", "restore", "rotate")
    for path in (f"{LIST}/new", *[f"{AT}/{step}" for step in steps]):
        given = {"form_key": key, "name": "other", "url": "https://example.com/", "source": "both", "confirmed": "yes"}
        assert reader.send(path, given).status == 403, path
    assert len(changes(api)) == 1


@pytest.mark.parametrize("name", [HOSTILE, "new", "..", "x" * 255, "a/edit"])
def test_every_name_has_a_page_and_stays_text(desk: Desk, api: Office, name: str) -> None:
    page = desk.submit(desk.get(f"{LIST}/new"), name=name, url="https://example.com/", secret=SECRET)
    assert page.find("//h1").text == name
    page = desk.get(desk.get(LIST).links()[name])
    assert page.find("//h1").text == name
    assert not page.document.xpath("//main//script")
    page = desk.submit(page, next(form.action for form in page.document.forms if form.action.endswith("/disable")))
    assert page.id("standing") == "disabled"
    assert desk.get(page.links()["Edit"]).find("//h1").text == f"Edit {name}"


def test_what_is_not_there_is_not_found(desk: Desk, crm: Any) -> None:
    assert desk.get(f"{LIST}/nobody").status == 404
    assert desk.get(f"{LIST}/nobody/edit").status == 404
    assert desk.get(f"{LIST}/{CRM}").find("//h1").text == "crm", "found by its id as well"


def test_many_are_listed_page_by_page(desk: Desk, api: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("witnd.web.dashboard.pages.webhooks.notifications.LIMIT", 3)
    names = [f"rule-{number}" for number in range(7)]
    for name in names:
        made(api, "/v1/notification-rules", {**RULE, "name": name})
    page, seen = desk.get(LIST), list[str]()
    while True:
        seen += [row[0] for row in page.table("Notifications")]
        if "Next page" not in page.links():
            break
        page = desk.get(page.links()["Next page"])
    assert seen == names
    assert desk.get(page.links()["First page"]).table("Notifications")[0][0] == "rule-0"


# -- in a browser ------------------------------------------------------------------------------------------------------


def test_a_test_shows_its_answer_where_one_stands(window: Window, api: Office, endpoint: Receiver, crm: Any) -> None:
    async def hostile(_: web.Request) -> web.Response:
        return web.Response(status=500, text=HOSTILE)

    endpoint.answers["/hook"] = hostile
    window.open(AT)
    window.page.get_by_role("button", name="Send a test").click()
    window.page.get_by_text("The endpoint refused it: answered 500").wait_for()
    assert window.page.locator("#test pre").inner_text() == HOSTILE
    assert window.page.url.endswith(AT)
    assert window.page.get_by_role("button", name="Send another test").is_visible()


def test_a_secret_is_copied(window: Window) -> None:
    window.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    window.open(f"{LIST}/new")
    window.page.get_by_label("Name").fill("crm")
    window.page.get_by_label("Address").fill("https://example.com/hook")
    window.page.get_by_role("button", name="Create notification").click()
    secret = window.page.locator("#secret code").inner_text()
    window.page.get_by_role("button", name="Copy secret").click()
    window.page.get_by_role("button", name="Copied").wait_for()
    assert window.page.evaluate("navigator.clipboard.readText()") == secret
    assert secret.startswith("whsec_")
