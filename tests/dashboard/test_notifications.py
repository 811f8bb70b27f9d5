"""Notifications: from the first one to its secret, a test of its endpoint, and resuming that after it was suspended."""

import json
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.dashboard.browser import Tab
from tests.dashboard.client import Dashboard, Page, figures, names, words
from tests.notify.receiver import SECRET, Receiver
from tests.support.processes import until
from tests.support.server import Server
from tests.web.api_server import ApiServer, api_server
from tests.web.catalogue import AGENT, CARD, CUSTOMER, RULE, changes, made
from tests.web.test_notification_rules import AT_CRM, CRM, listening, parked, suspend
from witnd.domain.webhooks.delivery import EndpointState
from witnd.store.deliveries.endpoint_codec import encode_endpoint

LIST = "/dashboard/notifications"
AT = f"{LIST}/crm"
LONG_AGO = "1970-01-01T00:00:01.000Z"
LATER = "1 Jan 2096, 00:00 UTC"
HOSTILE = '<script>alert(1)</script> "a/b?c#d%e&amp; ☃'


@pytest.fixture
def api(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
    """A daemon that may send to this machine."""
    with api_server(session_server, tmp_path, allow_networks=(ip_network("127.0.0.0/8"),)) as opened:
        yield opened


@pytest.fixture
def endpoint() -> Iterator[Receiver]:
    with listening() as opened:
        yield opened


@pytest.fixture
def crm(api: ApiServer, endpoint: Receiver) -> Any:
    """A notification whose endpoint answers, with its secret."""
    return made(api, "/v1/notification-rules", {**RULE, "url": endpoint.url("/hook")})


def fields(page: Page) -> dict[str, str]:
    """What the form of the page is filled in with."""
    form = page.find("//main//form[.//button[contains(@class, 'primary')]]")
    return {name: value for name, value in form.form_values() if name != "form_key"}


def has_one_secret(page: Page) -> bool:
    """Does only the newest secret sign?"""
    return not page.document.xpath("//*[@data-fact='previous-secret']")


# -- creating and changing ---------------------------------------------------------------------------------------------


def test_the_first_one_is_created_and_its_secret_shown_once(
    admin: Dashboard, api: ApiServer, endpoint: Receiver
) -> None:
    page = admin.get(LIST)
    assert page.cases == ["none-yet"]
    assert "verify_webhook" in page.text
    assert '"type": "outcome_succeed"' in page.text
    assert f"{LIST}/new" in page.hrefs
    page = admin.submit(admin.get(f"{LIST}/new"), name="crm", url=endpoint.url("/hook"))
    assert page.status == 200
    assert page.case("secret") == "created"
    secret = page.find("//*[@id='secret']//code").text
    assert page.find(f"//button[@data-copy='{secret}']") is not None
    assert AT in page.hrefs
    page = admin.get(AT)
    assert page.fact("fingerprint") == api.get(AT_CRM)["secret_fingerprint"]
    assert has_one_secret(page)
    for path in (LIST, AT, f"{AT}/edit"):
        assert secret not in admin.get(path).source
    admin.submit(page, f"{AT}/test")
    [message] = endpoint.at("/hook")
    message.verify(secret)
    [noted] = changes(api)
    assert (noted["what"], noted["who"], noted["key"]) == ("notification_rule.create", "token admin", "crm")


def test_a_secret_of_ones_own_is_not_shown_at_all(admin: Dashboard) -> None:
    form = admin.get(f"{LIST}/new")
    page = admin.submit(form, name="crm", url="https://example.com/hook", secret=SECRET, source="outcome_missed")
    assert page.path == AT
    assert "crm" in page.message
    assert SECRET not in page.source
    assert page.fact("source")


def test_what_is_wrong_is_told_beside_what_was_typed(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    form = admin.get(f"{LIST}/new")
    typed: dict[str, Any] = {
        "name": HOSTILE,
        "url": "ftp://x",
        "secret": "abc",
        "source": "outcome_missed",
        "agent": "support",
    }
    page = admin.submit(form, **typed, enabled=None, effective_from="2027-13-01T00:00")
    assert page.status == 400
    assert names(page.find("//*[@role='alert']")) == ["effective_from", "url", "secret"]
    assert fields(page) == {**typed, "effective_from": "2027-13-01T00:00"}
    assert page.invalid == ["url", "secret", "effective_from"]
    assert api.get("/v1/notification-rules")["data"] == []
    page = admin.submit(page, url="https://example.com/", secret=SECRET, effective_from="", agent="nobody")
    assert (page.status, fields(page)["agent"]) == (400, "nobody")


def test_a_name_that_is_taken_is_refused(admin: Dashboard, crm: Any) -> None:
    page = admin.submit(admin.get(f"{LIST}/new"), name="crm", url="https://example.com/")
    assert page.status == 409
    assert page.is_refused
    assert fields(page)["name"] == "crm"


def test_a_change_makes_a_version_and_keeps_the_secret(admin: Dashboard, api: ApiServer, crm: Any) -> None:
    made(api, "/v1/agents", AGENT)
    assert f"{AT}/edit" in admin.get(AT).hrefs
    form = admin.get(f"{AT}/edit")
    filled = {"url": crm["url"], "source": "both", "agent": "", "enabled": "yes", "effective_from": ""}
    assert fields(form) == {"seen": "1", **filled}
    page = admin.submit(form, source="outcome_confirmed", agent="support", enabled=None)
    assert page.path == AT
    assert page.message
    assert page.state("standing") == "disabled"
    assert page.find("//*[@data-fact='source']/a").get("href") == "/dashboard/agents/support"
    assert [row[0] for row in page.rows("versions")] == ["2", "1"]
    assert set(page.item_fields("versions")[0]) == {"source", "agent", "enabled"}
    assert "first-version" in page.item_cases("versions")[1]
    assert api.get(AT_CRM)["secret_fingerprint"] == crm["secret_fingerprint"]
    assert changes(api)[-1]["what"] == "notification_rule.update"
    assert admin.submit(admin.get(f"{AT}/edit")).message
    assert api.get(AT_CRM)["versions"] == 2


def test_what_somebody_else_saved_meanwhile_is_not_overwritten_unseen(
    admin: Dashboard, api: ApiServer, crm: Any
) -> None:
    page = admin.get(f"{AT}/edit")
    assert api.ask("PATCH", AT_CRM, {"enabled": False}).status == 200
    page = admin.submit(page, source="outcome_missed")
    assert (page.status, fields(page)["source"]) == (409, "outcome_missed")
    assert page.is_refused
    assert api.get(AT_CRM)["enabled"] is False
    assert admin.submit(page).message
    assert api.get(AT_CRM)["source"] == "outcome_missed"


def test_a_change_of_later_is_told_of_and_not_in_force_yet(admin: Dashboard, crm: Any) -> None:
    form = admin.get(f"{AT}/edit")
    page = admin.submit(form, url="https://example.com/later", effective_from="2096-01-01T00:00")
    assert LATER in page.message
    assert LATER in words(page.find("//*[@data-case='scheduled']"))
    assert page.fact("address").startswith(crm["url"])
    assert "scheduled" in admin.get(f"{AT}/edit").cases
    page = admin.submit(form, url="https://example.com/x", effective_from="2096-01-01T00:00")
    assert page.status == 409
    assert fields(page)["url"] == "https://example.com/x"


def test_it_is_disabled_and_enabled(admin: Dashboard, api: ApiServer, crm: Any) -> None:
    page = admin.submit(admin.get(AT), f"{AT}/disable")
    assert "crm" in page.message
    assert admin.get(LIST).states("notifications") == [["disabled"]]
    assert admin.submit(page, f"{AT}/enable").state("standing") == "healthy"
    assert [one["after"]["enabled"] for one in changes(api)] == [True, False, True]


def test_it_is_archived_by_who_confirms_that_and_restored(admin: Dashboard, api: ApiServer, crm: Any) -> None:
    page = admin.submit(admin.get(AT), f"{AT}/archive")
    assert page.status == 400
    assert page.is_refused
    page = admin.submit(admin.get(AT), f"{AT}/archive", confirmed="yes")
    assert page.state("standing") == "archived"
    assert not page.document.xpath("//form[contains(@action, '/test') or contains(@action, '/rotate')]")
    page = admin.get(LIST)
    assert page.rows("notifications") == []
    assert f"{LIST}?archived=yes" in page.hrefs
    page = admin.get(f"{LIST}?archived=yes")
    assert page.rows("notifications")[0][0] == "crm"
    assert page.states("notifications") == [["archived"]]
    assert admin.submit(admin.get(AT), f"{AT}/restore").state("standing") == "healthy"
    assert [one["what"].partition(".")[2] for one in changes(api)] == ["create", "archive", "restore"]
    page = admin.submit(admin.get(AT), f"{AT}/archive", confirmed="yes", effective_from="2096-01-01T00:00")
    assert LATER in page.message
    assert page.state("standing") == "healthy"


def test_two_versions_are_compared_and_old_ones_are_behind_the_newest(
    admin: Dashboard, api: ApiServer, crm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("witnd.web.dashboard.forms.versions.LIMIT", 2)
    for enabled in (False, True, False, True):
        assert api.ask("PATCH", AT_CRM, {"enabled": enabled}).status == 200
    page = admin.get(AT)
    assert [row[0] for row in page.rows("versions")] == ["5", "4"]
    page = admin.get(page.pages["earlier"])
    assert [row[0] for row in page.rows("versions")] == ["3", "2"]
    assert admin.get(page.pages["newest"]).rows("versions")[0][0] == "5"
    form = page.find("//*[@id='comparison']//form")
    assert dict(form.form_values()) == {"from": "4", "to": "5"}
    page = admin.get(f"{AT}?from=2&to=3")
    assert page.rows("comparison") == [["enabled", "false", "true"]]
    assert admin.get(f"{AT}?from=1&to=5").case("comparison") == "equal"
    assert admin.get(f"{AT}?from=9&to=1").status == 404
    assert admin.get(f"{AT}?from=x").status == 400


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_both_secrets_sign_for_as_long_as_was_chosen(
    admin: Dashboard, api: ApiServer, endpoint: Receiver, crm: Any
) -> None:
    page = admin.submit(admin.get(AT), f"{AT}/rotate", overlap="2", unit="3600")
    assert page.status == 200
    assert page.case("secret") == "rotated"
    secret = page.find("//*[@id='secret']//code").text
    page = admin.get(AT)
    assert secret not in page.source
    assert page.find("//*[@data-fact='previous-secret']//time") is not None
    assert api.get("/v1/changes")["data"][0]["after"]["secret_overlap"] == 7200
    admin.submit(page, f"{AT}/test")
    for one in (secret, crm["secret"]):
        endpoint.received[-1].verify(one)
    page = admin.submit(page, f"{AT}/rotate", overlap="0", secret=SECRET)
    assert page.path == AT
    assert page.message
    assert has_one_secret(page)
    admin.submit(page, f"{AT}/test")
    endpoint.received[-1].verify(SECRET)
    with pytest.raises(Exception, match="signature"):
        endpoint.received[-1].verify(secret)


def test_a_secret_that_is_changed_twice_by_one_form_is_changed_once(admin: Dashboard, api: ApiServer, crm: Any) -> None:
    """Twice would end the overlap of the secret that receivers have."""
    page = admin.get(AT)
    assert admin.submit(page, f"{AT}/rotate").status == 200
    again = admin.submit(page, f"{AT}/rotate", overlap="3")
    assert again.status == 409
    assert again.is_refused
    assert api.get(AT_CRM)["versions"] == 2
    assert admin.submit(again, f"{AT}/rotate").status == 200
    assert api.get(AT_CRM)["versions"] == 3


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ({"secret": "abc", "overlap": "3", "unit": "60"}, "secret"),
        ({"secret": "", "overlap": "soon", "unit": "60"}, "overlap"),
        ({"secret": "", "overlap": "31", "unit": "86400"}, "overlap"),
        ({"secret": SECRET, "overlap": "1", "unit": "86400"}, "secret"),
    ],
)
def test_what_is_no_rotation_is_refused_beside_what_was_typed(
    admin: Dashboard, api: ApiServer, typed: dict[str, Any], wrong: str
) -> None:
    made(api, "/v1/notification-rules", {**RULE, "secret": SECRET})
    page = admin.submit(admin.get(AT), f"{AT}/rotate", **typed)
    assert page.status == 400
    assert page.invalid == [wrong]
    form = page.find("//details[@open]//form")
    assert {name: value for name, value in form.form_values() if name in typed} == typed
    assert api.get(AT_CRM)["versions"] == 1


# -- a test of the endpoint --------------------------------------------------------------------------------------------


def test_what_the_endpoint_answers_to_a_test_is_shown_as_text(admin: Dashboard, endpoint: Receiver, crm: Any) -> None:
    async def hostile(_: web.Request) -> web.Response:
        return web.Response(status=401, text=HOSTILE)

    page = admin.submit(admin.get(AT), f"{AT}/test")
    assert page.case("test") == "answered"
    assert figures(page.find("//*[@id='test']//*[@role='status']//strong")) == ["200"]
    assert page.find("//*[@id='test']//pre").text == "as told"
    endpoint.answers["/hook"] = hostile
    page = admin.submit(page, f"{AT}/test")
    assert page.status == 200
    assert page.case("test") == "refused"
    assert figures(page.find("//*[@id='test']//*[@role='status']//strong")) == ["401"]
    assert page.find("//*[@id='test']//pre").text == HOSTILE
    assert not page.document.xpath("//main//script")
    assert len(endpoint.at("/hook")) == 2
    assert json.loads(endpoint.received[-1].body)["type"] == "test"


def test_why_no_answer_came_is_told(admin: Dashboard, api: ApiServer, crm: Any) -> None:
    api.ask("PATCH", AT_CRM, {"url": "http://127.0.0.1:1/"})
    assert admin.submit(admin.get(AT), f"{AT}/test").case("test") == "no-answer"
    api.ask("PATCH", AT_CRM, {"url": "http://10.1.2.3/"})
    page = admin.submit(admin.get(AT), f"{AT}/test")
    assert page.case("test") == "blocked"
    assert "webhooks.allow_networks" in page.text_of("test")


# -- an endpoint that fails --------------------------------------------------------------------------------------------


def test_a_suspended_endpoint_is_resumed_with_what_is_parked(
    admin: Dashboard, api: ApiServer, endpoint: Receiver, crm: Any
) -> None:
    made(api, "/v1/agents", {**AGENT, "settlement_period": 1})
    made(api, "/v1/rate-cards", CARD)
    made(api, "/v1/customers", CUSTOMER)
    suspend(api)
    page = admin.get(AT)
    assert page.case("trouble") == "suspended"
    assert "410 Gone" in page.text_of("trouble")
    for number in range(3):
        event = {"key": f"ticket-{number}", "action": "replied", "customer_key": "acme"}
        assert api.ask("POST", "/v1/events", event).status == 202
    until(lambda: parked(api) == 3, "all are parked")
    page = admin.get(LIST)
    [row] = page.rows("notifications")
    assert page.states("notifications") == [["suspended"]]
    assert row[-2:] == ["0", "3"]
    page = admin.get(AT)
    [parked_ones] = page.document.xpath("//*[@id='trouble']//a[@href='/dashboard/deliveries?rule=crm&standing=parked']")
    assert figures(parked_ones) == ["3"]
    assert page.states("deliveries") == [["parked"]] * 3
    assert figures(page.find(f"//form[@action='{AT}/resume']//button")) == ["3"]
    page = admin.submit(page, f"{AT}/resume")
    assert "3" in page.message
    until(lambda: len(endpoint.received) == 3, "all are sent")
    assert admin.get(AT).state("standing") == "healthy"
    assert admin.get(AT).text_of("trouble") == ""
    noted = changes(api)[-1]
    assert (noted["what"], noted["who"]) == ("notification_rule.resume", "token admin")
    assert noted["after"] == {"requested": True}


def test_a_failing_endpoint_is_told_of_with_the_time(admin: Dashboard, api: ApiServer, crm: Any) -> None:
    api.deployment.call("HSET", "witn:{shared}:endpoints", CRM, encode_endpoint(EndpointState(failing_since=1_000)))
    page = admin.get(LIST)
    assert page.states("notifications") == [["failing"]]
    assert page.items("notifications")[0].xpath(".//time/@datetime") == [LONG_AGO]
    endpoint = admin.get(AT).find("//*[@data-fact='endpoint']")
    assert endpoint.xpath(".//@data-state") == ["failing"]
    assert endpoint.xpath(".//time/@datetime") == [LONG_AGO]


# -- who may, and what is in a name ------------------------------------------------------------------------------------


def test_readers_see_everything_and_change_nothing(
    admin: Dashboard, reader: Dashboard, api: ApiServer, crm: Any
) -> None:
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
def test_every_name_has_a_page_and_stays_text(admin: Dashboard, api: ApiServer, name: str) -> None:
    page = admin.submit(admin.get(f"{LIST}/new"), name=name, url="https://example.com/", secret=SECRET)
    assert page.find("//h1").text == name
    page = admin.get(admin.get(LIST).links()[name])
    assert page.find("//h1").text == name
    assert not page.document.xpath("//main//script")
    page = admin.submit(page, next(form.action for form in page.document.forms if form.action.endswith("/disable")))
    assert page.state("standing") == "disabled"
    [edit] = [href for href in page.hrefs if href.endswith("/edit")]
    assert name in admin.get(edit).find("//h1").text


def test_what_is_not_there_is_not_found(admin: Dashboard, crm: Any) -> None:
    assert admin.get(f"{LIST}/nobody").status == 404
    assert admin.get(f"{LIST}/nobody/edit").status == 404
    assert admin.get(f"{LIST}/{CRM}").find("//h1").text == "crm", "found by its id as well"


def test_many_are_listed_page_by_page(admin: Dashboard, api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("witnd.web.dashboard.pages.webhooks.notifications.LIMIT", 3)
    expected = [f"rule-{number}" for number in range(7)]
    for name in expected:
        made(api, "/v1/notification-rules", {**RULE, "name": name})
    page, seen = admin.get(LIST), list[str]()
    while True:
        seen += [row[0] for row in page.rows("notifications")]
        if "next" not in page.pages:
            break
        page = admin.get(page.pages["next"])
    assert seen == expected
    assert admin.get(page.pages["first"]).rows("notifications")[0][0] == "rule-0"


# -- in a browser ------------------------------------------------------------------------------------------------------


def test_a_test_shows_its_answer_where_one_stands(tab: Tab, api: ApiServer, endpoint: Receiver, crm: Any) -> None:
    async def hostile(_: web.Request) -> web.Response:
        return web.Response(status=500, text=HOSTILE)

    endpoint.answers["/hook"] = hostile
    tab.open(AT)
    tab.page.locator("#test form button").click()
    tab.page.locator("#test [data-case=refused]").wait_for()
    assert tab.page.locator("#test pre").inner_text() == HOSTILE
    assert tab.page.url.endswith(AT)
    assert tab.page.locator("#test form button").is_visible()


def test_a_secret_is_copied(tab: Tab) -> None:
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.open(f"{LIST}/new")
    tab.field("name").fill("crm")
    tab.field("url").fill("https://example.com/hook")
    tab.page.locator("main form button.primary").click()
    secret = tab.page.locator("#secret code").inner_text()
    button = tab.page.locator("#secret [data-copy]")
    label = button.inner_text()
    button.click()
    until(lambda: button.inner_text() != label, "the button says that it is copied")
    assert tab.page.evaluate("navigator.clipboard.readText()") == secret
    assert secret.startswith("whsec_")
