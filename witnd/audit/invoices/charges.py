"""Which invoices must exist without any outcome, because a customer owes a recurring fee or commitment."""

from witnd.audit.invoices.snapshot import BillerSnapshot
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.catalogue.period_terms import period_charges
from witnd.domain.invoices.invoice import Invoice, invoice_id
from witnd.domain.pricing.charge import PeriodCharges
from witnd.domain.values.period import Calendar, Period


def next_charged(catalogue: Catalogue, state: BillerSnapshot, calendar: Calendar, at: int) -> int | None:
    """Return an instant at or after `at` in the next closed period in which a customer can owe something."""
    first = catalogue.first_charge
    if first is None:
        return None
    found = max(first, at)
    if found >= calendar.until:
        return None
    return found if calendar.period_at(found).end <= _closed_to(state) else None


def due_invoices(catalogue: Catalogue, state: BillerSnapshot, period: Period, calendar: Calendar) -> set[str]:
    """Return the ids of the invoices that a closed period must have."""
    first = catalogue.first_charge
    if first is None or first >= period.end or period.end > _closed_to(state):
        return set()
    return {
        invoice_id(customer, currency, period)
        for customer in catalogue.keys("customer")
        for currency, due in period_charges(catalogue, customer, period, calendar).items()
        if due.is_due
    }


def charges_of(catalogue: Catalogue, calendar: Calendar, invoice: Invoice) -> PeriodCharges | None:
    """Return the fees and the commitment of an invoice. None if the calendar does not have its period, which is another
    difference."""
    if invoice.end > calendar.until:
        return None
    period = calendar.period_at(invoice.start)
    return period_charges(catalogue, invoice.customer_key, period, calendar).get(invoice.currency)


def _closed_to(state: BillerSnapshot) -> int:
    return max(state.charged_to, state.closed_to)
