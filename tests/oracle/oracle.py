"""The contract for one partition, naively: sections 2, 3, 4.2, 4.3, the outputs of 6 and 7.

Every outcome is only the list of its applied events and the terms it froze; state, timer, unit and
truth are recomputed from that list whenever somebody asks. Due outcomes are found by looking at all
of them. The readings chosen where the contract leaves room are numbered in README.md (R1, R2 …).
"""

import hashlib
import uuid
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from tests.oracle import rules
from tests.oracle.parse import Event, RefusedError, Retry, Tick, Value, parse_entry, write_instant
from tests.oracle.rules import Applied, Id

Entry = tuple[int, int, dict[bytes, bytes]]
Fate = tuple[str, str | None]

SOURCES = {
    "outcome_succeed": ("both", "outcome_confirmed"),
    "outcome_failed": ("both", "outcome_missed"),
    "outcome_reversed": ("outcome_reversed",),
}
HELD_LIMIT = 1000
IDEMPOTENCY_MS = 35 * 86_400_000
RULE_NAMESPACE = uuid.UUID("6f1c1d0e-7d0c-5b0a-9a53-5d7b2a0c9e11")


@dataclass(frozen=True)
class Change:
    """One version of one thing of the catalogue."""

    kind: str  # customer | agent | rate_card | notification_rule
    key: str
    effective_from: int
    archived: bool
    content: dict[str, Any]


@dataclass
class OutcomeView:
    """An outcome as a reader would see it after the last entry."""

    key: str
    status: str
    scheduled_resolution: str | None
    customer_key: str
    agent_key: str
    opened_at: int
    settles_at: int
    events_count: int
    applied_ids: list[str]
    reversed_by: str | None  # the entry of the event that reversed it
    counts: dict[str, int]  # per fact, in order of first appearance
    values: dict[str, Value | None]  # latest value per fact
    truth: list[bool]  # per leaf, in order of appearance
    unit: Fraction  # what it would be billed for, if it confirmed now
    contract: dict[str, Any]  # the frozen agent's content
    price: dict[str, Any]  # currency, entry, and whose own it is or None


@dataclass
class World:
    """Everything the log and the catalogue's history lead to."""

    fates: dict[str, Fate] = field(default_factory=dict)
    outcomes: dict[str, OutcomeView] = field(default_factory=dict)
    resolutions: list[dict[str, Any]] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    deliveries: list[dict[str, Any]] = field(default_factory=list)
    held: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Terms:
    """What routing finds: an agent's version and a price."""

    agent_key: str
    contract: dict[str, Any]
    currency: str
    # Of the rate card or the customer, as written: one for each grade, or one without grades.
    entries: list[dict[str, Any]]
    own: str | None  # whose entries they are, where they are not the card's


@dataclass
class Outcome:
    """The frozen terms and the applied events; everything else is computed."""

    key: str
    customer_key: str
    terms: Terms
    opened_at: int
    applied: list[Applied] = field(default_factory=list)
    final: str | None = None
    reversing: tuple[Id, Event] | None = None  # what reversed it, once it was confirmed

    @property
    def condition(self) -> Any:
        """The frozen billable condition."""
        return rule_of(self.terms.contract)

    @property
    def grade(self) -> int | None:
        """The place of the first grade that is true now."""
        for place, grade in enumerate(self.terms.contract.get("grades", [])):
            if rules.holds(grade["condition"], self.applied):
                return place
        return None

    @property
    def entry(self) -> dict[str, Any]:
        """What a confirmed outcome is billed by; before that, the entry of the first grade."""
        return self.terms.entries[(self.grade or 0) if self.final == "CONFIRMED" else 0]

    @property
    def settles_at(self) -> int:
        """Set by the last applied event whose timer does not keep it."""
        period = self.terms.contract.get("settlement_period", 259_200)
        timers = self.terms.contract.get("timers") or {}
        due = self.applied[0].applied_at + period * 1000
        for one in self.applied:
            timer = timers.get(one.event.action, period)
            if one.event.pin is not None:
                due = max(one.event.pin, one.applied_at)
            elif timer != "keep":
                due = one.applied_at + timer * 1000
        return due

    @property
    def window(self) -> int:
        """For how many ms after the resolution it can be reversed; 0 without such terms."""
        return int((self.terms.contract.get("reversal") or {"window": 0})["window"] * 1000)

    def is_reversed_by(self, event: Event, now: int) -> bool:
        """Section 11.3: confirmed, not reversed before, one of the actions, before the end of the window."""
        terms = self.terms.contract.get("reversal") or {"on": []}
        if self.final != "CONFIRMED" or self.reversing is not None:
            return False
        return event.action in terms["on"] and now < self.settles_at + self.window

    @property
    def true_now(self) -> bool:
        """Whether the condition holds."""
        return rules.holds(self.condition, self.applied)

    @property
    def ever_true(self) -> bool:
        """Whether it held after any of the applied events."""
        return any(rules.holds(self.condition, self.applied[: length + 1]) for length in range(len(self.applied)))

    @property
    def would_be(self) -> str:
        """What it becomes if it settles now."""
        return "CONFIRMED" if self.true_now else "FAILED"

    @property
    def unit(self) -> Fraction:
        """What it is billed for if it confirms now."""
        return rules.unit(self.terms.contract.get("attribution_method", "last"), self.applied)


def run(
    entries: Iterable[Entry],
    changes: Iterable[Change],
    *,
    partition: int = 0,
    partitions: int = 1,
    held_limit: int = HELD_LIMIT,
) -> World:
    """Read the log from its first entry to its last; after the last one nothing more resolves."""
    partition_of_log = _Partition(list(changes), partition, partitions, held_limit)
    for ms, seq, fields in entries:
        partition_of_log.settle(ms)
        partition_of_log.take((ms, seq), fields)
    return partition_of_log.world()


class _Partition:
    def __init__(self, changes: list[Change], number: int, of: int, held_limit: int) -> None:
        self.changes = changes
        self.number = number
        self.of = of
        self.held_limit = held_limit
        self.outcomes: dict[str, Outcome] = {}
        self.held: dict[str, list[tuple[Id, Event]]] = {}
        self.fates: dict[Id, Fate] = {}
        self.resolutions: list[dict[str, Any]] = []
        self.lines: list[dict[str, Any]] = []
        self.deliveries: list[dict[str, Any]] = []

    # --- the catalogue ---

    def in_force(self, kind: str, key: str, at: int) -> Change | None:
        """The version of one thing that is in force at an instant, archived or not."""
        versions = [one for one in self.changes if one.kind == kind and one.key == key and one.effective_from <= at]
        return max(versions, key=lambda one: one.effective_from) if versions else None

    def living(self, kind: str, at: int) -> dict[str, Change]:
        """All things of a kind in force and not archived at an instant."""
        keys = sorted({one.key for one in self.changes if one.kind == kind})
        versions = {key: self.in_force(kind, key, at) for key in keys}
        return {key: one for key, one in versions.items() if one is not None and not one.archived}

    def route(self, event: Event, at: int) -> Terms | str:
        """Sections 4.2 (2) to (5): terms, or the reason to hold."""
        customer = self.in_force("customer", event.customer_key, at)  # archived ones too: R9
        if customer is None:
            return "UNKNOWN_CUSTOMER"
        agents = {key: _as_agreed(one, customer) for key, one in self.living("agent", at).items()}
        if event.agent_key is not None:
            if event.agent_key not in agents:
                return "UNKNOWN_AGENT"
            agent = agents[event.agent_key]
        else:
            naming = [one for one in agents.values() if event.action in rules.facts(rule_of(one.content))]
            if len(agents) == 1:
                agent = next(iter(agents.values()))
            elif len(naming) == 1:
                agent = naming[0]
            else:
                return "AGENT_AMBIGUOUS"
        card_key = customer.content.get("rate_card")
        card = None if card_key is None else self.in_force("rate_card", card_key, at)
        if card is None:
            return "NO_RATE_CARD"
        # The customer's own entries replace those of its card for this agent, in the same currency.
        whose: str | None = customer.key
        priced = [entry for entry in customer.content.get("entries", []) if entry["agent"] == agent.key]
        if not priced:
            whose, priced = None, [entry for entry in card.content["entries"] if entry["agent"] == agent.key]
        by_grade = {entry.get("grade"): entry for entry in priced}
        grades = [grade["key"] for grade in agent.content.get("grades", [])] or [None]
        found = [by_grade.get(grade, by_grade.get(None)) for grade in grades]
        if None in found:
            return "NO_PRICE"
        entries = [entry for entry in found if entry is not None]
        return Terms(agent.key, agent.content, card.content["currency"], entries, whose)

    # --- one entry ---

    def take(self, entry: Id, fields: dict[bytes, bytes]) -> None:
        """Give the entry its fate (control entries have none)."""
        try:
            read = parse_entry(fields)
        except RefusedError:
            self.fates[entry] = ("rejected", "INVALID_EVENT")
            return
        if isinstance(read, Tick):
            return
        if isinstance(read, Retry):
            self.retry(entry[0], read.key)
            return
        fate = self.fate_of(entry, read)
        if fate is not None:
            self.fates[entry] = fate

    def fate_of(self, entry: Id, event: Event) -> Fate | None:
        """The questions of section 4.3 in their order; None where applying has set the fate."""
        now = entry[0]
        if zlib.crc32(event.key.encode()) % self.of != self.number:
            return ("rejected", "WRONG_PARTITION")
        outcome = self.outcomes.get(event.key)
        first = self.same_idempotency_key(event, now)
        if first is not None:
            return ("duplicate" if first.content == event.content else "conflict", None)
        if outcome is not None:
            if _mismatch(outcome, event):
                return ("rejected", "IDENTITY_MISMATCH")
            if outcome.is_reversed_by(event, now):
                self.reverse(outcome, entry, event)
                return ("reversed", None)
            if outcome.final is not None:
                return ("late", "OUTCOME_NOT_OPEN")
            self.apply(outcome, entry, event, now)
            return None
        terms = self.route(event, now)
        waiting = self.held.setdefault(event.key, [])
        if isinstance(terms, str):
            if len(waiting) >= self.held_limit:
                return ("rejected", "HELD_LIMIT")
            waiting.append((entry, event))
            return ("held", terms)
        self.place(event, terms, [*waiting, (entry, event)], now)
        return None

    def same_idempotency_key(self, event: Event, now: int) -> Event | None:
        """The event that has taken this event's idempotency key, if that is still honoured."""
        if event.idempotency_key is None:
            return None
        outcome = self.outcomes.get(event.key)
        known = [waiting for _, waiting in self.held.get(event.key, [])]
        if outcome is not None:
            if outcome.final is not None and now >= outcome.settles_at + max(IDEMPOTENCY_MS, outcome.window):
                return None
            known += [one.event for one in outcome.applied]
            known += [] if outcome.reversing is None else [outcome.reversing[1]]
        for one in known:
            if one.idempotency_key == event.idempotency_key:
                return one
        return None

    def retry(self, now: int, key: str | None) -> None:
        """Place with the first held event that can be placed now."""
        if key is None:
            return
        waiting = self.held.get(key, [])
        for _, event in waiting:
            terms = self.route(event, now)
            if isinstance(terms, Terms):
                self.place(event, terms, waiting, now)
                return

    def place(self, opener: Event, terms: Terms, waiting: list[tuple[Id, Event]], now: int) -> None:
        """One step in which no deadline is looked at."""
        outcome = Outcome(opener.key, opener.customer_key, terms, now)
        self.outcomes[opener.key] = outcome
        self.held.pop(opener.key, None)
        for entry, event in waiting:
            if _mismatch(outcome, event):
                self.fates[entry] = ("rejected", "IDENTITY_MISMATCH")
            else:
                self.apply(outcome, entry, event, now)

    def apply(self, outcome: Outcome, entry: Id, event: Event, now: int) -> None:
        """Append; all else follows from the list."""
        outcome.applied.append(Applied(entry, event, now))
        self.fates[entry] = ("applied", None)

    # --- settlement ---

    def settle(self, now: int) -> None:
        """Resolve all that is due at `now`, before the entry of that ms is applied."""
        due = [one for one in self.outcomes.values() if one.final is None and one.settles_at <= now]
        for outcome in sorted(due, key=lambda one: (one.settles_at, one.key.encode())):
            self.resolve(outcome, now)

    def resolve(self, outcome: Outcome, now: int) -> None:
        """Write the resolution, the line of a confirmed outcome, and the deliveries."""
        outcome.final = outcome.would_be
        kind = "outcome_succeed" if outcome.final == "CONFIRMED" else "outcome_failed"
        settled = write_instant(outcome.settles_at)
        bill = _bill(outcome) if outcome.final == "CONFIRMED" else {}
        identity = _identity(outcome)
        if bill:
            digits = rules.MINOR_DIGITS[outcome.terms.currency]
            line = {"kind": "line", "id": bill.pop("line_id"), **identity, **bill}
            self.lines.append({**line, "digits": digits, "resolved_at": settled})
            bill.pop("working", None)
            bill["line_id"] = line["id"]
        resolution: dict[str, Any] = {
            "id": _digest("resolution", outcome.key),
            "type": kind,
            **identity,
            "status": outcome.final,
            "opened_at": write_instant(outcome.opened_at),
            "settles_at": settled,
            "processed_at": write_instant(now),
            "events_count": len(outcome.applied),
        }
        self.resolutions.append({"grade": None, **resolution, **bill})
        self.notify(outcome, kind, outcome.settles_at, bill)

    def reverse(self, outcome: Outcome, entry: Id, event: Event) -> None:
        """Section 11.3: the outcome stays CONFIRMED; one more entry in both streams, and deliveries."""
        outcome.reversing = (entry, event)
        bill = _bill(outcome)
        told = {
            "id": _digest("reversal", outcome.key),
            **_identity(outcome),
            "grade": bill["grade"],
            "reversed_at": write_instant(entry[0]),
            "entry": _name(entry),
            "line_id": bill["line_id"],
        }
        self.resolutions.append({"type": "outcome_reversed", **told})
        of_line = {"currency": outcome.terms.currency, "rated": bill["rated"]}
        self.lines.append({"kind": "reversal", **told, **of_line, "resolved_at": write_instant(outcome.settles_at)})
        self.notify(outcome, "outcome_reversed", entry[0], {**bill, "reversed_at": told["reversed_at"]})

    def notify(self, outcome: Outcome, kind: str, at: int, bill: dict[str, Any]) -> None:
        """One delivery for each matching rule in force and enabled at resolved_at or reversed_at."""
        sources = SOURCES[kind]
        settled = write_instant(outcome.settles_at)
        for name, rule in self.living("notification_rule", at).items():
            agent = rule.content.get("agent")
            if not rule.content["enabled"] or rule.content["source"] not in sources:
                continue
            if agent is not None and agent != outcome.terms.agent_key:
                continue
            rule_id = str(uuid.uuid5(RULE_NAMESPACE, name))
            delivery_id = _digest("delivery", rule_id, outcome.key, kind)
            told = ("unit", "amount", "currency", "line_id", "grade", "reversed_at")
            extension = {part: bill[part] for part in told if part in bill}
            body = {
                "id": delivery_id,
                "type": kind,
                "createdAt": write_instant(at),
                "data": {
                    "rule": {"id": rule_id, "name": name},
                    "subjectKey": outcome.key,
                    "facts": {
                        "outcomeKey": outcome.key,
                        "customerKey": outcome.customer_key,
                        "agentKey": outcome.terms.agent_key,
                        "agentName": outcome.terms.contract["name"],
                    },
                    "outcome": {"status": outcome.final, "settles_at": settled, **extension},
                },
            }
            self.deliveries.append(
                {
                    "id": delivery_id,
                    "rule_id": rule_id,
                    "rule_name": name,
                    "type": kind,
                    "outcome_key": outcome.key,
                    "created_at": write_instant(at),
                    "body": body,
                }
            )

    # --- the answer ---

    def world(self) -> World:
        """What a reader sees."""
        return World(
            fates={_name(entry): fate for entry, fate in sorted(self.fates.items())},
            outcomes={key: _view(one) for key, one in self.outcomes.items()},
            resolutions=self.resolutions,
            lines=self.lines,
            deliveries=self.deliveries,
            held={key: [_name(entry) for entry, _ in waiting] for key, waiting in self.held.items() if waiting},
        )


def _identity(outcome: Outcome) -> dict[str, Any]:
    return {
        "outcome_key": outcome.key,
        "customer_key": outcome.customer_key,
        "agent_key": outcome.terms.agent_key,
    }


def _bill(outcome: Outcome) -> dict[str, Any]:
    """What a confirmed outcome costs, its grade and the id of its line."""
    grades = outcome.terms.contract.get("grades", [])
    return {
        "unit": rules.plain(outcome.unit),
        "currency": outcome.terms.currency,
        **rules.rated(outcome.entry, outcome.unit, outcome.terms.currency),
        "grade": None if outcome.grade is None else grades[outcome.grade]["key"],
        "line_id": _digest("line", outcome.key),
    }


def _as_agreed(agent: Change, customer: Change) -> Change:
    """The agent as this customer has it: what its own terms give replaces what the agent says."""
    own = [terms for terms in customer.content.get("agents", []) if terms["agent"] == agent.key]
    given = {name: item for terms in own for name, item in terms.items() if name != "agent"}
    content = agent.content
    if "condition" in given or "grades" in given:
        content = {name: item for name, item in content.items() if name not in ("condition", "grades")}
    return replace(agent, content={**content, **given})


def rule_of(contract: dict[str, Any]) -> Any:
    """The condition of a contract; with grades, whether any of theirs is true."""
    if "grades" not in contract:
        return contract["condition"]
    return [{"op": "OR", "conditions": [_both(grade["condition"]) for grade in contract["grades"]]}]


def _both(condition: Any) -> Any:
    nodes = condition if isinstance(condition, list) else [condition]
    return {"op": "AND", "conditions": nodes}


def _mismatch(outcome: Outcome, event: Event) -> bool:
    """Whether the event names another customer or agent than its outcome's."""
    if event.customer_key != outcome.customer_key:
        return True
    return event.agent_key is not None and event.agent_key != outcome.terms.agent_key


def _view(outcome: Outcome) -> OutcomeView:
    status, scheduled = outcome.final, None
    if status is None:
        status = "PENDING" if outcome.ever_true else "OPEN"
        scheduled = outcome.would_be if outcome.ever_true else None
    names = rules.facts(outcome.condition)
    return OutcomeView(
        key=outcome.key,
        status=status,
        scheduled_resolution=scheduled,
        customer_key=outcome.customer_key,
        agent_key=outcome.terms.agent_key,
        opened_at=outcome.opened_at,
        settles_at=outcome.settles_at,
        events_count=len(outcome.applied),
        applied_ids=[_name(one.id) for one in outcome.applied],
        reversed_by=None if outcome.reversing is None else _name(outcome.reversing[0]),
        counts={fact: rules.count(fact, outcome.applied) for fact in names},
        values={fact: rules.latest(fact, outcome.applied) for fact in names},
        truth=[rules.leaf_holds(leaf, outcome.applied) for leaf in rules.leaves(outcome.condition)],
        unit=outcome.unit,
        contract=outcome.terms.contract,
        price={
            "currency": outcome.terms.currency,
            "entry": outcome.entry,
            "customer": outcome.terms.own,
        },
    )


def _name(entry: Id) -> str:
    return f"{entry[0]}-{entry[1]}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def ids(entries: Sequence[Entry]) -> list[str]:
    """The ids of a log, as `ms-seq`."""
    return [_name((ms, seq)) for ms, seq, _ in entries]
