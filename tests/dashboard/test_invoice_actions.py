"""What is done to invoices at the dashboard, what is refused there, and what is kept of it."""

from typing import Any

import pytest

from tests.dashboard.browser import Tab
from tests.dashboard.client import Dashboard, Page
from tests.support.invoices import outcome_row
from tests.web.api_server import ApiServer
from tests.web.invoices import AHEAD, ROWS, closed, put, rows
from witnd.domain.invoices.invoice import Invoice
from witnd.store.errors import StoreUnavailable
from witnd.store.invoices import lines as invoice_lines
from witnd.store.invoices.reads import Invoices

LIST = "/dashboard/invoices"
FIRST = f"{LIST}/INV-000001"


def do(api: ApiServer, invoice: Invoice, operation: str, **body: Any) -> Any:
    answer = api.ask("POST", f"/v1/invoices/{invoice.id}/{operation}", body or None)
    assert answer.status in (200, 201), answer.body
    return answer.json


def now(api: ApiServer, invoice: Invoice) -> Any:
    return api.get(f"/v1/invoices/{invoice.id}")


def changes(api: ApiServer) -> list[Any]:
    return [(one["what"], one["who"]) for one in api.pages("/v1/changes")]


def alert(page: Page) -> str:
    return " ".join(page.find("//*[@role='alert']").text_content().split())


def credit_forms(page: Page) -> dict[str, str]:
    """The outcome of each line that can be credited → the address of the form."""
    links = [href for href in page.document.xpath("//*[@data-list='lines']//a/@href") if "/credit?" in href]
    return {href.partition("outcome=")[2]: href for href in links}


def form(admin: Dashboard, invoice: Invoice, **which: str) -> Page:
    [(name, value)] = which.items()
    return admin.get(f"{LIST}/{invoice.id}/credit?{name}={value}")


class TestDoing:
    def test_a_draft_is_issued_and_paid_and_each_is_noted(self, admin: Dashboard, api: ApiServer) -> None:
        one = put(api)
        page = admin.get(f"{LIST}/{one.id}")
        assert "10.00 EUR" in page.text_of("do-issue")
        page = admin.submit(page, f"{LIST}/{one.id}/issue", confirmed="yes")
        assert (page.status, page.path) == (200, FIRST)
        assert "INV-000001" in page.message
        assert page.state("stage") == "issued"
        page = admin.submit(page, f"{FIRST}/payments", confirmed="yes")
        assert "10.00 EUR" in page.message, "what is due"
        assert page.state("stage") == "paid"
        assert "do-void" not in page.source, "nothing more can be done"
        assert changes(api) == [("invoice.payment", "token admin"), ("invoice.issue", "token admin")]

    def test_what_the_customers_credit_pays_is_told_before_it_is_issued(self, admin: Dashboard, api: ApiServer) -> None:
        old, new = put(api), put(api, at=AHEAD.end)
        do(api, old, "issue")
        do(api, old, "pay")
        do(api, old, "credit", outcome_key="ticket-1", amount="1.50", reason="late")
        page = admin.get(f"{LIST}/{new.id}")
        effect = page.text_of("do-issue-effect")
        assert "INV-000002" in effect
        assert "uses 1.50 EUR" in effect
        assert "8.50 EUR will be due on " in effect
        page = admin.submit(page, f"{LIST}/{new.id}/issue", confirmed="yes")
        assert page.rows("sums")[-1][1] == "8.50"

    def test_an_issued_one_is_voided_with_a_reason(self, admin: Dashboard, api: ApiServer) -> None:
        one = put(api)
        do(api, one, "issue")
        page = admin.submit(admin.get(FIRST), f"{FIRST}/void", reason=" wrong company ", confirmed="yes")
        assert "INV-000001" in page.message
        assert now(api, one)["reason"] == "wrong company"
        assert not [to for to in page.hrefs if "/credit" in to.removeprefix("/dashboard/credit-notes")]

    @pytest.mark.parametrize("operation", ["issue", "payments", "void"])
    def test_nothing_is_done_without_a_tick_and_what_was_typed_is_kept(
        self, admin: Dashboard, api: ApiServer, operation: str
    ) -> None:
        one = put(api)
        if operation != "issue":
            do(api, one, "issue")
        page = admin.get(f"{LIST}/{one.id}")
        name = page.find(f"//*[@id='do-{operation}']//form").get("action")
        reason: dict[str, Any] = {"reason": "wrong <b>company</b>"} if operation == "void" else {}
        refused = admin.submit(page, name, **reason)
        assert refused.status == 400
        assert refused.is_refused
        assert refused.find(f"//*[@id='do-{operation}']").get("open") is not None
        assert now(api, one)["status"] == ("draft" if operation == "issue" else "issued")
        if reason:
            assert refused.find("//input[@name='reason']").get("value") == reason["reason"]
        done = admin.submit(refused, name, confirmed="yes")
        assert done.status == 200
        assert now(api, one)["status"] == {"issue": "issued", "payments": "paid", "void": "void"}[operation]

    def test_a_reason_that_cannot_be_printed_is_told_at_its_field(self, admin: Dashboard, api: ApiServer) -> None:
        one = put(api)
        do(api, one, "issue")
        for reason in ("", "x" * 501, "a\x07b"):
            page = admin.submit(admin.get(FIRST), f"{FIRST}/void", reason=reason, confirmed="yes")
            assert page.status == 400
            assert page.invalid == ["reason"]
        assert now(api, one)["status"] == "issued"

    def test_what_may_not_be_done_any_more_is_told_on_the_invoice(self, admin: Dashboard, api: ApiServer) -> None:
        one = put(api)
        do(api, one, "issue")
        before = admin.get(FIRST)
        do(api, one, "credit", outcome_key="ticket-1", amount="1.50", reason="late")
        page = admin.submit(before, f"{FIRST}/void", reason="wrong company", confirmed="yes")
        assert page.status == 409
        assert page.is_refused
        assert page.find("//*[@id='do-void']").get("open") is not None
        assert page.find("//input[@name='reason']").get("value") == "wrong company"
        assert page.rows("lines")
        do(api, one, "pay")
        page = admin.submit(before, f"{FIRST}/void", reason="wrong company", confirmed="yes")
        assert (page.status, page.state("stage")) == (409, "paid"), "as it is now"

    def test_an_open_one_cannot_be_issued_yet(self, admin: Dashboard, api: ApiServer) -> None:
        one, other = put(api, closed=False), put(api, "other")
        page = admin.get(f"{LIST}/{one.id}")
        assert "do-issue" not in page.source
        key = admin.get(f"{LIST}/{other.id}").find("//*[@id='do-issue']//input[@name='form_key']").get("value")
        page = admin.send(f"{LIST}/{one.id}/issue", {"form_key": key, "confirmed": "yes"})
        assert page.status == 409
        assert "2096-11-01" in alert(page), "when its period ends"

    def test_a_form_that_is_sent_twice_does_it_once(self, admin: Dashboard, api: ApiServer) -> None:
        one = put(api)
        page = admin.get(f"{LIST}/{one.id}")
        for _ in range(2):
            assert admin.submit(page, f"{LIST}/{one.id}/issue", confirmed="yes").path == FIRST
        assert changes(api) == [("invoice.issue", "token admin")]

    def test_who_may_only_read_sees_no_actions_and_does_none(self, reader: Dashboard, api: ApiServer) -> None:
        one, issued = put(api), put(api, "other")
        do(api, issued, "issue")
        for name in (one.id, issued.id):
            page = reader.get(f"{LIST}/{name}")
            assert page.status == 200
            assert not page.document.xpath("//main//form[@method='post']")
            assert not credit_forms(page)
            for operation in ("issue", "payments", "void", "credit"):
                key = page.find("//form[@method='post']//input[@name='form_key']").get("value")
                fields = {"form_key": key, "confirmed": "yes", "reason": "a", "outcome": "ticket-1"}
                assert reader.send(f"{LIST}/{name}/{operation}", fields).status == 403
        assert reader.get(f"{LIST}/{one.id}/credit?outcome=ticket-1").status == 403
        assert now(api, one)["credited"] == "0.00"


class TestCrediting:
    def test_a_part_of_a_line_of_a_draft_becomes_a_line(self, admin: Dashboard, api: ApiServer) -> None:
        one = put(api)
        page = admin.get(credit_forms(admin.get(f"{LIST}/{one.id}"))["ticket-1"])
        assert page.find("//input[@name='amount']").get("value") == "6.00", "all that is left"
        page = admin.submit(page, amount="1.50", reason="Reopened", confirmed="yes")
        assert page.path == f"{LIST}/{one.id}"
        assert "1.50 EUR" in page.message
        assert page.items("lines")[-1].xpath(".//a/@href")[0] == "/dashboard/outcomes/ticket-1"
        assert page.rows("lines")[-1][-1] == "−1.50"
        again = admin.get(credit_forms(page)["ticket-1"])
        assert again.find("//input[@name='amount']").get("value") == "4.50"
        assert again.fact("given-back") == "−1.50 EUR"

    def test_all_of_a_line_of_an_issued_one_becomes_a_credit_note(self, admin: Dashboard, api: ApiServer) -> None:
        one = put(api, "acme", [outcome_row("ticket-1", "1234567.00", AHEAD.start)])
        do(api, one, "issue")
        do(api, one, "pay")
        page = form(admin, one, outcome="ticket-1")
        page = admin.submit(page, reason="Reopened", confirmed="yes")
        assert page.path == "/dashboard/credit-notes/CN-000001"
        assert "1,234,567.00 EUR" in page.message
        assert now(api, one)["balance"] == "1234567.00"
        assert not credit_forms(admin.get(FIRST)), "nothing is left of it"
        page = form(admin, one, outcome="ticket-1")
        assert page.status == 409
        assert page.is_refused

    def test_fees_are_credited_too_and_lines_of_large_invoices(
        self, admin: Dashboard, api: ApiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(invoice_lines, "LOOKED_AT_MAX", 500)
        fee = outcome_row("", "5.00", id="ab" * 32, kind="fee", outcome_key=None, resolved_at=None, unit=None)
        lines = rows(1100)
        one = put(api, "acme", [*lines, fee])
        page = admin.submit(form(admin, one, row=fee.id), reason="agreed", confirmed="yes")
        assert "5.00 EUR" in page.message
        page = admin.submit(form(admin, one, outcome=lines[900].outcome_key or ""), reason="late", confirmed="yes")
        assert "1.00 EUR" in page.message
        assert form(admin, one, row=lines[900].id).status == 400, "too far to be looked for by its id"

    def test_a_double_click_gives_one_credit(self, admin: Dashboard, api: ApiServer) -> None:
        one = put(api)
        do(api, one, "issue")
        page = form(admin, one, outcome="ticket-1")
        sent = [admin.submit(page, amount="1.50", reason="late", confirmed="yes") for _ in range(2)]
        assert {answer.path for answer in sent} == {"/dashboard/credit-notes/CN-000001"}
        assert now(api, one)["noted"] == "1.50"
        again = admin.submit(form(admin, one, outcome="ticket-1"), amount="1.50", reason="late", confirmed="yes")
        assert again.path == "/dashboard/credit-notes/CN-000002", "a form of its own is another credit"

    def test_a_form_that_gave_something_before_says_so_and_can_give_more(
        self, admin: Dashboard, api: ApiServer
    ) -> None:
        one = put(api)
        page = form(admin, one, outcome="ticket-1")
        admin.submit(page, amount="1.50", reason="late", confirmed="yes")
        page = admin.submit(page, amount="2.00", reason="late", confirmed="yes")
        assert page.status == 409
        assert "1.50 EUR" in alert(page)
        assert "Idempotency" not in page.text
        assert page.find("//input[@name='amount']").get("value") == "2.00"
        admin.submit(page, confirmed="yes")
        assert now(api, one)["credited"] == "3.50"

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("amount", "0.001"),
            ("amount", "-1"),
            ("amount", "1,50"),
            ("amount", "<b>"),
            ("amount", "0"),
            ("reason", " "),
        ],
    )
    def test_what_cannot_be_meant_is_told_at_its_field_with_the_rest_kept(
        self, admin: Dashboard, api: ApiServer, field: str, value: str
    ) -> None:
        one = put(api)
        given: dict[str, Any] = {"amount": "1.50", "reason": "late & <i>wrong</i>"} | {field: value}
        page = admin.submit(form(admin, one, outcome="ticket-1"), **given, confirmed="yes")
        assert page.status == 400
        assert page.invalid == [field]
        for name, text in given.items():
            assert page.find(f"//input[@name='{name}']").get("value") == text
        assert page.find("//input[@name='confirmed']").get("checked") is not None
        assert now(api, one)["credited"] == "0.00"
        page = admin.submit(page, amount="1.50", reason="late")
        assert "1.50 EUR" in page.message, "the same form, put right"

    def test_more_than_is_left_is_refused_with_what_is(self, admin: Dashboard, api: ApiServer) -> None:
        one = put(api)
        page = form(admin, one, outcome="ticket-1")
        do(api, one, "credit", outcome_key="ticket-1", amount="5.00", reason="by somebody else")
        page = admin.submit(page, amount="6.00", reason="late", confirmed="yes")
        assert page.status == 409
        assert "1.00 EUR" in alert(page)
        assert page.fact("left") == "1.00 EUR"
        assert "1.00" in page.text_of("f-amount-hint")
        assert admin.submit(page, amount="1.00").path == f"{LIST}/{one.id}"

    def test_when_somebody_else_gave_all_of_it_the_invoice_says_so(self, admin: Dashboard, api: ApiServer) -> None:
        one = put(api)
        page = form(admin, one, outcome="ticket-1")
        do(api, one, "credit", outcome_key="ticket-1", reason="by somebody else")
        page = admin.submit(page, reason="late", confirmed="yes")
        assert page.status == 409
        assert page.is_refused
        assert page.rows("lines"), "on the page of the invoice"

    def test_a_credit_needs_a_tick(self, admin: Dashboard, api: ApiServer) -> None:
        one = put(api)
        page = admin.submit(form(admin, one, outcome="ticket-1"), reason="late")
        assert page.status == 400
        assert page.is_refused
        assert page.find("//input[@name='reason']").get("value") == "late"
        assert now(api, one)["credited"] == "0.00"

    def test_a_line_without_a_price_or_of_nothing_is_not_offered(self, admin: Dashboard, api: ApiServer) -> None:
        lines = [outcome_row("later", None, AHEAD.start), outcome_row("free", "0.00", AHEAD.start + 1), *ROWS]
        one = put(api, "acme", lines, closed=False)
        assert set(credit_forms(admin.get(f"{LIST}/{one.id}"))) == {"ticket-1", "ticket-2"}
        page = form(admin, one, outcome="later")
        assert page.status == 409
        assert page.is_refused
        closed(api, one, lines)
        assert form(admin, one, outcome="nothing").status == 404
        assert admin.get(f"{LIST}/{one.id}/credit").status == 400

    def test_currencies_without_and_with_three_digits_are_given_back_as_they_are(
        self, admin: Dashboard, api: ApiServer
    ) -> None:
        yen = put(api, "a", [outcome_row("yen", "1200", AHEAD.start)], currency="JPY")
        dinar = put(api, "b", [outcome_row("dinar", "1.125", AHEAD.start)], currency="KWD")
        page = admin.submit(form(admin, yen, outcome="yen"), amount="1.5", reason="late", confirmed="yes")
        assert page.invalid == ["amount"]
        page = admin.submit(form(admin, yen, outcome="yen"), amount="150", reason="late", confirmed="yes")
        assert page.rows("lines")[-1][-1] == "−150"
        page = admin.submit(form(admin, dinar, outcome="dinar"), amount="0.125", reason="late", confirmed="yes")
        assert page.rows("lines")[-1][-1] == "−0.125"

    def test_when_it_is_unknown_whether_it_was_given_the_form_may_be_sent_again(
        self, admin: Dashboard, api: ApiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = Invoices.do

        async def silent(self: Invoices, *given: Any, **more: Any) -> Any:
            await real(self, *given, **more)
            raise StoreUnavailable("no answer")

        one = put(api)
        page = form(admin, one, outcome="ticket-1")
        with monkeypatch.context() as patched:
            patched.setattr(Invoices, "do", silent)
            lost = admin.submit(page, amount="1.50", reason="late", confirmed="yes")
        assert lost.status == 503
        assert "unknown" in lost.cases
        assert "1.50 EUR" in admin.submit(page, amount="1.50", reason="late", confirmed="yes").message
        assert now(api, one)["credited"] == "1.50"


def test_a_line_is_credited_with_a_browser(api: ApiServer, tab: Tab) -> None:
    do(api, put(api), "issue")
    tab.open(FIRST)
    tab.page.locator("a[href$='/credit?outcome=ticket-1']").click()
    tab.field("amount").fill("1.50")
    tab.field("reason").fill("Reopened by phone")
    tab.field("confirmed").check()
    tab.page.locator("main form button.primary").click()
    tab.page.get_by_role("heading", name="CN-000001").wait_for()
    tab.page.get_by_role("link", name="INV-000001").click()
    tab.page.locator("#lines [data-fact=given-back]", has_text="−1.50").wait_for()
