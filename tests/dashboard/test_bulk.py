"""Several invoices are issued or paid at once: exactly those that were shown, as they were shown."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.dashboard.browser import Tab
from tests.dashboard.client import Dashboard, Page, words
from tests.dashboard.test_accessibility import NARROW, WIDE, wrong_with
from tests.dashboard.test_invoice_actions import LIST, changes, do, now
from tests.dashboard.test_invoice_page import steps
from tests.dashboard.test_invoices import HOSTILE
from tests.support.deployment import CATALOGUE
from tests.web.api_server import ApiServer
from tests.web.catalogue import made
from tests.web.invoices import AHEAD, ROWS, put, rows
from witnd.domain.invoices.invoice import Invoice
from witnd.store.errors import StoreUnavailable
from witnd.store.invoices.reads import Invoices

ISSUE, PAY = f"{LIST}/bulk/issue", f"{LIST}/bulk/pay"


def button(page: Page, action: str) -> str:
    return words(page.document.xpath(f"//form[@action='{action}']//button")[0])


def form_key(page: Page) -> str:
    return str(page.document.xpath("//input[@name='form_key']/@value")[0])


def review(admin: Dashboard, action: str, query: str = "") -> Page:
    return admin.submit(admin.get(LIST + query), action)


def confirm(admin: Dashboard, page: Page, action: str, **fields: Any) -> Page:
    return admin.submit(page, action, confirmed="yes", **fields)


def three(api: ApiServer) -> list[Invoice]:
    """Closed drafts over 10, 3 and 10; the last one in dollars."""
    return [put(api, "acme"), put(api, "other", rows(3)), put(api, "third", currency="USD")]


class TestIssuing:
    def test_the_button_has_count_and_sums_and_acts_on_the_rows_shown(self, admin: Dashboard, api: ApiServer) -> None:
        found = three(api)
        put(api, "collecting", closed=False)
        assert button(admin.get(LIST), ISSUE) == "Issue 3 drafts: 13.00 EUR, 10.00 USD…"
        page = admin.get(f"{LIST}?currency=EUR")
        assert button(page, ISSUE) == "Issue 2 drafts: 13.00 EUR…"
        page = admin.submit(page, ISSUE)
        assert button(page, ISSUE) == "Issue 2 invoices: 13.00 EUR"
        assert [row[3:5] for row in page.rows("ready")] == [["INV-000001", "10.00 EUR"], ["INV-000002", "3.00 EUR"]]
        assert [now(api, one)["status"] for one in found] == ["draft"] * 3, "so far nothing is done"
        page = confirm(admin, page, ISSUE)
        assert (page.status, page.item_cases("results")) == (200, [["done"], ["done"]])
        assert [now(api, one)["status"] for one in found] == ["issued", "issued", "draft"]
        assert changes(api) == [("invoice.issue", "token admin")] * 2

    def test_the_review_shows_what_happens(self, admin: Dashboard, api: ApiServer) -> None:
        """Also where two drafts of a customer share a balance, and with tax."""
        api.deployment.apply()
        made(api, "/v1/taxes", {"key": "vat", "rate": "19", "category": "S"})
        billing = {"billing": {"address": ["1 Main Street"], "city": "Berlin", "country": "DE", "tax": "vat"}}
        assert api.ask("PATCH", "/v1/customers/acme", billing).status == 200
        old = put(api, at=1_600_000_000_000)
        do(api, old, "issue")
        do(api, old, "payments", amount="26.90")
        first, second = put(api), put(api, at=AHEAD.end)
        page = admin.get(f"{LIST}?status=draft")
        assert button(page, ISSUE) == "Issue 2 drafts: 23.80 EUR…"
        page = admin.submit(page, ISSUE)
        foretold = [row[3:7] for row in page.rows("ready")]
        assert foretold == [
            ["INV-000002", "11.90 EUR", "11.90", "0.00"],
            ["INV-000003", "11.90 EUR", "3.10", "8.80"],
        ], "the older period first"
        confirm(admin, page, ISSUE)
        for one, row in zip((first, second), foretold, strict=True):
            after = now(api, one)
            assert [after["number"], f"{after['total']} EUR", after["balance_used"], after["due"]] == row

    def test_what_has_changed_since_it_was_shown_is_skipped(self, admin: Dashboard, api: ApiServer) -> None:
        one, other, _ = three(api)
        shown = admin.get(LIST)
        line = {"description": "Setup", "quantity": "1", "unit_price": "5.00"}
        assert api.ask("POST", f"/v1/invoices/{one.id}/lines", line).status == 201
        page = admin.submit(shown, ISSUE)
        assert [row[-1] for row in page.rows("left")] != []
        assert "has changed since it was shown" in page.rows("left")[0][-1]
        assert button(page, ISSUE) == "Issue 2 invoices: 3.00 EUR, 10.00 USD"
        assert api.ask("POST", f"/v1/invoices/{other.id}/lines", line).status == 201
        page = confirm(admin, page, ISSUE)
        assert sorted(page.item_cases("results")) == [["done"], ["left-alone"]]
        assert [now(api, each)["status"] for each in (one, other)] == ["draft", "draft"]

    def test_a_tax_that_changed_since_is_found_too(self, admin: Dashboard, api: ApiServer) -> None:
        api.deployment.apply()
        made(api, "/v1/taxes", {"key": "vat", "rate": "19", "category": "S"})
        one = put(api)
        page = review(admin, ISSUE)
        assert button(page, ISSUE) == "Issue 1 invoice: 10.00 EUR"
        billing = {"billing": {"address": ["1 Main Street"], "city": "Berlin", "country": "DE", "tax": "vat"}}
        assert api.ask("PATCH", "/v1/customers/acme", billing).status == 200
        page = confirm(admin, page, ISSUE)
        assert "was 10.00 EUR and is now 11.90 EUR" in page.rows("results")[0][-1]
        assert now(api, one)["status"] == "draft"

    def test_a_tax_that_changed_before_the_review_is_shown_there(self, admin: Dashboard, api: ApiServer) -> None:
        api.deployment.apply()
        made(api, "/v1/taxes", {"key": "vat", "rate": "19", "category": "S"})
        one = put(api)
        shown = admin.get(LIST)
        assert button(shown, ISSUE) == "Issue 1 draft: 10.00 EUR…"
        billing = {"billing": {"address": ["1 Main Street"], "city": "Berlin", "country": "DE", "tax": "vat"}}
        assert api.ask("PATCH", "/v1/customers/acme", billing).status == 200
        page = admin.submit(shown, ISSUE)
        assert button(page, ISSUE) == "Issue 1 invoice: 11.90 EUR"
        confirm(admin, page, ISSUE)
        assert now(api, one)["total"] == "11.90"

    def test_what_cannot_be_issued_has_its_reason_and_does_not_stop_the_others(
        self, admin: Dashboard, api: ApiServer
    ) -> None:
        one = put(api, "acme", at=1_600_000_000_000)
        other = put(api, "other")
        page = review(admin, ISSUE)
        page = admin.submit(page, ISSUE, button="preview", date="2020-10-01")
        assert button(page, ISSUE) == "Issue 1 invoice: 10.00 EUR"
        assert "last day of the period" in page.rows("left")[0][-1]
        assert button(admin.submit(page, ISSUE, button="preview", date=""), ISSUE) == "Issue 2 invoices: 20.00 EUR"
        never = admin.submit(page, ISSUE, button="preview", date="2019-01-01")
        assert "nothing-to-do" in never.cases
        assert not never.document.xpath("//*[@name='confirmed']")
        assert button(admin.submit(never, ISSUE, button="preview", date=""), ISSUE) == "Issue 2 invoices: 20.00 EUR"
        confirm(admin, page, ISSUE, date="2020-10-01")
        assert now(api, one)["issue_date"] == "2020-10-01"
        assert now(api, other)["status"] == "draft"
        wrong = confirm(admin, review(admin, ISSUE), ISSUE, date="soon")
        assert (wrong.status, wrong.invalid) == (400, ["date"])
        assert now(api, other)["status"] == "draft"

    def test_nothing_is_done_without_a_tick(self, admin: Dashboard, api: ApiServer) -> None:
        one = put(api)
        page = admin.submit(review(admin, ISSUE), ISSUE)
        assert (page.status, page.is_refused) == (400, True)
        assert now(api, one)["status"] == "draft"
        assert confirm(admin, page, ISSUE).item_cases("results") == [["done"]]

    def test_a_form_that_is_sent_twice_does_it_once_with_the_same_answer(
        self, admin: Dashboard, api: ApiServer
    ) -> None:
        three(api)
        page = review(admin, ISSUE)
        answers = [confirm(admin, page, ISSUE).rows("results") for _ in range(2)]
        assert answers[0] == answers[1]
        assert len(changes(api)) == 3
        page = confirm(admin, review(admin, PAY), PAY)
        assert "paid" in page.fact("done")

    def test_two_people_who_confirm_at_once_do_it_once(self, api: ApiServer) -> None:
        found = three(api)
        people = [Dashboard(api), Dashboard(api)]
        pages = [review(one, ISSUE) for one in people]
        with ThreadPoolExecutor(2) as threads:
            done = list(threads.map(lambda pair: confirm(*pair, ISSUE), zip(people, pages, strict=True)))
        assert (
            sorted(case for page in done for [case] in page.item_cases("results")) == ["done"] * 3 + ["left-alone"] * 3
        )
        assert len(changes(api)) == 3
        assert {now(api, one)["number"] for one in found} == {"INV-000001", "INV-000002", "INV-000003"}

    def test_text_from_outside_is_escaped(self, admin: Dashboard, api: ApiServer) -> None:
        put(api, HOSTILE)
        page = review(admin, ISSUE)
        for shown in (page, confirm(admin, page, ISSUE)):
            assert "alert(1)" in shown.text
            assert not shown.document.xpath("//main//script")

    def test_an_unknown_result_is_reported_as_unknown(
        self, admin: Dashboard, api: ApiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = put(api, "acme"), put(api, "other")
        page = review(admin, ISSUE)
        real = Invoices.change

        async def silent(self: Invoices, snapshot: Any, *rest: Any) -> Any:
            done = await real(self, snapshot, *rest)
            if snapshot.invoice.id == one.id:
                raise StoreUnavailable("no answer")
            return done

        monkeypatch.setattr(Invoices, "change", silent)
        monkeypatch.setattr(Invoices, "read", unreadable_after_write(Invoices.read, one.id))
        broken = confirm(admin, page, ISSUE)
        monkeypatch.undo()
        assert sorted(broken.item_cases("results")) == [["done"], ["left-alone"]]
        assert any("not confirmed" in row[-1] for row in broken.rows("results"))
        again = confirm(admin, page, ISSUE)
        assert again.item_cases("results") == [["done"], ["done"]]
        assert [now(api, each)["status"] for each in (one, other)] == ["issued", "issued"]
        assert len(changes(api)) == 2


def unreadable_after_write(read: Any, id_: str) -> Any:
    """Reads that fail for an invoice that has been written: no repetition finds out what happened."""

    async def reading(self: Invoices, one: str, *rest: Any, **more: Any) -> Any:
        found = await read(self, one, *rest, **more)
        if one == id_ and found is not None and found.record is not None:
            raise StoreUnavailable("no answer")
        return found

    return reading


class TestPaying:
    def test_each_gets_a_payment_of_what_was_due(self, admin: Dashboard, api: ApiServer) -> None:
        found = three(api)
        for one in found:
            do(api, one, "issue")
        do(api, found[0], "payments", amount="4.00")
        paid = put(api, "paid")
        do(api, paid, "issue")
        do(api, paid, "pay")
        assert button(admin.get(LIST), PAY) == "Record payment of 3 invoices: 9.00 EUR, 10.00 USD…"
        page = review(admin, PAY, "?currency=EUR")
        assert button(page, PAY) == "Record payment of 2 invoices: 9.00 EUR"
        page = confirm(admin, page, PAY, date="2096-11-03", method="transfer", reference="run <b>7</b>")
        assert page.item_cases("results") == [["done"], ["done"]]
        assert [now(api, one)["status"] for one in found] == ["paid", "paid", "issued"]
        payment = now(api, found[1])["payments"][0]
        assert [payment[name] for name in ("amount", "date", "method", "reference")] == [
            "3.00", "2096-11-03", "transfer", "run <b>7</b>",
        ]  # fmt: skip
        assert "payment" in steps(admin.get(f"{LIST}/{found[1].id}"))

    def test_one_that_was_paid_meanwhile_is_not_paid_twice(self, admin: Dashboard, api: ApiServer) -> None:
        one, other, _ = three(api)
        for each in (one, other):
            do(api, each, "issue")
        page = review(admin, PAY)
        do(api, one, "pay")
        page = confirm(admin, page, PAY)
        assert sorted(page.item_cases("results")) == [["done"], ["left-alone"]]
        after = now(api, one)
        assert (len(after["payments"]), after["balance"]) == (1, "0.00")


class TestAccess:
    def test_a_read_only_token_has_no_buttons_and_can_do_nothing(self, reader: Dashboard, api: ApiServer) -> None:
        one = put(api)
        page = reader.get(LIST)
        assert not page.document.xpath("//*[@id='bulk']")
        key = form_key(page)
        fields = {"form_key": key, "row": f"{one.id}:0:10.00", "once": "a", "confirmed": "yes"}
        for action in (ISSUE, PAY):
            assert reader.send(action, fields).status == 403
        assert now(api, one)["status"] == "draft"

    @pytest.mark.parametrize("row", [None, "x", "ab:0:1", f"{'ab' * 32}:0:1.00:2", f"{'ab' * 32}:-1:1.00"])
    def test_rows_that_no_list_sends_are_refused(self, admin: Dashboard, api: ApiServer, row: str | None) -> None:
        put(api)
        key = form_key(admin.get(LIST))
        fields: list[tuple[str, str]] = [("form_key", key), *([] if row is None else [("row", row)])]
        assert admin.send(ISSUE, fields).status == 400
        many = [("form_key", key), *[("row", f"{'ab' * 32}:0:1.00")] * 51]
        assert admin.send(ISSUE, many).status == 400

    def test_a_missing_invoice_is_skipped(self, admin: Dashboard, api: ApiServer) -> None:
        put(api)
        key = form_key(admin.get(LIST))
        page = admin.send(ISSUE, [("form_key", key), ("row", f"{'ab' * 32}:0:1.00")])
        assert "nothing-to-do" in page.cases
        assert "no such invoice" in page.rows("left")[0][-1]


class TestList:
    def test_totals_include_tax_or_are_marked_as_before_tax(self, admin: Dashboard, api: ApiServer) -> None:
        api.deployment.apply(CATALOGUE)
        made(api, "/v1/taxes", {"key": "vat", "rate": "19", "category": "S"})
        billing = {"billing": {"address": ["1 Main Street"], "city": "Berlin", "country": "DE", "tax": "vat"}}
        assert api.ask("PATCH", "/v1/customers/acme", billing).status == 200
        closed_, open_ = put(api), put(api, "acme", ROWS[:1], currency="USD", closed=False)
        for path, name in ((LIST, "invoices"), ("/dashboard/customers/acme", "invoices")):
            page = admin.get(path)
            totals = {one.xpath(".//th//a/@href")[0]: one.text_content() for one in page.items(name)}
            assert "11.90" in totals[f"{LIST}/{closed_.id}"], path
            assert "before tax" not in totals[f"{LIST}/{closed_.id}"], path
            assert "before tax" in totals[f"{LIST}/{open_.id}"], path


class TestBrowser:
    def test_drafts_are_issued_and_paid_by_keyboard(self, api: ApiServer, tab: Tab) -> None:
        found = three(api)
        tab.open(LIST)
        for action in (ISSUE, PAY):
            tab.page.locator(f"form[action='{action}'] button").focus()
            tab.page.keyboard.press("Enter")
            tab.page.locator("[name=confirmed]").focus()
            tab.page.keyboard.press("Space")
            tab.page.keyboard.press("Tab")
            tab.page.keyboard.press("Enter")
            tab.page.locator("[data-list=results]").wait_for()
            assert tab.page.locator("[data-list=results] [data-case=done]").count() == 3
            tab.open(LIST)
        assert [now(api, one)["status"] for one in found] == ["paid"] * 3

    def test_the_button_follows_the_rows(self, api: ApiServer, tab: Tab) -> None:
        three(api)
        tab.open(LIST)
        tab.page.locator(f"form[action='{ISSUE}'] button", has_text="3 drafts").wait_for()
        put(api, "fourth", rows(2))
        api.ask("POST", f"/v1/invoices/{put(api, 'fifth').id}/issue")
        tab.page.locator(f"form[action='{ISSUE}'] button", has_text="4 drafts: 15.00 EUR, 10.00 USD").wait_for()
        tab.field("currency").fill("USD")
        tab.page.locator("#search").click()
        tab.page.locator(f"form[action='{ISSUE}'] button", has_text="1 draft: 10.00 USD").wait_for()

    def test_its_pages_can_be_used_by_everybody(self, api: ApiServer, tab: Tab) -> None:
        three(api)
        do(api, put(api, "issued"), "issue")
        stale = put(api, "stale")
        views = [("light", WIDE), ("light", NARROW), ("dark", NARROW), ("dark", WIDE)]
        tab.open(LIST)
        assert wrong_with(tab, views) == {}
        # The page is from before this change, so one is left alone.
        tab.page.evaluate("document.querySelector('main').removeAttribute('data-live')")
        line = {"description": "Setup", "quantity": "1", "unit_price": "5.00"}
        assert api.ask("POST", f"/v1/invoices/{stale.id}/lines", line).status == 201
        tab.page.locator(f"form[action='{ISSUE}'] button").click()
        tab.page.locator("[name=confirmed]").wait_for()
        assert wrong_with(tab, views) == {}
        tab.page.locator("[name=confirmed]").check()
        tab.page.locator("button.primary").click()
        tab.page.locator("[data-list=results]").wait_for()
        assert wrong_with(tab, views) == {}
        tab.open("/dashboard/invoices/ageing")
        assert tab.page.locator("[data-list=ageing-customers]").count() == 1
        assert wrong_with(tab, views) == {}
