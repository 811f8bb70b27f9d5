"""Try a contract with example events: read them, and report the result of each.

What the events do is decided by `witnd.domain.outcomes.trial`. Nothing is stored.
"""

from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from witnd.app.errors import all_invalid
from witnd.domain.catalogue.condition import condition_text
from witnd.domain.catalogue.contract import FIELDS, Contract, read_agent
from witnd.domain.outcomes.event import Event, Refusal
from witnd.domain.outcomes.event import read as read_event
from witnd.domain.outcomes.explain import ExplainedEvent, Names
from witnd.domain.outcomes.trial import run_trial
from witnd.domain.values import instant
from witnd.domain.values.fields import Table
from witnd.domain.values.mistake import Mistake

MOST_EVENTS: Final = 100
# Leaves × events: each is told, so this bounds the answer.
MOST_ANSWERS: Final = 10_000
_FIELDS: Final = (*FIELDS, "events")
_SECOND: Final = 1000


class LeafTruth(Struct, frozen=True, kw_only=True):
    """A check of the condition after an event. `flipped`: the event changed its result."""

    path: str
    words: str
    holds: bool
    flipped: bool


class Tried(Struct, frozen=True, kw_only=True):
    """An example event. `late`: it arrived after the outcome had settled, and changed nothing. `reversed`: it reversed
    the confirmed outcome."""

    action: str
    accepted_at: str
    fate: Literal["applied", "reversed", "late"]
    leaves: list[LeafTruth]
    holds: bool | None
    status: str | None
    settles_at: str | None
    words: str


class TrialAnswer(Struct, frozen=True, kw_only=True):
    """`status`: the status after the last event. `would_be`: the result if no other event arrives. `grade`: the grade
    of the outcome if confirmed, null without grades. `unit`: the units that it would be billed for if confirmed.
    `reversed`: whether an event reversed it, so that its charge is credited."""

    condition_words: str
    events: list[Tried]
    holds: bool
    status: str
    would_be: str
    grade: str | None
    settles_at: str | None
    unit: str
    unit_words: str
    why: str
    reversed: bool = False


def answered(raw: dict[str, Any], now_ms: int, names: Names | None = None) -> TrialAnswer:
    """Run a trial. Raise with every mistake. `names`: how `why` names the events."""
    table = Table(raw, "", _FIELDS)
    content, wrong = read_agent("trial", {name: raw.get(name) for name in _FIELDS if name != "events"}, "")
    events, unreadable = _events(table, now_ms)
    if mistakes := [*table.mistakes, *wrong, *unreadable]:
        raise all_invalid(mistakes)
    contract = Contract.from_content("trial", content)
    if len(contract.rule.leaves) * len(events) > MOST_ANSWERS:
        raise all_invalid([Mistake("events", f"must be fewer for a condition with {len(contract.rule.leaves)} checks")])
    trial = run_trial(contract, events, names)
    return TrialAnswer(
        condition_words=condition_text(contract.condition),
        events=[
            _tried(accepted_at, event, happened, is_reversing=number == trial.reversing)
            for number, ((accepted_at, event), happened) in enumerate(zip(events, trial.happened, strict=True))
        ],
        holds=trial.holds,
        status=trial.status,
        would_be=trial.would_be,
        grade=trial.grade,
        settles_at=trial.settles_at,
        unit=trial.unit,
        unit_words=trial.unit_words,
        why=trial.why,
        reversed=trial.reversing is not None,
    )


_LATE: Final = "Late: the outcome had settled. It changes nothing."
_REVERSED: Final = "Reverses the outcome: it stays confirmed, and its charge is credited."


def _tried(accepted_at: int, event: Event, happened: ExplainedEvent | None, *, is_reversing: bool) -> Tried:
    if happened is None:
        return Tried(
            action=event.action,
            accepted_at=instant.render(accepted_at),
            fate="reversed" if is_reversing else "late",
            leaves=[],
            holds=None,
            status=None,
            settles_at=None,
            words=_REVERSED if is_reversing else _LATE,
        )
    leaves = [
        LeafTruth(path=one.path, words=one.words, holds=one.holds, flipped=one.flipped) for one in happened.leaves
    ]
    return Tried(
        action=happened.action,
        accepted_at=happened.accepted_at,
        fate="applied",
        leaves=leaves,
        holds=happened.holds,
        status=happened.status,
        settles_at=happened.settles_at,
        words=happened.words,
    )


def _events(table: Table, now_ms: int) -> tuple[list[tuple[int, Event]], list[Mistake]]:
    """Return the examples with their times of acceptance: one second after the previous, unless given."""
    raw = table.get("events")
    if raw is None:
        return [], []
    if not isinstance(raw, list) or len(raw) > MOST_EVENTS:
        return [], [Mistake("events", f"must be a list of at most {MOST_EVENTS} events")]
    found: list[tuple[int, Event]] = []
    wrong: list[Mistake] = []
    last = now_ms - _SECOND
    for number, one in enumerate(raw):
        at = f"events[{number}]"
        try:
            accepted_at, event = _example(one, last + _SECOND)
        except _Invalid as invalid_example:
            wrong += [Mistake(f"{at}.{one.path}" if one.path else at, one.message) for one in invalid_example.mistakes]
            continue
        if found and accepted_at < last:
            wrong.append(
                Mistake(f"{at}.accepted_at", f"must not be before the previous event ({instant.render(last)})")
            )
        last = accepted_at
        found.append((accepted_at, event))
    return found, wrong


class _Invalid(Exception):  # noqa: N818 - what was sent, not a mistake in code
    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__(*mistakes)
        self.mistakes = mistakes


def _example(raw: object, accepted_at: int) -> tuple[int, Event]:
    """Read an example event; its keys are optional. Raise `_Invalid`."""
    if not isinstance(raw, dict):
        raise _Invalid(Mistake("", "must be an object with an `action`"))
    given = dict(raw)
    said = given.pop("accepted_at", None)
    if said is not None:
        try:
            accepted_at = instant.parse(said) if isinstance(said, str) else -1
        except ValueError as wrong:
            raise _Invalid(Mistake("accepted_at", str(wrong))) from None
        if accepted_at < 0:
            raise _Invalid(Mistake("accepted_at", "must be a string such as 2027-01-01T00:00:00Z"))
    # What it is about is the same for all of them, whatever pasted events say.
    given |= {"key": "trial-outcome", "customer_key": "trial", "agent_key": None, "idempotency_key": None}
    event = read_event([b"data", msgspec.json.encode(given)])
    if not isinstance(event, Event):
        mistakes = event.mistakes if isinstance(event, Refusal) else ()
        raise _Invalid(
            *(mistakes or (Mistake("", event.message if isinstance(event, Refusal) else "is not an event"),))
        )
    return accepted_at, event
