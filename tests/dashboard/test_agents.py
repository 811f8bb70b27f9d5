"""Agents: what is billed in words, versions side by side, and the form where a condition is put together and tried."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.dashboard.browser import Tab
from tests.dashboard.client import Dashboard, Page, figures, names, words
from tests.dashboard.reading import visible_text
from tests.support.processes import until
from tests.support.server import Server
from tests.web.api_server import ApiServer
from tests.web.catalogue import AGENT, changes, made, stocked
from tests.web.recorded_run import recorded_run

HOSTILE = "<script>alert(1)</script>\"'&"
KEY = 'a/b?c#d%20"<b>'
LINK = "/dashboard/agents/a%2Fb%3Fc%23d%2520%22%3Cb%3E"
NEW = "/dashboard/agents/new"
LATER = "2097-01-01T00:00:00.000Z"


def filled(admin: Dashboard, **fields: Any) -> Page:
    """The form for a new agent with one check, saved."""
    given = {"key": "support", "c.0.fact": "replied", **fields}
    return admin.submit(admin.get(NEW), NEW, button="save", **given)


def agent(api: ApiServer, key: str = "support") -> Any:
    return api.get(f"/v1/agents/{key}")


def value(page: Page, name: str) -> str:
    """What a field of a form holds."""
    field = page.find(f"//*[@name='{name}']")
    if field.tag == "select":
        return str(field.value)
    return str(field.text or "") if field.tag == "textarea" else str(field.get("value"))


def checks(page: Page) -> dict[str, str]:
    """The checks of the condition in the form: the place of each in its groups → the action."""
    found = {one.get("name"): one.get("value") for one in page.document.xpath("//input[starts-with(@name, 'c.')]")}
    return {name.removesuffix(".fact"): text for name, text in found.items() if name.endswith(".fact")}


def held(step: Any) -> dict[str, bool]:
    """The checks after an event that was tried: the action → whether it holds."""
    return {names(one)[0]: one.get("class") == "yes" for one in step.xpath(".//ul/li")}


def refused(page: Page) -> list[str]:
    """The number of each row or line that cannot be tried; empty for what has none."""
    said = [one.xpath("./strong") for one in page.document.xpath("//*[@id='trial']//li")]
    return [figures(label[0])[0] if label else "" for label in said]


# -- the list and one agent -------------------------------------------------------------------------------------------


def test_an_empty_list_teaches_what_an_agent_is(admin: Dashboard, reader: Dashboard) -> None:
    page = admin.get("/dashboard/agents")
    assert page.cases == ["none-yet"]
    [command] = page.document.xpath("//main//@data-copy")
    assert command.startswith("curl -X POST http://127.0.0.1:")
    assert NEW in page.hrefs
    assert NEW not in reader.get("/dashboard/agents").hrefs


def test_the_list_says_what_each_is_billed_for(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    made(api, "/v1/agents", {"key": "sales", "condition": []})
    page = admin.get("/dashboard/agents")
    rows = page.rows("agents", visible_text)
    assert [(row[0], row[3]) for row in rows] == [("sales", "1"), ("Support support", "1")]
    assert [names(one) for one in page.items("agents")] == [[], ["replied", "reopened"]]
    assert page.links()["Support"] == "/dashboard/agents/support"


def test_archived_agents_are_listed_on_request(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    api.ask("DELETE", "/v1/agents/support")
    page = admin.get("/dashboard/agents")
    assert page.rows("agents", visible_text) == []
    assert page.cases == ["all-archived"]
    assert "/dashboard/agents?archived=yes" in page.hrefs
    page = admin.get("/dashboard/agents?archived=yes")
    assert page.states("agents") == [["archived"]]
    assert page.links()["Support"] == "/dashboard/agents/support"


def test_the_list_goes_on_to_its_end(admin: Dashboard, api: ApiServer) -> None:
    keys = [f"a{number:02}" for number in range(55)]
    for key in keys:
        made(api, "/v1/agents", {"key": key, "condition": []})
    page = admin.get("/dashboard/agents")
    last = admin.get(page.pages["next"])
    assert [row[0] for row in page.rows("agents", visible_text) + last.rows("agents", visible_text)] == keys
    assert admin.get(last.pages["first"]).rows("agents", visible_text) == page.rows("agents", visible_text)


def test_an_agent_says_what_it_bills_for_in_plain_read(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    page = admin.get("/dashboard/agents/support")
    assert page.find("//h1").text == "Support"
    assert names(page.find("//*[@data-fact='condition']")) == ["replied", "reopened"]
    assert figures(page.find("//*[@data-fact='settles']")) == ["1"]
    assert page.cases == ["from-beginning", "none-open", "from-beginning", "first-version"]
    assert '"agent_key": "support", "action": "replied"' in page.text
    assert page.states("versions") == [["in effect"]]
    assert "/dashboard/agents/support?version=1" in page.hrefs
    assert not page.document.xpath("//*[@id='comparison']")


def test_who_may_read_sees_no_actions_and_is_refused(admin: Dashboard, reader: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    for path in ("/dashboard/agents", "/dashboard/agents/support"):
        page = reader.get(path)
        assert page.status == 200
        assert [form.get("action") for form in page.document.forms if form.method == "POST"] == ["/dashboard/sign-out"]
        assert not {NEW, "/dashboard/agents/support/edit"} & page.hrefs
    for path in (NEW, "/dashboard/agents/support/edit"):
        assert reader.get(path).status == 403
    key = reader.get("/dashboard").document.xpath("//input[@name='form_key']/@value")[0]
    for path in (NEW, "/dashboard/agents/support/edit", "/dashboard/agents/support/archive"):
        page = reader.send(path, {"form_key": key, "do": "save", "key": "x", "confirmed": "yes"})
        assert page.status == 403, path
    assert agent(api)["versions"] == 1
    assert len(api.get("/v1/agents")["data"]) == 1


def test_what_is_not_there_is_not_found(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    for path in ("/nobody", "/nobody/edit", "/support?version=2", "/support?from=1&to=9"):
        assert admin.get(f"/dashboard/agents{path}").status == 404, path
    assert admin.get("/dashboard/agents/support?version=x").status == 400


def test_versions_say_what_they_changed_and_stand_side_by_side(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    api.ask("PATCH", "/v1/agents/support", {"settlement_period": 3600})
    api.ask("PATCH", "/v1/agents/support", {"condition": [{"fact": HOSTILE, "operator": "seen"}]})
    page = admin.get("/dashboard/agents/support")
    assert [row[0] for row in page.rows("versions")] == ["3", "2", "1"]
    assert page.states("versions") == [["in effect"], ["past"], ["past"]]
    assert page.item_fields("versions") == [["condition[0]", "condition[1]"], ["settlement_period"], []]
    assert "first-version" in page.item_cases("versions")[2]
    page = admin.submit(page, "/dashboard/agents/support", **{"from": "1", "to": "3"})
    assert page.path.endswith("?from=1&to=3")
    rows = page.items("comparison")
    assert [names(row) for row in rows] == [[], ["replied", "reopened", HOSTILE], [], [], []]
    assert [figures(row) for row in rows][2] == ["1", "1"], "a minute and an hour"
    assert page.states("comparison") == [[], ["changed"], ["changed"], [], []]
    assert "<script>alert" not in page.source
    assert "/dashboard/agents/support?version=1" in page.hrefs
    old = admin.get("/dashboard/agents/support?version=1")
    assert figures(old.find("//*[@data-case='old-version']")) == ["1", "3"]
    assert names(old.find("//*[@data-fact='condition']")) == ["replied", "reopened"]


def test_many_versions_come_in_pages_the_newest_first(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", {"key": "busy", "condition": []})
    for number in range(1, 60):
        api.ask("PATCH", "/v1/agents/busy", {"settlement_period": number})
    page = admin.get("/dashboard/agents/busy")
    earlier = admin.get(page.pages["earlier"])
    numbers = [int(row[0]) for row in page.rows("versions", visible_text) + earlier.rows("versions", visible_text)]
    assert numbers == list(range(60, 0, -1))
    assert admin.get(earlier.pages["newest"]).rows("versions", visible_text) == page.rows("versions", visible_text)


def test_scheduled_versions_are_announced(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    api.ask("PATCH", "/v1/agents/support", {"name": "Help", "effective_from": LATER})
    page = admin.get("/dashboard/agents/support")
    assert page.find("//*[@data-case='scheduled']//time").get("datetime") == LATER
    assert page.states("versions")[0] == ["scheduled"]
    form = admin.get("/dashboard/agents/support/edit")
    assert form.find("//*[@data-case='scheduled']//time").get("datetime") == LATER


def test_an_agent_that_only_will_be_is_shown_as_it_will_be(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", {**AGENT, "effective_from": LATER})
    page = admin.get("/dashboard/agents/support")
    assert page.status == 200
    assert page.find("//*[@class='head']//@data-state") == "scheduled"
    assert admin.get("/dashboard/agents").states("agents") == [["scheduled"]]


def test_archiving_needs_a_tick_and_is_undone(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    path = "/dashboard/agents/support"
    refused = admin.submit(admin.get(path), f"{path}/archive")
    assert refused.status == 400
    assert refused.is_refused
    assert agent(api)["archived"] is False
    page = admin.submit(admin.get(path), f"{path}/archive", confirmed="yes")
    assert page.message
    assert agent(api)["archived"] is True
    page = admin.submit(page, f"{path}/restore")
    assert page.message
    assert agent(api)["archived"] is False
    assert [one["what"] for one in changes(api)] == ["agent.create", "agent.archive", "agent.restore"]
    assert {one["who"] for one in changes(api)} == {"token admin"}


def test_archiving_can_be_scheduled(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    path = "/dashboard/agents/support"
    page = admin.submit(admin.get(path), f"{path}/archive", confirmed="yes", effective_from="2097-01-01T00:00")
    assert "1 Jan 2097, 00:00 UTC" in page.message
    assert agent(api)["archived"] is False
    assert agent(api)["scheduled"] == [LATER]
    page = admin.submit(page, f"{path}/archive", confirmed="yes", effective_from="soon")
    assert page.status == 400


def test_outcomes_are_told_by_the_version_that_they_run_on(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    def prepare(deployment: Any) -> None:
        """Two run on what was so long ago; the daemon is there only later."""
        deployment.witnd("set", "agent", "patient")
        for key in ("first-one", "second-one"):
            deployment.event(key, "opened", agent_key="patient", at="*")

    with recorded_run(session_server, tmp_path, prepare) as api:
        admin = Dashboard(api)
        api.ask("PATCH", "/v1/agents/patient", {"name": "More patient"})
        body = {"agents": [{"agent": "patient", "name": "For acme"}], "key": "own", "rate_card": "standard"}
        made(api, "/v1/customers", body)
        for key, customer in (("third-one", "acme"), ("fourth-one", "own")):
            event = {"key": key, "customer_key": customer, "agent_key": "patient", "action": HOSTILE}
            assert api.ask("POST", "/v1/events", event, scope="ingest").status == 202
        page = until_shown(
            admin, "/dashboard/agents/patient", lambda page: figures(page.find("//*[@id='running']/p")) == ["4"]
        )
        assert page.cases.count("all") == 1
        assert [row[1] for row in page.rows("running")] == ["1", "2", "1"]
        assert [listed(one) for one in page.items("running")] == [
            ["third-one"],
            ["second-one", "first-one"],
            ["fourth-one"],
        ]
        assert page.states("running") == [["open"], ["open", "open"], ["open"]]
        assert page.item_cases("running") == [[], [], ["own-terms"]]
        assert page.links()["third-one"] == "/dashboard/outcomes/third-one"
        versions = [f"/dashboard/agents/patient?version={number}#running" for number in (2, 1)]
        assert [one.xpath("./th/a/@href") for one in page.items("running")] == [[versions[0]], [versions[1]], []]
        assert admin.get("/dashboard/agents/support").rows("running", visible_text) == []


def test_how_many_were_looked_at_is_told(session_server: Server, redis_url: str, tmp_path: Path) -> None:
    def prepare(deployment: Any) -> None:
        deployment.event("of-another", "opened", agent_key="patient", at="*")
        for number in range(510):
            deployment.event(f"outcome-{number:03}", "opened", at="*")

    with recorded_run(session_server, tmp_path, prepare) as api:
        admin = Dashboard(api)
        page = admin.get("/dashboard/agents/patient")
        assert "none-of-newest" in page.cases
        assert figures(page.find("//*[@data-case='none-of-newest']")) == ["500"]
        page = admin.get("/dashboard/agents/support")
        assert figures(page.find("//*[@data-case='newest']")) == ["500", "500"]
        [[_, count, _]] = page.rows("running")
        assert count == "500"
        [row] = page.items("running")
        assert listed(row) == [f"outcome-{number}" for number in range(509, 504, -1)]
        assert figures(row.xpath(".//li")[-1]) == ["495"]
        page = admin.get("/dashboard/agents/support?version=1")
        assert figures(page.items("running")[0].xpath(".//li")[-1]) == ["400"]


def listed(row: Any) -> list[str]:
    """The outcomes in a row, by their links."""
    return [str(one).rpartition("/")[2] for one in row.xpath(".//li/a/@href")]


def until_shown(admin: Dashboard, path: str, holds: Callable[[Page], bool]) -> Page:
    until(lambda: holds(admin.get(path)), path)
    return admin.get(path)


# -- writing one ------------------------------------------------------------------------------------------------------


def test_an_agent_is_put_together_without_a_script(admin: Dashboard, api: ApiServer) -> None:
    page = admin.get(NEW)
    assert (value(page, "period"), value(page, "unit"), value(page, "attribution_method")) == ("72", "hours", "last")
    page = admin.submit(page, NEW, button="check:", **{"key": "support", "name": "Help", "c.0.fact": "replied"})
    page = admin.submit(page, NEW, button="group:", **{"c.1.fact": "rated", "c.1.choice": "gte", "c.1.value": "4"})
    page = admin.submit(page, NEW, button="check:2", **{"c.2.0.fact": "signed"})
    page = admin.submit(page, NEW, **{"c.2.1.fact": "approved", "c.2.1.choice": "match true"})
    assert names(page.find("//*[@id='reading']")) == ["replied", "rated", "signed", "approved"]
    assert figures(page.find("//*[@id='reading']")) == ["4"]
    assert (value(page, "key"), value(page, "name")) == ("support", "Help")
    page = admin.submit(page, NEW, button="save", period="1.5", unit="minutes", attribution_method="sum")
    assert page.path == "/dashboard/agents/support"
    assert "support" in page.message
    found = agent(api)
    assert (found["name"], found["settlement_period"], found["attribution_method"]) == ("Help", 90, "sum")
    assert found["condition"] == [
        {"fact": "replied", "operator": "seen"},
        {"fact": "rated", "operator": "gte", "value": 4},
        {
            "op": "OR",
            "conditions": [
                {"fact": "signed", "operator": "seen"},
                {"fact": "approved", "operator": "match", "value": True},
            ],
        },
    ]
    [noted] = changes(api)
    assert (noted["what"], noted["who"], noted["key"]) == ("agent.create", "token admin", "support")


def test_checks_are_grouped_moved_and_removed(admin: Dashboard) -> None:
    page = admin.submit(admin.get(NEW), NEW, button="check:", **{"c.0.fact": "a"})
    page = admin.submit(page, NEW, button="join:0", **{"c.1.fact": "b"})
    assert (checks(page), value(page, "c.0.op")) == ({"c.0.0": "a", "c.0.1": "b"}, "OR")
    page = admin.submit(page, NEW, **{"c.0.op": "NOT"})
    # What does not hold of two checks is that both hold.
    assert (checks(page), value(page, "c.0.op")) == ({"c.0.0.0": "a", "c.0.0.1": "b"}, "NOT")
    page = admin.submit(page, NEW, button="ungroup:0")
    page = admin.submit(page, NEW, button="out:0.1")
    page = admin.submit(page, NEW, **{"c.1.fact": "b "})
    assert "spaces" in page.cases
    page = admin.submit(page, NEW, button="remove:0", **{"c.1.fact": "b"})
    assert checks(page) == {"c.0": "b"}
    page = admin.submit(page, NEW, button="remove:0")
    assert checks(page) == {}
    assert "always" in page.cases


def test_every_mistake_is_told_at_its_field_and_what_was_typed_stays(admin: Dashboard, api: ApiServer) -> None:
    page = admin.submit(admin.get(NEW), NEW, button="group:")
    typed = {
        "name": HOSTILE * 20, "period": "0", "unit": "days", "effective_from": "soon", "c.0.choice": "gte",
        "c.0.value": "3,5", "c.1.0.fact": "fine", "c.1.0.choice": "count_gt", "c.1.0.value": HOSTILE,
        "e.0.action": "kept", "pasted": '{"action": "kept too"}',
    }  # fmt: skip
    page = admin.submit(page, NEW, button="save", **typed)
    assert page.status == 400
    for name, text in typed.items():
        assert value(page, name) == text, name
    assert set(page.invalid) == {"key", "name", "period", "c.0.fact", "c.0.value", "c.1.0.value"}
    [alert] = page.document.xpath("//*[@role='alert']")
    assert len(alert.xpath(".//li")) == len(page.invalid)
    assert "2.1" in [figure for one in alert.xpath(".//li") for figure in figures(one)]
    assert "<script>alert" not in page.source
    assert api.get("/v1/agents")["data"] == []


def test_an_instant_that_is_none_is_told_at_its_field(admin: Dashboard) -> None:
    page = filled(admin, effective_from="soon")
    assert page.status == 400
    assert page.invalid == ["effective_from"]


@pytest.mark.parametrize(
    ("period", "unit", "seconds"),
    [("72", "hours", 259_200), ("180", "days", 15_552_000), ("1", "seconds", 1), ("0.5", "minutes", 30)],
)
def test_time_is_written_in_human_units(admin: Dashboard, api: ApiServer, period: str, unit: str, seconds: int) -> None:
    filled(admin, period=period, unit=unit)
    assert agent(api)["settlement_period"] == seconds
    page = admin.get("/dashboard/agents/support/edit")
    assert (value(page, "period"), value(page, "unit")) == {
        259_200: ("3", "days"), 15_552_000: ("180", "days"), 1: ("1", "seconds"), 30: ("30", "seconds")
    }[seconds]  # fmt: skip


@pytest.mark.parametrize("period", ["", "0", "181", "x", "1e-9", "NaN", "1" * 400, "-1"])
def test_time_that_is_none_is_refused(admin: Dashboard, api: ApiServer, period: str) -> None:
    page = filled(admin, period=period, unit="days")
    assert page.status == 400
    assert page.invalid == ["period"]
    assert api.get("/v1/agents")["data"] == []


def test_a_key_that_is_taken_is_told_at_the_key(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    page = filled(admin)
    assert page.status == 400
    assert page.invalid == ["key"]


def test_any_text_is_a_key_and_stays_text(admin: Dashboard, api: ApiServer) -> None:
    page = filled(admin, key=KEY, name=HOSTILE, **{"c.0.fact": HOSTILE})
    assert page.path == LINK
    assert page.find("//h1").text == HOSTILE
    assert "<script>alert" not in page.source
    page = admin.submit(admin.get(f"{LINK}/edit"), f"{LINK}/edit", button="save", name="Plain")
    assert page.path == LINK
    assert [one["name"] for one in api.get("/v1/agents")["data"]] == ["Plain"]
    assert admin.get("/dashboard/agents").links()["Plain"] == LINK


def test_an_agent_may_be_called_new(admin: Dashboard, api: ApiServer) -> None:
    page = filled(admin, key="new", name="Called new")
    assert page.find("//h1").text == "Called new"
    assert admin.get(admin.get("/dashboard/agents").links()["Called new"]).find("//h1").text == "Called new"
    assert admin.get("/dashboard/agents/~new?version=1").find("//h1").text == "Called new"
    assert {"/dashboard/agents/~new?version=1", "/dashboard/agents/~new/edit"} <= page.hrefs
    edit = "/dashboard/agents/~new/edit"
    assert admin.submit(admin.get(edit), edit, button="save", name="Newer").find("//h1").text == "Newer"
    assert admin.get(NEW).document.xpath("//input[@name='key']"), "the form for a new one"


def test_what_somebody_else_saved_meanwhile_is_not_overwritten_unseen(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    path = "/dashboard/agents/support/edit"
    page = admin.get(path)
    assert api.ask("PATCH", "/v1/agents/support", {"name": "Theirs"}).status == 200
    page = admin.submit(page, path, button="check:", name="Ours")
    page = admin.submit(page, path, button="save", **{"c.2.fact": "rated"})
    assert (page.status, value(page, "name")) == (409, "Ours")
    assert page.is_refused
    assert agent(api)["name"] == "Theirs"
    assert admin.submit(page, path, button="save").message
    assert agent(api)["name"] == "Ours"


def test_a_change_makes_a_version_and_no_change_makes_none(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    path = "/dashboard/agents/support/edit"
    page = admin.submit(admin.get(path), path, button="save")
    assert page.message
    assert agent(api)["versions"] == 1
    page = admin.submit(admin.get(path), path, button="save", **{"c.0.fact": "answered"})
    assert "2" in page.message
    assert agent(api)["condition"][0]["fact"] == "answered"
    assert [one["what"] for one in changes(api)] == ["agent.create", "agent.update"]


def test_a_change_can_be_scheduled_in_utc(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    path = "/dashboard/agents/support/edit"
    page = admin.submit(admin.get(path), path, button="save", name="Help", effective_from="2097-01-01T00:00")
    assert "1 Jan 2097, 00:00 UTC" in page.message
    assert agent(api)["scheduled"] == [LATER]
    page = admin.submit(admin.get(path), path, button="save", name="Halp", effective_from="2097-01-01T00:00")
    assert page.status == 409
    assert "2097-01-01" in page.find("//*[@role='alert']").text_content()
    assert value(page, "name") == "Halp"


def test_a_name_that_is_left_empty_is_the_key(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    path = "/dashboard/agents/support/edit"
    admin.submit(admin.get(path), path, button="save", name="")
    assert agent(api)["name"] == "support"


def test_no_condition_is_lost_by_looking_at_it_and_saving(admin: Dashboard, api: ApiServer) -> None:
    condition = [
        {"fact": HOSTILE, "operator": "match", "value": HOSTILE},
        {"fact": "line\nbreak\r\t\0", "operator": "match", "value": "a\r\nb\n"},
        {"fact": " spaces ", "operator": "match", "value": ""},
        {"fact": "`tick` é 😀 \x85", "operator": "match", "value": "3"},
        {"fact": "n", "operator": "match", "value": 1e300},
        {"fact": "n", "operator": "not lte", "value": -0.1},
        {"fact": "n", "operator": "match", "value": False},
        {"op": "NOT", "condition": {"op": "AND", "conditions": []}},
        {
            "op": "AND",
            "conditions": [{"op": "OR", "conditions": []}, {"fact": "c", "operator": "count_eq", "value": 0}],
        },
    ]
    made(api, "/v1/agents", {"key": "support", "condition": condition})
    path = "/dashboard/agents/support/edit"
    page = admin.submit(admin.get(path), path)
    assert "<script>alert" not in page.source
    page = admin.submit(page, path, button="save")
    assert agent(api)["versions"] == 1
    assert agent(api)["condition"] == condition


def test_a_form_may_have_a_thousand_checks(admin: Dashboard, api: ApiServer) -> None:
    condition = [{"fact": f"a{number}", "operator": "count_gte", "value": number} for number in range(1000)]
    made(api, "/v1/agents", {"key": "support", "condition": condition})
    path = "/dashboard/agents/support/edit"
    page = admin.submit(admin.get(path), path, button="save", **{"c.999.value": "7"})
    assert page.status == 200, page.text[:500]
    assert agent(api)["condition"][999]["value"] == 7


# -- trying -----------------------------------------------------------------------------------------------------------


def test_a_rule_is_tried_before_it_is_saved(admin: Dashboard, api: ApiServer) -> None:
    page = admin.submit(admin.get(NEW), NEW, button="example:", **{"c.0.fact": "replied", "period": "1"})
    page = admin.submit(page, NEW, button="check:", attribution_method="sum")
    page = admin.submit(
        page,
        NEW,
        button="try",
        **{
            "c.1.fact": "reopened", "c.1.choice": "not seen",
            "e.0.action": "opened", "e.0.attribution": "1.5",
            "e.1.action": "replied", "e.1.later": "10 min", "e.1.attribution": "2",
            "e.2.action": "reopened", "e.2.later": "2 h", "e.2.value": "5",
        },
    )  # fmt: skip
    assert page.status == 200
    steps = page.items("tried")
    assert [words(one.find(".//h3")) for one in steps] == ["1. opened", "2. replied", "3. reopened"]
    assert page.states("tried") == [["open"], ["pending", "healthy"], ["late"]]
    assert [held(one) for one in steps] == [
        {"replied": False, "reopened": True},
        {"replied": True, "reopened": True},
        {},
    ]
    assert figures(steps[1].find(".//h3/../span")) == ["10"]
    assert figures(steps[2].find(".//h3/../span")) == ["2", "10"]
    assert page.case("trial") == "confirmed"
    assert figures(page.find("//*[@id='trial']//*[@role='status']/p[1]")) == ["3.5", "2"]
    page = admin.submit(page, NEW, button="try", **{"e.2.later": "5 min"})
    assert page.case("trial") == "missed"
    why = page.find("//*[@id='trial']//*[@role='status']/p[2]")
    assert names(why) == ["reopened", "reopened"]
    assert figures(why) == ["3", "1", "3"]
    assert api.get("/v1/agents")["data"] == []
    assert changes(api) == []


def test_what_was_tried_stays_beside_every_change(admin: Dashboard) -> None:
    page = admin.submit(admin.get(NEW), NEW, button="try", **{"c.0.fact": "a", "e.0.action": "a"})
    assert page.case("trial") == "confirmed"
    page = admin.submit(page, NEW, **{"c.0.choice": "not seen"})
    assert page.case("trial") == "missed"


def test_events_are_pasted_as_json_and_values_keep_their_type(admin: Dashboard) -> None:
    pasted = [
        {"action": "rated", "properties": {"value": 5}, "key": "from-somewhere"},
        {
            "action": "signed",
            "accepted_at": "2098-01-01T00:00:00Z",
            "properties": {"settles_at": "2099-01-01T00:00:00Z"},
        },
    ]
    text = "\n".join(json.dumps(one) for one in pasted)
    for typed, holds in (('"5"', True), ("5", False)):
        fields = {
            "c.0.fact": "text",
            "c.0.choice": "match text",
            "c.0.value": "5",
            "e.0.action": "text",
            "e.0.value": typed,
        }
        page = admin.submit(admin.get(NEW), NEW, button="try", pasted="", **fields)
        assert page.case("trial") == ("confirmed" if holds else "missed"), typed
    page = admin.submit(
        admin.get(NEW), NEW, button="try", pasted=text, **{"c.0.fact": "rated", "period": "180", "unit": "days"}
    )
    assert "1. rated" in page.text_of("trial")
    assert "2. signed" in page.text_of("trial")


def test_what_cannot_be_tried_is_told_by_its_row(admin: Dashboard) -> None:
    page = admin.submit(admin.get(NEW), NEW, button="try")
    assert (page.case("trial"), refused(page)) == ("cannot-be-tried", ["1"])
    page = admin.submit(page, NEW, button="try", **{"c.0.fact": "a"})
    assert (page.case("trial"), refused(page)) == ("cannot-be-tried", [""])
    page = admin.submit(
        page,
        NEW,
        button="try",
        pasted='{"action": "a", "action": "b"}\n\n[]\n{"action": "a", "properties": {"settles_at": "soon"}}',
        **{"e.0.action": "a", "e.0.attribution": "lots", "e.1.value": "1", "e.1.later": "soon"},
    )
    assert refused(page) == ["1", "2", "1", "3"], "two rows, and two lines of what was pasted"
    page = admin.submit(
        page,
        NEW,
        button="try",
        pasted='{"properties": {"settles_at": "soon"}}',
        **{"e.0.attribution": "", "e.1.later": ""},
    )
    assert refused(page) == ["2", "1", "1"], "a row, and both mistakes of a line"
    assert page.status == 200


def test_an_agent_s_own_actions_are_suggested_as_examples(admin: Dashboard, api: ApiServer) -> None:
    condition = [
        {"fact": "rated", "operator": "gte", "value": 4},
        {"fact": "reopened", "operator": "not seen"},
        {"fact": "plan", "operator": "match", "value": "3"},
    ]
    made(api, "/v1/agents", {"key": "support", "condition": condition})
    path = "/dashboard/agents/support/edit"
    page = admin.submit(admin.get(path), path, button="try")
    assert [value(page, f"e.{n}.{name}") for n in (0, 1) for name in ("action", "value")] == [
        "rated",
        "4",
        "plan",
        '"3"',
    ]
    assert page.case("trial") == "confirmed"


# -- with a script ----------------------------------------------------------------------------------------------------


def test_the_builder_in_a_browser(tab: Tab, api: ApiServer) -> None:
    """The reading follows while it is typed, buttons change the form alone, and nothing that was typed is lost."""
    page = tab.page
    tab.open(NEW)
    page.evaluate("window.kept = true")
    field, press = tab.field, tab.press
    field("key").fill("support")
    field("c.0.fact").fill(HOSTILE)
    page.locator("#reading code", has_text=HOSTILE).wait_for()
    assert field("c.0.value").is_hidden()
    field("c.0.choice").select_option("gte")
    field("c.0.value").fill("4")
    page.locator("#reading", has_text="4").wait_for()
    assert field("c.0.value").evaluate("one => one === document.activeElement")
    press("check:")
    field("c.1.fact").fill("solved")
    press("join:0")
    field("c.0.1.fact").wait_for()
    page.locator("#reading code", has_text="solved").wait_for()
    field("e.0.action").fill("solved")
    press("try")
    page.locator("#trial [data-case=confirmed]").wait_for()
    field("e.0.action").fill("other")
    page.locator("#trial [data-case=missed]").wait_for()
    field("e.0.action").press("Enter")
    assert page.evaluate("window.kept"), "the page was not left"
    press("save")
    page.wait_for_url("**/dashboard/agents/support")
    assert agent(api)["condition"][0]["conditions"][0] == {"fact": HOSTILE, "operator": "gte", "value": 4}


def test_a_phone_has_room_for_the_builder(tab: Tab, api: ApiServer) -> None:
    stocked(api)
    deep: dict[str, Any] = {"fact": "a" * 100, "operator": "seen"}
    for _ in range(6):
        deep = {"op": "AND", "conditions": [deep, deep["conditions"][0] if "op" in deep else deep]}
    api.ask("PATCH", "/v1/agents/support", {"condition": [deep], "name": "n" * 200})
    tab.page.set_viewport_size({"width": 390, "height": 844})
    for path in ("/dashboard/agents", "/dashboard/agents/support", "/dashboard/agents/support/edit", NEW):
        tab.open(path)
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390, path
