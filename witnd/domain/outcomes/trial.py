"""A contract tried on example events: what an outcome would become of them, and why, event by event.

The events are applied by the same code that applies real ones. They are taken as those of one outcome: keys, agents
and idempotency keys are not looked at.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

from witnd.domain.catalogue.contract import Contract
from witnd.domain.outcomes import attribution
from witnd.domain.outcomes.event import EntryId, Event, Value
from witnd.domain.outcomes.explain import ExplainedEvent, explanation
from witnd.domain.outcomes.outcome import Outcome, Status
from witnd.domain.pricing.ratecard import Price
from witnd.domain.values import instant
from witnd.domain.values.money import plain

_TRIAL_KEY: Final = "trial"
# What it costs is not asked.
_FREE_PRICE: Final = Price(
    rate_card=_TRIAL_KEY, currency="EUR", exponent=2, agent=_TRIAL_KEY, price_per_unit=Decimal(0)
)


class _TrialEvent(Struct, frozen=True, kw_only=True):
    """An example as a history would keep it."""

    entry: EntryId
    action: str
    timestamp: int | None
    value: Value | None
    attribution: Decimal | None
    pin: int | None
    placed_at: int | None = None


class Trial(Struct, frozen=True, kw_only=True):
    """`happened` has None for an event that came too late to count. `would_be`: what settling would make of it."""

    happened: tuple[ExplainedEvent | None, ...]
    holds: bool
    status: Status
    would_be: Status
    settles_at: str | None
    unit: str
    unit_words: str
    why: str


def run_trial(contract: Contract, events: Sequence[tuple[int, Event]]) -> Trial:
    """Try events, each with the instant of its acceptance; those do not fall."""
    outcome = Outcome(_TRIAL_KEY, _TRIAL_KEY, contract, _FREE_PRICE, events[0][0] if events else 0)
    history: list[_TrialEvent] = []
    late: list[bool] = []
    for number, (accepted_at, event) in enumerate(events):
        late.append(outcome.events > 0 and accepted_at >= outcome.settles_at)
        if late[-1]:
            # It is final from here on, whenever the events behind this one come.
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
    told = explanation(outcome, history)
    counted = iter(told.events)
    would_be: Status = "CONFIRMED" if outcome.status == "PENDING" and outcome.holds else "FAILED"
    if any(late):
        outcome.settle(outcome.settles_at)
        told = explanation(outcome, history)
    # Without any event there is no outcome yet, and so nothing that the condition was asked of.
    holds = outcome.holds if history else contract.rule.holds(outcome.counts, outcome.values)
    return Trial(
        happened=tuple([None if one else next(counted) for one in late]),
        holds=holds,
        status=outcome.status,
        would_be=would_be,
        settles_at=instant.render(outcome.settles_at) if history else None,
        unit=plain(attribution.unit(outcome.tally)),
        unit_words=told.unit,
        why=told.why if history else "No event, no outcome.",
    )
