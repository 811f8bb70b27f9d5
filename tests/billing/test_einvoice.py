"""Electronic invoices: the official rules accept them, and their sums are those of the invoice."""

import asyncio
import re
from decimal import Decimal
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from tests.billing.bills import (
    EXPORT,
    MANUAL,
    REDUCED,
    bill,
    cancelling_note,
    price,
    taxed,
    taxed_note,
)
from tests.support.companies import BILLING, SELLER
from tests.support.einvoice_rules import problems
from tests.support.random_invoices import OUTSIDE, TERMS, Issued, issued_invoices
from witnd.billing.einvoice.build import invoice_content, note_content
from witnd.billing.einvoice.cii import cii
from witnd.billing.einvoice.content import EInvoice
from witnd.billing.einvoice.lacks import lacks, required
from witnd.billing.einvoice.lines import ITEMISED_MAX
from witnd.billing.einvoice.ubl import ubl
from witnd.domain.catalogue.buyer import Buyer
from witnd.domain.catalogue.seller import Seller
from witnd.domain.invoices.issue_data import Exchange, IssueData
from witnd.domain.invoices.tax import TaxRow, TaxTerms, tax_on, tax_sum
from witnd.domain.values.money import exact_sum

RAM = "{urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100}"
CBC = "{urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2}"
WRITERS = {"cii": cii, "ubl": ubl}


def broken(content: EInvoice) -> list[str]:
    return [problem for kind, write in WRITERS.items() for problem in problems(kind, write(content))]


def all_of(document: bytes, name: str) -> list[str]:
    return [one.text or "" for one in ElementTree.fromstring(document).iter(name)]


@given(issued_invoices())
@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
def test_the_official_rules_accept_every_invoice_and_credit_note(one: Issued) -> None:
    bill, invoice = one.bill, one.bill.invoice
    assert bill.data is not None
    lacking = required(lacks(bill.data, bill.tax_rows, invoice.currency, invoice.digits))
    if not bill.tax_rows:
        assert [lack.path for lack in lacking] == ["tax_rows"]
        return
    assert lacking == []
    content = asyncio.run(invoice_content(bill))
    assert broken(content) == []
    check_sums(content, invoice.net, tax_sum(bill.tax_rows), invoice.total, invoice.balance_used, invoice.due)
    if one.note is not None:
        note = one.note.note
        lacking = required(lacks(bill.data, note.tax_rows, note.currency, note.digits))
        if lacking:  # a discount or cap had reduced the tax of what is given back
            assert {lack.path.partition("]")[2] for lack in lacking} == {".tax"}
            assert any(Decimal(row.amount or 0) < 0 for row in one.rows)
            return
        content = note_content(one.note)
        assert broken(content) == []
        check_sums(content, note.amount, tax_sum(note.tax_rows), note.total, Decimal(0), note.total)


def check_sums(content: EInvoice, *expected: Decimal | None) -> None:
    """Both files have the sums of the document, and lines that add up to them."""
    net, tax, total, paid, due = expected
    written = cii(content)
    for name, amount in (
        ("LineTotalAmount", net), ("TaxBasisTotalAmount", net), ("GrandTotalAmount", total),
        ("TotalPrepaidAmount", paid), ("DuePayableAmount", due),
    ):  # fmt: skip
        assert Decimal(all_of(written, f"{RAM}{name}")[-1]) == amount, name
    assert Decimal(all_of(written, f"{RAM}TaxTotalAmount")[0]) == tax
    *lines, last = map(Decimal, all_of(written, f"{RAM}LineTotalAmount"))
    assert exact_sum(lines) == last == net
    assert all(Decimal(one) >= 0 for one in all_of(written, f"{RAM}ChargeAmount"))
    written = ubl(content)
    for name, amount in (
        ("TaxExclusiveAmount", net), ("TaxInclusiveAmount", total), ("PrepaidAmount", paid), ("PayableAmount", due),
    ):  # fmt: skip
        assert [Decimal(one) for one in all_of(written, f"{CBC}{name}")] == [amount], name


async def test_rows_with_one_price_become_lines_with_that_price() -> None:
    one = taxed(MANUAL, reduced=REDUCED, export=EXPORT)
    lines = {line.name: line for line in (await invoice_content(one)).lines}
    ticket = lines["Support agent: ticket-0003"]
    assert (ticket.quantity, ticket.price, str(ticket.net)) == ("2.5", "0.995", "2.49")
    minimum = lines["Support agent: Period minimum"]
    assert (minimum.quantity, minimum.price, str(minimum.net)) == ("1", "33.53", "33.53")
    discount = lines["Goodwill␇"]
    assert (discount.quantity, discount.price, str(discount.net)) == ("-1", "155.00", "-155.00")
    assert discount.description == "−500.00 requested, reduced so that no taxable amount is negative"
    setup = lines["Setup of the <connector>"]
    assert (setup.quantity, setup.price, str(setup.net), setup.rate) == ("2", "125.5", "251.00", Decimal(19))


async def test_a_long_invoice_has_one_line_for_each_agent_price_and_grade() -> None:
    count = ITEMISED_MAX + 1
    many = bill([("ticket", price(price_per_unit="0.995"), ["1"] * count)])
    short = taxed()
    assert short.data is not None
    row = TaxRow(category="S", rate=Decimal(19), taxable=many.invoice.net, tax=Decimal("189.24"), name="VAT 19%")
    data = replace(short.data, tax_rows=(row,))
    head = replace(many.invoice, issue_data=data, total=many.invoice.net + row.tax)
    content = await invoice_content(replace(many, invoice=head, data=data, tax_of=lambda _: "vat"))
    [line] = content.lines
    assert (line.name, line.quantity, line.net) == ("Support agent", "1", many.invoice.net)
    assert line.description == "1,001 outcomes; Quantity 1,001"
    assert broken(content) == []


async def test_credit_notes_name_their_invoice() -> None:
    one = taxed(MANUAL, reduced=REDUCED, export=EXPORT)
    dates = {"period": one.invoice.billed_period, "invoice_date": one.invoice.issue_date}
    for note in (taxed_note(one), cancelling_note(one)):
        content = note_content(replace(note, **dates))
        assert broken(content) == []
        assert all_of(cii(content), f"{RAM}TypeCode")[0] == "381"
        assert all_of(cii(content), f"{RAM}IssuerAssignedID")[-1] == "INV-000042"
        assert b"<cbc:CreditNoteTypeCode>381</cbc:CreditNoteTypeCode>" in ubl(content)
    assert [line.name for line in content.lines] == ["Cancellation of invoice INV-000042"] * 3


async def test_the_tax_in_the_sellers_currency() -> None:
    one = taxed()
    assert one.data is not None
    data = replace(one.data, exchange=Exchange(currency="DKK", digits=2, rate=Decimal("7.4605")))
    content = await invoice_content(replace(one, data=data))
    assert broken(content) == []
    assert b'<ram:TaxTotalAmount currencyID="DKK">163.01</ram:TaxTotalAmount>' in cii(content)
    assert b'<cbc:TaxAmount currencyID="DKK">163.01</cbc:TaxAmount>' in ubl(content)


def data_of(terms: TaxTerms | None, seller: dict[str, object] | None, buyer: dict[str, object] | None) -> IssueData:
    net = Decimal(9)
    rows = () if terms is None else (
        TaxRow(category=terms.category, rate=terms.rate, taxable=net, tax=tax_on(net, terms.rate, 2), name=terms.name,
               note=terms.note),
    )  # fmt: skip
    return IssueData(
        customer_name="Acme",
        seller=None if seller is None else Seller.from_content(SELLER | {"logo": None} | seller),
        buyer=None if buyer is None else Buyer.from_content(BILLING | buyer),
        tax_rows=rows,
    )


@pytest.mark.parametrize(
    ("terms", "seller", "buyer", "currency", "expected"),
    [
        ("standard", {}, {}, "EUR", []),
        ("standard", None, {}, "EUR", ["seller"]),
        ("standard", {"country": None}, {}, "EUR", ["seller.country"]),
        ("standard", {"tax_id": None}, {}, "EUR", ["seller.tax_id"]),
        ("standard", {}, None, "EUR", ["buyer.country"]),
        ("standard", {}, {"country": None}, "EUR", ["buyer.country"]),
        ("standard", {"tax_id": "12/345/67890"}, {}, "EUR", []),
        ("standard", {"tax_id": "12/345/67890", "registration": None}, {}, "EUR", ["seller.registration"]),
        ("intra", {"tax_id": "12/345/67890"}, {}, "EUR", ["seller.tax_id"]),
        ("intra", {}, {"tax_id": None}, "EUR", ["buyer.tax_id"]),
        ("reverse", {}, {"tax_id": None}, "EUR", ["buyer.tax_id"]),
        ("export", {"tax_id": "12/345/67890"}, {"tax_id": None}, "EUR", ["seller.tax_id"]),
        ("outside", {"tax_id": None}, {"tax_id": None}, "EUR", []),
        ("outside", {"tax_id": None, "registration": None}, {}, "EUR", ["seller.registration"]),
        ("no-note", {}, {}, "EUR", ["tax_rows[0].note"]),
        (None, {}, {}, "EUR", ["tax_rows"]),
        ("standard", {}, {}, "KWD", ["currency"]),
    ],
)
def test_missing_fields_are_named(
    terms: str | None, seller: dict[str, object], buyer: dict[str, object], currency: str, expected: list[str]
) -> None:
    known = TERMS | OUTSIDE | {"no-note": TaxTerms(name="Exempt", category="E", rate=Decimal(0))}
    data = data_of(None if terms is None else known[terms], seller, buyer)
    found = required(lacks(data, data.tax_rows, currency, 3 if currency == "KWD" else 2))
    assert [one.path for one in found] == expected
    assert all(one.remedy for one in found)


def test_categories_that_cannot_be_combined() -> None:
    data = data_of(OUTSIDE["outside"], {}, {})
    rows = (*data.tax_rows, *data_of(TERMS["standard"], {}, {}).tax_rows)
    assert [one.path for one in lacks(data, rows, "EUR", 2)] == ["tax_rows"]


def test_a_missing_exchange_rate_is_reported_and_not_required() -> None:
    data = data_of(TERMS["standard"], {}, {})
    [found] = lacks(data, data.tax_rows, "USD", 2)
    assert (found.path, found.is_required) == ("exchange_rate", False)
    assert re.search("in USD, and the seller reports its tax in EUR", found.problem)
    rated = replace(data, exchange=Exchange(currency="EUR", digits=2, rate=Decimal("0.92")))
    assert lacks(rated, data.tax_rows, "USD", 2) == []
