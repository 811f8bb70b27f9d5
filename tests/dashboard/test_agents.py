"""Agents: what is billed in words, versions side by side, and the form where a condition is put together and tried."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.dashboard.desk import Desk, Page
from tests.dashboard.reading import read
from tests.dashboard.window import Window
from tests.support.processes import until
from tests.support.server import Server
from tests.web.catalogue import AGENT, changes, made, stocked
from tests.web.lived import lived
from tests.web.office import Office

HOSTILE = "<script>alert(1)</script>\"'&"
KEY = 'a/b?c#d%20"<b>'
LINK = "/dashboard/agents/a%2Fb%3Fc%23d%2520%22%3Cb%3E"
NEW = "/dashboard/agents/new"
LATER = "2097-01-01T00:00:00.000Z"


def filled(desk: Desk, **fields: Any) -> Page:
    """The form for a new agent with one check, saved."""
    given = {"key": "support", "c.0.fact": "replied", **fields}
    return desk.submit(desk.get(NEW), NEW, button="Create the agent", **given)


def agent(api: Office, key: str = "support") -> Any:
    return api.get(f"/v1/agents/{key}")


def value(page: Page, name: str) -> str:
    """What a field of a form holds."""
    field = page.find(f"//*[@name='{name}']")
    if field.tag == "select":
        return str(field.value)
    return str(field.text or "") if field.tag == "textarea" else str(field.get("value"))


def table(page: Page, label: str) -> list[list[str]]:
    """The rows below the head of the table with this label."""
    return [[read(cell) for cell in row] for row in page.document.xpath(f"//*[@aria-label='{label}']//tbody/tr")]


def problem(page: Page, name: str) -> str:
    """What is said at a field; the field is marked, and points to it."""
    field = page.find(f"//*[@name='{name}']")
    assert field.get("aria-invalid") == "true"
    told = [one for one in field.get("aria-describedby").split() if one.endswith("-problem")]
    return page.id(told[0])


# -- the list and one agent -------------------------------------------------------------------------------------------


def test_an_empty_list_teaches_what_an_agent_is(desk: Desk, reader: Desk) -> None:
    page = desk.get("/dashboard/agents")
    assert "No agents yet" in page.text
    assert "An agent says what makes an outcome billable" in page.text
    assert "curl -X POST http://127.0.0.1:" in page.text
    assert page.links()["Create the first agent"] == NEW
    assert "Create the first agent" not in reader.get("/dashboard/agents").text


def test_the_list_says_what_each_is_billed_for(desk: Desk, api: Office) -> None:
    made(api, "/v1/agents", AGENT)
    made(api, "/v1/agents", {"key": "sales", "condition": []})
    page = desk.get("/dashboard/agents")
    assert table(page, "Agents") == [
        ["sales", "always", "3 days", "1"],
        ["Support support", "replied was seen and reopened was not seen", "1 minute", "1"],
    ]
    assert page.links()["Support"] == "/dashboard/agents/support"


def test_archived_agents_are_listed_on_request(desk: Desk, api: Office) -> None:
    made(api, "/v1/agents", AGENT)
    api.ask("DELETE", "/v1/agents/support")
    page = desk.get("/dashboard/agents")
    assert table(page, "Agents") == []
    assert "All agents are archived" in page.text
    [row] = table(desk.get(page.links()["Show archived ones too"]), "Agents")
    assert row[0] == "Support support archived"


def test_the_list_goes_on_to_its_end(desk: Desk, api: Office) -> None:
    keys = [f"a{number:02}" for number in range(55)]
    for key in keys:
        made(api, "/v1/agents", {"key": key, "condition": []})
    page = desk.get("/dashboard/agents")
    last = desk.get(page.links()["Next page"])
    assert [row[0] for row in table(page, "Agents") + table(last, "Agents")] == keys
    assert table(desk.get(last.links()["First page"]), "Agents") == table(page, "Agents")


def test_an_agent_says_what_it_bills_for_in_plain_read(desk: Desk, api: Office) -> None:
    made(api, "/v1/agents", AGENT)
    page = desk.get("/dashboard/agents/support")
    assert page.find("//h1").text == "Support"
    assert "An outcome is billed when, at its end, replied was seen and reopened was not seen." in page.text
    assert "after 1 minute without another event" in page.text
    assert "all of them together; 1 if none has any" in page.text
    assert "from the beginning" in page.text
    assert "No outcome of this agent is open." in page.text
    assert '"agent_key": "support", "action": "replied"' in page.text
    [version] = table(page, "Versions")
    assert version == ["1", "from the beginning in force", "in force", "the first version", "See version 1"]
    assert not page.document.xpath("//*[@id='comparison']")


def test_who_may_read_sees_no_actions_and_is_refused(desk: Desk, reader: Desk, api: Office) -> None:
    made(api, "/v1/agents", AGENT)
    for path in ("/dashboard/agents", "/dashboard/agents/support"):
        page = reader.get(path)
        assert page.status == 200
        assert [form.get("action") for form in page.document.forms if form.method == "POST"] == ["/dashboard/sign-out"]
        assert not {"New agent", "Edit"} & page.links().keys()
    for path in (NEW, "/dashboard/agents/support/edit"):
        assert reader.get(path).status == 403
    key = reader.get("/dashboard").document.xpath("//input[@name='form_key']/@value")[0]
    for path in (NEW, "/dashboard/agents/support/edit", "/dashboard/agents/support/archive"):
        page = reader.send(path, {"form_key": key, "do": "save", "key": "x", "confirmed": "yes"})
        assert page.status == 403, path
    assert agent(api)["versions"] == 1
    assert len(api.get("/v1/agents")["data"]) == 1


def test_what_is_not_there_is_not_found(desk: Desk, api: Office) -> None:
    made(api, "/v1/agents", AGENT)
    for path in ("/nobody", "/nobody/edit", "/support?version=2", "/support?from=1&to=9"):
        assert desk.get(f"/dashboard/agents{path}").status == 404, path
    assert desk.get("/dashboard/agents/support?version=x").status == 400


def test_versions_say_what_they_changed_and_stand_side_by_side(desk: Desk, api: Office) -> None:
    made(api, "/v1/agents", AGENT)
    api.ask("PATCH", "/v1/agents/support", {"settlement_period": 3600})
    api.ask("PATCH", "/v1/agents/support", {"condition": [{"fact": HOSTILE, "operator": "seen"}]})
    page = desk.get("/dashboard/agents/support")
    [third, second, first] = table(page, "Versions")
    assert (third[0], third[2]) == ("3", "in force")
    assert (second[0], second[2], second[3]) == ("2", "past", "Settles after: 1 minute → 1 hour")
    assert first[3] == "the first version"
    page = desk.submit(page, "/dashboard/agents/support", button="Compare", **{"from": "1", "to": "3"})
    assert page.path.endswith("?from=1&to=3")
    assert table(page, "Version 1 beside version 3") == [
        ["Name", "Support", "Support"],
        ["Billed when changed", "replied was seen and reopened was not seen", f"{HOSTILE} was seen"],
        ["Settles after changed", "1 minute", "1 hour"],
        ["Quantity", "all of them together", "all of them together"],
        ["Standing", "opens outcomes", "opens outcomes"],
    ]
    assert "<script>alert" not in page.source
    old = desk.get(page.links()["See version 1"])
    assert "This is version 1 of 3, past." in old.text
    assert "replied was seen and reopened was not seen." in old.text


def test_many_versions_come_in_pages_the_newest_first(desk: Desk, api: Office) -> None:
    made(api, "/v1/agents", {"key": "busy", "condition": []})
    for number in range(1, 60):
        api.ask("PATCH", "/v1/agents/busy", {"settlement_period": number})
    page = desk.get("/dashboard/agents/busy")
    earlier = desk.get(page.links()["Earlier"])
    numbers = [int(row[0]) for row in table(page, "Versions") + table(earlier, "Versions")]
    assert numbers == list(range(60, 0, -1))
    assert table(desk.get(earlier.links()["Newest"]), "Versions") == table(page, "Versions")


def test_scheduled_versions_are_announced(desk: Desk, api: Office) -> None:
    made(api, "/v1/agents", AGENT)
    api.ask("PATCH", "/v1/agents/support", {"name": "Help", "effective_from": LATER})
    page = desk.get("/dashboard/agents/support")
    assert "Another version takes effect at 1 Jan 2097, 00:00 UTC." in page.text
    assert table(page, "Versions")[0][2] == "scheduled"
    assert "Another version takes effect on 1 Jan 2097" in desk.get("/dashboard/agents/support/edit").text


def test_an_agent_that_only_will_be_is_shown_as_it_will_be(desk: Desk, api: Office) -> None:
    made(api, "/v1/agents", {**AGENT, "effective_from": LATER})
    page = desk.get("/dashboard/agents/support")
    assert page.status == 200
    assert "scheduled" in page.text
    assert table(desk.get("/dashboard/agents"), "Agents")[0][0] == "Support support scheduled"


def test_archiving_needs_a_tick_and_is_undone(desk: Desk, api: Office) -> None:
    made(api, "/v1/agents", AGENT)
    path = "/dashboard/agents/support"
    refused = desk.submit(desk.get(path), f"{path}/archive")
    assert refused.status == 400
    assert "tick the box to confirm" in refused.text
    page = desk.submit(desk.get(path), f"{path}/archive", confirmed="yes")
    assert page.id("told") == "The agent opens no new outcomes; those that are open go on."
    assert agent(api)["archived"] is True
    page = desk.submit(page, f"{path}/restore")
    assert "opens outcomes again" in page.id("told")
    assert agent(api)["archived"] is False
    assert [one["what"] for one in changes(api)] == ["agent.create", "agent.archive", "agent.restore"]
    assert {one["who"] for one in changes(api)} == {"token admin"}


def test_archiving_can_be_scheduled(desk: Desk, api: Office) -> None:
    made(api, "/v1/agents", AGENT)
    path = "/dashboard/agents/support"
    page = desk.submit(desk.get(path), f"{path}/archive", confirmed="yes", effective_from="2097-01-01T00:00")
    assert "from 1 Jan 2097, 00:00 UTC on" in page.id("told")
    assert agent(api)["archived"] is False
    assert agent(api)["scheduled"] == [LATER]
    page = desk.submit(page, f"{path}/archive", confirmed="yes", effective_from="soon")
    assert page.status == 400


def test_outcomes_are_told_by_the_version_that_they_run_on(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    def prepare(workshop: Any) -> None:
        """Two run on what was so long ago; the daemon is there only later."""
        workshop.witnd("set", "agent", "patient")
        for key in ("first-one", "second-one"):
            workshop.event(key, "opened", agent_key="patient", at="*")

    with lived(session_server, tmp_path, prepare) as api:
        desk = Desk(api)
        api.ask("PATCH", "/v1/agents/patient", {"name": "More patient"})
        body = {"agents": [{"agent": "patient", "name": "For acme"}], "key": "own", "rate_card": "standard"}
        made(api, "/v1/customers", body)
        for key, customer in (("third-one", "acme"), ("fourth-one", "own")):
            event = {"key": key, "customer_key": customer, "agent_key": "patient", "action": HOSTILE}
            assert api.ask("POST", "/v1/events", event, scope="ingest").status == 202
        page = until_shown(desk, "/dashboard/agents/patient", "All 4 outcomes of this agent that are not settled.")
        assert table(page, "Outcomes by version") == [
            ["version 2", "1", "third-one open"],
            ["version 1", "2", "second-one open first-one open"],
            ["terms of a customer’s own", "1", "fourth-one open"],
        ]
        assert page.links()["third-one"] == "/dashboard/outcomes/third-one"
        assert page.links()["version 1"] == "/dashboard/agents/patient?version=1#running"
        assert table(desk.get("/dashboard/agents/support"), "Outcomes by version") == []


def test_how_many_were_looked_at_is_told(session_server: Server, redis_url: str, tmp_path: Path) -> None:
    def prepare(workshop: Any) -> None:
        workshop.event("of-another", "opened", agent_key="patient", at="*")
        for number in range(510):
            workshop.event(f"outcome-{number:03}", "opened", at="*")

    with lived(session_server, tmp_path, prepare) as api:
        desk = Desk(api)
        page = desk.get("/dashboard/agents/patient")
        assert "None of the newest 500 outcomes that are not settled is of this agent. Older ones may be." in page.text
        page = desk.get("/dashboard/agents/support")
        assert "Of the newest 500 outcomes that are not settled, 500 are of this agent." in page.text
        [[version, count, newest]] = table(page, "Outcomes by version")
        assert (version, count) == ("version 1", "500")
        assert newest.startswith("outcome-509 open outcome-508 open")
        assert newest.endswith("outcome-505 open and 495 more")
        page = desk.get("/dashboard/agents/support?version=1")
        assert table(page, "Outcomes by version")[0][2].endswith("and 400 more")


def until_shown(desk: Desk, path: str, text: str) -> Page:
    until(lambda: text in desk.get(path).text, text)
    return desk.get(path)


# -- writing one ------------------------------------------------------------------------------------------------------


def test_an_agent_is_put_together_without_a_script(desk: Desk, api: Office) -> None:
    page = desk.get(NEW)
    assert (value(page, "period"), value(page, "unit"), value(page, "attribution_method")) == ("72", "hours", "last")
    page = desk.submit(page, NEW, button="Add a check", **{"key": "support", "name": "Help", "c.0.fact": "replied"})
    page = desk.submit(page, NEW, button="Add a group", **{"c.1.fact": "rated", "c.1.choice": "gte", "c.1.value": "4"})
    page = desk.submit(page, NEW, button="Add a check to group 3", **{"c.2.0.fact": "signed"})
    page = desk.submit(page, NEW, **{"c.2.1.fact": "approved", "c.2.1.choice": "match true"})
    assert page.id("reading").endswith(
        "replied was seen and the latest value of rated is at least 4 and "
        "(signed was seen or the latest value of approved is true)"
    )
    assert (value(page, "key"), value(page, "name")) == ("support", "Help")
    page = desk.submit(page, NEW, button="Create the agent", period="1.5", unit="minutes", attribution_method="sum")
    assert page.path == "/dashboard/agents/support"
    assert page.id("told") == (
        "Agent support is created: outcomes open from now on. Next, give it a price on a rate card."
    )
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


def test_checks_are_grouped_moved_and_removed(desk: Desk) -> None:
    page = desk.submit(desk.get(NEW), NEW, button="Add a check", **{"c.0.fact": "a"})
    page = desk.submit(page, NEW, button="Group ↓ check 1 with the next", **{"c.1.fact": "b"})
    assert page.id("reading").endswith("a was seen or b was seen")
    page = desk.submit(page, NEW, **{"c.0.op": "NOT"})
    assert page.id("reading").endswith("not (a was seen and b was seen)")
    page = desk.submit(page, NEW, button="Ungroup group 1")
    page = desk.submit(page, NEW, button="Move out check 1.2")
    page = desk.submit(page, NEW, **{"c.1.fact": "b "})
    assert "It begins or ends with a space, which counts." in page.text
    page = desk.submit(page, NEW, button="Remove group 1", **{"c.1.fact": "b"})
    assert page.id("reading").endswith("b was seen")
    page = desk.submit(page, NEW, button="Remove check 1")
    assert page.id("reading").endswith("always")
    assert "Nothing to check: this always holds." in page.text


def test_every_mistake_is_told_at_its_field_and_what_was_typed_stays(desk: Desk, api: Office) -> None:
    page = desk.submit(desk.get(NEW), NEW, button="Add a group")
    typed = {
        "name": HOSTILE * 20, "period": "0", "unit": "days", "effective_from": "soon", "c.0.choice": "gte",
        "c.0.value": "3,5", "c.1.0.fact": "fine", "c.1.0.choice": "count_gt", "c.1.0.value": HOSTILE,
        "e.0.action": "kept", "pasted": '{"action": "kept too"}',
    }  # fmt: skip
    page = desk.submit(page, NEW, button="Create the agent", **typed)
    assert page.status == 400
    for name, text in typed.items():
        assert value(page, name) == text, name
    assert problem(page, "key") == "is missing; choose what events name the agent by"
    assert problem(page, "name") == "has 560 characters; shorten it to at most 255"
    assert problem(page, "period") == "write whole seconds or more: 1 second to 180 days"
    assert problem(page, "c.0.fact") == "is empty; write 1 to 255 characters"
    assert problem(page, "c.0.value") == "write a number such as 3 or 2.5"
    assert problem(page, "c.1.0.value") == "write a whole number, 0 or more"
    alert = read(page.find("//*[@role='alert']"))
    assert "This could not be saved:" in alert
    assert "Check 2.1: write a whole number, 0 or more" in alert
    assert "<script>alert" not in page.source
    assert api.get("/v1/agents")["data"] == []


def test_an_instant_that_is_none_is_told_at_its_field(desk: Desk) -> None:
    page = filled(desk, effective_from="soon")
    assert page.status == 400
    assert problem(page, "effective_from") == "must look like 2026-01-31T09:30:00.000Z"


@pytest.mark.parametrize(
    ("period", "unit", "seconds"),
    [("72", "hours", 259_200), ("180", "days", 15_552_000), ("1", "seconds", 1), ("0.5", "minutes", 30)],
)
def test_time_is_written_in_human_units(desk: Desk, api: Office, period: str, unit: str, seconds: int) -> None:
    filled(desk, period=period, unit=unit)
    assert agent(api)["settlement_period"] == seconds
    page = desk.get("/dashboard/agents/support/edit")
    assert (value(page, "period"), value(page, "unit")) == {
        259_200: ("3", "days"), 15_552_000: ("180", "days"), 1: ("1", "seconds"), 30: ("30", "seconds")
    }[seconds]  # fmt: skip


@pytest.mark.parametrize("period", ["", "0", "181", "x", "1e-9", "NaN", "1" * 400, "-1"])
def test_time_that_is_none_is_refused(desk: Desk, api: Office, period: str) -> None:
    page = filled(desk, period=period, unit="days")
    assert page.status == 400
    assert problem(page, "period") == "write whole seconds or more: 1 second to 180 days"
    assert api.get("/v1/agents")["data"] == []


def test_a_key_that_is_taken_is_told_at_the_key(desk: Desk, api: Office) -> None:
    made(api, "/v1/agents", AGENT)
    page = filled(desk)
    assert page.status == 400
    assert problem(page, "key").startswith('there is an agent "support" already; change that one')


def test_any_text_is_a_key_and_stays_text(desk: Desk, api: Office) -> None:
    page = filled(desk, key=KEY, name=HOSTILE, **{"c.0.fact": HOSTILE})
    assert page.path == LINK
    assert page.find("//h1").text == HOSTILE
    assert "<script>alert" not in page.source
    page = desk.submit(desk.get(f"{LINK}/edit"), f"{LINK}/edit", button="Save as a new version", name="Plain")
    assert page.path == LINK
    assert [one["name"] for one in api.get("/v1/agents")["data"]] == ["Plain"]
    assert desk.get("/dashboard/agents").links()["Plain"] == LINK


def test_an_agent_may_be_called_new(desk: Desk, api: Office) -> None:
    page = filled(desk, key="new", name="Called new")
    assert page.find("//h1").text == "Called new"
    assert desk.get(desk.get("/dashboard/agents").links()["Called new"]).find("//h1").text == "Called new"
    assert desk.get(page.links()["See version 1"]).find("//h1").text == "Called new"
    edit = page.links()["Edit"]
    assert desk.submit(desk.get(edit), edit, button="Save as a new version", name="Newer").find("//h1").text == "Newer"
    assert desk.get(NEW).find("//h1").text == "New agent"


def test_what_somebody_else_saved_meanwhile_is_not_overwritten_unseen(desk: Desk, api: Office) -> None:
    made(api, "/v1/agents", AGENT)
    path = "/dashboard/agents/support/edit"
    page = desk.get(path)
    assert api.ask("PATCH", "/v1/agents/support", {"name": "Theirs"}).status == 200
    page = desk.submit(page, path, button="Add a check", name="Ours")
    page = desk.submit(page, path, button="Save as a new version", **{"c.2.fact": "rated"})
    assert (page.status, value(page, "name")) == (409, "Ours")
    assert "another version was saved since this form was opened" in page.text
    assert agent(api)["name"] == "Theirs"
    assert "Saved." in desk.submit(page, path, button="Save as a new version").id("told")
    assert agent(api)["name"] == "Ours"


def test_a_change_makes_a_version_and_no_change_makes_none(desk: Desk, api: Office) -> None:
    made(api, "/v1/agents", AGENT)
    path = "/dashboard/agents/support/edit"
    page = desk.submit(desk.get(path), path, button="Save as a new version")
    assert page.id("told") == "Nothing was changed: it was so already."
    page = desk.submit(desk.get(path), path, button="Save as a new version", **{"c.0.fact": "answered"})
    assert "Outcomes that open from now on are under version 2" in page.id("told")
    assert agent(api)["condition"][0]["fact"] == "answered"
    assert [one["what"] for one in changes(api)] == ["agent.create", "agent.update"]


def test_a_change_can_be_scheduled_in_utc(desk: Desk, api: Office) -> None:
    made(api, "/v1/agents", AGENT)
    path = "/dashboard/agents/support/edit"
    page = desk.submit(
        desk.get(path), path, button="Save as a new version", name="Help", effective_from="2097-01-01T00:00"
    )
    assert page.id("told").startswith("Saved. Outcomes that open from 1 Jan 2097, 00:00 UTC on are under version 2;")
    assert agent(api)["scheduled"] == [LATER]
    page = desk.submit(
        desk.get(path), path, button="Save as a new version", name="Halp", effective_from="2097-01-01T00:00"
    )
    assert page.status == 409
    assert "there is a version from 2097-01-01" in page.text
    assert value(page, "name") == "Halp"


def test_a_name_that_is_left_empty_is_the_key(desk: Desk, api: Office) -> None:
    made(api, "/v1/agents", AGENT)
    path = "/dashboard/agents/support/edit"
    desk.submit(desk.get(path), path, button="Save as a new version", name="")
    assert agent(api)["name"] == "support"


def test_no_condition_is_lost_by_looking_at_it_and_saving(desk: Desk, api: Office) -> None:
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
    page = desk.submit(desk.get(path), path)
    assert "<script>alert" not in page.source
    page = desk.submit(page, path, button="Save as a new version")
    assert page.id("told") == "Nothing was changed: it was so already."
    assert agent(api)["condition"] == condition


def test_a_form_may_have_a_thousand_checks(desk: Desk, api: Office) -> None:
    condition = [{"fact": f"a{number}", "operator": "count_gte", "value": number} for number in range(1000)]
    made(api, "/v1/agents", {"key": "support", "condition": condition})
    path = "/dashboard/agents/support/edit"
    page = desk.submit(desk.get(path), path, button="Save as a new version", **{"c.999.value": "7"})
    assert page.status == 200, page.text[:500]
    assert agent(api)["condition"][999]["value"] == 7


# -- trying -----------------------------------------------------------------------------------------------------------


def test_a_rule_is_tried_before_it_is_saved(desk: Desk, api: Office) -> None:
    page = desk.submit(desk.get(NEW), NEW, button="Add an example", **{"c.0.fact": "replied", "period": "1"})
    page = desk.submit(page, NEW, button="Add a check", attribution_method="sum")
    page = desk.submit(
        page,
        NEW,
        button="Try it",
        **{
            "c.1.fact": "reopened", "c.1.choice": "not seen",
            "e.0.action": "opened", "e.0.attribution": "1.5",
            "e.1.action": "replied", "e.1.later": "10 min", "e.1.attribution": "2",
            "e.2.action": "reopened", "e.2.later": "2 h", "e.2.value": "5",
        },
    )  # fmt: skip
    assert page.status == 200
    steps = [read(one) for one in page.document.xpath("//ol[@aria-label='Events that were tried']/li")]
    assert len(steps) == 3
    assert steps[0].startswith("1. opened open Opened the outcome. Nothing in the condition changed.")
    assert "Not true: replied was seen" in steps[0]
    assert steps[1].startswith("2. replied 10 minutes after the first pending Now true: replied was seen.")
    assert "True: replied was seen now true" in steps[1]
    assert steps[2].startswith("3. reopened 2 hours 10 minutes after the first late")
    assert "It would be billed, for 3.5: the sum attribution of 2 events." in page.id("trial")
    page = desk.submit(page, NEW, button="Try it", **{"e.2.later": "5 min"})
    assert "It would be missed, and not be billed." in page.id("trial")
    assert "holds no longer since event 3 (reopened; no longer true: reopened was not seen)" in page.id("trial")
    assert "it is missed 1 hour after event 3." in page.id("trial")
    assert api.get("/v1/agents")["data"] == []
    assert changes(api) == []


def test_what_was_tried_stays_beside_every_change(desk: Desk) -> None:
    page = desk.submit(desk.get(NEW), NEW, button="Try it", **{"c.0.fact": "a", "e.0.action": "a"})
    assert "It would be billed" in page.id("trial")
    page = desk.submit(page, NEW, **{"c.0.choice": "not seen"})
    assert "It would be missed" in page.id("trial")


def test_events_are_pasted_as_json_and_values_keep_their_type(desk: Desk) -> None:
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
        page = desk.submit(desk.get(NEW), NEW, button="Try it", pasted="", **fields)
        assert ("It would be billed" in page.id("trial")) is holds, typed
    page = desk.submit(
        desk.get(NEW), NEW, button="Try it", pasted=text, **{"c.0.fact": "rated", "period": "180", "unit": "days"}
    )
    assert "1. rated" in page.id("trial")
    assert "2. signed" in page.id("trial")


def test_what_cannot_be_tried_is_told_by_its_row(desk: Desk) -> None:
    page = desk.submit(desk.get(NEW), NEW, button="Try it")
    assert "Check 1: is empty; write 1 to 255 characters" in page.id("trial")
    page = desk.submit(page, NEW, button="Try it", **{"c.0.fact": "a"})
    assert "write the action of at least one example event" in page.id("trial")
    page = desk.submit(
        page,
        NEW,
        button="Try it",
        pasted='{"action": "a", "action": "b"}\n\n[]\n{"action": "a", "properties": {"settles_at": "soon"}}',
        **{"e.0.action": "a", "e.0.attribution": "lots", "e.1.value": "1", "e.1.later": "soon"},
    )
    said = [read(one) for one in page.document.xpath("//*[@id='trial']//li")]
    assert said == [
        "Example 1, quantity: write a number such as 3 or 2.5",
        "Example 2, later by: write how long, such as 10 s, 5 min, 2 h or 3 d",
        "Line 1: member 'action' appears twice",
        "Line 3: must be a JSON object",
    ]
    page = desk.submit(
        page,
        NEW,
        button="Try it",
        pasted='{"properties": {"settles_at": "soon"}}',
        **{"e.0.attribution": "", "e.1.later": ""},
    )
    said = [read(one) for one in page.document.xpath("//*[@id='trial']//li")]
    assert said == [
        "Example 2, action: must have 1 to 255 characters, it has 0",
        "Line 1, action: is required; properties.settles_at: must look like 2026-01-31T09:30:00.000Z",
    ]
    assert page.status == 200


def test_an_agent_s_own_actions_are_suggested_as_examples(desk: Desk, api: Office) -> None:
    condition = [
        {"fact": "rated", "operator": "gte", "value": 4},
        {"fact": "reopened", "operator": "not seen"},
        {"fact": "plan", "operator": "match", "value": "3"},
    ]
    made(api, "/v1/agents", {"key": "support", "condition": condition})
    path = "/dashboard/agents/support/edit"
    page = desk.submit(desk.get(path), path, button="Try it")
    assert [value(page, f"e.{n}.{name}") for n in (0, 1) for name in ("action", "value")] == [
        "rated",
        "4",
        "plan",
        '"3"',
    ]
    assert "It would be billed" in page.id("trial")


# -- with a script ----------------------------------------------------------------------------------------------------


def test_the_builder_in_a_browser(window: Window, api: Office) -> None:
    """The reading follows while it is typed, buttons change the form alone, and nothing that was typed is lost."""
    page = window.page
    window.open(NEW)
    page.evaluate("window.kept = true")
    page.get_by_label("Key").fill("support")
    page.get_by_label("Action of check 1").fill(HOSTILE)
    page.locator("#reading", has_text=f"{HOSTILE} was seen").wait_for()
    assert page.get_by_label("Value of check 1").is_hidden()
    page.get_by_label("What check 1 asks").select_option("gte")
    page.get_by_label("Value of check 1").fill("4")
    page.locator("#reading", has_text="is at least 4").wait_for()
    assert page.get_by_label("Value of check 1").evaluate("one => one === document.activeElement")
    page.get_by_role("button", name="Add a check").click()
    page.get_by_label("Action of check 2").fill("solved")
    page.get_by_role("button", name="Group ↓ check 1 with the next").click()
    page.locator("#reading", has_text="is at least 4 or solved was seen").wait_for()
    page.get_by_label("Action of example 1").fill("solved")
    page.get_by_role("button", name="Try it").click()
    page.locator("#trial", has_text="It would be billed").wait_for()
    page.get_by_label("Action of example 1").fill("other")
    page.locator("#trial", has_text="It would be missed").wait_for()
    page.get_by_label("Action of example 1").press("Enter")
    assert page.evaluate("window.kept"), "the page was not left"
    page.get_by_role("button", name="Create the agent").click()
    page.locator("#told", has_text="is created: outcomes open from now on").wait_for()
    assert agent(api)["condition"][0]["conditions"][0] == {"fact": HOSTILE, "operator": "gte", "value": 4}


def test_a_phone_has_room_for_the_builder(window: Window, api: Office) -> None:
    stocked(api)
    deep: dict[str, Any] = {"fact": "a" * 100, "operator": "seen"}
    for _ in range(6):
        deep = {"op": "AND", "conditions": [deep, deep["conditions"][0] if "op" in deep else deep]}
    api.ask("PATCH", "/v1/agents/support", {"condition": [deep], "name": "n" * 200})
    window.page.set_viewport_size({"width": 390, "height": 844})
    for path in ("/dashboard/agents", "/dashboard/agents/support", "/dashboard/agents/support/edit", NEW):
        window.open(path)
        assert window.page.evaluate("document.documentElement.scrollWidth") <= 390, path
