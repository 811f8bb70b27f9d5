"""Correct an invoice after outcomes on it were reversed: credit rows on a draft, a credit note after issue.

An outcome that was reversed before the end of its period, and is rated when that closes, costs nothing there and needs
no credit.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from witnd.domain.invoices.credit import Credits, Item, creditable
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.operations import Change, Refusal, Series, reversal_note_id
from witnd.domain.invoices.tax import TaxTable
from witnd.domain.values.local_day import LocalDay
from witnd.domain.values.period import Period

_ZERO: Final = Decimal(0)


class Reversed(Struct, frozen=True, kw_only=True):
    """A reversed outcome whose row is to be credited. `reversed_at`: the instant (ms) of the reversal, and
    `reversed_on` its local date."""

    outcome_key: str
    reversed_at: int
    reversed_on: str
    item: Item


def credit_rows(
    invoice: Invoice, reversed_: Sequence[Reversed], *, at: int, table: TaxTable, through: int | None = None
) -> Change:
    """Add a credit row to a draft for each reversed outcome, for what remains of its row. Nothing is credited if the
    invoice is void, or if nothing remains.

    `reversed_` is in the order (reversed_at, outcome key). `at`: the server's clock in ms; `table`: the taxes of the
    draft if it were issued now. `through`: these are all reversals before this instant (ms) that were not credited yet.
    """
    credits_ = _credits(invoice, reversed_, at, table)
    change = (
        replace(credits_.rows_change(table), corrected=_keys(reversed_)) if credits_ else _nothing(invoice, reversed_)
    )
    if through is None or not invoice.closed or invoice.status != "draft":
        return change
    return replace(change, after=replace(change.after, issued_through=max(through, invoice.issued_through or 0)))


def credit_note(
    invoice: Invoice,
    reversed_: Sequence[Reversed],
    period: Period,
    *,
    balance: Decimal,
    series: Series,
    at: int,
    today: LocalDay,
    table: TaxTable,
) -> Change:
    """Write one credit note for all outcomes of an issued invoice whose reversals were accepted in a period. The other
    arguments are as in `credit_rows` and `credit.credit`."""
    credits_ = _credits(invoice, reversed_, at, table)
    if not credits_:
        return _nothing(invoice, reversed_)
    id_ = reversal_note_id(invoice.id, period.start)
    reason = f"outcomes reversed from {period.first_day} to {period.last_day}"
    change = credits_.note_change(reason, balance, series, today, id_)
    places = invoice.reversal_notes | {invoice.notes: period.start}
    return replace(change, after=replace(change.after, reversal_notes=places), corrected=_keys(reversed_))


def _credits(invoice: Invoice, reversed_: Sequence[Reversed], at: int, table: TaxTable) -> Credits:
    """Return the credits of what remains of each row, and at most what remains of the invoice."""
    found = Credits(invoice, at)
    for one in reversed_:
        left = creditable(found.after, one.item, table)
        if not isinstance(left, Refusal) and left > _ZERO:
            found.add(one.item, left, f"outcome reversed on {one.reversed_on}", one.reversed_at)
    return found


def _nothing(invoice: Invoice, reversed_: Sequence[Reversed]) -> Change:
    """Return the change that only records that the reversals need no credit."""
    after = replace(invoice, revision=invoice.revision + 1)
    return Change(operation="credit", before=invoice, after=after, corrected=_keys(reversed_))


def _keys(reversed_: Sequence[Reversed]) -> tuple[str, ...]:
    return tuple([one.outcome_key for one in reversed_])
