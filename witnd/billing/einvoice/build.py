"""Build the content of an electronic invoice from an issued invoice or a credit note."""

from decimal import Decimal
from typing import Final

from witnd.billing.einvoice.content import (
    CREDIT_NOTE,
    INVOICE,
    Account,
    EInvoice,
    OtherCurrency,
    Party,
    TaxPart,
)
from witnd.billing.einvoice.lacks import EXEMPT, EXPORT, INTRA_COMMUNITY, OUTSIDE_SCOPE, REVERSE_CHARGE
from witnd.billing.einvoice.lines import check_sums, invoice_lines, note_lines
from witnd.billing.einvoice.text import clean
from witnd.billing.export.bill import Bill, Note
from witnd.domain.catalogue.buyer import Buyer
from witnd.domain.catalogue.seller import Seller
from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.invoices.tax import TaxRow, tax_sum
from witnd.domain.values.identifiers import has_country_prefix
from witnd.domain.values.money import difference

# The list VATEX of the European Commission.
_REASON_CODES: Final = {
    REVERSE_CHARGE: "VATEX-EU-AE",
    INTRA_COMMUNITY: "VATEX-EU-IC",
    EXPORT: "VATEX-EU-G",
    OUTSIDE_SCOPE: "VATEX-EU-O",
}
_WITH_REASON: Final = frozenset((EXEMPT, *_REASON_CODES))
_ZERO: Final = Decimal(0)
_SEPA_CURRENCY: Final = "EUR"


async def invoice_content(bill: Bill) -> EInvoice:
    """Return the content of an issued invoice that lacks nothing. Raises ValueError if its rows contradict it."""
    invoice, data, words = bill.invoice, bill.data, bill.words
    assert invoice.number is not None, invoice.id
    assert invoice.issue_date is not None, invoice.id
    assert data is not None, invoice.id
    assert invoice.total is not None, invoice.id
    lines = await invoice_lines(bill)
    check_sums(lines, data.tax_rows)
    replaces = [words("replaces_number", number=invoice.revises_number)] if invoice.revises_number else []
    return EInvoice(
        type_code=INVOICE,
        number=invoice.number,
        issue_date=invoice.issue_date,
        due_date=invoice.due_date,
        terms=None,
        currency=invoice.currency,
        digits=invoice.digits,
        notes=(*replaces, *_tax_notes(data.tax_rows), *_seller_notes(data)),
        purchase_order=None if data.buyer is None else _text(data.buyer.purchase_order),
        corrects=None,
        corrects_date=None,
        seller=_seller(data),
        buyer=_buyer(data),
        first_day=invoice.first_day,
        last_day=invoice.last_day,
        delivered_to=_delivered_to(data, data.tax_rows),
        account=_account(data, invoice.currency),
        lines=lines,
        taxes=tuple(_tax_part(row) for row in data.tax_rows),
        net=invoice.net,
        tax=tax_sum(data.tax_rows),
        total=invoice.total,
        paid=invoice.balance_used,
        due=difference(invoice.total, invoice.balance_used),
        other_currency=_other_currency(data, data.tax_rows),
    )


def note_content(paper: Note) -> EInvoice:
    """Return the content of a credit note that lacks nothing."""
    note, data, words = paper.note, paper.data, paper.words
    assert note.number is not None, note.id
    assert note.issued_at is not None, note.id
    assert data is not None, note.id
    lines = note_lines(paper, words)
    check_sums(lines, note.tax_rows)
    return EInvoice(
        type_code=CREDIT_NOTE,
        number=note.number,
        issue_date=paper.times.date(note.issued_at),
        due_date=None,
        terms=clean(paper.use),
        currency=note.currency,
        digits=note.digits,
        notes=(clean(note.reason), *_tax_notes(note.tax_rows), *_seller_notes(data)),
        purchase_order=None if data.buyer is None else _text(data.buyer.purchase_order),
        corrects=note.invoice_number,
        corrects_date=paper.invoice_date,
        seller=_seller(data),
        buyer=_buyer(data),
        first_day=None if paper.period is None else paper.period.first_day,
        last_day=None if paper.period is None else paper.period.last_day,
        delivered_to=_delivered_to(data, note.tax_rows),
        account=None,
        lines=lines,
        taxes=tuple(_tax_part(row) for row in note.tax_rows),
        net=note.amount,
        tax=tax_sum(note.tax_rows),
        total=note.total,
        paid=_ZERO,
        due=note.total,
        other_currency=_other_currency(data, note.tax_rows),
    )


def _seller(data: IssueData) -> Party:
    seller = data.seller
    assert seller is not None
    if any(row.category == OUTSIDE_SCOPE for row in data.tax_rows):
        # BR-O-2: no VAT number may be there.
        return _party(seller, seller.name, None, seller.registration or seller.tax_id, seller.phone)
    return _party(seller, seller.name, seller.tax_id, seller.registration, seller.phone)


def _buyer(data: IssueData) -> Party:
    buyer = data.buyer
    assert buyer is not None
    tax_id = buyer.tax_id
    if any(row.category == OUTSIDE_SCOPE for row in data.tax_rows) or (tax_id and not has_country_prefix(tax_id)):
        tax_id = None
    name = buyer.legal_name or data.customer_name
    return _party(buyer, name, tax_id, None, None, buyer.email or data.customer_email)


def _party(
    party: Seller | Buyer,
    name: str,
    tax_id: str | None,
    registration: str | None,
    phone: str | None,
    email: str | None = None,
) -> Party:
    assert party.country is not None, party
    has_vat_id = tax_id is not None and has_country_prefix(tax_id)
    return Party(
        name=clean(name),
        registration=_text(registration),
        vat_id=_text(tax_id) if has_vat_id else None,
        tax_number=None if has_vat_id else _text(tax_id),
        email=_text(email or party.email),
        phone=_text(phone),
        address=tuple(clean(line) for line in party.address),
        postal_code=_text(party.postal_code),
        city=_text(party.city),
        country=party.country,
    )


def _text(text: str | None) -> str | None:
    return None if text is None else clean(text)


def _tax_part(row: TaxRow) -> TaxPart:
    has_reason = row.category in _WITH_REASON
    return TaxPart(
        category=row.category,
        rate=None if row.category == OUTSIDE_SCOPE else row.rate,
        taxable=row.taxable,
        tax=row.tax,
        reason=_text(row.note or row.name) if has_reason else None,
        reason_code=_REASON_CODES.get(row.category),
    )


def _tax_notes(rows: tuple[TaxRow, ...]) -> list[str]:
    """Return the notes of taxes that are not the reason of an exemption."""
    return [clean(row.note) for row in rows if row.note and row.category not in _WITH_REASON]


def _seller_notes(data: IssueData) -> list[str]:
    footer = None if data.seller is None else data.seller.footer
    return [] if footer is None else [clean(footer)]


def _delivered_to(data: IssueData, rows: tuple[TaxRow, ...]) -> str | None:
    """Return the country of delivery, which an intra-Community supply must name (BR-IC-12)."""
    is_supply = any(row.category == INTRA_COMMUNITY for row in rows)
    return data.buyer.country if is_supply and data.buyer is not None else None


def _account(data: IssueData, currency: str) -> Account | None:
    seller = data.seller
    if seller is None or seller.iban is None:
        return None
    return Account(
        means="58" if currency == _SEPA_CURRENCY else "30", iban=seller.iban, bic=seller.bic, owner=clean(seller.name)
    )


def _other_currency(data: IssueData, rows: tuple[TaxRow, ...]) -> OtherCurrency | None:
    exchange = data.exchange
    if exchange is None:
        return None
    return OtherCurrency(currency=exchange.currency, digits=exchange.digits, tax=exchange.converted(tax_sum(rows)))
