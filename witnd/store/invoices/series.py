"""The series of numbers of invoices and credit notes, by the settings."""

from witnd.config import BillingConfig
from witnd.domain.invoices.operations import Series


def invoice_series(billing: BillingConfig) -> Series:
    return Series(name=billing.series, first=billing.first_number)


def credit_series(billing: BillingConfig) -> Series:
    return Series(name=billing.credit_series, first=billing.first_credit_number)
