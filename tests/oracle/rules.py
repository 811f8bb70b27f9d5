"""Conditions and money, recomputed from the full list of applied events each time.

Sections 5 and 6 of the contract. Nothing here remembers anything: every question is answered by
walking all events of the outcome again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Any

from tests.oracle.parse import Event, Value

MINOR_DIGITS = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3}
NEEDS_VALUE = ("match", "gte", "lte", "gt", "lt", "not gte", "not lte", "not gt", "not lt")

Id = tuple[int, int]


@dataclass(frozen=True)
class Applied:
    """An event that counts in its outcome."""

    id: Id
    event: Event
    applied_at: int  # ms of the entry that got it applied: its own, or the placing one

    @property
    def order(self) -> tuple[int, Id]:
        """The order of values: own timestamp or accepted_at, ties by log order."""
        stamp = self.event.timestamp
        return (self.id[0] if stamp is None else stamp, self.id)


# --- conditions ----------------------------------------------------------------------------------


def leaves(node: Any) -> Iterator[dict[str, Any]]:
    """Every leaf in order of appearance."""
    if isinstance(node, list):
        for child in node:
            yield from leaves(child)
    elif "op" not in node:
        yield node
    elif node["op"] == "NOT":
        yield from leaves(node["condition"])
    else:
        yield from leaves(node["conditions"])


def facts(condition: Any) -> list[str]:
    """Distinct facts in order of first appearance."""
    return list(dict.fromkeys(leaf["fact"] for leaf in leaves(condition)))


def facts_wanting_values(condition: Any) -> set[str]:
    """The facts of which some leaf reads the latest value."""
    return {leaf["fact"] for leaf in leaves(condition) if leaf["operator"] in NEEDS_VALUE}


def holds(node: Any, events: Sequence[Applied]) -> bool:
    """The truth of a whole condition (a list is an AND) or of one of its nodes."""
    if isinstance(node, list):
        return all(holds(child, events) for child in node)
    if "op" not in node:
        return leaf_holds(node, events)
    if node["op"] == "NOT":
        return not holds(node["condition"], events)
    if node["op"] == "OR":
        return any(holds(child, events) for child in node["conditions"])
    return all(holds(child, events) for child in node["conditions"])


def count(fact: str, events: Sequence[Applied]) -> int:
    """How many applied events have that action."""
    return sum(1 for one in events if one.event.action == fact)


def latest(fact: str, events: Sequence[Applied]) -> Value | None:
    """The latest value of an action; None where no event of it carries one."""
    carrying = [one for one in events if one.event.action == fact and one.event.value is not None]
    return max(carrying, key=lambda one: one.order).event.value if carrying else None


def leaf_holds(leaf: dict[str, Any], events: Sequence[Applied]) -> bool:
    """One leaf, one line per operator of the contract's table."""
    operator, wanted = leaf["operator"], leaf.get("value")
    seen, value = count(leaf["fact"], events), latest(leaf["fact"], events)
    if operator == "seen":
        return seen >= 1
    if operator == "not seen":
        return seen == 0
    if operator.startswith("count_"):
        return _compares(operator.removeprefix("count_"), seen, wanted)
    if operator == "match":
        if _kind(value) != _kind(wanted):
            return False
        return value == (float(wanted) if _kind(wanted) == "number" else wanted)
    if operator.startswith("not "):
        if seen == 0 or _kind(value) != "number":
            return True
        return not _compares(operator.removeprefix("not "), value, float(wanted))
    return _kind(value) == "number" and _compares(operator, value, float(wanted))


def _compares(name: str, left: Any, right: Any) -> bool:
    return bool(
        {
            "gte": left >= right,
            "lte": left <= right,
            "gt": left > right,
            "lt": left < right,
            "eq": left == right,
        }[name]
    )


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, str) else "nothing"


# --- money ---------------------------------------------------------------------------------------


def unit(method: str, events: Sequence[Applied]) -> Fraction:
    """What a confirmed outcome is billed for; never below 0."""
    in_order = sorted(events, key=lambda one: one.order)
    numbers = [one.event.attribution for one in in_order if one.event.attribution is not None]
    if not numbers:
        return Fraction(1)
    raw = {
        "first": numbers[0],
        "last": numbers[-1],
        "min": min(numbers),
        "max": max(numbers),
        "sum": sum(numbers, Fraction(0)),
    }[method]
    return max(raw, Fraction(0))


WHOLE_PERIOD = ("free_quota", "period_minimum")  # not where they are 0; a cap of 0 is one


def needs_whole_period(entry: dict[str, Any]) -> bool:
    """Whether an outcome under this entry of a rate card is rated when its period closes."""
    if entry.get("kind", "flat") not in ("flat", "percentage") or entry.get("period_cap") is not None:
        return True
    return any(Fraction(entry.get(name) or 0) != 0 for name in WHOLE_PERIOD)


def rated(entry: dict[str, Any], quantity: Fraction, currency: str) -> dict[str, Any]:
    """The members of a line that say what one outcome costs."""
    if needs_whole_period(entry):
        return {"price_per_unit": None, "amount": None, "amount_exact": None, "rated": "at_close"}
    if entry.get("kind", "flat") == "flat":
        each = Fraction(entry["price_per_unit"])
        cost, more = each * quantity, {}
    else:
        each = Fraction(entry["percent"]) / 100
        cost, more = part_of(entry, each * quantity, quantity, currency)
    return {
        "price_per_unit": plain(each),
        "amount": half_up(cost, currency),
        "amount_exact": plain(cost),
        "rated": "at_settlement",
        **more,
    }


def part_of(
    entry: dict[str, Any], part: Fraction, quantity: Fraction, currency: str
) -> tuple[Fraction, dict[str, Any]]:
    """A percentage within its bounds, and how it came about. Nothing of nothing costs nothing, whatever the bounds."""
    minor = 10 ** MINOR_DIGITS[currency]
    # Bounds that the currency cannot say are rounded inwards.
    least = Fraction(ceil(Fraction(entry.get("minimum") or 0) * minor), minor)
    most = None if entry.get("maximum") is None else Fraction(floor(Fraction(entry["maximum"]) * minor), minor)
    cost, bounded = part, {}
    if quantity and cost < least:
        cost, bounded = least, {"minimum": plain(least)}
    if quantity and most is not None and cost > most:
        cost, bounded = most, {"maximum": plain(most)}
    working = {
        "kind": "percentage",
        "unit": plain(quantity),
        "percent": plain(Fraction(entry["percent"])),
        "part": plain(part),
        **bounded,
        "exact": plain(cost),
        "rounded": half_up(cost, currency),
    }
    return cost, {"working": working}


def half_up(amount: Fraction, currency: str) -> str:
    """A non-negative amount with exactly the currency's minor digits."""
    digits = MINOR_DIGITS[currency]
    whole, minor = divmod(floor(amount * 10**digits + Fraction(1, 2)), 10**digits)
    return f"{whole}.{minor:0{digits}}" if digits else str(whole)


def plain(number: Fraction) -> str:
    """Plain notation with no superfluous zero; `number` is a finite non-negative decimal."""
    digits = 0
    while (number * 10**digits).denominator != 1:
        digits += 1
    whole, rest = divmod(int(number * 10**digits), 10**digits)
    return f"{whole}.{rest:0{digits}}" if digits else str(whole)
