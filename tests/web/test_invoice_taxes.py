"""Taxes, parties and issue dates of invoices and credit notes, over HTTP."""

import csv
import io
import json
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.companies import LOGO, png
from tests.support.invoices import outcome_row
from tests.support.server import Server
from tests.web.api_server import Answer, ApiServer
from tests.web.taxes import ENDED, LAST_DAY, LINES, SELLER, TAXES, invoice_changes, put_ended, taxed_server
from tests.web.test_invoices import done, everything, post, refused
from tests.web.test_manual_lines import forget
from witnd.domain.invoices.invoice import Invoice

SETUP = {"description": "Setup", "quantity": "1", "unit_price": "100", "tax": "reduced"}


@pytest.fixture
def api(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
    with taxed_server(session_server, tmp_path) as opened:
        yield opened


def override(api: ApiServer, invoice: Invoice, line: str, body: Any, key: str | None = None) -> Answer:
    headers = {} if key is None else {"Idempotency-Key": key}
    return api.ask("PATCH", f"/v1/invoices/{invoice.id}/lines/{line}", body, headers=headers)


def tax_row(category: str, rate: str, taxable: str, tax: str, name: str, note: str | None = None) -> dict[str, Any]:
    return {"category": category, "rate": rate, "taxable": taxable, "tax": tax, "name": name, "note": note}


class TestReading:
    def test_a_draft_shows_the_taxes_and_parties_it_would_be_issued_with(self, api: ApiServer) -> None:
        one = put_ended(api)
        done(api, one, "lines", SETUP)
        found = api.get(f"/v1/invoices/{one.id}")
        rows = [tax_row("S", "7", "100.00", "7.00", "VAT 7%"), tax_row("S", "19", "10.00", "1.90", "VAT 19%")]
        assert (found["tax_rows"], found["tax"], found["total"], found["subtotal"]) == (rows, "8.90", None, "110.00")
        assert (found["seller"]["name"], found["seller"]["payment_terms_days"]) == ("Kontor GmbH", 14)
        assert "logo" not in found["seller"]
        assert found["buyer"] == {
            "key": "acme", "name": "Acme Incorporated", "legal_name": "Acme Incorporated", "address": ["1 Main Street"],
            "postal_code": "75001", "city": "Paris", "country": "FR", "tax_id": "FR40303265045",
            "purchase_order": "PO-77", "email": "hello@acme.com", "payment_terms_days": 60, "tax": "vat",
            "locale": None,
        }  # fmt: skip

    def test_an_issued_one_keeps_what_it_was_issued_with(self, api: ApiServer) -> None:
        one = put_ended(api)
        issued = done(api, one, "issue")
        assert (issued["tax"], issued["total"], issued["due"], issued["warnings"]) == ("1.90", "11.90", "11.90", [])
        before = api.get(f"/v1/invoices/{one.id}")
        text = (SELLER + TAXES).replace("Kontor GmbH", "Kontor AG").replace('"19"', '"21"').replace("Acme Inc", "A")
        api.deployment.apply(text)
        assert api.get(f"/v1/invoices/{one.id}") == before
        assert {line["tax"] for line in api.pages(f"/v1/invoices/{one.id}/lines")} == {"vat"}

    def test_the_due_date_follows_from_the_terms(self, api: ApiServer) -> None:
        one, other = put_ended(api), put_ended(api, "beta")
        terms = [(one, 60), (other, 14)]
        for invoice, days in terms:
            issued = done(api, invoice, "issue")
            first = datetime.fromisoformat(issued["issue_date"])
            assert issued["due_date"] == (first + timedelta(days=days)).date().isoformat()

    def test_without_any_tax_there_is_none(self, session_server: Server, redis_url: str, tmp_path: Path) -> None:
        catalogue = '[[customers]]\nkey = "acme"\n'
        with taxed_server(session_server, tmp_path, catalogue=catalogue) as api:
            one = put_ended(api)
            found = done(api, one, "issue")
            assert (found["tax"], found["tax_rows"], found["total"]) == ("0.00", [], "10.00")
            full = api.get(f"/v1/invoices/{one.id}")
            assert (full["seller"], full["buyer"]["tax"], full["buyer"]["address"]) == (None, None, [])
            assert [line["tax"] for line in api.pages(f"/v1/invoices/{one.id}/lines")] == [None, None]


class TestOverrides:
    def test_a_line_of_a_draft_has_another_tax_for_a_reason(self, api: ApiServer) -> None:
        one = put_ended(api)
        answer = override(api, one, LINES[0].id, {"tax": "export", "reason": "delivered abroad"})
        assert (answer.status, answer.json["tax"], answer.json["id"]) == (200, "export", LINES[0].id)
        found = api.get(f"/v1/invoices/{one.id}")
        assert found["tax_rows"] == [
            tax_row("G", "0", "6.00", "0.00", "Export", "Tax-free export"),
            tax_row("S", "19", "4.00", "0.76", "VAT 19%"),
        ]
        [entry] = invoice_changes(api)
        assert (entry["what"], entry["after"]["override"]) == (
            "invoice.override_tax", {"line": LINES[0].id, "tax": "export", "reason": "delivered abroad"}
        )  # fmt: skip
        assert done(api, one, "issue")["total"] == "10.76"

    def test_null_gives_it_its_own_again(self, api: ApiServer) -> None:
        one = put_ended(api)
        override(api, one, LINES[0].id, {"tax": "export", "reason": "x"})
        answer = override(api, one, LINES[0].id, {"tax": None, "reason": "not abroad"})
        assert (answer.status, answer.json["tax"], answer.json["invoice"]["revision"]) == (200, "vat", 2)
        assert api.get(f"/v1/invoices/{one.id}")["tax"] == "1.90"
        again = override(api, one, LINES[0].id, {"tax": None, "reason": "not abroad"})
        assert again.json["invoice"]["revision"] == 2, "unchanged"

    def test_a_credit_follows_its_line(self, api: ApiServer) -> None:
        one = put_ended(api)
        done(api, one, "credit", {"outcome_key": "ticket-1", "amount": "1.00", "reason": "late"})
        override(api, one, LINES[0].id, {"tax": "reduced", "reason": "x"})
        credit = done(api, one, "credit", {"outcome_key": "ticket-1", "amount": "2.00", "reason": "late"})
        assert credit["line"]["tax"] == "reduced"
        assert [line["tax"] for line in api.pages(f"/v1/invoices/{one.id}/lines")] == [
            "reduced", "vat", "reduced", "reduced"
        ]  # fmt: skip
        assert [row["taxable"] for row in api.get(f"/v1/invoices/{one.id}")["tax_rows"]] == ["3.00", "4.00"]
        override(api, one, LINES[0].id, {"tax": None, "reason": "x"})
        assert {line["tax"] for line in api.pages(f"/v1/invoices/{one.id}/lines")} == {"vat"}
        assert api.get(f"/v1/invoices/{one.id}")["tax_rows"] == [tax_row("S", "19", "7.00", "1.33", "VAT 19%")]

    def test_a_manual_line_can_have_one_too(self, api: ApiServer) -> None:
        one = put_ended(api)
        line = done(api, one, "lines", SETUP)["id"]
        assert override(api, one, line, {"tax": "export", "reason": "x"}).json["tax"] == "export"
        assert api.ask("DELETE", f"/v1/invoices/{one.id}/lines/{line}").status == 200
        assert api.get(f"/v1/invoices/{one.id}")["tax_rows"] == [tax_row("S", "19", "10.00", "1.90", "VAT 19%")]

    @pytest.mark.parametrize(
        ("body", "path"),
        [({}, "reason"), ({"reason": "x"}, "tax"), ({"tax": "vat"}, "reason"),
         ({"tax": "vat", "reason": " "}, "reason"), ({"tax": "nothing", "reason": "x"}, "tax"),
         ({"tax": 19, "reason": "x"}, "tax"),
         ({"tax": "vat", "reason": "x", "rate": "19"}, "rate")],
    )  # fmt: skip
    def test_a_mistake_is_refused_with_its_path(self, api: ApiServer, body: Any, path: str) -> None:
        one = put_ended(api)
        before = everything(api)
        answer = override(api, one, LINES[0].id, body)
        refused(answer, 400, "VALIDATION_ERROR")
        assert answer.error["details"][0]["path"] == path
        assert everything(api) == before

    def test_not_of_an_unknown_line_or_an_open_invoice(self, api: ApiServer) -> None:
        body = {"tax": "export", "reason": "x"}
        one = put_ended(api)
        refused(override(api, one, "ab" * 32, body), 404, "NOT_FOUND")
        api.deployment.call("HSET", f"witn:{{shared}}:billing:invoice:{one.id}", "status", "void")
        assert "is void" in refused(override(api, one, LINES[0].id, body), 409, "CONFLICT")
        open_line = api.ask("POST", "/v1/customers/acme/lines", SETUP).json
        path = f"/v1/invoices/{open_line['invoice']['id']}/lines/{open_line['id']}"
        message = refused(api.ask("PATCH", path, body), 409, "CONFLICT")
        assert "change the tax of its lines after its period has closed" in message

    def test_its_key_holds_after_the_stored_answer_is_gone(self, api: ApiServer) -> None:
        one, body = put_ended(api), {"tax": "export", "reason": "x"}
        first = override(api, one, LINES[0].id, body, "key")
        forget(api)
        assert override(api, one, LINES[0].id, body, "key").json["invoice"] == first.json["invoice"]
        for line, other in ((LINES[1].id, body), (LINES[0].id, body | {"tax": "reduced"}),
                            (LINES[0].id, body | {"reason": "y"})):  # fmt: skip
            forget(api)
            assert "choose another key" in refused(override(api, one, line, other, "key"), 409, "CONFLICT")
        assert api.get(f"/v1/invoices/{one.id}")["revision"] == 1


class TestIssuing:
    def test_a_dry_run_shows_the_total_and_what_is_missing(
        self, session_server: Server, redis_url: str, tmp_path: Path
    ) -> None:
        with taxed_server(session_server, tmp_path, catalogue=TAXES) as api:
            one = put_ended(api)
            before = everything(api)
            seen = done(api, one, "issue", {"dry_run": True, "date": LAST_DAY})
            assert (seen["total"], seen["number"], seen["issue_date"], seen["due_date"]) == (
                "11.90", None, LAST_DAY, "2020-11-29"
            )  # fmt: skip
            assert seen["warnings"] == [
                "the invoice has no seller; add a [seller] to the catalogue before you issue the invoice"
            ]
            assert everything(api) == before
            [warning] = done(api, one, "issue")["warnings"]
            assert warning == "the invoice has no seller; add a [seller] to the catalogue and revise the invoice"
            assert done(api, one, "issue")["warnings"] == [warning], "again"

    def test_an_earlier_date_can_be_chosen(self, api: ApiServer) -> None:
        one, other, third = put_ended(api), put_ended(api, "beta"), put_ended(api, "gamma")
        issued = done(api, one, "issue", {"date": "2020-10-02"})
        assert (issued["issue_date"], issued["due_date"]) == ("2020-10-02", "2020-12-01")
        assert issued["issued_at"][:4] != "2020", "the instant is the clock's"
        message = refused(post(api, other, "issue", {"date": "2020-10-01"}), 409, "CONFLICT")
        assert "is before 2020-10-02, the date of an earlier number of the series; use a date from" in message
        assert done(api, other, "issue", {"date": "2020-10-02"})["issue_date"] == "2020-10-02"
        assert done(api, third, "issue")["issue_date"] == issued["issued_at"][:10]
        assert done(api, one, "issue", {"date": "2020-10-02"})["issue_date"] == "2020-10-02", "again"
        message = refused(post(api, one, "issue", {"date": "2020-10-03"}), 409, "CONFLICT")
        assert "was issued on 2020-10-02; its date cannot be changed" in message

    @pytest.mark.parametrize("date", ["2020-09-29", "tomorrow"])
    def test_not_before_the_period_ends_and_not_in_the_future(self, api: ApiServer, date: str) -> None:
        if date == "tomorrow":
            date = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
        one = put_ended(api)
        before = everything(api)
        message = refused(post(api, one, "issue", {"date": date}), 409, "CONFLICT")
        assert date in message
        assert "; use a" in message
        assert everything(api) == before

    @pytest.mark.parametrize("date", ["", "2020-9-30", "2020-02-30", "30.09.2020", 20200930, "2020-09-30T00:00:00Z"])
    def test_a_text_that_is_no_date_is_refused_with_its_path(self, api: ApiServer, date: Any) -> None:
        one = put_ended(api)
        answer = post(api, one, "issue", {"date": date})
        refused(answer, 400, "VALIDATION_ERROR")
        assert answer.error["details"][0]["path"] == "date"

    def test_its_key_holds_for_the_same_date_only(self, api: ApiServer) -> None:
        one = put_ended(api)
        done(api, one, "issue", {"date": "2020-10-02"}, "key")
        forget(api)
        assert done(api, one, "issue", {"date": "2020-10-02"}, "key")["issue_date"] == "2020-10-02"
        forget(api)
        message = refused(post(api, one, "issue", {"date": "2020-10-03"}, "key"), 409, "CONFLICT")
        assert "issued this invoice on 2020-10-02" in message

    def test_not_with_rows_with_a_tax_and_rows_without(self, api: ApiServer) -> None:
        one = put_ended(api, "beta")
        done(api, one, "lines", SETUP)
        before = everything(api)
        for body in (None, {"dry_run": True}):
            message = refused(post(api, one, "issue", body), 409, "CONFLICT")
            assert "have a tax, and others have none: outcomes of support (2 lines)" in message
            assert "; set billing.tax of customer beta, or the tax of these lines" in message
        assert everything(api) == before
        for row in LINES:
            override(api, one, row.id, {"tax": "vat", "reason": "x"})
        assert done(api, one, "issue")["total"] == "118.90"

    def test_tax_is_rounded_once_for_each_rate(self, api: ApiServer) -> None:
        lines = [outcome_row(f"ticket-{n}", "0.03", ENDED.start + n) for n in range(1, 4)]
        found = done(api, put_ended(api, "acme", lines), "issue")
        assert (found["subtotal"], found["tax"], found["total"]) == ("0.09", "0.02", "0.11")


class TestCreditNotes:
    def test_a_note_gives_the_tax_back_and_never_more_than_was_charged(self, api: ApiServer) -> None:
        one = put_ended(api)
        line = done(api, one, "lines", SETUP)["id"]
        done(api, one, "issue")
        items = [{"line": LINES[0].id, "amount": "0.50"}, {"line": line, "amount": "50"}]
        note = done(api, one, "credit-notes", {"items": items, "reason": "late"})["credit_note"]
        assert (note["amount"], note["total"], note["applied"]) == ("50.50", "54.10", "54.10")
        assert note["tax_rows"] == [
            tax_row("S", "7", "50.00", "3.50", "VAT 7%"), tax_row("S", "19", "0.50", "0.10", "VAT 19%")
        ]  # fmt: skip
        assert [row["tax"] for row in note["lines"]] == ["vat", "reduced"]
        found = api.get(f"/v1/invoices/{one.id}")
        assert (found["noted"], found["due"], found["total"]) == ("54.10", "64.80", "118.90")
        rest = [{"line": LINES[0].id}, {"line": LINES[1].id}, {"line": line}]
        note = done(api, one, "credit-notes", {"items": rest, "reason": "late"})["credit_note"]
        assert (note["amount"], note["total"]) == ("59.50", "64.80")
        assert api.get(f"/v1/invoices/{one.id}")["due"] == "0.00"

    def test_never_more_than_the_line_has(self, api: ApiServer) -> None:
        one = put_ended(api)
        done(api, one, "issue")
        before = everything(api)
        body = {"items": [{"line": LINES[0].id, "amount": "6.01"}], "reason": "late"}
        message = refused(post(api, one, "credit-notes", body), 409, "CONFLICT")
        assert message.endswith("; credit at most 6.00 EUR")
        assert everything(api) == before

    def test_never_more_than_the_discounts_left(self, api: ApiServer) -> None:
        one = put_ended(api)
        discount = {"description": "Goodwill", "quantity": "1", "unit_price": "-9"}
        done(api, one, "lines", discount)
        done(api, one, "issue")
        body = {"items": [{"line": LINES[0].id}], "reason": "late"}
        note = done(api, one, "credit-notes", body)["credit_note"]
        assert (note["amount"], note["total"]) == ("1.00", "1.19"), "the invoice has 1.00 and 19 %"

    def test_a_dry_run_shows_its_tax(self, api: ApiServer) -> None:
        one = put_ended(api)
        done(api, one, "issue")
        before = everything(api)
        body = {"items": [{"line": LINES[0].id}], "reason": "late", "dry_run": True}
        note = done(api, one, "credit-notes", body)["credit_note"]
        assert (note["number"], note["amount"], note["total"]) == (None, "6.00", "7.14")
        assert everything(api) == before

    def test_a_void_invoice_has_one_without_lines(self, api: ApiServer) -> None:
        one = put_ended(api)
        done(api, one, "issue")
        seen = done(api, one, "void", {"reason": "wrong company", "dry_run": True})
        found = done(api, one, "void", {"reason": "wrong company"})
        assert (found["noted"], found["notes_applied"], found["due"]) == ("11.90", "11.90", None)
        assert seen["noted"] == "11.90"
        [note] = api.pages("/v1/credit-notes")
        assert (note["number"], note["total"], note["applied"], note["lines"]) == ("CN-000001", "11.90", "11.90", [])
        assert (note["amount"], note["reason"], note["invoice_id"]) == ("10.00", "wrong company", one.id)
        assert api.get("/v1/customers/acme/balance")["data"] == []
        body = {"items": [{"line": LINES[0].id}], "reason": "late"}
        assert "is void" in refused(post(api, one, "credit-notes", body), 409, "CONFLICT")

    def test_a_revised_one_keeps_lines_and_overrides_in_the_next_edition(self, api: ApiServer) -> None:
        one = put_ended(api)
        line = done(api, one, "lines", SETUP)["id"]
        override(api, one, LINES[0].id, {"tax": "export", "reason": "abroad"})
        before = done(api, one, "issue")
        draft = done(api, one, "revise", {"reason": "wrong address"})
        assert draft["voided"]["noted"] == before["total"] == "117.76"
        rows = api.pages(f"/v1/invoices/{draft['id']}/lines")
        assert [(row["id"], row["tax"]) for row in rows] == [
            (LINES[0].id, "export"), (LINES[1].id, "vat"), (line, "reduced")
        ]  # fmt: skip
        assert api.ask("DELETE", f"/v1/invoices/{draft['id']}/lines/{line}").status == 200
        assert done(api, draft["id"], "issue")["total"] == "10.76"


class TestDocuments:
    def test_a_page_has_parties_logo_lines_and_taxes(self, api: ApiServer) -> None:
        one = put_ended(api)
        done(api, one, "lines", SETUP)
        draft = api.ask("GET", f"/v1/invoices/{one.id}?format=html").body.decode()
        done(api, one, "issue", {"date": "2020-10-02"})
        issued = api.ask("GET", f"/v1/invoices/{one.id}?format=html")
        assert "img-src data:" in issued.headers["content-security-policy"]
        for page in (draft, issued.body.decode()):
            for text in ("Kontor GmbH", "Germany", f"data:image/png;base64,{LOGO}", "Acme Incorporated", "PO-77",
                         "Setup", "VAT 19%", "7 % ", "118.90"):  # fmt: skip
                assert text in page, text
        assert "2 October 2020" in issued.body.decode()
        assert "1 December 2020" in issued.body.decode()
        done(api, one, "void", {"reason": "wrong company"})
        [note] = api.pages("/v1/credit-notes")
        page = api.ask("GET", f"/v1/credit-notes/{note['id']}?format=html").body.decode()
        for text in ("Kontor GmbH", LOGO, "cancels invoice INV-000001", "118.90", "VAT 7%", "PO-77"):
            assert text in page, text

    def test_the_logo_is_that_of_the_version_at_issue(self, api: ApiServer) -> None:
        one, other = put_ended(api), put_ended(api, "beta")
        done(api, one, "issue")
        api.deployment.apply((SELLER + TAXES).replace(LOGO, b64encode(png(3)).decode()))
        assert LOGO in api.ask("GET", f"/v1/invoices/{one.id}?format=html").body.decode()
        assert LOGO not in api.ask("GET", f"/v1/invoices/{other.id}?format=html").body.decode()

    def test_tables_have_the_taxes_of_lines_and_the_sum_of_an_invoice(self, api: ApiServer) -> None:
        one = put_ended(api)
        done(api, one, "lines", SETUP)
        override(api, one, LINES[0].id, {"tax": "export", "reason": "x"})
        done(api, one, "issue")
        body = api.ask("GET", f"/v1/invoices/{one.id}?format=csv").body.decode()
        found = list(csv.DictReader(io.StringIO(body, newline="")))
        assert [(row["tax"], row["description"]) for row in found] == [
            ("export", ""), ("vat", ""), ("reduced", "Setup")
        ]  # fmt: skip
        lines = api.ask("GET", f"/v1/invoices/{one.id}?format=jsonl").body.decode().splitlines()
        assert [json.loads(line) for line in lines] == api.pages(f"/v1/invoices/{one.id}/lines")
        [head] = csv.DictReader(io.StringIO(api.ask("GET", "/v1/invoices?format=csv").body.decode(), newline=""))
        assert (head["tax"], head["total"], "tax_rows" in head) == ("7.76", "117.76", False)
        items = api.ask("GET", f"/v1/invoices/{one.id}?format=stripe&stripe_customer=cus_Q4rT8vXkLm2N").body.decode()
        assert sum(json.loads(line)["invoice_item"]["amount"] for line in items.splitlines()) == 11000


def test_a_row_whose_price_is_unknown_is_damaged(api: ApiServer) -> None:
    rows = [outcome_row("ticket-1", "6.00", ENDED.start, price_hash="ab" * 32)]
    damaged, sound = put_ended(api, "acme", rows), put_ended(api, "beta")
    answer = api.ask("GET", f"/v1/invoices/{damaged.id}/lines")
    assert "which the catalogue does not have" in refused(answer, 503, "UNAVAILABLE")
    listed = api.get("/v1/invoice-lines")
    assert listed["unreadable"] == [damaged.id]
    assert {line["invoice_id"] for line in listed["data"]} == {sound.id}
    refused(post(api, damaged, "credit", {"row_id": rows[0].id, "reason": "x"}), 503, "UNAVAILABLE")


def test_a_draft_whose_parts_contradict_each_other_is_damaged(api: ApiServer) -> None:
    damaged, sound = put_ended(api), put_ended(api, "beta")
    text = '[{"row":"x","place":0,"own":"lost","tax":"vat","amount":"1","reason":"r"}]'
    api.deployment.call("HSET", f"witn:{{shared}}:billing:invoice:{damaged.id}", "overrides", text)
    for path in ("", "/lines"):
        said = refused(api.ask("GET", f"/v1/invoices/{damaged.id}{path}"), 503, "UNAVAILABLE")
        assert "cannot be calculated" in said
    listed = api.get("/v1/invoice-lines")
    assert listed["unreadable"] == [damaged.id]
    assert {line["invoice_id"] for line in listed["data"]} == {sound.id}
