"""The amount of each row of an issued invoice under each category and rate of tax."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, TypeAlias

from witnd.domain.invoices.invoice import Invoice, Row, edition_id, row_id
from witnd.domain.invoices.sums import overridden
from witnd.domain.invoices.tax import TaxClass, cap_parts, commitment_parts
from witnd.domain.pricing.group import GroupKey
from witnd.domain.values.money import difference, plus

Parts: TypeAlias = Mapping[TaxClass | None, Decimal]

_ZERO: Final = Decimal(0)


class RowClasses:
    """Divides the rows of an invoice. Its rows must come in their order, because the parts of several credits of a
    commitment are cumulative."""

    def __init__(self, invoice: Invoice) -> None:
        assert invoice.issue_data is not None, invoice.id
        self._table = invoice.issue_data.table
        self._sums = None if invoice.sums is None else overridden(invoice.sums, invoice.overrides)
        self._digits = invoice.digits
        self._commitment = ""  # the id of its row
        self._credited = _ZERO  # of the commitment
        # Editions keep the ids of their rows.
        first = edition_id(invoice, 1)
        groups = () if self._sums is None else self._sums.groups
        self._caps = {
            row_id(first, "cap", *GroupKey(group.agent, group.grade).parts, ""): cap_parts(
                group, self._table, self._digits
            )
            for group in groups
            if group.cap
        }

    def of(self, row: Row, tax: str | None) -> Parts:
        """Return the parts of a row, of which each is under one category and rate; None: without tax. `tax`: its key.
        Raises KeyError for a cap that the sums of the invoice do not have."""
        amount = Decimal(row.amount or 0)
        if row.kind == "cap":
            return self._caps[row.id]
        if row.kind in ("commitment", "commitment_cap") and self._sums is not None:
            self._commitment = row.id
            return commitment_parts(self._sums, amount, self._table, self._digits)
        if row.kind == "credit" and row.corrects == self._commitment and self._sums is not None:
            before, self._credited = self._credited, plus(self._credited, amount.copy_negate())
            then = commitment_parts(self._sums, before, self._table, self._digits)
            now = commitment_parts(self._sums, self._credited, self._table, self._digits)
            return {class_: difference(then.get(class_, _ZERO), part) for class_, part in now.items()}
        return {self._table.class_of(tax or ""): amount}
