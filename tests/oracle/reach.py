"""The corners of the contract that generated logs must reach, and what one log has reached.

A law that is checked on logs without placements, ties or bounds of prices says nothing about them.
"""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

from tests.oracle.logs import DAY, Log
from tests.oracle.oracle import OutcomeView, World, run
from tests.oracle.parse import Event, RefusedError, parse_entry

REASONS: dict[str, set[str | None]] = {
    "applied": {None},
    "duplicate": {None},
    "conflict": {None},
    "reversed": {None},
    "late": {"OUTCOME_NOT_OPEN"},
    "held": {"UNKNOWN_CUSTOMER", "UNKNOWN_AGENT", "AGENT_AMBIGUOUS", "NO_RATE_CARD", "NO_PRICE"},
    "rejected": {"INVALID_EVENT", "WRONG_PARTITION", "IDENTITY_MISMATCH", "HELD_LIMIT"},
}
FATES = {f"{fate}: {reason}" for fate, reasons in REASONS.items() for reason in reasons}


def _opened_with(world: World, least: int) -> bool:
    return any(
        sum(int(name.split("-")[0]) < one.opened_at for name in one.applied_ids) >= least
        for one in world.outcomes.values()
    )


def _is_placed(one: OutcomeView) -> bool:
    return any(int(name.split("-")[0]) < one.opened_at for name in one.applied_ids)


def _bills(world: World) -> list[dict[str, Any]]:
    """The lines without their reversals."""
    return [one for one in world.lines if one["kind"] == "line"]


def _settlements(world: World) -> list[dict[str, Any]]:
    """The resolutions without reversals."""
    return [one for one in world.resolutions if one["type"] != "outcome_reversed"]


def _rounded_up(world: World) -> bool:
    return any(
        one["amount"] is not None and Fraction(one["amount"]) > Fraction(one["amount_exact"]) for one in _bills(world)
    )


def _own_terms_and_common(world: World) -> bool:
    met = {(one.agent_key, one.contract["name"] == "Own") for one in world.outcomes.values()}
    return len(met) > len({agent for agent, _ in met})


CORNERS: dict[str, Callable[[World], bool]] = {
    "placement": lambda world: _opened_with(world, 1),
    "placement of several": lambda world: _opened_with(world, 2),
    "three resolutions": lambda world: len(_settlements(world)) >= 3,
    "two resolved by one entry": lambda world: (
        len({one["processed_at"] for one in _settlements(world)}) < len(_settlements(world))
    ),
    "two due in the same ms": lambda world: (
        len({one["settles_at"] for one in _settlements(world)}) < len(_settlements(world))
    ),
    "a pin at or before now": lambda world: any(one["opened_at"] == one["settles_at"] for one in _settlements(world)),
    "PENDING turned false": lambda world: any(one.scheduled_resolution == "FAILED" for one in world.outcomes.values()),
    "unit 0": lambda world: any(Fraction(one["unit"]) == 0 for one in _bills(world)),
    "rounded up": _rounded_up,
    "rated at close": lambda world: any(one["rated"] == "at_close" for one in _bills(world)),
    "at least": lambda world: any("minimum" in one.get("working", {}) for one in world.lines),
    "at most": lambda world: any("maximum" in one.get("working", {}) for one in world.lines),
    "two deliveries": lambda world: len(world.deliveries) >= 2,
    "an own price": lambda world: any(one.price["customer"] is not None for one in world.outcomes.values()),
    "an agent with own terms and without": _own_terms_and_common,
    "a reversal of a graded outcome": lambda world: any(
        one["type"] == "outcome_reversed" and one["grade"] is not None for one in world.resolutions
    ),
    "a reversal of a placed outcome": lambda world: any(
        one.reversed_by is not None and _is_placed(one) for one in world.outcomes.values()
    ),
    "a reversal under timers": lambda world: any(
        one.reversed_by is not None and "timers" in one.contract for one in world.outcomes.values()
    ),
    "a reversal under own terms": lambda world: any(
        one.reversed_by is not None and one.contract["name"] == "Own" for one in world.outcomes.values()
    ),
    "a reversal of a line rated at close": lambda world: any(
        one["kind"] == "reversal" and one["rated"] == "at_close" for one in world.lines
    ),
    "a delivery of a reversal": lambda world: any(one["type"] == "outcome_reversed" for one in world.deliveries),
    "two reversals": lambda world: sum(one["type"] == "outcome_reversed" for one in world.resolutions) >= 2,
}
# Corners that need the log beside the world: what became of an event that names a reversing action or its key.
REVERSALS = (
    "reversed at the last ms of the window",
    "late at the end of the window",
    "reversed after 35 days",
    "a second reversing event",
    "a reversing event of a missed outcome",
    "a duplicate of the reversing event",
    "a conflict with the reversing event",
    "a duplicate after 35 days, within a longer window",
    "another action after settlement",
    "another agent's reversing event",
)
PLACED_ELSEWHERE = "an event that own terms place elsewhere"
EVERYTHING = {*FATES, *CORNERS, *REVERSALS, PLACED_ELSEWHERE}


def reached(log: Log) -> set[str]:
    """What of EVERYTHING there is in this log."""
    entries, changes = log
    halved = run(entries, changes, partitions=2, held_limit=2)
    found = {f"{fate}: {reason}" for fate, reason in halved.fates.values()}
    world = run(entries, changes)
    found |= {name for name, met in CORNERS.items() if met(world)}
    bare = [
        replace(one, content={name: item for name, item in one.content.items() if name != "agents"}) for one in changes
    ]
    own, common = world.outcomes, run(entries, bare).outcomes
    if any(own[key].agent_key != common[key].agent_key for key in own.keys() & common.keys()):
        found.add(PLACED_ELSEWHERE)
    return found | _reversals(log, world)


def _reversals(log: Log, world: World) -> set[str]:
    """Which of REVERSALS there are in this log."""
    found: set[str] = set()
    events = {f"{ms}-{seq}": event for ms, seq, fields in log[0] if (event := _event(fields)) is not None}
    for name, (fate, reason) in world.fates.items():
        event, ms = events.get(name), int(name.split("-")[0])
        one = None if event is None else world.outcomes.get(event.key)
        if event is None or one is None or one.status not in ("CONFIRMED", "FAILED") or ms < one.settles_at:
            continue
        terms = one.contract.get("reversal") or {"on": (), "window": 0}
        ends, by = one.settles_at + terms["window"] * 1000, one.reversed_by
        is_named, is_confirmed = event.action in terms["on"], one.status == "CONFIRMED"
        repeats = by is not None and event.idempotency_key == events[by].idempotency_key is not None
        corners = {
            "reversed at the last ms of the window": fate == "reversed" and ms == ends - 1,
            "late at the end of the window": fate == "late" and is_named and is_confirmed and by is None and ms == ends,
            "reversed after 35 days": fate == "reversed" and ms >= one.settles_at + 35 * DAY,
            "a second reversing event": fate == "late" and is_named and by is not None and ms < ends,
            "a reversing event of a missed outcome": fate == "late" and is_named and not is_confirmed and ms < ends,
            "a duplicate of the reversing event": fate == "duplicate" and repeats,
            "a conflict with the reversing event": fate == "conflict" and repeats,
            "a duplicate after 35 days, within a longer window": (
                fate == "duplicate" and ms >= one.settles_at + 35 * DAY
            ),
            "another action after settlement": fate == "late" and is_confirmed and bool(terms["on"]) and not is_named,
            "another agent's reversing event": reason == "IDENTITY_MISMATCH" and is_named and is_confirmed,
        }
        found |= {corner for corner, met in corners.items() if met}
    return found


def _event(fields: dict[bytes, bytes]) -> Event | None:
    try:
        read = parse_entry(fields)
    except RefusedError:
        return None
    return read if isinstance(read, Event) else None
