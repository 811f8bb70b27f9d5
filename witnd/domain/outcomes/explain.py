"""The story of an outcome: from its frozen terms and its history to what happened, and why.

Every step shows each leaf of the condition after an event, what that event flipped, and when the
outcome was due from then on. Where the history comes from, and how the story is printed, is left to
others. Deliveries are no part of it: they come after the end.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from witnd.domain.catalogue import condition
from witnd.domain.catalogue.contract import Contract
from witnd.domain.catalogue.evaluate import Leaf
from witnd.domain.outcomes.attribution import unit
from witnd.domain.outcomes.event import Value
from witnd.domain.outcomes.outcome import Outcome, Status
from witnd.domain.outcomes.recount import Past, Recount, name_of
from witnd.domain.values import instant, money
from witnd.domain.values.fields import described

_DAY, _HOUR, _MINUTE = 86_400, 3_600, 60

#: What a person reads for a state.
SPOKEN: Final[dict[str, str]] = {
    "OPEN": "open",
    "PENDING": "pending",
    "CONFIRMED": "confirmed",
    "FAILED": "missed",
}


class LeafAfter(Struct, frozen=True, kw_only=True):
    """One leaf after one event."""

    path: str
    words: str
    holds: bool
    flipped: bool


class Happened(Struct, frozen=True, kw_only=True):
    """One applied event and everything after it. `settles_at` is when the outcome was due then."""

    entry: str
    accepted_at: str
    action: str
    timestamp: str | None
    value: Value | None
    attribution: str | None
    pin: str | None
    placed_at: str | None
    leaves: tuple[LeafAfter, ...]
    holds: bool
    status: Status
    settles_at: str
    words: str


class Story(Struct, frozen=True, kw_only=True):
    """All of it. `why` is one sentence in plain words."""

    condition: str
    events: tuple[Happened, ...]
    why: str
    unit: str


class Telling:
    """A story as its events come in, in order: `add` each, then ask for the `story`.

    Those that are told are in it; all are counted, so that what is told of one holds whatever is left out.
    """

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._counted = Recount(outcome.contract)
        self._truth = outcome.contract.rule.truth(self._counted.counts, self._counted.values)
        self._events: list[Happened] = []
        self._attributions = 0
        self._last: Happened | None = None
        self._turn: Happened | None = None  # since when the condition is as it is

    def add(self, item: Past, *, told: bool = True, last: bool = False) -> None:
        """`last` must be true of the last one, told or not."""
        counted, contract = self._counted, self._counted.contract
        was_true, held, before = counted.was_true, counted.holds, self._truth
        counted.add(item)
        self._attributions += item.attribution is not None
        self._truth = after = contract.rule.truth(counted.counts, counted.values)
        turned = counted.events == 1 or counted.holds is not held
        if not (told or last or turned):
            return
        words = _words(counted, item, held, was_true, _flips(contract, before, after))
        self._last = happened = _happened(counted, item, after, before, words)
        if turned:
            self._turn = happened
        if told:
            self._events.append(happened)

    def story(self) -> Story:
        outcome = self._outcome
        return Story(
            condition=condition.words(outcome.contract.condition),
            events=tuple(self._events),
            why=_why(outcome, self._last, self._turn, ever=self._counted.was_true),
            unit=_unit_words(outcome, self._attributions),
        )


def story(outcome: Outcome, history: Iterable[Past]) -> Story:
    """The story of an outcome as it stands, final or not."""
    telling = Telling(outcome)
    for item in history:
        telling.add(item)
    return telling.story()


def _happened(counted: Recount, item: Past, after: Sequence[bool], before: Sequence[bool], words: str) -> Happened:
    leaves = counted.contract.rule.leaves
    return Happened(
        entry=name_of(item.entry),
        accepted_at=instant.render(item.entry[0]),
        action=item.action,
        timestamp=_rendered(item.timestamp),
        value=item.value,
        attribution=None if item.attribution is None else money.plain(item.attribution),
        pin=_rendered(item.pin),
        placed_at=_rendered(item.placed_at),
        leaves=tuple(
            LeafAfter(path=leaf.path, words=_said(leaf), holds=now, flipped=now is not then)
            for leaf, now, then in zip(leaves, after, before, strict=True)
        ),
        holds=counted.holds,
        status=counted.status(settled=False),
        settles_at=instant.render(counted.settles_at),
        words=words,
    )


def _flips(contract: Contract, before: Sequence[bool], after: Sequence[bool]) -> str:
    """The leaves that an event flipped, in words; empty where it flipped none."""
    parts = [
        f"{'now' if now else 'no longer'} true: {_said(leaf)}"
        for leaf, then, now in zip(contract.rule.leaves, before, after, strict=True)
        if now is not then
    ]
    return "; ".join(parts)


def _words(counted: Recount, item: Past, held: bool, was_true: bool, flips: str) -> str:  # noqa: FBT001
    """What the event did, in a sentence or three."""
    said = []
    if item.placed_at is not None:
        said.append(f"Had been held, and was placed at {instant.render(item.placed_at)}.")
    if counted.events == 1:
        said.append("Opened the outcome.")
    if flips:
        said.append(f"{_capital(flips)}.")
    if counted.holds and not was_true:
        said.append("The condition holds: pending, it would be confirmed.")
    elif counted.holds and not held:
        said.append("The condition holds again: it would be confirmed.")
    elif held and not counted.holds:
        said.append("The condition holds no longer: it would be missed.")
    elif not flips:
        said.append("Nothing in the condition changed.")
    begins = item.entry[0] if item.placed_at is None else item.placed_at
    if item.pin is None:
        said.append(f"Due {span(counted.contract.settlement_period)} later.")
    elif item.pin > begins:
        said.append("Due at the instant the event pinned.")
    else:
        said.append("Pinned to an instant that had passed: due at once.")
    return " ".join(said)


def _why(outcome: Outcome, last: Happened | None, turn: Happened | None, *, ever: bool) -> str:
    """What it became and why. `ever`: whether the condition held at any time."""
    due = instant.render(outcome.settles_at)
    if last is None or turn is None:
        return f"{_capital(SPOKEN[outcome.status])}; its history is not kept any more."
    quiet = f"after event {last.entry} nothing came until it was due at {due}"
    if outcome.status == "CONFIRMED":
        since = f"the condition held since event {turn.entry}{_by(turn)}"
        return f"Confirmed, because {since} and {quiet}."
    if outcome.status == "OPEN":
        return (
            f"Open, because the condition does not hold yet ({_lacking(last)}). "
            f"Without another event it is missed at {due}."
        )
    if outcome.status == "PENDING":
        if outcome.holds:
            return (
                f"Pending, because the condition holds since event {turn.entry}{_by(turn)}. "
                f"Without another event it is confirmed at {due}."
            )
        return (
            f"Pending, because the condition has held, and holds no longer since event "
            f"{turn.entry}{_by(turn)}. Without another event it is missed at {due}."
        )
    if ever:
        return f"Missed, because event {turn.entry} ended the condition{_by(turn)}, it did not hold again, and {quiet}."
    return f"Missed, because the condition never held ({_lacking(last)}), and {quiet}."


def _by(turn: Happened) -> str:
    """The leaves by which the condition turned."""
    flipped = [leaf for leaf in turn.leaves if leaf.flipped]
    if not flipped:
        return f" (`{turn.action}`)"
    parts = [f"{'now' if leaf.holds else 'no longer'} true: {leaf.words}" for leaf in flipped]
    return f" (`{turn.action}`; {'; '.join(parts)})"


def _lacking(last: Happened) -> str:
    """What is not true, where the whole is not."""
    parts = [leaf.words for leaf in last.leaves if not leaf.holds]
    return f"not true: {'; '.join(parts)}" if parts else "every single check holds, their combination does not"


def _unit_words(outcome: Outcome, carried: int) -> str:
    """How the billing unit comes about; `carried` is how many events had an attribution."""
    method = outcome.contract.attribution_method
    quantity = money.plain(unit(outcome.tally))
    if outcome.tally is None:
        return f"{quantity}: no event carried an attribution"
    many = f"{carried} event{'s' if carried != 1 else ''} that carried one"
    cut = ", and never below 0" if outcome.tally[1] < 0 else ""
    return f"{quantity}: the {method} attribution of {many}{cut}"


def span(seconds: int) -> str:
    """A duration in its largest whole units."""
    parts = []
    for size, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (1, "s")):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts) or "0 s"


def _said(leaf: Leaf) -> str:
    value = leaf.value
    # A condition's numbers are doubles by now; a count reads better as the whole number it is.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return condition.leaf_words(leaf.fact, leaf.operator, value)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _rendered(ms: int | None) -> str | None:
    return None if ms is None else instant.render(ms)


def carried_words(event: Happened) -> str:
    """What an event brought along, for a line of a table."""
    parts = []
    if event.value is not None:
        parts.append(f"value {described(event.value)}")
    if event.attribution is not None:
        parts.append(f"attribution {event.attribution}")
    if event.pin is not None:
        parts.append(f"settles_at {event.pin}")
    if event.timestamp is not None:
        parts.append(f"timestamp {event.timestamp}")
    return ", ".join(parts)
