"""The event that reversed an outcome, and where the charge is corrected."""

from typing import Literal

from msgspec import Struct

from witnd.domain.outcomes.event import Value
from witnd.domain.outcomes.outcome import Outcome
from witnd.domain.outcomes.resolution import Line
from witnd.domain.outcomes.reversal_text import bill_sentence, reversal_sentence
from witnd.domain.values import instant, money
from witnd.store.invoices.reads import Invoices
from witnd.store.keys import Keys
from witnd.store.query.outcomes import read_reversal
from witnd.store.query.reads import Reads, text_of


class Credit(Struct, frozen=True, kw_only=True):
    """What a reversal corrects: the newest edition of the invoice (`number`: null without one), and the id of the
    outcome's row there. `row` is null if the invoice is too long to search."""

    invoice: str
    number: str | None
    row: str | None


class ReversingEvent(Struct, frozen=True, kw_only=True):
    """The event that reversed the outcome, which is not among those of `story`. `words`: what it did, `bill`: what
    becomes of the charge; both are sentences. `credit`: where the credit is, null until it is there."""

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
    """Return the event that reversed the outcome, if one did. `period_end`: of the period of its line."""
    item = await read_reversal(reads, keys, outcome.key) if outcome.reversed_by is not None else None
    if item is None:
        return None
    entry, accepted_at = text_of(item.entry), item.entry[0]
    return ReversingEvent(
        entry=entry,
        accepted_at=instant.render(accepted_at),
        action=item.action,
        timestamp=None if item.timestamp is None else instant.render(item.timestamp),
        value=item.value,
        attribution=None if item.attribution is None else money.plain(item.attribution),
        words=reversal_sentence(outcome, item.action, entry),
        bill=bill_sentence(line, period_end, accepted_at),
        credit=await credit_of(invoices, line),
    )


async def credit_of(invoices: Invoices, line: Line) -> Credit | None:
    """Return what the reversal of a line corrects; None if the line is not on an invoice yet."""
    found = await invoices.of_outcome(line.customer_key, line.currency, line.billed_at)
    if found is None:
        return None
    row = await invoices.rows.of_outcome(found, line.outcome_key, line.billed_at)
    return Credit(invoice=found.id, number=found.number, row=None if row is None else row.id)
