"""The lines that the demo prints.

One line per event: instant, outcome, what happened and why. Events without a relevant change have no line (None).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from msgspec import Struct

from witnd.demo.receiver import Receipt
from witnd.demo.screen import Piece
from witnd.domain.catalogue import condition
from witnd.domain.catalogue.catalogue import CatalogueEntry
from witnd.domain.catalogue.contract import Contract
from witnd.domain.catalogue.evaluate import Leaf, compile_condition
from witnd.domain.outcomes.event import Event, Value
from witnd.domain.outcomes.explain import ExplainedEvent
from witnd.domain.outcomes.outcome import Outcome
from witnd.domain.outcomes.resolution import Resolution
from witnd.domain.values import instant, money
from witnd.store.records.codec import FateRecord

KEY_WIDTH: Final = 22
_WORD_WIDTH: Final = 9
_STYLES: Final = {
    "billable": "green",
    "reversed": "yellow",
    "settled": "bold green",
    "missed": "red",
    "webhook": "cyan",
    "forged": "bold red",
    "held": "magenta",
    "placed": "magenta",
    "late": "yellow",
    "duplicate": "yellow",
    "conflict": "yellow",
    "rejected": "yellow",
}
_HELD: Final = {
    "UNKNOWN_CUSTOMER": "the catalogue has no customer {customer}",
    "UNKNOWN_AGENT": "the catalogue has no agent {agent}",
    "AGENT_AMBIGUOUS": "it names no agent, and several could be meant",
    "NO_RATE_CARD": "customer {customer} has no rate card",
    "NO_PRICE": "the rate card of {customer} has no price for it",
}


class Line(Struct, frozen=True, kw_only=True):
    """A printed line."""

    at_ms: int
    key: str
    word: str
    text: str

    def pieces(self) -> tuple[Piece, ...]:
        return (
            (f"{clock(self.at_ms)}  {self.key:{KEY_WIDTH}}  ", ""),
            (f"{self.word:{_WORD_WIDTH}}", _STYLES.get(self.word, "")),
            (f"  {self.text}", ""),
        )


def clock(at_ms: int) -> str:
    """Return the time of day in UTC, with tenths of a second."""
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{at:%H:%M:%S}.{at_ms % 1000 // 100}"


# -- applied events ------------------------------------------------------------------------------


def applied_line(key: str, events: Sequence[ExplainedEvent], place: int, outcome: Outcome) -> Line | None:
    """Return the line of the event at index `place` of an outcome's explanation."""
    event = events[place]
    before = place > 0 and events[place - 1].holds
    at_ms = instant.parse(event.accepted_at)
    turned = _changed_checks(event, outcome.contract)
    due = clock(instant.parse(event.settles_at))
    if place == 0:
        then = f"; billable at once, due at {due}" if event.holds else ""
        text = f"for {outcome.customer_key} by `{event.action}`{_properties_text(event)}{then}"
        return Line(at_ms=at_ms, key=key, word="opened", text=text)
    if event.holds and not before:
        again = "again: " if any(earlier.holds for earlier in events[:place]) else ""
        text = f"{again}{turned or 'its condition holds'}; due at {due}"
        return Line(at_ms=at_ms, key=key, word="billable", text=text)
    if before and not event.holds:
        text = f"{turned or 'its condition holds no longer'}; would be missed now"
        return Line(at_ms=at_ms, key=key, word="reversed", text=text)
    if event.attribution is not None:
        text = f"`{event.action}`{_properties_text(event)}; due at {due} now"
        return Line(at_ms=at_ms, key=key, word="counted", text=text)
    return None


def placement_line(key: str, events: Sequence[ExplainedEvent], at_ms: int, outcome: Outcome) -> Line | None:
    """Return the line of held events that were placed at this instant."""
    instants = instant.render(at_ms)
    those = [event for event in events if event.placed_at == instants]
    if not those:
        return None
    many = f"{len(those)} held event{'' if len(those) == 1 else 's'}"
    text = f"{many} for {outcome.customer_key} can be counted now"
    if those[-1].holds:
        text += f"; billable, due at {clock(instant.parse(those[-1].settles_at))}"
    return Line(at_ms=at_ms, key=key, word="placed", text=text)


def _properties_text(event: ExplainedEvent) -> str:
    return "" if event.attribution is None else f" with {event.attribution}"


def _changed_checks(event: ExplainedEvent, contract: Contract) -> str:
    """Return the changed checks that caused the current state of the condition."""
    parts = [
        leaf_state_text(leaf, event.value if leaf.fact == event.action else None, holds=after.holds)
        for leaf, after in zip(contract.rule.leaves, event.leaves, strict=True)
        if after.flipped and after.holds is event.holds
    ]
    return " and ".join(parts)


def leaf_state_text(leaf: Leaf, value: Value | None, *, holds: bool) -> str:
    """Describe why a leaf is true or false. `value` is the latest of its fact."""
    if leaf.operator in condition.SEEN:
        if holds is (leaf.operator == "seen"):
            return f"`{leaf.fact}` was seen"
        return f"`{leaf.fact}` never came" if leaf.operator == "seen" else f"no `{leaf.fact}`"
    if leaf.operator not in condition.COUNTS and value is not None:
        return f"`{leaf.fact}` is {_value_text(value)}"
    words = condition.leaf_text(leaf.fact, leaf.operator, _whole(leaf.value))
    return words if holds else f"it is not true that {words}"


def _value_text(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _whole(value: Value | None) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# -- what was not applied ------------------------------------------------------------------------


def rejected_line(at_ms: int, fate: FateRecord, event: Event | None, outcome: Outcome | None) -> Line:
    """Return the line of an event that was not applied. `event` is None if it is unreadable."""
    action = "an event" if event is None else f"`{event.action}`"
    key = fate.key or (event.key if event else "") or "(no usable key)"
    text = {
        "duplicate": f"{action} came twice under one idempotency key: counted once",
        "conflict": f"{action} under a used idempotency key, with other content: the first stands",
        "late": f"{action} came {_delay_text(at_ms, outcome)}: nothing changes any more",
        "held": f"{action} waits: {_held_reason(fate.reason, event)}",
        "rejected": _rejection_reason(action, fate, event, outcome),
    }.get(fate.fate, f"{action}: {fate.reason or fate.fate}")
    return Line(at_ms=at_ms, key=key, word=fate.fate, text=text)


def _delay_text(at_ms: int, outcome: Outcome | None) -> str:
    if outcome is None:
        return "after the end"
    return f"{(at_ms - outcome.settles_at) / 1000:.1f} s after it settled"


def _held_reason(reason: str | None, event: Event | None) -> str:
    words = _HELD.get(reason or "", reason or "it cannot be placed")
    customer = event.customer_key if event else "of this key"
    return words.format(customer=customer, agent=(event and event.agent_key) or "of this key")


def _rejection_reason(action: str, fate: FateRecord, event: Event | None, outcome: Outcome | None) -> str:
    if fate.reason == "IDENTITY_MISMATCH" and event is not None and outcome is not None:
        return f"{action} names {event.customer_key}, but this is {outcome.customer_key}'s"
    message = f": {fate.message}" if fate.message else ""
    return f"{fate.reason}, never counted{message}"


# -- the end -------------------------------------------------------------------------------------


def resolution_line(resolution: Resolution, outcome: Outcome) -> Line:
    """Return the line of a confirmed or missed outcome."""
    at_ms = instant.parse(resolution.settles_at)
    if resolution.status != "CONFIRMED":
        why = " and ".join(false_parts(outcome))
        text = f"nothing is billed: {why or 'its condition did not hold'}"
        return Line(at_ms=at_ms, key=resolution.outcome_key, word="missed", text=text)
    if not isinstance(resolution.amount, str):
        text = f"billed to {resolution.customer_key} when the period closes: {resolution.unit} units"
        return Line(at_ms=at_ms, key=resolution.outcome_key, word="settled", text=text)
    text = f"billed {resolution.amount} {resolution.currency} to {resolution.customer_key}"
    unit, each = Decimal(str(resolution.unit)), Decimal(str(resolution.price_per_unit))
    # A percentage limited by its bounds is not unit × price.
    if each != Decimal(resolution.amount) and money.plain(money.product(unit, each)) == resolution.amount_exact:
        text += f" ({resolution.unit} × {resolution.price_per_unit})"
    return Line(at_ms=at_ms, key=resolution.outcome_key, word="settled", text=text)


def false_parts(outcome: Outcome) -> list[str]:
    """Return the false parts of the condition as text."""
    rule, missing = outcome.contract.rule, []
    truth = rule.truth(outcome.counts, outcome.values)
    for number, node in enumerate(outcome.contract.condition):
        part = compile_condition([node])
        counts = [outcome.counts[rule.index[fact]] for fact in part.facts]
        values = [outcome.values[rule.index[fact]] for fact in part.facts]
        if part.holds(counts, values):
            continue
        start = f"condition[{number}]"
        missing += [
            leaf_state_text(leaf, outcome.values[rule.index[leaf.fact]], holds=False)
            for leaf, holds in zip(rule.leaves, truth, strict=True)
            if not holds and (leaf.path == start or leaf.path.startswith(f"{start}."))
        ]
    return missing


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


def catalogue_line(entry: CatalogueEntry) -> Line:
    """Return the line of a new catalogue version."""
    kind = entry.kind.replace("_", " ")
    card = entry.content.get("rate_card")
    text = f"{kind} {entry.key} is in effect{f', with rate card {card}' if card else ''}"
    return Line(at_ms=entry.effective_from, key="", word="catalogue", text=text)
