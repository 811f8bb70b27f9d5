"""Explain an outcome from its frozen terms and its history.

For every event the explanation shows each leaf of the condition, the leaves that changed, and the new deadline. It does
not include deliveries.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from witnd.domain.catalogue import condition
from witnd.domain.catalogue.contract import Contract
from witnd.domain.catalogue.evaluate import Leaf
from witnd.domain.outcomes.attribution import unit
from witnd.domain.outcomes.deadline_text import deadline_text
from witnd.domain.outcomes.event import Value
from witnd.domain.outcomes.grade_text import grade_sentence
from witnd.domain.outcomes.outcome import Outcome, Status
from witnd.domain.outcomes.recount import AppliedEvent, Recount, entry_text
from witnd.domain.values import instant, money
from witnd.domain.values.fields import short_repr

#: The words that people read for a status.
STATUS_TEXT: Final[dict[str, str]] = {
    "OPEN": "open",
    "PENDING": "pending",
    "CONFIRMED": "confirmed",
    "FAILED": "missed",
}


class LeafState(Struct, frozen=True, kw_only=True):
    """A leaf of the condition after an event."""

    path: str
    words: str
    holds: bool
    flipped: bool


class ExplainedEvent(Struct, frozen=True, kw_only=True):
    """An applied event and the state of the outcome after it. `settles_at` is the deadline after this event."""

    entry: str
    accepted_at: str
    action: str
    timestamp: str | None
    value: Value | None
    attribution: str | None
    pin: str | None
    placed_at: str | None
    leaves: tuple[LeafState, ...]
    holds: bool
    status: Status
    settles_at: str
    words: str


class BilledUnit(NamedTuple):
    """The billing unit, and where it comes from."""

    quantity: str
    source: str

    def __str__(self) -> str:
        return f"{self.quantity}: {self.source}"


class Reasoning(Struct, frozen=True, kw_only=True):
    """The explanation of an outcome. `why` is one sentence, and so is `grade`, which is null without a grade."""

    condition: str
    events: tuple[ExplainedEvent, ...]
    why: str
    unit: str
    grade: str | None = None


class Names:
    """How sentences name events and the deadline."""

    def event(self, entry: str) -> str:
        return f"event {entry}"

    def due(self, settles_at: int, last: str) -> str:  # noqa: ARG002 - `last`, the last event, is for other names
        return f"at {instant.render(settles_at)}"


class Explainer:
    """Builds an explanation: `add` each event of the history in order, then call `explanation`.

    All events count. Those with `is_shown=False` are not in the explanation.
    """

    def __init__(self, outcome: Outcome, names: Names | None = None) -> None:
        self._outcome = outcome
        self._names = names or Names()
        self._counted = Recount(outcome.contract)
        self._truth = outcome.contract.rule.truth(self._counted.counts, self._counted.values)
        self._events: list[ExplainedEvent] = []
        self._attributions = 0
        self._last: ExplainedEvent | None = None
        self._last_change: ExplainedEvent | None = None  # the last event that changed the condition

    def add(self, item: AppliedEvent, *, is_shown: bool = True, is_last: bool = False) -> None:
        """Add the next event of the history. `is_last` must be true for the last one."""
        counted, contract = self._counted, self._counted.contract
        was_true, held, before = counted.was_true, counted.holds, self._truth
        counted.add(item)
        self._attributions += item.attribution is not None
        self._truth = after = contract.rule.truth(counted.counts, counted.values)
        has_changed = counted.events == 1 or counted.holds is not held
        if not (is_shown or is_last or has_changed):
            return
        words = _event_text(counted, item, held, was_true, _flips(contract, before, after))
        self._last = happened = _explained_event(counted, item, after, before, words)
        if has_changed:
            self._last_change = happened
        if is_shown:
            self._events.append(happened)

    def explanation(self) -> Reasoning:
        outcome = self._outcome
        return Reasoning(
            condition=condition.condition_text(outcome.contract.condition),
            events=tuple(self._events),
            why=_why(outcome, self._last, self._last_change, self._names, ever=self._counted.was_true),
            unit=str(self.unit),
            grade=grade_sentence(outcome, self._counted, self._truth),
        )

    @property
    def unit(self) -> BilledUnit:
        tally, many = self._outcome.tally, self._attributions
        source = "no event carried an attribution"
        if tally is not None:
            events = f"{many} event{'s' if many != 1 else ''}"
            cut = ", raised to 0" if tally[1] < 0 else ""
            source = f"the {self._outcome.contract.attribution_method} attribution of {events}{cut}"
        return BilledUnit(money.plain(unit(tally)), source)


def explanation(outcome: Outcome, history: Iterable[AppliedEvent], names: Names | None = None) -> Reasoning:
    """Explain an outcome, final or not."""
    explainer = Explainer(outcome, names)
    for item in history:
        explainer.add(item)
    return explainer.explanation()


def _explained_event(
    counted: Recount, item: AppliedEvent, after: Sequence[bool], before: Sequence[bool], words: str
) -> ExplainedEvent:
    leaves = counted.contract.rule.leaves
    return ExplainedEvent(
        entry=entry_text(item.entry),
        accepted_at=instant.render(item.entry[0]),
        action=item.action,
        timestamp=_render(item.timestamp),
        value=item.value,
        attribution=None if item.attribution is None else money.plain(item.attribution),
        pin=_render(item.pin),
        placed_at=_render(item.placed_at),
        leaves=tuple(
            LeafState(path=leaf.path, words=_leaf_text(leaf), holds=now, flipped=now is not then)
            for leaf, now, then in zip(leaves, after, before, strict=True)
        ),
        holds=counted.holds,
        status=counted.status(settled=False),
        settles_at=instant.render(counted.settles_at),
        words=words,
    )


def _flips(contract: Contract, before: Sequence[bool], after: Sequence[bool]) -> str:
    """Return the leaves that an event changed as text, empty if none. Grades can share a check, which is named once."""
    parts = [
        f"{'now' if now else 'no longer'} true: {_leaf_text(leaf)}"
        for leaf, then, now in zip(contract.rule.leaves, before, after, strict=True)
        if now is not then
    ]
    return "; ".join(dict.fromkeys(parts))


def _event_text(counted: Recount, item: AppliedEvent, held: bool, was_true: bool, flips: str) -> str:  # noqa: FBT001
    """Describe the effect of an event in up to three sentences."""
    said = []
    if item.placed_at is not None:
        said.append(f"Was held, and placed at {instant.render(item.placed_at)}.")
    if counted.events == 1:
        said.append("Opened the outcome.")
    if flips:
        said.append(f"{_capitalise(flips)}.")
    if counted.holds and not was_true:
        said.append("The condition holds: pending, it would be confirmed.")
    elif counted.holds and not held:
        said.append("The condition holds again: it would be confirmed.")
    elif held and not counted.holds:
        said.append("The condition no longer holds: it would be missed.")
    elif not flips:
        said.append("Nothing in the condition changed.")
    begins = item.entry[0] if item.placed_at is None else item.placed_at
    if item.pin is None:
        said.append(deadline_text(counted, item))
    elif item.pin > begins:
        said.append("Due at the instant the event pinned.")
    else:
        said.append("Pinned to an instant that had passed: due at once.")
    return " ".join(said)


def _why(
    outcome: Outcome, last: ExplainedEvent | None, change: ExplainedEvent | None, names: Names, *, ever: bool
) -> str:
    """Return the status and its cause. `ever`: whether the condition was true at any time."""
    if last is None or change is None:
        return f"{_capitalise(STATUS_TEXT[outcome.status])}; its history is not kept any more."
    changed, due = names.event(change.entry), names.due(outcome.settles_at, last.entry)
    quiet = f"after {names.event(last.entry)} nothing came until it was due {due}"
    if outcome.status == "CONFIRMED":
        since = f"the condition held since {changed}{_change_cause(change)}"
        return f"Confirmed, because {since} and {quiet}."
    if outcome.status == "OPEN":
        return (
            f"Open, because the condition does not hold yet ({_false_leaves(last)}). "
            f"Without another event it is missed {due}."
        )
    if outcome.status == "PENDING":
        if outcome.holds:
            return (
                f"Pending, because the condition holds since {changed}{_change_cause(change)}. "
                f"Without another event it is confirmed {due}."
            )
        return (
            f"Pending, because the condition has held, and holds no longer since {changed}{_change_cause(change)}. "
            f"Without another event it is missed {due}."
        )
    if ever:
        end = f"{changed} ended the condition{_change_cause(change)}"
        return f"Missed, because {end}, it did not hold again, and {quiet}."
    return f"Missed, because the condition never held ({_false_leaves(last)}), and {quiet}."


def _change_cause(change: ExplainedEvent) -> str:
    """Return the leaves that changed the condition, in parentheses."""
    flipped = [leaf for leaf in change.leaves if leaf.flipped]
    if not flipped:
        return f" (`{change.action}`)"
    parts = [f"{'now' if leaf.holds else 'no longer'} true: {leaf.words}" for leaf in flipped]
    return f" (`{change.action}`; {'; '.join(dict.fromkeys(parts))})"


def _false_leaves(last: ExplainedEvent) -> str:
    """Return the false leaves of a condition that is false."""
    parts = [leaf.words for leaf in last.leaves if not leaf.holds]
    return f"not true: {'; '.join(parts)}" if parts else "every check is true, but not their combination"


def _leaf_text(leaf: Leaf) -> str:
    value = leaf.value
    # The numbers of a condition are doubles; show counts as integers.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return condition.leaf_text(leaf.fact, leaf.operator, value)


def _capitalise(text: str) -> str:
    return text[:1].upper() + text[1:]


def _render(ms: int | None) -> str | None:
    return None if ms is None else instant.render(ms)


def event_values_text(event: ExplainedEvent) -> str:
    """Return the properties of an event for a table row."""
    parts = []
    if event.value is not None:
        parts.append(f"value {short_repr(event.value)}")
    if event.attribution is not None:
        parts.append(f"attribution {event.attribution}")
    if event.pin is not None:
        parts.append(f"settles_at {event.pin}")
    if event.timestamp is not None:
        parts.append(f"timestamp {event.timestamp}")
    return ", ".join(parts)
