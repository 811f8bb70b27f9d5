"""The keys in memory: a bounded number of actors and every key on hold; the rest is passivated in Redis.

Knows which of them may be forgotten and what has to be written first. What happens to them is the fold's business.
"""

from collections.abc import Iterable
from itertools import islice

from witnd.fold.actor import Actor, Cached, OnHold
from witnd.fold.deadlines import Deadlines


class ActorCache:
    """`known` by key, with their deadlines. `behind` have a stored bound that must be brought up to the deadline;
    `new_holds` are on hold, which no commit has written yet."""

    __slots__ = ("_compact_beyond", "behind", "deadlines", "known", "new_holds", "on_hold")

    def __init__(self) -> None:
        self.known: dict[str, Cached] = {}
        self.deadlines = Deadlines(self.known)
        self.behind: list[Actor] = []
        self.new_holds: list[OnHold] = []
        self.on_hold: dict[str, OnHold] = {}  # all of them, for people
        self._compact_beyond = 0

    def install(self, loaded: Iterable[Cached], batch: int) -> None:
        """Take what was loaded. A key that came into memory meanwhile has the newer state and stays."""
        known, reach = self.known, self._reach()
        for one in loaded:
            there = known.setdefault(one.key, one)
            if there.touched < batch:  # noqa: PLR1730  (`max` costs five times as much)
                there.touched = batch
            if there is one and type(one) is Actor and one.processed_at is None:
                self.deadlines.arm(one)
                if one.indexed_deadline <= reach < one.settles_at:
                    self._mark_stale(one)
            elif there is one and type(one) is OnHold:
                self.put_on_hold(one)

    def put_on_hold(self, one: OnHold, *, is_stored: bool = False) -> None:
        """Replace whatever is in memory of its key. A hold that is not stored yet is written by the next commit."""
        self.known[one.key] = self.on_hold[one.key] = one
        if not is_stored:
            self.new_holds.append(one)

    def alarms(self, most: int) -> list[str]:
        """What people need to know about outcomes on hold; the first ones by name."""
        named = [
            f"outcome {key} is on hold: {one.hold.reason}; {one.count} of its events wait"
            for key, one in islice(self.on_hold.items(), most)
        ]
        more = len(self.on_hold) - len(named)
        return [*named, f"{more} more outcomes are on hold"] if more else named

    def replace_hold(self, key: str, rebuilt: Cached) -> None:
        """End a hold."""
        self.known[key] = rebuilt
        self.on_hold.pop(key, None)

    def _reach(self) -> int:
        """Up to here stored bounds were read, and will not be read again: where the bound of an actor lies before it
        and its deadline behind, the bound must be written anew before the actor can be forgotten."""
        return max(self.deadlines.horizon, self.deadlines.horizon_asked)

    def _mark_stale(self, actor: Actor) -> None:
        if not actor.behind:
            actor.behind = True
            self.behind.append(actor)

    def passivate(self, most: int, committed: int, loading: Iterable[Iterable[str]]) -> None:
        """Forget the longest unused keys beyond `most` (down to nine tenths of it). Only keys whose last batch is
        committed can go, since Redis has their state; those of `loading` are on their way here."""
        known = self.known
        if len(known) <= most:
            return
        wanted: set[str] = set().union(*loading)
        excess, reach = len(known) - most * 9 // 10, self._reach()
        # Oldest first in the order they came into memory; what was used in about the last half turn-over stays (of full
        # batches).
        gone: list[str] = []
        for newest in (committed - most // 1000, committed):
            for key, one in known.items():
                if len(gone) == excess:
                    break
                if one.touched > newest or key in wanted or type(one) is OnHold:
                    continue
                if type(one) is Actor and one.processed_at is None and one.indexed_deadline <= reach < one.settles_at:
                    self._mark_stale(one)
                    continue
                gone.append(key)
            for key in gone:
                known.pop(key, None)
            excess -= len(gone)
            gone.clear()
        # Entries of the next minute stay however many there are: only a heap that doubled is worth another look.
        if len(self.deadlines) > max(2 * len(known) + 1024, self._compact_beyond):
            self.deadlines.compact()
            self._compact_beyond = 2 * len(self.deadlines)

    def take_stale(self) -> list[Actor]:
        """Those of `behind` that no change brings into the next commit anyway."""
        taken = [actor for actor in self.behind if actor.behind and not actor.dirty]
        self.behind.clear()
        return taken
