"""What the daemon is given: a catalogue and a log with ids in the past, so that results are a function of both.

All deadlines lie in the past too: one tick at the end settles what is left, and a run takes about a second. Only keys
that begin with `placed-` are placed by the daemon's own retry, at an instant that is different in every run.
"""

import json
from decimal import Decimal
from typing import Any, NamedTuple

from tests.crash.receiver import SECRET
from tests.support import catalogues
from tests.support.conditions import leaf
from witnd.domain.catalogue.catalogue import CatalogueEntry
from witnd.domain.invoices.manual import NewLine
from witnd.domain.values.instant import render

BASE = 1_700_000_000_000
SECOND = 1000
# From when on a customer exists: in the middle of the log, and only after its last entry.
GLOBEX, INITECH = 200, 9_000


class Entry(NamedTuple):
    """One entry of the log."""

    ms: int
    fields: tuple[str | bytes, ...]

    @property
    def id(self) -> str:
        return f"{self.ms}-0"


class CustomerLine(NamedTuple):
    """A manual line that was added in the period of an instant."""

    ms: int
    customer: str
    line: NewLine


class Scenario(NamedTuple):
    """`outcomes` is how many entries the resolutions have in the end, `held` how many events wait for ever. A person
    added `lines` to invoices before the daemon works."""

    catalogue: list[CatalogueEntry]
    log: list[Entry]
    outcomes: int
    held: int
    lines: tuple[CustomerLine, ...] = ()


def entry(second: float, key: str, action: str, customer: str = "acme", **more: Any) -> Entry:
    """An event as JSON; `id` is its idempotency key, `pin` the second to which it pins settlement."""
    properties = {name: more[name] for name in ("value", "attribution") if name in more}
    if "pin" in more:
        properties["settles_at"] = render(BASE + int(more["pin"] * SECOND))
    event = {"key": key, "action": action, "customer_key": customer}
    event |= {"agent_key": more["agent"]} if "agent" in more else {}
    event |= {"idempotency_key": more["id"]} if "id" in more else {}
    event |= {"properties": properties} if properties else {}
    return raw(second, "data", json.dumps(event))


def raw(second: float, *fields: str | bytes) -> Entry:
    return Entry(BASE + int(second * SECOND), fields)


# Rated when its period closes.
CALLS = {
    "agent": "calls",
    "kind": "graduated",
    "tiers": [{"up_to": "3", "price_per_unit": "0.335", "flat_fee": "0.5"}, {"price_per_unit": "0.2"}],
    "period_minimum": "20",
    "tax": "reduced",
}
# Discounts that are more than what they act on, so that they are reduced when their period closes.
LINES = (
    CustomerLine(BASE, "acme", NewLine(description="Setup", quantity=Decimal(2), unit_price=Decimal("3.335"))),
    CustomerLine(BASE, "acme", NewLine(description="Discount", quantity=Decimal(1), unit_price=Decimal(-1000))),
    CustomerLine(BASE, "globex", NewLine(description="Discount", quantity=Decimal(1), unit_price=Decimal(-1))),
    CustomerLine(
        BASE + 86_400 * SECOND,
        "globex",
        NewLine(description="Book", quantity=Decimal(1), unit_price=Decimal(5), tax="reduced"),
    ),
)


def catalogue(url: Any) -> list[CatalogueEntry]:
    """`url` tells the receiver's address of a path."""

    def at(second: int) -> int:
        return BASE + second * SECOND

    return [
        catalogues.agent(
            "resolve",
            name="Ticket resolved",
            settlement_period=60,
            condition=[leaf("resolved", "seen"), leaf("reopened", "not seen")],
            reversal={"window": 600, "on": ["refunded"]},
        ),
        catalogues.agent(
            "calls",
            name="Calls",
            settlement_period=30,
            attribution_method="sum",
            condition=[leaf("called", "count_gte", 1)],
        ),
        catalogues.rate_card("standard", entries=[{"agent": "resolve", "price_per_unit": "0.99"}, CALLS]),
        catalogues.made("seller", "seller", 0, {"name": "Example Ltd."}, archived=False),
        catalogues.tax("full", rate="19"),
        catalogues.tax("reduced", rate="7"),
        catalogues.customer("acme", name="Acme", rate_card="standard", billing={"tax": "full"}),
        catalogues.rule("books", url=url("/fine"), secret=SECRET),
        catalogues.rule("sales", source="outcome_confirmed", url=url("/flaky"), secret=SECRET),
        catalogues.rule("closed", source="invoice_closed", url=url("/fine"), secret=SECRET),
        catalogues.rule("issued", source="invoice_issued", url=url("/flaky"), secret=SECRET),
        catalogues.rule("credits", source="outcome_reversed", url=url("/fine"), secret=SECRET),
        catalogues.customer("globex", at(GLOBEX), name="Globex", rate_card="standard", billing={"tax": "full"}),
        # The price changes in the middle: what opened before keeps its own.
        catalogues.rate_card("standard", at(250), prices={"resolve": "1.25", "calls": "0.5"}),
        catalogues.customer("initech", at(INITECH), name="Initech", rate_card="standard"),
    ]


def mixed(url: Any) -> Scenario:
    """Everything that a log can hold, in about twenty batches of four."""
    busy = [
        entry(40 + 0.1 * n, "busy-calls", "called", agent="calls", attribution=n + 0.25, id=f"b{n}") for n in range(12)
    ]
    together = [
        entry(6 + 0.1 * n, f"together-{n}", action, agent="calls", attribution=1.5, pin=100)
        for n, action in enumerate(["called", "called", "missed", "called", "missed", "called"])
    ]
    placed = [
        entry(24 + n + 0.1 * m, f"placed-{n}-by-the-daemon", "resolved", "initech", id=f"p{n}{m}", pin=30)
        for n in range(2)
        for m in range(2)
    ]
    log = [
        entry(0, "confirmed-1", "resolved", id="k1", value=3),
        entry(1, "confirmed-1", "noted"),
        entry(2, "confirmed-1", "resolved", id="k1", value=3.0),  # duplicate
        entry(3, "confirmed-1", "resolved", id="k1", value=4),  # conflict
        entry(5, "reversed-1", "resolved", id="r1"),
        *together,
        entry(12, "mixed-customers", "resolved", "globex", id="m1"),  # held, then of another customer
        entry(14, "mixed-customers", "resolved", id="m2"),  # places
        entry(15, "held-then-placed", "resolved", "globex", id="h1"),
        entry(16, "held-then-placed", "resolved", "globex", id="h1"),  # duplicate of a held one
        entry(17, "held-then-placed", "noted", "globex"),
        raw(20, "data", b"{nonsense"),
        raw(21, "key", "flat-event-1", "action", "resolved", "customer_key", "acme"),
        entry(22, "held-for-ever", "resolved", agent="ghost", id="g1"),
        entry(23, "held-for-ever", "unknown-action"),
        *placed,
        raw(29, "witnd", "tick"),
        *busy,
        entry(50, "reversed-1", "reopened", id="r2"),  # in time, before 65
        entry(51, "identity-1", "resolved"),
        entry(52, "identity-1", "resolved", agent="calls"),  # another agent
        entry(112, "confirmed-1", "reopened"),  # late: it was due at 61
        entry(113, "confirmed-1", "resolved", id="k1", value=3),  # still a duplicate
        entry(114, "together-0", "called", agent="calls", attribution=9),  # late
        entry(115, "confirmed-1", "refunded", id="k2", value=1),  # reverses
        entry(116, "confirmed-1", "refunded", id="k2", value=1),  # duplicate
        entry(117, "confirmed-1", "refunded", id="k2", value=2),  # conflict
        entry(118, "confirmed-1", "refunded", id="k3"),  # late: reversed once
        entry(119, "reversed-1", "refunded", id="r3"),  # late: it missed
        raw(210, "witnd", "retry", "key", "held-then-placed"),
        entry(220, "held-then-placed", "noted", "globex", id="h2"),
        entry(280, "dearer-1", "resolved"),
        entry(300, "tail-confirmed", "resolved"),
        entry(301, "tail-reversed", "resolved"),
        entry(302, "tail-pinned", "resolved", pin=340),
        entry(303, "tail-reversed", "reopened"),
        *[
            entry(304, f"tail-batch-{n}", "called", agent="calls", pin=350)._replace(ms=BASE + 304_000 + n)
            for n in range(5)
        ],
        # Behind midnight: another period of invoices.
        entry(6_500, "next-day-1", "called", agent="calls", attribution=2.5),
        entry(6_501, "next-day-2", "resolved", "globex"),
        entry(6_502, "dearer-1", "refunded"),  # late: the window ended at 940
        entry(6_600, "next-day-2", "refunded", "globex"),  # reverses, in the next period
    ]
    # confirmed, reversed, together × 6, mixed, held, flat, placed × 2, busy, identity, dearer, tail × 3, batch × 5,
    # two of the day after, and two reversals
    return Scenario(
        catalogue(url), log, outcomes=1 + 1 + 6 + 1 + 1 + 1 + 2 + 1 + 1 + 1 + 3 + 5 + 2 + 2, held=2, lines=LINES
    )


def outage(url: Any) -> tuple[Scenario, list[Entry]]:
    """What is in the log when the daemon dies, and what comes while it is away: across the due time of everything,
    and the reversal in time among it, behind more than a batch of other events."""
    before = [
        entry(0, "reversed-meanwhile", "resolved", id="o1"),
        entry(1, "stands-anyway", "resolved", id="o2"),
    ]
    busy = [entry(20 + n, f"busy-meanwhile-{n % 3}", "called", agent="calls", attribution=1) for n in range(12)]
    meanwhile = [
        *busy,
        entry(59, "reversed-meanwhile", "reopened", id="o3"),
        entry(61, "stands-anyway", "reopened", id="o4"),  # one second late: the border belongs to settlement
        entry(62, "stands-anyway", "refunded", id="o5"),  # in its window
        entry(200, "after-all-were-due", "resolved"),
    ]
    return Scenario(catalogue(url), before, outcomes=7, held=0), meanwhile
