"""Sentences about the reversal of an outcome, and what it does to the charge."""

from typing import Final

from witnd.domain.outcomes.outcome import Outcome
from witnd.domain.outcomes.resolution import Line
from witnd.domain.values import instant


def reversal_sentence(outcome: Outcome, action: str, entry: str) -> str:
    """Return which event reversed the outcome, and when."""
    assert outcome.reversed_by is not None, outcome
    assert outcome.reversed_at is not None, outcome
    accepted = outcome.reversed_by[0]
    at, window = instant.render(accepted), instant.render(outcome.settles_at + outcome.contract.reversal_ms)
    said = f"Reversed at {at} by `{action}` (event {entry}), before the window ended at {window}; it stays confirmed."
    if outcome.reversed_at == accepted:
        return said
    repaired = instant.render(outcome.reversed_at)
    return f"{said} The outcome was on hold, so the reversal counts from the repair at {repaired}."


NOTHING_LEFT: Final = "Nothing of its line remained to credit."


def credited_sentence(amount: str, number: str | None, *, is_note: bool) -> str:
    """Return where a credit is. `number`: of the credit note, or of the invoice, None for a draft."""
    if is_note:
        return f"Credit note {number} gives back {amount}."
    where = "the draft of its invoice" if number is None else f"invoice {number}"
    return f"A credit of {amount} on {where} offsets its line."


def bill_sentence(line: Line, period_end: int | None, reversed_at: int) -> str:
    """Return what becomes of the charge. `period_end`: of the line's period (ms), None if no period is known yet.

    Source of the rule: contract section 11.3, by log time only.
    """
    if period_end is not None and reversed_at >= period_end:
        return (
            "It came after the period of its line ended, so what remains of the line is credited: on the same invoice "
            "if that was not issued yet, otherwise with a credit note when the period of the reversal closes."
        )
    if line.amount is None:
        return "It came before the period of its line ended, so the line counts a quantity of 0 and costs nothing."
    return (
        f"It came before the period of its line ended, so a credit of {line.amount} {line.currency} offsets the line "
        "on the same invoice."
    )
