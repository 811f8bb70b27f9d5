"""Invoices, payments and balances by the client library, with a real daemon."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.test_with_daemon import base
from tests.support.server import Server
from tests.web.api_server import ApiServer
from tests.web.invoices import AHEAD, ROWS, put
from tests.web.taxes import LINES, put_ended, taxed_server
from tests.web.test_invoices import done
from tests.web.test_manual_lines import forget
from witnd.client import (
    AsyncClient,
    Client,
    ConflictError,
    InvoicePage,
    LinePage,
    NotAllowedError,
    NotFoundError,
    ValidationError,
)


def test_an_invoice_is_issued_paid_credited_and_refunded(api: ApiServer) -> None:
    one = put(api)
    with Client(base(api), api.tokens["admin"]) as witnd:
        assert witnd.issue_invoice(one.id, dry_run=True).number is None
        issued = witnd.issue_invoice(one.id)
        assert (issued.number, issued.status, issued.due) == ("INV-000001", "issued", "10.00")
        paid = witnd.record_payment(one.id, "12.00", date="2096-11-03", method="transfer", idempotency_key="bank-1")
        again = witnd.record_payment(one.id, "12.00", date="2096-11-03", method="transfer", idempotency_key="bank-1")
        assert (paid.applied, paid.invoice.status, paid.balance, again.id) == ("10.00", "paid", "2.00", paid.id)
        given = witnd.credit(one.id, [{"line": ROWS[0].id, "amount": "1.50"}, {"outcome_key": "ticket-2"}], "late")
        assert given.credit_note is not None
        assert (given.credit_note["amount"], given.balance, len(given.lines)) == ("5.50", "7.50", 2)
        refunded = witnd.refund("acme", "1.00", reference="R-1")
        assert (refunded.currency, refunded.balance) == ("EUR", "6.50")
        assert [(each.currency, each.balance) for each in witnd.balances("acme")] == [("EUR", "6.50")]
        undone = witnd.reverse_payment(one.id, paid.id)
        assert (undone.reversed, undone.invoice.due, undone.balance) == (True, "10.00", "4.50")
        found = witnd.invoice("INV-000001")
        assert ([each.reversed for each in found.payments], len(found.credit_notes)) == ([True], 1)
        with pytest.raises(ConflictError):
            witnd.refund("acme", "100.00")
        with pytest.raises(ConflictError):
            witnd.void_invoice(one.id, "wrong")
        with pytest.raises(ValidationError):
            witnd.record_payment(one.id, "1.001")
        with pytest.raises(NotFoundError):
            witnd.balances("nobody")
    with Client(base(api), api.tokens["read"]) as reader, pytest.raises(NotAllowedError):
        reader.record_payment(one.id, "1.00")


def test_invoices_lines_and_what_is_due_are_read(api: ApiServer) -> None:
    one, other = put(api, "acme"), put(api, "other", at=AHEAD.end)

    async def read_later(after: str | None) -> tuple[object, ...]:
        async with AsyncClient(base(api), api.tokens["read"]) as witnd:
            page = await witnd.invoice_page(limit=1, after=after)
            lines = await witnd.invoice_lines(one.id)
            return page, lines, await witnd.ageing()

    with Client(base(api), api.tokens["admin"]) as witnd:
        witnd.issue_invoice(one.id)
        first = witnd.invoice_page(limit=1)
        assert ([found.id for found in first.data], first.unreadable) == ([other.id], [])
        second = witnd.invoice_page(status="issued,paid", customer_key="acme", currency="EUR", period="2096-10")
        assert ([found.id for found in second.data], second.next_cursor) == ([one.id], None)
        lines = witnd.invoice_lines("INV-000001", limit=1)
        rest = witnd.invoice_lines(one.id, after=lines.next_cursor)
        assert [line["id"] for line in lines.data + rest.data] == [row.id for row in ROWS]
        due = witnd.ageing(customer_key="acme", currency="EUR")
        assert [(sums.customer_key, sums.current, sums.over_60) for sums in due.customers] == [
            ("acme", "10.00", "0.00")
        ]
        assert (due.complete, due.totals[0].customer_key, due.totals[0].total) == (True, None, "10.00")
        page, found_lines, report = asyncio.run(read_later(first.next_cursor))
    assert (page, found_lines, report) == (
        InvoicePage(data=second.data), LinePage(data=lines.data + rest.data), due
    )  # fmt: skip


def test_an_invoice_is_revised_and_voided(api: ApiServer) -> None:
    api.deployment.apply()
    one, other = put(api), put(api, at=AHEAD.end)

    async def asynchronous() -> None:
        async with AsyncClient(base(api), api.tokens["admin"]) as witnd:
            for each in (one, other):
                await witnd.issue_invoice(each.id)
            draft = await witnd.revise_invoice(one.id, "wrong price")
            assert (draft.status, draft.edition, draft.revises) == ("draft", 2, one.id)
            assert (await witnd.invoice(one.id)).revised_by == draft.id
            assert (await witnd.void_invoice(other.id, "wrong", dry_run=True)).status == "void"
            assert (await witnd.void_invoice(other.id, "wrong")).due is None
            paid = await witnd.record_payment((await witnd.issue_invoice(draft.id)).id, "10.00")
            assert (await witnd.reverse_payment(draft.id, paid.id)).invoice.status == "issued"
            with pytest.raises(ConflictError):
                await witnd.refund("acme", "1.00")
            assert [each.balance for each in await witnd.balances("acme")] in ([], ["0.00"])
            await witnd.credit(draft.id, [{"line": ROWS[0].id}], "late")

    asyncio.run(asynchronous())


@pytest.fixture
def taxed(session_server: Server, redis_url: str, tmp_path: Path) -> Iterator[ApiServer]:
    with taxed_server(session_server, tmp_path) as api:
        yield api


def test_manual_lines_taxes_and_issue_dates(taxed: ApiServer) -> None:
    one = put_ended(taxed)
    with Client(base(taxed), taxed.tokens["admin"]) as witnd:
        seen = witnd.add_line(one.id, "Setup", "50", quantity="2", tax="reduced", dry_run=True)
        assert (seen.amount, seen.invoice.subtotal, witnd.invoice(one.id).subtotal) == ("100.00", "110.00", "10.00")
        added = witnd.add_line(one.id, "Setup", "50", quantity="2", tax="reduced", idempotency_key="setup-1")
        again = witnd.add_line(one.id, "Setup", "50", quantity="2", tax="reduced", idempotency_key="setup-1")
        assert (added.id, added.kind, added.unit_price, added.tax) == (again.id, "manual", "50", "reduced")
        with pytest.raises(ConflictError, match=r"the largest discount that fits is 100\.00 EUR"):
            witnd.add_line(one.id, "Goodwill", "-100.01", tax="reduced")
        with pytest.raises(ValidationError):
            witnd.add_line(one.id, "Goodwill", "x")
        assert witnd.set_tax(one.id, LINES[0].id, "export", "abroad").tax == "export"
        assert witnd.set_tax(one.id, LINES[0].id, None, "not abroad").tax == "vat"
        other = witnd.add_line(one.id, "Wrong", "1")
        assert witnd.remove_line(one.id, other.id).subtotal == "110.00"
        with pytest.raises(NotFoundError):
            witnd.remove_line(one.id, other.id)
        issued = witnd.issue_invoice(one.id, date="2020-10-02")
        assert (issued.issue_date, issued.tax, issued.total, issued.warnings) == ("2020-10-02", "8.90", "118.90", [])
        found = witnd.invoice(one.id)
        assert [(row.rate, row.taxable, row.tax) for row in found.tax_rows] == [
            ("7", "100.00", "7.00"), ("19", "10.00", "1.90")
        ]  # fmt: skip
        assert found.seller is not None
        assert found.buyer is not None
        assert (found.seller["name"], found.buyer["legal_name"]) == ("Kontor GmbH", "Acme Incorporated")


def test_lines_of_a_customer_and_the_same_calls_for_asyncio(taxed: ApiServer) -> None:
    one = put_ended(taxed)

    async def asynchronous() -> None:
        async with AsyncClient(base(taxed), taxed.tokens["admin"]) as witnd:
            line = await witnd.add_customer_line("acme", "Training", "80", currency="USD", idempotency_key="training-1")
            assert (line.currency, line.invoice.closed, line.invoice.subtotal) == ("USD", False, "80.00")
            again = await witnd.add_customer_line(
                "acme", "Training", "80", currency="USD", idempotency_key="training-1"
            )
            assert again.id == line.id
            assert (await witnd.remove_line(line.invoice.id, line.id)).subtotal == "0.00"
            added = await witnd.add_line(one.id, "Setup", "10")
            assert (await witnd.set_tax(one.id, added.id, "reduced", "x", dry_run=True)).tax == "reduced"
            assert (await witnd.issue_invoice(one.id, dry_run=True)).tax == "3.80"
            with pytest.raises(ConflictError):
                await witnd.issue_invoice(one.id, date="2020-09-29")

    asyncio.run(asynchronous())


def test_a_removal_whose_answer_was_lost_is_repeated(taxed: ApiServer) -> None:
    """A client repeats the request with the same key, also when the stored answer is gone."""
    one = put_ended(taxed)
    line = done(taxed, one, "lines", {"description": "Setup", "quantity": "1", "unit_price": "10"})["id"]
    path, headers = f"/v1/invoices/{one.id}/lines/{line}", {"Idempotency-Key": "removal"}
    first = taxed.ask("DELETE", path, headers=headers)
    forget(taxed)
    again = taxed.ask("DELETE", path, headers=headers)
    assert (first.status, again.status, again.json["revision"]) == (200, 200, 2)
