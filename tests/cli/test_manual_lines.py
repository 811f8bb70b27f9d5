"""Manual lines, taxes and issue dates at a terminal, without a daemon."""

import asyncio
import json
from typing import Any

import pytest

from tests.cli.test_invoices import written
from tests.support.deployment import Deployment
from tests.support.invoices import draft, stored_data
from tests.web.taxes import ENDED, LINES, SELLER, TAXES
from witnd.domain.invoices.invoice import Invoice
from witnd.store.keys import BillingKeys
from witnd.store.server.connection import connect

SETUP = ("--description", "Setup", "--unit-price", "100")
GOODWILL = ("--description", "Goodwill", "--unit-price", "-3.00")


@pytest.fixture
def one(deployment: Deployment) -> Invoice:
    """A closed draft of a customer with a tax, and a seller."""
    deployment.apply(SELLER + TAXES)
    return written(deployment, draft("acme", LINES, at=ENDED.start), LINES)


def said(deployment: Deployment, *arguments: str) -> str:
    """What a command that is refused prints."""
    done = deployment.witnd("invoices", *arguments)
    assert done.exit_code == 2, done.output
    return done.stderr


def everything(deployment: Deployment) -> dict[bytes, Any]:
    async def main() -> dict[bytes, Any]:
        async with connect(deployment.server.url) as client:
            return await stored_data(client, "witn:{shared}:billing:*")

    return asyncio.run(main())


class TestAddLine:
    def test_people_see_the_line_and_the_subtotal(self, deployment: Deployment, one: Invoice) -> None:
        told = deployment.witnd("invoices", "add-line", one.id[:8], *SETUP, "--quantity", "2", "--tax", "reduced")
        assert told.exit_code == 0, told.output
        line, subtotal = told.stdout.splitlines()
        assert line.startswith("line ")
        assert line.endswith(": Setup on the draft of acme from 2020-09-01 to 2020-09-30: 200.00 EUR, tax reduced")
        assert subtotal == "subtotal: 210.00 EUR"

    def test_programs_get_the_line_and_the_invoice(self, deployment: Deployment, one: Invoice) -> None:
        found = deployment.json("invoices", "add-line", one.id, *SETUP)
        assert (found["kind"], found["amount"], found["tax"], found["quantity"]) == ("manual", "100.00", "vat", "1")
        assert found["invoice"]["subtotal"] == "110.00"

    def test_a_discount_that_is_too_large_is_refused(self, deployment: Deployment, one: Invoice) -> None:
        before = everything(deployment)
        told = said(deployment, "add-line", one.id, "--description", "x", "--unit-price", "-10.01")
        assert "a discount of 10.01 EUR would make the taxable amount negative" in told
        assert "the largest discount that fits is 10.00 EUR" in told
        assert everything(deployment) == before

    def test_a_dry_run_changes_nothing(self, deployment: Deployment, one: Invoice) -> None:
        before = everything(deployment)
        told = deployment.witnd("invoices", "add-line", one.id, *SETUP, "--dry-run").stdout
        assert told.startswith("dry run, nothing is changed: Setup on ")
        assert everything(deployment) == before

    def test_one_with_a_name_is_added_once(self, deployment: Deployment, one: Invoice) -> None:
        add = ("invoices", "add-line", one.id, "--id", "setup-17")
        first = deployment.json(*add, *SETUP)
        assert deployment.json(*add, *SETUP)["id"] == first["id"]
        told = said(deployment, *add[1:], *GOODWILL)
        assert "--id setup-17 was used before: it added the line 'Setup'; choose another --id" in told

    def test_of_a_customer(self, deployment: Deployment, one: Invoice) -> None:
        add = ("add-line", "--customer", "acme", "--id", "a", *SETUP)
        first = deployment.json("invoices", *add)
        assert deployment.json("invoices", *add)["id"] == first["id"]
        assert (first["invoice"]["closed"], first["invoice"]["subtotal"]) == (False, "100.00")
        found = deployment.json("invoices", "--status", "open")["data"]
        assert [invoice["id"] for invoice in found] == [first["invoice"]["id"]]
        assert "no such customer: 'nobody'" in said(deployment, "add-line", "--customer", "nobody", *SETUP)

    def test_before_the_first_daemon_there_is_no_period(self, deployment: Deployment) -> None:
        deployment.apply(TAXES)
        told = said(deployment, "add-line", "--customer", "acme", *SETUP)
        assert "there is no period yet; start the daemon first: it begins the first one" in told

    @pytest.mark.parametrize(
        ("options", "text"),
        [((), "give either ID or --customer"), (("x", "--customer", "acme"), "give either ID or --customer"),
         (("x", "--currency", "EUR"), "--currency is for --customer")],
    )  # fmt: skip
    def test_the_invoice_or_the_customer(self, deployment: Deployment, options: tuple[str, ...], text: str) -> None:
        assert text in said(deployment, "add-line", *options, *SETUP)

    @pytest.mark.parametrize(
        ("option", "value", "text"),
        [("--quantity", "0", "--quantity: '0' must be greater than 0"),
         ("--unit-price", "x", "--unit-price: 'x' must be"),
         ("--description", " ", "--description: is empty"), ("--tax", "nothing", "--tax: there is no tax 'nothing'")],
    )  # fmt: skip
    def test_mistakes_are_named(self, deployment: Deployment, one: Invoice, option: str, value: str, text: str) -> None:
        assert text in said(deployment, "add-line", one.id, *SETUP, option, value)


class TestRemoveLine:
    def test_by_the_beginning_of_its_id(self, deployment: Deployment, one: Invoice) -> None:
        line = deployment.json("invoices", "add-line", one.id, *SETUP)["id"]
        dry = deployment.witnd("invoices", "remove-line", one.id, line[:12], "--dry-run")
        assert dry.stdout.startswith("dry run, nothing is changed: removed Setup from the draft of acme")
        done = deployment.witnd("invoices", "remove-line", one.id, line[:12])
        assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "subtotal: 10.00 EUR")
        assert "no line with an id that begins" in said(deployment, "remove-line", one.id, line)
        assert "no such manual line" in said(deployment, "remove-line", one.id, LINES[0].id)


class TestSetTax:
    def test_another_and_its_own_again(self, deployment: Deployment, one: Invoice) -> None:
        of = ("invoices", "set-tax", one.id, LINES[0].id[:12], "--reason", "abroad")
        dry = deployment.witnd(*of, "--tax", "export", "--dry-run").stdout
        assert dry.startswith("dry run, nothing is changed: ticket-1 on the draft of acme")
        done = deployment.witnd(*of, "--tax", "export").stdout
        assert done == "ticket-1 on the draft of acme from 2020-09-01 to 2020-09-30 has the tax export\n"
        assert deployment.json(*of, "--own-tax")["tax"] == "vat"
        entries = deployment.call("XREVRANGE", "witn:{shared}:changes", "+", "-", "COUNT", 2)
        assert [json.loads(fields[b"data"])["what"] for _, fields in entries] == ["invoice.override_tax"] * 2
        for options in ((), ("--tax", "vat", "--own-tax")):
            assert "give either --tax or --own-tax" in said(deployment, *of[1:], *options)
        assert "there is no tax 'nothing'" in said(deployment, *of[1:], "--tax", "nothing")


class TestShow:
    def test_taxes_parties_and_manual_lines(self, deployment: Deployment, one: Invoice) -> None:
        deployment.json("invoices", "add-line", one.id, *SETUP, "--tax", "reduced")
        deployment.json("invoices", "add-line", one.id, "--description", "Goodwill", "--unit-price", "-8")
        deployment.json("invoices", "credit", "--invoice", one.id, "--row", LINES[0].id, "--reason", "late")
        told = deployment.witnd("invoices", "show", one.id).stdout
        for text in (
            "seller    Kontor GmbH, Hafenstraße 1, Hof 2, 20457 Hamburg, DE, tax id DE136695976\n",
            "buyer     Acme Incorporated, 1 Main Street, 75001 Paris, FR, tax id FR40303265045\n",
            "order     PO-77\n",
            "-8.00 requested, reduced so that no taxable amount is negative",
            "VAT 7%, S 7 % of 100.00   7.00 EUR\n",
            "so far                  107.00 EUR\n",
        ):
            assert text in told, text
        header = next(line for line in told.splitlines() if line.startswith("line "))
        assert header.split() == ["line", "agent", "resolved", "at", "unit", "price", "amount", "tax", "how"]
        assert any(line.startswith("Setup ") and " reduced" in line for line in told.splitlines())
        found = deployment.json("invoices", "show", one.id)
        assert [row["tax"] for row in found["invoice"]["tax_rows"]] == ["7.00", "0.00"]
        assert (found["seller"]["name"], found["buyer"]["city"]) == ("Kontor GmbH", "Paris")
        assert [line["tax"] for line in found["lines"]] == ["vat", "vat", "reduced", "vat", "vat"]
        deployment.json("invoices", "issue", one.id)
        told = deployment.witnd("invoices", "show", one.id).stdout
        assert "total                   107.00 EUR\n" in told

    def test_the_note_of_a_voided_invoice(self, deployment: Deployment, one: Invoice) -> None:
        deployment.json("invoices", "issue", one.id)
        deployment.json("invoices", "void", one.id, "--reason", "wrong company", "--yes")
        told = deployment.witnd("invoices", "show", "CN-000001").stdout
        assert told.startswith("CN-000001: credit note for 11.90 EUR\ncustomer  acme\ncancels   INV-000001\n")
        assert "tax       VAT 19%, S 19 % of 10.00: 1.90\n" in told
        listed = deployment.witnd("invoices", "notes").stdout
        assert "11.90" in listed

    def test_pages_of_the_export_have_parties(self, deployment: Deployment, one: Invoice, tmp_path: Any) -> None:
        deployment.json("invoices", "issue", one.id)
        deployment.json("invoices", "credit", "--invoice", one.id, "--row", LINES[0].id, "--reason", "late")
        for what in (("--period", "2020-09"), ("--customer", "acme", "--what", "credit-notes")):
            done = deployment.witnd("invoices", "export", *what, "--format", "html", "--output", f"{tmp_path}/pages/")
            assert done.exit_code == 0, done.output
        pages = sorted((tmp_path / "pages").iterdir())
        assert [page.name for page in pages] == ["CN-000001.html", "INV-000001.html"]
        assert all("Kontor GmbH" in page.read_text() for page in pages)


class TestIssue:
    def test_a_date_and_a_dry_run(self, deployment: Deployment, one: Invoice) -> None:
        issue = ("invoices", "issue", one.id, "--date", "2020-10-02")
        dry = deployment.witnd(*issue, "--dry-run").stdout
        assert dry == f"dry run, nothing is changed: {one.id} is issued: 11.90 EUR for acme, 1.90 of it tax\n"
        [done] = deployment.json(*issue)["data"]
        assert (done["invoice"]["issue_date"], done["invoice"]["due_date"]) == ("2020-10-02", "2020-12-01")
        assert done["warnings"] == []
        assert ", dated 2020-10-02\n" in deployment.witnd("invoices", "show", one.id).stdout

    @pytest.mark.parametrize(
        ("date", "text"),
        [("2020-09-29", "is before the last day of the period, 2020-09-30"), ("soon", "--date: 'soon'")],
    )
    def test_dates_that_cannot_be(self, deployment: Deployment, one: Invoice, date: str, text: str) -> None:
        assert text in said(deployment, "issue", one.id, "--date", date)

    def test_without_a_seller_there_is_one_warning(self, deployment: Deployment) -> None:
        deployment.apply(TAXES)
        for customer in ("acme", "beta"):
            written(deployment, draft(customer, LINES, at=ENDED.start), LINES)
        done = deployment.witnd("invoices", "issue", "--all-closed")
        assert done.exit_code == 0
        warning = "witnd: warning: the invoice has no seller; add a [seller] to the catalogue and revise the invoice\n"
        assert (done.stderr.startswith(warning), done.stderr.count("warning")) == (True, 1)
        [found] = deployment.json("invoices", "issue", "INV-000001")["data"]
        assert len(found["warnings"]) == 1

    def test_lines_without_a_tax_are_named(self, deployment: Deployment, one: Invoice) -> None:
        other = written(deployment, draft("beta", LINES, at=ENDED.start), LINES)
        deployment.json("invoices", "add-line", other.id, *SETUP, "--tax", "vat")
        told = said(deployment, "issue", other.id)
        assert "outcomes of support (2 lines); set billing.tax of customer beta, or the tax of these lines" in told


def test_keys_of_lines_of_customers_are_stored(deployment: Deployment, one: Invoice) -> None:
    deployment.json("invoices", "add-line", "--customer", "acme", *SETUP)
    assert deployment.call("HLEN", BillingKeys("witn").line_tokens("acme")) == 1
