"""Trying a contract on example events that somebody sent: reading them, and telling what became of each.

What the events do is decided by `witnd.domain.trial`. Nothing is stored.
"""

from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from witnd.domain import instant
from witnd.domain.contract import Contract, read_agent
from witnd.domain.event import Event, Refusal
from witnd.domain.event import read as read_event
from witnd.domain.explain import Happened
from witnd.domain.fields import Table
from witnd.domain.mistake import Mistake
from witnd.domain.trial import tried
from witnd.web.errors import mistaken

MOST_EVENTS: Final = 100
# Leaves × events: each is told, so this bounds the answer.
MOST_ANSWERS: Final = 10_000
_FIELDS: Final = ("name", "condition", "attribution_method", "settlement_period", "events")
_SECOND: Final = 1000


class LeafTruth(Struct, frozen=True, kw_only=True):
    """A check of the condition after an event. `flipped`: the event made it so."""

    path: str
    words: str
    holds: bool
    flipped: bool


class Tried(Struct, frozen=True, kw_only=True):
    """An example event. A `late` one came when the outcome had settled, and changed nothing."""

    action: str
    accepted_at: str
    fate: Literal["applied", "late"]
    leaves: list[LeafTruth]
    holds: bool | None
    status: str | None
    settles_at: str | None
    words: str


class TrialAnswer(Struct, frozen=True, kw_only=True):
    """`status`: the outcome's after the last event, and `would_be` what it becomes if nothing else comes. `unit`: what
    it would be billed for if it is confirmed."""

    condition_words: str
    events: list[Tried]
    holds: bool
    status: str
    would_be: str
    settles_at: str | None
    unit: str
    unit_words: str
    why: str


def answered(raw: dict[str, Any], now_ms: int) -> TrialAnswer:
    """Try what was sent; raises with all that is wrong with it."""
    table = Table(raw, "", _FIELDS)
    content, wrong = read_agent("trial", {name: raw.get(name) for name in _FIELDS if name != "events"}, "")
    events, unreadable = _events(table, now_ms)
    if mistakes := [*table.mistakes, *wrong, *unreadable]:
        raise mistaken(mistakes)
    contract = Contract.from_content("trial", content)
    if len(contract.rule.leaves) * len(events) > MOST_ANSWERS:
        raise mistaken([Mistake("events", f"are too many for a condition of {len(contract.rule.leaves)} checks")])
    trial = tried(contract, events)
    return TrialAnswer(
        condition_words=_words(content),
        events=[
            _told(accepted_at, event, happened)
            for (accepted_at, event), happened in zip(events, trial.happened, strict=True)
        ],
        holds=trial.holds,
        status=trial.status,
        would_be=trial.would_be,
        settles_at=trial.settles_at,
        unit=trial.unit,
        unit_words=trial.unit_words,
        why=trial.why,
    )
