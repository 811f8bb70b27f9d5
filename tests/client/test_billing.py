"""Invoices, payments and balances by the client library, with a real daemon."""

import asyncio

import pytest

from tests.client.test_with_daemon import base
from tests.web.api_server import ApiServer
from tests.web.invoices import AHEAD, ROWS, put
from witnd.client import AsyncClient, Client, ConflictError, NotAllowedError, NotFoundError, ValidationError


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
