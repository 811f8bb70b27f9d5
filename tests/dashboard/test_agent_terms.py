"""Grades and timers in the dashboard: shown, edited, and never lost by saving something else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dashboard.browser import Tab
from tests.dashboard.client import Dashboard, Page, figures, names, words
from tests.dashboard.test_accessibility import NARROW, WIDE, wrong_with
from tests.dashboard.test_agents import value
from tests.dashboard.test_conditions import NODES, TEXTS, fields
from tests.web.api_server import ApiServer
from tests.web.catalogue import AGENT, CARD, CUSTOMER, made
from witnd.domain.catalogue.contract import read_agent
from witnd.web.dashboard.forms.terms import Terms, terms_from_content, terms_from_form, terms_request

SOLVED: dict[str, Any] = {"key": "solved", "name": "Solved", "condition": [{"fact": "solved", "operator": "seen"}]}
TRIED: dict[str, Any] = {"key": "tried", "condition": [{"fact": "replied", "operator": "seen"}]}
TIMERS = {"note added": "keep", "replied": 60}
GRADED: dict[str, Any] = {"key": "support", "grades": [SOLVED, TRIED], "timers": TIMERS}
AGENT_PAGE = "/dashboard/agents/support"
EDIT = f"{AGENT_PAGE}/edit"
OWN = "/dashboard/customers/acme/terms/support"
PRICES = [
    {"agent": "support", "kind": "flat", "price_per_unit": "1"},
    {"agent": "support", "grade": "solved", "kind": "flat", "price_per_unit": "2"},
]


def agent(api: ApiServer) -> Any:
    return api.get("/v1/agents/support")


def terms_of(content: dict[str, Any]) -> dict[str, Any]:
    return {name: content[name] for name in ("grades", "timers")}


# -- the form ---------------------------------------------------------------------------------------------------------


def sent(terms: Terms) -> dict[str, str]:
    """The fields of terms as a browser sends them."""
    found = {"name": terms.name, "period": terms.period, "unit": terms.unit} | fields(terms.rule)
    for number, grade in enumerate(terms.grades):
        inner = fields(grade.rule) | {"key": grade.key, "name": grade.name}
        inner |= {"spelled": "yes"} if grade.spelled else {}
        found |= {f"g{number}.{name}": text for name, text in inner.items()}
    for number, row in enumerate(terms.timers):
        inner = {"action": row.action, "effect": row.effect, "period": row.period, "unit": row.unit}
        inner |= {"spelled": "yes"} if row.spelled else {}
        found |= {f"t{number}.{name}": text for name, text in inner.items()}
    assert not any(character < " " for text in found.values() for character in text)
    return found


@given(
    st.lists(
        st.fixed_dictionaries({"key": TEXTS, "condition": st.lists(NODES, max_size=3)}, optional={"name": TEXTS}),
        min_size=1, max_size=4, unique_by=lambda grade: grade["key"],
    ),
    st.dictionaries(TEXTS, st.just("keep") | st.integers(1, 15_552_000), max_size=4),
)  # fmt: skip
def test_all_grades_and_timers_survive_the_form(grades: list[dict[str, Any]], timers: dict[str, Any]) -> None:
    content, wrong = read_agent("support", {"grades": grades, "timers": timers}, "")
    assert wrong == []
    terms = terms_from_content("support", content)
    again = terms_from_form(sent(terms))
    assert (again.grades, again.timers) == (terms.grades, terms.timers)
    request = terms_request(again)
    assert request.mistakes == []
    raw = {name: given for name, given in request.raw.items() if name != "effective_from"}
    assert read_agent("support", raw, "") == (content, [])


# -- an agent ---------------------------------------------------------------------------------------------------------


def test_the_page_of_an_agent_shows_grades_and_timers(reader: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", GRADED)
    page = reader.get(AGENT_PAGE)
    grades = page.document.xpath("//*[@data-list='grades']/li")
    assert [one.xpath("string(./strong)") for one in grades] == ["Solved", "tried"]
    assert [names(one) for one in grades] == [["solved"], ["replied"]]
    assert names(page.find("//*[@data-fact='timers']")) == ["note added", "replied"]
    plain = made(api, "/v1/agents", AGENT | {"key": "plain"})
    assert plain["grades"] is None
    page = reader.get("/dashboard/agents/plain")
    assert not page.document.xpath("//*[@data-list='grades'] | //*[@data-fact='timers']")


def test_saving_another_field_keeps_grades_and_timers(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", GRADED)
    before = agent(api)
    page = admin.submit(admin.get(EDIT), EDIT, button="save", name="Help")
    assert page.path == AGENT_PAGE
    assert agent(api)["name"] == "Help"
    assert terms_of(agent(api)) == terms_of(before) == {"grades": [SOLVED, TRIED], "timers": TIMERS}
    page = admin.submit(admin.get(EDIT), EDIT, button="save")
    assert agent(api)["version"] == 2, "the same form changes nothing"


def test_a_new_agent_gets_grades_and_timers(admin: Dashboard, api: ApiServer) -> None:
    new = "/dashboard/agents/new"
    page = admin.submit(admin.get(new), new, button="to-grades:", **{"c.0.fact": "solved"})
    assert value(page, "g0.c.0.fact") == "solved"
    page = admin.submit(page, new, button="grade:", **{"g0.key": "solved", "g0.name": "Solved"})
    page = admin.submit(page, new, button="g1/check:", **{"g1.key": "tried", "g1.c.0.fact": "replied"})
    page = admin.submit(page, new, button="g1/remove:1")
    page = admin.submit(page, new, button="timer:")
    page = admin.submit(page, new, button="timer:", **{"t0.action": "replied", "t0.period": "1", "t0.unit": "minutes"})
    given = {"key": "support", "t1.action": "note added", "t1.effect": "keep"}
    page = admin.submit(page, new, button="save", **given)
    assert page.path == AGENT_PAGE
    assert terms_of(agent(api)) == {"grades": [SOLVED, TRIED], "timers": TIMERS}


def test_grades_are_moved_and_removed_until_one_condition_is_left(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", GRADED)
    page = admin.submit(admin.get(EDIT), EDIT, button="grade-down:0")
    assert [value(page, f"g{number}.key") for number in (0, 1)] == ["tried", "solved"]
    admin.submit(page, EDIT, button="save")
    assert agent(api)["grades"] == [TRIED, SOLVED]
    page = admin.submit(admin.get(EDIT), EDIT, button="grade-up:1")
    page = admin.submit(page, EDIT, button="grade-remove:1")
    page = admin.submit(page, EDIT, button="to-condition:")
    page = admin.submit(page, EDIT, button="timer-remove:0")
    assert value(page, "c.0.fact") == "solved"
    admin.submit(page, EDIT, button="save")
    assert terms_of(agent(api)) == {"grades": None, "timers": {"replied": 60}}
    assert agent(api)["condition"] == SOLVED["condition"]


@pytest.mark.parametrize(
    "button", ["g9/check:", "gx/check:", "grade-up:0", "grade-remove:9", "timer-remove:x", "/", "grade-x:0"]
)
def test_buttons_for_places_that_are_not_there_change_nothing(admin: Dashboard, api: ApiServer, button: str) -> None:
    made(api, "/v1/agents", GRADED)
    page = admin.send(EDIT, {**sent_by(admin.get(EDIT)), "do": button})
    assert page.status == 200
    assert [value(page, f"g{number}.key") for number in (0, 1)] == ["solved", "tried"]


def sent_by(page: Page) -> dict[str, str]:
    """The fields of the form for an agent."""
    form = next(one for one in page.document.forms if one.action == EDIT)
    return {name: text for name, text in form.form_values() if name != "do"}


def test_mistakes_are_shown_at_their_fields_with_everything_kept(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", GRADED)
    wrong = {"g1.key": "solved", "g0.c.0.fact": "", "t0.action": "replied", "t1.period": "0"}
    page = admin.submit(admin.get(EDIT), EDIT, button="save", **wrong)
    assert page.status == 400
    assert set(page.invalid) == {"g1.key", "g0.c.0.fact", "t1.action", "t1.period"}
    labels = page.document.xpath("//*[@role='alert']//li/code")
    assert sorted(figures(one) for one in labels) == [["1", "1"], ["2"], ["2"], ["2"]]
    assert value(page, "t1.period") == "0"
    again = {"g1.key": "tried", "g0.c.0.fact": "solved", "t1.period": "1"}
    page = admin.submit(page, EDIT, button="save", **again)
    assert page.status == 400
    assert page.invalid == ["t1.action"]
    assert agent(api)["version"] == 1


def test_a_test_with_events_has_a_grade(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", GRADED)
    page = admin.submit(admin.get(EDIT), EDIT, button="try", **{"e.0.action": "replied", "e.1.action": ""})
    assert "confirmed" in page.cases
    assert page.fact("grade") == "tried"


def test_versions_are_compared_in_grades_and_timers(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", GRADED)
    api.ask("PATCH", "/v1/agents/support", {"grades": [TRIED], "timers": None})
    page = admin.get(f"{AGENT_PAGE}?from=1&to=2")
    changed = [row for row in page.items("comparison") if row.xpath(".//*[@data-state='changed']")]
    assert [row.xpath("string(./th/text())").strip() for row in changed] == ["Billed when", "Grades", "Timers"]


# -- a customer -------------------------------------------------------------------------------------------------------


def customer_terms(api: ApiServer) -> Any:
    return api.get("/v1/customers/acme")["agents"]


def test_own_grades_and_timers_are_set_and_shown(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", GRADED)
    made(api, "/v1/rate-cards", CARD)
    made(api, "/v1/customers", CUSTOMER)
    page = admin.get(OWN)
    assert value(page, "g0.key") == "solved"
    page = admin.submit(page, OWN, button="grade-remove:1", own=["condition", "timers"])
    page = admin.submit(page, OWN, button="timer-remove:0")
    admin.submit(page, OWN, button="save", **{"g0.key": "own"})
    assert customer_terms(api) == [
        {"agent": "support", "grades": [SOLVED | {"key": "own"}], "timers": {"replied": 60}}
    ]  # fmt: skip
    page = admin.get(OWN)
    assert set(page.document.xpath("//input[@name='own'][@checked]/@value")) == {"condition", "timers"}
    admin.submit(page, OWN, button="save", own=["condition", "timers", "name"], name="Ours")
    assert customer_terms(api)[0]["grades"][0]["key"] == "own"
    shown = admin.get("/dashboard/customers/acme")
    assert names(shown.find("//*[@data-field='grades']")) == ["solved"]
    assert names(shown.find("//*[@data-field='timers']")) == ["replied"]


def test_own_terms_can_remove_grades_and_timers(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", GRADED)
    made(api, "/v1/rate-cards", CARD)
    made(api, "/v1/customers", CUSTOMER)
    page = admin.submit(admin.get(OWN), OWN, button="grade-remove:1", own=["condition", "timers"])
    page = admin.submit(page, OWN, button="to-condition:")
    page = admin.submit(page, OWN, button="timer-remove:0")
    page = admin.submit(page, OWN, button="timer-remove:0")
    admin.submit(page, OWN, button="save")
    assert customer_terms(api) == [{"agent": "support", "condition": SOLVED["condition"], "timers": {}}]
    assert words(admin.get("/dashboard/customers/acme").find("//*[@data-field='timers']")).endswith("none")


# -- prices -----------------------------------------------------------------------------------------------------------


def test_a_price_is_for_a_grade_that_is_chosen(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", GRADED)
    made(api, "/v1/rate-cards", CARD)
    edit = "/dashboard/rate-cards/standard/edit"
    page = admin.submit(admin.get(edit), edit, button="add-entry", **{"entries[0].price_per_unit": "1"})
    assert list(page.find("//select[@name='entries[0].grade']").value_options) == ["", "solved", "tried"]
    page = admin.submit(page, edit, button="show", **{"entries[1].agent": "support"})
    given = {"entries[1].grade": "solved", "entries[1].price_per_unit": "2"}
    page = admin.submit(page, edit, button="save", **given)
    assert api.get("/v1/rate-cards/standard")["entries"] == PRICES
    page = admin.get("/dashboard/rate-cards/standard")
    assert [one.xpath("string(./th)").split() for one in page.items("prices")] == [["support"], ["support", "solved"]]
    page = admin.get("/dashboard/rate-cards/standard?agent=support&grade=solved&outcomes=10&units=")
    assert figures(page.find("//*[@id='preview-total']")) == ["20.00"]
    assert admin.submit(admin.get(edit), edit, button="save").path == "/dashboard/rate-cards/standard"
    assert api.get("/v1/rate-cards/standard")["version"] == 2, "the same form changes nothing"


def test_a_price_for_an_unknown_grade_is_refused_at_its_field(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", GRADED)
    made(api, "/v1/rate-cards", CARD | {"entries": PRICES})
    api.ask("PATCH", "/v1/agents/support", {"grades": [TRIED]})
    page = admin.get("/dashboard/rate-cards/standard")
    assert len(page.document.xpath("//*[@data-case='warning']")) == 1
    edit = "/dashboard/rate-cards/standard/edit"
    page = admin.get(edit)
    assert page.find("//select[@name='entries[1].grade']").value == "solved", "what was left behind stays"
    page = admin.submit(page, edit, button="save", **{"entries[1].price_per_unit": "3"})
    assert page.status == 400
    assert page.invalid == ["entries[1].grade"]


def test_own_prices_begin_with_all_grades_of_the_card(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", GRADED)
    made(api, "/v1/rate-cards", CARD | {"entries": PRICES})
    made(api, "/v1/customers", CUSTOMER)
    path = "/dashboard/customers/acme/prices"
    page = admin.get(f"{path}?part=yes&agent=support")
    page = admin.submit(page, path, button="save", **{"entries[1].price_per_unit": "3"})
    entries = api.get("/v1/customers/acme")["entries"]
    assert [(one.get("grade"), one["price_per_unit"]) for one in entries] == [(None, "1"), ("solved", "3")]
    shown = admin.get("/dashboard/customers/acme").items("prices")
    assert [one.xpath("string(./th)").split() for one in shown] == [["support"], ["support", "solved"]]


# -- in a browser -----------------------------------------------------------------------------------------------------


def test_grades_and_timers_are_put_together_in_a_browser(tab: Tab, api: ApiServer) -> None:
    made(api, "/v1/agents", GRADED)
    tab.open(EDIT)
    tab.press("g1/check:")
    tab.field("g1.c.1.fact").fill("rated")
    tab.page.locator("#reading code", has_text="rated").wait_for()
    tab.press("grade-up:1")
    tab.page.locator("#grade-0 legend", has_text="tried").wait_for()
    tab.press("timer:")
    tab.field("t2.action").fill("escalated")
    tab.field("t2.effect").select_option("keep")
    tab.press("save")
    tab.page.wait_for_url(f"**{AGENT_PAGE}")
    assert [grade["key"] for grade in agent(api)["grades"]] == ["tried", "solved"]
    assert agent(api)["timers"] == {**TIMERS, "escalated": "keep"}


@pytest.mark.parametrize("path", [AGENT_PAGE, EDIT, OWN])
def test_pages_with_grades_can_be_used_by_everybody(tab: Tab, api: ApiServer, path: str) -> None:
    made(api, "/v1/agents", GRADED)
    made(api, "/v1/rate-cards", CARD | {"entries": PRICES})
    own = {"agent": "support", "grades": [SOLVED, TRIED], "timers": TIMERS}
    made(api, "/v1/customers", CUSTOMER | {"agents": [own]})
    tab.open(path)
    assert wrong_with(tab, [("light", WIDE), ("light", NARROW), ("dark", WIDE)]) == {}
