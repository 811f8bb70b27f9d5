"""Totals of the invoices by currency, as `witnd audit` reports them."""

from typing import Final

from msgspec import Struct

from witnd.audit.invoices.totals import CurrencyTotals, StageTotals
from witnd.domain.values.money import minor_text

STAGES: Final = ("open", "draft", "issued", "paid", "void")


class Part(Struct, frozen=True, kw_only=True):
    """Invoices of one stage: `lines` are outcomes, `total` is what is to be paid of those that were issued."""

    invoices: int
    lines: int
    subtotal: str
    total: str


class Amounts(Struct, frozen=True, kw_only=True):
    """Credit notes, or balances that are not 0."""

    count: int
    amount: str


class Invoiced(Struct, frozen=True, kw_only=True):
    """The invoices of one currency. `lines` = `waiting` (on no invoice yet) + those of the five stages; `settled` (what
    the lines came with) + `added` (when periods closed) = the five subtotals."""

    currency: str
    lines: int
    waiting: int
    settled: str
    added: str
    open: Part
    draft: Part
    issued: Part
    paid: Part
    void: Part
    credit_notes: Amounts
    balances: Amounts


def invoiced(currency: str, sums: CurrencyTotals) -> Invoiced:
    """Return the totals of one currency as text."""
    parts = {
        stage: Part(
            invoices=one.invoices,
            lines=one.lines,
            subtotal=minor_text(one.subtotal, sums.digits),
            total=minor_text(one.total, sums.digits),
        )
        for stage in STAGES
        for one in [sums.stages.get(stage, StageTotals())]
    }
    return Invoiced(
        currency=currency,
        lines=sums.lines,
        waiting=sums.waiting,
        settled=minor_text(sums.settled, sums.digits),
        added=minor_text(sums.added, sums.digits),
        credit_notes=Amounts(count=sums.notes, amount=minor_text(sums.noted, sums.digits)),
        balances=Amounts(count=sums.balances, amount=minor_text(sums.balance, sums.digits)),
        **parts,
    )
