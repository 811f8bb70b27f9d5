"""Documents of invoices and credit notes over HTTP: stored at issue, printed, and as electronic invoices."""

import csv
import io
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import facturx
import pytest
from pypdf import PdfReader
from redis.asyncio import Redis

from tests.support.einvoice_rules import needs_pango, problems
from tests.support.invoices import outcome_row
from tests.support.server import Server
from tests.web.api_server import Answer, ApiServer
from tests.web.invoices import on_server
from tests.web.taxes import ENDED, LINES, SELLER, TAXES, put_ended, taxed_server
from tests.web.test_invoices import done, refused
from witnd.app.invoices import files
from witnd.billing.pdf import renderer
from witnd.domain.invoices.invoice import Invoice
from witnd.store.keys import BillingKeys

STORED = ("json", "xml", "ubl")
RATE = {"currency": "DKK", "rate": "7.4605"}


@pytest.fixture
def api(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
    with taxed_server(session_server, tmp_path) as opened:
        yield opened


def file(api: ApiServer, path: str, form: str, **query: str) -> bytes:
    found = answer(api, path, form, **query)
    assert found.status == 200, found.body
    return found.body


def answer(api: ApiServer, path: str, form: str, **query: str) -> Answer:
    more = "".join(f"&{name}={value}" for name, value in query.items())
    return api.ask("GET", f"/v1/{path}?format={form}{more}")


def stored(api: ApiServer, path: str) -> dict[str, bytes]:
    return {form: file(api, path, form) for form in STORED}


def text_of(pdf: bytes) -> str:
    return " ".join(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages).split())


def xml_amounts(document: bytes, name: str) -> list[str]:
    return re.findall(rf"<ram:{name}[^>]*>([^<]+)<", document.decode())


def forget(api: ApiServer, invoice: Invoice) -> None:
    """As if the daemon had been killed between the issue and the documents."""

    async def delete(client: Redis) -> None:
        assert await client.delete(BillingKeys("witn").documents(invoice.id)) == 1

    on_server(api, delete)


class TestStored:
    def test_what_was_issued_never_changes(self, api: ApiServer) -> None:
        one = put_ended(api)
        issued = done(api, one, "issue")
        before = stored(api, f"invoices/{one.id}")
        document = json.loads(before["json"])
        assert (document["number"], document["total"], document["due"]) == (issued["number"], "11.90", "11.90")
        assert (document["seller"]["name"], document["buyer"]["country"]) == ("Kontor GmbH", "FR")
        for kind, form in (("cii", "xml"), ("ubl", "ubl")):
            assert problems(kind, before[form]) == []

        api.deployment.apply((SELLER + TAXES).replace("Kontor GmbH", "Other GmbH").replace("Support agent", "Desk"))
        done(api, one, "payments", {"amount": "5.00"})
        item = {"items": [{"line": LINES[0].id, "amount": "1.00"}], "reason": "late"}
        done(api, one, "credit-notes", item)
        assert stored(api, f"invoices/{one.id}") == before
        assert api.get(f"/v1/invoices/{one.id}")["due"] == "5.71"

    def test_a_lost_document_is_made_again_as_it_was(self, api: ApiServer) -> None:
        one = put_ended(api)
        done(api, one, "issue")
        before = stored(api, f"invoices/{one.id}")
        forget(api, one)
        assert file(api, f"invoices/{one.id}", "ubl") == before["ubl"]
        assert stored(api, f"invoices/{one.id}") == before

    def test_a_voided_invoice_keeps_them_and_its_credit_note_has_its_own(self, api: ApiServer) -> None:
        one = put_ended(api)
        done(api, one, "issue")
        before = stored(api, f"invoices/{one.id}")
        forget(api, one)  # they are stored before the invoice is voided
        done(api, one, "void", {"reason": "wrong company"})
        assert stored(api, f"invoices/{one.id}") == before
        [note] = api.get(f"/v1/credit-notes?invoice={one.id}")["data"]
        found = stored(api, f"credit-notes/{note['id']}")
        for kind, form in (("cii", "xml"), ("ubl", "ubl")):
            assert problems(kind, found[form]) == []
        assert xml_amounts(found["xml"], "TypeCode")[0] == "381"
        assert xml_amounts(found["xml"], "GrandTotalAmount") == ["11.90"]
        assert json.loads(found["json"])["seller"]["name"] == "Kontor GmbH"
        assert "is void" in refused(answer(api, f"invoices/{one.id}", "facturx"), 409, "CONFLICT")

    def test_a_draft_has_none(self, api: ApiServer) -> None:
        one = put_ended(api)
        for form in (*STORED, "facturx"):
            assert "issue it first" in refused(answer(api, f"invoices/{one.id}", form), 409, "CONFLICT")

    def test_all_rows_are_damaged_only_where_they_are(self, api: ApiServer) -> None:
        damaged = put_ended(api, "acme", [outcome_row("ticket-1", "6.00", ENDED.start, price_hash="ab" * 32)])
        assert api.ask("POST", f"/v1/invoices/{damaged.id}/issue").status == 200, "documents never stop an issue"
        refused(answer(api, f"invoices/{damaged.id}", "xml"), 503, "UNAVAILABLE")


class TestLacking:
    @needs_pango
    def test_issue_reports_what_is_missing_and_is_not_blocked(self, api: ApiServer) -> None:
        one = put_ended(api, "beta")
        seen = done(api, one, "issue", {"dry_run": True})
        paths = [lack["path"] for lack in seen["lacks"]]
        assert paths == ["buyer.country", "tax_rows"]
        assert all(lack["required"] and lack["remedy"] for lack in seen["lacks"])
        assert api.get(f"/v1/invoices/{one.id}")["lacks"] == seen["lacks"], "also of the draft"
        issued = done(api, one, "issue")
        assert (issued["status"], issued["lacks"]) == ("issued", seen["lacks"])
        for form in ("xml", "ubl", "facturx"):
            found = answer(api, f"invoices/{one.id}", form)
            message = refused(found, 409, "CONFLICT")
            assert "buyer.country is missing from the address; set billing.address" in message
            assert [detail["path"] for detail in found.error["details"]] == paths
        assert json.loads(file(api, f"invoices/{one.id}", "json"))["buyer"]["country"] is None
        assert file(api, f"invoices/{one.id}", "pdf").startswith(b"%PDF-")

    def test_without_a_seller(self, api: ApiServer, session_server: Server, tmp_path: Path) -> None:
        api.deployment.apply(TAXES)
        one = put_ended(api, currency="USD")
        api.deployment.witnd("delete", "seller")
        assert [lack["path"] for lack in done(api, one, "issue", {"dry_run": True})["lacks"]] == ["exchange_rate"]

    def test_an_exchange_rate_is_given_at_issue(self, api: ApiServer) -> None:
        one = put_ended(api, currency="USD")
        wrong = {"exchange_rate": {"currency": "USD", "rate": "-1"}}
        found = api.ask("POST", f"/v1/invoices/{one.id}/issue", wrong)
        assert [detail["path"] for detail in found.error["details"]] == ["exchange_rate.currency", "exchange_rate.rate"]
        issued = done(api, one, "issue", {"exchange_rate": RATE})
        assert issued["lacks"] == []
        assert done(api, one, "issue", {"exchange_rate": RATE})["number"] == issued["number"]
        other = {"exchange_rate": RATE | {"rate": "7"}}
        assert "cannot be changed" in refused(api.ask("POST", f"/v1/invoices/{one.id}/issue", other), 409, "CONFLICT")
        assert api.get(f"/v1/invoices/{one.id}")["exchange_rate"] == RATE | {"tax": "14.17"}
        documents = stored(api, f"invoices/{one.id}")
        for kind, form in (("cii", "xml"), ("ubl", "ubl")):
            assert problems(kind, documents[form]) == []
        assert xml_amounts(documents["xml"], "TaxTotalAmount") == ["1.90", "14.17"]
        assert "Tax in DKK: 14.17 DKK (1 USD = 7.4605 DKK)" in file(api, f"invoices/{one.id}", "html").decode()


class TestPrinted:
    @needs_pango
    def test_the_sums_are_equal_everywhere(self, api: ApiServer) -> None:
        one = put_ended(api)
        done(api, one, "lines", {"description": "Setup", "quantity": "2.5", "unit_price": "100", "tax": "reduced"})
        done(api, one, "lines", {"description": "Goodwill", "quantity": "1", "unit_price": "-30", "tax": "reduced"})
        done(api, one, "credit-notes", {"items": [{"line": LINES[0].id, "amount": "1.50"}], "reason": "late"})
        number = done(api, one, "issue")["number"]
        found = api.get(f"/v1/invoices/{number}")
        net, tax, total = (Decimal(found[name]) for name in ("subtotal", "tax", "total"))
        net -= Decimal(found["credited"])
        assert (net, tax, total) == (Decimal("228.50"), Decimal("17.02"), Decimal("245.52"))
        facturx_file, xml = (file(api, f"invoices/{number}", form) for form in ("facturx", "xml"))
        assert xml_amounts(xml, "TaxBasisTotalAmount") == [str(net)]
        assert xml_amounts(xml, "TaxTotalAmount") == [str(tax)]
        assert xml_amounts(xml, "GrandTotalAmount") == [str(total)]
        *lines, last = map(Decimal, xml_amounts(xml, "LineTotalAmount"))
        assert sum(lines) == last == net
        page = file(api, f"invoices/{number}", "html").decode()
        shown = " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL).split())
        for text in (shown, text_of(file(api, f"invoices/{number}", "pdf")), text_of(facturx_file)):
            assert f"Net {net} Tax {tax} Total due {total} EUR" in text
        rows = csv.DictReader(io.StringIO(file(api, f"invoices/{number}", "csv").decode(), newline=""))
        assert sum(Decimal(row["amount"]) for row in rows) == net
        items = file(api, f"invoices/{number}", "stripe", stripe_customer="cus_1").splitlines()
        assert sum(json.loads(item)["invoice_item"]["amount"] for item in items) == net * 100

    @needs_pango
    def test_factur_x_is_a_pdf_with_the_stored_xml(self, api: ApiServer) -> None:
        one = put_ended(api)
        number = done(api, one, "issue")["number"]
        before = file(api, f"invoices/{number}", "facturx")
        name, embedded = facturx.get_facturx_xml_from_pdf(before)
        assert (name, embedded) == ("factur-x.xml", file(api, f"invoices/{number}", "xml"))
        metadata = PdfReader(io.BytesIO(before)).trailer["/Root"]["/Metadata"].get_data().decode()
        assert metadata.count("<rdf:RDF") == metadata.count("<x:xmpmeta") == 1
        for said in ("<pdfaid:part>3<", "<pdfaid:conformance>B<", "<fx:ConformanceLevel>EN 16931<"):
            assert said in metadata
        done(api, one, "payments", {"amount": "5.00"})
        assert file(api, f"invoices/{number}", "facturx") == before, "what it says was true at issue"
        assert "Payments" in text_of(file(api, f"invoices/{number}", "pdf"))
        done(api, one, "credit-notes", {"items": [{"line": LINES[0].id, "amount": "1.00"}], "reason": "late"})
        note = file(api, "credit-notes/CN-000001", "facturx")
        assert facturx.get_facturx_xml_from_pdf(note)[1] == file(api, "credit-notes/CN-000001", "xml")
        assert "CN-000001" in text_of(note)

    @needs_pango
    def test_answers_name_their_files(self, api: ApiServer) -> None:
        number = done(api, put_ended(api), "issue")["number"]
        for form, type_, ending in (
            ("pdf", "application/pdf", "pdf"), ("facturx", "application/pdf", "facturx.pdf"),
            ("xml", "application/xml; charset=utf-8", "xml"), ("ubl", "application/xml; charset=utf-8", "ubl.xml"),
            ("json", "application/vnd.witnd.issued+json", "json"),
        ):  # fmt: skip
            found = answer(api, f"invoices/{number}", form)
            assert found.headers["content-type"] == type_
            assert found.headers["content-disposition"] == f'attachment; filename="{number}.{ending}"'

    @needs_pango
    def test_a_summary_lists_no_outcomes(self, api: ApiServer) -> None:
        one = put_ended(api)
        for form in ("html", "pdf"):
            full, short = (file(api, f"invoices/{one.id}", form, detail=detail) for detail in ("full", "summary"))
            if form == "pdf":
                full, short = text_of(full).encode(), text_of(short).encode()
            assert b"ticket-1" in full
            assert b"ticket-1" not in short
            assert b"2 outcomes are not listed on this document." in short
        refused(answer(api, f"invoices/{one.id}", "csv", detail="summary"), 400, "VALIDATION_ERROR")
        refused(answer(api, f"invoices/{one.id}", "html", detail="none"), 400, "VALIDATION_ERROR")

    @needs_pango
    def test_a_long_invoice_is_printed_as_its_summary(self, api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files, "PDF_OUTCOMES_MAX", 1)
        one = put_ended(api)
        assert "ticket-1" not in text_of(file(api, f"invoices/{one.id}", "pdf"))
        found = answer(api, f"invoices/{one.id}", "pdf", detail="full")
        assert "full lists 2 outcomes" in refused(found, 400, "VALIDATION_ERROR")

    @needs_pango
    def test_the_daemon_answers_while_a_pdf_is_made(self, api: ApiServer) -> None:
        rows = [outcome_row(f"ticket-{n:04}", "1.00", ENDED.start + n) for n in range(300)]
        one = put_ended(api, lines=rows)
        with ThreadPoolExecutor(1) as thread:
            made = thread.submit(file, api, f"invoices/{one.id}", "pdf")
            for _ in range(20):
                assert api.ask("GET", f"/v1/invoices/{one.id}").status == 200
            assert not made.done(), "it takes seconds"
            assert "ticket-0299" in text_of(made.result())

    def test_missing_extras_are_named_with_the_command(self, api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
        number = done(api, put_ended(api), "issue")["number"]
        monkeypatch.setattr(renderer, "find_spec", lambda name: None if name == "facturx" else object())
        message = refused(answer(api, f"invoices/{number}", "facturx"), 409, "CONFLICT")
        assert "pip install 'witnd[einvoice]'" in message
        monkeypatch.setattr(renderer, "find_spec", lambda _: None)
        message = refused(answer(api, f"invoices/{number}", "pdf"), 409, "CONFLICT")
        assert "require the extra 'pdf', which is not installed; run: pip install 'witnd[pdf]'" in message
        assert problems("cii", file(api, f"invoices/{number}", "xml")) == [], "this needs no extra"


@needs_pango
def test_commands_write_the_same_files(api: ApiServer, tmp_path: Path) -> None:
    invoices = [put_ended(api, customer) for customer in ("acme", "beta")]
    shown: Any = api.deployment.witnd("invoices", "issue", invoices[1].id, "--dry-run")
    assert "cannot be an electronic invoice (EN 16931):\n  buyer.country is missing" in shown.stderr
    numbers = [done(api, one, "issue")["number"] for one in invoices]
    done_: Any = api.deployment.witnd("invoices", "export", *numbers, "--format", "xml", "--output", f"{tmp_path}/out/")
    assert done_.exit_code == 2
    assert "INV-000002 lacks fields of EN 16931: buyer.country" in done_.stderr
    assert f"1 document written to {tmp_path}/out/" in done_.stderr
    directory = tmp_path / "out"
    assert [path.name for path in directory.iterdir()] == ["INV-000001.xml"]
    assert (directory / "INV-000001.xml").read_bytes() == file(api, "invoices/INV-000001", "xml")
    for form in ("pdf", "facturx"):
        given = ("invoices", "export", "INV-000001", "--format", form, "--output", f"{tmp_path}/one.{form}")
        assert api.deployment.witnd(*given).exit_code == 0
        written = (tmp_path / f"one.{form}").read_bytes()
        assert written == file(api, "invoices/INV-000001", form)
