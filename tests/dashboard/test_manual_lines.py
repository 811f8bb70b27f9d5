"""Manual lines, taxes, parties and issue dates at the dashboard."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dashboard.client import Dashboard, Page
from tests.dashboard.test_invoice_actions import LIST, now
from tests.support.server import Server
from tests.web.api_server import ApiServer
from tests.web.taxes import LAST_DAY, LINES, TAXES, invoice_changes, put_ended, taxed_server
from tests.web.test_invoices import done
from witnd.domain.invoices.invoice import Invoice

LINE = "/dashboard/customers/acme/line"
SETUP = {"description": "Setup of <b>it</b>", "quantity": "2", "unit_price": "50"}


@pytest.fixture
def api(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
    with taxed_server(session_server, tmp_path) as opened:
        yield opened


@pytest.fixture
def one(api: ApiServer) -> Invoice:
    return put_ended(api)


def page_of(admin: Dashboard, invoice: Invoice) -> Page:
    return admin.get(f"{LIST}/{invoice.id}")


def add(admin: Dashboard, invoice: Invoice, **fields: Any) -> Page:
    return admin.submit(page_of(admin, invoice), f"{LIST}/{invoice.id}/lines", **(SETUP | fields))


class TestAdding:
    def test_a_line_is_added_and_shown(self, admin: Dashboard, api: ApiServer, one: Invoice) -> None:
        page = add(admin, one, tax="reduced")
        assert (page.status, page.path) == (200, f"{LIST}/{one.id}")
        assert "100.00 EUR" in page.message
        heads = page.document.xpath("//*[@data-list='lines']//th[@scope='rowgroup']/@data-case")
        assert heads == ["manual"]
        row = page.rows("lines")[-1]
        assert row[0].startswith("Setup of <b>it</b>")
        assert row[3:6] == ["reducedChange the tax of Setup of <b>it</b>", "2", "50.00"]
        assert [row[0] for row in page.rows("taxes")] == ["VAT 7%", "VAT 19%"]
        assert [row[-1] for row in page.rows("sums")] == ["110.00", "8.90", "118.90"]
        assert page.fact("seller") == "Kontor GmbH"
        assert page.fact("purchase-order") == "PO-77"

    def test_mistakes_are_shown_at_their_fields(self, admin: Dashboard, api: ApiServer, one: Invoice) -> None:
        page = add(admin, one, description=" ", quantity="0", unit_price="soon")
        assert page.status == 400
        assert page.invalid == ["description", "quantity", "unit_price"]
        assert page.find("//*[@id='do-lines']").get("open") is not None
        assert page.find("//input[@name='unit_price']").get("value") == "soon"
        assert now(api, one)["revision"] == 0

    def test_a_discount_that_is_too_large_says_what_fits(self, admin: Dashboard, api: ApiServer, one: Invoice) -> None:
        page = add(admin, one, quantity="1", unit_price="-10.01")
        assert (page.status, page.is_refused) == (409, True)
        assert "the largest discount that fits is 10.00 EUR" in page.text
        assert now(api, one)["revision"] == 0

    def test_a_double_click_adds_one_line(self, admin: Dashboard, api: ApiServer, one: Invoice) -> None:
        before = page_of(admin, one)
        for _ in range(2):
            assert admin.submit(before, f"{LIST}/{one.id}/lines", **SETUP).status == 200
        assert now(api, one)["subtotal"] == "110.00"
        page = admin.submit(before, f"{LIST}/{one.id}/lines", **(SETUP | {"quantity": "3"}))
        assert (page.status, page.is_refused) == (409, True)

    def test_a_reduced_discount_shows_how(self, admin: Dashboard, api: ApiServer, one: Invoice) -> None:
        add(admin, one, quantity="1", unit_price="-8")
        done(api, one, "credit", {"outcome_key": "ticket-1", "reason": "late"})
        page = page_of(admin, one)
        [row] = [row for row in page.rows("lines") if row[0].startswith("Setup")]
        assert "-8.00 requested, reduced so that no taxable amount is negative" in row[0]
        assert row[-1].startswith("−4.00")


class TestRemoving:
    def test_a_line_is_removed(self, admin: Dashboard, api: ApiServer, one: Invoice) -> None:
        page = add(admin, one)
        [address] = [form.get("action") for form in page.document.xpath("//form") if "/remove" in form.get("action")]
        page = admin.submit(page, address)
        assert (page.status, len(page.rows("lines"))) == (200, 2)
        assert now(api, one)["subtotal"] == "10.00"
        entry = admin.get("/dashboard/changes").rows("changes")[0]
        assert "removed a line from invoice" in " ".join(entry)
        assert "Setup of <b>it</b>" in " ".join(entry)

    def test_one_with_a_credit_stays(self, admin: Dashboard, api: ApiServer, one: Invoice) -> None:
        page = add(admin, one)
        [address] = [form.get("action") for form in page.document.xpath("//form") if "/remove" in form.get("action")]
        done(api, one, "credit", {"row_id": address.split("/")[-2], "amount": "1", "reason": "x"})
        refused = admin.submit(page, address)
        assert (refused.status, refused.is_refused) == (409, True)
        shown = page_of(admin, one)
        assert any(row[0].startswith("Credit for Setup of <b>it</b>") for row in shown.rows("lines"))

    def test_not_after_issue(self, admin: Dashboard, api: ApiServer, one: Invoice) -> None:
        add(admin, one)
        done(api, one, "issue")
        page = admin.get(f"{LIST}/INV-000001")
        assert not [form for form in page.document.xpath("//form/@action") if "/lines" in form]
        assert not [address for address in page.hrefs if "/tax?" in address]


class TestTaxes:
    def test_another_tax_for_a_reason(self, admin: Dashboard, api: ApiServer, one: Invoice) -> None:
        address = f"{LIST}/{one.id}/tax"
        assert f"{address}?outcome=ticket-1" in page_of(admin, one).hrefs
        form = admin.get(f"{address}?outcome=ticket-1")
        assert form.fact("tax") == "vat"
        refused = admin.submit(form, address, tax="export")
        assert (refused.status, refused.invalid) == (400, ["reason"])
        page = admin.submit(refused, address, reason="delivered abroad")
        assert page.path == f"{LIST}/{one.id}"
        assert [row[0] for row in page.rows("taxes")] == ["ExportTax-free export", "VAT 19%"]
        [entry] = invoice_changes(api)
        assert entry["after"]["override"]["reason"] == "delivered abroad"
        assert "changed the tax of a line of invoice" in " ".join(admin.get("/dashboard/changes").rows("changes")[0])
        again = admin.submit(admin.get(f"{address}?outcome=ticket-1"), address, tax="", reason="not abroad")
        assert [row[0] for row in again.rows("taxes")] == ["VAT 19%"]

    def test_of_nothing(self, admin: Dashboard, api: ApiServer, one: Invoice) -> None:
        assert admin.get(f"{LIST}/{one.id}/tax?row={'ab' * 32}").status == 404
        assert admin.get(f"{LIST}/{one.id}/tax").status == 400
        done(api, one, "issue")
        page = admin.get(f"{LIST}/{one.id}/tax?outcome=ticket-1")
        assert (page.status, page.is_refused, page.state("stage")) == (409, True, "issued")

    def test_a_credit_note_has_them(self, admin: Dashboard, api: ApiServer, one: Invoice) -> None:
        page = add(admin, one)
        line = page.document.xpath("//form[contains(@action, '/remove')]/@action")[0].split("/")[-2]
        done(api, one, "issue")
        items = [{"line": line, "amount": "10"}, {"line": LINES[0].id, "amount": "1"}]
        done(api, one, "credit-notes", {"items": items, "reason": "late"})
        note = admin.get("/dashboard/credit-notes/CN-000001")
        assert note.fact("amount").startswith("13.09 EUR")
        assert note.fact("net") == "11.00 EUR and 2.09 EUR tax"
        assert [row[0] for row in note.rows("lines")] == ["Setup of <b>it</b>", "ticket-1"]
        assert note.rows("taxes")[0][2:] == ["11.00", "2.09"]
        assert admin.get("/dashboard/credit-notes").rows("credit-notes")[0][-1] == "13.09 EUR"
        assert admin.get(f"{LIST}/INV-000001").rows("credit-notes")[0][-1] == "13.09"

    def test_the_note_of_a_voided_invoice_has_no_lines(self, admin: Dashboard, api: ApiServer, one: Invoice) -> None:
        done(api, one, "issue")
        done(api, one, "void", {"reason": "wrong company"})
        assert "cancels" in admin.get("/dashboard/credit-notes/CN-000001").cases


class TestIssuing:
    def test_with_a_date(self, admin: Dashboard, api: ApiServer, one: Invoice) -> None:
        address = f"{LIST}/{one.id}/issue"
        refused = admin.submit(page_of(admin, one), address, date="soon", confirmed="yes")
        assert (refused.status, refused.invalid) == (400, ["date"])
        refused = admin.submit(page_of(admin, one), address, date="2020-09-29", confirmed="yes")
        assert (refused.status, refused.is_refused) == (409, True)
        assert refused.find("//*[@id='do-issue']//input[@name='date']").get("value") == "2020-09-29"
        page = admin.submit(refused, address, date=LAST_DAY, confirmed="yes")
        assert (page.state("stage"), page.fact("issue-date")) == ("issued", f"dated {LAST_DAY}")
        assert now(api, one)["total"] == "11.90"

    def test_what_is_missing_is_shown_before(self, session_server: Server, redis_url: str, tmp_path: Path) -> None:
        with taxed_server(session_server, tmp_path, catalogue=TAXES) as api:
            admin, mixed = Dashboard(api), put_ended(api, "beta")
            page = page_of(admin, mixed)
            assert page.cases.count("lacks") == 1
            assert "The invoice has no seller" in page.text
            page = add(admin, mixed, tax="vat")
            assert "cannot-issue" in page.cases
            assert "outcomes of support (2 lines)" in page.text

    def test_with_a_seller_nothing_is_missing(self, admin: Dashboard, one: Invoice) -> None:
        assert not {"lacks", "cannot-issue"} & set(page_of(admin, one).cases)


class TestCustomers:
    def test_a_line_for_the_current_period(self, admin: Dashboard, api: ApiServer) -> None:
        assert LINE in admin.get("/dashboard/customers/acme").hrefs
        form = admin.get(LINE)
        assert form.find("//input[@name='currency']").get("value") == "EUR"
        refused = admin.submit(form, LINE, **(SETUP | {"unit_price": "x"}))
        assert (refused.status, refused.invalid) == (400, ["unit_price"])
        assert refused.find("//input[@name='description']").get("value") == SETUP["description"]
        page = admin.submit(refused, LINE, unit_price="50")
        assert (page.status, page.state("stage")) == (200, "open")
        assert "100.00 EUR" in page.message
        page = admin.submit(page, f"{page.path}/lines", **(SETUP | {"unit_price": "-900"}))
        assert page.status == 200, "reduced at close"
        assert "Subtotal" in page.rows("sums")[0][0]

    def test_of_nobody(self, admin: Dashboard) -> None:
        assert admin.get("/dashboard/customers/nobody/line").status == 404


def test_a_reader_sees_no_forms(api: ApiServer, one: Invoice, reader: Dashboard) -> None:
    done(api, one, "lines", {"description": "Setup", "quantity": "1", "unit_price": "1"})
    page = reader.get(f"{LIST}/{one.id}")
    assert not [form for form in page.document.xpath("//form/@action") if "/lines" in form or "/issue" in form]
    assert LINE not in reader.get("/dashboard/customers/acme").hrefs


def test_a_billing_session_may(api: ApiServer, one: Invoice) -> None:
    made = api.ask("POST", "/v1/tokens", {"name": "finance", "scopes": ["billing"]})
    api.tokens["billing"] = made.json["token"]
    finance = Dashboard(api, "billing")
    assert add(finance, one).status == 200
    assert finance.submit(finance.get(LINE), LINE, **SETUP).status == 200
