"""Reversals in the dashboard: edited, shown with their terms, on the page of an outcome, and as notifications."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.test_audit_reversals import REVERSIBLE
from tests.dashboard.client import Dashboard, names
from tests.dashboard.test_agents import value
from tests.dashboard.test_conditions import TEXTS
from tests.support.deployment import LONG_AGO, Deployment
from tests.support.server import Server
from tests.web.api_server import ApiServer
from tests.web.catalogue import AGENT, CARD, CUSTOMER, RULE, made
from tests.web.recorded_run import recorded_run
from witnd.web.dashboard.forms.agent_terms.reversals import (
    reversal_from_content,
    reversal_from_form,
    reversal_request,
)

WEEK: dict[str, Any] = {"window": 604_800, "on": ["refunded", "note added"]}
PAGE = "/dashboard/agents/support"
EDIT = f"{PAGE}/edit"
OWN = "/dashboard/customers/acme/terms/support"


def reversal(api: ApiServer) -> Any:
    return api.get("/v1/agents/support")["reversal"]


@given(st.integers(1, 15_552_000), st.lists(TEXTS.filter(bool), min_size=1, max_size=4, unique=True))
def test_every_reversal_survives_the_form(window: int, on: list[str]) -> None:
    form = reversal_from_content({"window": window, "on": on})
    sent = {"reversal.window": form.window, "reversal.unit": form.unit, "reversal.on": form.actions}
    # A browser sends the lines of a text area with CR and LF.
    again = reversal_from_form({**sent, "reversal.on": form.actions.replace("\n", "\r\n")})
    assert again == form
    assert reversal_request(again).reversal == {"window": window, "on": on}
    assert reversal_request(again).mistakes == []


def test_saving_another_field_keeps_it(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT | {"reversal": WEEK})
    page = admin.get(EDIT)
    assert (value(page, "reversal.window"), value(page, "reversal.unit")) == ("7", "days")
    admin.submit(page, EDIT, button="save", name="Help")
    assert reversal(api) == WEEK
    admin.submit(admin.get(EDIT), EDIT, button="save")
    assert api.get("/v1/agents/support")["version"] == 2, "the same form changes nothing"


def test_it_is_added_changed_and_removed(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT)
    given = {"reversal.window": "36", "reversal.unit": "hours", "reversal.on": "refunded\n\n note added \n"}
    admin.submit(admin.get(EDIT), EDIT, button="save", **given)
    assert reversal(api) == {"window": 129_600, "on": ["refunded", "note added"]}
    page = admin.get(PAGE)
    assert names(page.find("//*[@data-fact='reversal']")) == ["refunded", "note added"]
    admin.submit(admin.get(EDIT), EDIT, button="save", **{"reversal.window": "", "reversal.on": ""})
    assert reversal(api) is None
    page = admin.get(PAGE)
    assert not page.document.xpath("//*[@data-fact='reversal']")
    assert api.get("/v1/agents/support")["version"] == 3


@pytest.mark.parametrize(
    ("window", "on", "invalid"),
    [
        ("", "refunded", ["reversal.window"]),
        ("7", "", ["reversal.on"]),
        ("181", "refunded", ["reversal.window"]),
        ("soon", "refunded\nrefunded", ["reversal.window", "reversal.on"]),
        ("7", '"open', ["reversal.on"]),
    ],
)
def test_mistakes_are_shown_at_their_fields_with_everything_kept(
    admin: Dashboard, api: ApiServer, window: str, on: str, invalid: list[str]
) -> None:
    made(api, "/v1/agents", AGENT)
    given = {"reversal.window": window, "reversal.unit": "days", "reversal.on": on}
    page = admin.submit(admin.get(EDIT), EDIT, button="save", **given)
    assert page.status == 400
    assert page.invalid == invalid
    assert value(page, "reversal.window") == window
    assert (page.find("//textarea[@name='reversal.on']").text or "").strip() == on
    assert api.get("/v1/agents/support")["version"] == 1


def test_own_terms_replace_or_remove_it(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT | {"reversal": WEEK})
    made(api, "/v1/rate-cards", CARD)
    made(api, "/v1/customers", CUSTOMER)
    page = admin.get(OWN)
    given = {"reversal.window": "1", "reversal.unit": "days", "reversal.on": "refunded"}
    admin.submit(page, OWN, button="save", own=["reversal"], **given)
    assert api.get("/v1/customers/acme")["agents"] == [
        {"agent": "support", "reversal": {"window": 86_400, "on": ["refunded"]}}
    ]
    assert names(admin.get("/dashboard/customers/acme").find("//*[@data-field='reversal']")) == ["refunded"]
    page = admin.get(OWN)
    admin.submit(page, OWN, button="save", own=["reversal"], **{"reversal.window": "", "reversal.on": ""})
    assert api.get("/v1/customers/acme")["agents"] == [{"agent": "support", "reversal": {}}]
    assert "none" in admin.get("/dashboard/customers/acme").find("//*[@data-field='reversal']").text


def test_a_test_with_events_shows_the_reversal(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/agents", AGENT | {"reversal": WEEK})
    given = {"e.0.action": "replied", "e.1.action": "refunded", "e.1.later": "2 h"}
    page = admin.submit(admin.get(EDIT), EDIT, button="example:")
    page = admin.submit(page, EDIT, button="try", **given)
    assert {"confirmed", "reversed"} <= set(page.cases)
    assert page.states("tried")[1] == ["reversed"]


def test_a_notification_reports_reversed_outcomes(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/notification-rules", RULE | {"source": "outcome_reversed"})
    assert "reversed" in admin.get("/dashboard/notifications/crm").fact("source")
    form = admin.get("/dashboard/notifications/new")
    assert "outcome_reversed" in form.document.xpath("//select[@name='source']/option/@value")


# -- an outcome -------------------------------------------------------------------------------------------------------


def life(deployment: Deployment) -> None:
    deployment.event("ticket-0001", "replied")
    deployment.event("ticket-0002", "replied", 1)
    deployment.event("ticket-0001", "refunded", 100_000)


@pytest.fixture
def lived(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
    with recorded_run(session_server, tmp_path, life, catalogue=REVERSIBLE) as opened:
        yield opened


def test_the_page_of_an_outcome_shows_what_reversed_it_and_what_that_did(lived: ApiServer) -> None:
    reader = Dashboard(lived, "read")
    page = reader.get("/dashboard/outcomes/ticket-0001")
    assert "refunded" in names(page.find("//*[@data-fact='reversal']"))
    assert "1.00 EUR" in page.fact("reversal-bill")
    assert names(page.find("//*[@data-fact='reversal-terms']")) == ["refunded", "withdrawn"]
    cases = [case for found in page.item_cases("story") for case in found]
    assert cases.index("line") < cases.index("reversed") < cases.index("delivery")
    entry = f"{LONG_AGO + 100_000}-0"
    [event] = page.document.xpath(f"//*[@id='e-{entry}']")
    assert "reversed" in event.text_content()
    assert f"/dashboard/events/0/{entry}?key=ticket-0001" in page.hrefs
    other = reader.get("/dashboard/outcomes/ticket-0002")
    assert not other.document.xpath("//*[@data-fact='reversal'] | //*[@data-case='reversed']")


def test_the_event_is_listed_with_its_fate(lived: ApiServer) -> None:
    reader = Dashboard(lived, "read")
    page = reader.get("/dashboard/events?fate=reversed")
    entry = f"{LONG_AGO + 100_000}-0"
    assert any(entry in href for href in page.hrefs)
    page = reader.get(f"/dashboard/events/0/{entry}?key=ticket-0001")
    assert "reversed" in page.text
    deliveries = reader.get("/dashboard/deliveries?rule=credits")
    assert "reversed" in deliveries.text
