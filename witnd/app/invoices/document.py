"""One invoice with everything that belongs to it: its parties, taxes, payments and credit notes."""

from typing import Final

from msgspec import Struct
from msgspec.structs import asdict, replace

from witnd.app.services import Services
from witnd.billing.issue_preview import with_current_data
from witnd.domain.catalogue.buyer import Buyer
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.invoices.json_form import (
    CreditNoteJson,
    InvoiceJson,
    credit_note_json,
    invoice_json,
    tax_rows_json,
)
from witnd.domain.invoices.payment import PaymentJson, payment_json
from witnd.domain.invoices.tax import tax_sum
from witnd.domain.values.money import minor_text

# Credit notes that come with their invoice; the list of credit notes has all.
NOTES_SHOWN: Final = 100


class SellerJson(Struct, frozen=True, kw_only=True):
    """The seller of an invoice."""

    name: str
    address: tuple[str, ...]
    postal_code: str | None
    city: str | None
    country: str | None
    tax_id: str | None
    registration: str | None
    email: str | None
    phone: str | None
    iban: str | None
    bic: str | None
    footer: str | None
    payment_terms_days: int
    locale: str


class BuyerJson(Struct, frozen=True, kw_only=True):
    """The customer of an invoice, with its billing data. `tax`: the tax key of rows that have no other."""

    key: str
    name: str
    legal_name: str | None
    address: tuple[str, ...]
    postal_code: str | None
    city: str | None
    country: str | None
    tax_id: str | None
    purchase_order: str | None
    email: str | None
    payment_terms_days: int | None
    tax: str | None
    locale: str | None


class InvoiceInFull(InvoiceJson, frozen=True, kw_only=True):
    """An invoice with its payments and its newest credit notes. `balance`: the customer's balance in its currency.

    `seller` and `buyer` are those at issue. A draft has those of now, and the taxes that it would be issued with.
    """

    seller: SellerJson | None
    buyer: BuyerJson
    balance: str
    payments: list[PaymentJson]
    credit_notes: list[CreditNoteJson]


async def in_full(services: Services, invoice: Invoice) -> InvoiceInFull:
    notes = await services.invoices.notes_of(invoice, max(0, invoice.notes - NOTES_SHOWN))
    balance = await services.invoices.balance(invoice.customer_key, invoice.currency)
    payments = await services.invoices.payments(invoice.id) if invoice.payment_entries else []
    shown, data = with_current_data(await services.learned(), invoice, services.now_ms())
    head = head_json(shown, data)
    return InvoiceInFull(
        **{name: getattr(head, name) for name in InvoiceJson.__struct_fields__},
        seller=seller_json(data),
        buyer=buyer_json(invoice.customer_key, data),
        balance=minor_text(balance, invoice.digits),
        payments=[payment_json(invoice, one) for one in payments],
        credit_notes=[credit_note_json(note) for note in reversed(notes)],
    )


def head_json(invoice: Invoice, data: IssueData) -> InvoiceJson:
    """Return the head of an invoice. `data`: of a draft, that with which it would be issued now."""
    head = invoice_json(invoice)
    if invoice.issue_data is not None or not invoice.closed:
        return head
    tax = minor_text(tax_sum(data.tax_rows), invoice.digits)
    return replace(head, tax_rows=tax_rows_json(data.tax_rows, invoice.digits), tax=tax)


def seller_json(data: IssueData) -> SellerJson | None:
    if data.seller is None:
        return None
    fields = asdict(data.seller)
    return SellerJson(**{name: fields[name] for name in SellerJson.__struct_fields__})


def buyer_json(customer_key: str, data: IssueData) -> BuyerJson:
    fields = asdict(data.buyer or Buyer())
    fields["email"] = fields["email"] or data.customer_email
    return BuyerJson(key=customer_key, name=data.customer_name, **fields)
