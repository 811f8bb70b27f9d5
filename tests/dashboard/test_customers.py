"""Customers at the dashboard: the list, one of them, its form, and what is its own."""

import json
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.dashboard.browser import Tab
from tests.dashboard.client import Dashboard, Page, figures, names, words
from tests.support.server import Server
from tests.web.api_server import ApiServer, api_server
from tests.web.catalogue import CARD, changes, made, stocked
from tests.web.invoices import AHEAD, ROWS, put
from tests.web.recorded_run import recorded_run
from witnd.config import BillingConfig
from witnd.store.keys import BillingKeys

HOSTILE = "wei/rd ?#% \"é'<script>alert(1)</script>"
NEW = "/dashboard/customers/new"


def of(key: str, *more: str) -> str:
    return "/".join(["/dashboard/customers", quote(key, safe=""), *more])


def value(page: Page, name: str) -> str:
    field = page.find(f"//*[@name='{name}' and @id]")
    return str(field.value if field.tag == "select" else field.get("value"))


def told(page: Page) -> str:
    return page.message


# -- the list ---------------------------------------------------------------------------------------------------------


def test_without_customers_the_list_says_what_they_are_and_how_to_make_one(admin: Dashboard, reader: Dashboard) -> None:
    page = admin.get("/dashboard/customers")
    assert page.cases == ["none-yet"]
    assert NEW in page.hrefs
    assert "/v1/customers" in page.find("//pre").text_content()
    assert NEW not in reader.get("/dashboard/customers").hrefs


def test_customers_are_listed_with_their_card_and_what_is_their_own(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    made(api, "/v1/customers", {"key": "poor"})
    own = {"entries": [{"agent": "support", "price_per_unit": "0.8"}], "agents": [{"agent": "support", "name": "x"}]}
    assert api.ask("PATCH", "/v1/customers/acme", own).status == 200
    page = admin.get("/dashboard/customers")
    acme, poor = page.rows("customers")
    assert acme[:3] == ["acme", "Acme", "standard"]
    assert poor[:2] == ["poor", "poor"]
    assert poor[3] == "–"
    assert ["no-card" in cases for cases in page.item_cases("customers")] == [False, True]
    links = {link.get("href"): figures(link)[0] for link in page.items("customers")[0].xpath("./*[4]//a")}
    assert links == {of("acme") + "#prices": "1", of("acme") + "#terms": "1"}


def test_the_list_is_searched_and_archived_ones_are_shown_on_request(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    made(api, "/v1/customers", {"key": "other", "name": "Somebody Else"})
    assert api.ask("DELETE", "/v1/customers/other").status == 200
    page = admin.get("/dashboard/customers")
    assert [row[0] for row in page.rows("customers")] == ["acme"]
    page = admin.submit(page, search="some", archived="yes")
    assert [row[0].split()[0] for row in page.rows("customers")] == ["other"]
    assert page.states("customers") == [["archived"]]
    assert value(page, "search") == "some"
    page = admin.submit(page, search="nobody")
    assert page.cases == ["no-match"]
    assert value(page, "search") == "nobody"
    assert [row[0] for row in admin.get("/dashboard/customers?rate_card=standard").rows("customers")] == ["acme"]


def test_the_list_has_pages_that_keep_the_search(
    admin: Dashboard, api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("witnd.web.dashboard.pages.catalogue.customers.LIMIT", 2)
    for number in range(5):
        made(api, "/v1/customers", {"key": f"c{number}"})
    page, seen = admin.get("/dashboard/customers?search=c"), []
    while True:
        seen += [row[0] for row in page.rows("customers")]
        if "next" not in page.pages:
            break
        page = admin.get(page.pages["next"])
        assert value(page, "search") == "c"
    assert seen == ["c0", "c1", "c2", "c3", "c4"]
    assert page.pages["first"] == "/dashboard/customers?search=c"


def test_a_search_that_looked_at_enough_leads_on(
    admin: Dashboard, api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("witnd.app.catalogue.read.LOOKED_AT_MAX", 2)
    for number in range(5):
        made(api, "/v1/customers", {"key": f"c{number}"})
    page = admin.get("/dashboard/customers?search=c4")
    while "further" in page.pages:
        assert page.rows("customers") == []
        page = admin.get(page.pages["further"])
    assert [row[0] for row in page.rows("customers")] == ["c4"]


# -- the form ---------------------------------------------------------------------------------------------------------


def test_a_customer_is_created_from_the_key_that_waits(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/rate-cards", CARD | {"entries": []})
    page = admin.get(f"{NEW}?key=acme")
    assert value(page, "key") == "acme"
    page = admin.submit(page, name="Acme", email="pay@acme.example", rate_card="standard")
    assert (page.status, page.path) == (200, of("acme"))
    assert "acme" in page.message
    found = api.get("/v1/customers/acme")
    assert (found["name"], found["email"], found["rate_card"]) == ("Acme", "pay@acme.example", "standard")
    [_, noted] = changes(api)
    assert (noted["who"], noted["what"], noted["key"]) == ("token admin", "customer.create", "acme")


def test_what_is_left_empty_has_its_default(admin: Dashboard, api: ApiServer) -> None:
    page = admin.submit(admin.get(NEW), key=" acme ")
    assert page.path == of(" acme "), "spaces may stand in a key that events have"
    found = api.get("/v1/customers/%20acme%20")
    assert (found["name"], found["email"], found["rate_card"]) == (" acme ", None, None)
    assert "no-card" in page.cases


def test_mistakes_stand_at_their_fields_and_everything_typed_is_kept(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    typed = {"key": "acme 2", "name": HOSTILE, "email": "nobody", "effective_from": "soon"}
    page = admin.submit(admin.get(NEW), rate_card="standard", **typed)
    assert page.status == 400
    assert {name: value(page, name) for name in typed} == typed
    assert value(page, "rate_card") == "standard"
    assert page.invalid == ["email", "effective_from"]
    assert sorted(names(page.find("//*[@role='alert']"))) == ["effective_from", "email"]
    assert api.ask("GET", "/v1/customers/acme%202").status == 404


def test_a_key_is_taken_once(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    page = admin.submit(admin.get(NEW), key="acme", name="Again")
    assert page.status == 409
    assert page.is_refused
    assert value(page, "name") == "Again"
    assert api.get("/v1/customers/acme")["name"] == "Acme"


def test_a_card_that_is_gone_or_never_was_is_told_at_its_field(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    page = admin.submit(admin.get(of("acme", "edit")), rate_card="standart")
    assert page.status == 400
    assert value(page, "rate_card") == "standart"
    assert page.invalid == ["rate_card"]
    assert "standard" in page.problem("rate_card"), "which may be meant"


def test_a_customer_is_changed_and_an_unchanged_one_makes_no_version(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    page = admin.get(of("acme", "edit"))
    assert (value(page, "name"), value(page, "email")) == ("Acme", "billing@acme.example")
    assert admin.submit(page).message
    assert api.get("/v1/customers/acme")["version"] == 1
    page = admin.submit(page, name="Acme & Co", rate_card="")
    assert page.message
    assert page.find("//h1").text_content() == "Acme & Co"
    found = api.get("/v1/customers/acme")
    assert (found["version"], found["rate_card"], found["email"]) == (2, None, "billing@acme.example")
    assert changes(api)[-1]["what"] == "customer.update"


def test_what_somebody_else_saved_meanwhile_is_not_overwritten_unseen(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    page = admin.get(of("acme", "edit"))
    assert api.ask("PATCH", "/v1/customers/acme", {"email": "new@acme.example"}).status == 200
    page = admin.submit(page, name="Acme & Co")
    assert (page.status, value(page, "name")) == (409, "Acme & Co")
    assert page.is_refused
    assert api.get("/v1/customers/acme")["email"] == "new@acme.example"
    assert admin.submit(page).message
    assert api.get("/v1/customers/acme")["email"] == "billing@acme.example"


def test_own_prices_need_a_card_to_stay(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    api.ask("PATCH", "/v1/customers/acme", {"entries": [{"agent": "support", "price_per_unit": "0.8"}]})
    page = admin.submit(admin.get(of("acme", "edit")), rate_card="")
    assert page.status == 400
    assert page.invalid == ["rate_card"]
    assert api.get("/v1/customers/acme")["rate_card"] == "standard"


def test_a_card_in_another_currency_is_refused_while_the_customer_has_prices_of_its_own(
    admin: Dashboard, api: ApiServer
) -> None:
    stocked(api)
    made(api, "/v1/rate-cards", CARD | {"key": "dollar", "currency": "USD"})
    api.ask("PATCH", "/v1/customers/acme", {"entries": [{"agent": "support", "price_per_unit": "0.0049"}]})
    page = admin.submit(admin.get(of("acme", "edit")), rate_card="dollar")
    assert page.status == 400
    assert "USD" in page.find("//*[@role='alert']").text_content()
    assert api.get("/v1/customers/acme")["rate_card"] == "standard"
    warning = words(admin.get(of("acme")).find("//*[@data-case='warning']"))
    assert "0.0049 EUR" in warning, "what is below a cent"


def test_a_change_may_take_effect_later(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    page = admin.submit(admin.get(of("acme", "edit")), name="New Acme", effective_from="2096-01-31T09:30")
    assert "31 Jan 2096, 09:30 UTC" in page.message
    assert page.find("//h1").text_content() == "Acme"
    assert "scheduled" in page.cases
    assert [row[0] for row in page.rows("versions")] == ["2", "1"]
    assert "scheduled" in admin.get(of("acme", "edit")).cases
    page = admin.submit(admin.get(NEW), key="later", effective_from="2096-01-31T09:30:15")
    assert page.find("//*[@class='head']//@data-state") == "scheduled"


@pytest.mark.parametrize("key", [HOSTILE, "new", ".", "..", "~new", "../x", "terms", "a&b=c"])
def test_any_key_has_a_page_on_which_it_is_text(admin: Dashboard, api: ApiServer, key: str) -> None:
    page = admin.submit(admin.get(f"{NEW}?key={quote(key)}"), name=HOSTILE)
    assert page.status == 200, page.text
    assert page.find("//h1").text_content() == HOSTILE
    assert page.find("//*[@id='about']//code").text_content() == key
    assert not page.document.xpath("//script[not(@src)]")
    again = admin.get(admin.get("/dashboard/customers").links()[" ".join(key.split())])
    assert again.find("//*[@id='about']//code").text_content() == key
    [edit] = [href for href in again.hrefs if href.endswith("/edit")]
    page = admin.submit(admin.get(edit), name="Plain")
    assert page.find("//h1").text_content() == "Plain"
    compared = admin.submit(page, page.path, **{"from": "1", "to": "2"})
    assert compared.item_fields("comparison") == [["name"]]
    assert api.get(f"/v1/customers/{quote(key, safe='')}")["name"] == "Plain"


@pytest.mark.slow
def test_among_many_cards_and_agents_names_are_typed(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    for number in range(200):
        made(api, "/v1/rate-cards", {"key": f"card-{number}", "currency": "EUR", "entries": []})
        made(api, "/v1/agents", {"key": f"agent-{number}", "condition": []})
    page = admin.submit(admin.get("/dashboard/customers"), rate_card="standard")
    assert [row[0] for row in page.rows("customers")] == ["acme"]
    page = admin.submit(admin.get(of("acme", "edit")), rate_card="gone")
    assert (page.status, value(page, "rate_card")) == (400, "gone")
    for path in (of("acme"), "/dashboard/outcomes", "/dashboard/notifications/new"):
        assert admin.get(path).find("//input[@name='agent']").get("type") == "text"


def test_what_is_many_is_told_in_part(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    agents = [f"agent-{number:03}" for number in range(60)]
    for agent in agents:
        made(api, "/v1/agents", {"key": agent, "condition": []})
    own = [{"agent": agent, "name": "x" if number % 2 else "y"} for number, agent in enumerate(agents)]
    assert api.ask("PATCH", "/v1/customers/acme", {"agents": own}).status == 200
    page = admin.get(of("acme"))
    assert len(page.rows("own-terms")) == 50
    assert figures(page.find("//*[@data-fact='terms-left']")) == ["10"]
    assert "agent-059" in page.find("//select[@name='agent']").value_options
    assert figures(page.items("versions")[0].xpath(".//li")[-1]) == ["50"]
    assert len(admin.get(of("acme") + "?from=1&to=2").rows("comparison")) == 60


# -- one customer -----------------------------------------------------------------------------------------------------


def test_prices_stand_in_words_and_own_ones_first(admin: Dashboard, reader: Dashboard, api: ApiServer) -> None:
    stocked(api)
    made(api, "/v1/agents", {"key": "calls", "condition": [{"fact": "called", "operator": "seen"}]})
    tiers = [{"up_to": "100", "price_per_unit": "1"}, {"price_per_unit": "0.5"}]
    entries = [*CARD["entries"], {"agent": "calls", "kind": "graduated", "tiers": tiers, "free_quota": "10"}]
    assert api.ask("PATCH", "/v1/rate-cards/standard", {"entries": entries}).status == 200
    page = admin.get(of("acme"))
    calls, support = page.rows("prices")
    assert (calls[0], calls[2]) == ("calls", "standard")
    assert [figures(line) for line in page.items("prices")[0].xpath(".//td[1]/div")] == [
        ["100", "1.00", "0.50"],
        ["10"],
    ]
    assert (support[0], support[1].split()[0], support[2]) == ("support", "0.995", "standard")
    api.ask("PATCH", "/v1/customers/acme", {"entries": [{"agent": "support", "price_per_unit": "0.8"}]})
    page = admin.get(of("acme"))
    assert page.rows("prices")[0][0] == "support"
    assert page.rows("prices")[0][1].startswith("0.80 ")
    assert page.states("prices")[0] == ["own"]
    assert of("acme", "prices") in page.hrefs
    assert of("acme", "prices") not in reader.get(of("acme")).hrefs


def test_own_terms_stand_in_words_and_others_can_be_agreed(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    made(api, "/v1/agents", {"key": "calls", "condition": [{"fact": "called", "operator": "seen"}]})
    terms = {
        "agent": "support",
        "settlement_period": 604800,
        "attribution_method": "max",
        "condition": [{"fact": "csat", "operator": "gte", "value": 4}],
    }
    api.ask("PATCH", "/v1/customers/acme", {"agents": [terms]})
    page = admin.get(of("acme"))
    assert [row[0] for row in page.rows("own-terms")] == ["support"]
    assert page.item_fields("own-terms") == [["settlement_period", "attribution_method", "condition"]]
    [row] = page.items("own-terms")
    assert figures(row) == ["7", "4"]
    assert names(row) == ["csat"]
    assert of("acme", "terms", "support") in page.hrefs
    assert page.document.xpath("//select[@name='agent']/option/@value") == ["calls"]
    assert admin.get(of("acme", "terms")).status == 400
    answer = api.ask(
        "GET",
        of("acme", "terms?agent=a%2Fb"),
        scope=None,
        headers={"Cookie": "; ".join(f"{name}={text}" for name, text in admin.cookies.items())},
    )
    assert (answer.status, answer.headers["location"]) == (303, of("acme", "terms", "a%2Fb"))


def test_outcomes_and_invoices_of_the_customer_stand_there(
    session_server: Server, redis_url: str, tmp_path: Any
) -> None:
    def events(deployment: Any) -> None:
        for number in range(12):
            deployment.event(f"ticket-{number:02}", "replied", after=number)

    with recorded_run(session_server, tmp_path, events) as api:
        put(api, "acme", at=AHEAD.start)
        page = Dashboard(api).get(of("acme"))
        outcomes = page.rows("outcomes")
        assert [row[0] for row in outcomes] == [f"ticket-{n:02}" for n in range(11, 1, -1)]
        assert page.states("outcomes")[0] == ["confirmed"]
        assert outcomes[0][2] == "support"
        assert outcomes[0][5] == "1.00 EUR"
        invoices = page.rows("invoices")
        assert page.states("invoices")[0] == ["draft"]
        assert invoices[0][2:] == ["October 2096", str(len(ROWS)), "10.00 EUR"]
        assert {"/dashboard/outcomes?customer=acme", "/dashboard/invoices?customer=acme"} <= page.hrefs


def test_credit_is_shown_by_currency(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    assert not admin.get(of("acme")).document.xpath("//*[@id='credit']//dd")
    keys = BillingKeys("witn")
    api.deployment.call("HSET", keys.balance, "EUR:acme", "12.5", "EUR:other", "7")
    api.deployment.call("HSET", keys.currencies("acme"), "EUR", 2)
    assert "12.50 EUR" in admin.get(of("acme")).text_of("credit")
    assert "7" not in admin.get(of("acme")).text_of("credit")


def test_the_example_sends_an_event_of_this_customer(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    made(api, "/v1/customers", {"key": "o'brien <x>", "rate_card": "standard"})
    curl, xadd = [pre.text_content() for pre in admin.get(of("o'brien <x>")).document.xpath("//*[@id='send']//pre")]
    command = shlex.split(curl)
    event = json.loads(command[command.index("-d") + 1])
    assert event == {
        "key": "ticket-4711", "customer_key": "o'brien <x>", "agent_key": "support", "action": "replied"
    }  # fmt: skip
    assert command[3] == "http://{}:{}/v1/events".format(*api.address)
    assert api.ask("POST", "/v1/events", event, scope="ingest").status == 202
    added = api.deployment.call(*[word for word in shlex.split(xadd) if word != "redis-cli"])
    assert isinstance(added, bytes)


def test_versions_say_what_they_changed_and_are_compared(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    for name in ("One", "Two", "Three"):
        api.ask("PATCH", "/v1/customers/acme", {"name": name})
    page = admin.get(of("acme"))
    assert [row[0] for row in page.rows("versions")] == ["4", "3", "2", "1"]
    assert '"Two" → "Three"' in page.rows("versions")[0][3]
    page = admin.submit(page, of("acme"), **{"from": "1", "to": "3"})
    assert [row[1:] for row in page.rows("comparison")] == [['"Acme"', '"Two"']]
    assert admin.get(of("acme") + "?from=1&to=9").status == 404
    assert admin.get(of("acme") + "?from=x").status == 400


def test_versions_have_pages(admin: Dashboard, api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("witnd.web.dashboard.forms.versions.LIMIT", 2)
    stocked(api)
    for number in range(4):
        api.ask("PATCH", "/v1/customers/acme", {"name": f"n{number}"})
    page, seen = admin.get(of("acme")), []
    while True:
        seen += [row[0] for row in page.rows("versions")]
        if "earlier" not in page.pages:
            break
        page = admin.get(page.pages["earlier"].partition("#")[0])
    assert seen == ["5", "4", "3", "2", "1"]


def test_a_customer_is_archived_after_a_tick_and_restored(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    page = admin.get(of("acme"))
    refused = admin.submit(page, of("acme", "archive"), confirmed=None)
    assert refused.status == 400
    assert api.get("/v1/customers/acme")["archived"] is False
    page = admin.submit(page, of("acme", "archive"), confirmed="yes")
    assert "acme" in page.message
    assert page.find("//*[@class='head']//@data-state") == "archived"
    page = admin.submit(page, of("acme", "restore"))
    assert "acme" in page.message
    assert [one["what"] for one in changes(api)[-2:]] == ["customer.archive", "customer.restore"]


def test_who_may_only_read_sees_no_actions_and_is_refused(reader: Dashboard, api: ApiServer) -> None:
    stocked(api)
    api.ask("PATCH", "/v1/customers/acme", {"agents": [{"agent": "support", "name": "x"}]})
    page = reader.get(of("acme"))
    assert page.status == 200
    assert not [form for form in page.document.forms if form.method == "POST" and not form.action.endswith("/sign-out")]
    assert not {of("acme", "edit"), of("acme", "terms", "support"), of("acme", "prices")} & page.hrefs
    assert reader.get(NEW).status == 403
    assert reader.get(of("acme", "edit")).status == 403
    key = page.find("//input[@name='form_key']").get("value")
    for path in (NEW, of("acme", "edit"), of("acme", "archive"), of("acme", "restore")):
        assert reader.send(path, {"form_key": key, "confirmed": "yes", "key": "x"}).status == 403
    assert api.get("/v1/customers/acme")["archived"] is False
    assert len(api.get("/v1/customers")["data"]) == 1


def test_one_that_is_not_there_can_be_created(admin: Dashboard, reader: Dashboard) -> None:
    page = admin.get(of(HOSTILE))
    assert (page.status, page.find("//h1").text_content()) == (404, HOSTILE)
    [create] = [href for href in page.hrefs if href.startswith(f"{NEW}?key=")]
    page = admin.get(create)
    assert value(page, "key") == HOSTILE
    assert create not in reader.get(of(HOSTILE)).hrefs


def test_one_that_is_not_there_is_not_found(admin: Dashboard) -> None:
    for path in (of("nobody"), of("nobody", "edit")):
        assert admin.get(path).status == 404
    key = admin.get("/dashboard").find("//input[@name='form_key']").get("value")
    for what in ("edit", "archive", "restore"):
        assert admin.send(of("nobody", what), {"form_key": key, "confirmed": "yes"}).status == 404


def test_the_list_is_searched_without_leaving_it(tab: Tab, api: ApiServer) -> None:
    stocked(api)
    made(api, "/v1/customers", {"key": "other", "name": "Somebody Else"})
    tab.open("/dashboard/customers")
    tab.field("search").fill("some")
    tab.page.locator("#search").click()
    tab.page.wait_for_url("**/dashboard/customers?search=some")
    assert tab.page.locator("#list tbody tr").all_inner_texts()[0].startswith("other")
    assert tab.page.locator("#list tbody tr").count() == 1


def test_an_outcome_appears_on_the_page_of_its_customer(tab: Tab, api: ApiServer) -> None:
    stocked(api)
    tab.open(of("acme"))
    assert tab.page.locator("#outcomes tbody tr").count() == 0
    event = {"key": "ticket-1", "customer_key": "acme", "agent_key": "support", "action": "replied"}
    assert api.ask("POST", "/v1/events", event, scope="ingest").status == 202
    tab.page.locator("#outcomes").get_by_role("link", name="ticket-1").wait_for()


def test_periods_and_dates_are_those_of_the_billing_time_zone(
    session_server: Server, redis_url: str, tmp_path: Path
) -> None:
    with api_server(session_server, tmp_path, billing=BillingConfig(time_zone="Asia/Tokyo", issue="manual")) as api:
        stocked(api)
        invoice = put(api, "acme")
        page = Dashboard(api).get(of("acme"))
        assert "Period (Asia/Tokyo)" in page.text
        assert "Period (UTC)" not in page.text
        form = Dashboard(api).get(f"/dashboard/invoices/{invoice.id}")
        assert "today in UTC" not in form.text
