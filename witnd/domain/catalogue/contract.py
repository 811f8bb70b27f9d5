"""A contract: one version of an agent, frozen into every outcome that opens under it.

It is identified by the digest of its content.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import force_setattr

from witnd.domain.catalogue import condition as conditions
from witnd.domain.catalogue.evaluate import Rule, compile_condition, compile_grades
from witnd.domain.catalogue.terms.grades import (
    GRADES,
    Grade,
    as_condition,
    read_condition,
    read_grades,
    without_replaced,
)
from witnd.domain.catalogue.terms.reversal import REVERSAL, Reversal, read_reversal
from witnd.domain.catalogue.terms.timers import Timer, read_timers, timers_ms
from witnd.domain.values.canonical import digest
from witnd.domain.values.fields import Table, short_repr, whole_number
from witnd.domain.values.mistake import Mistake

METHODS = ("first", "last", "min", "max", "sum")
MIN_PERIOD = 1
MAX_PERIOD = 15_552_000  # 180 days
DEFAULT_PERIOD = 259_200  # 72 hours

FIELDS = ("name", "settlement_period", "attribution_method", "condition", GRADES, "timers", REVERSAL)
# Absent from the content and its digest if they are not given. A contract has a condition or grades.
OPTIONAL_FIELDS = ("condition", GRADES, "timers", REVERSAL)


class Contract(Struct, frozen=True, kw_only=True, eq=False):
    """`condition` is canonical, `settlement_period` in seconds. Contracts with equal content are equal.

    With `grades`, the condition is true while any grade's condition is. `timers` has the period in seconds after events
    with an action, or `KEEP`; `timers_ms` has None for `KEEP`. `reversal` has the window in seconds, and the actions
    that reverse a confirmed outcome within it.
    """

    agent: str
    name: str
    settlement_period: int = DEFAULT_PERIOD
    attribution_method: str = "last"
    condition: list[dict[str, Any]]
    grades: tuple[Grade, ...] | None = None
    timers: dict[str, Timer] | None = None
    reversal: Reversal | None = None
    # Derived when the contract is created.
    hash: str = ""
    settlement_ms: int = 0
    timers_ms: dict[str, int | None] | None = None
    reversal_ms: int = 0
    reversing: frozenset[str] = frozenset()
    rule: Rule = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        # First, because it raises ValueError for an invalid condition.
        if self.grades is None:
            force_setattr(self, "rule", compile_condition(self.condition))
            force_setattr(self, "condition", conditions.canonical(self.condition))
        else:
            force_setattr(self, "rule", compile_grades([grade["condition"] for grade in self.grades]))
            force_setattr(self, "condition", as_condition(self.grades))
        force_setattr(self, "settlement_ms", self.settlement_period * 1000)
        # A customer's own empty table removes what the agent has.
        if not self.timers:
            force_setattr(self, "timers", None)
        if not self.reversal:
            force_setattr(self, "reversal", None)
        force_setattr(self, "timers_ms", None if self.timers is None else timers_ms(self.timers))
        if self.reversal is not None:
            force_setattr(self, "reversal_ms", self.reversal["window"] * 1000)
            force_setattr(self, "reversing", frozenset(self.reversal["on"]))
        force_setattr(self, "hash", digest(self.content | {"agent": self.agent}))

    @classmethod
    def from_content(cls, key: str, content: Mapping[str, Any]) -> "Contract":
        """Return the contract of an agent's catalogue content."""
        given = {name: content[name] for name in FIELDS if name in content or name not in OPTIONAL_FIELDS}
        if GRADES in given:
            given |= {GRADES: tuple(given[GRADES]), "condition": []}
        return cls(agent=key, **given)

    def with_terms(self, terms: Mapping[str, Any]) -> "Contract":
        """Return the contract with a customer's own terms in place of the agent's. A condition or grades replace
        whichever of them the agent has."""
        return Contract.from_content(self.agent, {**without_replaced(self.content, terms), **terms})

    @property
    def content(self) -> dict[str, Any]:
        """The catalogue content, without the agent's key."""
        content: dict[str, Any] = {name: getattr(self, name) for name in FIELDS[:3]}
        if self.grades is None:
            content["condition"] = self.condition
        else:
            content[GRADES] = list(self.grades)
        given = {"timers": self.timers, REVERSAL: self.reversal}
        return content | {name: table for name, table in given.items() if table is not None}

    def grade_at(self, index: int | None) -> str | None:
        """Return the key of a grade by its place, or None."""
        return None if index is None or self.grades is None else str(self.grades[index]["key"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Contract) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)


def read_agent(key: str, raw: object, path: str) -> tuple[dict[str, Any], list[Mistake]]:
    """Return the canonical content of an agent from user input, and its mistakes."""
    table = Table(raw, path, FIELDS)
    content: dict[str, Any] = {"name": table.text("name", default=key)}
    content |= {name: read(table) for name, read in _READERS.items()}
    content |= _read_rule(table, is_required=True)
    if (timers := read_timers(table)) is not None:
        content["timers"] = timers
    if (reversal := read_reversal(table)) is not None:
        content[REVERSAL] = reversal
    return content, table.mistakes


def _read_rule(table: Table, *, is_required: bool) -> dict[str, Any]:
    """Read the condition or the grades."""
    has_condition, has_grades = (table.get(name) is not None for name in ("condition", GRADES))
    if has_condition and has_grades:
        table.refuse(GRADES, "replace the condition; write grades or a condition, not both")
        return {}
    if has_grades:
        return {GRADES: read_grades(table)}
    return {"condition": read_condition(table)} if has_condition or is_required else {}


def read_own_terms(raw: object, path: str) -> tuple[dict[str, Any], list[Mistake]]:
    """Return a customer's own terms for one agent: its key and the given fields, at least one, and their mistakes."""
    table = Table(raw, path, ("agent", *FIELDS))
    terms: dict[str, Any] = {"agent": table.text("agent")}
    if table.get("name") is not None:
        terms["name"] = table.text("name")
    terms |= {name: read(table) for name, read in _READERS.items() if table.get(name) is not None}
    terms |= _read_rule(table, is_required=False)
    if (timers := read_timers(table, allow_empty=True)) is not None:
        terms["timers"] = timers
    if (reversal := read_reversal(table, allow_empty=True)) is not None:
        terms[REVERSAL] = reversal
    if len(terms) == 1 and isinstance(raw, Mapping) and not table.mistakes:
        table.mistakes.append(Mistake(path, "changes nothing; write one of " + ", ".join(FIELDS) + ", or remove it"))
    return terms, table.mistakes


def _method(table: Table) -> str:
    return table.choice("attribution_method", METHODS, "last")


def _period(table: Table) -> int:
    value = table.get("settlement_period")
    if value is None:
        return DEFAULT_PERIOD
    seconds = whole_number(value)
    if seconds is None:
        problem = f"is {short_repr(value)}; write whole seconds without quotes"
    elif not MIN_PERIOD <= seconds <= MAX_PERIOD:
        limits = f"{MIN_PERIOD} to {MAX_PERIOD} (180 days)"
        problem = f"is {short_repr(value)}; write whole seconds from {limits}"
    else:
        return seconds
    table.refuse("settlement_period", problem)
    return DEFAULT_PERIOD


# Readers of required fields except the name and the condition, for agents and customers' own terms.
_READERS: dict[str, Callable[[Table], Any]] = {
    "settlement_period": _period,
    "attribution_method": _method,
}
