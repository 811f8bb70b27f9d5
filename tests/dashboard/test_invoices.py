"""Invoices and credit notes as people find, read, print and take them away."""

import csv
import io
import json
import re
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from msgspec.structs import replace

from tests.billing.bills import TIERS, price, rows_of
from tests.dashboard.browser import Tab
from tests.dashboard.client import Dashboard, Page, figures
from tests.support.invoices import outcome_row
from tests.web.api_server import ApiServer
from tests.web.invoices import AHEAD, ROWS, closed, put, rows
from witnd.app.invoices import operations as asked
from witnd.domain.invoices.invoice import Invoice

OTHER_YEAR = AHEAD.start + 400 * 86_400_000
NAMED = """
[[customers]]
key = "acme"
name = "Acme Robotics GmbH"
rate_card = "standard"
[[agents]]
key = "support"
condition = [{ fact = "replied", operator = "seen" }]
[[rate_cards]]
key = "standard"
currency = "EUR"
entries = [{ agent = "support", price_per_unit = "0.995" }]
"""
HOSTILE = "a/b?c#d%41 <script>alert(1)</script> \"'é☃"
LIST = "/dashboard/invoices"
NOTES = "/dashboard/credit-notes"


def do(api: ApiServer, invoice: Invoice, operation: str, **body: Any) -> Any:
    answer = api.ask("POST", f"/v1/invoices/{invoice.id}/{operation}", body or None)
    assert answer.status in (200, 201), answer.body
    return answer.json


def names(page: Page, label: str = "invoices") -> list[str]:
    """Each row's first cell."""
    return [row[0] for row in page.rows(label)]


def notes(page: Page) -> list[str]:
    """The number of each credit note."""
    return [name.split()[0] for name in names(page, "credit-notes")]


def followed(admin: Dashboard, page: Page, end: str) -> Page:
    """Where the one link in the page leads whose address has this end."""
    [to] = {href for href in page.document.xpath("//main//a/@href") if href.endswith(end)}
    return admin.get(to)


def figures_of(text: str) -> list[str]:
    return re.findall(r"[0-9][0-9,.]*[0-9]|[0-9]", text)


class TestList:
    def test_an_empty_one_tells_when_the_first_appears(self, admin: Dashboard) -> None:
        page = admin.get(LIST)
        assert page.status == 200
        assert page.cases == ["none-yet"]
        steps = page.document.xpath("//ol[@class='steps']/li")
        assert [figures(one) for one in steps] == [[], [], [], ["1"]], "days until it is issued, as it is set up here"
        assert not page.rows("invoices")

    def test_the_newest_period_comes_first_with_sums_and_what_is_to_be_paid(
        self, admin: Dashboard, api: ApiServer
    ) -> None:
        api.deployment.apply(NAMED)
        old = put(api, "acme")
        put(api, "acme", ROWS[:1], currency="USD", closed=False)
        new = put(api, "other", at=OTHER_YEAR)
        do(api, old, "credit", outcome_key="ticket-1", amount="1.50", reason="late")
        do(api, old, "issue")
        page = admin.get(LIST)
        table = page.rows("invoices")
        states = [state for [state] in page.states("invoices")]
        assert table[0][1:3] + table[0][4:] == ["other", "November 2097", "2", "10.00 EUR", "–"]
        assert f"{LIST}/{new.id}" in page.items("invoices")[0].xpath(".//@href")
        assert states[0] == "draft"
        row = next(row for row in table if row[0] == "INV-000001")
        assert row[1:3] + row[4:] == ["Acme Robotics GmbH", "October 2096", "2", "8.50 EUR", "8.50 EUR"]
        assert states[table.index(row)] == "issued"
        assert [row[4:] for row, state in zip(table, states, strict=True) if state == "open"] == [
            ["1", "6.00 USD", "–"]
        ]
        assert admin.get(page.links()["INV-000001"]).find("//h1").text == "INV-000001"

    def test_nothing_is_to_be_paid_of_what_is_paid_or_void(self, admin: Dashboard, api: ApiServer) -> None:
        paid, void = put(api, "acme"), put(api, "other")
        for each in (paid, void):
            do(api, each, "issue")
        do(api, paid, "pay")
        do(api, void, "void", reason="wrong")
        page = admin.get(LIST)
        assert sorted(page.states("invoices")) == [["paid"], ["void"]]
        assert [row[-2:] for row in page.rows("invoices")] == [["10.00 EUR", "0.00 EUR"]] * 2

    def test_amounts_have_the_digits_of_their_currency_and_outcomes_without_a_price_are_told(
        self, admin: Dashboard, api: ApiServer
    ) -> None:
        put(api, "a", [outcome_row("yen", "1200000", AHEAD.start)], currency="JPY")
        put(api, "b", [outcome_row("dinar", "1234.500", AHEAD.start)], currency="KWD")
        put(api, "c", [*rows(1), outcome_row("later", None, AHEAD.start)], closed=False)
        page = admin.get(LIST)
        amounts = {row[1]: row[-2] for row in page.rows("invoices")}
        assert amounts["a"] == "1,200,000 JPY"
        assert amounts["b"] == "1,234.500 KWD"
        assert amounts["c"].startswith("1.00 EUR ")
        assert figures(page.find("//*[@data-fact='unrated']")) == ["1"]

    def test_filters_are_in_the_address_and_stay_in_the_form(self, admin: Dashboard, api: ApiServer) -> None:
        one = put(api, "acme")
        put(api, "acme", currency="USD", closed=False)
        put(api, "other", at=OTHER_YEAR)
        do(api, one, "issue")
        page = admin.submit(admin.get(LIST), LIST, status="issued", customer="acme", currency="eur", period="2096-10")
        assert names(page) == ["INV-000001"]
        assert page.find("//select[@name='status']/option[@selected]").get("value") == "issued"
        assert page.find("//input[@name='period']").get("value") == "2096-10"
        for query, many in (("status=open", 1), ("status=open,draft", 2), ("customer=acme", 2), ("currency=usd", 1),
                            ("period=2096", 2), ("period=2097-11", 1), ("status=paid", 0)):  # fmt: skip
            assert len(names(admin.get(f"{LIST}?{query}"))) == many, query
        page = admin.get(f"{LIST}?status=open,draft")
        assert page.find("//select[@name='status']/option[@selected]").get("value") == "open,draft"
        assert admin.get(f"{LIST}?status=paid").cases == ["no-match"]

    @pytest.mark.parametrize(("name", "value"), [("period", "soon"), ("status", "<b>late")])
    def test_a_filter_that_means_nothing_is_told_and_kept(self, admin: Dashboard, name: str, value: str) -> None:
        page = admin.get(f"{LIST}?{name}={quote(value)}&customer=acme")
        assert page.status == 400
        assert repr(value) in page.find("//*[@role='alert']").text_content()
        assert page.find("//input[@name='customer']").get("value") == "acme"
        assert not page.document.xpath("//main//b")
        assert admin.get(f"{LIST}?after=nonsense").status == 400

    def test_pages_lead_on_with_their_filters(
        self, admin: Dashboard, api: ApiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("witnd.web.dashboard.pages.invoices.invoices.LIMIT", 2)
        for n in range(5):
            put(api, f"customer-{n}", ROWS[:1])
        put(api, "elsewhere", currency="USD")
        page, seen = admin.get(f"{LIST}?currency=EUR"), []
        while True:
            seen += [row[1] for row in page.rows("invoices")]
            if "next" not in page.pages:
                break
            page = admin.get(page.pages["next"])
        assert sorted(seen) == [f"customer-{n}" for n in range(5)]
        assert admin.get(page.pages["first"]).path == f"{LIST}?currency=EUR"

    def test_a_rare_thing_is_looked_for_further_on(
        self, admin: Dashboard, api: ApiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(asked, "LOOKED_AT_MAX", 1)
        put(api, "rare", currency="USD")
        put(api, "usual", at=OTHER_YEAR)
        page = admin.get(f"{LIST}?currency=USD")
        assert "further" in page.pages
        assert names(admin.get(page.pages["further"]))

    def test_what_is_filtered_is_exported(self, admin: Dashboard, api: ApiServer) -> None:
        put(api, "acme")
        put(api, "other", rows(3))
        page = admin.get(f"{LIST}?customer=other")
        files = [to for to in page.document.xpath("//main//a/@href") if "/export" in to]
        assert len(files) == 4
        found = {to.partition("?")[2]: admin.get(to) for to in files}
        heads = found["customer=other&format=jsonl&what=invoices"]
        assert [json.loads(line)["customer_key"] for line in heads.source.splitlines()] == ["other"]
        table = found["customer=other&format=csv&what=lines"]
        assert table.headers["content-disposition"] == 'attachment; filename="lines.csv"'
        assert [line["outcome_key"] for line in csv.DictReader(io.StringIO(table.source))] == [
            row.outcome_key for row in rows(3)
        ]

    def test_files_are_for_those_who_are_signed_in_alone(self, admin: Dashboard, api: ApiServer) -> None:
        one = put(api)
        nobody = Dashboard(api, None)
        for path in (f"{LIST}/export", f"{LIST}/{one.id}/export", f"{LIST}/{one.id}/print", f"{NOTES}/export"):
            assert nobody.get(path).path.startswith("/dashboard/sign-in")
        for wrong in ("format=xml", "what=all", "period=soon", "format=html"):
            assert admin.get(f"{LIST}/export?{wrong}").status == 400, wrong


class TestOne:
    def test_a_draft_tells_whose_it_is_what_comes_next_and_every_line(self, admin: Dashboard, api: ApiServer) -> None:
        api.deployment.apply(NAMED)
        one = put(api)
        page = admin.get(f"{LIST}/{one.id}")
        assert page.find("//h1").text.endswith("Acme Robotics GmbH")
        assert page.state("stage") == "draft"
        assert page.links()["Acme Robotics GmbH"] == "/dashboard/customers/acme"
        assert page.fact("period") == "1 – 31 October 2096 (UTC)"
        assert "no-number" in page.cases
        assert page.find("//*[@data-fact='issues']/time").text == "2 Nov 2096, 00:00 UTC"
        assert [row[1] for row in page.rows("sums")] == ["10.00", "10.00"]
        [first, second] = page.rows("lines")
        assert first[0].startswith("ticket-1 ")
        assert "1 × 6.00 = 6.00" in first[0]
        assert first[1:5] == ["support", "1 Oct 2096, 00:00 UTC", "1", "6.00"]
        assert second[-1].startswith("4.00")
        assert page.links()["ticket-1"] == "/dashboard/outcomes/ticket-1"

    def test_an_open_one_tells_until_when_it_collects_and_what_is_not_priced(
        self, admin: Dashboard, api: ApiServer
    ) -> None:
        one = put(api, "acme", [*rows(1), outcome_row("later", None, AHEAD.start)], closed=False)
        page = admin.get(f"{LIST}/{one.id}")
        assert page.state("stage") == "open"
        assert page.fact("closes") == "1 Nov 2096, 00:00 UTC"
        assert figures(page.find("//*[@data-fact='outcomes']")) == ["2", "1"], "one of them without a price"
        cases = {
            row[0].split()[0]: case for row, case in zip(page.rows("lines"), page.item_cases("lines"), strict=True)
        }
        assert cases == {"ticket-00000": [], "later": ["at-close"]}

    def test_it_is_found_by_number_too_and_tells_when_it_was_issued_paid_and_why_it_is_void(
        self, admin: Dashboard, api: ApiServer
    ) -> None:
        one, other = put(api), put(api, "other")
        do(api, one, "issue")
        do(api, one, "pay")
        do(api, other, "issue")
        do(api, other, "void", reason="sent to <b>the wrong</b> company")
        paid = admin.get(f"{LIST}/INV-000001")
        assert paid.rows("sums")[-1][1] == "0.00"
        assert paid.document.xpath("//*[@data-fact='issued' or @data-fact='paid']/time")[1] is not None
        void = admin.get(f"{LIST}/INV-000002")
        assert void.state("stage") == "void"
        assert void.fact("reason") == "sent to <b>the wrong</b> company"
        assert figures(void.find("//*[@data-fact='due']"))[0] == "0.00"

    def test_fees_minimums_and_credits_stand_apart_each_with_how_it_came_about(
        self, admin: Dashboard, api: ApiServer
    ) -> None:
        graduated = price("fraud", kind="graduated", tiers=TIERS, free_quota="3")
        least = price("support", price_per_unit="1", period_minimum="40")
        work = [("case", graduated, ["4", "9", "8", "11"]), ("ticket", least, ["2"])]
        # The catalogue does not have these prices.
        one = put(api, "acme", [replace(row, price_hash=None) for row in rows_of("ab" * 32, work, AHEAD.start)])
        do(api, one, "credit", outcome_key="case-0002", amount="1.50", reason="Reopened by phone")
        page = admin.get(f"{LIST}/{one.id}")
        cells = page.rows("lines")
        heads = page.document.xpath("//*[@data-list='lines']//th[@scope='rowgroup']/@data-case")
        assert heads == ["adjustment", "credit"]
        fees = [row for row in cells if len(row) > 1 and "case-" not in row[0] and "ticket-" not in row[0]]
        assert ["2.00", "40", "38.00"] in [figures_of(row[0])[:3] for row in fees], "the minimum of the period"
        assert any(row[-1].startswith("5.00") for row in fees), "the flat fee"
        case = next(row for row in cells if row[0].startswith("case-0002"))
        assert "9 × 1.25 (" in case[0]
        assert ") = 11.25" in case[0]
        assert case[-1].startswith("11.25")
        assert "−1.50" in page.fact("given-back")
        assert cells[-1][0].endswith("case-0002 Reopened by phone")
        assert cells[-1][-1] == "−1.50", "nothing is given back of a credit"

    def test_lines_come_in_pages(self, admin: Dashboard, api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("witnd.web.dashboard.pages.invoices.invoice.LIMIT", 4)
        one = put(api, "acme", rows(9))
        page, seen = admin.get(f"{LIST}/{one.id}"), []
        while True:
            seen += [row[0].split()[0] for row in page.rows("lines")]
            if "next" not in page.pages:
                break
            page = admin.get(page.pages["next"])
        assert seen == [row.outcome_key for row in rows(9)]
        assert "first" in page.pages

    def test_a_place_in_the_lines_of_an_open_one_begins_again_when_it_is_closed(
        self, admin: Dashboard, api: ApiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("witnd.web.dashboard.pages.invoices.invoice.LIMIT", 2)
        lines = rows(4)
        one = put(api, "acme", lines, closed=False)
        onward = admin.get(f"{LIST}/{one.id}").pages["next"]
        closed(api, one, lines)
        page = admin.get(onward)
        assert (page.status, page.path) == (200, f"{LIST}/{one.id}")
        assert page.message
        assert page.rows("lines")[0][0].startswith("ticket-00000")
        assert admin.get(f"{LIST}/{one.id}?after=nonsense").status == 400

    @pytest.mark.parametrize(
        "path", [f"{LIST}/nothing", f"{LIST}/{'ab' * 32}", f"{LIST}/nothing/export", f"{LIST}/nothing/print",
                 f"{LIST}/nothing/credit?row=a", f"{NOTES}/CN-1", f"{NOTES}/CN-1/print", f"{LIST}/%00"]
    )  # fmt: skip
    def test_what_is_not_there_is_not_found(self, admin: Dashboard, path: str) -> None:
        assert admin.get(path).status == 404

    def test_text_of_others_stays_text_and_their_keys_lead_where_they_should(
        self, admin: Dashboard, api: ApiServer
    ) -> None:
        one = put(api, HOSTILE, [outcome_row(HOSTILE, "6.00", AHEAD.start)])
        do(api, one, "credit", outcome_key=HOSTILE, amount="1.00", reason=HOSTILE)
        do(api, one, "issue")
        do(api, one, "credit", outcome_key=HOSTILE, amount="1.00", reason=HOSTILE)
        for path in (LIST, f"{LIST}/INV-000001", NOTES, f"{NOTES}/CN-000001", f"{LIST}?customer={quote(HOSTILE)}",
                     f"{LIST}/INV-000001/credit?outcome={quote(HOSTILE, safe='')}"):  # fmt: skip
            page = admin.get(path)
            assert page.status == 200, path
            assert "alert(1)" in page.text
            assert not page.document.xpath("//main//script"), path
        page = admin.get(f"{LIST}/INV-000001")
        for part in ("outcomes", "customers"):
            assert f"/dashboard/{part}/{quote(HOSTILE, safe='')}" in page.document.xpath("//main//a/@href")
        credit = followed(admin, page, f"/INV-000001/credit?outcome={quote_plus(HOSTILE)}")
        assert credit.status == 200
        assert "INV-000001" in credit.find("//h1").text

    def test_it_goes_out_as_files_and_as_items_for_stripe(
        self, admin: Dashboard, reader: Dashboard, api: ApiServer
    ) -> None:
        one = put(api)
        do(api, one, "issue")
        page = reader.get(f"{LIST}/INV-000001")
        lines = [json.loads(line) for line in followed(reader, page, "/export?format=jsonl").source.splitlines()]
        assert [line["outcome_key"] for line in lines] == ["ticket-1", "ticket-2"]
        table = followed(reader, page, "/export?format=csv")
        assert table.headers["content-disposition"] == 'attachment; filename="INV-000001.csv"'
        items = reader.submit(page, f"{LIST}/INV-000001/export", stripe_customer=" cus_1 ")
        assert [json.loads(line)["invoice_item"]["amount"] for line in items.source.splitlines()] == [600, 400]
        whole = reader.submit(page, f"{LIST}/INV-000001/export", stripe_customer="cus_1", what="invoices")
        assert [json.loads(line)["invoice_item"]["amount"] for line in whole.source.splitlines()] == [1000]

    def test_what_stripe_cannot_have_is_told_on_the_page_with_what_was_typed(
        self, admin: Dashboard, api: ApiServer
    ) -> None:
        one = put(api)
        page = admin.submit(admin.get(f"{LIST}/{one.id}"), f"{LIST}/{one.id}/export", stripe_customer="Acme & Co")
        assert page.status == 400
        assert page.find("//input[@name='stripe_customer']").get("value") == "Acme & Co"
        assert page.invalid == ["stripe_customer"]
        page = admin.submit(page, f"{LIST}/{one.id}/export", stripe_customer="cus_1")
        assert page.status == 409
        assert page.is_refused
        assert "/dashboard/outcomes" in page.hrefs, "still somebody who is signed in"

    def test_it_is_printed_as_a_page_of_its_own(self, admin: Dashboard, api: ApiServer) -> None:
        api.deployment.apply(NAMED)
        one = put(api)
        do(api, one, "issue")
        printed = followed(admin, admin.get(f"{LIST}/{one.id}"), "/print")
        assert printed.status == 200
        assert printed.headers["content-disposition"] == 'inline; filename="INV-000001.html"'
        assert "style-src 'unsafe-inline'" in printed.headers["content-security-policy"]
        assert "script" not in printed.headers["content-security-policy"]
        assert "Acme Robotics GmbH" in printed.text


class TestCreditNotes:
    def test_there_are_none_before_something_is_given_back(self, admin: Dashboard) -> None:
        assert admin.get(NOTES).cases == ["none-yet"]

    def test_they_are_found_read_printed_and_exported(self, admin: Dashboard, api: ApiServer) -> None:
        api.deployment.apply(NAMED)
        one, other = put(api, "acme"), put(api, "other")
        for each in (one, other):
            do(api, each, "issue")
            do(api, each, "credit", outcome_key="ticket-1", amount="1.50", reason="Reopened")
        page = admin.get(NOTES)
        assert notes(page) == ["CN-000002", "CN-000001"]
        assert notes(admin.get(f"{NOTES}?customer=acme")) == ["CN-000001"]
        assert notes(admin.get(f"{NOTES}?invoice=INV-000002")) == ["CN-000002"]
        export = followed(admin, admin.get(f"{NOTES}?invoice=INV-000002"), "format=jsonl")
        assert [json.loads(line)["number"] for line in export.source.splitlines()] == ["CN-000002"]
        note = followed(admin, page, "/CN-000001")
        assert note.fact("amount") == "1.50 EUR"
        assert note.links()["Acme Robotics GmbH"] == "/dashboard/customers/acme"
        assert note.links()["INV-000001"] == f"{LIST}/INV-000001"
        assert note.rows("lines") == [["ticket-1", "support", "Reopened", "−1.50"]]
        printed = followed(admin, note, "/print")
        assert printed.headers["content-disposition"] == 'inline; filename="CN-000001.html"'
        assert followed(admin, note, "/export?format=csv").source.count("\r\n") == 2
        invoice = admin.get(f"{LIST}/INV-000001")
        assert invoice.rows("credit-notes") == [["CN-000001", "Reopened", invoice.rows("credit-notes")[0][2], "1.50"]]

    def test_filters_that_find_nothing_or_contradict_are_told_and_kept(self, admin: Dashboard, api: ApiServer) -> None:
        do(api, put(api), "issue")
        for query in ("invoice=INV-9", "invoice=INV-000001&customer=acme"):
            page = admin.get(f"{NOTES}?{query}")
            assert page.status == 400
            assert page.find("//*[@role='alert']") is not None
            assert page.find("//input[@name='invoice']").get("value").startswith("INV-")
        assert admin.get(f"{NOTES}?customer=nobody").cases == ["no-match"]

    def test_they_come_in_pages(self, admin: Dashboard, api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("witnd.web.dashboard.pages.invoices.credit_notes.LIMIT", 2)
        one = put(api)
        do(api, one, "issue")
        for _ in range(3):
            do(api, one, "credit", outcome_key="ticket-1", amount="0.50", reason="late")
        for query in ("", "?customer=acme", "?invoice=INV-000001"):
            page = admin.get(NOTES + query)
            assert notes(page) == ["CN-000003", "CN-000002"]
            assert notes(admin.get(page.pages["next"])) == ["CN-000001"]


class TestBrowser:
    def test_the_printed_page_has_its_styles_and_breaks_no_policy(self, api: ApiServer, tab: Tab) -> None:
        do(api, put(api), "issue")
        tab.open(f"{LIST}/INV-000001")
        with tab.page.expect_popup() as opened:
            tab.page.locator("a[href$='/print']").first.click()
        assert opened.value.url.endswith("/print")
        opened.value.close()
        tab.open(f"{LIST}/INV-000001/print")
        sheet = tab.page.locator("body").evaluate("(body) => getComputedStyle(body).fontFamily")
        assert "Times" not in sheet, "it is styled"
        assert tab.page.locator("table").first.evaluate(
            "(table) => getComputedStyle(table).borderCollapse"
        ) == "collapse"  # fmt: skip

    def test_an_invoice_that_is_open_changes_while_it_is_looked_at(self, api: ApiServer, tab: Tab) -> None:
        one = put(api)
        tab.open(f"{LIST}/{one.id}")
        tab.page.locator("#stage [data-state=draft]").wait_for()
        tab.page.locator("#do-issue").wait_for()
        do(api, one, "issue")
        tab.page.locator("#stage [data-state=issued]").wait_for()
        tab.page.locator("#do-payments").wait_for()

    def test_what_is_typed_stays_while_others_change_things(self, api: ApiServer, tab: Tab) -> None:
        one = put(api)
        do(api, one, "issue")
        tab.open(f"{LIST}/INV-000001")
        tab.page.locator("#do-payments summary").click()
        tab.field("reference").fill("wrong company")
        tab.page.locator("h1").click()
        do(api, one, "credit", outcome_key="ticket-1", amount="1.50", reason="late")
        tab.page.locator("#lines [data-fact=given-back]", has_text="−1.50").wait_for()
        assert tab.field("reference").input_value() == "wrong company"

    def test_filters_are_applied_without_loading_the_page(self, api: ApiServer, tab: Tab) -> None:
        put(api, "acme")
        put(api, "other")
        tab.open(LIST)
        tab.page.evaluate("window.same = true")
        tab.field("customer").fill("other")
        tab.page.locator("#search").click()
        tab.page.wait_for_function("() => document.querySelectorAll('#list tbody tr').length === 1")
        assert tab.page.url.endswith(f"{LIST}?customer=other")
        assert tab.page.evaluate("window.same") is True
