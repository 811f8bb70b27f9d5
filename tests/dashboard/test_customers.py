"""Customers at the dashboard: the list, one of them, its form, and what is its own."""

import json
import shlex
from typing import Any
from urllib.parse import quote

import pytest

from tests.dashboard.desk import Desk, Page
from tests.dashboard.window import Window
from tests.support.server import Server
from tests.web.catalogue import CARD, changes, made, stocked
from tests.web.lived import lived
from tests.web.office import Office
from tests.web.papers import AHEAD, ROWS, put
from witnd.store.keys import BillingKeys

HOSTILE = "wei/rd ?#% \"é'<script>alert(1)</script>"
NEW = "/dashboard/customers/new"


def of(key: str, *more: str) -> str:
    return "/".join(["/dashboard/customers", quote(key, safe=""), *more])


def value(page: Page, name: str) -> str:
    field = page.find(f"//*[@name='{name}' and @id]")
    return str(field.value if field.tag == "select" else field.get("value"))


def told(page: Page) -> str:
    return page.id("told")


# -- the list ---------------------------------------------------------------------------------------------------------


def test_without_customers_the_list_says_what_they_are_and_how_to_make_one(desk: Desk, reader: Desk) -> None:
    page = desk.get("/dashboard/customers")
    assert "A customer is whoever you bill" in page.text
    assert page.links()["Create the first customer"] == NEW
    assert "/v1/customers" in page.find("//pre").text_content()
    assert NEW not in reader.get("/dashboard/customers").links().values()


def test_customers_are_listed_with_their_card_and_what_is_their_own(desk: Desk, api: Office) -> None:
    stocked(api)
    made(api, "/v1/customers", {"key": "poor"})
    own = {"entries": [{"agent": "support", "price_per_unit": "0.8"}], "agents": [{"agent": "support", "name": "x"}]}
    assert api.ask("PATCH", "/v1/customers/acme", own).status == 200
    acme, poor = desk.get("/dashboard/customers").table("Customers")
    assert acme[:4] == ["acme", "Acme", "standard", "1 own price, own terms for 1 agent"]
    assert poor[:4] == ["poor", "poor", "none: its events wait", "–"]


def test_the_list_is_searched_and_archived_ones_are_shown_on_request(desk: Desk, api: Office) -> None:
    stocked(api)
    made(api, "/v1/customers", {"key": "other", "name": "Somebody Else"})
    assert api.ask("DELETE", "/v1/customers/other").status == 200
    page = desk.get("/dashboard/customers")
    assert [row[0] for row in page.table("Customers")] == ["acme"]
    page = desk.submit(page, search="some", archived="yes")
    assert [row[0] for row in page.table("Customers")] == ["other archived"]
    assert value(page, "search") == "some"
    page = desk.submit(page, search="nobody")
    assert "No customer is like that" in page.text
    assert value(page, "search") == "nobody"
    assert [row[0] for row in desk.get("/dashboard/customers?rate_card=standard").table("Customers")] == ["acme"]


def test_the_list_has_pages_that_keep_the_search(desk: Desk, api: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("witnd.web.dashboard.pages.catalogue.customers.LIMIT", 2)
    for number in range(5):
        made(api, "/v1/customers", {"key": f"c{number}"})
    page, seen = desk.get("/dashboard/customers?search=c"), []
    while True:
        seen += [row[0] for row in page.table("Customers")]
        if "Next page" not in page.links():
            break
        page = desk.get(page.links()["Next page"])
        assert value(page, "search") == "c"
    assert seen == ["c0", "c1", "c2", "c3", "c4"]
    assert page.links()["First page"] == "/dashboard/customers?search=c"


def test_a_search_that_looked_at_enough_leads_on(desk: Desk, api: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("witnd.app.catalogue.read.LOOKED_AT_MAX", 2)
    for number in range(5):
        made(api, "/v1/customers", {"key": f"c{number}"})
    page = desk.get("/dashboard/customers?search=c4")
    while "look further" in page.links():
        assert page.table("Customers") == []
        page = desk.get(page.links()["look further"])
    assert [row[0] for row in page.table("Customers")] == ["c4"]


# -- the form ---------------------------------------------------------------------------------------------------------


def test_a_customer_is_created_from_the_key_that_waits(desk: Desk, api: Office) -> None:
    made(api, "/v1/rate-cards", CARD | {"entries": []})
    page = desk.get(f"{NEW}?key=acme")
    assert value(page, "key") == "acme"
    page = desk.submit(page, name="Acme", email="pay@acme.example", rate_card="standard")
    assert (page.status, page.path) == (200, of("acme"))
    assert told(page) == "Customer acme is created."
    found = api.get("/v1/customers/acme")
    assert (found["name"], found["email"], found["rate_card"]) == ("Acme", "pay@acme.example", "standard")
    [_, noted] = changes(api)
    assert (noted["who"], noted["what"], noted["key"]) == ("token admin", "customer.create", "acme")


def test_what_is_left_empty_has_its_default(desk: Desk, api: Office) -> None:
    page = desk.submit(desk.get(NEW), key=" acme ")
    assert page.path == of(" acme "), "spaces may stand in a key that events have"
    found = api.get("/v1/customers/%20acme%20")
    assert (found["name"], found["email"], found["rate_card"]) == (" acme ", None, None)
    assert "It has no rate card" in page.text


def test_mistakes_stand_at_their_fields_and_everything_typed_is_kept(desk: Desk, api: Office) -> None:
    stocked(api)
    typed = {"key": "acme 2", "name": HOSTILE, "email": "nobody", "effective_from": "soon"}
    page = desk.submit(desk.get(NEW), rate_card="standard", **typed)
    assert page.status == 400
    assert {name: value(page, name) for name in typed} == typed
    assert value(page, "rate_card") == "standard"
    assert "write an address such as" in page.id("f-email-problem")
    assert "must look like" in page.id("f-effective_from-problem")
    alert = page.find("//*[@role='alert']").text_content()
    assert "email" in alert
    assert "effective_from" in alert
    assert api.ask("GET", "/v1/customers/acme%202").status == 404


def test_a_key_is_taken_once(desk: Desk, api: Office) -> None:
    stocked(api)
    page = desk.submit(desk.get(NEW), key="acme", name="Again")
    assert page.status == 409
    assert "there is a customer" in page.text
    assert value(page, "name") == "Again"
    assert api.get("/v1/customers/acme")["name"] == "Acme"


def test_a_card_that_is_gone_or_never_was_is_told_at_its_field(desk: Desk, api: Office) -> None:
    stocked(api)
    page = desk.submit(desk.get(of("acme", "edit")), rate_card="standart")
    assert page.status == 400
    assert value(page, "rate_card") == "standart"
    assert "did you mean" in page.id("f-rate_card-problem")


def test_a_customer_is_changed_and_an_unchanged_one_makes_no_version(desk: Desk, api: Office) -> None:
    stocked(api)
    page = desk.get(of("acme", "edit"))
    assert (value(page, "name"), value(page, "email")) == ("Acme", "billing@acme.example")
    assert told(desk.submit(page)) == "Nothing was changed: it was so already."
    page = desk.submit(page, name="Acme & Co", rate_card="")
    assert told(page) == "Saved."
    assert page.find("//h1").text_content() == "Acme & Co"
    found = api.get("/v1/customers/acme")
    assert (found["version"], found["rate_card"], found["email"]) == (2, None, "billing@acme.example")
    assert changes(api)[-1]["what"] == "customer.update"


def test_what_somebody_else_saved_meanwhile_is_not_overwritten_unseen(desk: Desk, api: Office) -> None:
    stocked(api)
    page = desk.get(of("acme", "edit"))
    assert api.ask("PATCH", "/v1/customers/acme", {"email": "new@acme.example"}).status == 200
    page = desk.submit(page, name="Acme & Co")
    assert (page.status, value(page, "name")) == (409, "Acme & Co")
    assert "another version was saved since this form was opened" in page.text
    assert api.get("/v1/customers/acme")["email"] == "new@acme.example"
    assert told(desk.submit(page)) == "Saved."
    assert api.get("/v1/customers/acme")["email"] == "billing@acme.example"


def test_own_prices_need_a_card_to_stay(desk: Desk, api: Office) -> None:
    stocked(api)
    api.ask("PATCH", "/v1/customers/acme", {"entries": [{"agent": "support", "price_per_unit": "0.8"}]})
    page = desk.submit(desk.get(of("acme", "edit")), rate_card="")
    assert page.status == 400
    assert "own entries" in page.id("f-rate_card-problem")


def test_a_card_in_another_currency_is_refused_while_the_customer_has_prices_of_its_own(
    desk: Desk, api: Office
) -> None:
    stocked(api)
    made(api, "/v1/rate-cards", CARD | {"key": "dollar", "currency": "USD"})
    api.ask("PATCH", "/v1/customers/acme", {"entries": [{"agent": "support", "price_per_unit": "0.0049"}]})
    page = desk.submit(desk.get(of("acme", "edit")), rate_card="dollar")
    assert page.status == 400
    assert "write these prices in USD" in page.text
    shown = desk.get(of("acme")).text
    assert "An outcome of 1 unit costs 0.0049 EUR" in shown.replace('Agent "support": an', "An")


def test_a_change_may_take_effect_later(desk: Desk, api: Office) -> None:
    stocked(api)
    page = desk.submit(desk.get(of("acme", "edit")), name="New Acme", effective_from="2096-01-31T09:30")
    assert told(page) == "Saved, from 31 Jan 2096, 09:30 UTC on."
    assert page.find("//h1").text_content() == "Acme"
    assert "Another version takes effect on" in page.text
    assert [row[0] for row in page.table("Versions")] == ["2", "1"]
    assert "It stays as it is" in desk.get(of("acme", "edit")).text
    page = desk.submit(desk.get(NEW), key="later", effective_from="2096-01-31T09:30:15")
    assert "scheduled" in page.find("//*[@class='head']").text_content()


@pytest.mark.parametrize("key", [HOSTILE, "new", ".", "..", "~new", "../x", "terms", "a&b=c"])
def test_any_key_has_a_page_on_which_it_is_text(desk: Desk, api: Office, key: str) -> None:
    page = desk.submit(desk.get(f"{NEW}?key={quote(key)}"), name=HOSTILE)
    assert page.status == 200, page.text
    assert page.find("//h1").text_content() == HOSTILE
    assert page.find("//*[@id='about']//code").text_content() == key
    assert not page.document.xpath("//script[not(@src)]")
    again = desk.get(desk.get("/dashboard/customers").links()[" ".join(key.split())])
    assert again.find("//*[@id='about']//code").text_content() == key
    page = desk.submit(desk.get(again.links()["Edit"]), name="Plain")
    assert page.find("//h1").text_content() == "Plain"
    compared = desk.submit(page, page.path, **{"from": "1", "to": "2"})
    assert compared.table("Version 1 beside version 2")[0][0] == "Name:"
    assert api.get(f"/v1/customers/{quote(key, safe='')}")["name"] == "Plain"


@pytest.mark.slow
def test_among_many_cards_and_agents_names_are_typed(desk: Desk, api: Office) -> None:
    stocked(api)
    for number in range(200):
        made(api, "/v1/rate-cards", {"key": f"card-{number}", "currency": "EUR", "entries": []})
        made(api, "/v1/agents", {"key": f"agent-{number}", "condition": []})
    page = desk.submit(desk.get("/dashboard/customers"), rate_card="standard")
    assert [row[0] for row in page.table("Customers")] == ["acme"]
    page = desk.submit(desk.get(of("acme", "edit")), rate_card="gone")
    assert (page.status, value(page, "rate_card")) == (400, "gone")
    for path in (of("acme"), "/dashboard/outcomes", "/dashboard/notifications/new"):
        assert desk.get(path).find("//input[@name='agent']").get("type") == "text"


def test_what_is_many_is_told_in_part(desk: Desk, api: Office) -> None:
    stocked(api)
    agents = [f"agent-{number:03}" for number in range(60)]
    for agent in agents:
        made(api, "/v1/agents", {"key": agent, "condition": []})
    own = [{"agent": agent, "name": "x" if number % 2 else "y"} for number, agent in enumerate(agents)]
    assert api.ask("PATCH", "/v1/customers/acme", {"agents": own}).status == 200
    page = desk.get(of("acme"))
    assert len(page.table("Own terms")) == 50
    assert "And 10 agents more." in page.id("terms")
    assert "agent-059" in page.find("//select[@name='agent']").value_options
    assert "and 50 more: compare the versions" in page.table("Versions")[0][3]
    assert len(desk.get(of("acme") + "?from=1&to=2").table("Version 1 beside version 2")) == 60


# -- one customer -----------------------------------------------------------------------------------------------------


def test_prices_stand_in_words_and_own_ones_first(desk: Desk, reader: Desk, api: Office) -> None:
    stocked(api)
    made(api, "/v1/agents", {"key": "calls", "condition": [{"fact": "called", "operator": "seen"}]})
    tiers = [{"up_to": "100", "price_per_unit": "1"}, {"price_per_unit": "0.5"}]
    entries = [*CARD["entries"], {"agent": "calls", "kind": "graduated", "tiers": tiers, "free_quota": "10"}]
    assert api.ask("PATCH", "/v1/rate-cards/standard", {"entries": entries}).status == 200
    assert desk.get(of("acme")).table("Prices") == [
        [
            "calls",
            "Each unit at the price of its tier: first 100 at 1.00, above at 0.50The first 10 of the period are free",
            "standard",
        ],
        ["support", "0.995 per unit", "standard"],
    ]
    api.ask("PATCH", "/v1/customers/acme", {"entries": [{"agent": "support", "price_per_unit": "0.8"}]})
    page = desk.get(of("acme"))
    assert page.table("Prices")[0] == ["support", "0.80 per unit", "own price"]
    assert page.links()["Edit own prices"] == of("acme", "prices")
    assert of("acme", "prices") not in reader.get(of("acme")).links().values()


def test_own_terms_stand_in_words_and_others_can_be_agreed(desk: Desk, api: Office) -> None:
    stocked(api)
    made(api, "/v1/agents", {"key": "calls", "condition": [{"fact": "called", "operator": "seen"}]})
    terms = {
        "agent": "support",
        "settlement_period": 604800,
        "attribution_method": "max",
        "condition": [{"fact": "csat", "operator": "gte", "value": 4}],
    }
    api.ask("PATCH", "/v1/customers/acme", {"agents": [terms]})
    page = desk.get(of("acme"))
    [[agent, otherwise]] = page.table("Own terms")
    assert agent == "support"
    for said in ("Settles after 7 days", "the largest one counts", "Billed when", "csat", "at least 4"):
        assert said in otherwise
    assert page.links()["Change the terms for support"] == of("acme", "terms", "support")
    assert page.document.xpath("//select[@name='agent']/option/@value") == ["calls"]
    assert desk.get(of("acme", "terms")).status == 400
    answer = api.ask(
        "GET",
        of("acme", "terms?agent=a%2Fb"),
        scope=None,
        headers={"Cookie": "; ".join(f"{name}={text}" for name, text in desk.cookies.items())},
    )
    assert (answer.status, answer.headers["location"]) == (303, of("acme", "terms", "a%2Fb"))


def test_outcomes_and_invoices_of_the_customer_stand_there(
    session_server: Server, redis_url: str, tmp_path: Any
) -> None:
    def events(workshop: Any) -> None:
        for number in range(12):
            workshop.event(f"ticket-{number:02}", "replied", after=number)

    with lived(session_server, tmp_path, events) as api:
        put(api, "acme", at=AHEAD.start)
        page = Desk(api).get(of("acme"))
        outcomes = page.table("Outcomes")
        assert [row[0] for row in outcomes] == [f"ticket-{n:02}" for n in range(11, 1, -1)]
        assert outcomes[0][1:3] == ["confirmed", "support"]
        assert outcomes[0][5] == "1.00 EUR"
        invoices = page.table("Invoices")
        assert invoices[0][1] == "draft"
        assert invoices[0][2:] == ["1 – 31 October 2096 (UTC)", str(len(ROWS)), "10.00 EUR"]
        links = page.document.xpath("//a[text()='See all']/@href")
        assert links[0] == "/dashboard/outcomes?customer=acme"
        assert links[1].startswith("/dashboard/invoices?customer")


def test_credit_is_shown_by_currency(desk: Desk, api: Office) -> None:
    stocked(api)
    assert "No credit" in desk.get(of("acme")).id("credit")
    keys = BillingKeys("witn")
    api.workshop.call("HSET", keys.balance, "EUR:acme", "12.5", "EUR:other", "7")
    assert "12.50 EUR" in desk.get(of("acme")).id("credit")
    assert "7" not in desk.get(of("acme")).id("credit")


def test_the_example_sends_an_event_of_this_customer(desk: Desk, api: Office) -> None:
    stocked(api)
    made(api, "/v1/customers", {"key": "o'brien <x>", "rate_card": "standard"})
    curl, xadd = [pre.text_content() for pre in desk.get(of("o'brien <x>")).document.xpath("//*[@id='send']//pre")]
    words = shlex.split(curl)
    event = json.loads(words[words.index("-d") + 1])
    assert event == {
        "key": "ticket-4711", "customer_key": "o'brien <x>", "agent_key": "support", "action": "replied"
    }  # fmt: skip
    assert words[3] == "http://{}:{}/v1/events".format(*api.address)
    assert api.ask("POST", "/v1/events", event, scope="ingest").status == 202
    added = api.workshop.call(*[word for word in shlex.split(xadd) if word != "redis-cli"])
    assert isinstance(added, bytes)


def test_versions_say_what_they_changed_and_are_compared(desk: Desk, api: Office) -> None:
    stocked(api)
    for name in ("One", "Two", "Three"):
        api.ask("PATCH", "/v1/customers/acme", {"name": name})
    page = desk.get(of("acme"))
    assert [row[0] for row in page.table("Versions")] == ["4", "3", "2", "1"]
    assert '"Two" → "Three"' in page.table("Versions")[0][3]
    page = desk.submit(page, of("acme"), **{"from": "1", "to": "3"})
    assert [row[1:] for row in page.table("Version 1 beside version 3")] == [['"Acme"', '"Two"']]
    assert desk.get(of("acme") + "?from=1&to=9").status == 404
    assert desk.get(of("acme") + "?from=x").status == 400


def test_versions_have_pages(desk: Desk, api: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("witnd.web.dashboard.forms.versions.LIMIT", 2)
    stocked(api)
    for number in range(4):
        api.ask("PATCH", "/v1/customers/acme", {"name": f"n{number}"})
    page, seen = desk.get(of("acme")), []
    while True:
        seen += [row[0] for row in page.table("Versions")]
        if "Earlier" not in page.links():
            break
        page = desk.get(page.links()["Earlier"].partition("#")[0])
    assert seen == ["5", "4", "3", "2", "1"]


def test_a_customer_is_archived_after_a_tick_and_restored(desk: Desk, api: Office) -> None:
    stocked(api)
    page = desk.get(of("acme"))
    refused = desk.submit(page, of("acme", "archive"), confirmed=None)
    assert refused.status == 400
    assert api.get("/v1/customers/acme")["archived"] is False
    page = desk.submit(page, of("acme", "archive"), confirmed="yes")
    assert told(page) == "Customer acme is archived: it is hidden in lists."
    assert "archived" in page.find("//*[@class='head']").text_content()
    page = desk.submit(page, of("acme", "restore"))
    assert told(page) == "Customer acme is back from the archive."
    assert [one["what"] for one in changes(api)[-2:]] == ["customer.archive", "customer.restore"]


def test_who_may_only_read_sees_no_actions_and_is_refused(reader: Desk, api: Office) -> None:
    stocked(api)
    api.ask("PATCH", "/v1/customers/acme", {"agents": [{"agent": "support", "name": "x"}]})
    page = reader.get(of("acme"))
    assert page.status == 200
    assert not [form for form in page.document.forms if form.method == "POST" and not form.action.endswith("/sign-out")]
    assert not {"Edit", "Change the terms for support", "Agree own prices"} & page.links().keys()
    assert reader.get(NEW).status == 403
    assert reader.get(of("acme", "edit")).status == 403
    key = page.find("//input[@name='form_key']").get("value")
    for path in (NEW, of("acme", "edit"), of("acme", "archive"), of("acme", "restore")):
        assert reader.send(path, {"form_key": key, "confirmed": "yes", "key": "x"}).status == 403
    assert api.get("/v1/customers/acme")["archived"] is False
    assert len(api.get("/v1/customers")["data"]) == 1


def test_one_that_is_not_there_can_be_created(desk: Desk, reader: Desk) -> None:
    page = desk.get(of(HOSTILE))
    assert (page.status, page.find("//h1").text_content()) == (404, HOSTILE)
    page = desk.get(page.links()["Create it"])
    assert value(page, "key") == HOSTILE
    assert "Create it" not in reader.get(of(HOSTILE)).links()


def test_one_that_is_not_there_is_not_found(desk: Desk) -> None:
    for path in (of("nobody"), of("nobody", "edit")):
        assert desk.get(path).status == 404
    key = desk.get("/dashboard").find("//input[@name='form_key']").get("value")
    for what in ("edit", "archive", "restore"):
        assert desk.send(of("nobody", what), {"form_key": key, "confirmed": "yes"}).status == 404


def test_the_list_is_searched_without_leaving_it(window: Window, api: Office) -> None:
    stocked(api)
    made(api, "/v1/customers", {"key": "other", "name": "Somebody Else"})
    window.open("/dashboard/customers")
    window.page.get_by_label("Key or name contains").fill("some")
    window.page.get_by_role("button", name="Search").click()
    window.page.wait_for_url("**/dashboard/customers?search=some")
    assert window.page.locator("#list tbody tr").all_inner_texts()[0].startswith("other")
    assert window.page.locator("#list tbody tr").count() == 1


def test_an_outcome_appears_on_the_page_of_its_customer(window: Window, api: Office) -> None:
    stocked(api)
    window.open(of("acme"))
    assert "None yet" in window.page.locator("#outcomes").inner_text()
    event = {"key": "ticket-1", "customer_key": "acme", "agent_key": "support", "action": "replied"}
    assert api.ask("POST", "/v1/events", event, scope="ingest").status == 202
    window.page.locator("#outcomes").get_by_role("link", name="ticket-1").wait_for()
