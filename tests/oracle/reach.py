"""The corners of the contract that generated logs must reach, and what one log has reached.

A law that is checked on logs without placements, ties or bounds of prices says nothing about them.
"""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from tests.oracle.logs import Log
from tests.oracle.oracle import World, run

REASONS: dict[str, set[str | None]] = {
    "applied": {None},
    "duplicate": {None},
    "conflict": {None},
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


def _rounded_up(world: World) -> bool:
    return any(
        one["amount"] is not None and Fraction(one["amount"]) > Fraction(one["amount_exact"]) for one in world.lines
    )


def _own_terms_and_common(world: World) -> bool:
    met = {(one.agent_key, one.contract["name"] == "Own") for one in world.outcomes.values()}
    return len(met) > len({agent for agent, _ in met})


CORNERS: dict[str, Callable[[World], bool]] = {
    "placement": lambda world: _opened_with(world, 1),
    "placement of several": lambda world: _opened_with(world, 2),
    "three resolutions": lambda world: len(world.resolutions) >= 3,
    "two resolved by one entry": lambda world: (
        len({one["processed_at"] for one in world.resolutions}) < len(world.resolutions)
    ),
    "two due in the same ms": lambda world: (
        len({one["settles_at"] for one in world.resolutions}) < len(world.resolutions)
    ),
    "a pin at or before now": lambda world: any(one["opened_at"] == one["settles_at"] for one in world.resolutions),
    "PENDING turned false": lambda world: any(one.scheduled_resolution == "FAILED" for one in world.outcomes.values()),
    "unit 0": lambda world: any(Fraction(one["unit"]) == 0 for one in world.lines),
    "rounded up": _rounded_up,
    "rated at close": lambda world: any(one["rated"] == "at_close" for one in world.lines),
    "at least": lambda world: any("minimum" in one.get("working", {}) for one in world.lines),
    "at most": lambda world: any("maximum" in one.get("working", {}) for one in world.lines),
    "two deliveries": lambda world: len(world.deliveries) >= 2,
    "an own price": lambda world: any(one.price["customer"] is not None for one in world.outcomes.values()),
    "an agent with own terms and without": _own_terms_and_common,
}
PLACED_ELSEWHERE = "an event that own terms place elsewhere"
EVERYTHING = {*FATES, *CORNERS, PLACED_ELSEWHERE}


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
    return found
