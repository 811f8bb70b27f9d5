"""The input of exports: invoices and credit notes with their rows and names."""

from collections.abc import AsyncIterator, Callable, Mapping
from decimal import Decimal
from typing import Final, TypeAlias

from msgspec import Struct

from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.invoices.operations import CreditNote
from witnd.domain.invoices.tax import TaxRow, tax_sum
from witnd.domain.pricing.ratecard import Price
from witnd.domain.values.money import plus

#: Each call starts at the first row, because an invoice may have more rows than fit into memory.
Rows: TypeAlias = Callable[[], AsyncIterator[Row]]

#: What rows without an agent are for.
WITHOUT_AGENT: Final = "Fees and commitment"

# Little memory, and few writes.
_CHUNK: Final = 32_768


class Bill(Struct, frozen=True, kw_only=True):
    """An invoice with its rows and names.

    If `price_of` returns None, only amounts are shown. `terms_of` returns the price of an agent and grade in effect
    at the end of the period. `data`: its parties and taxes. `logo`: that of the seller, the base64 text of a PNG.
    """

    invoice: Invoice
    rows: Rows
    customer_name: str
    customer_email: str | None = None
    agent_name: Callable[[str], str] = str  # by its key
    price_of: Callable[[str], Price | None] = lambda _: None
    terms_of: Callable[[str, str | None], Price | None] = lambda _agent, _grade: None
    tax_of: Callable[[Row], str | None] = lambda row: row.tax  # the key of a row's tax
    data: IssueData | None = None
    logo: str | None = None

    def agent_of(self, row: Row) -> str:
        """Return the name of a row's agent; of one without, what the row is for."""
        return _agent_of(row, self.agent_name, manual_descriptions(self.invoice))

    @property
    def tax_rows(self) -> tuple[TaxRow, ...]:
        """The tax of each category and rate; none while the period is open."""
        return () if self.data is None else self.data.tax_rows

    @property
    def total(self) -> Decimal:
        """The total with tax; of a draft, the current sum."""
        invoice = self.invoice
        return plus(invoice.net, tax_sum(self.tax_rows)) if invoice.total is None else invoice.total

    @property
    def title(self) -> str:
        """The invoice number, or a description of a draft."""
        return self.invoice.number or self.invoice.id[:12]


class Note(Struct, frozen=True, kw_only=True):
    """A credit note with its names. `data` and `logo`: the parties of its invoice. `descriptions`: those of its manual
    lines, by their ids."""

    note: CreditNote
    customer_name: str
    customer_email: str | None = None
    agent_name: Callable[[str], str] = str  # by its key
    data: IssueData | None = None
    logo: str | None = None
    descriptions: Mapping[str, str] = {}

    def agent_of(self, row: Row) -> str:
        """Return the name of a row's agent; of one without, what the row is for."""
        return _agent_of(row, self.agent_name, self.descriptions)

    @property
    def title(self) -> str:
        return self.note.number or self.note.id[:12]


def manual_descriptions(invoice: Invoice) -> dict[str, str]:
    """Return the descriptions of the manual lines of an invoice by their ids."""
    return {line.id: line.description for line in invoice.manual}


def _agent_of(row: Row, agent_name: Callable[[str], str], descriptions: Mapping[str, str]) -> str:
    if row.agent_key is not None:
        return agent_name(row.agent_key)
    return row.description or descriptions.get(row.corrects or "") or WITHOUT_AGENT


async def in_chunks(parts: AsyncIterator[str]) -> AsyncIterator[str]:
    """Yield the same text in fewer, larger chunks."""
    waiting: list[str] = []
    size = 0
    async for part in parts:
        waiting.append(part)
        size += len(part)
        if size >= _CHUNK:
            yield "".join(waiting)
            waiting.clear()
            size = 0
    if waiting:
        yield "".join(waiting)
