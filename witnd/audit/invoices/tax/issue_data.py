"""Audit what is stored with an issued invoice: its parties and the terms of its taxes, against the catalogue."""

from typing import Final

from msgspec.structs import replace

from witnd.audit.findings import RESTORE, Findings
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.customer import Customer
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.invoices.tax import TaxTerms

_NO_VERSION: Final = "as in a version of the catalogue"


def check_issue_data(invoice: Invoice, catalogue: Catalogue, findings: Findings) -> None:
    """Check the parties and the terms of taxes.

    Any version of a customer counts: the one in effect at the issue depends on when a version was written, and the
    catalogue does not record that.
    """
    data = invoice.issue_data
    if data is None:
        return
    if not _has_seller(data, catalogue):
        findings.differ("seller", _NO_VERSION, "another", RESTORE)
    versions = customer_versions(catalogue, invoice.customer_key)
    if all(
        (data.customer_name, data.customer_email, data.buyer) != (one.name, one.email, one.billing) for one in versions
    ):
        unknown = (data.customer_name, data.customer_email, data.buyer) == (invoice.customer_key, None, None)
        if versions or not unknown:
            findings.differ("buyer", _NO_VERSION, "another", RESTORE)
    default = None if data.buyer is None else data.buyer.tax
    findings.compare("tax of the customer", default or "none", data.table.default or "none", RESTORE)
    for key, terms in data.table.terms.items():
        tax = catalogue.tax(key, invoice.end - 1)
        must = None if tax is None else TaxTerms(name=tax.name, category=tax.category, rate=tax.rate, note=tax.note)
        if must != terms:
            expected = "none" if must is None else _text(must)
            findings.differ(f"terms of tax {key}", expected, _text(terms), RESTORE)


def customer_versions(catalogue: Catalogue, customer_key: str) -> list[Customer]:
    """Return all versions of a customer, the oldest first."""
    found = (catalogue.customer(customer_key, at) for at in catalogue.instants("customer", customer_key))
    return [one for one in found if one is not None]


def _has_seller(data: IssueData, catalogue: Catalogue) -> bool:
    if data.seller is None or data.seller_version is None:
        return data.seller is None and data.seller_version is None
    found = catalogue.seller(data.seller_version)
    is_version = data.seller_version in catalogue.instants("seller", "seller")
    return is_version and found is not None and replace(found, logo=None) == data.seller


def _text(terms: TaxTerms) -> str:
    return f"{terms.name}, {terms.category} {terms.rate} %, note {terms.note or 'none'}"
