"""What every export is made from: an invoice, where its rows come from, and the names of who is in it; credit notes."""

from collections.abc import AsyncIterator, Callable
from typing import Final, TypeAlias

from msgspec import Struct

from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.operations import CreditNote
from witnd.domain.pricing.ratecard import Price

#: Begins with the first row again at each call, because an invoice may have more rows than fit into memory.
Rows: TypeAlias = Callable[[], AsyncIterator[Row]]

# Small enough to be nothing, large enough that writing it is not the work.
_CHUNK: Final = 32_768


class Bill(Struct, frozen=True, kw_only=True):
    """An invoice and all that it takes to show it.

    Of a price that `price_of` does not know only amounts are shown.
    """

    invoice: Invoice
    rows: Rows
    customer_name: str
    customer_email: str | None = None
    agent_name: Callable[[str], str] = str  # by its key
    price_of: Callable[[str], Price | None] = lambda _: None

    @property
    def title(self) -> str:
        """What people call the invoice."""
        return self.invoice.number or self.invoice.id[:12]


class Note(Struct, frozen=True, kw_only=True):
    """A credit note, and the names of who is in it."""

    note: CreditNote
    customer_name: str
    customer_email: str | None = None
    agent_name: Callable[[str], str] = str  # by its key

    @property
    def title(self) -> str:
        return self.note.number or self.note.id[:12]


async def in_chunks(parts: AsyncIterator[str]) -> AsyncIterator[str]:
    """The same text in fewer, larger pieces."""
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
