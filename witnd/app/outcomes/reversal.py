"""The event that reversed an outcome, and where the charge is corrected."""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from witnd.domain.invoices.invoice import Invoice
from witnd.domain.invoices.operations import reversal_note_id
from witnd.domain.outcomes.event import Value
from witnd.domain.outcomes.outcome import Outcome
from witnd.domain.outcomes.resolution import Line
from witnd.domain.outcomes.reversal_text import NOTHING_LEFT, bill_sentence, credited_sentence, reversal_sentence
from witnd.domain.values import instant, money
from witnd.store.invoices.reads import Invoices
from witnd.store.keys import Keys
from witnd.store.query.outcomes import read_reversal
from witnd.store.query.reads import Reads, text_of


class Credit(Struct, frozen=True, kw_only=True):
    """What a reversal corrects: the newest edition of the invoice (`number`: null without one), and the id of the
    outcome's row there, null if the invoice is too long to search.

    `amount` is what was credited for the reversal, a decimal string: by the row `credit_row` of the invoice, or by the
    credit note `note` with the number `note_number`. All of them are null if nothing was credited; `is_pending` says
    whether a credit follows."""

    invoice: str
    number: str | None
    row: str | None
    amount: str | None = None
    credit_row: str | None = None
    note: str | None = None
    note_number: str | None = None
    is_pending: bool = False


class ReversingEvent(Struct, frozen=True, kw_only=True):
    """The event that reversed the outcome, which is not among those of `story`. `words`: a sentence about the event;
    `bill`: a sentence about the correction of the charge. `credit`: where the credit is, null until it exists."""

    entry: str
    accepted_at: str
    action: str
    timestamp: str | None
    value: Value | None
    attribution: str | None
    fate: Literal["reversed"] = "reversed"
    words: str
    bill: str
    credit: Credit | None


async def reversing_event(
    reads: Reads, keys: Keys, outcome: Outcome, line: Line, invoices: Invoices, period_end: int | None
) -> ReversingEvent | None:
    """Return the event that reversed the outcome, or None. `period_end`: the end of the period of its line."""
    item = await read_reversal(reads, keys, outcome.key) if outcome.reversed_by is not None else None
    if item is None:
        return None
    entry, reversed_at = text_of(item.entry), item.begins_at
    credit = await credit_of(invoices, line, reversed_at)
    return ReversingEvent(
        entry=entry,
        accepted_at=instant.render(item.entry[0]),
        action=item.action,
        timestamp=None if item.timestamp is None else instant.render(item.timestamp),
        value=item.value,
        attribution=None if item.attribution is None else money.plain(item.attribution),
        words=reversal_sentence(outcome, item.action, entry),
        bill=_bill_sentence(line, period_end, reversed_at, credit),
        credit=credit,
    )


def _bill_sentence(line: Line, period_end: int | None, reversed_at: int, credit: Credit | None) -> str:
    if credit is not None and credit.amount is not None:
        where = credit.note_number or credit.number
        return credited_sentence(f"{credit.amount} {line.currency}", where, is_note=credit.note is not None)
    is_costless = line.amount is None and period_end is not None and reversed_at < period_end
    if credit is None or credit.is_pending or is_costless:
        return bill_sentence(line, period_end, reversed_at)
    return NOTHING_LEFT


async def credit_of(invoices: Invoices, line: Line, reversed_at: int) -> Credit | None:
    """Return what the reversal of a line at an instant (ms) corrects, and its credit; None if the line is not on an
    invoice yet."""
    found = await invoices.of_outcome(line.customer_key, line.currency, line.billed_at)
    if found is None:
        return None
    row = await invoices.rows.of_outcome(found, line.outcome_key, line.billed_at)
    credit = Credit(invoice=found.id, number=found.number, row=None if row is None else row.id)
    stored = await invoices.reversals.of_invoice(found.id)
    pending = {key for key, _ in await invoices.reversals.pending_keys(found.id)}
    if line.outcome_key in pending or line.outcome_key not in stored:
        return replace(credit, is_pending=True)  # or the invoices do not have it yet
    async for given in invoices.rows.credits(found):
        if given.corrects == line.id and given.reversed_at == reversed_at:
            return replace(credit, amount=_size(given.amount), credit_row=given.id)
    return await _noted(invoices, found, line, reversed_at, credit)


async def _noted(invoices: Invoices, found: Invoice, line: Line, reversed_at: int, credit: Credit) -> Credit:
    """Return a credit with its credit note, if it has one."""
    starts = [start for start in found.reversal_notes.values() if start <= reversed_at]
    note = await invoices.note(reversal_note_id(found.id, max(starts))) if starts else None
    for given in () if note is None else note.rows:
        if note is not None and given.corrects == line.id and given.reversed_at == reversed_at:
            return replace(credit, amount=_size(given.amount), note=note.id, note_number=note.number)
    return credit


def _size(amount: str | None) -> str:
    """Return the amount of a credit row without its sign."""
    return (amount or "0").removeprefix("-")
