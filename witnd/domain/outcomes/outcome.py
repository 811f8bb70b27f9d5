"""The outcome: its states, and the two operations that change them.

Rule 1: every change of a status happens in this module.
Rule 2: this module does no I/O and reads no clock.
Rule 3: a final outcome never changes, except that a confirmed one can be reversed once; callers check first. A reversal
    leaves the status CONFIRMED.

    – ──event──► OPEN ──condition true──► PENDING        (never back to OPEN)
                  │                          │
                settles                   settles
                  ▼                          ▼
                FAILED       CONFIRMED if the condition is true at that moment, else FAILED
"""

from typing import Literal, TypeAlias

from witnd.domain.catalogue.contract import Contract
from witnd.domain.outcomes.attribution import Tally, update_tally
from witnd.domain.outcomes.event import EntryId, Event, Value
from witnd.domain.pricing.ratecard import Price

Status: TypeAlias = Literal["OPEN", "PENDING", "CONFIRMED", "FAILED"]
STATUSES: tuple[Status, ...] = ("OPEN", "PENDING", "CONFIRMED", "FAILED")

# Allowed transitions. The diagram in the documentation and a test use this table.
NEXT: dict[Status, tuple[Status, ...]] = {
    "OPEN": ("PENDING", "FAILED"),
    "PENDING": ("CONFIRMED", "FAILED"),
    "CONFIRMED": (),
    "FAILED": (),
}


class Outcome:
    """An instance of an agent for one customer. Mutable: `apply` changes it in place. Instants in ms."""

    __slots__ = (
        "contract",
        "counts",
        "customer_key",
        "events",
        "grade",
        "graded",
        "holds",
        "is_repaired",
        "key",
        "opened_at",
        "orders",
        "price",
        "processed_at",
        "reversed_at",
        "reversed_by",
        "settles_at",
        "status",
        "tally",
        "values",
    )

    def __init__(
        self,
        key: str,
        customer_key: str,
        contract: Contract,
        price: Price,
        opened_at: int,
        graded: tuple[Price, ...] | None = None,
    ) -> None:
        facts = len(contract.rule.facts)
        self.key = key
        self.customer_key = customer_key
        self.contract = contract
        self.price = price
        # The price of each grade, None without grades. Settlement sets the place of the grade, and its price.
        self.graded = graded
        self.grade: int | None = None
        self.opened_at = opened_at
        self.settles_at = opened_at
        self.processed_at: int | None = None
        self.reversed_by: EntryId | None = None  # the entry of the event that reversed it
        self.reversed_at: int | None = None  # its acceptance, or the repair if it waited for one
        self.status: Status = "OPEN"
        self.holds = False
        self.is_repaired = False  # on hold at its deadline, and settled after the repair
        self.events = 0
        self.counts = [0] * facts
        self.values: list[Value | None] = [None] * facts
        self.orders = [0] * facts
        self.tally: Tally = None

    @property
    def is_final(self) -> bool:
        return self.processed_at is not None

    @property
    def scheduled_resolution(self) -> Status | None:
        """The status a PENDING outcome would get if it settled now."""
        if self.status != "PENDING":
            return None
        return "CONFIRMED" if self.holds else "FAILED"

    @property
    def grade_now(self) -> int:
        """The place of the first grade whose condition is true. One of them must be."""
        grades = self.contract.rule.grades
        return next(place for place, holds in enumerate(grades) if holds(self.counts, self.values))

    def apply(self, event: Event, accepted_at: int, timer_from: int) -> None:
        """Apply one event. The settlement period, or the timer of the event's action, starts at `timer_from`: the
        acceptance of the event, or of the entry that placed it."""
        rule = self.contract.rule
        self.events += 1
        order = accepted_at if event.timestamp is None else event.timestamp
        fact = rule.index.get(event.action)
        if fact is not None:
            self.counts[fact] += 1
            # The greatest order wins; log order decides between equal ones.
            if event.value is not None and (self.values[fact] is None or order >= self.orders[fact]):
                self.values[fact] = event.value
                self.orders[fact] = order
        if event.attribution is not None:
            self.tally = update_tally(self.contract.attribution_method, self.tally, order, event.attribution)
        pin = event.pin
        if pin is not None:
            self.settles_at = pin if pin > timer_from else timer_from
        elif (timers := self.contract.timers_ms) is None:
            self.settles_at = timer_from + self.contract.settlement_ms
        else:
            period = timers.get(event.action, self.contract.settlement_ms)
            if period is not None:
                self.settles_at = timer_from + period
            elif self.events == 1:
                self.settles_at = timer_from + self.contract.settlement_ms
        if fact is not None or self.events == 1:
            self.holds = rule.holds(self.counts, self.values)
            if self.holds and self.status == "OPEN":
                self.status = "PENDING"

    def settle(self, processed_at: int) -> None:
        """Make the outcome final. `processed_at` is the instant of the first entry after `settles_at`."""
        assert not self.is_final, self
        self.status = "CONFIRMED" if self.status == "PENDING" and self.holds else "FAILED"
        if self.graded is not None and self.status == "CONFIRMED":
            self.grade = place = self.grade_now
            self.price = self.graded[place]
        self.processed_at = processed_at

    def can_be_reversed(self, action: str, accepted_at: int) -> bool:
        """Return whether an event reverses the outcome: it was confirmed and not reversed yet, the action is in its
        terms, and the window after the resolution is not over."""
        return (
            action in self.contract.reversing
            and self.processed_at is not None
            and self.status == "CONFIRMED"
            and self.reversed_by is None
            and accepted_at < self.settles_at + self.contract.reversal_ms
        )

    def reverse(self, entry: EntryId, at: int) -> None:
        """Record the entry of the event that reverses the outcome, and the instant (ms) at which it does so."""
        assert self.status == "CONFIRMED", self
        assert self.reversed_by is None, self
        self.reversed_by, self.reversed_at = entry, at

    def __repr__(self) -> str:
        return f"<Outcome {self.key} {self.status} {self.events} events settles_at={self.settles_at}>"
