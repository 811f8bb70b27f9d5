"""The fold of outcomes on hold: their events wait, and a repair continues where the outcome stopped.

The damaged data is not read here. `witnd repair outcome` provides the state before the hold.
"""

from collections.abc import Callable
from typing import Protocol

from witnd.domain.outcomes.event import EntryId, Event
from witnd.fold.actor import Actor, OnHold, Waiting
from witnd.fold.actor_cache import ActorCache
from witnd.fold.hold import ON_HOLD, Damage, Hold
from witnd.fold.step import Fate, Step


class Poison(Exception):  # noqa: N818 - describes the data, not a wrong call
    """The fold failed for one key. The state in memory may be incomplete, so the step must not be written."""

    def __init__(self, key: str, error: Exception) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.key = key
        self.error = error


class _Decide(Protocol):
    def __call__(self, step: Step, ms: int, seq: int, event: Event, known: Actor | None, at: int | None, /) -> bool: ...


class _Settle(Protocol):
    def __call__(self, step: Step, actor: Actor, ms: int, /) -> None: ...


def hold_at(cursor: EntryId, damage: Damage) -> Hold:
    """Return the hold of a key whose damage is detected after the entry `cursor`."""
    return Hold(since=cursor[0], cursor=f"{cursor[0]}-{cursor[1]}", **damage._asdict())


def take_new_holds(step: Step, cache: ActorCache, counters: dict[str, int]) -> None:
    """Move the new holds into the step, whose commit writes them. Subtract their outcomes from the counters."""
    for new in cache.new_holds:
        if new.hold.status is not None:
            counters[new.hold.status] -= 1
        step.new_holds.append(new)
    cache.new_holds.clear()


def wait(step: Step, on_hold: OnHold, waiting: Waiting, decide: Callable[[Step, Fate], None]) -> None:
    """Let an event wait. Its idempotency key is checked after the repair."""
    if not on_hold.arrived:
        step.arrived.append(on_hold)
    on_hold.arrived.append(waiting)
    on_hold.count += 1
    decide(step, Fate(waiting.entry, "waiting", ON_HOLD, on_hold.key))


def repair(
    step: Step,
    on_hold: OnHold,
    ms: int,
    cache: ActorCache,
    counters: dict[str, int],
    *,
    decide: _Decide,
    settle: _Settle,
) -> None:
    """Install the repaired outcome, process the waiting events in log order, and settle it if it is overdue.

    `ms` is the instant of the `retry` entry. Without a repair the key stays on hold. An event that reverses the outcome
    does so at `ms`: the period of its acceptance may be closed.
    """
    rebuilt = on_hold.rebuilt
    if rebuilt is None:
        return
    cache.replace_hold(on_hold.key, rebuilt)
    rebuilt.touched = on_hold.touched
    step.repaired.append(on_hold)
    if isinstance(rebuilt, Actor):
        on_hold.status = rebuilt.status
        counters[rebuilt.status] += 1
        # The commit adds it to the indexes again; an outcome that was in no index is added like a new one.
        rebuilt.indexed = None if on_hold.hold.status is None else rebuilt.status
        rebuilt.dirty = True
        step.actors.append(rebuilt)
        if not rebuilt.is_final:
            cache.deadlines.arm(rebuilt)
    elif rebuilt.waiting:
        rebuilt.fresh = True
        step.held.append(rebuilt)
    for entry, event in on_hold.waiting:
        _settle_due(step, cache, on_hold.key, entry[0], ms, settle)
        counters["waiting"] -= 1
        step.released.append(entry)
        decide(step, *entry, event, None, ms)
    _settle_due(step, cache, on_hold.key, ms, ms, settle)


def _settle_due(step: Step, cache: ActorCache, key: str, until: int, ms: int, settle: _Settle) -> None:
    """Settle the outcome if it was due by `until`, as without the hold."""
    actor = cache.known[key]
    if isinstance(actor, Actor) and not actor.is_final and actor.settles_at <= until:
        actor.is_repaired = True
        settle(step, actor, ms)
