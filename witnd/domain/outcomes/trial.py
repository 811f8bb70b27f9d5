"""Apply example events to a contract, and explain the result.

The code is the same as for real events. All events belong to one outcome: keys, agents and idempotency keys are
ignored.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

from witnd.domain.catalogue.contract import Contract
from witnd.domain.outcomes import attribution
from witnd.domain.outcomes.event import EntryId, Event, Value
from witnd.domain.outcomes.explain import ExplainedEvent, Names, explanation
from witnd.domain.outcomes.outcome import Outcome, Status
from witnd.domain.pricing.ratecard import Price
from witnd.domain.values import instant
from witnd.domain.values.money import plain

_TRIAL_KEY: Final = "trial"
# A trial does not calculate amounts.
_FREE_PRICE: Final = Price(
    rate_card=_TRIAL_KEY, currency="EUR", exponent=2, agent=_TRIAL_KEY, price_per_unit=Decimal(0)
)


class _TrialEvent(Struct, frozen=True, kw_only=True):
    """An example event in the form of a history."""

    entry: EntryId
    action: str
    timestamp: int | None
    value: Value | None
    attribution: Decimal | None
    pin: int | None
    placed_at: int | None = None


class Trial(Struct, frozen=True, kw_only=True):
    """The result of a trial. `happened` has None for events that were not applied: `reversing` is the place of the one
    that reversed the confirmed outcome, the others are late. `would_be` is the status after settlement, `grade`
    the key of the grade then."""

    happened: tuple[ExplainedEvent | None, ...]
    reversing: int | None
    holds: bool
    status: Status
    would_be: Status
    grade: str | None
    settles_at: str | None
    unit: str
    unit_words: str
    why: str


def run_trial(contract: Contract, events: Sequence[tuple[int, Event]], names: Names | None = None) -> Trial:
    """Apply events, each with the instant of its acceptance (ms), in rising order. The id of an event has its number
    from 0 after the instant."""
    outcome = Outcome(_TRIAL_KEY, _TRIAL_KEY, contract, _FREE_PRICE, events[0][0] if events else 0)
    history: list[_TrialEvent] = []
    late: list[bool] = []
    for number, (accepted_at, event) in enumerate(events):
        late.append(outcome.events > 0 and accepted_at >= outcome.settles_at)
        if late[-1]:
            # The outcome is final: the rest is late, but for one event that may reverse it.
            late += [True] * (len(events) - number - 1)
            break
        outcome.apply(event, accepted_at, accepted_at)
        history.append(
            _TrialEvent(
                entry=(accepted_at, number),
                action=event.action,
                timestamp=event.timestamp,
                value=event.value,
                attribution=event.attribution,
                pin=event.pin,
            )
        )
    told = explanation(outcome, history, names)
    counted = iter(told.events)
    would_be: Status = "CONFIRMED" if outcome.status == "PENDING" and outcome.holds else "FAILED"
    reversing = None
    if any(late):
        outcome.settle(outcome.settles_at)
        told = explanation(outcome, history, names)
        for number in range(late.index(True), len(events)):
            accepted_at, event = events[number]
            if outcome.can_be_reversed(event.action, accepted_at):
                outcome.reverse((accepted_at, number), accepted_at)
                reversing = number
    # Without events there is no outcome that has evaluated the condition.
    holds = outcome.holds if history else contract.rule.holds(outcome.counts, outcome.values)
    return Trial(
        happened=tuple([None if one else next(counted) for one in late]),
        reversing=reversing,
        holds=holds,
        status=outcome.status,
        would_be=would_be,
        grade=contract.grade_at(outcome.grade_now) if contract.grades and would_be == "CONFIRMED" else None,
        settles_at=instant.render(outcome.settles_at) if history else None,
        unit=plain(attribution.unit(outcome.tally)),
        unit_words=told.unit,
        why=told.why if history else "No event, no outcome.",
    )
