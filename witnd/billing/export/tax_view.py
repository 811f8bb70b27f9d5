"""The tax of a printed document: a table with one row for each category and rate."""

from collections.abc import Sequence

from msgspec import Struct

from witnd.billing.export.bill import Bill
from witnd.billing.export.words import Words, show_control_characters
from witnd.domain.invoices.invoice import Row
from witnd.domain.invoices.tax import TaxRow


class TaxView(Struct, frozen=True, kw_only=True):
    """The tax of a category of EN 16931 with a rate, and the lines of its note."""

    name: str
    notes: list[str]
    category: str
    rate: str
    taxable: str
    tax: str


def tax_views(rows: Sequence[TaxRow], digits: int, words: Words) -> list[TaxView]:
    return [
        TaxView(
            name=show_control_characters(row.name),
            notes=[show_control_characters(line) for line in (row.note or "").split("\n") if line],
            category=row.category,
            rate=f"{words.quantity(row.rate)} %",
            taxable=words.money(row.taxable, digits),
            tax=words.money(row.tax, digits),
        )
        for row in rows
    ]


def tax_lines(bill: Bill, row: Row) -> list[str]:
    """Return the line that names the tax of a row."""
    return key_lines(bill, bill.tax_of(row))


def key_lines(bill: Bill, key: str | None) -> list[str]:
    """Return the line that names the tax with a key. It is not needed if the whole invoice has one tax."""
    if key is None or bill.data is None or len(bill.tax_rows) <= 1:
        return []
    terms = bill.data.table.of(key)
    return [] if terms is None else [bill.words("tax_of_line", name=show_control_characters(terms.name))]
