"""How the fold handles outcomes on hold: their events wait, and a repair continues where the outcome stopped.

Nothing here reads the damaged data. What the outcome was before the hold comes from `witnd repair outcome`.
"""

from collections.abc import Callable
from typing import Protocol

from witnd.domain.outcomes.event import EntryId, Event
from witnd.fold.actor import Actor, OnHold, Waiting
from witnd.fold.actor_cache import ActorCache
from witnd.fold.hold import ON_HOLD, Damage, Hold
from witnd.fold.step import Fate, Step


class Poison(Exception):  # noqa: N818 - what the fold met, not a mistake in how it was called
    """The fold failed for one key. What is in memory may be half changed; nothing of the step may be written."""

    def __init__(self, key: str, error: Exception) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.key = key
        self.error = error


class _Decide(Protocol):
    def __call__(self, step: Step, ms: int, seq: int, event: Event, known: Actor | None, /) -> bool: ...


class _Settle(Protocol):
    def __call__(self, step: Step, actor: Actor, ms: int, /) -> None: ...


def hold_at(cursor: EntryId, damage: Damage) -> Hold:
    """The hold of a key that is found to be damaged after the entry `cursor`."""
    return Hold(since=cursor[0], cursor=f"{cursor[0]}-{cursor[1]}", **damage._asdict())


def begin(step: Step, cache: ActorCache, counters: dict[str, int]) -> None:
    """Take the holds that the commit of this step writes. Their outcomes leave the counters of their status."""
    for one in cache.new_holds:
        if one.hold.status is not None:
            counters[one.hold.status] -= 1
        step.new_holds.append(one)
    cache.new_holds.clear()


def wait(step: Step, there: OnHold, waiting: Waiting, decide: Callable[[Step, Fate], None]) -> None:
    """Let an event wait, whatever its idempotency key: whether it is a duplicate is decided after the repair."""
    if not there.arrived:
        step.arrived.append(there)
    there.arrived.append(waiting)
    there.count += 1
    decide(step, Fate(waiting.entry, "waiting", ON_HOLD, there.key))


def repair(
    step: Step,
    there: OnHold,
    ms: int,
    cache: ActorCache,
    counters: dict[str, int],
    *,
    decide: _Decide,
    settle: _Settle,
) -> None:
    """Install the repaired outcome, process the waiting events in log order, and settle it if it is overdue.

    `ms` is the instant of the `retry` entry. Without a repair the key stays on hold.
    """
    rebuilt = there.rebuilt
    if rebuilt is None:
        return
    cache.replace_hold(there.key, rebuilt)
    rebuilt.touched = there.touched
    step.repaired.append(there)
    if isinstance(rebuilt, Actor):
        there.status = rebuilt.status
        counters[rebuilt.status] += 1
        # The commit puts it back into its lists; an outcome that no list had gets into them as a new one.
        rebuilt.indexed = None if there.hold.status is None else rebuilt.status
        rebuilt.dirty = True
        step.actors.append(rebuilt)
        if not rebuilt.is_final:
            cache.deadlines.arm(rebuilt)
    elif rebuilt.waiting:
        rebuilt.fresh = True
        step.held.append(rebuilt)
    for entry, event in there.waiting:
        _settle_due(step, cache, there.key, entry[0], ms, settle)
        counters["waiting"] -= 1
        step.released.append(entry)
        decide(step, *entry, event, None)
    _settle_due(step, cache, there.key, ms, ms, settle)


def _settle_due(step: Step, cache: ActorCache, key: str, until: int, ms: int, settle: _Settle) -> None:
    """Settle the outcome if it was due by `until`, as it would have been without the hold."""
    one = cache.known[key]
    if isinstance(one, Actor) and not one.is_final and one.settles_at <= until:
        one.is_repaired = True
        settle(step, one, ms)
