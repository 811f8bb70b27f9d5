"""The input of exports: invoices and credit notes with their rows and names."""

from collections.abc import AsyncIterator, Callable
from typing import Final, TypeAlias

from msgspec import Struct

from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.operations import CreditNote
from witnd.domain.pricing.ratecard import Price

#: Each call starts at the first row, because an invoice may have more rows than fit into memory.
Rows: TypeAlias = Callable[[], AsyncIterator[Row]]

#: What rows without an agent are for.
WITHOUT_AGENT: Final = "Fees and commitment"

# Little memory, and few writes.
_CHUNK: Final = 32_768


class Bill(Struct, frozen=True, kw_only=True):
    """An invoice with its rows and names.

    If `price_of` returns None, only amounts are shown. `terms_of` returns the price of an agent in effect at the end of
    the period.
    """

    invoice: Invoice
    rows: Rows
    customer_name: str
    customer_email: str | None = None
    agent_name: Callable[[str], str] = str  # by its key
    price_of: Callable[[str], Price | None] = lambda _: None
    terms_of: Callable[[str], Price | None] = lambda _: None

    def agent_of(self, row: Row) -> str:
        """Return the name of a row's agent; of one without, what the row is for."""
        return WITHOUT_AGENT if row.agent_key is None else self.agent_name(row.agent_key)

    @property
    def title(self) -> str:
        """The invoice number, or a description of a draft."""
        return self.invoice.number or self.invoice.id[:12]


class Note(Struct, frozen=True, kw_only=True):
    """A credit note with its names."""

    note: CreditNote
    customer_name: str
    customer_email: str | None = None
    agent_name: Callable[[str], str] = str  # by its key

    def agent_of(self, row: Row) -> str:
        """Return the name of a row's agent; of one without, what the row is for."""
        return WITHOUT_AGENT if row.agent_key is None else self.agent_name(row.agent_key)

    @property
    def title(self) -> str:
        return self.note.number or self.note.id[:12]


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
