"""The page of an invoice: the printed document, its steps, and what each action would do before it is done."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from tests.dashboard.browser import Tab
from tests.dashboard.client import Dashboard, Page
from tests.dashboard.test_invoice_actions import FIRST, LIST, do, now
from tests.web.api_server import ApiServer
from tests.web.catalogue import made
from tests.web.invoices import AHEAD, ROWS, put
from witnd.domain.invoices.invoice import Invoice

REFUND = "/dashboard/customers/acme/refund"


def effect(page: Page, action: str) -> str:
    return page.text_of(f"do-{action}-effect")


def previewed(admin: Dashboard, page: Page, action: str, **fields: str) -> Page:
    """The page after the button that only shows what a form would do."""
    return admin.submit(page, f"{page.path}/{action}", button="preview", **fields)


def steps(page: Page) -> list[str]:
    return [str(one.get("data-case")) for one in page.items("steps")]


@pytest.fixture
def taxed(api: ApiServer) -> Invoice:
    """A closed draft over 11.90 EUR with tax, of a customer with 2.50 EUR."""
    api.deployment.apply()
    made(api, "/v1/taxes", {"key": "vat", "rate": "19", "category": "S"})
    billing = {"billing": {"address": ["1 Main Street"], "city": "Berlin", "country": "DE", "tax": "vat"}}
    assert api.ask("PATCH", "/v1/customers/acme", billing).status == 200
    old = put(api, at=AHEAD.end)
    do(api, old, "issue")
    do(api, old, "payments", amount="14.40")
    return put(api)


class TestEffects:
    def test_of_issuing_is_what_happens(self, admin: Dashboard, api: ApiServer, taxed: Invoice) -> None:
        page = admin.get(f"{LIST}/{taxed.id}")
        shown = effect(page, "issue")
        done = admin.submit(page, f"{LIST}/{taxed.id}/issue", confirmed="yes")
        after = now(api, taxed)
        assert done.path == f"{LIST}/INV-000002"
        for part in ("INV-000002", "uses 2.50 EUR", f"9.40 EUR will be due on {after['due_date']}"):
            assert part in shown
        assert (after["number"], after["balance_used"], after["due"]) == ("INV-000002", "2.50", "9.40")

    def test_of_issuing_follows_the_date(self, admin: Dashboard, api: ApiServer) -> None:
        one = put(api, at=1_600_000_000_000)
        before = admin.get(f"{LIST}/{one.id}")
        page = previewed(admin, before, "issue", date="2020-10-01")
        assert (page.status, page.is_refused) == (200, False)
        assert "2020-10-31" in effect(page, "issue")
        assert page.find("//*[@id='do-issue']").get("open") is not None
        assert page.find("//input[@name='date']").get("value") == "2020-10-01"
        assert "last day of the period" in effect(previewed(admin, before, "issue", date="2020-09-01"), "issue")
        assert now(api, one)["status"] == "draft"

    @pytest.mark.parametrize(
        ("amount", "parts"),
        [
            ("4.00", ["Pays 4.00 EUR", "6.00 EUR will still be due"]),
            ("10.00", ["Pays the full amount due, 10.00 EUR"]),
            ("12.50", ["Pays the full amount due, 10.00 EUR", "2.50 EUR goes to", "which will be 2.50 EUR"]),
            ("1.005", ["digits"]),
            ("", ["Pays the full amount due, 10.00 EUR"]),
        ],
    )
    def test_of_a_payment_is_what_happens(
        self, admin: Dashboard, api: ApiServer, amount: str, parts: list[str]
    ) -> None:
        one = put(api)
        do(api, one, "issue")
        page = admin.get(FIRST)
        assert page.find("//input[@name='amount']").get("value") == "10.00", "what is due"
        fields = {"amount": amount} if amount else {}
        shown = effect(previewed(admin, page, "payments", **fields), "payments")
        assert [part for part in parts if part not in shown] == []
        assert now(api, one)["payments"] == []
        if amount != "1.005":
            admin.submit(page, f"{FIRST}/payments", confirmed="yes", **fields)
            after = now(api, one)
            paid = min(Decimal(amount or "10.00"), Decimal("10.00"))
            assert Decimal(after["due"]) == Decimal("10.00") - paid
            assert Decimal(after["balance"]) == Decimal(amount or "10.00") - paid

    def test_of_voiding_and_revising_names_the_credit_note_and_the_balance(
        self, admin: Dashboard, api: ApiServer, taxed: Invoice
    ) -> None:
        do(api, taxed, "issue")
        page = admin.get(f"{LIST}/INV-000002")
        for action in ("void", "revise"):
            assert "CN-000001 of 11.90 EUR" in effect(page, action)
            assert "2.50 EUR paid from the customer's balance returns to it" in effect(page, action)
        assert "edition 2" in effect(page, "revise")
        admin.submit(page, f"{LIST}/INV-000002/revise", confirmed="yes")
        after = now(api, taxed)
        assert after["credit_notes"][0]["number"] == "CN-000001"
        assert (after["credit_notes"][0]["total"], after["balance"]) == ("11.90", "2.50")

    def test_what_is_not_possible_has_its_reason(self, admin: Dashboard, api: ApiServer) -> None:
        one = put(api)
        do(api, one, "issue")
        do(api, one, "payments", amount="1.00")
        page = admin.get(FIRST)
        assert {"cannot-void", "cannot-revise"} <= set(page.cases)
        assert "do-void" not in page.source
        do(api, one, "pay")
        assert "Nothing is due" in effect(admin.get(FIRST), "payments")

    def test_of_a_credit_names_the_note_and_where_the_money_goes(
        self, admin: Dashboard, api: ApiServer, taxed: Invoice
    ) -> None:
        do(api, taxed, "issue")
        do(api, taxed, "payments", amount="5.00")
        form = admin.get(f"{LIST}/{taxed.id}/credit?outcome=ticket-1")
        assert "CN-000001 of 7.14 EUR with tax" in form.text_of("effect")
        assert "4.40 EUR reduces the amount due to 0.00 EUR" in form.text_of("effect")
        assert "2.74 EUR goes to the customer's balance, which will be 2.74 EUR" in form.text_of("effect")
        page = admin.submit(form, button="preview", amount="1.00")
        assert "CN-000001 of 1.19 EUR with tax" in page.text_of("effect")
        assert "more than" in admin.submit(form, button="preview", amount="6.01").text_of("effect")
        assert now(api, taxed)["credit_notes"] == []
        query = "&".join(f"line-{row.id}=outcome:{row.outcome_key}" for row in ROWS)
        both = admin.get(f"{LIST}/{taxed.id}/credit-lines?{query}")
        assert "CN-000001 of 11.90 EUR" in both.text_of("effect")
        page = admin.submit(both, button="preview", **{f"amount-{ROWS[0].id}": "1.00"})
        assert "CN-000001 of 5.95 EUR" in page.text_of("effect")
        assert page.find(f"//input[@name='amount-{ROWS[0].id}']").get("value") == "1.00"

    def test_of_a_credit_of_a_draft_is_its_new_sum(self, admin: Dashboard, api: ApiServer, taxed: Invoice) -> None:
        form = admin.get(f"{LIST}/{taxed.id}/credit?outcome=ticket-1")
        assert "credit of 6.00 EUR" in form.text_of("effect")
        assert "4.00 EUR" in form.text_of("effect")

    def test_of_a_refund_is_the_balance_that_it_leaves(self, admin: Dashboard, api: ApiServer, taxed: Invoice) -> None:
        page = admin.get(f"{LIST}/{taxed.id}")
        assert f"{REFUND}?currency=EUR" in page.hrefs
        form = admin.get(REFUND)
        assert "balance will be 0.00 EUR" in form.text_of("effect")
        page = admin.submit(form, button="preview", amount="1.00")
        assert "balance will be 1.50 EUR" in page.text_of("effect")
        assert "more than" in admin.submit(form, button="preview", amount="3.00").text_of("effect")
        assert api.get("/v1/customers/acme/balance")["data"][0]["balance"] == "2.50"


class TestSteps:
    def test_they_are_all_there_with_their_dates(self, admin: Dashboard, api: ApiServer) -> None:
        one = put(api, at=1_600_000_000_000)
        page = admin.get(f"{LIST}/{one.id}")
        assert steps(page) == ["opened", "closed", "issues"]
        assert page.fact("opened") == "1 Sep 2020, 00:00 UTC"
        do(api, one, "issue", date="2020-10-01")
        page = admin.get(f"{LIST}/{one.id}")
        assert steps(page) == ["opened", "closed", "issued", "due-date"]
        assert page.fact("due-date") == "2020-10-31"
        assert "days ago" in page.text_of("steps"), "overdue"
        paid = do(api, one, "payments", amount="3.00", date="2020-11-01")
        do(api, one, f"payments/{paid['id']}/reverse")
        do(api, one, "credit", outcome_key="ticket-1", amount="1.50", reason="late")
        do(api, one, "pay")
        page = admin.get(f"{LIST}/{one.id}")
        assert sorted(steps(page)[4:]) == ["credit-note", "paid", "payment", "payment", "reversal"]
        assert page.items("steps")[4].xpath(".//*[@data-fact='payment']")[0].text == "2020-11-01"
        assert "days ago" not in page.text_of("steps")

    def test_those_of_a_revised_one_lead_to_the_other_edition(self, admin: Dashboard, api: ApiServer) -> None:
        one = put(api)
        do(api, one, "issue")
        draft = do(api, one, "revise", reason="wrong price")
        page = admin.get(FIRST)
        assert "voided" in steps(page)
        assert page.items("steps")[-1].xpath(".//a/@href") or f"{LIST}/{draft['id']}" in page.hrefs
        assert f"{LIST}/{one.id}" in admin.get(f"{LIST}/{draft['id']}").hrefs


def test_the_line_of_a_reversed_outcome_shows_the_reversal(admin: Dashboard, api: ApiServer) -> None:
    reversed_ = replace(ROWS[0], reversed_at=AHEAD.start + 60_000)
    page = admin.get(f"{LIST}/{put(api, 'acme', [reversed_, ROWS[1]]).id}")
    assert page.item_cases("lines") == [["reversed"], []]
    assert "1 Oct 2096, 00:01 UTC" in page.rows("lines")[0][0]


class TestDocument:
    def test_it_is_shown_as_printed_and_follows_the_invoice(self, reader: Dashboard, api: ApiServer) -> None:
        one = put(api)
        frame = reader.get(f"{LIST}/{one.id}").find("//iframe")
        printed = reader.get(frame.get("src"))
        assert printed.status == 200
        assert "frame-ancestors 'self'" in printed.headers["content-security-policy"]
        assert "frame-src 'self'" in reader.get(LIST).headers["content-security-policy"]
        do(api, one, "issue")
        assert reader.get(f"{LIST}/{one.id}").find("//iframe").get("src") != frame.get("src")

    def test_a_long_one_has_a_link_instead(
        self, admin: Dashboard, api: ApiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("witnd.web.dashboard.pages.invoices.invoice.EMBEDDED_LINES_MAX", 1)
        page = admin.get(f"{LIST}/{put(api).id}")
        assert "long-document" in page.cases
        assert not page.document.xpath("//iframe")


@pytest.fixture
def unscripted(api: ApiServer, browser: Any) -> Iterator[Tab]:
    """A tab without scripts."""
    context = browser.new_context(java_script_enabled=False)
    opened = Tab(context, api)
    opened.sign_in(api.tokens["admin"])
    yield opened
    context.close()
    assert not opened.noise


class TestBrowser:
    def test_the_document_is_beside_the_rest_and_as_high_as_it_is(self, api: ApiServer, tab: Tab) -> None:
        one = put(api)
        tab.page.set_viewport_size({"width": 1400, "height": 800})
        tab.open(f"{LIST}/{one.id}")
        inside = tab.page.frame_locator("iframe").locator("main.sheet")
        inside.wait_for()
        assert "ticket-1" in inside.inner_text()
        tab.page.wait_for_function(
            "() => { const one = document.querySelector('iframe');"
            " return Math.abs(one.clientHeight - one.contentDocument.documentElement.offsetHeight) < 4; }"
        )
        document, rail = (tab.page.locator(one).bounding_box() for one in (".document", ".rail"))
        assert document["x"] < rail["x"]
        assert abs(document["y"] - rail["y"]) < 2
        tab.page.set_viewport_size({"width": 390, "height": 844})
        tab.page.wait_for_function(
            "() => document.scrollingElement.scrollWidth <= document.scrollingElement.clientWidth"
        )
        document, rail = (tab.page.locator(one).bounding_box() for one in (".document", ".rail"))
        assert document["y"] >= rail["y"] + rail["height"], "what is due comes first on a phone"

    def test_the_document_changes_with_the_invoice(self, api: ApiServer, tab: Tab) -> None:
        one = put(api)
        tab.open(f"{LIST}/{one.id}")
        tab.page.frame_locator("iframe").get_by_text("No number yet").wait_for()
        do(api, one, "issue")
        tab.page.frame_locator("iframe").get_by_text("INV-000001").first.wait_for()

    def test_the_effect_follows_what_is_typed_also_while_others_change_things(self, api: ApiServer, tab: Tab) -> None:
        one = put(api)
        do(api, one, "issue")
        tab.open(FIRST)
        tab.page.locator("#do-payments summary").click()
        assert tab.page.locator("#do-payments button[value=preview]").is_hidden()
        tab.field("amount").fill("12.50")
        tab.page.locator("#do-payments-effect", has_text="2.50 EUR goes to the customer's balance").wait_for()
        tab.page.locator("h1").click()
        do(api, one, "credit", outcome_key="ticket-1", amount="1.00", reason="late")
        tab.page.locator("#do-payments-effect", has_text="3.50 EUR goes to the customer's balance").wait_for()
        assert tab.field("amount").input_value() == "12.50"
        assert tab.page.locator("#do-payments").get_attribute("open") is not None

    def test_an_invoice_is_issued_and_paid_by_keyboard(self, api: ApiServer, tab: Tab) -> None:
        one = put(api)
        tab.open(f"{LIST}/{one.id}")
        keyboard = tab.page.keyboard
        for action, state in (("issue", "issued"), ("payments", "paid")):
            tab.page.locator(f"#do-{action} summary").focus()
            keyboard.press("Enter")
            tab.page.locator(f"#do-{action} [name=confirmed]").wait_for()
            for _ in range(12):
                keyboard.press("Tab")
                if tab.page.evaluate("document.activeElement.name") == "confirmed":
                    break
            keyboard.press("Space")
            keyboard.press("Tab")
            keyboard.press("Enter")
            tab.page.locator(f"#stage [data-state={state}]").wait_for()
        assert now(api, one)["status"] == "paid"

    def test_without_scripts_a_button_shows_the_effect(self, api: ApiServer, unscripted: Tab) -> None:
        one = put(api)
        do(api, one, "issue")
        unscripted.open(FIRST)
        unscripted.page.locator("#do-payments summary").click()
        unscripted.field("amount").fill("4.00")
        unscripted.page.locator("#do-payments button[value=preview]").click()
        unscripted.page.locator("#do-payments-effect", has_text="6.00 EUR will still be due").wait_for()
        assert unscripted.page.frame_locator("iframe").locator("main.sheet").count() == 1
        unscripted.page.locator("#do-payments [name=confirmed]").check()
        unscripted.page.locator("#do-payments button.primary").click()
        assert now(api, one)["due"] == "6.00"
