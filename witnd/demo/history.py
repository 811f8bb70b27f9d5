"""The events of the 60 days before the demo starts, with instants in the past, as in an import."""

from collections.abc import Iterator
from itertools import count, cycle
from typing import Any, Final

from redis.asyncio import Redis

from witnd.demo.traffic import CUSTOMERS, LANES, Fields, Plot, PlotRun, Step, fields
from witnd.store.keys import Keys
from witnd.store.server.connection import redis_errors

DAYS: Final = 60
# More customers than in the live traffic, so that a month has an invoice in each state.
HISTORY_CUSTOMERS: Final = (*CUSTOMERS, "umbrella", "stark")
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
# No event is this close to now: live events follow, with greater ids.
_MARGIN_MS: Final = _HOUR_MS
_DAYS: Final = 86_400

# The lists repeat. None has as many plots as there are customers, so each customer gets all of them. Reverts come days
# after the result is confirmed, and reverse it.
PLOTS: Final[dict[str, tuple[Plot, ...]]] = {
    "support": (
        (Step(0, "ticket_opened"), Step(1, "agent_replied"), Step(2, "csat", 5)),
        (Step(0, "ticket_opened"), Step(1, "agent_replied")),
        (Step(0, "ticket_opened"), Step(1, "agent_replied"), Step(2, "csat", 2)),
        (Step(0, "agent_replied"), Step(2, "csat", 4)),
        (Step(0, "ticket_opened"), Step(2, "escalated")),
        (Step(0, "ticket_opened"), Step(3, "agent_replied")),
    ),
    "coding": (
        (Step(0, "suggestion_accepted"), Step(2, "pr_merged")),
        (Step(0, "suggestion_accepted"), Step(2, "pr_merged"), Step(3 * _DAYS, "reverted")),
        (Step(0, "suggestion_accepted"), Step(3, "pr_merged")),
        (Step(0, "suggestion_accepted"),),
    ),
    "contract": (
        (Step(0, "signed_by_buyer", attribution=12), Step(1, "signed_by_seller")),
        (Step(0, "signed_by_buyer", attribution=8), Step(1, "admin_override")),
        (Step(0, "signed_by_buyer", attribution=40),),
    ),
}


def history(now_ms: int) -> list[tuple[int, Fields]]:
    """Return the events as (instant of acceptance in ms, fields of the entry), oldest first."""
    found = []
    for start, acted in _runs(now_ms):
        at_ms = start
        for number, step in enumerate(acted.plot):
            assert isinstance(step, Step)
            at_ms += round(step.after * 1000)
            if at_ms < now_ms - _MARGIN_MS:
                found.append((at_ms, fields(acted, number, step)))
    return sorted(found, key=lambda event: event[0])


async def append_history(client: Redis, keys: Keys, now_ms: int) -> None:
    """Append the events to the log, with ids made from their instants."""
    with redis_errors():
        async with client.pipeline(transaction=False) as batch:
            for at_ms, event in history(now_ms):
                entry: dict[Any, Any] = {**event}
                batch.xadd(keys.events, entry, id=f"{at_ms}-*")
            await batch.execute()


def _runs(now_ms: int) -> Iterator[tuple[int, PlotRun]]:
    """Yield the start and the run of each outcome: every customer has one of another agent each day."""
    plots = {agent: cycle(choice) for agent, choice in PLOTS.items()}
    numbers = {lane.agent: count(1) for lane in LANES}
    for day in range(DAYS):
        for place, customer in enumerate(HISTORY_CUSTOMERS):
            lane = LANES[(day + place) % len(LANES)]
            key = lane.key.format(number=next(numbers[lane.agent]), customer=customer)
            start = now_ms - (DAYS - day) * _DAY_MS + place * _HOUR_MS
            yield start, PlotRun(lane=lane, plot=next(plots[lane.agent]), key=key, customer=customer)
