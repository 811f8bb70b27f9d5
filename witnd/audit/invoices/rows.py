"""Audit the rows of one invoice: their order and their sums. `pricing` recalculates their amounts."""

from collections.abc import AsyncIterator, Container, Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct, field

from witnd.audit.findings import RESTORE, Findings
from witnd.audit.invoices.lines import mark, row_content
from witnd.audit.invoices.pricing import GroupUnits
from witnd.audit.invoices.tax.recompute import RowTaxes
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.values import instant
from witnd.domain.values.money import exact_sum

# Rows of an invoice that stay in memory for the second pass.
MAX_KEPT_ROWS: Final = 5000

_ZERO: Final = Decimal(0)


class RowTotals(Struct, kw_only=True):
    """The totals of an invoice's rows. `wanted` are the requested rows."""

    lines: int = 0
    unrated: int = 0
    subtotal: Decimal = _ZERO
    at_settlement: Decimal = _ZERO  # the part of rows rated at settlement
    mark: int = 0
    wanted: dict[str, Row] = field(default_factory=dict)
    kept: list[Row] | None = field(default_factory=list)  # None if there are too many


async def count_rows(
    invoice: Invoice,
    lists: Sequence[AsyncIterator[list[Row]]],
    wanted: Container[str],
    units: GroupUnits | None,
    taxes: RowTaxes,
    findings: Findings,
) -> RowTotals:
    """Sum the rows of each list, the `units` of their groups and their `taxes`, and check their order. `wanted`: the
    ids of rows to keep."""
    row_totals = RowTotals()
    for pages in lists:
        last: tuple[int, bytes] = (0, b"")
        adjusting = False
        async for page in pages:
            for row in page:
                if row.kind == "outcome":
                    last = _check_place(invoice, row, last, findings, adjusting=adjusting)
                elif row.kind == "credit" or not invoice.closed:
                    findings.differ(f"row {row.id}", "none", f"a {row.kind}", RESTORE, key=row.outcome_key or "")
                else:
                    adjusting = True
                if row.id in wanted:
                    row_totals.wanted[row.id] = row
                if units is not None:
                    units.add(row)
                taxes.add(row)
                _add(row_totals, row)
    return row_totals


def _check_place(
    invoice: Invoice, row: Row, last: tuple[int, bytes], findings: Findings, *, adjusting: bool
) -> tuple[int, bytes]:
    at, key = row.billed_at, row.outcome_key or ""
    if not invoice.start <= at < invoice.end:
        period = f"from {instant.render(invoice.start)}, before {instant.render(invoice.end)}"
        findings.differ("row: resolved_at", period, instant.render(at), RESTORE, key=key)
    if adjusting:
        findings.differ("place of the row", "before fees, minimums and caps", "behind one", RESTORE, key=key)
    # Rows of the same instant are ordered only after the close.
    place = (at, key.encode() if invoice.closed else b"")
    if place < last:
        found = f"{instant.render(at)}, behind {instant.render(last[0])} {last[1].decode()}".rstrip()
        findings.differ("place of the row", "in order of resolved_at, then key", found, RESTORE, key=key)
    return max(place, last)


def _add(row_totals: RowTotals, row: Row) -> None:
    if row.kind == "outcome":
        row_totals.lines += 1
        row_totals.mark += mark(row_content(row))
    if row.amount is None:
        row_totals.unrated += 1
    else:
        amount = Decimal(row.amount)
        row_totals.subtotal = exact_sum((row_totals.subtotal, amount))
        if row.kind == "outcome" and row.rated == "at_settlement":
            row_totals.at_settlement = exact_sum((row_totals.at_settlement, amount))
    if row_totals.kept is not None:
        row_totals.kept.append(row)
        if len(row_totals.kept) > MAX_KEPT_ROWS:
            row_totals.kept = None
