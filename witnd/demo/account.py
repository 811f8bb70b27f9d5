"""The lines that the demo prints while it runs.

A line has the time, the outcome, what happened and why. The reasons are those that `witnd explain` and the dashboard
show.
"""

from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from witnd.app.outcomes.view import Explained
from witnd.demo.receiver import Receipt
from witnd.demo.screen import Piece
from witnd.domain.outcomes.explain import STATUS_TEXT, ExplainedEvent, event_values_text
from witnd.domain.outcomes.resolution import amount_text
from witnd.domain.values import instant
from witnd.store.query.fates import Fate
from witnd.web.dashboard.present import reasons

_KEY_WIDTH: Final = 22
_WORD_WIDTH: Final = 9
_STYLES: Final = {
    "pending": "green",
    "confirmed": "bold green",
    "missed": "red",
    "webhook": "cyan",
    "forged": "bold red",
    "held": "magenta",
    "placed": "magenta",
    "reversed": "yellow",
    "late": "yellow",
    "duplicate": "yellow",
    "conflict": "yellow",
    "rejected": "yellow",
}


class Line(Struct, frozen=True, kw_only=True):
    """A printed line."""

    at_ms: int
    key: str
    word: str
    text: str

    def pieces(self) -> tuple[Piece, ...]:
        return (
            (f"{_clock(self.at_ms)}  {self.key:{_KEY_WIDTH}}  ", ""),
            (f"{self.word:{_WORD_WIDTH}}", _STYLES.get(self.word, "")),
            (f"  {self.text}", ""),
        )


def _clock(at_ms: int) -> str:
    """Return the time of day in UTC, with tenths of a second."""
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{at:%H:%M:%S}.{at_ms % 1000 // 100}"


def event_line(key: str, event: ExplainedEvent) -> Line:
    """Return the line of an applied event."""
    values = event_values_text(event)
    return Line(
        at_ms=instant.parse(event.placed_at or event.accepted_at),
        key=key,
        word="placed" if event.placed_at else STATUS_TEXT[event.status],
        text=f"{event.action}{f' ({values})' if values else ''}: {event.words}",
    )


def fate_line(fate: Fate) -> Line:
    """Return the line of an event that was not applied."""
    why = reasons.why(fate)
    if fate.fate == "held":
        why = reasons.held(fate.reason or "", customer=fate.customer_key, agent=fate.agent_key, action=fate.action)
    text = f"{fate.action}: {why.text}" if fate.action else why.text
    return Line(at_ms=instant.parse(fate.accepted_at), key=fate.key or "(no key)", word=fate.fate, text=text)


def resolution_line(found: Explained) -> Line:
    """Return the line of a final outcome."""
    assert found.outcome is not None
    assert found.story is not None
    word, customer = STATUS_TEXT[found.outcome.status], found.outcome.customer_key
    if found.line is not None:
        text = f"{amount_text(found.line)} for {customer}"
    else:
        failed = [f"✗ {leaf.words}" for leaf in found.story.events[-1].leaves if not leaf.holds]
        text = f"nothing is billed to {customer}: {', '.join(failed)}"
    return Line(at_ms=instant.parse(found.outcome.settles_at), key=found.key, word=word, text=text)


def webhook_line(receipt: Receipt) -> Line:
    """Return the line of a received webhook."""
    attempt = f" (attempt {receipt.attempt})" if receipt.attempt > 1 else ""
    if receipt.wrong is not None:
        word, text = "forged", f"{receipt.rule}: {receipt.wrong}; refused"
    elif receipt.again:
        word, text = "webhook", f"{receipt.rule} got it again{attempt}; known by its webhook-id"
    elif receipt.status != 200:
        word, text = "webhook", f"{receipt.rule} answers {receipt.status} on purpose; it is sent again"
    else:
        word, text = "webhook", f"{receipt.rule} verified the signature{attempt}"
    return Line(at_ms=receipt.at_ms, key=receipt.outcome_key, word=word, text=text)
