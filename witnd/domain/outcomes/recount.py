"""Recount an outcome from its history and frozen terms, for the audit.

It shares no code with the fold's application of events, so that a mistake in one of them appears as a difference.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final, Protocol, TypeAlias

from msgspec import Struct

from witnd.domain.catalogue.contract import Contract
from witnd.domain.catalogue.terms.timers import KEEP
from witnd.domain.outcomes.event import EntryId, Value
from witnd.domain.outcomes.outcome import Outcome, Status
from witnd.domain.pricing.ratecard import Price
from witnd.domain.values import instant, money

# (instant, number in the log)
_Place: TypeAlias = tuple[int, int]


class AppliedEvent(Protocol):
    """An applied event of a history."""

    @property
    def entry(self) -> EntryId: ...
    @property
    def action(self) -> str: ...
    @property
    def timestamp(self) -> int | None: ...
    @property
    def value(self) -> Value | None: ...
    @property
    def attribution(self) -> Decimal | None: ...
    @property
    def pin(self) -> int | None: ...
    @property
    def placed_at(self) -> int | None: ...


class StoredOutcome(Protocol):
    """The stored record of an outcome."""

    @property
    def status(self) -> Status: ...
    @property
    def holds(self) -> bool: ...
    @property
    def customer_key(self) -> str: ...
    @property
    def opened_at(self) -> int: ...
    @property
    def settles_at(self) -> int: ...
    @property
    def processed_at(self) -> int | None: ...
    @property
    def events(self) -> int: ...
    @property
    def counts(self) -> list[int]: ...
    @property
    def values(self) -> list[Value | None]: ...
    @property
    def tally(self) -> tuple[int, Decimal] | None: ...
    @property
    def is_repaired(self) -> bool: ...
    @property
    def grade(self) -> int | None: ...
    @property
    def reversed_by(self) -> EntryId | None: ...
    @property
    def reversed_at(self) -> int | None: ...


class Difference(Struct, frozen=True, kw_only=True):
    """A difference between the stored and the expected value."""

    what: str
    expected: str
    found: str


class Recount:
    """Recounts one outcome: `add` its history in order, then read the results."""

    def __init__(self, contract: Contract) -> None:
        facts = contract.rule.facts
        self.contract = contract
        self.events = 0
        self.opened_at = 0
        self.settles_at = 0
        self.holds = False
        self.was_true = False
        self.counts = [0] * len(facts)
        self.values: list[Value | None] = [None] * len(facts)
        self.history_differences: list[Difference] = []
        self._latest: list[_Place | None] = [None] * len(facts)
        self._unit: tuple[_Place, Decimal] | None = None
        self._last: AppliedEvent | None = None

    def add(self, item: AppliedEvent) -> None:
        """Apply one event of the history."""
        accepted = item.entry[0]
        begins = accepted if item.placed_at is None else item.placed_at
        if self._last is None:
            self.opened_at = begins
        else:
            self._check_order(self._last, item)
        self._last = item
        self.events += 1
        place = (accepted if item.timestamp is None else item.timestamp, self.events)
        for fact, name in enumerate(self.contract.rule.facts):
            if name == item.action:
                self.counts[fact] += 1
                before = self._latest[fact]
                if item.value is not None and (before is None or place > before):
                    self._latest[fact], self.values[fact] = place, item.value
        if item.attribution is not None:
            self._unit = _best(self.contract.attribution_method, self._unit, place, item.attribution)
        self.settles_at = self._deadline(item, begins)
        self.holds = self.contract.rule.holds(self.counts, self.values)
        self.was_true = self.was_true or self.holds

    def _deadline(self, item: AppliedEvent, begins: int) -> int:
        """Return the deadline after an event whose timer begins at an instant (ms)."""
        if item.pin is not None:
            return max(item.pin, begins)
        timer = (self.contract.timers or {}).get(item.action, self.contract.settlement_period)
        if timer == KEEP:
            if self.events > 1:
                return self.settles_at
            timer = self.contract.settlement_period
        return begins + int(timer) * 1000

    def _check_order(self, last: AppliedEvent, item: AppliedEvent) -> None:
        at = f"event {entry_text(item.entry)}"
        if item.entry <= last.entry:
            self._add_difference(f"{at}: place in the history", f"after {entry_text(last.entry)}", "before it")
        # A placement ignores deadlines, those of held events and of the placing event.
        placing = item.placed_at is not None or last.placed_at == item.entry[0]
        if not placing and item.entry[0] >= self.settles_at:
            due = instant.render(self.settles_at)
            self._add_difference(at, f"late, the outcome was due at {due}", "applied")

    def _add_difference(self, what: str, expected: str, found: str) -> None:
        self.history_differences.append(Difference(what=what, expected=expected, found=found))

    @property
    def quantity(self) -> Decimal | None:
        """The billing unit, possibly negative; None without attributions."""
        return None if self._unit is None else self._unit[1]

    def status(self, *, settled: bool) -> Status:
        if not settled:
            return "PENDING" if self.was_true else "OPEN"
        return "CONFIRMED" if self.holds else "FAILED"

    @property
    def grade(self) -> int | None:
        """The place of the first grade that is true now; None without grades, or if none is true."""
        for place, holds in enumerate(self.contract.rule.grades):
            if holds(self.counts, self.values):
                return place
        return None

    def differences(self, found: StoredOutcome) -> list[Difference]:
        """Return the differences between the stored outcome and the recount."""
        settled = found.processed_at is not None
        pairs: list[tuple[str, object, object]] = [
            ("events", self.events, found.events),
            ("opened_at", instant.render(self.opened_at), instant.render(found.opened_at)),
            ("settles_at", instant.render(self.settles_at), instant.render(found.settles_at)),
            ("status", self.status(settled=settled), found.status),
            ("condition", _truth_text(self.holds), _truth_text(found.holds)),
        ]
        for fact, name in enumerate(self.contract.rule.facts):
            pairs.append((f"count of {name}", self.counts[fact], _item_at(found.counts, fact)))
            if self.contract.rule.wants_value[fact]:
                pairs.append((f"value of {name}", self.values[fact], _item_at(found.values, fact)))
        grade = self.grade if found.status == "CONFIRMED" else None
        pairs.append(("grade", _grade_text(self.contract, grade), _grade_text(self.contract, found.grade)))
        tally = None if found.tally is None else found.tally[1]
        pairs.append(("unit", _quantity_text(self.quantity), _quantity_text(tally)))
        wrong = list(self.history_differences)
        for what, expected, there in pairs:
            if expected != there or type(expected) is not type(there):
                one = Difference(what=what, expected=value_text(expected), found=value_text(there))
                wrong.append(one)
        if found.processed_at is not None and found.processed_at < found.settles_at:
            due, early = instant.render(found.settles_at), instant.render(found.processed_at)
            wrong.append(Difference(what="processed_at", expected=f"{due} or later", found=early))
        return wrong


class StoredReversal(Protocol):
    """A stored outcome that an event reversed."""

    @property
    def status(self) -> Status: ...
    @property
    def settles_at(self) -> int: ...
    @property
    def is_repaired(self) -> bool: ...
    @property
    def processed_at(self) -> int | None: ...


def reversal_differences(contract: Contract, found: StoredReversal, event: AppliedEvent) -> list[Difference]:
    """Return why an event cannot have reversed the stored outcome."""
    at, terms = f"reversing event {entry_text(event.entry)}", contract.reversal or {"window": 0, "on": []}
    accepted, due = event.entry[0], found.settles_at
    ends = due + int(terms["window"]) * 1000
    early = found.processed_at is not None and not found.is_repaired and accepted < found.processed_at
    wrong: list[tuple[str, str, str]] = []
    if found.status != "CONFIRMED":
        wrong.append((at, f"none: it is {found.status}", "one"))
    if event.action not in terms["on"]:
        wrong.append((f"action of {at}", ", ".join(terms["on"]) or "none", event.action))
    if accepted < due or early:
        wrong.append((at, f"accepted at {instant.render(due)} or later", f"at {instant.render(accepted)}"))
    if accepted >= ends:
        wrong.append((at, f"accepted before {instant.render(ends)}", f"at {instant.render(accepted)}"))
    return [Difference(what=what, expected=expected, found=there) for what, expected, there in wrong]


def restore_outcome(key: str, found: StoredOutcome, contract: Contract, prices: tuple[Price, ...]) -> Outcome:
    """Return the stored outcome as an Outcome. `prices`: that of each grade, or one without grades."""
    graded = None if contract.grades is None else prices
    made = Outcome(key, found.customer_key, contract, prices[found.grade or 0], found.opened_at, graded)
    made.grade = found.grade
    made.status = found.status
    made.holds = found.holds
    made.settles_at = found.settles_at
    made.processed_at = found.processed_at
    made.events = found.events
    made.counts = list(found.counts)
    made.values = list(found.values)
    made.tally = found.tally
    made.is_repaired = found.is_repaired
    made.reversed_by, made.reversed_at = found.reversed_by, found.reversed_at
    return made


def entry_text(entry: EntryId) -> str:
    return f"{entry[0]}-{entry[1]}"


def value_text(value: object) -> str:
    """Return the value for a table cell."""
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else repr(value)


_Candidate: TypeAlias = tuple[_Place, Decimal]
_METHODS: Final[dict[str, Callable[[_Candidate, _Candidate], _Candidate]]] = {
    "first": lambda kept, new: min(kept, new, key=lambda one: one[0]),
    "last": lambda kept, new: max(kept, new, key=lambda one: one[0]),
    "min": lambda kept, new: min(kept, new, key=lambda one: one[1]),
    "max": lambda kept, new: max(kept, new, key=lambda one: one[1]),
    "sum": lambda kept, new: (new[0], money.exact_sum((kept[1], new[1]))),
}


def _best(method: str, kept: _Candidate | None, place: _Place, quantity: Decimal) -> _Candidate:
    new = (place, quantity)
    return new if kept is None else _METHODS[method](kept, new)


def _truth_text(holds: bool) -> str:  # noqa: FBT001 - one word of the table
    return "true" if holds else "false"


def _grade_text(contract: Contract, place: int | None) -> str:
    count = 0 if contract.grades is None else len(contract.grades)
    if place is None:
        return "none"
    return str(contract.grade_at(place)) if 0 <= place < count else f"number {place}"


def _item_at(values: Sequence[object], place: int) -> object:
    return values[place] if place < len(values) else "missing"


def _quantity_text(quantity: Decimal | None) -> str:
    return "1 (no attribution)" if quantity is None else money.plain(quantity)
