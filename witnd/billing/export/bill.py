"""The input of exports: invoices and credit notes with their rows and names."""

from collections.abc import AsyncIterator, Callable, Mapping
from decimal import Decimal
from typing import Final, TypeAlias

from msgspec import Struct

from witnd.billing.export.local_times import UTC_TIMES, LocalTimes
from witnd.billing.export.words import Words, show_control_characters, words, words_of
from witnd.domain.invoices.invoice import Invoice, Row
from witnd.domain.invoices.issue_data import IssueData
from witnd.domain.invoices.operations import CreditNote
from witnd.domain.invoices.tax import TaxRow, tax_sum
from witnd.domain.pricing.ratecard import Price
from witnd.domain.values.money import plus
from witnd.domain.values.period import Period

#: Each call starts at the first row, because an invoice may have more rows than fit into memory.
Rows: TypeAlias = Callable[[], AsyncIterator[Row]]

# Little memory, and few writes.
_CHUNK: Final = 32_768


class Bill(Struct, frozen=True, kw_only=True):
    """An invoice with its rows and names.

    If `price_of` returns None, only amounts are shown. `terms_of` returns the price of an agent and grade in effect
    at the end of the period. `data`: its parties and taxes. `logo`: that of the seller, the base64 text of a PNG.
    `locale`: another language than that of the buyer or seller.
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
    times: LocalTimes = UTC_TIMES  # in the time zone of its period
    locale: str | None = None

    def agent_of(self, row: Row) -> str:
        """Return the name of a row's agent; of one without, what the row is for."""
        return _agent_of(row, self.agent_name, manual_descriptions(self.invoice), self.words)

    @property
    def words(self) -> Words:
        """The words in its language."""
        return words_of(self.data) if self.locale is None else words(self.locale)

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
    """A credit note with its names. `data`, `logo`, `period` and `invoice_date`: those of its invoice. `descriptions`:
    those of its manual lines, by their ids."""

    note: CreditNote
    customer_name: str
    customer_email: str | None = None
    agent_name: Callable[[str], str] = str  # by its key
    data: IssueData | None = None
    logo: str | None = None
    descriptions: Mapping[str, str] = {}
    times: LocalTimes = UTC_TIMES
    period: Period | None = None  # of its invoice
    invoice_date: str | None = None

    def agent_of(self, row: Row) -> str:
        """Return the name of a row's agent; of one without, what the row is for."""
        return _agent_of(row, self.agent_name, self.descriptions, self.words)

    @property
    def words(self) -> Words:
        """The words in its language."""
        return words_of(self.data)

    @property
    def use(self) -> str:
        """What the credit pays, or that it cancels its invoice."""
        return credit_use(self.note, self.words)

    @property
    def title(self) -> str:
        return self.note.number or self.note.id[:12]


def credit_use(note: CreditNote, words: Words) -> str:
    """Return what a credit pays. A note without rows cancels its invoice."""
    number, currency = note.invoice_number, note.currency
    if not note.rows:
        return words("cancels", number=number, reason=show_control_characters(note.reason))
    if not note.to_balance:
        return words("note_reduces", number=number)
    if not note.applied:
        return words("note_to_balance", number=number, currency=currency)
    applied = f"{words.money(note.applied, note.digits)} {currency}"
    rest = f"{words.money(note.to_balance, note.digits)} {currency}"
    return words("note_split", applied=applied, number=number, rest=rest, currency=currency)


def manual_descriptions(invoice: Invoice) -> dict[str, str]:
    """Return the descriptions of the manual lines of an invoice by their ids."""
    return {line.id: line.description for line in invoice.manual}


def _agent_of(row: Row, agent_name: Callable[[str], str], descriptions: Mapping[str, str], texts: Words) -> str:
    if row.agent_key is not None:
        return agent_name(row.agent_key)
    return row.description or descriptions.get(row.corrects or "") or texts("without_agent")


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
