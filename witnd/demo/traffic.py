"""The applications of the demo: what three agents and their customers do, each in its own rhythm.

A plot is one outcome's events with the pauses between them; what becomes of them is not known here.
Events go into the log as from any application, with a plain XADD.
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
    """One event, `after` seconds after the one before it.

    `again` repeats the idempotency key of an earlier step of the plot, counted from 0; `customer`
    names another customer than the outcome's.
    """

    after: float
    action: str
    value: float | None = None
    attribution: float | None = None
    again: int | None = None
    customer: str | None = None


class Raw(Struct, frozen=True):
    """An entry as a program with a mistake in it would send it."""

    after: float
    data: str


class Arrival(Struct, frozen=True):
    """The operator puts the plot's customer into the catalogue."""

    after: float


Plot = tuple[Step | Raw | Arrival, ...]

# Settlement periods: support 4 s, coding 5 s, contract 3 s (catalogue.toml). Each list goes round.
SUPPORT: Final[tuple[Plot, ...]] = (
    # Opened again shortly before it settles.
    (Step(0, "ticket_opened"), Step(0.6, "agent_replied"), Step(3.2, "reopened")),
    # The help desk repeats a call whose answer it did not get.
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
    # The program that sends its events has a mistake in it.
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
    # A customer that nobody has put into the catalogue yet.
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
    """An agent's application: what it goes through, and how often. Pauses are seconds."""

    agent: str
    plots: tuple[Plot, ...]
    key: str
    number: int
    first: float
    pause: tuple[float, float]
    # Sends the fields of an event one by one; others send it as one JSON object.
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
        number=1,
        first=0.9,
        pause=(3.8, 4.8),
    ),
)


class PlotRun(Struct, frozen=True, kw_only=True):
    """A plot with its people. `card` is that of a customer who is yet to arrive."""

    lane: Lane
    plot: Plot
    key: str
    customer: str
    card: str = ""


def outcomes(lane: Lane) -> Iterator[PlotRun]:
    """What an application goes through, without end."""
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
    """`run()` until cancelled. `append` puts an entry into the log; `arrive` adds a customer."""

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
            await asyncio.sleep(uniform(*lane.pause))  # noqa: S311 - a rhythm, not a secret

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
    """The fields of a stream entry for one step."""
    agent = acted.lane.agent
    event: dict[str, object] = {
        "key": acted.key,
        "action": step.action,
        "customer_key": step.customer or acted.customer,
        "agent_key": agent,
        # Each program numbers what it sends, so that a repeated call is the same event.
        "idempotency_key": f"{agent}-{number if step.again is None else step.again}",
    }
    properties = {"value": step.value, "attribution": step.attribution}
    given = {name: value for name, value in properties.items() if value is not None}
    if not acted.lane.flat:
        return {"data": json.dumps({**event, "properties": given} if given else event)}
    flat = {name: str(value) for name, value in event.items()}
    return flat | ({"properties": json.dumps(given)} if given else {})
