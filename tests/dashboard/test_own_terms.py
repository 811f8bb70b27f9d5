"""What one customer has agreed otherwise with an agent: field by field its own, or as the agent has it."""

from typing import Any

import pytest

from tests.dashboard.browser import Tab
from tests.dashboard.client import Dashboard, Page, figures, names, words
from tests.web.api_server import ApiServer
from tests.web.catalogue import AGENT, CARD, CUSTOMER, changes, made, stocked

PATH = "/dashboard/customers/acme/terms/support"
SAVE = "save"
HOSTILE = "<script>alert(1)</script>\"'&"


def own(api: ApiServer, key: str = "acme") -> Any:
    return api.get(f"/v1/customers/{key}")["agents"]


def ticked(page: Page) -> set[str]:
    return set(page.document.xpath("//input[@name='own'][@checked]/@value"))


def test_nothing_is_ticked_where_nothing_is_agreed(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    page = admin.get(PATH)
    assert "support" in page.find("//h1").text
    assert ticked(page) == set()
    condition, period, timers, reversal, _, name = page.document.xpath("//p[@class='ours quiet']")
    assert names(condition) == ["replied", "reopened"]
    assert figures(period) == ["1"]
    assert words(timers).endswith(": none")
    assert words(reversal).endswith(": none")
    assert words(name).endswith(": Support")
    assert f"{PATH}/remove" not in [form.action for form in page.document.forms]


def test_what_is_ticked_is_the_customer_s_own_and_the_rest_the_agent_s(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    page = admin.submit(admin.get(PATH), PATH, button="check:", own=["condition", "settlement_period"], name="ignored")
    page = admin.submit(page, PATH, button=SAVE, **{"c.2.fact": "signed", "period": "2", "unit": "days"})
    assert page.path == "/dashboard/customers/acme"
    assert "support" in page.message
    condition = [*AGENT["condition"], {"fact": "signed", "operator": "seen"}]
    assert own(api) == [{"agent": "support", "condition": condition, "settlement_period": 172_800}]
    page = admin.get(PATH)
    assert ticked(page) == {"condition", "settlement_period"}
    assert names(page.find("//*[@id='reading']")) == ["replied", "reopened", "signed"]
    assert [one["what"] for one in changes(api)][-1] == "customer.update"
    assert changes(api)[-1]["who"] == "token admin"


def test_terms_with_other_agents_and_all_else_stay_as_they_are(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    made(api, "/v1/agents", {"key": "aaa", "condition": []})
    other = {"agent": "aaa", "name": "Theirs"}
    api.ask("PATCH", "/v1/customers/acme", {"agents": [other, {"agent": "support", "name": "Old"}]})
    admin.submit(admin.get(PATH), PATH, button=SAVE, name="New")
    assert own(api) == [other, {"agent": "support", "name": "New"}]
    customer = api.get("/v1/customers/acme")
    assert {name: customer[name] for name in CUSTOMER} == CUSTOMER
    page = admin.submit(admin.get(PATH), f"{PATH}/remove", confirmed="yes")
    assert own(api) == [other]
    assert "support" in page.message


def test_a_change_made_meanwhile_is_not_undone(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    made(api, "/v1/agents", {"key": "aaa", "condition": []})
    page = admin.get(PATH)
    api.ask("PATCH", "/v1/customers/acme", {"agents": [{"agent": "aaa", "name": "Theirs"}]})
    page = admin.submit(page, PATH, button=SAVE, own="name", name="Ours")
    assert page.status == 409
    assert page.is_refused
    admin.submit(page, PATH, button=SAVE)
    assert [one["agent"] for one in own(api)] == ["aaa", "support"]


def test_removing_needs_a_tick(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    api.ask("PATCH", "/v1/customers/acme", {"agents": [{"agent": "support", "name": "Old"}]})
    assert admin.submit(admin.get(PATH), f"{PATH}/remove").status == 400
    assert len(own(api)) == 1


def test_saving_nothing_of_its_own_is_refused_with_the_way_out(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    page = admin.submit(admin.get(PATH), PATH, button=SAVE)
    assert page.status == 400
    assert page.is_refused
    assert own(api) == []


def test_mistakes_are_told_where_they_are_and_only_of_what_is_ticked(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    wrong = {"c.0.fact": "", "c.1.choice": "gte", "c.1.value": HOSTILE, "period": "0", "name": ""}
    page = admin.submit(admin.get(PATH), PATH, button=SAVE, own=["condition", "name"], **wrong)
    assert page.status == 400
    assert set(page.invalid) == {"name", "c.0.fact", "c.1.value"}
    assert len(page.document.xpath("//*[@role='alert']//li")) == 3
    assert page.find("//*[@name='c.1.value']").get("value") == HOSTILE
    assert page.find("//*[@name='period']").get("value") == "0"
    assert ticked(page) == {"condition", "name"}
    assert "<script>alert" not in page.source
    page = admin.submit(page, PATH, button=SAVE, own="name", name="n" * 300)
    assert page.status == 400
    assert page.invalid == ["name"]
    page = admin.submit(page, PATH, button=SAVE, own="name", name="Fine")
    assert page.path == "/dashboard/customers/acme", "what is not ticked is not looked at"


def test_what_the_store_refuses_is_told_with_everything_kept(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    page = admin.submit(admin.get(PATH), PATH, button=SAVE, own="name", name="Kept", effective_from="soon")
    assert page.status == 400
    assert page.invalid == ["effective_from"]
    assert page.find("//*[@name='name']").get("value") == "Kept"


def test_they_can_be_agreed_ahead(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    page = admin.submit(admin.get(PATH), PATH, button=SAVE, own="name", name="Later", effective_from="2097-01-01T00:00")
    assert "1 Jan 2097, 00:00 UTC" in page.message
    assert own(api) == []
    assert api.get("/v1/customers/acme")["scheduled"] == ["2097-01-01T00:00:00.000Z"]


@pytest.mark.parametrize(("ticks", "would"), [([], "confirmed"), (["condition"], "missed")])
def test_what_would_hold_for_the_customer_is_what_is_tried(
    admin: Dashboard, api: ApiServer, ticks: list[str], would: str
) -> None:
    """The condition is changed in the form, and counts where it is ticked."""
    stocked(api)
    example = {"e.0.action": "replied", "e.0.attribution": "5"}
    page = admin.submit(admin.get(PATH), PATH, button="try", own=ticks, **{"c.0.choice": "not seen"}, **example)
    assert page.case("trial") == would
    assert own(api) == []


def test_who_may_read_has_no_such_form(reader: Dashboard, api: ApiServer) -> None:
    stocked(api)
    assert reader.get(PATH).status == 403
    key = reader.get("/dashboard").document.xpath("//input[@name='form_key']/@value")[0]
    for path in (PATH, f"{PATH}/remove"):
        assert reader.send(path, {"form_key": key, "do": "save", "own": "name", "name": "x"}).status == 403
    assert own(api) == []


def test_customers_and_agents_that_are_not_there_are_not_found(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    assert admin.get("/dashboard/customers/acme/terms/nobody").status == 404
    assert admin.get("/dashboard/customers/nobody/terms/support").status == 404


def test_any_keys_stay_text(admin: Dashboard, api: ApiServer) -> None:
    key = 'a/b?c#d%20"<b>'
    made(api, "/v1/agents", {**AGENT, "key": key})
    made(api, "/v1/rate-cards", {**CARD, "entries": [{"agent": key, "price_per_unit": "1"}]})
    made(api, "/v1/customers", {**CUSTOMER, "key": key})
    quoted = "a%2Fb%3Fc%23d%2520%22%3Cb%3E"
    path = f"/dashboard/customers/{quoted}/terms/{quoted}"
    page = admin.submit(admin.get(path), path, button=SAVE, own="name", name=HOSTILE)
    assert page.path == f"/dashboard/customers/{quoted}"
    assert "<script>alert" not in page.source
    assert api.get(f"/v1/customers/{quoted}")["agents"] == [{"agent": key, "name": HOSTILE}]
    page = admin.submit(admin.get(path), f"{path}/remove", confirmed="yes")
    assert api.get(f"/v1/customers/{quoted}")["agents"] == []


def test_fields_appear_when_they_are_ticked(tab: Tab, api: ApiServer) -> None:
    stocked(api)
    page = tab.page
    tab.open(PATH)
    ticked_box = page.locator("[name=own][value=condition]")
    assert tab.field("c.0.fact").is_hidden()
    assert page.locator(".ours code", has_text="replied").is_visible()
    ticked_box.check()
    tab.field("c.0.fact").fill("answered")
    page.locator("#reading code", has_text="answered").wait_for()
    tab.press("remove:1")
    tab.field("c.1.fact").wait_for(state="detached")
    assert ticked_box.is_checked()
    tab.press(SAVE)
    page.wait_for_url("**/dashboard/customers/acme")
    assert own(api) == [{"agent": "support", "condition": [{"fact": "answered", "operator": "seen"}]}]
