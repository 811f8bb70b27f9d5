"""What the catalogue says about an invoice at an instant: its parties, its taxes and the days until it is due."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.customer import Customer
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.invoices.tax import TaxTable, TaxTerms, parts_of

# Days from the issue of an invoice to its due date, if neither the customer nor the seller has a term.
PAYMENT_TERMS_DAYS: Final = 30


class IssueTerms(Struct, frozen=True, kw_only=True):
    """The data to issue an invoice with, and the days from its issue date to its due date."""

    data: IssueData
    days: int = PAYMENT_TERMS_DAYS


def issue_terms(catalogue: Catalogue, invoice: Invoice, at: int) -> IssueTerms:
    """Return the terms at an instant (ms), with the taxes of the invoice's rows."""
    customer, seller = catalogue.customer(invoice.customer_key, at), catalogue.seller(at)
    buyer = None if customer is None else customer.billing
    days = PAYMENT_TERMS_DAYS if seller is None else seller.payment_terms_days
    if buyer is not None and buyer.payment_terms_days is not None:
        days = buyer.payment_terms_days
    version = None if seller is None else catalogue.entry("seller", "seller", at)
    keys = [] if invoice.sums is None else [*(part.key for part in parts_of(invoice.taxed)), *invoice.credit_sums]
    data = IssueData(
        customer_name=invoice.customer_key if customer is None else customer.name,
        customer_email=None if customer is None else customer.email,
        seller=None if seller is None else replace(seller, logo=None),
        seller_version=None if version is None else version.effective_from,
        buyer=buyer,
        table=_table(catalogue, invoice, customer, keys),
    )
    return IssueTerms(data=data, days=days)


def tax_table(catalogue: Catalogue, invoice: Invoice, at: int) -> TaxTable:
    """Return all taxes, as they would apply to the invoice if it were issued at an instant (ms)."""
    return _table(catalogue, invoice, catalogue.customer(invoice.customer_key, at), catalogue.keys("tax"))


def default_tax(catalogue: Catalogue, invoice: Invoice, at: int) -> str | None:
    """Return the customer's tax key at an instant (ms)."""
    return _default(catalogue.customer(invoice.customer_key, at))


def _default(customer: Customer | None) -> str | None:
    return None if customer is None or customer.billing is None else customer.billing.tax


def _table(catalogue: Catalogue, invoice: Invoice, customer: Customer | None, keys: Iterable[str]) -> TaxTable:
    """Return the terms in effect at the last millisecond of the period, by key."""
    default = _default(customer)
    found = {}
    for key in sorted({*keys, default or ""} - {""}):
        if (tax := catalogue.tax(key, invoice.end - 1)) is not None:
            found[key] = TaxTerms(name=tax.name, category=tax.category, rate=tax.rate, note=tax.note)
    return TaxTable(default, found)
