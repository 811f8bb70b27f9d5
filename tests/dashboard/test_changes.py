"""The log of changes at the dashboard."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.dashboard.browser import Tab
from tests.dashboard.client import Dashboard, Page, figures, words
from tests.web.api_server import ApiServer
from tests.web.catalogue import RULE, made, stocked
from tests.web.invoices import put
from witnd.store.access.change_log import Change, Changes
from witnd.store.keys import GlobalKeys
from witnd.store.server.connection import connect

PATH = "/dashboard/changes"


def noted(api: ApiServer, *entries: Any) -> None:
    """Put entries into the log as the API does."""

    async def write() -> None:
        async with connect(api.deployment.server.url) as client:
            for entry in entries:
                await Changes(client, GlobalKeys("witn")).note(Change(**({"who": "x", "request_id": "ab"} | entry)))

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, write()).result()


def told(admin: Dashboard, path: str = PATH) -> list[str]:
    """What was done, the newest first, with the fields that differ."""
    return [row[1] for row in admin.get(path).rows("changes")]


def done(page: Page) -> list[tuple[str, str, str]]:
    """What was done by whom, to the thing that is linked; the newest first."""
    found = []
    for one in page.items("changes"):
        link = one.xpath("./td[2]/div[1]/a")
        found.append((one.xpath("./td[2]/@data-case")[0], words(one.find(".//strong")), words(link[0]) if link else ""))
    return found


def test_without_changes_the_page_says_what_will_be_here(admin: Dashboard) -> None:
    assert admin.get(PATH).cases == ["none-yet"]


def test_each_kind_of_thing_is_named_and_linked(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    made(api, "/v1/notification-rules", RULE)
    token = made(api, "/v1/tokens", {"name": "shop", "scopes": ["read"]})
    invoice = put(api)
    assert api.ask("POST", f"/v1/invoices/{invoice.id}/issue").status == 200
    api.ask("DELETE", f"/v1/tokens/{token['id']}")
    page = admin.get(PATH)
    assert done(page) == [
        ("token.revoke", "token admin", "shop"),
        ("invoice.issue", "token admin", "INV-000001"),
        ("token.create", "token admin", "shop"),
        ("notification_rule.create", "token admin", "crm"),
        ("customer.create", "token admin", "acme"),
        ("rate_card.create", "token admin", "standard"),
        ("agent.create", "token admin", "support"),
    ]
    assert page.item_fields("changes")[0] == ["revoked_at"]
    links = page.links()
    assert links["crm"] == "/dashboard/notifications/crm"
    assert links["INV-000001"] == f"/dashboard/invoices/{invoice.id}"
    assert links["standard"] == "/dashboard/rate-cards/standard"
    assert links["support"] == "/dashboard/agents/support"
    assert links["shop"] == f"/dashboard/tokens/{token['id']}"


def test_only_the_fields_that_differ_are_shown(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    api.ask("PATCH", "/v1/customers/acme", {"name": "Acme & Co", "email": None})
    page = admin.get(PATH)
    assert done(page)[0] == ("customer.update", "token admin", "acme")
    assert page.item_fields("changes")[0] == ["name", "email"]
    assert '"Acme" → "Acme & Co"' in told(admin)[0]
    assert '"billing@acme.example"' in told(admin)[0]
    api.ask("DELETE", "/v1/customers/acme")
    page = admin.get(PATH)
    assert done(page)[0] == ("customer.archive", "token admin", "acme")
    assert page.item_fields("changes")[0] == ["archived"]


def test_what_takes_effect_later_says_when(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    body = {"name": "New", "effective_from": "2096-01-31T09:30:00Z"}
    assert api.ask("PATCH", "/v1/customers/acme", body).status == 200
    items = admin.get(PATH).items("changes")
    assert [one.text for one in items[0].xpath("./td[2]//time")] == ["31 Jan 2096, 09:30 UTC"]
    assert not items[1].xpath("./td[2]//time")


def test_many_differences_are_opened_first(admin: Dashboard, api: ApiServer) -> None:
    noted(api, {"what": "delivery.resend", "key": "d" * 64, "before": {str(n): n for n in range(9)}, "after": {}})
    page = admin.get(PATH)
    assert figures(page.find("//details/summary")) == ["9"]
    assert len(page.document.xpath("//details//li")) == 9
    assert page.links()["d" * 12] == f"/dashboard/deliveries/{'d' * 64}"


def test_a_token_is_noted_with_what_it_may(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/tokens", {"name": "shop", "scopes": ["read", "ingest"]})
    assert "scopesread, ingest" in told(admin)[0]


def test_a_change_of_everything_stays_small(admin: Dashboard, api: ApiServer) -> None:
    before, after = ({str(n): f"{n}{side}" for n in range(1000)} for side in "ab")
    noted(api, {"what": "delivery.resend", "key": "x", "before": before, "after": after})
    page = admin.get(PATH)
    assert figures(page.find("//details/summary")) == ["1,000"]
    assert len(page.document.xpath("//details//li")) == 25
    assert figures(page.find("//*[@data-fact='fields-left']")) == ["975"]


def test_secrets_and_their_digests_are_nowhere(admin: Dashboard, api: ApiServer) -> None:
    secret = "whsec_" + "A" * 40
    rule = made(api, "/v1/notification-rules", RULE | {"secret": secret})
    assert api.ask("POST", f"/v1/notification-rules/{rule['id']}/rotate-secret", {}).status == 200
    page = admin.get(PATH)
    assert done(page)[0] == ("notification_rule.rotate_secret", "token admin", "crm")
    assert secret not in page.source
    assert "fingerprint" not in page.text, "one of nothing"


FROM, TO = "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"


def test_things_that_are_no_things_are_told_too(admin: Dashboard, api: ApiServer) -> None:
    noted(
        api,
        {"what": "problems.retry_held", "key": "", "after": {"keys": ["a", "b"]}},
        {"what": "delivery.resend", "key": f"{FROM}/{TO}", "after": {"requested": True}},
        {"what": "comet.observe", "key": "halley", "after": {"tail": {"long": True}}},
        {"what": "outcome.retry", "key": "ticket/1", "after": [1, 2]},
        {"what": "invoice.pay", "key": "i" * 64, "before": {}, "after": None},
    )
    page = admin.get(PATH)
    assert [(what, who) for what, who, _ in done(page)] == [
        (what, "x")
        for what in ("invoice.pay", "outcome.retry", "comet.observe", "delivery.resend", "problems.retry_held")
    ]
    said = told(admin)
    assert f" {'i' * 12}" in said[0]
    assert "ticket/1" in said[1]
    assert "halley" in said[2]
    assert page.item_fields("changes")[2] == ["tail.long"]
    assert FROM in said[3]
    assert TO in said[3]
    assert "2" in said[4]
    assert admin.get(PATH).links()["ticket/1"] == "/dashboard/outcomes/ticket%2F1"


def test_the_log_has_pages(admin: Dashboard, api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("witnd.web.dashboard.pages.changes.LIMIT", 2)
    noted(api, *[{"what": "agent.create", "key": f"a{n}"} for n in range(5)])
    page, seen = admin.get(PATH), []
    assert page.document.xpath("//main/@data-live")
    while True:
        seen += [row[1].split()[-1] for row in page.rows("changes")]
        if "next" not in page.pages:
            break
        page = admin.get(page.pages["next"])
        assert not page.document.xpath("//main/@data-live"), "what was read stays where it is"
    assert seen == ["a4", "a3", "a2", "a1", "a0"]
    assert page.pages["first"] == PATH
    assert admin.get(f"{PATH}?after=x").status == 400


def test_what_others_wrote_is_text(admin: Dashboard, api: ApiServer) -> None:
    bad = "<script>alert(1)</script>\"'`é"
    noted(api, {"what": "customer.update", "who": bad, "key": bad, "request_id": bad,
                "before": {"name": "x", "email": None, "rate_card": None},
                "after": {"name": bad, "email": None, "rate_card": None}})  # fmt: skip
    page = admin.get(PATH)
    assert page.text.count("<script>alert(1)</script>") == 4
    assert not page.document.xpath("//script[not(@src)]")


def test_only_admins_see_the_log(reader: Dashboard) -> None:
    assert reader.get(PATH).status == 403
    assert PATH not in reader.get("/dashboard").links().values()


def test_a_change_arrives_while_somebody_looks(tab: Tab, api: ApiServer) -> None:
    tab.open(PATH)
    tab.page.locator("[data-case=none-yet]").wait_for()
    made(api, "/v1/customers", {"key": "acme"})
    tab.page.get_by_role("link", name="acme").wait_for()
    tab.page.locator("details.sent summary").click()
    tab.page.locator("h1").click()  # what somebody is at stays as it is
    made(api, "/v1/customers", {"key": "other"})
    tab.page.get_by_role("link", name="other").wait_for()
    assert tab.page.locator("details[open]").count() == 1, "what is open stays open"
