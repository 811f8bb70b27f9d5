"""Rebuilds one outcome from the log, with the fold of its key's events.

Other entries of the log only advance the time. The result is the outcome after the last entry.
"""

from typing import NamedTuple

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.outcomes.event import EntryId, Event, Retry, Tick
from witnd.domain.outcomes.outcome import Status
from witnd.fold.actor import Actor, Held
from witnd.fold.partition import Partition
from witnd.store.records.codec import encode_outcome
from witnd.store.records.held_codec import encode_held
from witnd.store.records.hold import Repair
from witnd.store.records.sealed import sealed

_FOREVER = 1 << 62


class RebuildResult(NamedTuple):
    """The state of the key, its first applied event, and the fate of every entry that was not applied."""

    repair: Repair
    status: Status | None  # None if the key has no outcome
    opened_at: int | None
    events: int
    fates: dict[EntryId, str]


class Rebuild:
    """Rebuilds one outcome. Pass the log entries in order to `add` and `pass_time`, then call `result`."""

    def __init__(self, catalogue: Catalogue, key: str) -> None:
        self._key = key
        self._partition = partition = Partition(catalogue)
        partition.known[key] = Held(key)
        partition.deadlines.horizon = _FOREVER
        self._past_due: EntryId | None = None  # the first entry at which the outcome settles
        self._spilled: list[bytes] = []
        self._fates: dict[EntryId, str] = {}

    def add(self, entry: EntryId, item: Event | Retry) -> None:
        """Fold an entry of the key. Raises `Poison` if the fold fails."""
        self._settle()
        self._fold(entry, item)

    def pass_time(self, entry: EntryId) -> None:
        """Advance log time with an entry of another key."""
        actor = self._partition.known[self._key]
        if self._past_due is None and isinstance(actor, Actor) and not actor.is_final and actor.settles_at <= entry[0]:
            self._past_due = entry

    def result(self, *, settled: bool) -> RebuildResult:
        """Return the state. `settled`: the outcome was final before the hold; otherwise the daemon settles it."""
        if settled:
            self._settle()
        one = self._partition.known[self._key]
        if isinstance(one, Actor):
            record = encode_outcome(one, 0, one.tail, one.tailed, one.reversal)
            repair = Repair(1, record, sealed(self._key, self._spilled), [])
            return RebuildResult(repair, one.status, one.opened_at, one.events, self._fates)
        assert isinstance(one, Held), one
        held = [encode_held(*waiting) for waiting in one.waiting]
        return RebuildResult(Repair(1, None, [], held), None, None, len(held), self._fates)

    def _settle(self) -> None:
        if self._past_due is not None:
            self._fold(self._past_due, Tick())
            self._past_due = None

    def _fold(self, entry: EntryId, item: Event | Retry | Tick) -> None:
        step, reached = self._partition.fold([(*entry, item, [], None)], 0, 1, 1)
        assert reached == 1, step
        self._spilled += step.spilled.get(self._key, [])
        for placed in step.unfated:
            self._fates.pop(placed, None)
        for fate in step.fates:
            if not (fate.fate == "held" and fate.entry in step.unfated):
                self._fates[fate.entry] = fate.fate
