"""Describe when an outcome is due after an event."""

from witnd.domain.catalogue.terms.timers import KEEP
from witnd.domain.outcomes.recount import AppliedEvent, Recount
from witnd.domain.values import instant
from witnd.domain.values.duration import duration_text


def deadline_text(counted: Recount, item: AppliedEvent) -> str:
    """Describe when the outcome is due after an event without a pinned instant, and which timer decided it."""
    contract = counted.contract
    timer = (contract.timers or {}).get(item.action)
    period = duration_text(contract.settlement_period)
    if timer is None:
        return f"Due {period} later."
    if timer != KEEP:
        return f"Due {duration_text(int(timer))} later, by the timer of `{item.action}`."
    if counted.events == 1:
        return f"Due {period} later: the timer of `{item.action}` keeps the deadline, but there was none yet."
    return f"The timer of `{item.action}` keeps the deadline: due at {instant.render(counted.settles_at)}."
