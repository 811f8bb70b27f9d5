"""Credit reversed outcomes on their invoices.

How an outcome is credited depends only on the log: on the instant of the reversing event, and on the instant through
which an issue includes reversals (contract section 11.3). Before the end of its period, a line that is rated at
settlement gets a credit row at once. Before the issue, a line gets a credit row on the draft. After that, all lines of
an invoice that were reversed in one period get a credit note when that period closes.
"""

from collections.abc import Sequence
from typing import Final

from witnd.billing.einvoice.issued_documents import IssuedDocuments
from witnd.billing.row_taxes import RowTaxes
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.invoices import reversals
from witnd.domain.invoices.credit import Item
from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.issue_terms import tax_table
from witnd.domain.invoices.operations import Decision, Series, Unchanged
from witnd.domain.invoices.reversals import Reversed
from witnd.domain.outcomes.resolution import derived_id
from witnd.domain.values.period import Period
from witnd.store.invoices.change import Operation
from witnd.store.invoices.change_arguments import Snapshot
from witnd.store.invoices.codec import contradictions
from witnd.store.invoices.reads import Invoices
from witnd.store.invoices.reversals import PendingReversal

# Credit rows per change: a tenth of a second for an invoice with many groups.
MAX_ROWS: Final = 500


class ReversalCredits:
    """Credits reversals. Each is credited once, so calls may be repeated. The catalogue must be up to date.

    Raises `DamagedInvoice` for an invoice that must be skipped."""

    def __init__(self, invoices: Invoices, catalogue: Catalogue, series: Series) -> None:
        self.invoices = invoices
        self._catalogue = catalogue
        self._series = series

    async def add_rows(self, invoice: Invoice, before: int | None, through: int | None = None) -> bool:
        """Credit the lines of a draft that were reversed before an instant. Of a void invoice, nothing is credited.
        Return whether there were any. `through`: the instant to record on the draft, if it is not the same."""
        found = await pending_reversals(self.invoices, invoice, before)
        for start in range(0, len(found), MAX_ROWS):
            part = found[start : start + MAX_ROWS]
            is_last = len(part) == len(found) - start
            await self._add_rows(invoice, part, (before if through is None else through) if is_last else None)
        return bool(found)

    async def _add_rows(self, invoice: Invoice, found: Sequence[PendingReversal], through: int | None) -> None:
        """Credit some of the reversals on a draft; `through`: an instant before which no others are left."""

        def decide(seen: Snapshot) -> Decision:
            if seen.invoice.status not in ("draft", "void") or seen.invoice.revised_by is not None:
                return Unchanged(seen.invoice)
            with contradictions(invoice.id):
                table = tax_table(self._catalogue, seen.invoice, seen.at)
                wanted = reversed_rows(self._catalogue, seen, found)
                return reversals.credit_rows(seen.invoice, wanted, at=seen.at, table=table, through=through)

        await self.invoices.do(invoice.id, decide, rows=[one.row.id for one in found], token=_token("rows", found))

    async def write_note(self, invoice: Invoice, period: Period) -> bool:
        """Write the credit note of an issued invoice for the reversals that were accepted in a period. Return whether
        there were any."""
        found = await pending_reversals(self.invoices, invoice, period.end, period.start)

        def decide(seen: Snapshot) -> Decision:
            if seen.invoice.status not in ("issued", "paid"):
                return Unchanged(seen.invoice)
            with contradictions(invoice.id):
                table = tax_table(self._catalogue, seen.invoice, seen.at)
                return reversals.credit_note(
                    seen.invoice,
                    reversed_rows(self._catalogue, seen, found),
                    period,
                    balance=seen.balance,
                    series=self._series,
                    at=seen.at,
                    today=seen.today,
                    table=table,
                )

        if found:
            token = _token("note", found)
            done = await self.invoices.do(invoice.id, decide, rows=[one.row.id for one in found], token=token)
            if isinstance(done, Operation) and (note := await self.invoices.note(done.made)) is not None:
                await IssuedDocuments(self.invoices, self._catalogue).store(note)
        return bool(found)


def _token(kind: str, found: Sequence[PendingReversal]) -> str:
    """Return the token of an operation: the same for the same reversals, so that a repetition is the same operation,
    even after a restart of the daemon."""
    return derived_id("reversals", kind, *(one.outcome_key for one in found))


async def pending_reversals(
    invoices: Invoices, invoice: Invoice, before: int | None = None, since: int = 0
) -> list[PendingReversal]:
    """Return the reversals of an invoice that are not credited yet, accepted in an interval (ms)."""
    keys = [one for one in await invoices.reversals.pending_keys(invoice.id, before) if one[1] >= since]
    return await invoices.reversals.pending(invoice, keys) if keys else []


def reversed_rows(catalogue: Catalogue, seen: Snapshot, pending: Sequence[PendingReversal]) -> list[Reversed]:
    """Return reversed rows with their credits so far and their taxes, for a decision."""
    taxes = RowTaxes(catalogue, seen.invoice, seen.at)
    return [
        Reversed(
            outcome_key=one.outcome_key,
            reversed_at=one.reversed_at,
            reversed_on=seen.calendar.day_at(one.reversed_at).date,
            item=Item(row=one.row, credited=seen.credited(one.row.id), tax=taxes.key(one.row)),
        )
        for one in pending
    ]
