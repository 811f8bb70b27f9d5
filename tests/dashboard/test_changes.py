"""The log of changes at the dashboard."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.dashboard.desk import Desk
from tests.dashboard.window import Window
from tests.web.catalogue import RULE, made, stocked
from tests.web.office import Office
from tests.web.papers import put
from witnd.store.access.change_log import Change, Changes
from witnd.store.keys import GlobalKeys
from witnd.store.server.connection import connect

PATH = "/dashboard/changes"


def noted(api: Office, *entries: Any) -> None:
    """Put entries into the log as the API does."""

    async def write() -> None:
        async with connect(api.workshop.server.url) as client:
            for entry in entries:
                await Changes(client, GlobalKeys("witn")).note(Change(**({"who": "x", "request_id": "ab"} | entry)))

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, write()).result()


def told(desk: Desk, path: str = PATH) -> list[str]:
    """What was done, the newest first, with the fields that differ."""
    return [row[1] for row in desk.get(path).table("Changes")]


def test_without_changes_the_page_says_what_will_be_here(desk: Desk) -> None:
    assert "Nothing was changed yet" in desk.get(PATH).text


def test_each_kind_of_thing_is_named_and_linked(desk: Desk, api: Office) -> None:
    stocked(api)
    made(api, "/v1/notification-rules", RULE)
    token = made(api, "/v1/tokens", {"name": "shop", "scopes": ["read"]})
    invoice = put(api)
    assert api.ask("POST", f"/v1/invoices/{invoice.id}/issue").status == 200
    api.ask("DELETE", f"/v1/tokens/{token['id']}")
    said = told(desk)
    assert [line.partition(" as it was made")[0] for line in said[1:][1:]] == [
        "token admin created token shop",
        "token admin created notification crm",
        "token admin created customer acme",
        "token admin created rate card standard",
        "token admin created agent support",
    ]
    assert said[0].startswith("token admin revoked token shop revoked_at new: ")
    assert said[1].startswith("token admin issued invoice INV-000001")
    links = desk.get(PATH).links()
    assert links["crm"] == "/dashboard/notifications/crm"
    assert links["INV-000001"] == f"/dashboard/invoices/{invoice.id}"
    assert links["standard"] == "/dashboard/rate-cards/standard"
    assert links["support"] == "/dashboard/agents/support"
    assert links["shop"] == f"/dashboard/tokens/{token['id']}"


def test_only_the_fields_that_differ_are_shown(desk: Desk, api: Office) -> None:
    stocked(api)
    api.ask("PATCH", "/v1/customers/acme", {"name": "Acme & Co", "email": None})
    assert told(desk)[0] == (
        'token admin changed customer acme Name: "Acme" → "Acme & Co"E-mail: removed: "billing@acme.example"'
    )
    api.ask("DELETE", "/v1/customers/acme")
    assert told(desk)[0] == "token admin archived customer acme Archived: new: true"


def test_what_takes_effect_later_says_when(desk: Desk, api: Office) -> None:
    stocked(api)
    body = {"name": "New", "effective_from": "2096-01-31T09:30:00Z"}
    assert api.ask("PATCH", "/v1/customers/acme", body).status == 200
    assert "changed customer acme, in force from 31 Jan 2096, 09:30 UTC" in told(desk)[0]
    assert "in force from" not in told(desk)[1]


def test_many_differences_are_opened_first(desk: Desk, api: Office) -> None:
    noted(api, {"what": "delivery.resend", "key": "d" * 64, "before": {str(n): n for n in range(9)}, "after": {}})
    page = desk.get(PATH)
    assert page.find("//details/summary").text_content() == "9 fields changed"
    assert len(page.document.xpath("//details//li")) == 9
    assert page.links()["d" * 12] == f"/dashboard/deliveries/{'d' * 64}"


def test_a_token_is_noted_with_what_it_may(desk: Desk, api: Office) -> None:
    made(api, "/v1/tokens", {"name": "shop", "scopes": ["read", "ingest"]})
    assert "scopesread, ingest" in told(desk)[0]


def test_a_change_of_everything_stays_small(desk: Desk, api: Office) -> None:
    before, after = ({str(n): f"{n}{side}" for n in range(1000)} for side in "ab")
    noted(api, {"what": "delivery.resend", "key": "x", "before": before, "after": after})
    page = desk.get(PATH)
    assert page.find("//details/summary").text_content() == "1,000 fields changed"
    assert len(page.document.xpath("//details//li")) == 25
    assert "And 975 fields more." in page.text


def test_secrets_and_their_digests_are_nowhere(desk: Desk, api: Office) -> None:
    secret = "whsec_" + "A" * 40
    rule = made(api, "/v1/notification-rules", RULE | {"secret": secret})
    assert api.ask("POST", f"/v1/notification-rules/{rule['id']}/rotate-secret", {}).status == 200
    page = desk.get(PATH)
    assert "gave a new secret to notification crm" in page.text
    assert secret not in page.source
    assert "fingerprint" not in page.text, "one of nothing"


FROM, TO = "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"


def test_things_that_are_no_things_are_told_too(desk: Desk, api: Office) -> None:
    noted(
        api,
        {"what": "problems.retry_held", "key": "", "after": {"keys": ["a", "b"]}},
        {"what": "delivery.resend", "key": f"{FROM}/{TO}", "after": {"requested": True}},
        {"what": "comet.observe", "key": "halley", "after": {"tail": {"long": True}}},
        {"what": "outcome.retry", "key": "ticket/1", "after": [1, 2]},
        {"what": "invoice.pay", "key": "i" * 64, "before": {}, "after": None},
    )
    said = told(desk)
    assert said[0] == f"x recorded the payment of invoice {'i' * 12}"
    assert said[1] == "x requested a retry of the held events of outcome ticket/1"
    assert said[2] == "x comet.observe halley as it was made tail.longtrue"
    assert said[3].startswith(f"x requested to resend deliveries of {FROM} to {TO}")
    assert said[4].startswith("x requested a retry of the held events of 2 keys")
    assert desk.get(PATH).links()["ticket/1"] == "/dashboard/outcomes/ticket%2F1"


def test_the_log_has_pages(desk: Desk, api: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("witnd.web.dashboard.pages.changes.LIMIT", 2)
    noted(api, *[{"what": "agent.create", "key": f"a{n}"} for n in range(5)])
    page, seen = desk.get(PATH), []
    assert page.document.xpath("//main/@data-live")
    while True:
        seen += [row[1].split()[-1] for row in page.table("Changes")]
        if "Next page" not in page.links():
            break
        page = desk.get(page.links()["Next page"])
        assert not page.document.xpath("//main/@data-live"), "what was read stays where it is"
    assert seen == ["a4", "a3", "a2", "a1", "a0"]
    assert page.links()["First page"] == PATH
    assert desk.get(f"{PATH}?after=x").status == 400


def test_what_others_wrote_is_text(desk: Desk, api: Office) -> None:
    bad = "<script>alert(1)</script>\"'`é"
    noted(api, {"what": "customer.update", "who": bad, "key": bad, "request_id": bad,
                "before": {"name": "x", "email": None, "rate_card": None},
                "after": {"name": bad, "email": None, "rate_card": None}})  # fmt: skip
    page = desk.get(PATH)
    assert page.text.count("<script>alert(1)</script>") == 4
    assert not page.document.xpath("//script[not(@src)]")


def test_only_admins_see_the_log(reader: Desk) -> None:
    assert reader.get(PATH).status == 403
    assert PATH not in reader.get("/dashboard").links().values()


def test_a_change_arrives_while_somebody_looks(window: Window, api: Office) -> None:
    window.open(PATH)
    window.page.get_by_text("Nothing was changed yet").wait_for()
    made(api, "/v1/customers", {"key": "acme"})
    window.page.get_by_role("link", name="acme").wait_for()
    window.page.get_by_text("as it was made").click()
    window.page.get_by_role("heading", name="Changes").click()  # what somebody is at stays as it is
    made(api, "/v1/customers", {"key": "other"})
    window.page.get_by_role("link", name="other").wait_for()
    assert window.page.locator("details[open]").count() == 1, "what is open stays open"
