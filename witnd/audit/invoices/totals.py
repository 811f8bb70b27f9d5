"""The sums of all invoices by currency, and whether they add up: lines = invoices + open drafts."""

from decimal import Decimal
from typing import Final

from msgspec import Struct, field

from witnd.audit.findings import RESTORE, Findings
from witnd.audit.scope import Mismatch
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.values.money import exact_sum, plain

_ZERO: Final = Decimal(0)


class Stage(Struct, kw_only=True):
    """Invoices of one stage of their life. `lines` are outcomes; `total` is what is to be paid."""

    invoices: int = 0
    lines: int = 0
    subtotal: Decimal = _ZERO
    total: Decimal = _ZERO


class Booked(Struct, kw_only=True):
    """One currency. `lines` are in invoices or `waiting`; the subtotals of the stages are what was `settled` with an
    amount and what was `added` when periods closed."""

    digits: int = 0  # the most after the point that one of its lines or invoices has
    lines: int = 0
    waiting: int = 0
    settled: Decimal = _ZERO
    added: Decimal = _ZERO
    stages: dict[str, Stage] = field(default_factory=dict)
    notes: int = 0
    noted: Decimal = _ZERO
    balances: int = 0
    balance: Decimal = _ZERO


class Books(Struct, frozen=True, kw_only=True):
    """What an audit of the invoices came to. `exact` is false where one was changed whenever it was looked at."""

    exact: bool
    sums: dict[str, Booked]
    differences: list[Mismatch]
    difference_count: int


class Sums:
    """Adds up while invoices are looked at."""

    def __init__(self) -> None:
        self.currencies: dict[str, Booked] = {}

    def of(self, currency: str) -> Booked:
        found = self.currencies.get(currency)
        if found is None:
            found = self.currencies[currency] = Booked()
        return found

    def enter(self, invoice: Invoice, settled: Decimal, added: Decimal) -> None:
        booked = self.of(invoice.currency)
        booked.digits = max(booked.digits, invoice.digits)
        booked.settled = exact_sum((booked.settled, settled))
        booked.added = exact_sum((booked.added, added))
        booked.notes += invoice.notes
        booked.noted = exact_sum((booked.noted, invoice.noted))
        stage = booked.stages.setdefault(invoice.stage, Stage())
        stage.invoices += 1
        stage.lines += invoice.lines
        stage.subtotal = exact_sum((stage.subtotal, invoice.subtotal))
        stage.total = exact_sum((stage.total, invoice.total or _ZERO))

    def compare(self, findings: Findings) -> None:
        for currency, booked in self.currencies.items():
            lines = sum(stage.lines for stage in booked.stages.values())
            findings.compare(f"lines of all invoices in {currency}", booked.lines - booked.waiting, lines, RESTORE)
            must = exact_sum((booked.settled, booked.added))
            found = exact_sum(stage.subtotal for stage in booked.stages.values())
            findings.compare(f"subtotals of all invoices in {currency}", plain(must), plain(found), RESTORE)
