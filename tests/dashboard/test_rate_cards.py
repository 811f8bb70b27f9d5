"""Rate cards at the dashboard: the list, one card, writing prices with what they come to, and a customer's own."""

from typing import Any

import pytest

from tests.dashboard.desk import Desk, Page
from tests.dashboard.window import Window
from tests.web.catalogue import AGENT, CARD, CUSTOMER, changes, made, stocked
from tests.web.office import Office
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


def agents(api: Office, *keys: str) -> None:
    for key in keys:
        made(api, "/v1/agents", {**AGENT, "key": key})


def carded(api: Office, *entries: dict[str, Any], currency: str = "EUR") -> None:
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
    names = page.document.xpath("//*[starts-with(@name, 'entries[') and not(@type='hidden')]/@name")
    return {name.partition("].")[2] for name in names}


def pressed(desk: Desk, page: Page, button: str, **texts: str) -> Page:
    """The editor with fields filled in and a button pressed."""
    action = page.find("//form[@id='editor']").get("action")
    given: dict[str, Any] = dict(texts)
    return desk.submit(page, action, button=button, **given)


# -- the list and one card --------------------------------------------------------------------------------------------


def test_without_cards_the_list_says_what_they_are_and_how_to_make_one(desk: Desk, reader: Desk) -> None:
    page = desk.get(LIST)
    assert "A rate card says what an outcome of each agent costs" in page.text
    assert page.links()["Create the first rate card"] == NEW
    assert "/v1/rate-cards" in page.find("//pre").text_content()
    assert NEW not in reader.get(LIST).links().values()


def test_cards_are_listed_with_their_prices_in_words(desk: Desk, api: Office) -> None:
    carded(api, *EVERY_KIND)
    made(api, "/v1/rate-cards", {"key": "bare", "currency": "JPY"})
    bare, standard = desk.get(LIST).table("Rate cards")
    assert bare[:4] == ["bare", "JPY", "0", "none: outcomes of its customers wait"]
    assert standard[:3] == ["standard", "EUR", "5"]
    assert standard[3].startswith("flat: 0.995 per unitpackage: 9.00 for each package of 100 that is begunpercentage:")
    assert standard[3].endswith("and 2 more")


def test_archived_cards_are_listed_on_request(desk: Desk, api: Office) -> None:
    stocked(api)
    page = desk.submit(desk.get(CARD_PAGE), f"{CARD_PAGE}/archive", button="Archive", confirmed="yes")
    assert "Rate card standard is archived" in page.id("told")
    assert "Customers who have it still pay its prices." in page.text
    page = desk.get(LIST)
    assert page.table("Rate cards") == []
    [row] = desk.get(page.links()["Show archived ones too"]).table("Rate cards")
    assert row[0] == "standard archived"
    page = desk.submit(desk.get(CARD_PAGE), f"{CARD_PAGE}/restore")
    assert "back from the archive" in page.id("told")
    assert len(desk.get(LIST).table("Rate cards")) == 1
    assert [one["what"] for one in changes(api)[-2:]] == ["rate_card.archive", "rate_card.restore"]


def test_a_card_is_archived_only_by_who_confirms_it(desk: Desk, api: Office) -> None:
    stocked(api)
    page = desk.submit(desk.get(CARD_PAGE), f"{CARD_PAGE}/archive", button="Archive")
    assert page.status == 400
    assert api.get("/v1/rate-cards/standard")["archived"] is False


def test_a_list_and_its_pages(desk: Desk, api: Office) -> None:
    for number in range(51):
        made(api, "/v1/rate-cards", {"key": f"card-{number:02}", "currency": "EUR"})
    page = desk.get(LIST)
    assert len(page.table("Rate cards")) == 50
    page = desk.get(page.links()["Next page"])
    assert [row[0] for row in page.table("Rate cards")] == ["card-50"]
    assert page.links()["First page"] == LIST


def test_a_card_shows_what_each_agent_costs_with_its_tiers_and_limits(desk: Desk, api: Office) -> None:
    carded(api, *EVERY_KIND)
    page = desk.get(CARD_PAGE)
    rows = {row[0]: row[1] for row in page.table("Prices")}
    assert rows["flat"].startswith("0.995 per unit")
    assert rows["percentage"].startswith("2.5 % of each quantity, at least 0.50 and at most 7.00 per outcome")
    assert page.table("Tiers of support") == [
        ["1", "up to 100", "2.00", "–"],
        ["2", "above 100", "1.255", "20.00"],
    ]
    detail = page.document.xpath("//section[starts-with(@id, 'detail-')]")
    assert "Free units10At least per period5.00 EURAt most per period1,000.00 EUR" in page.id(detail[0].get("id"))
    assert [one.xpath("string(.//h2)") for one in detail] == ["support", "volume"]


def test_amounts_have_the_digits_of_their_currency(desk: Desk, api: Office) -> None:
    carded(api, {**TIERED, "tiers": [{"price_per_unit": "148.5"}]}, currency="JPY")
    page = desk.get(CARD_PAGE)
    assert page.table("Tiers of support") == [["1", "all", "148.5"]]
    assert "At least per period5 JPY" in page.text


def test_many_prices_are_shown_page_by_page(desk: Desk, api: Office) -> None:
    names = [f"agent-{number:03}" for number in range(PRICES + 1)]
    carded(api, *[{"agent": name, "price_per_unit": "1"} for name in names])
    page = desk.get(CARD_PAGE)
    assert [row[0] for row in page.table("Prices")] == names[:PRICES]
    page = desk.get(page.links()["Next page"])
    assert [row[0] for row in page.table("Prices")] == names[PRICES:]


def test_a_card_names_its_customers_and_where_all_of_them_are(desk: Desk, api: Office) -> None:
    stocked(api)
    made(api, "/v1/customers", {**CUSTOMER, "key": HOSTILE, "name": "<b>bold</b>"})
    made(api, "/v1/customers", {"key": "other"})
    page = desk.get(CARD_PAGE)
    assert "Acme acme<b>bold</b> wei/rd" in page.id("customers")
    assert "other" not in page.id("customers")
    assert desk.get(page.links()["<b>bold</b>"]).status == 200
    for number in range(20):
        made(api, "/v1/customers", {"key": f"many-{number}", "rate_card": "standard"})
    page = desk.get(CARD_PAGE)
    assert "Perhaps others too" in page.id("customers")
    assert page.links()["See all"] == "/dashboard/customers?rate_card=standard"


def test_what_agents_are_called_stays_text(desk: Desk, api: Office) -> None:
    carded(api, {**TIERED, "agent": HOSTILE})
    for path in (LIST, CARD_PAGE, EDIT, f"{CARD_PAGE}?from=1&to=1&agent=%3Cb%3E&units=%22%3E%3Cb%3E"):
        page = desk.get(path)
        assert page.status == 200
        assert HOSTILE in page.text
        assert "<script>alert" not in page.source
        assert "<b>" not in page.source
    page = desk.get(CARD_PAGE)
    assert value(desk.get(page.links()[f"change the price of {HOSTILE}"]), "entries[0].agent") == HOSTILE


def test_versions_are_shown_and_compared(desk: Desk, api: Office) -> None:
    carded(api, {"agent": "support", "price_per_unit": "1"})
    assert api.ask("PATCH", "/v1/rate-cards/standard", {"entries": [TIERED]}).status == 200
    page = desk.get(CARD_PAGE)
    newest, first = page.table("Versions")
    assert newest[0] == "2"
    assert '"flat" → "graduated"' in newest[3]
    assert first[0] == "1"
    old = desk.get(page.links()["Show version 1"])
    assert "This is version 1 of 2, past." in old.text
    assert old.table("Prices") == [["support", "1.00 per unit"]]
    assert "Archive" not in old.text
    page = desk.get(f"{CARD_PAGE}?from=1&to=2")
    row = next(row for row in page.table("Version 1 beside version 2") if row[0] == "Price of support, kind")
    assert row[1:] == ['"flat"', '"graduated"']
    assert desk.get(f"{CARD_PAGE}?from=1&to=9").status == 404
    assert desk.get(f"{CARD_PAGE}?version=x").status == 400


def test_older_versions_are_a_page_further(desk: Desk, api: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("witnd.web.dashboard.forms.versions.LIMIT", 2)
    carded(api, {"agent": "support", "price_per_unit": "0"})
    for number in range(2):
        entries = [{"agent": "support", "price_per_unit": str(number + 1)}]
        assert api.ask("PATCH", "/v1/rate-cards/standard", {"entries": entries}).status == 200
    page = desk.get(CARD_PAGE)
    assert [row[0] for row in page.table("Versions")] == ["3", "2"]
    page = desk.get(page.links()["Earlier"])
    assert [row[0] for row in page.table("Versions")] == ["1"]


def test_anybody_may_ask_what_outcomes_would_cost(reader: Desk, api: Office) -> None:
    carded(api, *EVERY_KIND)
    page = reader.get(CARD_PAGE)
    page = reader.submit(page, CARD_PAGE, button="Calculate", agent="support", outcomes="250")
    assert page.table("What it would cost") == [
        ["Free", "10", "", "0.00"],
        ["Tier 1", "100", "2.00", "200.00"],
        ["Tier 2", "140", "1.255", "175.70"],
        ["Flat fee of tier 2", "", "", "20.00"],
    ]
    assert page.id("preview-total") == "395.70"
    assert "And 240 outcomes more." in page.text
    page = reader.submit(page, CARD_PAGE, button="Calculate", agent="percentage", units="10 100, 1000")
    assert page.id("preview-total") == "10.00"
    assert page.table("What it would cost")[0] == ["Percentage", "1,110", "2.5 %", "27.75"]
    assert ["Outcome 31,000 units", "2.5 % of 1000 = 25, at most 7", "7.00"] in page.table("One by one")
    page = reader.submit(page, CARD_PAGE, button="Calculate", agent="flat", units="2,5")
    assert 'Units of outcome 1: "2,5": must be a plain decimal number' in page.id("quote")


# -- writing a card ---------------------------------------------------------------------------------------------------


def test_a_card_is_made_without_a_script(desk: Desk, api: Office) -> None:
    agents(api, "support", "sales")
    page = desk.get(NEW)
    assert {"agent", "kind", "price_per_unit"} <= shown(page)
    page = pressed(
        desk, page, "Show its fields", key="standard", currency="EUR", **fields(agent="support", kind="graduated")
    )
    assert "price_per_unit" not in shown(page)
    assert "tiers[1].price_per_unit" in shown(page)
    page = pressed(desk, page, "Add a tier", **fields(**{"tiers[0].up_to": "100", "tiers[0].price_per_unit": "1"}))
    assert "tiers[2].up_to" in shown(page)
    page = pressed(desk, page, "×Remove tier 2")
    page = pressed(desk, page, "Add a price for another agent", **fields(**{"tiers[1].price_per_unit": "0.5"}))
    second = {"entries[1].agent": "sales", "entries[1].price_per_unit": "2", "entries[1].free_quota": "3"}
    page = pressed(desk, page, "Create rate card", **second)
    assert page.path == CARD_PAGE
    assert "Rate card standard is created." in page.id("told")
    assert "those that are open already keep theirs" in page.id("told")
    assert api.get("/v1/rate-cards/standard")["words"] == {
        "sales": "2 per unit; 3 units free",
        "support": "graduated: 1 up to 100, 0.5 beyond",
    }
    [change] = [one for one in changes(api) if one["what"] == "rate_card.create"]
    assert (change["who"], change["key"]) == ("token admin", "standard")


def test_everything_wrong_is_said_at_its_field_and_everything_typed_is_kept(desk: Desk, api: Office) -> None:
    agents(api, "support")
    page = pressed(desk, desk.get(NEW), "Show its fields", **fields(kind="graduated"))
    wrong = {
        "tiers[0].up_to": "100",
        "tiers[0].price_per_unit": "1,50",
        "tiers[1].up_to": "90",
        "tiers[1].flat_fee": "<script>alert(1)</script>",
        "period_minimum": "5",
        "period_cap": "4",
    }
    typed = {"key": "Standard!", "effective_from": "soon", **fields(**wrong)}
    page = pressed(desk, page, "Create rate card", **typed)
    assert page.status == 400
    assert {name: value(page, name) for name in typed} == typed
    assert "<script>alert" not in page.source
    said = " ".join(one.text_content() for one in page.document.xpath("//div[@role='alert']//li"))
    assert "Price 1, tier 2, up to (units): must be greater than 100, where the tier before ends" in said
    assert "Currency: choose a currency" in said
    assert "Price 1, agent: choose an agent" in said
    for name in ("entries[0].tiers[1].up_to", "entries[0].tiers[0].price_per_unit", "entries[0].agent", "key"):
        field = page.find(f"//*[@name='{name}']")
        assert field.get("aria-invalid") == "true"
        assert page.id(field.get("aria-describedby").split()[0])
    assert page.id("f-entries[0].period_cap-problem") == "must be at least 5, the value of “At least per period”"
    assert page.id("f-effective_from-problem") == "must look like 2026-01-31T09:30:00.000Z"
    assert api.get("/v1/rate-cards")["data"] == []


def test_a_card_may_be_called_new(desk: Desk, api: Office) -> None:
    made(api, "/v1/rate-cards", {"key": "new", "currency": "EUR", "entries": []})
    page = desk.get(desk.get(LIST).links()["new"])
    assert page.find("//h1").text == "new"
    assert desk.get(page.links()["Edit"]).find("//h1").text == "Edit new"
    assert desk.get(NEW).find("//h1").text == "New rate card"


def test_a_key_that_there_is_already_is_refused_with_a_remedy(desk: Desk, api: Office) -> None:
    stocked(api)
    page = pressed(desk, desk.get(NEW), "Remove price 1", key="standard", currency="USD")
    page = pressed(desk, page, "Create rate card")
    assert page.status == 409
    assert 'there is a rate card "standard" already; change that one' in page.text
    assert (value(page, "key"), value(page, "currency")) == ("standard", "USD")


def test_what_was_typed_for_another_kind_comes_back_with_it(desk: Desk, api: Office) -> None:
    carded(api, {"agent": "support", "price_per_unit": "0.99"})
    page = pressed(desk, desk.get(EDIT), "Show its fields", **fields(kind="package"))
    assert {"package_size", "price_per_package"} <= shown(page)
    assert "price_per_unit" not in shown(page)
    page = pressed(desk, page, "Show its fields", **fields(kind="flat"))
    assert value(page, "entries[0].price_per_unit") == "0.99"


def test_a_card_of_all_kinds_is_in_its_form_as_it_is(desk: Desk, api: Office) -> None:
    carded(api, *EVERY_KIND)
    page = pressed(desk, desk.get(EDIT), "Save as a new version")
    assert page.id("told") == "Nothing was changed: it was so already."
    assert api.get("/v1/rate-cards/standard")["versions"] == 1


def test_a_change_says_from_when_on_it_holds(desk: Desk, api: Office) -> None:
    stocked(api)
    page = pressed(desk, desk.get(EDIT), "Save as a new version", **fields(price_per_unit="2"))
    assert "Version 2 is saved. Outcomes that open from now on have these prices" in page.id("told")
    later = {"effective_from": "2097-01-31T10:30", **fields(price_per_unit="3")}
    page = pressed(desk, desk.get(EDIT), "Save as a new version", **later)
    assert "Version 3 is saved. Outcomes that open from 31 Jan 2097, 10:30 UTC on have these prices" in page.id("told")
    card = api.get("/v1/rate-cards/standard")
    assert (card["version"], card["scheduled"]) == (2, ["2097-01-31T10:30:00.000Z"])
    assert "Another version takes effect on" in desk.get(EDIT).text
    [_, change] = [one for one in changes(api) if one["what"] == "rate_card.update"]
    assert change["after"]["entries"][0]["price_per_unit"] == "3"


def test_what_somebody_else_saved_meanwhile_is_not_overwritten_unseen(desk: Desk, api: Office) -> None:
    stocked(api)
    page = desk.get(EDIT)
    assert api.ask("PATCH", "/v1/rate-cards/standard", {"entries": []}).status == 200
    page = pressed(desk, page, "Save as a new version", **fields(price_per_unit="2"))
    assert page.status == 409
    assert "another version was saved since this form was opened" in page.text
    assert api.get("/v1/rate-cards/standard")["entries"] == []
    page = pressed(desk, page, "Save as a new version")
    assert api.get("/v1/rate-cards/standard")["entries"][0]["price_per_unit"] == "2"


def test_one_price_is_changed_and_the_others_stay(desk: Desk, api: Office) -> None:
    carded(api, *EVERY_KIND)
    agents(api, "further")
    page = desk.get(desk.get(CARD_PAGE).links()["change the price of percentage"])
    assert "The other 4 prices stay as they are." in page.text
    page = pressed(desk, page, "Save as a new version", **fields(percent="x"))
    assert page.status == 400
    assert page.find("//*[@name='entries[0].percent']").get("aria-invalid") == "true"
    pressed(desk, page, "Save as a new version", **fields(percent="3"))
    page = desk.get(desk.get(CARD_PAGE).links()["Add a price"])
    pressed(desk, page, "Save as a new version", **fields(agent="further", price_per_unit="8"))
    words = api.get("/v1/rate-cards/standard")["words"]
    assert len(words) == 6
    assert words["percentage"].startswith("3 % of the unit")
    assert words["further"] == "8 per unit"


def test_a_card_with_more_prices_than_a_form_holds_is_changed_one_by_one(desk: Desk, api: Office) -> None:
    names = [f"agent-{number:03}" for number in range(MOST_EDITED + 1)]
    carded(api, *[{"agent": name, "price_per_unit": "1"} for name in names])
    page = desk.get(CARD_PAGE)
    assert "Edit" not in page.links()
    page = desk.get(page.links()["change the price of agent-007"])
    assert value(page, "entries[0].agent") == "agent-007"
    pressed(desk, page, "Save as a new version", **fields(price_per_unit="7"))
    words = api.get("/v1/rate-cards/standard")["words"]
    assert len(words) == MOST_EDITED + 1
    assert words["agent-007"] == "7 per unit"
    assert len(desk.get(EDIT).document.xpath("//fieldset")) == 1, "somebody who comes by the address adds one"


def test_the_largest_form_is_not_too_heavy(desk: Desk, api: Office) -> None:
    names = [f"agent-with-a-name-{number:03}" for number in range(MOST_CHOICES)]
    agents(api, *names[MOST_EDITED:])
    carded(api, *[{**TIERED, "agent": name} for name in names[:MOST_EDITED]])
    page = desk.get(EDIT)
    assert len(page.document.xpath("//fieldset")) == MOST_EDITED
    assert len(page.source.encode()) < 200_000


def test_the_preview_needs_only_the_price_that_it_is_about(desk: Desk, api: Office) -> None:
    agents(api, "support")
    page = pressed(desk, desk.get(NEW), "Add a price for another agent", currency="JPY")
    assert "Price 1, price per unit: is missing; write a number such as 0.99" in page.id("preview")
    second = {"of": "1", "outcomes": "3", "entries[1].price_per_unit": "148.5"}
    page = pressed(desk, page, "Calculate", **second)
    assert page.id("preview-total") == "447"
    assert ["Rounding of each outcome", "", "", "1.5"] in page.table("What it would cost")
    page = pressed(desk, page, "Calculate", units="0 0.5 nonsense")
    assert 'Units of outcome 3: "nonsense": must be a plain decimal number' in page.id("preview")


def test_who_reads_sees_no_way_to_change_and_is_refused(reader: Desk, desk: Desk, api: Office) -> None:
    stocked(api)
    page = reader.get(CARD_PAGE)
    assert not {"Edit", "Add a price", "change the price of support"} & set(page.links())
    assert not page.document.xpath("//form[contains(@action, '/archive')]")
    for path in (NEW, EDIT):
        assert reader.get(path).status == 403
    key = page.document.xpath("//input[@name='form_key']/@value")[0]
    for path in (NEW, EDIT, OWN, f"{CARD_PAGE}/archive", f"{CARD_PAGE}/restore"):
        answer = reader.send(path, {"form_key": key, "do": "save", "key": "x", "currency": "EUR", "confirmed": "yes"})
        assert answer.status == 403
    assert reader.get(OWN).document.xpath("//form[@id='editor']") == []
    assert api.get("/v1/rate-cards/standard")["versions"] == 1


def test_cards_that_there_are_not_are_not_found(desk: Desk) -> None:
    for path in (CARD_PAGE, EDIT, OWN):
        assert desk.get(path).status == 404


def test_without_agents_the_form_says_so(desk: Desk) -> None:
    assert desk.get(NEW).links()["Create one first"] == "/dashboard/agents/new"


def test_many_agents_are_written_with_suggestions(desk: Desk, api: Office) -> None:
    agents(api, *[f"agent-{number:02}" for number in range(31)])
    page = desk.get(NEW)
    field = page.find("//input[@name='entries[0].agent']")
    assert page.document.get_element_by_id(field.get("list")).xpath("count(option)") == 31
    page = pressed(
        desk, page, "Create rate card", key="x", currency="EUR", **fields(agent="agnt-07", price_per_unit="1")
    )
    assert 'did you mean "agent-07"?' in page.id("f-entries[0].agent-problem")


# -- prices of one customer alone -------------------------------------------------------------------------------------


def test_a_customer_gets_prices_of_its_own_that_begin_with_those_of_its_card(desk: Desk, api: Office) -> None:
    carded(api, *EVERY_KIND, currency="KWD")
    made(api, "/v1/customers", CUSTOMER)
    page = desk.get(OWN)
    assert "in KWD" in page.text
    page = desk.get(page.links()["agree another price for package"].partition("#")[0])
    assert value(page, "entries[0].price_per_package") == "9"
    assert "Price per package (KWD)" in page.text
    page = pressed(desk, page, "Save own prices", **fields(price_per_package="7.5"))
    assert page.path == "/dashboard/customers/acme"
    assert "own prices are saved. Outcomes that open from now on have these prices" in page.id("told")
    assert api.get("/v1/customers/acme")["entries"] == [
        {"agent": "package", "kind": "package", "package_size": "100", "price_per_package": "7.5"}
    ]
    [change] = [one for one in changes(api) if one["what"] == "customer.update"]
    assert change["before"]["name"] == change["after"]["name"] == "Acme"
    page = desk.get(OWN)
    rows = {row[0]: row[1] for row in page.table("Prices of its card")}
    assert rows["package"].endswith("own price instead")
    page = pressed(desk, page, "Save own prices", **fields(price_per_package="-1"))
    assert page.status == 400
    assert "must not be negative" in page.id("f-entries[0].price_per_package-problem")
    page = pressed(desk, pressed(desk, page, "Remove price 1"), "Save own prices")
    assert api.get("/v1/customers/acme")["entries"] == []


def test_who_reads_sees_the_own_prices_of_a_customer(reader: Desk, api: Office) -> None:
    stocked(api)
    assert "Nothing: it pays what its card says." in reader.get(OWN).text
    own = {"entries": [{"agent": "support", "price_per_unit": "0.8"}]}
    assert api.ask("PATCH", "/v1/customers/acme", own).status == 200
    assert "support0.80 per unit" in reader.get(OWN).text


def test_a_customer_without_a_card_is_given_one_first(desk: Desk, api: Office) -> None:
    made(api, "/v1/customers", {"key": "acme"})
    page = desk.get(OWN)
    assert page.links()["Choose a rate card"] == "/dashboard/customers/acme/edit"
    key = page.document.xpath("//input[@name='form_key']/@value")[0]
    assert desk.send(OWN, {"form_key": key, "do": "save"}).status == 409


# -- with a browser ---------------------------------------------------------------------------------------------------


def test_fields_and_costs_follow_what_is_chosen_and_typed(window: Window, api: Office) -> None:
    agents(api, "support")
    window.open(NEW)
    page = window.page
    page.get_by_label("Key").fill("standard")
    page.get_by_label("Currency").select_option("EUR")
    page.get_by_label("Price per unit (EUR)").wait_for()
    assert page.get_by_label("Key").input_value() == "standard"
    page.get_by_label("Agent").select_option("support")
    page.get_by_label("Kind of price").select_option("graduated")
    page.get_by_label("Tier 1, Up to").fill("10")
    page.get_by_label("Tier 1, Price per unit").fill("2")
    page.get_by_role("button", name="Add a tier").click()
    page.get_by_label("Tier 3, Price per unit").wait_for()
    page.get_by_label("Tier 2, Up to").fill("20")
    page.get_by_label("Tier 2, Price per unit").fill("1.5")
    page.get_by_label("Tier 3, Price per unit").fill("1")
    page.locator("#preview-total", has_text="115.00").wait_for()
    page.get_by_label("Outcomes in the period").fill("15")
    page.locator("#preview-total", has_text="27.50").wait_for()
    # Enter in a field saves nothing: it would be too easy to press.
    page.get_by_label("Key").press("Enter")
    page.get_by_role("button", name="Create rate card").click()
    page.get_by_text("Rate card standard is created.").wait_for()
    assert api.get("/v1/rate-cards/standard")["words"] == {"support": "graduated: 2 up to 10, 1.5 up to 20, 1 beyond"}


def test_what_is_wrong_is_marked_in_the_browser_too(window: Window, api: Office) -> None:
    stocked(api)
    window.open(EDIT)
    page = window.page
    page.get_by_label("Price per unit (EUR)").fill("lots")
    page.get_by_role("button", name="Save as a new version").click()
    page.get_by_text("This could not be saved:").wait_for()
    assert page.get_by_label("Price per unit (EUR)").input_value() == "lots"
    assert api.get("/v1/rate-cards/standard")["versions"] == CARD.get("versions", 1)
