"""The sample applications: events of three agents and their customers.
A plot is the events of one outcome with the pauses between them. Events are appended with a plain XADD, as by any
application.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import count, cycle
from random import uniform
from typing import Final

from msgspec import Struct

Fields = Mapping[str, str]
Append = Callable[[Fields], Awaitable[object]]
AddCustomer = Callable[[str, str], Awaitable[object]]


class Step(Struct, frozen=True):
    """An event, `after` seconds after the previous one.

    `again` repeats the idempotency key of an earlier step (index from 0); `customer` names a customer other than the
    outcome's.
    """

    after: float
    action: str
    value: float | None = None
    attribution: float | None = None
    again: int | None = None
    customer: str | None = None


class Raw(Struct, frozen=True):
    """A malformed entry."""

    after: float
    data: str


class Arrival(Struct, frozen=True):
    """The operator adds the plot's customer to the catalogue."""

    after: float


Plot = tuple[Step | Raw | Arrival, ...]

# Settlement periods: support 4 s, coding 5 s, contract 3 s (catalogue.toml). The lists repeat.
SUPPORT: Final[tuple[Plot, ...]] = (
    # Reopened shortly before it settles.
    (Step(0, "ticket_opened"), Step(0.6, "agent_replied"), Step(3.2, "reopened")),
    # The help desk repeats a call after a timeout.
    (Step(0, "agent_replied"), Step(0.5, "agent_replied", again=0)),
    (Step(0, "ticket_opened"), Step(0.6, "agent_replied"), Step(1.2, "csat", 5)),
    # A bad rating, and a better one after another reply.
    (
        Step(0, "agent_replied"),
        Step(0.9, "csat", 2),
        Step(0.9, "agent_replied"),
        Step(1.1, "csat", 5),
    ),
    (Step(0, "ticket_opened"), Step(1.2, "escalated")),
    # A key is used twice for different things.
    (Step(0, "agent_replied"), Step(0.8, "csat", 5), Step(0.8, "csat", 1, again=1)),
    # The customer comes back when the outcome is final.
    (Step(0, "agent_replied"), Step(5.4, "reopened")),
    (Step(0, "agent_replied"), Raw(0.7, '{"key": "support:ticket:')),
)
CODING: Final[tuple[Plot, ...]] = (
    # The sender has a bug.
    (
        Step(0, "suggestion_accepted"),
        Raw(1.3, '{"key": "coding:pr:481", "action": "merg'),
        Step(0.6, "pr_merged"),
    ),
    (Step(0, "suggestion_accepted"), Step(0.9, "pr_merged"), Step(4.2, "reverted")),
    (Step(0, "suggestion_accepted"), Step(0.7, "pr_merged"), Step(0.4, "pr_merged", again=1)),
    (Step(0, "suggestion_accepted"),),
    (Step(0, "suggestion_accepted"), Step(1.6, "pr_merged"), Step(6.5, "reverted")),
)
CONTRACT: Final[tuple[Plot, ...]] = (
    # A customer that is not in the catalogue yet.
    (
        Step(0, "signed_by_buyer", attribution=20),
        Step(0.8, "signed_by_seller"),
        Arrival(1.2),
    ),
    # More seats join the contract before it settles.
    (
        Step(0, "signed_by_buyer", attribution=12),
        Step(0.8, "signed_by_seller"),
        Step(0.9, "seats_added", attribution=5),
    ),
    (Step(0, "signed_by_buyer", attribution=40),),
    (
        Step(0, "signed_by_buyer", attribution=7),
        Step(0.8, "signed_by_seller"),
        Step(2.2, "revoked"),
    ),
    (Step(0, "signed_by_buyer", attribution=9), Step(1.4, "admin_override")),
    (
        Step(0, "signed_by_buyer", attribution=3),
        Step(0.7, "signed_by_seller", customer="globex-eu"),
        Step(0.7, "signed_by_seller"),
    ),
    (
        Step(0, "signed_by_buyer", attribution=6),
        Step(0.8, "signed_by_seller"),
        Raw(0.5, '{"key": "contract:7", "action": "signed", "customer_key": 7}'),
    ),
)
CUSTOMERS: Final = ("acme", "globex", "initech")
CARDS: Final = ("europe", "america", "japan")
NEWCOMERS: Final = ("hooli", "vandelay", "wonka", "tyrell", "sirius")


class Lane(Struct, frozen=True, kw_only=True):
    """An agent's application: its plots and their frequency. Pauses are in seconds."""

    agent: str
    plots: tuple[Plot, ...]
    key: str
    number: int
    first: float
    pause: tuple[float, float]
    # Sends flat fields instead of a JSON object.
    flat: bool = False


LANES: Final = (
    Lane(
        agent="support",
        plots=SUPPORT,
        key="support:ticket:{number}",
        number=1001,
        first=0.1,
        pause=(2.2, 3.2),
    ),
    Lane(
        agent="coding",
        plots=CODING,
        key="coding:pr:{number}",
        number=481,
        first=0.5,
        pause=(3.6, 4.6),
        flat=True,
    ),
    Lane(
        agent="contract",
        plots=CONTRACT,
        key="contract:{customer}:{number:03}",
        number=201,
        first=0.9,
        pause=(3.8, 4.8),
    ),
)


class PlotRun(Struct, frozen=True, kw_only=True):
    """A plot with its key and customer. `card` is the rate card of a customer that is added later."""

    lane: Lane
    plot: Plot
    key: str
    customer: str
    card: str = ""


def outcomes(lane: Lane) -> Iterator[PlotRun]:
    """Yield the runs of an application, without end."""
    known, cards, new = cycle(CUSTOMERS), cycle(CARDS), iter(NEWCOMERS)
    for number, plot in zip(count(lane.number), cycle(lane.plots), strict=False):
        stranger = any(isinstance(step, Arrival) for step in plot)
        customer = next(new, f"customer-{number}") if stranger else next(known)
        yield PlotRun(
            lane=lane,
            plot=plot,
            key=lane.key.format(number=number, customer=customer),
            customer=customer,
            card=next(cards) if stranger else "",
        )


class Traffic:
    """Sends events: `run()` until cancelled. `append` appends an entry to the log; `arrive` adds a customer."""

    def __init__(self, append: Append, arrive: AddCustomer) -> None:
        self._append = append
        self._arrive = arrive

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for lane in LANES:
                group.create_task(self._run_lane(lane, group))

    async def _run_lane(self, lane: Lane, group: asyncio.TaskGroup) -> None:
        await asyncio.sleep(lane.first)
        for acted in outcomes(lane):
            group.create_task(self._run_plot(acted))
            await asyncio.sleep(uniform(*lane.pause))  # noqa: S311 - not security

    async def _run_plot(self, acted: PlotRun) -> None:
        for number, step in enumerate(acted.plot):
            await asyncio.sleep(step.after)
            if isinstance(step, Arrival):
                await self._arrive(acted.customer, acted.card)
            elif isinstance(step, Raw):
                await self._append({"data": step.data})
            else:
                await self._append(fields(acted, number, step))


def fields(acted: PlotRun, number: int, step: Step) -> Fields:
    """Return the fields of a step's stream entry."""
    agent = acted.lane.agent
    event: dict[str, object] = {
        "key": acted.key,
        "action": step.action,
        "customer_key": step.customer or acted.customer,
        "agent_key": agent,
        # Each application numbers its events, so that a repeated call has the same idempotency key.
        "idempotency_key": f"{agent}-{number if step.again is None else step.again}",
    }
    properties = {"value": step.value, "attribution": step.attribution}
    given = {name: value for name, value in properties.items() if value is not None}
    if not acted.lane.flat:
        return {"data": json.dumps({**event, "properties": given} if given else event)}
    flat = {name: str(value) for name, value in event.items()}
    return flat | ({"properties": json.dumps(given)} if given else {})
