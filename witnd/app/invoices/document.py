"""One invoice with everything that belongs to it: its parties, taxes, payments and credit notes."""

from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from witnd.app.services import Services
from witnd.billing.einvoice.lacks import lacks
from witnd.billing.estimating.estimates import Estimate
from witnd.billing.issue_preview import with_current_data
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.issue_data import (
    BuyerJson,
    ExchangeJson,
    IssueData,
    SellerJson,
    buyer_json,
    exchange_json,
    seller_json,
)
from witnd.domain.invoices.json_form import (
    CreditNoteJson,
    InvoiceJson,
    credit_note_json,
    invoice_json,
    tax_rows_json,
)
from witnd.domain.invoices.payment import PaymentJson, payment_json
from witnd.domain.invoices.sums import group_total
from witnd.domain.invoices.tax import tax_sum
from witnd.domain.values import instant
from witnd.domain.values.money import minor_text

# Credit notes that come with their invoice; the list of credit notes has all.
NOTES_SHOWN: Final = 100


class LackJson(Struct, frozen=True, kw_only=True):
    """A field that an electronic invoice lacks, with the problem and the remedy. If `required` is false, there can be
    an electronic invoice without it."""

    path: str
    problem: str
    remedy: str
    required: bool


class GroupJson(Struct, frozen=True, kw_only=True):
    """The outcomes of an agent under entries with one grade, or without one, with their fees, minimum and cap.

    `amount` is null while the period is open, `estimate` after it has closed."""

    agent_key: str
    grade: str | None
    amount: str | None
    estimate: str | None


class InvoiceInFull(InvoiceJson, frozen=True, kw_only=True):
    """An invoice with its payments and its newest credit notes. `balance`: the customer's balance in its currency.

    `seller` and `buyer` are those at issue. A draft has those of now, and the taxes that it would be issued with.
    `estimate`: while the period is open, the sum without tax as if it closed now, at most 10 seconds old, and the
    instant of that. Both are null after the close, and while a very large invoice is read.
    `lacks`: what it lacks to be an electronic invoice (EN 16931), by the paths of its fields here.
    """

    seller: SellerJson | None
    buyer: BuyerJson
    exchange_rate: ExchangeJson | None
    lacks: list[LackJson]
    balance: str
    payments: list[PaymentJson]
    credit_notes: list[CreditNoteJson]
    estimate: str | None
    estimated_at: str | None
    groups: list[GroupJson]


async def in_full(services: Services, invoice: Invoice) -> InvoiceInFull:
    notes = await services.invoices.notes_of(invoice, max(0, invoice.notes - NOTES_SHOWN))
    balance = await services.invoices.balance(invoice.customer_key, invoice.currency)
    payments = await services.invoices.payments(invoice.id) if invoice.payment_entries else []
    shown, data = with_current_data(await services.learned(), invoice, services.now_ms())
    head = head_json(shown, data)
    found = await estimate(services, invoice)
    return InvoiceInFull(
        **{name: getattr(head, name) for name in InvoiceJson.__struct_fields__},
        seller=seller_json(data),
        buyer=buyer_json(invoice.customer_key, data),
        exchange_rate=exchange_json(data),
        lacks=lacks_json(shown, data),
        balance=minor_text(balance, invoice.digits),
        payments=[payment_json(invoice, one) for one in payments],
        credit_notes=[credit_note_json(note) for note in reversed(notes)],
        **estimate_json(invoice, found),
    )


async def estimate(services: Services, invoice: Invoice) -> Estimate | None:
    """Return an open invoice as if its period closed now; None if it is closed, or too large to be read at once."""
    if invoice.closed:
        return None
    catalogue, calendar = await services.learned(), await services.calendar()
    return await services.estimates.of(invoice, catalogue, calendar, await services.invoices.server_ms())


def estimate_json(invoice: Invoice, found: Estimate | None) -> dict[str, Any]:
    """Return the fields `estimate`, `estimated_at` and `groups`."""
    return {
        "estimate": None if found is None else minor_text(found.invoice.net, found.invoice.digits),
        "estimated_at": None if found is None else instant.render(found.at),
        "groups": _groups_json(invoice, found),
    }


def _groups_json(invoice: Invoice, found: Estimate | None) -> list[GroupJson]:
    """Return the groups of an invoice with their amounts, or the groups of its estimate."""
    groups = found.groups if found is not None else () if invoice.sums is None else invoice.sums.groups
    sums = [minor_text(group_total([one]), (invoice if found is None else found.invoice).digits) for one in groups]
    return [
        GroupJson(
            agent_key=one.agent,
            grade=one.grade,
            amount=amount if found is None else None,
            estimate=None if found is None else amount,
        )
        for one, amount in zip(groups, sums, strict=True)
    ]


def lacks_json(invoice: Invoice, data: IssueData) -> list[LackJson]:
    """Return what an issued invoice lacks for EN 16931, or a draft if it were issued now; of an open draft nothing,
    because its taxes are unknown."""
    if not invoice.closed:
        return []
    found = lacks(data, data.tax_rows, invoice.currency, invoice.digits)
    return [LackJson(path=one.path, problem=one.problem, remedy=one.remedy, required=one.is_required) for one in found]


def head_json(invoice: Invoice, data: IssueData) -> InvoiceJson:
    """Return the head of an invoice. `data`: of a draft, that with which it would be issued now."""
    head = invoice_json(invoice)
    if invoice.issue_data is not None or not invoice.closed:
        return head
    tax = minor_text(tax_sum(data.tax_rows), invoice.digits)
    return replace(head, tax_rows=tax_rows_json(data.tax_rows, invoice.digits), tax=tax)
