"""The totals of all invoices by currency, and their check: lines = invoices + open drafts."""

from decimal import Decimal
from typing import Final

from msgspec import Struct, field

from witnd.audit.findings import RESTORE, Findings
from witnd.audit.scope import Mismatch
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.values.money import exact_sum, plain

_ZERO: Final = Decimal(0)


class StageTotals(Struct, kw_only=True):
    """The invoices of one stage. `lines` counts outcomes."""

    invoices: int = 0
    lines: int = 0
    subtotal: Decimal = _ZERO
    total: Decimal = _ZERO


class CurrencyTotals(Struct, kw_only=True):
    """The totals of one currency. `lines` are on invoices or `waiting`. The subtotals of the stages are `settled`,
    the amounts of lines, plus `added`, the amounts added when periods closed."""

    digits: int = 0  # the largest number of minor digits
    lines: int = 0
    waiting: int = 0
    settled: Decimal = _ZERO
    added: Decimal = _ZERO
    stages: dict[str, StageTotals] = field(default_factory=dict)
    notes: int = 0
    noted: Decimal = _ZERO
    balances: int = 0
    balance: Decimal = _ZERO


class InvoiceAudit(Struct, frozen=True, kw_only=True):
    """The result of an audit of invoices. `exact` is false if an invoice changed during every attempt."""

    exact: bool
    sums: dict[str, CurrencyTotals]
    differences: list[Mismatch]
    difference_count: int


class InvoiceTotals:
    """Sums the checked invoices."""

    def __init__(self) -> None:
        self.currencies: dict[str, CurrencyTotals] = {}

    def currency(self, currency: str) -> CurrencyTotals:
        found = self.currencies.get(currency)
        if found is None:
            found = self.currencies[currency] = CurrencyTotals()
        return found

    def add(self, invoice: Invoice, settled: Decimal, added: Decimal) -> None:
        if invoice.revised_by is not None:
            return  # its lines are those of the edition that replaces it
        totals = self.currency(invoice.currency)
        totals.digits = max(totals.digits, invoice.digits)
        totals.settled = exact_sum((totals.settled, settled))
        totals.added = exact_sum((totals.added, added))
        totals.notes += invoice.notes
        totals.noted = exact_sum((totals.noted, invoice.noted))
        stage = totals.stages.setdefault(invoice.stage, StageTotals())
        stage.invoices += 1
        stage.lines += invoice.lines
        stage.subtotal = exact_sum((stage.subtotal, invoice.subtotal))
        stage.total = exact_sum((stage.total, invoice.total or _ZERO))

    def compare(self, findings: Findings) -> None:
        for currency, totals in self.currencies.items():
            lines = sum(stage.lines for stage in totals.stages.values())
            findings.compare(f"lines of all invoices in {currency}", totals.lines - totals.waiting, lines, RESTORE)
            must = exact_sum((totals.settled, totals.added))
            found = exact_sum(stage.subtotal for stage in totals.stages.values())
            findings.compare(f"subtotals of all invoices in {currency}", plain(must), plain(found), RESTORE)
