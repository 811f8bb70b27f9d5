"""Show a draft as it would be issued now."""

from msgspec.structs import replace

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.invoices.issue_terms import issue_terms
from witnd.domain.invoices.manual import with_discounts
from witnd.domain.invoices.tax import tax_rows
from witnd.store.invoices.codec import contradictions


def with_current_data(catalogue: Catalogue, invoice: Invoice, at: int) -> tuple[Invoice, IssueData]:
    """Return an invoice with its parties and taxes: those at issue, or those of a draft at an instant (ms). The
    discounts of a draft are reduced to what fits under these taxes. Without a closed period, it has no tax rows.
    Raises `DamagedInvoice` if parts of a draft contradict each other, so that lists show the others."""
    if invoice.issue_data is not None:
        return invoice, invoice.issue_data
    with contradictions(invoice.id):
        data = issue_terms(catalogue, invoice, at).data
        if not invoice.closed:
            return invoice, data
        shown = with_discounts(invoice, data.table)
        return shown, replace(data, tax_rows=tax_rows(shown.taxed, data.table))
