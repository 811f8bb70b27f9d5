"""Rate cards at the dashboard: the list, one card, writing prices with what they come to, and a customer's own."""

import re
from typing import Any

import pytest

from tests.dashboard.browser import Tab
from tests.dashboard.client import Dashboard, Page, figures, words
from tests.web.api_server import ApiServer
from tests.web.catalogue import AGENT, CARD, CUSTOMER, changes, made, stocked
from witnd.web.dashboard.forms.price_form import MOST_CHOICES
from witnd.web.dashboard.forms.prices import MOST_EDITED
from witnd.web.dashboard.pages.catalogue.rate_cards import PRICES

LIST = "/dashboard/rate-cards"
NEW = f"{LIST}/new"
CARD_PAGE = f"{LIST}/standard"
EDIT = f"{CARD_PAGE}/edit"
OWN = "/dashboard/customers/acme/prices"
HOSTILE = "wei/rd ?#% \"é'<script>alert(1)</script>"
TIERED: dict[str, Any] = {
    "agent": "support",
    "kind": "graduated",
    "free_quota": "10",
    "period_minimum": "5",
    "period_cap": "1000",
    "tiers": [{"up_to": "100", "price_per_unit": "2"}, {"price_per_unit": "1.255", "flat_fee": "20"}],
}
EVERY_KIND: list[dict[str, Any]] = [
    TIERED,
    {"agent": "flat", "price_per_unit": "0.995"},
    {"agent": "volume", "kind": "volume", "tiers": [{"up_to": "5", "price_per_unit": "2"}, {"price_per_unit": "1"}]},
    {"agent": "package", "kind": "package", "package_size": "100", "price_per_package": "9"},
    {"agent": "percentage", "kind": "percentage", "percent": "2.5", "minimum": "0.5", "maximum": "7"},
]


def agents(api: ApiServer, *keys: str) -> None:
    for key in keys:
        made(api, "/v1/agents", {**AGENT, "key": key})


def carded(api: ApiServer, *entries: dict[str, Any], currency: str = "EUR") -> None:
    """A card with these prices, and their agents."""
    agents(api, *[entry["agent"] for entry in entries])
    made(api, "/v1/rate-cards", {"key": "standard", "currency": currency, "entries": list(entries)})


def fields(**texts: str) -> dict[str, str]:
    """Fields of the first price."""
    return {f"entries[0].{name}": text for name, text in texts.items()}


def value(page: Page, name: str) -> str:
    field = page.find(f"//*[@name='{name}']")
    return str(field.value if field.tag == "select" else field.get("value"))


def shown(page: Page) -> set[str]:
    """The fields of entries that somebody sees."""
    found = page.document.xpath("//*[starts-with(@name, 'entries[') and not(@type='hidden')]/@name")
    return {name.partition("].")[2] for name in found}


def figures_of(text: str) -> list[str]:
    return re.findall(r"[0-9][0-9,.]*[0-9]|[0-9]", text)


def to_change(page: Page) -> dict[str, str]:
    """The agent of each price → the address of the form that changes it."""
    links = {
        row.xpath("string(./th)"): row.xpath(".//a[contains(@href, '/edit?part=yes')]/@href")
        for row in page.items("prices")
    }
    return {agent.strip(): str(href[0]) for agent, href in links.items()}


def pressed(admin: Dashboard, page: Page, button: str, **texts: str) -> Page:
    """The editor with fields filled in and a button pressed."""
    action = page.find("//form[@id='editor']").get("action")
    given: dict[str, Any] = dict(texts)
    return admin.submit(page, action, button=button, **given)


# -- the list and one card --------------------------------------------------------------------------------------------


def test_without_cards_the_list_says_what_they_are_and_how_to_make_one(admin: Dashboard, reader: Dashboard) -> None:
    page = admin.get(LIST)
    assert page.cases == ["none-yet"]
    assert NEW in page.hrefs
    assert "/v1/rate-cards" in page.find("//pre").text_content()
    assert NEW not in reader.get(LIST).hrefs


def test_cards_are_listed_with_their_prices_in_words(admin: Dashboard, api: ApiServer) -> None:
    carded(api, *EVERY_KIND)
    made(api, "/v1/rate-cards", {"key": "bare", "currency": "JPY"})
    page = admin.get(LIST)
    bare, standard = page.rows("rate-cards")
    assert bare[:3] == ["bare", "JPY", "0"]
    assert page.item_cases("rate-cards")[0][0] == "no-prices"
    assert standard[:3] == ["standard", "EUR", "5"]
    prices = page.items("rate-cards")[1].xpath("./td[3]/*")
    assert [words(one).partition(":")[0] for one in prices[:3]] == ["flat", "package", "percentage"]
    assert [figures(one) for one in prices] == [["0.995"], ["9.00", "100"], ["2.5", "0.50", "7.00"], ["2"]]


def test_archived_cards_are_listed_on_request(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    page = admin.submit(admin.get(CARD_PAGE), f"{CARD_PAGE}/archive", confirmed="yes")
    assert "standard" in page.message
    assert "archived" in page.cases
    page = admin.get(LIST)
    assert page.rows("rate-cards") == []
    assert f"{LIST}?archived=yes" in page.hrefs
    assert admin.get(f"{LIST}?archived=yes").states("rate-cards") == [["archived"]]
    page = admin.submit(admin.get(CARD_PAGE), f"{CARD_PAGE}/restore")
    assert "standard" in page.message
    assert len(admin.get(LIST).rows("rate-cards")) == 1
    assert [one["what"] for one in changes(api)[-2:]] == ["rate_card.archive", "rate_card.restore"]


def test_a_card_is_archived_only_by_who_confirms_it(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    page = admin.submit(admin.get(CARD_PAGE), f"{CARD_PAGE}/archive")
    assert page.status == 400
    assert api.get("/v1/rate-cards/standard")["archived"] is False


def test_a_list_and_its_pages(admin: Dashboard, api: ApiServer) -> None:
    for number in range(51):
        made(api, "/v1/rate-cards", {"key": f"card-{number:02}", "currency": "EUR"})
    page = admin.get(LIST)
    assert len(page.rows("rate-cards")) == 50
    page = admin.get(page.pages["next"])
    assert [row[0] for row in page.rows("rate-cards")] == ["card-50"]
    assert page.pages["first"] == LIST


def test_a_card_shows_what_each_agent_costs_with_its_tiers_and_limits(admin: Dashboard, api: ApiServer) -> None:
    carded(api, *EVERY_KIND)
    page = admin.get(CARD_PAGE)
    rows = {row[0]: row[1] for row in page.rows("prices")}
    assert set(rows) == {"flat", "package", "percentage", "support", "volume"}
    assert rows["flat"].startswith("0.995 ")
    assert figures_of(rows["percentage"]) == ["2.5", "0.50", "7.00"]
    detail = page.document.xpath("//section[starts-with(@id, 'detail-')]")
    tiers = [[figures(cell) for cell in row] for row in detail[0].xpath(".//tbody/tr")]
    assert tiers == [[["1"], ["100"], ["2.00"], []], [["2"], ["100"], ["1.255"], ["20.00"]]]
    assert [words(one) for one in detail[0].xpath(".//dl/dd")] == ["10", "5.00 EUR", "1,000.00 EUR"]
    assert [one.xpath("string(.//h2)") for one in detail] == ["support", "volume"]


def test_amounts_have_the_digits_of_their_currency(admin: Dashboard, api: ApiServer) -> None:
    carded(api, {**TIERED, "tiers": [{"price_per_unit": "148.5"}]}, currency="JPY")
    page = admin.get(CARD_PAGE)
    [[number, _, price]] = page.rows("tiers")
    assert (number, price) == ("1", "148.5")
    assert "5 JPY" in [words(one) for one in page.document.xpath("//dl/dd")]


def test_many_prices_are_shown_page_by_page(admin: Dashboard, api: ApiServer) -> None:
    keys = [f"agent-{number:03}" for number in range(PRICES + 1)]
    carded(api, *[{"agent": key, "price_per_unit": "1"} for key in keys])
    page = admin.get(CARD_PAGE)
    assert [row[0] for row in page.rows("prices")] == keys[:PRICES]
    page = admin.get(page.pages["next"])
    assert [row[0] for row in page.rows("prices")] == keys[PRICES:]


def test_a_card_names_its_customers_and_where_all_of_them_are(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    made(api, "/v1/customers", {**CUSTOMER, "key": HOSTILE, "name": "<b>bold</b>"})
    made(api, "/v1/customers", {"key": "other"})
    page = admin.get(CARD_PAGE)
    assert "Acme acme<b>bold</b> wei/rd" in page.text_of("customers")
    assert "other" not in page.text_of("customers")
    assert admin.get(page.links()["<b>bold</b>"]).status == 200
    for number in range(20):
        made(api, "/v1/customers", {"key": f"many-{number}", "rate_card": "standard"})
    page = admin.get(CARD_PAGE)
    assert len(page.document.xpath("//*[@id='customers']//a[@href='/dashboard/customers?rate_card=standard']")) == 2


def test_what_agents_are_called_stays_text(admin: Dashboard, api: ApiServer) -> None:
    carded(api, {**TIERED, "agent": HOSTILE})
    for path in (LIST, CARD_PAGE, EDIT, f"{CARD_PAGE}?from=1&to=1&agent=%3Cb%3E&units=%22%3E%3Cb%3E"):
        page = admin.get(path)
        assert page.status == 200
        assert HOSTILE in page.text
        assert "<script>alert" not in page.source
        assert "<b>" not in page.source
    page = admin.get(CARD_PAGE)
    assert value(admin.get(to_change(page)[HOSTILE]), "entries[0].agent") == HOSTILE


def test_versions_are_shown_and_compared(admin: Dashboard, api: ApiServer) -> None:
    carded(api, {"agent": "support", "price_per_unit": "1"})
    assert api.ask("PATCH", "/v1/rate-cards/standard", {"entries": [TIERED]}).status == 200
    page = admin.get(CARD_PAGE)
    newest, first, *_ = page.rows("versions")
    assert newest[0] == "2"
    assert "entries[support].kind" in (page.item_fields("versions")[0])
    assert first[0] == "1"
    assert f"{CARD_PAGE}?version=1" in page.hrefs
    old = admin.get(f"{CARD_PAGE}?version=1")
    assert figures(old.find("//*[@data-case='old-version']")) == ["1", "2"]
    [[agent, price]] = old.rows("prices")
    assert (agent, figures_of(price)) == ("support", ["1.00"])
    assert f"{CARD_PAGE}/archive" not in [form.action for form in old.document.forms]
    page = admin.get(f"{CARD_PAGE}?from=1&to=2")
    [row] = page.document.xpath("//*[@id='comparison']//*[@data-field='entries[support].kind']")
    assert [words(cell) for cell in row][1:] == ['"flat"', '"graduated"']
    assert admin.get(f"{CARD_PAGE}?from=1&to=9").status == 404
    assert admin.get(f"{CARD_PAGE}?version=x").status == 400


def test_older_versions_are_a_page_further(admin: Dashboard, api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("witnd.web.dashboard.forms.versions.LIMIT", 2)
    carded(api, {"agent": "support", "price_per_unit": "0"})
    for number in range(2):
        entries = [{"agent": "support", "price_per_unit": str(number + 1)}]
        assert api.ask("PATCH", "/v1/rate-cards/standard", {"entries": entries}).status == 200
    page = admin.get(CARD_PAGE)
    assert [row[0] for row in page.rows("versions")] == ["3", "2"]
    page = admin.get(page.pages["earlier"])
    assert [row[0] for row in page.rows("versions")] == ["1"]


def test_anybody_may_ask_what_outcomes_would_cost(reader: Dashboard, api: ApiServer) -> None:
    carded(api, *EVERY_KIND)
    page = reader.get(CARD_PAGE)
    page = reader.submit(page, CARD_PAGE, agent="support", outcomes="250")
    assert [row[1:] for row in page.rows("quote")] == [
        ["10", "", "0.00"],
        ["100", "2.00", "200.00"],
        ["140", "1.255", "175.70"],
        ["", "", "20.00"],
    ]
    assert page.text_of("preview-total") == "395.70"
    assert figures(page.find("//*[@data-fact='outcomes-left']")) == ["240"]
    page = reader.submit(page, CARD_PAGE, agent="percentage", units="10 100, 1000")
    assert page.text_of("preview-total") == "10.00"
    assert page.rows("quote")[0][1:] == ["1,110", "2.5 %", "27.75"]
    assert ["2.5", "1000", "25", "7"] in [figures_of(row[1]) for row in page.rows("quote-parts")]
    page = reader.submit(page, CARD_PAGE, agent="flat", units="2,5")
    assert "incomplete" in page.cases
    assert '"2,5"' in page.text_of("quote")


# -- writing a card ---------------------------------------------------------------------------------------------------


def test_a_card_is_made_without_a_script(admin: Dashboard, api: ApiServer) -> None:
    agents(api, "support", "sales")
    page = admin.get(NEW)
    assert {"agent", "kind", "price_per_unit"} <= shown(page)
    page = pressed(admin, page, "show", key="standard", currency="EUR", **fields(agent="support", kind="graduated"))
    assert "price_per_unit" not in shown(page)
    assert "tiers[1].price_per_unit" in shown(page)
    page = pressed(admin, page, "add-tier:0", **fields(**{"tiers[0].up_to": "100", "tiers[0].price_per_unit": "1"}))
    assert "tiers[2].up_to" in shown(page)
    page = pressed(admin, page, "remove-tier:0.1")
    page = pressed(admin, page, "add-entry", **fields(**{"tiers[1].price_per_unit": "0.5"}))
    second = {"entries[1].agent": "sales", "entries[1].price_per_unit": "2", "entries[1].free_quota": "3"}
    page = pressed(admin, page, "save", **second)
    assert page.path == CARD_PAGE
    assert "standard" in page.message
    sales, support = sorted(api.get("/v1/rate-cards/standard")["entries"], key=lambda one: one["agent"])
    assert (sales["price_per_unit"], sales["free_quota"]) == ("2", "3")
    assert support["tiers"] == [{"up_to": "100", "price_per_unit": "1"}, {"price_per_unit": "0.5"}]
    [change] = [one for one in changes(api) if one["what"] == "rate_card.create"]
    assert (change["who"], change["key"]) == ("token admin", "standard")


def test_everything_wrong_is_said_at_its_field_and_everything_typed_is_kept(admin: Dashboard, api: ApiServer) -> None:
    agents(api, "support")
    page = pressed(admin, admin.get(NEW), "show", **fields(kind="graduated"))
    wrong = {
        "tiers[0].up_to": "100",
        "tiers[0].price_per_unit": "1,50",
        "tiers[1].up_to": "90",
        "tiers[1].flat_fee": "<script>alert(1)</script>",
        "period_minimum": "5",
        "period_cap": "4",
    }
    typed = {"key": "Standard!", "effective_from": "soon", **fields(**wrong)}
    page = pressed(admin, page, "save", **typed)
    assert page.status == 400
    assert {name: value(page, name) for name in typed} == typed
    assert "<script>alert" not in page.source
    assert {"currency", "effective_from", "entries[0].period_cap"} <= set(page.invalid)
    for name in ("entries[0].tiers[1].up_to", "entries[0].tiers[0].price_per_unit", "entries[0].agent", "key"):
        field = page.find(f"//*[@name='{name}']")
        assert field.get("aria-invalid") == "true"
        assert page.text_of(field.get("aria-describedby").split()[0])
    assert figures_of(page.problem("entries[0].period_cap")) == ["5"]
    assert api.get("/v1/rate-cards")["data"] == []


def test_a_card_may_be_called_new(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/rate-cards", {"key": "new", "currency": "EUR", "entries": []})
    page = admin.get(admin.get(LIST).links()["new"])
    assert page.find("//h1").text == "new"
    assert f"{LIST}/~new/edit" in page.hrefs
    assert "new" in admin.get(f"{LIST}/~new/edit").find("//h1").text
    assert admin.get(NEW).document.xpath("//input[@name='key']"), "the form for a new one"


def test_a_key_that_there_is_already_is_refused_with_a_remedy(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    page = pressed(admin, admin.get(NEW), "remove-entry:0", key="standard", currency="USD")
    page = pressed(admin, page, "save")
    assert page.status == 409
    assert page.is_refused
    assert (value(page, "key"), value(page, "currency")) == ("standard", "USD")


def test_what_was_typed_for_another_kind_comes_back_with_it(admin: Dashboard, api: ApiServer) -> None:
    carded(api, {"agent": "support", "price_per_unit": "0.99"})
    page = pressed(admin, admin.get(EDIT), "show", **fields(kind="package"))
    assert {"package_size", "price_per_package"} <= shown(page)
    assert "price_per_unit" not in shown(page)
    page = pressed(admin, page, "show", **fields(kind="flat"))
    assert value(page, "entries[0].price_per_unit") == "0.99"


def test_a_card_of_all_kinds_is_in_its_form_as_it_is(admin: Dashboard, api: ApiServer) -> None:
    carded(api, *EVERY_KIND)
    page = pressed(admin, admin.get(EDIT), "save")
    assert page.message
    assert api.get("/v1/rate-cards/standard")["versions"] == 1


def test_a_change_says_from_when_on_it_holds(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    page = pressed(admin, admin.get(EDIT), "save", **fields(price_per_unit="2"))
    assert "2" in page.message
    later = {"effective_from": "2097-01-31T10:30", **fields(price_per_unit="3")}
    page = pressed(admin, admin.get(EDIT), "save", **later)
    assert "31 Jan 2097, 10:30 UTC" in page.message
    card = api.get("/v1/rate-cards/standard")
    assert (card["version"], card["scheduled"]) == (2, ["2097-01-31T10:30:00.000Z"])
    assert "scheduled" in admin.get(EDIT).cases
    [_, change] = [one for one in changes(api) if one["what"] == "rate_card.update"]
    assert change["after"]["entries"][0]["price_per_unit"] == "3"


def test_what_somebody_else_saved_meanwhile_is_not_overwritten_unseen(admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    page = admin.get(EDIT)
    assert api.ask("PATCH", "/v1/rate-cards/standard", {"entries": []}).status == 200
    page = pressed(admin, page, "save", **fields(price_per_unit="2"))
    assert page.status == 409
    assert page.is_refused
    assert api.get("/v1/rate-cards/standard")["entries"] == []
    page = pressed(admin, page, "save")
    assert api.get("/v1/rate-cards/standard")["entries"][0]["price_per_unit"] == "2"


def test_one_price_is_changed_and_the_others_stay(admin: Dashboard, api: ApiServer) -> None:
    carded(api, *EVERY_KIND)
    agents(api, "further")
    page = admin.get(to_change(admin.get(CARD_PAGE))["percentage"])
    assert figures(page.find("//*[@data-fact='prices-left']")) == ["4"]
    page = pressed(admin, page, "save", **fields(percent="x"))
    assert page.status == 400
    assert page.find("//*[@name='entries[0].percent']").get("aria-invalid") == "true"
    pressed(admin, page, "save", **fields(percent="3"))
    assert f"{EDIT}?part=yes" in admin.get(CARD_PAGE).hrefs
    page = admin.get(f"{EDIT}?part=yes")
    pressed(admin, page, "save", **fields(agent="further", price_per_unit="8"))
    entries = {one["agent"]: one for one in api.get("/v1/rate-cards/standard")["entries"]}
    assert len(entries) == 6
    assert entries["percentage"]["percent"] == "3"
    assert entries["further"]["price_per_unit"] == "8"


def test_a_card_with_more_prices_than_a_form_holds_is_changed_one_by_one(admin: Dashboard, api: ApiServer) -> None:
    keys = [f"agent-{number:03}" for number in range(MOST_EDITED + 1)]
    carded(api, *[{"agent": key, "price_per_unit": "1"} for key in keys])
    page = admin.get(CARD_PAGE)
    assert EDIT not in page.hrefs
    page = admin.get(to_change(page)["agent-007"])
    assert value(page, "entries[0].agent") == "agent-007"
    pressed(admin, page, "save", **fields(price_per_unit="7"))
    entries = {one["agent"]: one for one in api.get("/v1/rate-cards/standard")["entries"]}
    assert len(entries) == MOST_EDITED + 1
    assert entries["agent-007"]["price_per_unit"] == "7"
    assert len(admin.get(EDIT).document.xpath("//fieldset")) == 1, "somebody who comes by the address adds one"


def test_the_largest_form_is_not_too_heavy(admin: Dashboard, api: ApiServer) -> None:
    keys = [f"agent-with-a-name-{number:03}" for number in range(MOST_CHOICES)]
    agents(api, *keys[MOST_EDITED:])
    carded(api, *[{**TIERED, "agent": key} for key in keys[:MOST_EDITED]])
    page = admin.get(EDIT)
    assert len(page.document.xpath("//fieldset")) == MOST_EDITED
    assert len(page.source.encode()) < 200_000


def test_the_preview_needs_only_the_price_that_it_is_about(admin: Dashboard, api: ApiServer) -> None:
    agents(api, "support")
    page = pressed(admin, admin.get(NEW), "add-entry", currency="JPY")
    assert "incomplete" in page.cases
    assert figures(page.find("//*[@id='preview']//li"))[0] == "1", "of the first price"
    second = {"of": "1", "outcomes": "3", "entries[1].price_per_unit": "148.5"}
    page = pressed(admin, page, "show", **second)
    assert page.text_of("preview-total") == "447"
    assert ["", "", "1.5"] in [row[1:] for row in page.rows("quote")], "the rounding"
    page = pressed(admin, page, "show", units="0 0.5 nonsense")
    assert '"nonsense"' in page.text_of("preview")


def test_who_reads_sees_no_way_to_change_and_is_refused(reader: Dashboard, admin: Dashboard, api: ApiServer) -> None:
    stocked(api)
    page = reader.get(CARD_PAGE)
    assert not [href for href in page.hrefs if href.startswith(EDIT)]
    assert not page.document.xpath("//form[contains(@action, '/archive')]")
    for path in (NEW, EDIT):
        assert reader.get(path).status == 403
    key = page.document.xpath("//input[@name='form_key']/@value")[0]
    for path in (NEW, EDIT, OWN, f"{CARD_PAGE}/archive", f"{CARD_PAGE}/restore"):
        answer = reader.send(path, {"form_key": key, "do": "save", "key": "x", "currency": "EUR", "confirmed": "yes"})
        assert answer.status == 403
    assert reader.get(OWN).document.xpath("//form[@id='editor']") == []
    assert api.get("/v1/rate-cards/standard")["versions"] == 1


def test_cards_that_there_are_not_are_not_found(admin: Dashboard) -> None:
    for path in (CARD_PAGE, EDIT, OWN):
        assert admin.get(path).status == 404


def test_without_agents_the_form_says_so(admin: Dashboard) -> None:
    page = admin.get(NEW)
    assert page.cases[0] == "no-agents"
    assert "/dashboard/agents/new" in page.hrefs


def test_many_agents_are_written_with_suggestions(admin: Dashboard, api: ApiServer) -> None:
    agents(api, *[f"agent-{number:02}" for number in range(31)])
    page = admin.get(NEW)
    field = page.find("//input[@name='entries[0].agent']")
    assert page.document.get_element_by_id(field.get("list")).xpath("count(option)") == 31
    page = pressed(admin, page, "save", key="x", currency="EUR", **fields(agent="agnt-07", price_per_unit="1"))
    assert '"agent-07"' in page.problem("entries[0].agent"), "which may be meant"


# -- prices of one customer alone -------------------------------------------------------------------------------------


def test_a_customer_gets_prices_of_its_own_that_begin_with_those_of_its_card(admin: Dashboard, api: ApiServer) -> None:
    carded(api, *EVERY_KIND, currency="KWD")
    made(api, "/v1/customers", CUSTOMER)
    page = admin.get(OWN)
    assert "KWD" in page.text
    page = admin.get(f"{OWN}?part=yes&agent=package")
    assert value(page, "entries[0].price_per_package") == "9"
    assert "(KWD)" in words(page.find("//label[@for='f-entries[0].price_per_package']"))
    page = pressed(admin, page, "save", **fields(price_per_package="7.5"))
    assert page.path == "/dashboard/customers/acme"
    assert page.message
    assert api.get("/v1/customers/acme")["entries"] == [
        {"agent": "package", "kind": "package", "package_size": "100", "price_per_package": "7.5"}
    ]
    [change] = [one for one in changes(api) if one["what"] == "customer.update"]
    assert change["before"]["name"] == change["after"]["name"] == "Acme"
    page = admin.get(OWN)
    states = {row[0]: state for row, state in zip(page.rows("card-prices"), page.states("card-prices"), strict=True)}
    assert states == {"flat": [], "package": ["own"], "percentage": [], "support": [], "volume": []}
    page = pressed(admin, page, "save", **fields(price_per_package="-1"))
    assert page.status == 400
    assert page.invalid == ["entries[0].price_per_package"]
    page = pressed(admin, pressed(admin, page, "remove-entry:0"), "save")
    assert api.get("/v1/customers/acme")["entries"] == []


def test_who_reads_sees_the_own_prices_of_a_customer(reader: Dashboard, api: ApiServer) -> None:
    stocked(api)
    assert reader.get(OWN).cases == ["no-own-prices"]
    own = {"entries": [{"agent": "support", "price_per_unit": "0.8"}]}
    assert api.ask("PATCH", "/v1/customers/acme", own).status == 200
    [agent, price] = reader.get(OWN).document.xpath("//*[@id='own-prices']/*")
    assert (words(agent), figures(price)) == ("support", ["0.80"])


def test_a_customer_without_a_card_is_given_one_first(admin: Dashboard, api: ApiServer) -> None:
    made(api, "/v1/customers", {"key": "acme"})
    page = admin.get(OWN)
    assert page.cases == ["no-card"]
    assert "/dashboard/customers/acme/edit" in page.hrefs
    key = page.document.xpath("//input[@name='form_key']/@value")[0]
    assert admin.send(OWN, {"form_key": key, "do": "save"}).status == 409


# -- with a browser ---------------------------------------------------------------------------------------------------


def test_fields_and_costs_follow_what_is_chosen_and_typed(tab: Tab, api: ApiServer) -> None:
    agents(api, "support")
    tab.open(NEW)
    page, field = tab.page, tab.field
    field("key").fill("standard")
    field("currency").select_option("EUR")
    page.locator("label[for='f-entries[0].price_per_unit']", has_text="EUR").wait_for()
    assert field("key").input_value() == "standard"
    field("entries[0].agent").select_option("support")
    field("entries[0].kind").select_option("graduated")
    field("entries[0].tiers[0].up_to").fill("10")
    field("entries[0].tiers[0].price_per_unit").fill("2")
    tab.press("add-tier:0")
    field("entries[0].tiers[2].price_per_unit").wait_for()
    field("entries[0].tiers[1].up_to").fill("20")
    field("entries[0].tiers[1].price_per_unit").fill("1.5")
    field("entries[0].tiers[2].price_per_unit").fill("1")
    page.locator("#preview-total", has_text="115.00").wait_for()
    field("outcomes").fill("15")
    page.locator("#preview-total", has_text="27.50").wait_for()
    # Enter in a field saves nothing: it would be too easy to press.
    field("key").press("Enter")
    tab.press("save")
    page.wait_for_url(f"**{CARD_PAGE}")
    [entry] = api.get("/v1/rate-cards/standard")["entries"]
    assert [tier["price_per_unit"] for tier in entry["tiers"]] == ["2", "1.5", "1"]


def test_what_is_wrong_is_marked_in_the_browser_too(tab: Tab, api: ApiServer) -> None:
    stocked(api)
    tab.open(EDIT)
    price = tab.field("entries[0].price_per_unit")
    price.fill("lots")
    tab.press("save")
    tab.page.locator("#editor [role=alert]").wait_for()
    assert price.get_attribute("aria-invalid") == "true"
    assert price.input_value() == "lots"
    assert api.get("/v1/rate-cards/standard")["versions"] == CARD.get("versions", 1)
