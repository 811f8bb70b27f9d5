"""Invoices and credit notes as people find, read, print and take them away."""

import csv
import io
import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.billing.bills import TIERS, price, rows_of
from tests.dashboard.desk import Desk, Page, words
from tests.dashboard.window import Window
from tests.support.invoices import outcome_row
from tests.web.office import Office
from tests.web.papers import AHEAD, ROWS, closed, put, rows
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


def do(api: Office, invoice: Invoice, operation: str, **body: Any) -> Any:
    answer = api.ask("POST", f"/v1/invoices/{invoice.id}/{operation}", body or None)
    assert answer.status in (200, 201), answer.body
    return answer.json


def names(page: Page, label: str = "Invoices") -> list[str]:
    """Each row's first cell."""
    return [row[0] for row in page.table(label)]


def notes(page: Page) -> list[str]:
    """The number of each credit note."""
    return [name.split()[0] for name in names(page, "Credit notes")]


def facts(page: Page) -> dict[str, str]:
    """What the lists of facts on a page say."""
    pairs = [(one, one.getnext()) for one in page.document.xpath("//dl/dt")]
    return {words(name): words(says) for name, says in pairs}


def followed(desk: Desk, page: Page, text: str) -> Page:
    """Where the one link with this text leads."""
    [to] = {one.get("href") for one in page.document.xpath("//a[@href]") if one.text_content().strip() == text}
    return desk.get(to)


class TestList:
    def test_an_empty_one_tells_when_the_first_appears(self, desk: Desk) -> None:
        page = desk.get(LIST)
        assert page.status == 200
        assert "No invoices yet" in page.text
        for step in ("An outcome is confirmed", "It becomes a line", "The period ends", "The invoice is issued"):
            assert step in page.text
        assert "by itself, 1 day later" in page.text, "as it is set up here"
        assert not page.table("Invoices")

    def test_the_newest_period_comes_first_with_sums_and_what_is_to_be_paid(self, desk: Desk, api: Office) -> None:
        api.workshop.apply(NAMED)
        old = put(api, "acme")
        put(api, "acme", ROWS[:1], currency="USD", closed=False)
        new = put(api, "other", at=OTHER_YEAR)
        do(api, old, "credit", outcome_key="ticket-1", amount="1.50", reason="late")
        do(api, old, "issue")
        page = desk.get(LIST)
        table = page.table("Invoices")
        assert table[0] == ["Draft of other, EUR, November 2097", "other", "November 2097", "draft", "2",
                            "10.00 EUR", "–"]  # fmt: skip
        assert ["INV-000001", "Acme Robotics GmbH", "October 2096", "issued", "2",
                "8.50 EUR", "8.50 EUR"] in table  # fmt: skip
        assert [row[3:] for row in table if row[0].startswith("Collecting")] == [["collecting", "1", "6.00 USD", "–"]]
        assert desk.get(page.links()["INV-000001"]).find("//h1").text == "INV-000001"
        assert desk.get(page.links()["Draft of other, EUR, November 2097"]).path.endswith(new.id)

    def test_nothing_is_to_be_paid_of_what_is_paid_or_void(self, desk: Desk, api: Office) -> None:
        paid, void = put(api, "acme"), put(api, "other")
        for each in (paid, void):
            do(api, each, "issue")
        do(api, paid, "pay")
        do(api, void, "void", reason="wrong")
        assert {row[3]: row[-2:] for row in desk.get(LIST).table("Invoices")} == {
            "paid": ["10.00 EUR", "0.00 EUR"], "void": ["10.00 EUR", "0.00 EUR"],
        }  # fmt: skip

    def test_amounts_have_the_digits_of_their_currency_and_outcomes_without_a_price_are_told(
        self, desk: Desk, api: Office
    ) -> None:
        put(api, "a", [outcome_row("yen", "1200000", AHEAD.start)], currency="JPY")
        put(api, "b", [outcome_row("dinar", "1234.500", AHEAD.start)], currency="KWD")
        put(api, "c", [*rows(1), outcome_row("later", None, AHEAD.start)], closed=False)
        amounts = {row[1]: row[-2] for row in desk.get(LIST).table("Invoices")}
        assert amounts == {
            "a": "1,200,000 JPY",
            "b": "1,234.500 KWD",
            "c": "1.00 EUR and 1 outcome priced when the period closes",
        }

    def test_filters_are_in_the_address_and_stay_in_the_form(self, desk: Desk, api: Office) -> None:
        one = put(api, "acme")
        put(api, "acme", currency="USD", closed=False)
        put(api, "other", at=OTHER_YEAR)
        do(api, one, "issue")
        page = desk.submit(desk.get(LIST), LIST, status="issued", customer="acme", currency="eur", period="2096-10")
        assert names(page) == ["INV-000001"]
        assert page.find("//select[@name='status']/option[@selected]").get("value") == "issued"
        assert page.find("//input[@name='period']").get("value") == "2096-10"
        for query, many in (("status=open", 1), ("status=open,draft", 2), ("customer=acme", 2), ("currency=usd", 1),
                            ("period=2096", 2), ("period=2097-11", 1), ("status=paid", 0)):  # fmt: skip
            assert len(names(desk.get(f"{LIST}?{query}"))) == many, query
        page = desk.get(f"{LIST}?status=open,draft")
        assert page.find("//select[@name='status']/option[@selected]").get("value") == "open,draft"
        assert "No invoices match" in desk.get(f"{LIST}?status=paid").text

    @pytest.mark.parametrize(("name", "value"), [("period", "soon"), ("status", "<b>late")])
    def test_a_filter_that_means_nothing_is_told_and_kept(self, desk: Desk, name: str, value: str) -> None:
        page = desk.get(f"{LIST}?{name}={quote(value)}&customer=acme")
        assert page.status == 400
        assert repr(value) in page.find("//*[@role='alert']").text_content()
        assert page.find("//input[@name='customer']").get("value") == "acme"
        assert not page.document.xpath("//main//b")
        assert desk.get(f"{LIST}?after=nonsense").status == 400

    def test_pages_lead_on_with_their_filters(self, desk: Desk, api: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("witnd.web.dashboard.pages.invoices.invoices.LIMIT", 2)
        for n in range(5):
            put(api, f"customer-{n}", ROWS[:1])
        put(api, "elsewhere", currency="USD")
        page, seen = desk.get(f"{LIST}?currency=EUR"), []
        while True:
            seen += [row[1] for row in page.table("Invoices")]
            if "Next page" not in page.links():
                break
            page = desk.get(page.links()["Next page"])
        assert sorted(seen) == [f"customer-{n}" for n in range(5)]
        assert desk.get(page.links()["First page"]).path == f"{LIST}?currency=EUR"

    def test_a_rare_thing_is_looked_for_further_on(
        self, desk: Desk, api: Office, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(asked, "LOOKED_AT_MAX", 1)
        put(api, "rare", currency="USD")
        put(api, "usual", at=OTHER_YEAR)
        page = desk.get(f"{LIST}?currency=USD")
        assert "Not all of them were looked at" in page.text
        assert names(desk.get(page.links()["look further"]))

    def test_what_is_filtered_is_exported(self, desk: Desk, api: Office) -> None:
        put(api, "acme")
        put(api, "other", rows(3))
        page = desk.get(f"{LIST}?customer=other")
        files = [to for to in page.document.xpath("//main//a/@href") if "/export" in to]
        assert len(files) == 4
        found = {to.partition("?")[2]: desk.get(to) for to in files}
        heads = found["customer=other&format=jsonl&what=invoices"]
        assert [json.loads(line)["customer_key"] for line in heads.source.splitlines()] == ["other"]
        table = found["customer=other&format=csv&what=lines"]
        assert table.headers["content-disposition"] == 'attachment; filename="lines.csv"'
        assert [line["outcome_key"] for line in csv.DictReader(io.StringIO(table.source))] == [
            row.outcome_key for row in rows(3)
        ]

    def test_files_are_for_those_who_are_signed_in_alone(self, desk: Desk, api: Office) -> None:
        one = put(api)
        nobody = Desk(api, None)
        for path in (f"{LIST}/export", f"{LIST}/{one.id}/export", f"{LIST}/{one.id}/print", f"{NOTES}/export"):
            assert nobody.get(path).path.startswith("/dashboard/sign-in")
        for wrong in ("format=xml", "what=all", "period=soon", "format=html"):
            assert desk.get(f"{LIST}/export?{wrong}").status == 400, wrong


class TestOne:
    def test_a_draft_tells_whose_it_is_what_comes_next_and_every_line(self, desk: Desk, api: Office) -> None:
        api.workshop.apply(NAMED)
        one = put(api)
        page = desk.get(f"{LIST}/{one.id}")
        assert page.find("//h1").text == "Draft for Acme Robotics GmbH"
        assert page.id("stage") == "draft"
        assert page.links()["Acme Robotics GmbH"] == "/dashboard/customers/acme"
        told = facts(page)
        assert told["Period"] == "1 – 31 October 2096 (UTC)"
        assert told["Number"] == "none before it is issued"
        assert told["Is issued"] == "by itself, 2 Nov 2096, 00:00 UTC"
        assert page.table("Sums") == [["Subtotal", "10.00"], ["Total so far", "10.00"]]
        [first, second] = page.table("Lines")
        assert first[0].startswith("ticket-1 How ticket-1 came about 1 × 6.00 = 6.00")
        assert first[1:5] == ["support", "1 Oct 2096, 00:00 UTC", "1", "6.00"]
        assert second[-1].startswith("4.00")
        assert page.links()["ticket-1"] == "/dashboard/outcomes/ticket-1"

    def test_an_open_one_tells_until_when_it_collects_and_what_is_not_priced(self, desk: Desk, api: Office) -> None:
        one = put(api, "acme", [*rows(1), outcome_row("later", None, AHEAD.start)], closed=False)
        page = desk.get(f"{LIST}/{one.id}")
        assert page.id("stage") == "collecting"
        assert facts(page)["Collects until"] == "1 Nov 2096, 00:00 UTC"
        assert "1 of them priced when the period closes" in page.id("standing")
        [later] = [row for row in page.table("Lines") if row[0].startswith("later")]
        assert "known when the period closes" in later[0]
        assert later[-1] == "at close"

    def test_it_is_found_by_number_too_and_tells_when_it_was_issued_paid_and_why_it_is_void(
        self, desk: Desk, api: Office
    ) -> None:
        one, other = put(api), put(api, "other")
        do(api, one, "issue")
        do(api, one, "pay")
        do(api, other, "issue")
        do(api, other, "void", reason="sent to <b>the wrong</b> company")
        paid = desk.get(f"{LIST}/INV-000001")
        assert paid.table("Sums")[-1] == ["Amount due", "0.00"]
        assert "–" not in (facts(paid)["Issued"], facts(paid)["Paid"])
        void = desk.get(f"{LIST}/INV-000002")
        assert void.id("stage") == "void"
        assert facts(void)["Reason"] == "sent to <b>the wrong</b> company"
        assert "must not be paid" in void.id("standing")

    def test_fees_minimums_and_credits_stand_apart_each_with_how_it_came_about(self, desk: Desk, api: Office) -> None:
        graduated = price("fraud", kind="graduated", tiers=TIERS, free_quota="3")
        least = price("support", price_per_unit="1", period_minimum="40")
        work = [("case", graduated, ["4", "9", "8", "11"]), ("ticket", least, ["2"])]
        one = put(api, "acme", rows_of("ab" * 32, work, AHEAD.start))
        do(api, one, "credit", outcome_key="case-0002", amount="1.50", reason="Reopened by phone")
        page = desk.get(f"{LIST}/{one.id}")
        cells = page.table("Lines")
        heads = [row[0] for row in cells if len(row) == 1]
        assert heads == ["Fees, minimums and caps", "Credits"]
        minimum = next(row for row in cells if row[0].startswith("Period minimum"))
        assert "2.00 is less than 40: 38.00" in minimum[0]
        assert next(row for row in cells if row[0].startswith("Flat fee"))[-1].startswith("5.00")
        case = next(row for row in cells if row[0].startswith("case-0002"))
        assert "9 × 1.25 (tier 1) = 11.25" in case[0]
        assert case[-1].startswith("11.25")
        assert "−1.50 given back" in case[-1]
        assert cells[-1][0] == "Credit for case-0002 Reopened by phone"
        assert cells[-1][-1] == "−1.50", "nothing is given back of a credit"

    def test_lines_come_in_pages(self, desk: Desk, api: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("witnd.web.dashboard.pages.invoices.invoices.LIMIT", 4)
        one = put(api, "acme", rows(9))
        page, seen = desk.get(f"{LIST}/{one.id}"), []
        while True:
            seen += [row[0].split()[0] for row in page.table("Lines")]
            if "Next page" not in page.links():
                break
            page = desk.get(page.links()["Next page"])
        assert seen == [row.outcome_key for row in rows(9)]
        assert "First page" in page.links()

    def test_a_place_in_the_lines_of_an_open_one_begins_again_when_it_is_closed(
        self, desk: Desk, api: Office, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("witnd.web.dashboard.pages.invoices.invoices.LIMIT", 2)
        lines = rows(4)
        one = put(api, "acme", lines, closed=False)
        onward = desk.get(f"{LIST}/{one.id}").links()["Next page"]
        closed(api, one, lines)
        page = desk.get(onward)
        assert (page.status, page.path) == (200, f"{LIST}/{one.id}")
        assert "closed meanwhile" in page.id("told")
        assert page.table("Lines")[0][0].startswith("ticket-00000")
        assert desk.get(f"{LIST}/{one.id}?after=nonsense").status == 400

    @pytest.mark.parametrize(
        "path", [f"{LIST}/nothing", f"{LIST}/{'ab' * 32}", f"{LIST}/nothing/export", f"{LIST}/nothing/print",
                 f"{LIST}/nothing/credit?row=a", f"{NOTES}/CN-1", f"{NOTES}/CN-1/print", f"{LIST}/%00"]
    )  # fmt: skip
    def test_what_is_not_there_is_not_found(self, desk: Desk, path: str) -> None:
        assert desk.get(path).status == 404

    def test_text_of_others_stays_text_and_their_keys_lead_where_they_should(self, desk: Desk, api: Office) -> None:
        one = put(api, HOSTILE, [outcome_row(HOSTILE, "6.00", AHEAD.start)])
        do(api, one, "credit", outcome_key=HOSTILE, amount="1.00", reason=HOSTILE)
        do(api, one, "issue")
        do(api, one, "credit", outcome_key=HOSTILE, amount="1.00", reason=HOSTILE)
        for path in (LIST, f"{LIST}/INV-000001", NOTES, f"{NOTES}/CN-000001", f"{LIST}?customer={quote(HOSTILE)}",
                     f"{LIST}/INV-000001/credit?outcome={quote(HOSTILE, safe='')}"):  # fmt: skip
            page = desk.get(path)
            assert page.status == 200, path
            assert "alert(1)" in page.text
            assert not page.document.xpath("//main//script"), path
        page = desk.get(f"{LIST}/INV-000001")
        for part in ("outcomes", "customers"):
            assert f"/dashboard/{part}/{quote(HOSTILE, safe='')}" in page.document.xpath("//main//a/@href")
        assert followed(desk, page, f"Credit {HOSTILE}").find("//h1").text == "Credit a line of INV-000001"

    def test_it_goes_out_as_files_and_as_items_for_stripe(self, desk: Desk, reader: Desk, api: Office) -> None:
        one = put(api)
        do(api, one, "issue")
        page = reader.get(f"{LIST}/INV-000001")
        lines = [json.loads(line) for line in followed(reader, page, "JSON Lines").source.splitlines()]
        assert [line["outcome_key"] for line in lines] == ["ticket-1", "ticket-2"]
        assert followed(reader, page, "CSV").headers["content-disposition"] == 'attachment; filename="INV-000001.csv"'
        items = reader.submit(page, f"{LIST}/INV-000001/export", stripe_customer=" cus_1 ")
        assert [json.loads(line)["invoice_item"]["amount"] for line in items.source.splitlines()] == [600, 400]
        whole = reader.submit(page, f"{LIST}/INV-000001/export", stripe_customer="cus_1", what="invoices")
        assert [json.loads(line)["invoice_item"]["amount"] for line in whole.source.splitlines()] == [1000]

    def test_what_stripe_cannot_have_is_told_on_the_page_with_what_was_typed(self, desk: Desk, api: Office) -> None:
        one = put(api)
        page = desk.submit(desk.get(f"{LIST}/{one.id}"), f"{LIST}/{one.id}/export", stripe_customer="Acme & Co")
        assert page.status == 400
        assert page.find("//input[@name='stripe_customer']").get("value") == "Acme & Co"
        assert "the id of the customer at Stripe" in page.find("//*[@id='f-stripe_customer-problem']").text
        page = desk.submit(page, f"{LIST}/{one.id}/export", stripe_customer="cus_1")
        assert page.status == 409
        assert "issue it first" in page.find("//*[@role='alert']").text_content()
        assert page.links()["Overview"], "still somebody who is signed in"

    def test_it_is_printed_as_a_page_of_its_own(self, desk: Desk, api: Office) -> None:
        api.workshop.apply(NAMED)
        one = put(api)
        do(api, one, "issue")
        printed = followed(desk, desk.get(f"{LIST}/{one.id}"), "Print or save as PDF (in a new tab)")
        assert printed.status == 200
        assert printed.headers["content-disposition"] == 'inline; filename="INV-000001.html"'
        assert "style-src 'unsafe-inline'" in printed.headers["content-security-policy"]
        assert "script" not in printed.headers["content-security-policy"]
        assert "Acme Robotics GmbH" in printed.text


class TestCreditNotes:
    def test_there_are_none_before_something_is_given_back(self, desk: Desk) -> None:
        assert "A credit note gives back" in desk.get(NOTES).text

    def test_they_are_found_read_printed_and_exported(self, desk: Desk, api: Office) -> None:
        api.workshop.apply(NAMED)
        one, other = put(api, "acme"), put(api, "other")
        for each in (one, other):
            do(api, each, "issue")
            do(api, each, "credit", outcome_key="ticket-1", amount="1.50", reason="Reopened")
        page = desk.get(NOTES)
        assert notes(page) == ["CN-000002", "CN-000001"]
        assert notes(desk.get(f"{NOTES}?customer=acme")) == ["CN-000001"]
        assert notes(desk.get(f"{NOTES}?invoice=INV-000002")) == ["CN-000002"]
        export = followed(desk, desk.get(f"{NOTES}?invoice=INV-000002"), "JSON Lines")
        assert [json.loads(line)["number"] for line in export.source.splitlines()] == ["CN-000002"]
        note = followed(desk, page, "CN-000001")
        assert facts(note)["Given back"] == "1.50 EUR"
        assert note.links()["Acme Robotics GmbH"] == "/dashboard/customers/acme"
        assert note.links()["INV-000001"] == f"{LIST}/INV-000001"
        assert note.table("Lines") == [["ticket-1", "support", "Reopened", "−1.50"]]
        printed = followed(desk, note, "Print or save as PDF (in a new tab)")
        assert printed.headers["content-disposition"] == 'inline; filename="CN-000001.html"'
        assert followed(desk, note, "CSV").source.count("\r\n") == 2
        invoice = desk.get(f"{LIST}/INV-000001")
        assert invoice.table("Credit notes") == [["CN-000001", "Reopened", invoice.table("Credit notes")[0][2], "1.50"]]

    def test_filters_that_find_nothing_or_contradict_are_told_and_kept(self, desk: Desk, api: Office) -> None:
        do(api, put(api), "issue")
        for query in ("invoice=INV-9", "invoice=INV-000001&customer=acme"):
            page = desk.get(f"{NOTES}?{query}")
            assert page.status == 400
            assert page.find("//*[@role='alert']") is not None
            assert page.find("//input[@name='invoice']").get("value").startswith("INV-")
        assert "No credit note is like that" in desk.get(f"{NOTES}?customer=nobody").text

    def test_they_come_in_pages(self, desk: Desk, api: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("witnd.web.dashboard.pages.invoices.credit_notes.LIMIT", 2)
        one = put(api)
        do(api, one, "issue")
        for _ in range(3):
            do(api, one, "credit", outcome_key="ticket-1", amount="0.50", reason="late")
        for query in ("", "?customer=acme", "?invoice=INV-000001"):
            page = desk.get(NOTES + query)
            assert notes(page) == ["CN-000003", "CN-000002"]
            assert notes(desk.get(page.links()["Next page"])) == ["CN-000001"]


class TestBrowser:
    def test_the_printed_page_has_its_styles_and_breaks_no_policy(self, api: Office, window: Window) -> None:
        do(api, put(api), "issue")
        window.open(f"{LIST}/INV-000001")
        with window.page.expect_popup() as opened:
            window.page.get_by_role("link", name="Print or save as PDF").click()
        assert opened.value.url.endswith("/print")
        opened.value.close()
        window.open(f"{LIST}/INV-000001/print")
        sheet = window.page.locator("body").evaluate("(body) => getComputedStyle(body).fontFamily")
        assert "Times" not in sheet, "it is styled"
        assert window.page.locator("table").first.evaluate(
            "(table) => getComputedStyle(table).borderCollapse"
        ) == "collapse"  # fmt: skip

    def test_an_invoice_that_is_open_changes_while_it_is_looked_at(self, api: Office, window: Window) -> None:
        one = put(api)
        window.open(f"{LIST}/{one.id}")
        assert window.page.locator("#stage").inner_text() == "draft"
        window.page.get_by_text("Issue this invoice…").wait_for()
        do(api, one, "issue")
        window.page.locator("#stage", has_text="issued").wait_for()
        window.page.get_by_text("Mark it as paid…").wait_for()

    def test_what_is_typed_stays_while_others_change_things(self, api: Office, window: Window) -> None:
        one = put(api)
        do(api, one, "issue")
        window.open(f"{LIST}/INV-000001")
        window.page.get_by_text("Void it…").click()
        window.page.get_by_label("Reason").fill("wrong company")
        window.page.locator("h1").click()
        do(api, one, "credit", outcome_key="ticket-1", amount="1.50", reason="late")
        window.page.locator("#lines", has_text="−1.50 given back").wait_for()
        assert window.page.get_by_label("Reason").input_value() == "wrong company"

    def test_filters_are_applied_without_loading_the_page(self, api: Office, window: Window) -> None:
        put(api, "acme")
        put(api, "other")
        window.open(LIST)
        window.page.evaluate("window.same = true")
        window.page.get_by_label("Customer key").fill("other")
        window.page.get_by_role("button", name="Search").click()
        window.page.wait_for_function("() => document.querySelectorAll('#list tbody tr').length === 1")
        assert window.page.url.endswith(f"{LIST}?customer=other")
        assert window.page.evaluate("window.same") is True
